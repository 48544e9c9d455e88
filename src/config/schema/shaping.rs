//! What a rule changes and how it refuses, as JSON Schema.

use serde_json::{Value, json};

use super::{any_text, boolean, described, host, list, login_url, network, object, or_bare, prefix, text, word};
use crate::config::keys;

/// Values with holes, by name.
pub(super) fn templates() -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
        "additionalProperties": { "type": ["string", "number", "boolean"] } })
}

pub(super) fn rewrite() -> Value {
    object(keys::REWRITE, &[], |key| match key {
        "host" => described("keep, upstream, or a name.", host()),
        _ => prefix(),
    })
}

pub(super) fn redirect() -> Value {
    let to = json!({ "type": "string", "pattern": "^(https?://|/)" });
    or_bare(
        to.clone(),
        object(keys::REDIRECT, &["to"], move |key| match key {
            "to" => to.clone(),
            "status" => status(),
            _ => boolean(),
        }),
    )
}

fn status() -> Value {
    json!({ "enum": [301, 302, 303, 307, 308] })
}

pub(super) fn on_refusal() -> Value {
    let case = object(keys::REFUSAL, &["then"], |key| match key {
        "status" => list(&json!({ "type": "integer", "minimum": 400, "maximum": 599 }), 1),
        "error" => list(&any_text(), 1),
        "accept" => list(&text("^[^/]+/[^/]+$"), 1),
        "from" => list(&network(), 1),
        "then" => word(keys::DRESSES),
        "to" => described("Default the login.", login_url()),
        "code" => status(),
        "scheme" => word(keys::CHALLENGES),
        _ => json!({ "type": "string" }),
    });
    list(&or_bare(word(keys::ON_REFUSAL), case), 0)
}
