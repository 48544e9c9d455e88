//! The index held against a naive reading of the same promises, on random rules and requests from a small world.

use std::cmp::Ordering;

use proptest::prelude::*;

use crate::decision::index::Conflict;
use crate::decision::index::Index;
use crate::decision::index::tests::entry;
use crate::decision::index::tests::found;

/// A rule as words, so that nothing of the index's own types decides what is right.
#[derive(Clone, Debug)]
struct Rule {
    hosts: Vec<&'static str>,
    paths: Vec<Vec<&'static str>>,
    methods: Vec<&'static str>,
    schemes: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    scheme: &'static str,
    host: &'static str,
    segments: Vec<&'static str>,
    slash: bool,
}

impl Rule {
    fn text(&self) -> String {
        let mut words: Vec<String> = self.hosts.iter().map(|host| (*host).to_owned()).collect();
        words.extend(self.paths.iter().map(|path| format!("/{}", path.join("/"))));
        if !self.methods.is_empty() {
            words.push(self.methods.join(","));
        }
        words.extend(self.schemes.iter().map(|scheme| format!("{scheme}:")));
        words.join(" ")
    }

    fn hosts(&self) -> Vec<&'static str> {
        if self.hosts.is_empty() { vec!["*"] } else { self.hosts.clone() }
    }

    fn lists_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(&method) || method == "HEAD" && self.methods.contains(&"GET")
    }

    fn lists_scheme(&self, scheme: &str) -> bool {
        self.schemes.is_empty() || self.schemes.contains(&scheme)
    }
}

