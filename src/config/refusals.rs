//! What a rule does about refusals: a word, or a list of cases of which the first that fits counts.

use http::{HeaderValue, StatusCode};

use crate::config::decode::{Decoder, Fields, items};
use crate::config::keys;
use crate::config::keys::DressWord;
use crate::config::listen::network;
use crate::config::node::{Kind, Node};
use crate::config::pages::page_url;
use crate::config::units::{Misread, nearest};
use crate::decision::dress::{Case, Dress, Dresses, MediaRange, Sending, is_about_caller};
use crate::decision::refusal::Refusal;
use crate::decision::rule::OnRefusal;

/// Reads a word, a case, or a list of both.
pub(crate) fn dresses(decoder: &mut Decoder<'_>, node: &Node) -> Dresses {
    let nodes = items(node);
    let mut cases = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let Some(case) = case(decoder, node) else { continue };
        if !case.is_conditional() && number + 1 < nodes.len() {
            decoder.report.fault(node.mark, "this always fits, so that those behind it never count");
        }
        cases.push(case);
    }
    Dresses { cases }
}

fn case(decoder: &mut Decoder<'_>, node: &Node) -> Option<Case> {
    if let Kind::Scalar(_) = node.kind {
        let word = decoder.choice(node, keys::ON_REFUSAL)?;
        return Dresses::always(word).cases.pop();
    }
    let fields = decoder.fields(node, keys::REFUSAL)?;
    let statuses = each(decoder, &fields, "status", |text| {
        let status = text.parse::<u16>().ok().filter(|status| (400..=599).contains(status));
        status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or_else(|| Misread::new("is no status of a refusal"))
    });
    let errors = each(decoder, &fields, "error", |text| {
        let known = Refusal::IDS.contains(&text);
        let meant = nearest(text, Refusal::IDS).map(str::to_owned);
        if known { Ok(text.into()) } else { Err(Misread { message: "is the id of no refusal".to_owned(), meant }) }
    });
    let accept = each(decoder, &fields, "accept", |text| {
        MediaRange::parse(text).ok_or_else(|| Misread::new("is no media type like `text/html` or `text/*`"))
    });
    let from = each(decoder, &fields, "from", network);
    let then = then(decoder, &fields)?;
    if let Dress::Challenge(_) = then {
        warn_of_idle_challenge(decoder, &fields, &statuses, &errors);
    }
    Some(Case { statuses, errors, accept, from, then })
}

/// Rules brought over from elsewhere may name more than a challenge answers, which is no reason not to start.
fn warn_of_idle_challenge(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
    statuses: &[StatusCode],
    errors: &[Box<str>],
) {
    let statuses =
        statuses.iter().filter(|status| !is_about_caller(**status)).map(|status| ("status", status.as_str()));
    let errors = errors.iter().filter(|id| !Refusal::ABOUT_CALLERS.contains(&&***id)).map(|id| ("error", &**id));
    for (key, what) in statuses.chain(errors) {
        let why = format!("no challenge answers `{what}`, which says nothing of who asks");
        decoder.report.warn(fields.key_mark(key), why, None);
    }
}

fn each<T>(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<T, Misread> + Copy,
) -> Vec<T> {
    let nodes = fields.get(key).map(items).unwrap_or_default();
    if nodes.is_empty() && fields.mentions(key) {
        decoder.report.fault(fields.key_mark(key), format!("`{key}` lists nothing"));
    }
    nodes.iter().filter_map(|node| decoder.parsed(node, read)).collect()
}

fn then(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Dress> {
    let node = decoder.required(fields, "then")?;
    let word = decoder.choice(node, keys::DRESSES)?;
    let belongs: &[&str] = match word {
        DressWord::Auto | DressWord::Json => &[],
        DressWord::Redirect => &["to", "code", "return_to"],
        DressWord::WwwAuthenticate => &["realm", "scheme"],
    };
    for key in ["to", "code", "return_to", "realm", "scheme"] {
        if fields.mentions(key) && !belongs.contains(&key) {
            decoder.report.fault(fields.key_mark(key), format!("`{key}` does not go with this `then`"));
        }
    }
    match word {
        DressWord::Auto => Some(Dress::Usual(OnRefusal::Auto)),
        DressWord::Json => Some(Dress::Usual(OnRefusal::Json)),
        DressWord::Redirect => redirect(decoder, fields),
        DressWord::WwwAuthenticate => challenge(decoder, fields),
    }
}

/// Without `to` it is the login, for those whom signing in would help.
fn redirect(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Dress> {
    let Some(node) = fields.get("to") else {
        for key in ["code", "return_to"].into_iter().filter(|key| fields.mentions(key)) {
            decoder.report.fault(fields.key_mark(key), format!("`{key}` goes with `to`; the login has its own"));
        }
        return Some(Dress::Usual(OnRefusal::Redirect));
    };
    let to = decoder.parsed(node, page_url)?;
    let status = match fields.get("code") {
        Some(node) => redirect_status(decoder, node)?,
        None => StatusCode::SEE_OTHER,
    };
    let return_to = match fields.get("return_to") {
        Some(node) => decoder.parsed(node, |text| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            if text.bytes().all(is_plain) { Ok(text.to_owned()) } else { Err(Misread::new("is no plain name")) }
        })?,
        None => "return_to".to_owned(),
    };
    Some(Dress::Send(Sending { to: to.into(), status, return_to: return_to.into() }))
}

/// The status of a redirect.
pub(crate) fn redirect_status(decoder: &mut Decoder<'_>, node: &Node) -> Option<StatusCode> {
    decoder.parsed(node, |text| match text {
        "301" => Ok(StatusCode::MOVED_PERMANENTLY),
        "302" => Ok(StatusCode::FOUND),
        "303" => Ok(StatusCode::SEE_OTHER),
        "307" => Ok(StatusCode::TEMPORARY_REDIRECT),
        "308" => Ok(StatusCode::PERMANENT_REDIRECT),
        _ => Err(Misread::new("is none of 301, 302, 303, 307 and 308")),
    })
}

fn challenge(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Dress> {
    let scheme = fields.get("scheme").and_then(|node| decoder.choice(node, keys::CHALLENGES)).unwrap_or("Basic");
    let node = decoder.required(fields, "realm")?;
    let value = decoder.parsed(node, |realm| {
        let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let value = HeaderValue::try_from(format!("{scheme} realm=\"{quoted}\""));
        value.map_err(|_| Misread::new("has a character that no header may carry"))
    })?;
    Some(Dress::Challenge(value))
}
