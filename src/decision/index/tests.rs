//! Precedence, shared patterns, conflicts and explanations, one promise per test.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header;

use crate::decision::index::Conflict;
use crate::decision::index::Entry;
use crate::decision::index::Found;
use crate::decision::index::Index;
use crate::decision::index::Owner;
use crate::decision::index::WhyNot;
use crate::decision::path::Allow;
use crate::decision::pattern::HostPattern;
use crate::decision::pattern::Methods;
use crate::decision::pattern::PathPattern;
use crate::decision::pattern::Schemes;
use crate::decision::request::Ambiguous;
use crate::decision::request::Head;
use crate::decision::request::RequestView;
use crate::decision::request::Scheme;

/// Reads `GET,POST https: a.com *.a.com /a/{x} regex:/v[0-9]+ +slash`, in which all but one path may be absent.
pub(super) fn entry(text: &str) -> Entry {
    let mut entry = Entry {
        hosts: vec![],
        paths: vec![],
        methods: Methods::any(),
        schemes: Schemes::any(),
        allow: Allow::default(),
    };
    for word in text.split(' ') {
        match word {
            "http:" => entry.schemes = Schemes::of([Scheme::Http]),
            "https:" => entry.schemes = Schemes::of([Scheme::Https]),
            "+slash" => entry.allow.encoded_slash = true,
            "+empty" => entry.allow.empty_segment = true,
            "+parameters" => entry.allow.parameters = true,
            _ if word.starts_with('/') => entry.paths.push(PathPattern::parse(word).unwrap()),
            _ if word.starts_with("regex:") => entry.paths.push(PathPattern::regex(&word[6..]).unwrap()),
            _ if word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b',') => {
                entry.methods = Methods::of(word.split(',').map(|method| Methods::read(method).unwrap()));
            }
            _ => entry.hosts.push(HostPattern::parse(word).unwrap()),
        }
    }
    entry
}

fn entries(texts: &[&str]) -> Vec<Entry> {
    texts.iter().map(|text| entry(text)).collect()
}

const KRATOS: &[&str] =
    &["/self-service/** /sessions /sessions/** /schemas /schemas/* /.well-known/ory/** /.well-known/change-password"];

/// Parses `POST http://host/path` and hands the view over.
pub(super) fn with_request<T>(line: &str, use_it: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let (method, url) = line.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, target) = rest.split_at(rest.find('/').unwrap());
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let head = Head { method: &method, target: target.as_bytes(), authority: None, headers: &headers, scheme };
    use_it(&RequestView::parse(head).unwrap())
}

/// What is found, as text: `3 x=1`, `405 GET, HEAD`, `404`, `400`, `kratos`.
pub(super) fn found(index: &Index, line: &str) -> String {
    with_request(line, |request| match index.find(request) {
        Found::Ambiguous(_) => "400".to_owned(),
        Found::MethodNotListed { allow } => format!("405 {allow}"),
        Found::Nothing => "404".to_owned(),
        Found::Owner { owner: Owner::Reserved(_), .. } => "kratos".to_owned(),
        Found::Owner { owner: Owner::Rule(number), captures } => {
            captures.iter().fold(number.to_string(), |text, (name, value)| format!("{text} {name}={value}"))
        }
    })
}

#[track_caller]
fn check(rules: &[&str], reserved: &[&str], expected: &[(&str, &str)]) {
    let index = Index::build(&entries(rules), &entries(reserved)).unwrap();
    for (line, expected) in expected {
        assert_eq!(found(&index, line), *expected, "{line}");
    }
}

#[track_caller]
fn conflicts(rules: &[&str], reserved: &[&str]) -> Vec<Conflict> {
    Index::build(&entries(rules), &entries(reserved)).err().unwrap_or_default()
}

#[test]
fn the_most_specific_pattern_owns_the_path_segment_by_segment() {
    check(
        &["/**", "/a/**", "/a/*", "/a/b", "/a/{x}/c", "/a/b/**", "/{y}/b/d", "/a/*/*/e", "/a/b/{z}/f"],
        &[],
        &[
            ("GET http://h/", "0"),
            ("GET http://h/x", "0"),
            ("GET http://h/a", "1"),
            ("GET http://h/a/", "1"),
            ("GET http://h/a/x", "2"),
            ("GET http://h/a/b", "3"),
            ("GET http://h/a/b/", "3"),
            ("GET http://h/a/x/c", "4 x=x"),
            ("GET http://h/a/b/c", "5"),
            ("GET http://h/x/b/d", "6 y=x"),
            ("GET http://h/a/b/d", "5"),
            ("GET http://h/a/x/d", "1"),
            ("GET http://h/a/x/y/e", "7"),
            ("GET http://h/a/b/y/e", "5"),
            ("GET http://h/a/b/y/f", "8 z=y"),
        ],
    );
}

