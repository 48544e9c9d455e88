//! What the import makes of rules, and what it must never do.

use std::fs;

use expect_test::Expect;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::{Files, Options, compile};

mod any;
mod closed;
mod files;
mod handlers;
mod published;
mod tokens;

/// Imports rules as files would have them.
fn imported(config: Option<&Value>, rules: &Value) -> Result<Imported, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let rules_file = folder.path().join("rules.json");
    fs::write(&rules_file, rules.to_string()).unwrap();
    let config_file = folder.path().join("oathkeeper.yaml");
    if let Some(config) = config {
        fs::write(&config_file, config.to_string()).unwrap();
    }
    import(config.map(|_| config_file.as_path()), &[rules_file])
}

/// The notes of the rules, places cut.
fn notes(imported: &Imported) -> String {
    let of_rules = imported.notes.iter().filter(|note| note.rule.is_some());
    of_rules
        .map(|note| format!("{}: {}: {}\n", note.rule.as_deref().unwrap_or_default(), note.verdict, note.reason))
        .collect()
}

fn policy(yaml: &str) -> crate::decision::policy::Policy {
    let read = |_: &Path| Ok(yaml.as_bytes().to_vec());
    let list = |_: &str| Ok(Vec::new());
    let options = Options { environment: &|_| None, ..Options::default() };
    match compile(Path::new("portcullis.yaml"), &Files { read: &read, list: &list }, &options) {
        Ok(config) => config.policy,
        Err(faults) => panic!("{faults}\n{yaml}"),
    }
}

fn rule(url: &str, methods: &[&str]) -> Value {
    json!({
        "id": "sample",
        "match": { "url": url, "methods": methods },
        "authenticators": [{ "handler": "noop" }],
        "authorizer": { "handler": "allow" },
        "mutators": [{ "handler": "noop" }],
        "upstream": { "url": "http://service:8080", "preserve_host": true },
    })
}

/// A configuration that enables every handler, for one dialect.
fn enabling(strategy: &str, global: &Map<String, Value>) -> Value {
    let mut config = json!({ "access_rules": { "matching_strategy": strategy }, "errors": global.get("errors") });
    for (stage, names) in [
        ("authenticators", &["noop", "anonymous", "cookie_session", "bearer_token", "unauthorized"][..]),
        ("authorizers", &["allow", "deny"]),
        ("mutators", &["noop", "header", "id_token", "hydrator"]),
    ] {
        for name in names {
            let own = global.get(&format!("{stage}.{name}.config"));
            config[stage][name] = json!({ "enabled": true, "config": own });
        }
    }
    config
}

/// Imports one rule, changed by `change`, and shows its part of the configuration and its notes.
fn check(change: Value, expected: &Expect) {
    let mut rule = rule("http://a.test/x", &["GET"]);
    for (key, value) in change.as_object().unwrap() {
        rule[key] = value.clone();
    }
    let imported = imported(None, &rule).unwrap();
    let yaml = imported.yaml.split_once("kratos:\n").unwrap().1;
    expected.assert_eq(&format!("{yaml}\n{}", notes(&imported)));
}

fn cookie_session() -> Value {
    json!({ "handler": "cookie_session", "config": {
        "check_session_url": "http://kratos:4433/sessions/whoami", "preserve_path": true,
        "extra_from": "@this", "subject_from": "identity.id", "only": ["ory_kratos_session"],
    } })
}
