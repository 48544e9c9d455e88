//! What a rule changes on the way: headers and cookies, the path and the host, or where it sends the client instead.

use http::HeaderName;
use http::header::{COOKIE, SET_COOKIE};

use crate::config::decode::{Decoder, Fields, items};
use crate::config::headers::{is_forwarding, is_framing, templates};
use crate::config::keys;
use crate::config::kratos::is_cookie_name;
use crate::config::node::Node;
use crate::config::refusals::redirect_status;
use crate::config::units::Misread;
use crate::decision::cors;
use crate::decision::index::Entry;
use crate::decision::names::{FoldedNames, is_cookie_read_as};
use crate::decision::pattern::{PathPattern, Segment};
use crate::decision::redirect::Redirect;
use crate::decision::rewrite::{HostRewrite, Rewrite};
use crate::decision::rule::{Rule, Target};
use crate::decision::template::CookieTemplate;

/// Reads all of it but `redirect`.
pub(crate) fn shape(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
    entry: &Entry,
    rule: &mut Rule,
    session_cookies: &[Box<str>],
) {
    for node in fields.get("remove_headers").map(items).unwrap_or_default() {
        remove_header(decoder, node, rule);
    }
    if let Some(node) = fields.get("cookies") {
        rule.cookies = cookies(decoder, node, session_cookies);
    }
    if let Some(node) = fields.get("response_headers") {
        rule.response_headers = templates(decoder, node, |decoder, mark, spelling, name| {
            if let Some(why) = not_for_answers(name, rule.cors.is_some()) {
                decoder.report.fault(mark, format!("`{spelling}` {why}"));
            }
        });
    }
    for node in fields.get("remove_response_headers").map(items).unwrap_or_default() {
        let Some(name) = decoder.header_name(node) else { continue };
        match not_for_answers(&name, rule.cors.is_some()) {
            Some(why) if name != SET_COOKIE => decoder.report.fault(node.mark, format!("`{name}` {why}")),
            Some(_) | None => rule.remove_response_headers.push(name),
        }
    }
    if let Some(node) = fields.get("rewrite") {
        rule.rewrite = rewrite(decoder, node, entry);
    }
}

fn remove_header(decoder: &mut Decoder<'_>, node: &Node, rule: &mut Rule) {
    let Some(name) = decoder.header_name(node) else { return };
    if is_framing(&name) {
        decoder.report.fault(node.mark, format!("`{name}` belongs to the connection and is not for a rule to remove"));
        return;
    }
    if is_forwarding(&name) {
        decoder.report.fault(node.mark, format!("`{name}` is set or removed by the gateway itself"));
        return;
    }
    let mut own = FoldedNames::default();
    own.insert(name.as_str());
    let sets = rule.sets().any(|(set, _)| own.contains(&set));
    if sets {
        decoder.report.fault(node.mark, format!("the rule sets `{name}`, and every client's own is removed anyway"));
    }
    rule.remove_headers.insert(name.as_str());
}

/// Why a header of an answer is not for a rule to touch.
fn not_for_answers(name: &HeaderName, has_cors: bool) -> Option<&'static str> {
    if is_framing(name) {
        Some("belongs to the connection")
    } else if *name == SET_COOKIE {
        Some("may be there several times, and a session's would be lost")
    } else if has_cors && cors::is_about_origins(name) {
        Some("is what `cors` says")
    } else if name.as_str() == "x-request-id" {
        Some("is set by the gateway itself")
    } else {
        None
    }
}

fn cookies(decoder: &mut Decoder<'_>, node: &Node, session_cookies: &[Box<str>]) -> Vec<CookieTemplate> {
    let mut cookies = Vec::new();
    for entry in decoder.entries(node).unwrap_or_default() {
        if !is_cookie_name(&entry.key) {
            decoder.report.fault(entry.mark, format!("`{}` is no name of a cookie", entry.key));
        } else if let Some(session) = session_cookies.iter().find(|own| is_cookie_read_as(entry.key.as_bytes(), own)) {
            decoder.report.fault(entry.mark, format!("`{}` is Kratos' session cookie `{session}`", entry.key));
        }
        let Some(scalar) = decoder.scalar(&entry.value) else { continue };
        match CookieTemplate::parse(&entry.key, &scalar.text) {
            Ok(cookie) => cookies.push(cookie),
            Err(error) => decoder.report.fault(entry.value.mark, error.to_string()),
        }
    }
    cookies
}