#[test]
fn a_dead_end_is_left_for_the_next_best_pattern() {
    check(
        &["/a/b/c", "/a/{x}/d", "/{y}/b/e", "/{y}/**"],
        &[],
        &[
            ("GET http://h/a/b/c", "0"),
            ("GET http://h/a/b/d", "1 x=b"),
            ("GET http://h/a/b/e", "2 y=a"),
            ("GET http://h/a/b/f", "3 y=a"),
            ("GET http://h/a/b", "3 y=a"),
            ("GET http://h/", "404"),
        ],
    );
}

#[test]
fn nothing_falls_through_to_the_rules_of_another_host() {
    check(
        &[
            "/any /both",
            "a.com /exact /both",
            "a.com:8443 /port",
            "*.a.com /wild",
            "*.b.a.com /wilder",
            "*.b.a.com:1 /wilder-port",
            "*.a.com:1 /wild-port",
            "[::1] /six",
        ],
        &[],
        &[
            ("GET http://x.com/any", "0"),
            ("GET http://a.com/any", "404"),
            ("GET http://a.com/both", "1"),
            ("GET http://A.com.:80/exact", "1"),
            ("GET http://a.com:8443/exact", "404"),
            ("GET http://a.com:8443/port", "2"),
            ("GET http://x.a.com/wild", "3"),
            ("GET http://x.a.com:2/wild", "3"),
            ("GET http://x.a.com:1/wild", "404"),
            ("GET http://x.a.com:1/wild-port", "6"),
            ("GET http://b.a.com/wild", "3"),
            ("GET http://x.b.a.com/wild", "404"),
            ("GET http://y.x.b.a.com/wilder", "4"),
            ("GET http://x.b.a.com:1/wilder-port", "5"),
            ("GET http://x.b.a.com:1/wild-port", "404"),
            ("GET http://[0::1]:80/six", "7"),
        ],
    );
}

#[test]
fn a_pattern_owns_its_path_for_every_method_and_scheme() {
    check(
        &["/**", "GET /a", "PUT,POST /a", "https: /s", "GET http: /t", "POST https: /t", "PURGE,GET /a/{x}"],
        &[],
        &[
            ("GET http://h/a", "1"),
            ("HEAD http://h/a", "1"),
            ("POST https://h/a", "2"),
            ("DELETE http://h/a", "405 GET, HEAD, POST, PUT"),
            ("GET https://h/s", "3"),
            ("GET http://h/s", "404"),
            ("GET http://h/t", "4"),
            ("POST http://h/t", "405 GET, HEAD"),
            ("PURGE http://h/a/1", "6 x=1"),
            ("LOCK http://h/a/1", "405 GET, HEAD, PURGE"),
            ("LOCK http://h/b", "0"),
        ],
    );
}

#[test]
fn captures_are_decoded_and_named_by_the_owning_rule() {
    check(
        &["GET /u/{id}/{rest}", "POST /u/{user}/*", "regex:/d/(?<year>[0-9]+)(?<day>-[0-9]+)?"],
        &[],
        &[
            ("GET http://h/u/a%20b/%C3%A9/", "0 id=a b rest=é"),
            ("POST http://h/u/7/x", "1 user=7"),
            ("GET http://h/d/2026-12", "2 year=2026 day=-12"),
            ("GET http://h/d/2026", "2 year=2026"),
        ],
    );
}

#[test]
fn regexes_are_tried_in_file_order_where_no_pattern_matches() {
    check(
        &["regex:/a/[a-z]+ regex:/b/.*", "regex:/a/.*", "/a/x", "GET regex:/c", "POST regex:/c", "h2 /a/x"],
        &[],
        &[
            ("GET http://h/a/x", "2"),
            ("GET http://h/a/y", "0"),
            ("GET http://h/a/y/", "1"),
            ("GET http://h/a/%79", "0"),
            ("GET http://h/a/1", "1"),
            ("GET http://h/b/", "0"),
            ("POST http://h/c", "4"),
            ("PUT http://h/c", "405 GET, HEAD, POST"),
            ("GET http://h2/a/y", "404"),
        ],
    );
}

