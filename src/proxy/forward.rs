//! The head on its way up: what clients may not say is removed, then what the gateway knows is set.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use http::header::HOST;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr, Result};

use crate::decision::edits::{Edit, Toward, edits};
use crate::decision::rewrite::HostRewrite;
use crate::decision::rule::Target;
use crate::proxy::exchange::Exchange;

/// Edits the head of a permitted request. `own_host` is what the upstream is called: Kratos gets it, services the
/// client's Host unless the rule says otherwise.
///
/// Called by the engine after it dropped what `Connection` names, so nothing set here can be nominated away.
///
/// # Errors
/// Where the request has no permit, or a value cannot be in a header.
pub(super) fn edit(head: &mut RequestHeader, exchange: &Exchange, own_host: &HeaderValue) -> Result<()> {
    let (Some(permit), Some(asked), Some(origin)) = (&exchange.permit, &exchange.asked, &exchange.origin) else {
        return Error::e_explain(ErrorType::InternalError, "no permit, no upstream");
    };
    let policy = &exchange.policy;
    let is_kratos = matches!(permit.target(), Some(Target::Kratos(_)));
    for edit in edits(policy, &head.headers, Toward::of(permit), &exchange.stamps) {
        match edit {
            Edit::Remove(name) => drop(head.remove_header(&name)),
            Edit::Set { spelling, value, .. } => {
                head.insert_header(Bytes::copy_from_slice(spelling.as_bytes()), value)?;
            }
        }
    }
    let authority = HeaderValue::from_str(asked.authority()).or_err(ErrorType::InternalError, "host")?;
    // Kratos believes the leftmost address of a list, so it gets a list of one.
    let forwarded_for = if is_kratos { origin.client.to_string() } else { origin.forwarded_for.clone() };
    head.insert_header("X-Forwarded-For", forwarded_for)?;
    head.insert_header("X-Forwarded-Proto", asked.scheme.as_str())?;
    head.insert_header("X-Forwarded-Host", authority.clone())?;
    head.insert_header("X-Request-ID", exchange.id.header().clone())?;
    let rewrite = &permit.rule().rewrite;
    let host = match &rewrite.host {
        HostRewrite::Keep if is_kratos => own_host.clone(),
        HostRewrite::Keep => authority,
        HostRewrite::Name(name) => HeaderValue::from_str(name).or_err(ErrorType::InternalError, "host")?,
        HostRewrite::Upstream => own_host.clone(),
    };
    head.insert_header(HOST, host)?;
    let target = if is_kratos {
        Cow::Borrowed(without_prefix(&asked.origin_form, &policy.kratos_prefix))
    } else {
        rewrite.target(&asked.origin_form)
    };
    if head.raw_path() != target.as_bytes() {
        head.set_raw_path(target.as_bytes())?;
    }
    Ok(())
}

/// The target without the prefix under which Kratos is mounted, byte for byte as it came.
///
/// The prefix was matched decoded and may be spelled otherwise on the wire, so its segments are counted, not compared.
fn without_prefix<'t>(target: &'t str, prefix: &str) -> &'t str {
    let segments = prefix.bytes().filter(|byte| *byte == b'/').count();
    let path_end = target.find('?').unwrap_or(target.len());
    let mut slashes = target[..path_end].match_indices('/').map(|(at, _)| at);
    match slashes.nth(segments) {
        Some(at) => &target[at..],
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_cut_however_it_is_spelled() {
        for (target, prefix, expected) in [
            ("/self-service/login?flow=a/b", "", "/self-service/login?flow=a/b"),
            ("/kratos/self-service/login?flow=1", "/kratos", "/self-service/login?flow=1"),
            ("/kr%61tos/sessions/whoami", "/kratos", "/sessions/whoami"),
            ("/.ory/kratos/public/schemas", "/.ory/kratos/public", "/schemas"),
            ("/kratos?x=/sessions", "/kratos", "/kratos?x=/sessions"),
        ] {
            assert_eq!(without_prefix(target, prefix), expected);
        }
    }
}
