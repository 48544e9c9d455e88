//! The configuration as JSON Schema, for editors and for tools that write it.

use serde_json::{Map, Value, json};

use crate::config::keys;

mod services;
mod shaping;
mod tokens;

use services::{authorizer, check, enricher, named, use_of};
use shaping::{on_refusal, redirect, rewrite, templates};
use tokens::{authenticate, authenticator};

/// The schema, in the dialect of 2020-12.
pub fn schema() -> Value {
    let mut schema = object(keys::ROOT, &["kratos"], root_key);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Portcullis configuration");
    // Sections may be left empty, but for the one that is required.
    if let Some(sections) = schema["properties"].as_object_mut() {
        for (_, section) in sections.iter_mut().filter(|(key, _)| *key != "kratos") {
            *section = json!({ "anyOf": [section, { "type": "null" }] });
        }
    }
    schema
}

/// A mapping that knows `keys` and nothing else.
fn object(keys: &[&str], required: &[&str], value: impl Fn(&str) -> Value) -> Value {
    let properties = keys.iter().map(|key| ((*key).to_owned(), value(key))).collect::<Map<_, _>>();
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

fn described(description: &str, mut schema: Value) -> Value {
    schema["description"] = json!(description);
    schema
}

/// A text; with the environment it may be anything.
fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("{pattern}|\\$\\{{") })
}

fn any_text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn number(minimum: u64, maximum: u64) -> Value {
    json!({ "anyOf": [{ "type": "integer", "minimum": minimum, "maximum": maximum }, from_environment()] })
}

fn boolean() -> Value {
    json!({ "anyOf": [{ "type": "boolean" }, from_environment()] })
}

fn from_environment() -> Value {
    json!({ "type": "string", "pattern": "\\$\\{" })
}

fn duration() -> Value {
    text("^[0-9]+(ms|s|m|h)$")
}

fn positive() -> Value {
    text("^0*[1-9][0-9]*(ms|s|m|h)$")
}

fn size() -> Value {
    json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text("^[0-9]+(KiB|MiB|GiB)?$")] })
}

fn word<T>(words: &[(&str, T)]) -> Value {
    let words = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
    json!({ "anyOf": [{ "enum": words }, from_environment()] })
}

/// A list, or a single value that stands for a list of one.
fn list(item: &Value, least: usize) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item, "minItems": least }] })
}

/// A mapping, or the bare value of its obvious key.
fn or_bare(bare: Value, mapping: Value) -> Value {
    json!({ "anyOf": [bare, mapping] })
}

fn url(schemes: &str) -> Value {
    text(&format!("^({schemes})://[^/?#@\\s]+/?$"))
}

fn address() -> Value {
    text("^([0-9.]+|\\[[0-9a-fA-F:.%]+\\]):[0-9]{1,5}$")
}

fn network() -> Value {
    text("^[0-9a-fA-F:.]+(/[0-9]+)?$")
}

fn path() -> Value {
    text("^/[^#\\s]*$")
}

fn prefix() -> Value {
    text("^(/[A-Za-z0-9._~-]+)*$")
}

fn login_url() -> Value {
    text("^(/([^/#\\s][^#\\s]*)?|https?://[^/?#@\\s]+[^#\\s]*)$")
}

fn name() -> Value {
    text("^[A-Za-z0-9._-]{1,128}$")
}

fn header_name() -> Value {
    text("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
}

fn host() -> Value {
    text("^[^/@\\s]+$")
}

fn root_key(key: &str) -> Value {
    match key {
        "listen" => described("The listener for clients.", or_bare(address(), object(keys::LISTEN, &[], listen_key))),
        "ops" => described("The listener for operators.", or_bare(address(), object(keys::OPS, &[], ops_key))),
        "decisions" => described(
            "How other proxies ask for decisions; `/decisions` on the listener for operators is there anyway.",
            or_bare(address(), object(keys::DECISIONS, &[], decisions_key)),
        ),
        "kratos" => described(
            "Kratos' public API: its URL, or `embedded`.",
            or_bare(kratos_url(), object(keys::KRATOS, &["url"], kratos_key)),
        ),
        "sessions" => described("How long Kratos' word is good.", object(keys::SESSIONS, &[], sessions_key)),
        "login" => described(
            "Where browsers without a session are sent.",
            or_bare(login_url(), object(keys::LOGIN, &["url"], |_| login_url())),
        ),
        "identity_header" => described("The header that tells services who asks.", header_name()),
        "ui" => described("The sign-in pages; off unless given.", or_bare(ui_prefix(), object(keys::UI, &[], ui_key))),
        "id_token" => described(
            "Tokens that the gateway signs for services.",
            object(keys::ID_TOKEN, &["issuer", "keys"], |key| match key {
                "issuer" => any_text(),
                "keys" => described("PEM files; the first signs, all are published.", list(&any_text(), 1)),
                "publish" => described("At /.well-known/jwks.json for clients too. Default false.", boolean()),
                _ => positive(),
            }),
        ),
        "authenticators" => described("Issuers of tokens, by name.", named(&authenticator())),
        "authorizers" => described("Services that must agree, by name.", named(&authorizer())),
        "enrichers" => described("Services that tell more of callers, by name.", named(&enricher())),
        "upstreams" => described(
            "The services, by name.",
            json!({
                "type": "object",
                "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,128}$" },
                "additionalProperties": upstream(),
            }),
        ),
        "rules" => described("Who may pass, and where to.", list(&rule(), 0)),
        _ => described("More rules: files, or patterns of files, with one list of rules each.", list(&any_text(), 0)),
    }
}