#[test]
fn an_odd_path_needs_one_rule_for_both_of_its_meanings() {
    check(
        &["/f/** +slash", "/f/secret/**", "/g/** +empty", "/p/{x} +parameters", "/q +slash", "/q/** +slash"],
        KRATOS,
        &[
            ("GET http://h/f/a%2Fb", "0"),
            ("GET http://h/f/secret%2Fb", "400"),
            ("GET http://h/f%2Fa", "400"),
            ("GET http://h/f//a", "400"),
            ("GET http://h/g//a", "2"),
            ("GET http://h//g/a", "400"),
            ("GET http://h/g/%2Fa", "400"),
            ("GET http://h/p/a;v=1", "3 x=a;v=1"),
            ("GET http://h/p;v=1/a", "400"),
            ("GET http://h/p/a;v/b", "400"),
            ("GET http://h/q%2Fa", "400"),
            ("GET http://h/sessions//whoami", "400"),
            ("GET http://h/nobody//x", "400"),
        ],
    );
}

#[test]
fn built_in_rules_are_part_of_every_hosts_table() {
    check(
        &["/**", "a.com /x", "/{any}/whoami", "/schemas/*/x"],
        KRATOS,
        &[
            ("GET http://h/sessions", "kratos"),
            ("GET http://h/sessions/whoami", "kratos"),
            ("GET http://h/self-service/login/browser", "kratos"),
            ("GET http://h/schemas/", "kratos"),
            ("GET http://h/schemas/default", "kratos"),
            ("GET http://h/schemas/default/x", "3"),
            ("GET http://h/schemas/default/y", "0"),
            ("GET http://h/.well-known/other", "0"),
            ("GET http://a.com/sessions", "kratos"),
            ("GET http://a.com/y", "404"),
        ],
    );
    check(&[], KRATOS, &[("GET http://h/sessions", "kratos"), ("GET http://h/", "404")]);
}

#[test]
fn built_in_rules_with_hosts_leave_other_hosts_and_rules_as_they_are() {
    check(
        &["/**", "*.b.com /b", "*.c.com:8443 /c", "d.com:1 /d"],
        &["login.a.com login.b.com login.c.com d.com /sessions/**"],
        &[
            ("GET http://x.com/sessions", "0"),
            ("GET http://login.a.com/sessions", "kratos"),
            ("GET http://login.a.com/x", "0"),
            ("GET http://login.b.com/sessions", "kratos"),
            ("GET http://login.b.com/b", "1"),
            ("GET http://login.b.com/x", "404"),
            ("GET http://login.c.com:8443/sessions", "kratos"),
            ("GET http://login.c.com:8443/c", "2"),
            ("GET http://login.c.com/c", "0"),
            ("GET http://d.com:1/sessions", "kratos"),
            ("GET http://d.com:1/d", "3"),
            ("GET http://d.com/d", "0"),
        ],
    );
}

#[test]
fn a_rule_on_a_built_in_path_is_a_conflict() {
    for (rule, reserved) in [
        ("/self-service/foo", "/self-service/**"),
        ("/self-service/**", "/self-service/**"),
        ("/self-service", "/self-service/**"),
        ("/sessions/", "/sessions"),
        ("/sessions/{id}", "/sessions/**"),
        ("/schemas/{id}", "/schemas/*"),
        ("regex:/self-service/.*", "/self-service/**"),
        ("regex:^/sessions/(a|b)$", "/sessions/**"),
    ] {
        let pattern = rule.trim_start_matches("regex:").to_owned();
        let expected = vec![Conflict::Reserved { rule: 1, pattern, reserved: reserved.to_owned() }];
        assert_eq!(conflicts(&["/**", &format!("a.com b.com {rule}")], KRATOS), expected);
    }
    assert_eq!(conflicts(&["/sessions/x", "b.com /sessions/x"], &["a.com /sessions/**"]), []);
    assert_eq!(conflicts(&["a.com:80 /sessions/x"], &["a.com /sessions/**"]).len(), 1);
}

#[test]
fn two_owners_of_one_pattern_are_a_conflict_that_names_both() {
    let host = HostPattern::parse("a.com").unwrap();
    let expected = Conflict::TwoOwners { first: 0, second: 2, host, pattern: "/x/{b}/".to_owned() };
    let found = conflicts(&["a.com b.com /x/{a}", "*.a.com /x/{b}/", "A.com /x/{b}/"], &[]);
    assert_eq!(found, [expected]);
    assert_eq!(
        found[0].to_string(),
        "rules 0 and 2 both own `/x/{b}/` on host `a.com` for a method and scheme that both list"
    );
    for (rules, count) in [
        (&["/a", "/a/**"][..], 0),
        (&["/a", "/%61"], 1),
        (&["/a", "/a/"], 1),
        (&["/*", "/{x}"], 1),
        (&["GET /a", "POST /a"], 0),
        (&["GET /a", "HEAD /a"], 1),
        (&["GET /a", "/a"], 1),
        (&["https: /a", "http: /a"], 0),
        (&["https: GET /a", "https: GET,POST /a"], 1),
        (&["regex:/a/[0-9]+", "regex:/a/[0-9]+"], 1),
        (&["GET regex:/a/[0-9]+", "POST regex:/a/[0-9]+"], 0),
        (&["/a", "/a", "/a"], 2),
        (&["/a /b", "/b /a"], 2),
        (&["/a /a"], 1),
    ] {
        assert_eq!(conflicts(rules, &[]).len(), count, "{rules:?}");
    }
}

