//! Authenticators that judge tokens: signed ones by their keys, opaque ones by asking.

use serde_json::{Map, Value, json};

use super::source::{Handler, text, texts};

/// A token's judge, as our configuration defines one, and what a rule asks of its tokens.
#[derive(Clone, Debug)]
pub(super) struct TokenUse {
    /// What it is called if nobody has that name.
    pub(super) name: &'static str,
    pub(super) definition: Value,
    pub(super) scopes: Vec<String>,
    pub(super) remarks: Vec<String>,
}

/// A text that our configuration takes as it is: nothing of it comes from the environment.
pub(super) fn plain(text: &str) -> String {
    text.replace("${", "$${")
}

fn plain_list(value: Option<&Value>) -> Vec<String> {
    value.map(texts).unwrap_or_default().iter().map(|text| plain(text)).collect()
}

/// `jwt`, as ours.
pub(super) fn jwt(handler: &Handler) -> Result<TokenUse, String> {
    let config = &handler.config;
    let mut jwt = Map::new();
    let urls = plain_list(config.get("jwks_urls"));
    if urls.is_empty() {
        return Err("`jwt` names no keys (`jwks_urls`)".to_owned());
    }
    let source = |url: &String| url.strip_prefix("file://").map_or_else(|| url.clone(), str::to_owned);
    jwt.insert("jwks".to_owned(), json!(urls.iter().map(source).collect::<Vec<_>>()));
    let algorithms = match config.get("allowed_algorithms") {
        Some(algorithms) => texts(algorithms),
        None => vec!["RS256".to_owned()],
    };
    if let Some(shared) = algorithms.iter().find(|algorithm| algorithm.starts_with("HS") || *algorithm == "none") {
        return Err(format!("`jwt` allows `{shared}`: whoever checks such a token could make one"));
    }
    jwt.insert("algorithms".to_owned(), json!(algorithms));
    claims(config, &mut jwt);
    if let Some(ttl) = config.get("jwks_ttl").and_then(text).as_deref().and_then(duration) {
        jwt.insert("refresh_after".to_owned(), json!(ttl));
    }
    let mut remarks = vec!["tokens without `exp` are refused, and clocks may differ by `leeway`".to_owned()];
    if config.contains_key("jwks_max_wait") {
        remarks.push("how long keys are waited for is `timeout` here".to_owned());
    }
    finish(handler, "jwt", jwt, remarks)
}

/// `oauth2_introspection`, as ours.
pub(super) fn introspection(handler: &Handler) -> Result<TokenUse, String> {
    let config = &handler.config;
    let mut introspection = Map::new();
    let url = config.get("introspection_url").and_then(text).ok_or("`oauth2_introspection` has no URL")?;
    introspection.insert("url".to_owned(), json!(plain(&url)));
    if config.get("pre_authorization").and_then(|grant| grant.get("enabled")) == Some(&Value::Bool(true)) {
        return Err(
            "`oauth2_introspection` fetches a token to ask with (`pre_authorization`): give ours one in `authorization`"
                .to_owned(),
        );
    }
    let mut remarks = Vec::new();
    for (name, value) in config.get("introspection_request_headers").and_then(Value::as_object).into_iter().flatten() {
        match text(value) {
            Some(value) if name.eq_ignore_ascii_case("authorization") => {
                introspection.insert("authorization".to_owned(), json!(plain(&value)));
            }
            Some(_) | None => return Err(format!("`oauth2_introspection` asks with the header `{name}`")),
        }
    }
    if let Some(prefix) = config.get("prefix").and_then(text).filter(|prefix| !prefix.is_empty()) {
        return Err(format!("`oauth2_introspection` takes tokens that begin `{prefix}` only"));
    }
    claims(config, &mut introspection);
    if let Some(cache) = config.get("cache").filter(|cache| cache.get("enabled") == Some(&Value::Bool(true))) {
        let ttl = cache.get("ttl").and_then(text).as_deref().and_then(duration).unwrap_or_else(|| "1m".to_owned());
        introspection.insert("ttl".to_owned(), json!(ttl));
    }
    if config.contains_key("retry") {
        remarks.push("it is asked once: an issuer that gives no answer is 503".to_owned());
    }
    finish(handler, "introspection", introspection, remarks)
}

fn claims(config: &Map<String, Value>, ours: &mut Map<String, Value>) {
    for (theirs, key) in [("trusted_issuers", "issuers"), ("target_audience", "audience")] {
        let values = plain_list(config.get(theirs));
        if !values.is_empty() {
            ours.insert(key.to_owned(), json!(values));
        }
    }
}

fn finish(
    handler: &Handler,
    kind: &'static str,
    settings: Map<String, Value>,
    remarks: Vec<String>,
) -> Result<TokenUse, String> {
    let config = &handler.config;
    let mut definition = Map::from_iter([(kind.to_owned(), Value::Object(settings))]);
    let from = config.get("token_from").and_then(Value::as_object).cloned().unwrap_or_default();
    let of = |key: &str| from.get(key).and_then(text);
    match (of("header"), of("cookie"), of("query_parameter")) {
        (None, None, None) => {}
        (Some(name), None, None) if name.eq_ignore_ascii_case("authorization") => {}
        (Some(name), None, None) => drop(definition.insert("from".to_owned(), json!({ "header": plain(&name) }))),
        (None, Some(name), None) => drop(definition.insert("from".to_owned(), json!({ "cookie": plain(&name) }))),
        (_, _, Some(_)) => {
            return Err(format!("`{}` takes its token from the query, which ends up in logs", handler.name));
        }
        (Some(_), Some(_), None) => return Err(format!("`{}` takes its token from two places", handler.name)),
    }
    let scopes = plain_list(config.get("required_scope"));
    let strategy = config.get("scope_strategy").and_then(text).unwrap_or_else(|| "none".to_owned());
    match strategy.as_str() {
        "none" if scopes.is_empty() => {}
        "none" => {
            return Err(format!("`{}` requires scopes without a `scope_strategy`: nobody passes", handler.name));
        }
        "exact" => {}
        "hierarchic" | "wildcard" => drop(definition.insert("scope_strategy".to_owned(), json!(strategy))),
        other => return Err(format!("`{}` has the unknown scope strategy `{other}`", handler.name)),
    }
    Ok(TokenUse { name: kind, definition: Value::Object(definition), scopes, remarks })
}

/// A duration of Go's, where ours can say it: one number and one unit.
pub(super) fn duration(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = (text[..end].parse::<u64>().ok()?, &text[end..]);
    let seconds = |factor: u64| number.checked_mul(factor);
    match unit {
        "ms" => Some(format!("{number}ms")),
        "s" => Some(format!("{number}s")),
        "m" | "m0s" => Some(format!("{number}m")),
        "h" | "h0m0s" => Some(format!("{}m", seconds(60)?)),
        _ => None,
    }
}
