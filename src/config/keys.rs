//! Every key of the configuration and every word that a key takes, for the decoder and for the schema alike.

use crate::config::UiTheme;
use crate::decision::authenticate::{OnInvalid, ScopeStrategy};
use crate::decision::request::Scheme;
use crate::decision::rule::{OnOutage, OnRefusal};
use crate::decision::session::Aal;
use crate::decision::upstream::Balance;
use crate::ops::settings::Statuses;

pub(crate) const ROOT: &[&str] = &[
    "listen",
    "ops",
    "decisions",
    "kratos",
    "sessions",
    "login",
    "identity_header",
    "ui",
    "id_token",
    "authenticators",
    "authorizers",
    "enrichers",
    "upstreams",
    "rules",
    "rule_files",
];

pub(crate) const LISTEN: &[&str] = &[
    "address",
    "tls",
    "h2c",
    "trusted_proxies",
    "public_url",
    "header_timeout",
    "idle_timeout",
    "read_timeout",
    "write_timeout",
    "upgrade_timeout",
    "max_header_size",
    "max_body_size",
    "shutdown_delay",
    "shutdown_timeout",
    "threads",
];

pub(crate) const TLS: &[&str] = &["certificate", "key"];

pub(crate) const OPS: &[&str] = &["address", "token"];

pub(crate) const DECISIONS: &[&str] = &["address", "grpc", "trusted_proxies", "statuses"];

pub(crate) const STATUSES: &[(&str, Statuses)] = &[("own", Statuses::Own), ("nginx", Statuses::Nginx)];

pub(crate) const KRATOS: &[&str] =
    &["url", "ca", "serve", "hosts", "path_prefix", "session_cookie", "credentials", "timeout", "cors", "tokenize_as"];

pub(crate) const SESSIONS: &[&str] = &["ttl", "refresh_after", "stale_if_error", "max_entries"];

pub(crate) const LOGIN: &[&str] = &["url"];

pub(crate) const UI: &[&str] = &["path_prefix", "brand", "theme", "home"];

pub(crate) const ID_TOKEN: &[&str] = &["issuer", "keys", "ttl", "publish"];

pub(crate) const RULE_ID_TOKEN: &[&str] = &["audience", "claims", "header", "ttl"];

pub(crate) const AUTHENTICATOR: &[&str] =
    &["jwt", "introspection", "from", "subject", "subject_is_identity", "scopes", "scope_strategy"];

pub(crate) const JWT: &[&str] =
    &["jwks", "issuers", "audience", "algorithms", "leeway", "refresh_after", "timeout", "ca"];

pub(crate) const INTROSPECTION: &[&str] =
    &["url", "authorization", "basic", "issuers", "audience", "leeway", "timeout", "ttl", "ca"];

pub(crate) const BASIC: &[&str] = &["username", "password"];

pub(crate) const RULE_ANONYMOUS: &[&str] = &["subject"];

pub(crate) const RULE_SESSION: &[&str] = &["on_invalid"];

pub(crate) const RULE_TOKEN: &[&str] = &["scopes", "on_invalid"];

pub(crate) const ON_INVALID: &[(&str, OnInvalid)] = &[("refuse", OnInvalid::Refuse), ("next", OnInvalid::Next)];

pub(crate) const SCOPE_STRATEGIES: &[(&str, ScopeStrategy)] = &[
    ("exact", ScopeStrategy::Exact),
    ("hierarchic", ScopeStrategy::Hierarchic),
    ("wildcard", ScopeStrategy::Wildcard),
];

/// What is said of any service that is asked.
macro_rules! with_patience {
    ($($key:literal),*) => { &[$($key,)* "timeout", "retries", "ttl", "authorization", "ca"] };
}

pub(crate) const AUTHORIZER: &[&str] = with_patience!("http", "keto", "opa");

pub(crate) const ENRICHER: &[&str] = with_patience!("url", "method", "headers", "payload", "required");

pub(crate) const SERVICE_URL: &[&str] = &["url"];

pub(crate) const HTTP: &[&str] = &["url", "method", "headers", "payload"];

pub(crate) const RULE_HTTP: &[&str] = &["headers", "payload", "pick"];

pub(crate) const RULE_KETO: &[&str] = &["namespace", "object", "relation", "subject", "subject_set", "tuples"];

pub(crate) const TUPLE: &[&str] = &["namespace", "object", "relation", "subject", "subject_set"];

