//! What is asked of others, as JSON Schema.

use serde_json::{Value, json};

use super::shaping::templates;
use super::{
    any_text, boolean, described, duration, header_name, list, method, name, number, object, or_bare, positive, text,
};
use crate::config::keys;

/// A mapping of names to what they stand for.
pub(super) fn named(value: &Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,128}$" }, "additionalProperties": value })
}

/// A name, or a mapping of one name to what a rule says besides.
pub(super) fn use_of(own: &Value) -> Value {
    json!({ "anyOf": [name(), { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": own }] })
}

fn patience(key: &str) -> Value {
    match key {
        "timeout" => described("For one attempt. Default 1s.", positive()),
        "retries" => described("After no answer. Default 0.", number(0, 3)),
        "ttl" => described("How long an answer that lets pass is good. Default 0s.", duration()),
        "authorization" => described("The Authorization header that says who the gateway is.", any_text()),
        _ => described("PEM file of the authority that vouches for an https URL.", any_text()),
    }
}

fn letter_key(key: &str) -> Value {
    match key {
        "url" => described("`${…}` holds a CEL expression; only in the path and the query.", url_template()),
        "method" => method(),
        "headers" => templates(),
        _ => described("JSON; `${…}` holds a CEL expression.", json!({})),
    }
}

fn url_template() -> Value {
    json!({ "type": "string", "pattern": "^https?://[^/?#@\\s]+([/?].*)?$" })
}

pub(super) fn authorizer() -> Value {
    let mut authorizer = object(keys::AUTHORIZER, &[], |key| match key {
        "http" => or_bare(url_template(), object(keys::HTTP, &["url"], letter_key)),
        "keto" | "opa" => or_bare(text("^https?://"), object(keys::SERVICE_URL, &["url"], |_| text("^https?://"))),
        key => patience(key),
    });
    authorizer["oneOf"] = json!([{ "required": ["http"] }, { "required": ["keto"] }, { "required": ["opa"] }]);
    authorizer
}

pub(super) fn enricher() -> Value {
    object(keys::ENRICHER, &["url"], |key| match key {
        "url" | "method" | "headers" | "payload" => letter_key(key),
        "required" => described("Without an answer nobody passes. Default true.", boolean()),
        key => patience(key),
    })
}

/// What a rule says to an authorizer, whichever kind it is.
pub(super) fn check() -> Value {
    let tuple = |keys: &[&str]| {
        object(keys, &[], |key| match key {
            "subject_set" => object(keys::SUBJECT_SET, &["namespace", "object", "relation"], |_| any_text()),
            "tuples" => json!({ "type": "array", "minItems": 1, "maxItems": 10 }),
            _ => any_text(),
        })
    };
    json!({ "anyOf": [
        { "type": "null" },
        object(keys::RULE_HTTP, &[], |key| match key {
            "headers" => templates(),
            "pick" => described("Headers of the answer for the service.", list(&header_name(), 0)),
            _ => json!({}),
        }),
        object(keys::RULE_OPA, &["input"], |_| json!({})),
        tuple(keys::RULE_KETO),
        tuple(keys::TUPLE),
    ] })
}
