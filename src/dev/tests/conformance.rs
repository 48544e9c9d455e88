//! Holds every answer that a test gets against Kratos' OpenAPI document.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::LazyLock;

use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;

use super::client::Reply;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::from_str(include_str!("../../../tests/data/kratos-openapi.json")).unwrap();
    translate_null(&mut document);
    forget_known_departures(&mut document);
    document
});

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// OpenAPI 3.0 says `nullable: true` where JSON Schema says `type: [.., "null"]`.
fn translate_null(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.remove("nullable") == Some(json!(true))
                && let Some(kind) = fields.get_mut("type")
            {
                *kind = json!([kind, "null"]);
            }
            fields.values_mut().for_each(translate_null);
        }
        Value::Array(items) => items.iter_mut().for_each(translate_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where Kratos' document does not describe Kratos: `details` are never empty, and the error in a 422 is not wrapped twice.
fn forget_known_departures(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    schemas["genericError"]["properties"]["details"] = json!({ "type": "object" });
    schemas["errorBrowserLocationChangeRequired"]["properties"]["error"] =
        json!({ "$ref": "#/components/schemas/genericError" });
}

/// All operations of the document.
pub(super) fn operation_ids() -> Vec<String> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|path| path.as_object().unwrap().values());
    operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

/// Panics if the document does not allow this answer. Returns the operation; None for paths of our own.
pub(super) fn check(method: &str, path: &str, reply: &Reply) -> Option<String> {
    let template = match path.strip_prefix("/sessions/") {
        Some(id) if !matches!(id, "whoami" | "token-exchange") => "/sessions/{id}",
        _ => path,
    };
    let operation = &DOCUMENT["paths"][template][method];
    let id = operation["operationId"].as_str()?;
    if !reply.header("content-type").starts_with("application/json") {
        return Some(id.to_owned());
    }
    let status = reply.status.as_str();
    let mut body = reply.json();
    // An operation's 400 is its flow, with what is wrong; or an error, if no flow was found.
    let is_error = body.get("error").is_some() && reply.status.is_client_error();
    let mut response = &operation["responses"][status];
    if response.is_null() {
        response = &operation["responses"]["default"];
    }
    if let Some(reference) = response["$ref"].as_str() {
        response = DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let schema = match &response["content"]["application/json"]["schema"] {
        schema if status == "400" && is_error && schema["$ref"].as_str().is_some_and(|name| name.ends_with("Flow")) => {
            &json!({ "$ref": "#/components/schemas/errorGeneric" })
        }
        schema => schema,
    };
    assert!(schema.is_object(), "{id} does not answer {status} with JSON: {reply:?}");
    drop_known_nulls(&mut body);
    let validator = validator(schema);
    let faults: Vec<String> =
        validator.iter_errors(&body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{id} {status}: {faults:#?} in {body:#}");
    Some(id.to_owned())
}

/// Kratos itself writes these two nulls, which its document forbids.
fn drop_known_nulls(body: &mut Value) {
    if body["continue_with"].is_null()
        && let Some(fields) = body.as_object_mut()
    {
        fields.remove("continue_with");
    }
    if let Some(session) = body.get_mut("session").and_then(Value::as_object_mut)
        && session.get("identity").is_some_and(Value::is_null)
    {
        session.remove("identity");
    }
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock();
    let made = validators.entry(schema.to_string()).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        Arc::new(jsonschema::options().should_validate_formats(true).build(&whole).unwrap())
    });
    Arc::clone(made)
}