fn listen_key(key: &str) -> Value {
    match key {
        "address" => described("Default 127.0.0.1:4455.", address()),
        "tls" => {
            described("PEM files; absent: plain HTTP.", object(keys::TLS, &["certificate", "key"], |_| any_text()))
        }
        "h2c" => described("HTTP/2 with prior knowledge on a plain listener.", boolean()),
        "trusted_proxies" => described("Networks whose X-Forwarded-For and -Proto are believed.", list(&network(), 0)),
        "public_url" => described("What browsers call the gateway.", url("https?")),
        "max_header_size" | "max_body_size" => size(),
        "shutdown_delay" => duration(),
        "threads" => number(1, 1024),
        _ => positive(),
    }
}

fn ops_key(key: &str) -> Value {
    match key {
        "address" => described("Default 127.0.0.1:4456.", address()),
        _ => described("Guards all but health and metrics.", text("^[!-~]*$")),
    }
}

fn decisions_key(key: &str) -> Value {
    match key {
        "address" => described("A listener for HTTP; absent: only operators' listener.", address()),
        "grpc" => described("A listener for Envoy's ext_authz; absent: none.", address()),
        "trusted_proxies" => described("Who may ask. Default: proxies on this machine.", list(&network(), 0)),
        _ => described("Default own; nginx: 401 and 403 only.", word(keys::STATUSES)),
    }
}

fn kratos_url() -> Value {
    json!({ "anyOf": [{ "const": "embedded" }, url("https?")] })
}

fn kratos_key(key: &str) -> Value {
    match key {
        "url" => kratos_url(),
        "ca" => described("PEM file of the authority that vouches for an https Kratos.", any_text()),
        "serve" => described("Pass Kratos' public API through. Default true.", boolean()),
        "hosts" => described("On these hosts only; default every host.", list(&host(), 0)),
        "path_prefix" => described("Where the public API is mounted here.", prefix()),
        "session_cookie" => described("Default ory_kratos_session.", list(&header_name(), 1)),
        "credentials" => list(&word(keys::CREDENTIALS), 1),
        "tokenize_as" => described("The template by which Kratos makes a signed token of a session.", name()),
        "cors" => described("Pages of other origins that may use the public API; default Kratos' own say.", cors()),
        _ => positive(),
    }
}

fn cors() -> Value {
    or_bare(list(&origin(), 1), object(keys::CORS, &["origins"], cors_key))
}

fn origin() -> Value {
    text("^(\\*|[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+)$")
}

fn cors_key(key: &str) -> Value {
    match key {
        "origins" => described("Scheme and host, `https://*.name`, or `*`.", list(&origin(), 1)),
        "methods" => described("Default those of the rule.", list(&method(), 1)),
        "headers" => described("Default content-type, authorization, x-session-token.", list(&header_name(), 1)),
        "expose" => described("What pages may read beyond what is always readable.", list(&header_name(), 1)),
        "credentials" => described("Browsers may send cookies. Default false; not with `*`.", boolean()),
        _ => described("How long browsers may remember the answer to a preflight.", duration()),
    }
}

fn method() -> Value {
    text("^[!#$%&'*+.^_`|~0-9A-Z-]+$")
}

fn sessions_key(key: &str) -> Value {
    match key {
        "stale_if_error" => duration(),
        "max_entries" => number(1, 100_000_000),
        _ => positive(),
    }
}

fn ui_prefix() -> Value {
    text("^(/[A-Za-z0-9._~-]+)+$")
}

