//! Handlers that ask others: `remote_json` as somebody who must agree, `hydrator` as somebody who tells more.

use serde_json::{Map, Value, json};

use super::documents::document;
use super::source::{Handler, text, texts};
use super::template::Named;
use super::tokens::{duration, plain};

/// A question of a rule: who is asked, and what this rule adds to it.
#[derive(Clone, Debug)]
pub(super) struct RemoteUse {
    pub(super) name: &'static str,
    pub(super) definition: Value,
    pub(super) of_rule: Value,
    pub(super) remarks: Vec<String>,
}

/// `remote_json`: 200 lets pass, 403 does not.
pub(super) fn remote_json(handler: &Handler, named: &Named) -> Result<RemoteUse, String> {
    let config = &handler.config;
    let url = remote(config, "remote").ok_or("`remote_json` asks nobody (`remote`)")?;
    let payload = config.get("payload").and_then(text).ok_or("`remote_json` has no `payload`")?;
    let payload = document(&payload, named).map_err(|why| format!("the payload of `remote_json`: {why}"))?;
    let mut of_rule = Map::from_iter([("payload".to_owned(), payload)]);
    let headers = headers(config, named)?;
    if !headers.is_empty() {
        of_rule.insert("headers".to_owned(), Value::Object(headers));
    }
    let picked = config.get("forward_response_headers_to_upstream").map(texts).unwrap_or_default();
    if !picked.is_empty() {
        of_rule.insert("pick".to_owned(), json!(picked));
    }
    let mut definition = Map::from_iter([("http".to_owned(), json!({ "url": url, "method": "POST" }))]);
    let mut remarks = patience(config, &mut definition);
    remarks.push("204 lets pass as 200 does".to_owned());
    let (definition, of_rule) = (Value::Object(definition), Value::Object(of_rule));
    Ok(RemoteUse { name: "remote", definition, of_rule, remarks })
}

/// `hydrator`: what it tells is `context.hydrator`; what whoami told stays what it is.
pub(super) fn hydrator(handler: &Handler, named: &Named) -> Result<RemoteUse, String> {
    let config = &handler.config;
    let api = config.get("api").and_then(Value::as_object).cloned().unwrap_or_default();
    let url = remote(&api, "url").ok_or("`hydrator` asks nobody (`api.url`)")?;
    let payload = json!({
        "subject": named.subject_hole()?,
        "extra": named.extra_hole(&[]).unwrap_or_else(|_| "${null}".to_owned()),
        "header": null,
    });
    let mut definition = Map::from_iter([
        ("url".to_owned(), json!(url)),
        ("method".to_owned(), json!("POST")),
        ("payload".to_owned(), payload),
    ]);
    let mut remarks = vec![
        "the hydrator is not told the headers of the request, and those that it answers with are not read".to_owned(),
    ];
    if let Some(basic) = api.get("auth").and_then(|auth| auth.get("basic")).and_then(Value::as_object) {
        use base64::Engine as _;
        let of = |key: &str| basic.get(key).and_then(text).unwrap_or_default();
        let encoded =
            base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", of("username"), of("password")));
        definition.insert("authorization".to_owned(), json!(format!("Basic {encoded}")));
    }
    remarks.extend(patience(&api, &mut definition));
    if let Some(cache) = config.get("cache").filter(|cache| cache.get("enabled") != Some(&Value::Bool(false))) {
        let ttl = cache.get("ttl").and_then(text).as_deref().and_then(duration).unwrap_or_else(|| "1m".to_owned());
        definition.insert("ttl".to_owned(), json!(ttl));
    }
    Ok(RemoteUse { name: "hydrator", definition: Value::Object(definition), of_rule: Value::Null, remarks })
}

fn remote(config: &Map<String, Value>, key: &str) -> Option<String> {
    config.get(key).and_then(text).filter(|url| !url.is_empty()).map(|url| plain(&url))
}

fn headers(config: &Map<String, Value>, named: &Named) -> Result<Map<String, Value>, String> {
    let mut headers = Map::new();
    for (name, template) in config.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let template = text(template).ok_or_else(|| format!("the header `{name}` of `remote_json` is no text"))?;
        let value = super::template::header(name, &template, named)
            .map_err(|why| format!("the header `{name}` of `remote_json`: {why}"))?;
        headers.insert(name.clone(), json!(value));
    }
    Ok(headers)
}

/// How often and how long it is asked. Oathkeeper's own timeouts are a million times what they say.
fn patience(config: &Map<String, Value>, definition: &mut Map<String, Value>) -> Vec<String> {
    let Some(retry) = config.get("retry") else { return Vec::new() };
    definition.insert("retries".to_owned(), json!(1));
    let given_up = retry.get("give_up_after").and_then(text).unwrap_or_else(|| "1s".to_owned());
    if let Some(timeout) = duration(&given_up) {
        definition.insert("timeout".to_owned(), json!(timeout));
    }
    vec!["it is asked twice at most, each time for `give_up_after`".to_owned()]
}
