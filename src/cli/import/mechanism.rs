//! Authenticators: who lets a client be someone, and which questions of theirs Kratos answers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use url::{Position, Url};

use super::Verdict;
use super::source::{Handler, OathConfig, OathRule, Stage, text, texts};
use super::tokens;
use super::tokens::TokenUse;
use crate::config::kratos::is_cookie_name;

/// What all rules together say of Kratos.
#[derive(Clone, Debug, Default)]
pub(super) struct Kratos {
    /// Scheme, host and port; absent where no rule asks Kratos.
    pub(super) origin: Option<String>,
    pub(super) cookies: BTreeSet<String>,
    pub(super) cookie: bool,
    pub(super) bearer: bool,
    pub(super) session_token: bool,
}

/// How a client may say who it is.
#[derive(Clone, Debug)]
pub(super) enum Mechanism {
    /// Anyone, under this name.
    Open(String),
    Nobody,
    Session(Asked),
    Token(TokenUse),
}

/// A question to Kratos.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) origin: String,
    pub(super) via: Via,
    /// The ways to the subject and to the rest in whoami's answer; absent where they cannot be said.
    pub(super) subject: Option<Vec<String>>,
    pub(super) extra: Option<Vec<String>>,
    pub(super) remarks: Vec<(Verdict, String)>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Via {
    Bearer,
    /// The names; none: any cookie.
    Cookies(Vec<String>),
    SessionToken,
}

impl Kratos {
    /// Collects what the rules, and the global configuration, say.
    pub(super) fn of(rules: &[OathRule], config: &OathConfig) -> Self {
        let mut kratos = Self::default();
        let handlers = rules.iter().flat_map(|rule| &rule.authenticators).filter(|handler| !handler.disabled);
        for asked in handlers.filter_map(|handler| match mechanism(handler) {
            Ok(Mechanism::Session(asked)) => Some(asked),
            Ok(Mechanism::Open(_) | Mechanism::Nobody | Mechanism::Token(_)) | Err(_) => None,
        }) {
            kratos.origin.get_or_insert(asked.origin);
            match asked.via {
                Via::Bearer => kratos.bearer = true,
                Via::SessionToken => kratos.session_token = true,
                Via::Cookies(names) => {
                    kratos.cookie = true;
                    kratos.cookies.extend(names);
                }
            }
        }
        if kratos.origin.is_none()
            && let Some(global) = config.enabled(Stage::Authenticators, "cookie_session")
        {
            kratos.origin = whoami(global).ok().map(|(origin, _)| origin);
        }
        kratos
    }
}

/// Reads an authenticator, or says why there is nothing like it.
pub(super) fn mechanism(handler: &Handler) -> Result<Mechanism, String> {
    match handler.name.as_str() {
        "noop" => Ok(Mechanism::Open(String::new())),
        "anonymous" => {
            let subject = handler.config.get("subject").and_then(text).unwrap_or_else(|| "anonymous".to_owned());
            Ok(Mechanism::Open(subject))
        }
        "unauthorized" => Ok(Mechanism::Nobody),
        "cookie_session" => {
            let names = handler.config.get("only").map(texts).unwrap_or_default();
            if let Some(odd) = names.iter().find(|name| !is_cookie_name(name)) {
                return Err(format!("`cookie_session` looks for `{odd}`, which is no name of a cookie"));
            }
            let mut asked = asked(handler, "subject", Via::Cookies(names.clone()))?;
            if names.is_empty() {
                let remark = "any cookie counted; here only Kratos' session cookie does";
                asked.remarks.push((Verdict::Improved, remark.to_owned()));
            }
            Ok(Mechanism::Session(asked))
        }
        "bearer_token" => {
            let from = handler.config.get("token_from").and_then(Value::as_object).cloned().unwrap_or_default();
            let of = |key: &str| from.get(key).and_then(text);
            let via = match (of("header"), of("cookie"), of("query_parameter")) {
                (None, None, None) => Via::Bearer,
                (Some(name), None, None) if name.eq_ignore_ascii_case("authorization") => Via::Bearer,
                (Some(name), None, None) if name.eq_ignore_ascii_case("x-session-token") => Via::SessionToken,
                (None, Some(name), None) if is_cookie_name(&name) => Via::Cookies(vec![name]),
                _ => return Err("`bearer_token` takes its token from where no session of Kratos' is sought".to_owned()),
            };
            let mut asked = asked(handler, "sub", via)?;
            if let Some(prefix) = handler.config.get("prefix").and_then(text).filter(|prefix| !prefix.is_empty()) {
                let remark =
                    format!("tokens that do not begin `{prefix}` were left to others; Kratos is asked about all");
                asked.remarks.push((Verdict::Improved, remark));
            }
            Ok(Mechanism::Session(asked))
        }
        "jwt" => tokens::jwt(handler).map(Mechanism::Token),
        "oauth2_introspection" => tokens::introspection(handler).map(Mechanism::Token),
        name => Err(format!("the authenticator `{name}` has nothing like it here")),
    }
}