fn ui_key(key: &str) -> Value {
    match key {
        "path_prefix" => described("Default /ui.", ui_prefix()),
        "brand" => json!({ "type": "string", "minLength": 1, "maxLength": 64 }),
        "theme" => word(keys::THEME),
        _ => described("Where people go who are done.", login_url()),
    }
}

fn upstream() -> Value {
    or_bare(url("https?|h2c"), object(keys::UPSTREAM, &["endpoints"], upstream_key))
}

fn upstream_key(key: &str) -> Value {
    match key {
        "endpoints" => list(&url("https?|h2c"), 1),
        "balance" => word(keys::BALANCE),
        "health_check" => or_bare(
            path(),
            object(keys::HEALTH_CHECK, &["path"], |key| if key == "path" { path() } else { positive() }),
        ),
        "ca" => described("PEM file of the authority that vouches for https endpoints.", any_text()),
        _ => positive(),
    }
}

fn rule() -> Value {
    let mut rule = object(keys::RULE, &["id"], rule_key);
    // What belongs to one kind of access only, as the compiler checks it.
    rule["allOf"] = json!([
        {
            "if": { "properties": { "access": { "enum": ["public", "optional", "deny"] } }, "required": ["access"] },
            "then": { "properties": { "require": { "propertyNames": { "const": "when" } } } },
        },
        {
            "if": { "properties": { "access": { "enum": ["public", "session", "deny"] } } },
            "then": { "properties": { "on_outage": { "not": { "const": "anonymous" } } } },
        },
    ]);
    rule
}

fn rule_key(key: &str) -> Value {
    match key {
        "id" => json!({ "allOf": [name(), { "not": { "enum": ["keys", "kratos", "ui"] } }] }),
        "match" => {
            described("Which requests it owns; what is left out matches any.", object(keys::MATCH, &[], match_key))
        }
        "authenticate" => described(
            "Who can vouch for a caller, in this order: `session`, `anonymous` and authenticators.",
            list(&use_of(&authenticate()), 1),
        ),
        "access" => described("Default session.", word(keys::ACCESS)),
        "require" => described("What a session must be to pass.", object(keys::REQUIRE, &[], require_key)),
        "enrich" => described("Enrichers; what they tell is `context.<name>`.", list(&name(), 0)),
        "authorize" => described("Authorizers that must all agree, in this order.", list(&use_of(&check()), 0)),
        "headers" => described(
            "Set for the service; `${…}` holds a CEL expression.",
            json!({ "type": "object", "propertyNames": { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
                "additionalProperties": { "type": ["string", "number", "boolean"] } }),
        ),
        "id_token" => described(
            "A signed token that says who asks.",
            or_bare(
                boolean(),
                object(keys::RULE_ID_TOKEN, &[], |key| match key {
                    "audience" => list(&any_text(), 0),
                    "claims" => json!({ "type": "object" }),
                    "header" => described("Default Authorization, as a Bearer.", header_name()),
                    _ => positive(),
                }),
            ),
        ),
        "cookies" => described("Cookies for the service; `${…}` holds a CEL expression.", templates()),
        "remove_headers" => described("What the service does not get of the request's head.", list(&header_name(), 0)),
        "response_headers" => described("Set on the service's answers.", templates()),
        "remove_response_headers" => described("Removed from the service's answers.", list(&header_name(), 0)),
        "rewrite" => described("Of the path and the host, on the way to the service.", rewrite()),
        "redirect" => described("Where clients are sent, in place of an upstream.", redirect()),
        "on_refusal" => described("A word, or cases of which the first that fits counts.", on_refusal()),
        "on_outage" => described("Optional rules only.", word(keys::ON_OUTAGE)),
        "forward_credentials" => boolean(),
        "cors" => described("Pages of other origins that may read the answers; default the service's say.", cors()),
        _ => described(
            "A name, a URL or a whole upstream; absent: decisions only.",
            or_bare(
                json!({ "anyOf": [name(), url("https?|h2c")] }),
                object(keys::UPSTREAM, &["endpoints"], upstream_key),
            ),
        ),
    }
}

fn match_key(key: &str) -> Value {
    match key {
        "hosts" => list(&host(), 1),
        "schemes" => list(&word(keys::SCHEMES), 1),
        "methods" => list(&method(), 1),
        "paths" => list(&or_bare(text("^/"), object(keys::PATH, &["regex"], |_| any_text())), 1),
        _ => list(&word(keys::ALLOW), 1),
    }
}

fn require_key(key: &str) -> Value {
    match key {
        "aal" => word(keys::AAL),
        "checked_within" => duration(),
        "verified" => boolean(),
        "when" => described("A CEL expression over session, identity and request.", any_text()),
        _ => positive(),
    }
}
