//! What Keto and Open Policy Agent are asked.

use crate::config::decode::{Decoder, Fields};
use crate::config::keys;
use crate::config::node::{Kind, Node};
use crate::config::payload;
use crate::decision::call::Meaning;
use crate::decision::payload::Payload;
use crate::decision::template::Template;

/// The most tuples that one rule has checked.
const MAX_TUPLES: usize = 10;

/// One tuple for Keto to check, or several that must all be there.
pub(crate) fn tuples(decoder: &mut Decoder<'_>, node: &Node) -> Option<(Payload, Meaning)> {
    let fields = decoder.fields(node, keys::RULE_KETO)?;
    if !fields.mentions("tuples") {
        return tuple(decoder, &fields).map(|tuple| (tuple, Meaning::Allowed));
    }
    for key in keys::RULE_KETO.iter().filter(|key| **key != "tuples" && fields.mentions(key)) {
        decoder.report.fault(fields.key_mark(key), format!("`{key}` stands in each of `tuples`, not beside them"));
    }
    let list = fields.get("tuples")?;
    let Kind::List(items) = &list.kind else {
        decoder.report.fault(list.mark, format!("this is a list, not {}", list.describe()));
        return None;
    };
    if items.is_empty() || items.len() > MAX_TUPLES {
        decoder.report.fault(list.mark, format!("there are 1 to {MAX_TUPLES} tuples"));
        return None;
    }
    let tuples = items.iter().map(|node| {
        let fields = decoder.fields(node, keys::TUPLE)?;
        tuple(decoder, &fields)
    });
    // All of them are read, for each may have faults of its own.
    let tuples = tuples.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    let meaning = Meaning::AllAllowed(tuples.len());
    Some((Payload::Map(vec![("tuples".into(), Payload::List(tuples))]), meaning))
}

fn tuple(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Payload> {
    let mut parts = words(decoder, fields, &["namespace", "object", "relation"]);
    match (fields.get("subject"), fields.get("subject_set")) {
        (Some(node), None) => {
            let subject = word(decoder, node);
            parts.as_mut()?.push(("subject_id".into(), subject?));
        }
        (None, Some(node)) => {
            let set = decoder.fields(node, keys::SUBJECT_SET)?;
            let set = words(decoder, &set, &["namespace", "object", "relation"])?;
            parts.as_mut()?.push(("subject_set".into(), Payload::Map(set)));
        }
        (Some(_), Some(_)) | (None, None) => {
            decoder.report.fault(fields.mark, "a tuple has either a `subject` or a `subject_set`");
            return None;
        }
    }
    parts.map(Payload::Map)
}

fn words(decoder: &mut Decoder<'_>, fields: &Fields<'_>, keys: &[&str]) -> Option<Vec<(Box<str>, Payload)>> {
    let words = keys.iter().map(|key| {
        let node = decoder.required(fields, key)?;
        Some((Box::from(*key), word(decoder, node)?))
    });
    words.collect::<Vec<_>>().into_iter().collect()
}

/// A text whatever its hole holds, for Keto knows no other kind.
fn word(decoder: &mut Decoder<'_>, node: &Node) -> Option<Payload> {
    payload::template(decoder, node).map(Payload::Word)
}

/// What a policy is told: what the rule says, else who asks and what for.
pub(crate) fn input(decoder: &mut Decoder<'_>, node: Option<&Node>) -> Option<Payload> {
    let input = match node {
        Some(node) => {
            let fields = decoder.fields(node, keys::RULE_OPA)?;
            let node = decoder.required(&fields, "input")?;
            payload::payload(decoder, node)?
        }
        None => usual_input()?,
    };
    Some(Payload::Map(vec![("input".into(), input)]))
}

fn usual_input() -> Option<Payload> {
    let hole = |name: &str| Template::parse(&format!("${{{name}}}")).ok().map(Payload::Text);
    let entry = |key: &str, name: &str| Some((Box::from(key), hole(name)?));
    let request = ["method", "host", "path", "query"].map(|key| entry(key, &format!("request.{key}")));
    let request = Payload::Map(request.into_iter().collect::<Option<_>>()?);
    Some(Payload::Map(vec![
        entry("subject", "subject")?,
        entry("session", "session")?,
        entry("claims", "claims")?,
        ("request".into(), request),
    ]))
}