/// How specific a host pattern is for this host, if it matches.
fn host_rank(pattern: &str, host: &str) -> Option<(usize, usize, bool)> {
    let (name, port) = pattern.split_once(':').map_or((pattern, None), |(name, port)| (name, Some(port)));
    let (own, own_port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    if port.is_some() && port != own_port {
        return None;
    }
    let rank = match name.strip_prefix('*') {
        Some("") => Some((0, 0)),
        Some(suffix) => own.ends_with(suffix).then_some((1, suffix.len())),
        None => (own == name).then_some((2, 0)),
    };
    rank.map(|(kind, length)| (kind, length, port.is_some()))
}

fn is_wild(segment: &str) -> bool {
    segment == "*" || segment.starts_with('{')
}

/// A pattern with its capture names gone.
fn shape(pattern: &[&'static str]) -> Vec<&'static str> {
    pattern.iter().map(|segment| if is_wild(segment) && *segment != "**" { "*" } else { segment }).collect()
}

fn path_matches(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", _)) => true,
        Some((first, rest)) => path
            .split_first()
            .is_some_and(|(own, others)| (is_wild(first) || first == own) && path_matches(rest, others)),
    }
}

/// Compares two patterns that match the same path.
fn compare(one: &[&str], two: &[&str]) -> Ordering {
    let rank = |segment: Option<&&str>| match segment {
        Some(&"**") => 0,
        Some(segment) if is_wild(segment) => 1,
        Some(_) | None => 2,
    };
    let longest = one.len().max(two.len());
    (0..=longest)
        .map(|at| rank(one.get(at)).cmp(&rank(two.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn captures(pattern: &[&str], path: &[&str]) -> String {
    let name = |segment: &str| segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::to_owned);
    pattern.iter().zip(path).filter_map(|(segment, value)| Some(format!(" {}={value}", name(segment)?))).collect()
}

fn expected(rules: &[Rule], request: &Request) -> String {
    let hosts = rules.iter().flat_map(Rule::hosts);
    let ranked = hosts.filter_map(|host| Some((host_rank(host, request.host)?, host)));
    let Some((_, host)) = ranked.max() else { return "404".to_owned() };
    let on_host: Vec<(usize, &Rule, &Vec<&str>)> = (0..)
        .zip(rules)
        .filter(|(_, rule)| rule.hosts().contains(&host))
        .flat_map(|(number, rule)| rule.paths.iter().map(move |path| (number, rule, path)))
        .filter(|(_, _, path)| path_matches(path, &request.segments))
        .collect();
    let Some(best) = on_host.iter().max_by(|one, two| compare(one.2, two.2)) else { return "404".to_owned() };
    let mut sharing: Vec<_> = on_host.iter().filter(|(_, _, path)| shape(path) == shape(best.2)).collect();
    sharing.retain(|(_, rule, _)| rule.lists_scheme(request.scheme));
    if sharing.is_empty() {
        return "404".to_owned();
    }
    if let Some((number, _, path)) = sharing.iter().find(|(_, rule, _)| rule.lists_method(request.method)) {
        return format!("{number}{}", captures(path, &request.segments));
    }
    let listed = ["GET", "HEAD", "POST", "PURGE"];
    let allowed: Vec<&str> =
        listed.into_iter().filter(|method| sharing.iter().any(|(_, rule, _)| rule.lists_method(method))).collect();
    format!("405 {}", allowed.join(", "))
}

fn has_two_owners(one: &Rule, two: &Rule) -> bool {
    one.hosts().iter().any(|host| two.hosts().contains(host))
        && one.paths.iter().any(|path| two.paths.iter().any(|other| shape(path) == shape(other)))
        && ["GET", "HEAD", "POST", "PURGE"].iter().any(|method| one.lists_method(method) && two.lists_method(method))
        && ["http", "https"].iter().any(|scheme| one.lists_scheme(scheme) && two.lists_scheme(scheme))
}

fn some(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(words, 0..=most)
}

fn pattern() -> impl Strategy<Value = Vec<&'static str>> {
    let segment = prop::sample::select(&["a", "b", "c", "a", "b", "*", "{x}", "{y}"][..]);
    (proptest::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(mut segments, below)| {
        let mut names = Vec::new();
        for segment in &mut segments {
            if segment.starts_with('{') && names.contains(segment) {
                *segment = "*";
            }
            names.push(*segment);
        }
        if below {
            segments.push("**");
        }
        segments
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        some(&["h", "h:1", "*.h", "*.g.h", "*.h:1", "x.h", "*"], 2),
        proptest::collection::vec(pattern(), 1..3),
        some(&["GET", "HEAD", "POST", "PURGE"], 2),
        some(&["http", "https"], 1),
    )
        .prop_map(|(hosts, mut paths, methods, schemes)| {
            let mut seen = Vec::new();
            paths.retain(|path| {
                !seen.contains(&shape(path)) && {
                    seen.push(shape(path));
                    true
                }
            });
            Rule { hosts, paths, methods, schemes }
        })
}

fn request() -> impl Strategy<Value = Request> {
    (
        prop::sample::select(&["GET", "HEAD", "POST", "PURGE"][..]),
        prop::sample::select(&["http", "https"][..]),
        prop::sample::select(&["h", "h:1", "h:2", "x.h", "g.h", "x.g.h", "x.h:1", "x.g.h:1", "other"][..]),
        proptest::collection::vec(prop::sample::select(&["a", "b", "c", "d"][..]), 0..5),
        any::<bool>(),
    )
        .prop_map(|(method, scheme, host, segments, slash)| Request { method, scheme, host, segments, slash })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_index_agrees_with_the_naive_reading(
        candidates in proptest::collection::vec(rule(), 0..16),
        requests in proptest::collection::vec(request(), 1..24),
    ) {
        let mut rules: Vec<Rule> = Vec::new();
        for candidate in candidates {
            let clashes = rules.iter().any(|rule| has_two_owners(rule, &candidate));
            rules.push(candidate);
            if clashes {
                let entries: Vec<_> = rules.iter().map(|rule| entry(&rule.text())).collect();
                let told = Index::build(&entries, &[]).expect_err("the naive reading sees two owners");
                let last = u32::try_from(rules.len() - 1).unwrap();
                let names_last = |one: &Conflict| matches!(one, Conflict::TwoOwners { second, .. } if *second == last);
                prop_assert!(told.iter().all(names_last));
                rules.pop();
            }
        }
        let entries: Vec<_> = rules.iter().map(|rule| entry(&rule.text())).collect();
        let index = Index::build(&entries, &[]).expect("the naive reading sees no conflict");
        for request in &requests {
            let slash = if request.slash && !request.segments.is_empty() { "/" } else { "" };
            let path = format!("/{}{slash}", request.segments.join("/"));
            let line = format!("{} {}://{}{path}", request.method, request.scheme, request.host);
            prop_assert_eq!(found(&index, &line), expected(&rules, request), "{} in {:?}", line, rules);
        }
    }
}