fn asked(handler: &Handler, subject: &str, via: Via) -> Result<Asked, String> {
    let (origin, mut remarks) = whoami(&handler.config).map_err(|why| format!("`{}` {why}", handler.name))?;
    let is_given = |key: &str| match handler.config.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(entries)) => !entries.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => true,
    };
    for (key, verdict, why) in [
        ("additional_headers", Verdict::Dropped, "Kratos gets no more than the credential"),
        ("forward_http_headers", Verdict::Improved, "Kratos gets no more than the credential"),
        ("force_method", Verdict::Improved, "whoami is asked by GET"),
    ] {
        if is_given(key) {
            remarks.push((verdict, format!("`{key}` is left out: {why}")));
        }
    }
    let way_of = |key: &str, default: &str| {
        let path = handler.config.get(key).and_then(text).unwrap_or_else(|| default.to_owned());
        way(&path)
    };
    Ok(Asked { origin, via, subject: way_of("subject_from", subject), extra: way_of("extra_from", "extra"), remarks })
}

/// The origin of Kratos, where the handler asks whoami; and what to say about it.
fn whoami(config: &Map<String, Value>) -> Result<(String, Vec<(Verdict, String)>), String> {
    let url = config.get("check_session_url").and_then(text).ok_or("has no `check_session_url`")?;
    let parsed = Url::parse(&url).map_err(|error| format!("asks `{url}`, which is no URL: {error}"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() || !parsed.username().is_empty() {
        // It may hold a password.
        return Err("asks at what is no plain http URL".to_owned());
    }
    let is_whoami = parsed.path().trim_end_matches('/') == "/sessions/whoami";
    let keeps_path = config.get("preserve_path").and_then(Value::as_bool).unwrap_or_default();
    if !is_whoami {
        return Err(format!("asks `{url}`, which is not whoami at the root of Kratos' public API"));
    }
    let mut remarks = Vec::new();
    if !keeps_path {
        let remark = "without `preserve_path` Oathkeeper asked for the client's own path; ours asks whoami";
        remarks.push((Verdict::Improved, remark.to_owned()));
    }
    if parsed.query_pairs().any(|(name, _)| name == "tokenize_as") {
        let remark =
            "it asks for a token: name the template in `kratos.tokenize_as`, and services get it as `Authorization`";
        remarks.push((Verdict::Dropped, remark.to_owned()));
    } else if parsed.query().is_some_and(|query| !query.is_empty()) {
        remarks.push((Verdict::Dropped, "the query of `check_session_url` is left out".to_owned()));
    }
    Ok((parsed[..Position::BeforePath].to_owned(), remarks))
}

/// A simple path of GJSON as a list of names.
fn way(path: &str) -> Option<Vec<String>> {
    if path == "@this" {
        return Some(Vec::new());
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let names = path.strip_prefix("@this.").unwrap_or(path).split('.').map(str::to_owned).collect::<Vec<_>>();
    (path.starts_with("@this.") || path.chars().all(is_plain))
        .then_some(names)
        .filter(|names| !names.iter().any(String::is_empty))
}
