//! Oathkeeper's rules that pass Kratos' own API through: here the gateway does so itself.

use super::drafts::{Draft, upstream};
use super::handlers::Access;
use super::matching::PathText;
use super::mechanism::Kratos;
use super::source::OathRule;
use super::{Notes, Verdict};

/// How the gateway serves Kratos' public API.
#[derive(Clone, Debug, Default)]
pub(super) struct SelfService {
    /// None: it does not.
    pub(super) path_prefix: Option<String>,
    /// None: on every host.
    pub(super) hosts: Vec<String>,
}

/// Takes the rules out of `drafts` that only pass requests on to Kratos.
pub(super) fn take(drafts: &mut Vec<Draft>, rules: &[OathRule], kratos: &Kratos, notes: &mut Notes) -> SelfService {
    let mut served = SelfService::default();
    let mut on_any_host = false;
    drafts.retain(|draft| {
        let rule = &rules[draft.number];
        let Some(prefix) = prefix(draft, rule, kratos) else { return true };
        if served.path_prefix.as_ref().is_some_and(|other| *other != prefix) {
            return true;
        }
        let place = if prefix.is_empty() { String::new() } else { format!(" below `{prefix}`") };
        notes.forget(draft.number);
        notes.on(
            draft.number,
            Verdict::Improved,
            format!(
                "the gateway passes Kratos' public API through itself{place}: /self-service, /sessions, /schemas and \
                 /.well-known/ory, by every method; nothing else of Kratos is reached"
            ),
        );
        served.path_prefix = Some(prefix);
        on_any_host |= draft.matching.hosts.is_empty();
        served.hosts.extend(draft.matching.hosts.iter().cloned());
        false
    });
    if on_any_host {
        served.hosts.clear();
    }
    super::matching::dedup(&mut served.hosts);
    served
}

/// Where the API is mounted, if the rule does nothing but pass it through.
fn prefix(draft: &Draft, rule: &OathRule, kratos: &Kratos) -> Option<String> {
    let upstream = upstream(&rule.upstream).ok().flatten()?;
    let is_kratos = kratos.origin.as_ref() == Some(&upstream.url) && upstream.add_prefix.is_empty();
    let is_open =
        draft.handled.access == Access::Public && draft.handled.when.is_empty() && draft.handled.headers.is_empty();
    if !is_kratos || !is_open {
        return None;
    }
    let prefix = upstream.strip_prefix;
    let is_plain = |part: &str| {
        !matches!(part, "." | "..")
            && !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~'))
    };
    if !prefix.split('/').skip(1).all(is_plain) {
        return None;
    }
    let is_api = |path: &PathText| {
        let PathText::Pattern(path) = path else { return false };
        let Some(rest) = path.strip_prefix(&prefix) else { return false };
        matches!(rest, "/**" | "/*/**")
            || ["/self-service/", "/sessions", "/schemas", "/.well-known/ory/"].iter().any(|api| rest.starts_with(api))
    };
    draft.matching.paths.iter().all(is_api).then_some(prefix)
}
