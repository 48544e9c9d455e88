//! The headers that a rule sets, and which names are not for rules to set.

use std::sync::{Arc, LazyLock};

use http::HeaderName;

use crate::config::decode::Decoder;
use crate::config::node::{Kind, Mark, Node};
use crate::decision::names::{FoldedNames, forwarding};
use crate::decision::template::{HeaderTemplate, TemplateError};

/// Names that say where a message ends or how its connection is used, in every spelling.
static FRAMING: LazyLock<FoldedNames> = LazyLock::new(|| {
    names(&[
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "proxy-connection",
        "keep-alive",
        "upgrade",
        "http2-settings",
        "te",
        "trailer",
        "expect",
        "proxy-authenticate",
        "proxy-authorization",
    ])
});

/// Names that carry what Kratos is asked about: whoever owns them takes them from every request.
static CREDENTIALS: LazyLock<FoldedNames> =
    LazyLock::new(|| names(&["authorization", "cookie", "set-cookie", "x-session-token"]));

/// Names that the gateway sets itself.
static FORWARDING: LazyLock<FoldedNames> = LazyLock::new(|| {
    let mut names = forwarding();
    names.insert("x-request-id");
    names
});

/// Names that clients need for themselves, on whatever rule.
static CLIENTS: LazyLock<FoldedNames> = LazyLock::new(|| {
    let mut names = names(&[
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-type",
        "origin",
        "range",
        "referer",
        "user-agent",
    ]);
    for prefix in ["access-control-", "if-", "sec-"] {
        names.insert_prefix(prefix);
    }
    names
});

fn names(all: &[&str]) -> FoldedNames {
    let mut names = FoldedNames::default();
    all.iter().for_each(|name| names.insert(name));
    names
}

/// Whether a name says where a message ends or how its connection is used.
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    FRAMING.contains(name)
}

/// Whether the gateway itself says it, or takes it from every request.
pub(crate) fn is_forwarding(name: &HeaderName) -> bool {
    FORWARDING.contains(name)
}

/// The name of a header that a rule sets, and how it is written.
pub(crate) fn own_header(decoder: &mut Decoder<'_>, node: &Node) -> Option<(HeaderName, Arc<str>)> {
    let spelling = decoder.text(node)?;
    let name = decoder.header_name(node)?;
    check_name(decoder, node.mark, &spelling, &name);
    Some((name, spelling.into()))
}

/// Faults a name that no rule may set, and warns of one that clients would miss.
pub(crate) fn check_name(decoder: &mut Decoder<'_>, mark: Mark, spelling: &str, name: &HeaderName) {
    if FRAMING.contains(name) {
        decoder.report.fault(mark, format!("`{spelling}` belongs to the connection and is not for a rule to set"));
    } else if CREDENTIALS.contains(name) {
        decoder.report.fault(
            mark,
            format!("`{spelling}` carries credentials: a header set here is taken from every request of every client"),
        );
    } else if FORWARDING.contains(name) {
        decoder.report.fault(mark, format!("`{spelling}` is set or removed by the gateway itself"));
    } else if CLIENTS.contains(name) {
        decoder.report.warn(
            mark,
            format!("every request on every rule loses its own `{spelling}`, because a rule sets it"),
            Some("a name of your own, such as one beginning with `X-`, leaves the clients theirs".to_owned()),
        );
    }
}

/// Reads the headers of a rule, in the order in which they are written.
pub(crate) fn headers(decoder: &mut Decoder<'_>, node: &Node) -> Vec<HeaderTemplate> {
    templates(decoder, node, check_name)
}

/// Reads headers whose names `check` looks at.
pub(crate) fn templates(
    decoder: &mut Decoder<'_>,
    node: &Node,
    check: impl Fn(&mut Decoder<'_>, Mark, &str, &HeaderName),
) -> Vec<HeaderTemplate> {
    let mut headers = Vec::<HeaderTemplate>::new();
    let mut seen = FoldedNames::default();
    for entry in decoder.entries(node).unwrap_or_default() {
        if let Kind::Empty = entry.value.kind {
            decoder.report.fault(entry.mark, format!("`{}` has no value", entry.key));
            continue;
        }
        let Some(scalar) = decoder.scalar(&entry.value) else { continue };
        match HeaderTemplate::parse(&entry.key, &scalar.text) {
            Ok(header) => {
                check(decoder, entry.mark, &entry.key, header.name());
                if seen.contains(header.name()) {
                    decoder.report.fault(
                        entry.mark,
                        format!("`{}` is set twice: services may read `_` and `-` alike", entry.key),
                    );
                }
                seen.insert(header.spelling());
                headers.push(header);
            }
            Err(error) => {
                let mark = match (&error, scalar.offset) {
                    (TemplateError::Hole { at, error, .. }, Some(offset)) => {
                        entry.value.mark.right(offset + characters(&scalar.text, at + error.offset()))
                    }
                    (TemplateError::Name(_), _) => entry.mark,
                    _ => entry.value.mark,
                };
                decoder.report.fault(mark, error.to_string());
            }
        }
    }
    headers
}

/// How many characters the first bytes of a text are.
pub(crate) fn characters(text: &str, bytes: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < bytes).count()
}
