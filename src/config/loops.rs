//! Whether a browser that is sent to the login, or elsewhere, would be sent there again.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::config::decode::Decoder;
use crate::config::node::Mark;
use crate::config::rules::Draft;
use crate::decision::dress::Dress;
use crate::decision::index::{Found, Owner};
use crate::decision::pattern::HostPattern;
use crate::decision::policy::Policy;
use crate::decision::request::{Head, RequestView, Scheme};
use crate::decision::rule::{Access, Target};

/// A host that no rule names, for rules that name none.
const ANY_HOST: &str = "any.invalid";

/// Faults a login that only those may see who are signed in already, and any other place of that kind to which a rule
/// sends those whom it refuses.
pub(crate) fn check_login(decoder: &mut Decoder<'_>, policy: &Policy, drafts: &[Draft], mark: Mark) {
    let cure = "set `login.url` to a page that is public, or make that page public by a rule";
    check(decoder, policy, drafts, &policy.login.url, mark, "the login", cure);
    for draft in drafts {
        for case in &draft.rule.on_refusal.cases {
            if let Dress::Send(sending) = &case.then {
                let what = format!("the place to which rule `{}` sends those whom it refuses,", draft.rule.id);
                check(decoder, policy, drafts, &sending.to, draft.mark, &what, "send them to a page that is public");
            }
        }
    }
}

/// Faults a redirect that leads to itself.
pub(crate) fn check_redirects(decoder: &mut Decoder<'_>, policy: &Policy, drafts: &[Draft]) {
    for (number, draft) in drafts.iter().enumerate() {
        let Some(Target::Redirect(redirect)) = &draft.rule.target else { continue };
        if redirect.only_secures() && draft.entry.schemes.contains(Scheme::Https) {
            decoder.report.fault_with(
                draft.mark,
                format!("rule `{}` sends whoever speaks https to where it is already", draft.rule.id),
                Some("add `schemes: [http]` to its `match`".to_owned()),
            );
        }
        let Some(to) = redirect.written().filter(|to| to.starts_with('/')) else { continue };
        let is_itself = |host: &String| {
            let found = |scheme| owner(policy, host, to, scheme);
            [Scheme::Http, Scheme::Https].into_iter().any(|scheme| found(scheme) == u32::try_from(number).ok())
        };
        if every_host(policy, drafts).iter().any(is_itself) {
            let why = format!("rule `{}` leads to `{to}`, which is its own: browsers go in circles", draft.rule.id);
            decoder.report.fault(draft.mark, why);
        }
    }
}

fn check(decoder: &mut Decoder<'_>, policy: &Policy, drafts: &[Draft], url: &str, mark: Mark, what: &str, cure: &str) {
    let (target, hosts) = if url.starts_with('/') {
        (url.to_owned(), every_host(policy, drafts))
    } else {
        let Ok(parsed) = Url::parse(url) else { return };
        let authority = parsed[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        if !is_ours(policy, drafts, &parsed) {
            return;
        }
        (parsed[url::Position::BeforePath..].to_owned(), HashSet::from([authority]))
    };
    let mut told = HashSet::new();
    for host in hosts {
        for scheme in [Scheme::Http, Scheme::Https] {
            let Some(number) = owner(policy, &host, &target, scheme) else { continue };
            let Some(draft) = drafts.get(number as usize) else { continue };
            if matches!(draft.rule.access, Access::Session(_)) && told.insert(number) {
                decoder.report.fault_with(
                    mark,
                    format!(
                        "rule `{}` demands a session for {what} `{url}` itself: browsers would be sent in circles",
                        draft.rule.id
                    ),
                    Some(cure.to_owned()),
                );
            }
        }
    }
}

/// The number of the rule that owns a GET of the login.
fn owner(policy: &Policy, host: &str, target: &str, scheme: Scheme) -> Option<u32> {
    let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::try_from(host).ok()?)]);
    let head = Head { method: &Method::GET, target: target.as_bytes(), authority: None, headers: &headers, scheme };
    let request = RequestView::parse(head).ok()?;
    match policy.index.find(&request) {
        Found::Owner { owner: Owner::Rule(number), .. } => Some(number),
        Found::Owner { owner: Owner::Reserved(_), .. }
        | Found::MethodNotListed { .. }
        | Found::Nothing
        | Found::Ambiguous(_) => None,
    }
}

/// One host for each table of rules.
fn every_host(policy: &Policy, drafts: &[Draft]) -> HashSet<String> {
    let mut hosts = HashSet::from([ANY_HOST.to_owned()]);
    hosts.extend(policy.public_url.iter().map(|url| url.host.to_string()));
    for host in drafts.iter().flat_map(|draft| &draft.entry.hosts) {
        let (name, port) = match host {
            HostPattern::Any => continue,
            HostPattern::Exact { host, port } => (host.to_string(), port),
            HostPattern::Wildcard { suffix, port } => (format!("any.{suffix}"), port),
        };
        hosts.insert(match port {
            Some(port) => format!("{name}:{port}"),
            None => name,
        });
    }
    hosts
}

/// Whether an absolute login stands on a host that is the gateway's: its public URL's, or one that a rule names.
fn is_ours(policy: &Policy, drafts: &[Draft], login: &Url) -> bool {
    let host = login.host_str().unwrap_or_default();
    if policy.public_url.as_ref().is_some_and(|url| &*url.host == host) {
        return true;
    }
    let Ok(exact) = HostPattern::parse(host) else { return false };
    drafts.iter().flat_map(|draft| &draft.entry.hosts).any(|named| match named {
        HostPattern::Any => false,
        HostPattern::Exact { host: named, .. } => **named == *host,
        HostPattern::Wildcard { suffix, .. } => {
            HostPattern::Wildcard { suffix: suffix.clone(), port: None }.covers(&exact)
        }
    })
}
