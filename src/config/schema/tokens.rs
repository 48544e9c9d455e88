//! Issuers of tokens, as JSON Schema.

use serde_json::{Value, json};

use super::{any_text, boolean, described, duration, header_name, list, object, or_bare, positive, text, word};
use crate::config::keys;
use crate::decision::authenticate::Algorithm;

fn web_url() -> Value {
    text("^https?://[^/?#@\\s]+")
}

pub(super) fn authenticator() -> Value {
    let mut authenticator = object(keys::AUTHENTICATOR, &[], |key| match key {
        "jwt" => object(keys::JWT, &["jwks"], |key| match key {
            "jwks" => described("URLs or files.", list(&any_text(), 1)),
            "algorithms" => list(&json!({ "enum": Algorithm::ALL.map(Algorithm::as_str) }), 1),
            key => claim_key(key),
        }),
        "introspection" => object(keys::INTROSPECTION, &["url"], |key| match key {
            "url" => web_url(),
            "authorization" => described("The Authorization header that says who the gateway is.", any_text()),
            "basic" => object(keys::BASIC, &["username", "password"], |_| any_text()),
            "ttl" => described("How long a yes is good. Default 0s.", duration()),
            key => claim_key(key),
        }),
        "from" => described(
            "Where the token stands. Default bearer.",
            or_bare(
                json!({ "const": "bearer" }),
                json!({ "type": "object", "minProperties": 1, "maxProperties": 1,
                    "properties": { "header": header_name(), "cookie": header_name() } }),
            ),
        ),
        "subject" => described("The claim that says who asks. Default sub.", any_text()),
        "subject_is_identity" => described("It is the id of an identity of Kratos. Default false.", boolean()),
        "scope_strategy" => word(keys::SCOPE_STRATEGIES),
        _ => list(&any_text(), 0),
    });
    authenticator["oneOf"] = json!([{ "required": ["jwt"] }, { "required": ["introspection"] }]);
    authenticator
}

fn claim_key(key: &str) -> Value {
    match key {
        "issuers" => described("Any of these must have issued it.", list(&any_text(), 0)),
        "audience" => described("It must be meant for all of these.", list(&any_text(), 0)),
        "leeway" => described("By how much clocks may differ. Default 10s.", duration()),
        "ca" => described("PEM file of the authority that vouches for https URLs.", any_text()),
        _ => positive(),
    }
}

/// What a rule says of one that can vouch for a caller.
pub(super) fn authenticate() -> Value {
    json!({ "anyOf": [
        { "type": "null" },
        object(keys::RULE_ANONYMOUS, &[], |_| any_text()),
        object(keys::RULE_TOKEN, &[], |key| match key {
            "scopes" => list(&any_text(), 0),
            _ => word(keys::ON_INVALID),
        }),
    ] })
}