#[test]
fn a_regex_that_a_pattern_covers_is_never_reached() {
    for (pattern, regex, is_covered) in [
        ("/api/**", "/api/v[0-9]+", true),
        ("/api/**", "^/api/.*$", true),
        ("/api/**", "/api", true),
        ("/api/**", "/(api/a|api/b).*", true),
        ("/*/**", "/api/.*", true),
        ("/**", ".*", true),
        ("/**", "(?i)/a", true),
        ("/a/b", "/a/b", true),
        ("/api/**", "/api.*", false),
        ("/api/**", "/api(/.*)?", true),
        ("/api/**", "/api(x|/.*)?", false),
        ("/api/**", "/(api/a|app/b).*", false),
        ("/api/**", "(?i)/api/.*", false),
        ("/api/**", "/.*", false),
        ("/api/*", "/api/.*", false),
        ("other.com /api/**", "/api/.*", false),
        ("/a/%2561/**", "/a/%61/", true),
        ("/a/a/**", "/a/%61/", false),
    ] {
        let found = conflicts(&[pattern, &format!("regex:{regex}")], &[]);
        assert_eq!(found.len(), usize::from(is_covered), "{pattern} {regex}");
        for conflict in found {
            assert!(matches!(conflict, Conflict::RegexNeverReached { rule: 1, .. }), "{conflict}");
        }
    }
    assert_eq!(
        conflicts(&["/api/**", "regex:/api/x"], &[])[0].to_string(),
        "the regex `/api/x` of rule 1 is never reached on host `*`: `/api/**` of rule 0 takes every such path"
    );
}

#[test]
fn every_conflict_is_told_at_once() {
    let found = conflicts(&["/a", "/a", "/sessions/x", "/b/**", "regex:/b/.*"], KRATOS);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn what_can_never_match_is_told() {
    let index = Index::build(
        &entries(&["/a/**", "/a /a/*/**", "regex:api/.*", "regex:/.* /x", "regex:/b/.*", "/c/** /c/d/**"]),
        &[],
    );
    let told: Vec<String> = index.unwrap().unreachable().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "rule 0: `/a/**` can never match on host `*`: other patterns take all of its paths",
            "rule 2: `api/.*` can never match: a path begins with `/`",
            "rule 4: `/b/.*` can never match on host `*`: other patterns take all of its paths",
        ]
    );
    let mut empty = entry("/a");
    (empty.methods, empty.schemes, empty.paths) = (Methods::of([]), Schemes::of([]), vec![]);
    assert_eq!(Index::build(&[empty], &[]).unwrap().unreachable().len(), 3);
}

#[test]
fn every_other_rule_is_told_why_not() {
    let rules = [
        "a.com /x",
        "b.com /x",
        "/x",
        "a.com /y",
        "a.com POST /x/{id}",
        "a.com GET /x/{id}",
        "a.com http: PUT /x/{id}",
        "a.com /x/**",
        "a.com /z/** +slash",
        "a.com /z/a/b",
    ];
    let index = Index::build(&entries(&rules), &entries(KRATOS)).unwrap();
    let told = |line: &str| {
        with_request(line, |request| index.why_not(request))
            .into_iter()
            .map(|(rule, why)| format!("{rule} {why}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told("GET https://a.com/x/1"),
        [
            "0 its paths do not match",
            "1 its hosts do not match",
            "2 the host belongs to the rules that name `a.com`",
            "3 its paths do not match",
            "4 it does not list the method",
            "6 it does not list the scheme",
            "7 the path belongs to `/x/{id}` of rule 4",
            "8 its paths do not match",
            "9 its paths do not match",
        ]
    );
    assert!(
        told("GET https://a.com/z/a%2Fb")
            .contains(&WhyNot::Spelling(Ambiguous::EncodedSlash).to_string().replace("it would", "8 it would"))
    );
    assert_eq!(told("GET https://a.com/z/a/c").len(), 9);
}