pub(crate) const SUBJECT_SET: &[&str] = &["namespace", "object", "relation"];

pub(crate) const RULE_OPA: &[&str] = &["input"];

pub(crate) const UPSTREAM: &[&str] =
    &["endpoints", "balance", "connect_timeout", "read_timeout", "write_timeout", "idle_timeout", "health_check", "ca"];

pub(crate) const HEALTH_CHECK: &[&str] = &["path", "interval"];

pub(crate) const RULE: &[&str] = &[
    "id",
    "match",
    "authenticate",
    "access",
    "enrich",
    "require",
    "authorize",
    "headers",
    "cookies",
    "remove_headers",
    "id_token",
    "response_headers",
    "remove_response_headers",
    "rewrite",
    "on_refusal",
    "on_outage",
    "forward_credentials",
    "cors",
    "redirect",
    "upstream",
];

pub(crate) const CORS: &[&str] = &["origins", "methods", "headers", "expose", "credentials", "max_age"];

pub(crate) const MATCH: &[&str] = &["hosts", "schemes", "methods", "paths", "allow"];

pub(crate) const PATH: &[&str] = &["regex"];

pub(crate) const REQUIRE: &[&str] = &["aal", "authenticated_within", "checked_within", "verified", "when"];

/// Who may pass, before what else is demanded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AccessWord {
    Deny,
    Optional,
    Public,
    Session,
}

pub(crate) const ACCESS: &[(&str, AccessWord)] = &[
    ("public", AccessWord::Public),
    ("optional", AccessWord::Optional),
    ("session", AccessWord::Session),
    ("deny", AccessWord::Deny),
];

/// Kratos knows two factors at most: `aal3` would lock everyone out.
pub(crate) const AAL: &[(&str, Aal)] = &[("aal1", Aal::Aal1), ("aal2", Aal::Aal2)];

pub(crate) const ON_REFUSAL: &[(&str, OnRefusal)] =
    &[("auto", OnRefusal::Auto), ("json", OnRefusal::Json), ("redirect", OnRefusal::Redirect)];

pub(crate) const REWRITE: &[&str] = &["strip_prefix", "add_prefix", "host"];

pub(crate) const REDIRECT: &[&str] = &["to", "status", "append_path", "append_query"];

pub(crate) const REFUSAL: &[&str] =
    &["status", "error", "accept", "from", "then", "to", "code", "return_to", "realm", "scheme"];

/// What is done about a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DressWord {
    Auto,
    Json,
    Redirect,
    WwwAuthenticate,
}

pub(crate) const DRESSES: &[(&str, DressWord)] = &[
    ("auto", DressWord::Auto),
    ("json", DressWord::Json),
    ("redirect", DressWord::Redirect),
    ("www_authenticate", DressWord::WwwAuthenticate),
];

pub(crate) const CHALLENGES: &[(&str, &str)] = &[("Basic", "Basic"), ("Bearer", "Bearer")];

pub(crate) const ON_OUTAGE: &[(&str, OnOutage)] = &[("refuse", OnOutage::Refuse), ("anonymous", OnOutage::Anonymous)];

pub(crate) const BALANCE: &[(&str, Balance)] = &[
    ("round_robin", Balance::RoundRobin),
    ("least_requests", Balance::LeastRequests),
    ("consistent_identity", Balance::ConsistentIdentity),
];

/// Where a credential may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SourceWord {
    Bearer,
    Cookie,
    SessionToken,
}

pub(crate) const CREDENTIALS: &[(&str, SourceWord)] =
    &[("session_token", SourceWord::SessionToken), ("cookie", SourceWord::Cookie), ("bearer", SourceWord::Bearer)];

/// Odd spellings of paths that a rule may be ready for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AllowWord {
    EmptySegment,
    EncodedSlash,
    Parameters,
}

pub(crate) const ALLOW: &[(&str, AllowWord)] = &[
    ("encoded_slash", AllowWord::EncodedSlash),
    ("empty_segment", AllowWord::EmptySegment),
    ("parameters", AllowWord::Parameters),
];

pub(crate) const THEME: &[(&str, UiTheme)] =
    &[("auto", UiTheme::Auto), ("light", UiTheme::Light), ("dark", UiTheme::Dark)];

pub(crate) const SCHEMES: &[(&str, Scheme)] = &[("http", Scheme::Http), ("https", Scheme::Https)];