fn rewrite(decoder: &mut Decoder<'_>, node: &Node, entry: &Entry) -> Rewrite {
    let mut rewrite = Rewrite::default();
    let Some(fields) = decoder.fields(node, keys::REWRITE) else { return rewrite };
    if let Some(node) = fields.get("strip_prefix") {
        rewrite.strip_prefix = decoder.prefix(node).unwrap_or_default().into();
        if entry.allow.empty_segment {
            decoder.report.fault(node.mark, "with `match.allow: [empty_segment]` what is left could begin with `//`");
        }
        for path in &entry.paths {
            if !may_begin(path, &rewrite.strip_prefix) {
                let why = format!("no path of `{path}` begins with `{}`", rewrite.strip_prefix);
                decoder.report.fault(node.mark, why);
            }
        }
    }
    if let Some(node) = fields.get("add_prefix") {
        rewrite.add_prefix = decoder.prefix(node).unwrap_or_default().into();
    }
    if let Some(node) = fields.get("host") {
        let host = decoder.parsed(node, |text| match text {
            "keep" => Ok(HostRewrite::Keep),
            "upstream" => Ok(HostRewrite::Upstream),
            name => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
                let is_host = name.chars().all(is_plain) && url::Url::parse(&format!("http://{name}/")).is_ok();
                if is_host { Ok(HostRewrite::Name(name.into())) } else { Err(Misread::new("is no host")) }
            }
        });
        rewrite.host = host.unwrap_or_default();
    }
    rewrite
}

/// Whether a path that the pattern matches may begin with the prefix. What a regex matches shows when it is known.
fn may_begin(path: &PathPattern, prefix: &str) -> bool {
    let PathPattern::Segments(pattern) = path else { return true };
    let mut segments = pattern.iter();
    prefix.split('/').skip(1).all(|wanted| match segments.next() {
        Some(Segment::Any | Segment::Capture(_)) => true,
        Some(Segment::Literal(literal)) => **literal == *wanted,
        None => pattern.covers_below(),
    })
}

/// Where a rule sends clients; a text is where to.
pub(crate) fn redirect(decoder: &mut Decoder<'_>, node: &Node) -> Option<Redirect> {
    let (to, fields) = decoder.only_or(node, keys::REDIRECT, "to")?;
    let scalar = decoder.scalar(to)?;
    let mut redirect = match Redirect::parse(&scalar.text) {
        Ok(redirect) => redirect,
        Err(error) => {
            decoder.report.fault(to.mark, format!("`{}` {error}", scalar.text));
            return None;
        }
    };
    let Some(fields) = fields else { return Some(redirect) };
    if let Some(node) = fields.get("status") {
        redirect.status = redirect_status(decoder, node)?;
    }
    if let Some(append) = fields.get("append_path").and_then(|node| decoder.boolean(node)) {
        redirect.append_path = append;
    }
    if redirect.append_path && redirect.has_query() {
        let why = "a path cannot be appended behind a query; name only one of them";
        decoder.report.fault(fields.key_mark("append_path"), why);
    }
    if let Some(append) = fields.get("append_query").and_then(|node| decoder.boolean(node)) {
        redirect.append_query = append;
    }
    Some(redirect)
}

/// Warns of what changes the way to a service or back, where the rule leads to none.
pub(crate) fn check_service(decoder: &mut Decoder<'_>, fields: &Fields<'_>, rule: &Rule) {
    if matches!(rule.target, Some(Target::Service(_))) || fields.mentions("upstream") {
        return;
    }
    for key in ["rewrite", "response_headers", "remove_response_headers"].into_iter().filter(|key| fields.mentions(key))
    {
        let why = format!("`{key}` changes nothing: the rule has no `upstream`");
        decoder.report.warn(fields.key_mark(key), why, None);
    }
}

/// Whether a rule takes what it sets on `Cookie` from clients by another key.
pub(crate) fn check_cookies(decoder: &mut Decoder<'_>, fields: &Fields<'_>, rule: &Rule) {
    if !rule.cookies.is_empty() && rule.remove_headers.contains(&COOKIE) {
        decoder.report.warn(
            fields.key_mark("cookies"),
            "with `remove_headers: [Cookie]` the service gets these cookies and no other",
            None,
        );
    }
}
