//! The schema and the compiler know the same keys and refuse the same mistakes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::compile_text;
use crate::config::fault::Report;
use crate::config::node::{Kind, Node, parse};
use crate::config::{keys, schema};

/// A file of `config/` with every commented key in force. A comment that is one begins with a capital or a word and
/// no colon; one that holds a key begins with it.
pub(super) fn uncommented(text: &str) -> String {
    let key = regex::Regex::new(r"^(\s*)# ([a-z_0-9]+:(?: .*)?)$").unwrap();
    let absent =
        ["tls:", "h2c:", "ca:", "hosts:", "cors:", "tokenize_as:", "allow:", "on_outage: refuse, ", "rule_files:"];
    let lines = text.lines().map(|line| match key.captures(line) {
        Some(found) if !absent.iter().any(|absent| found[2].starts_with(absent)) && is_key(&found[2]) => {
            format!("{}{}", &found[1], &found[2])
        }
        Some(_) | None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a comment is a key with a value, not a sentence about words.
fn is_key(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    let known = [
        keys::LISTEN,
        keys::OPS,
        keys::DECISIONS,
        keys::KRATOS,
        keys::SESSIONS,
        keys::UI,
        keys::UPSTREAM,
        keys::HEALTH_CHECK,
    ];
    let known = known.into_iter().chain([
        keys::ID_TOKEN,
        keys::RULE_ID_TOKEN,
        keys::AUTHORIZER,
        keys::ENRICHER,
        keys::HTTP,
        keys::RULE_HTTP,
        keys::RULE_KETO,
        keys::RULE_OPA,
        keys::RULE,
        keys::CORS,
        keys::MATCH,
        keys::REQUIRE,
        keys::ROOT,
    ]);
    known.flatten().any(|key| *key == name)
}

fn json(text: &str) -> Value {
    let mut report = Report::default();
    let root = parse(text, 0, &mut 0, &mut report).unwrap_or_else(|| panic!("{text}"));
    to_json(&root)
}

/// As an editor reads it, by the core schema of YAML 1.2.
fn to_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Empty => Value::Null,
        Kind::List(items) => items.iter().map(to_json).collect(),
        Kind::Map(entries) => Value::Object(
            entries.iter().map(|entry| (entry.key.to_string(), to_json(&entry.value))).collect::<Map<_, _>>(),
        ),
        Kind::Scalar(scalar) if scalar.plain => match &*scalar.text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
        },
        Kind::Scalar(scalar) => Value::String(scalar.text.to_string()),
    }
}

#[test]
fn every_file_of_the_folder_compiles_and_fits_the_schema() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let config = compile_text(&text).unwrap_or_else(|faults| panic!("{}\n{faults}", path.display()));
        assert!(config.warnings.is_empty(), "{}: {:?}", path.display(), config.warnings);
        for text in [uncommented(&text), text] {
            let errors = validator.iter_errors(&json(&text)).map(|error| error.to_string()).collect::<Vec<_>>();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn the_schema_knows_the_keys_of_the_compiler_and_no_others() {
    let known = [
        keys::ROOT,
        keys::LISTEN,
        keys::TLS,
        keys::OPS,
        keys::DECISIONS,
        keys::KRATOS,
        keys::SESSIONS,
        keys::LOGIN,
        keys::UI,
        keys::ID_TOKEN,
        keys::UPSTREAM,
        keys::HEALTH_CHECK,
        keys::RULE,
        keys::RULE_ID_TOKEN,
        keys::AUTHENTICATOR,
        keys::JWT,
        keys::INTROSPECTION,
        keys::BASIC,
        keys::RULE_ANONYMOUS,
        keys::RULE_TOKEN,
        keys::AUTHORIZER,
        keys::ENRICHER,
        keys::HTTP,
        keys::RULE_HTTP,
        keys::RULE_KETO,
        keys::RULE_OPA,
        keys::REWRITE,
        keys::REDIRECT,
        keys::REFUSAL,
        keys::CORS,
        keys::MATCH,
        keys::PATH,
        keys::REQUIRE,
    ];
    let known = known.into_iter().flatten().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    let mut found = BTreeSet::new();
    collect_keys(&schema(), &mut found);
    assert_eq!(found, known);
}

fn collect_keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if map.get("additionalProperties") == Some(&Value::Bool(false)) {
                found.extend(map["properties"].as_object().unwrap().keys().cloned());
            }
            map.values().for_each(|value| collect_keys(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_reference_mentions_every_key() {
    let text = include_str!("../../../config/reference.yaml");
    let all = [
        keys::ROOT,
        keys::LISTEN,
        keys::OPS,
        keys::KRATOS,
        keys::SESSIONS,
        keys::LOGIN,
        keys::UI,
        keys::UPSTREAM,
        keys::HEALTH_CHECK,
        keys::RULE,
        keys::MATCH,
        keys::REQUIRE,
        keys::TLS,
        keys::PATH,
    ];
    for key in all.into_iter().flatten() {
        assert!(text.contains(&format!("{key}:")), "{key}");
    }
    for word in keys::ACCESS.iter().map(|(word, _)| word).chain(keys::BALANCE.iter().map(|(word, _)| word)) {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn what_the_compiler_refuses_the_schema_refuses_too() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    for text in [
        "rules: []",
        "{ kratos: 5 }",
        "{ kratos: k:4433 }",
        "{ kratos: http://k/path }",
        "{ kratos: http://k, listen: here }",
        "{ kratos: http://k, listen: { adress: 127.0.0.1:1 } }",
        "{ kratos: http://k, listen: { h2c: yes } }",
        "{ kratos: http://k, listen: { tls: { certificate: a } } }",
        "{ kratos: http://k, listen: { idle_timeout: 30 } }",
        "{ kratos: http://k, listen: { idle_timeout: 0s } }",
        "{ kratos: http://k, listen: { max_body_size: 5MB } }",
        "{ kratos: http://k, listen: { threads: 0 } }",
        "{ kratos: http://k, ops: { token: 'a b' } }",
        "{ kratos: { serve: true } }",
        "{ kratos: { url: http://k, credentials: [cookies] } }",
        "{ kratos: { url: http://k, path_prefix: x/ } }",
        "{ kratos: http://k, sessions: { ttl: 1d } }",
        "{ kratos: http://k, sessions: { max_entries: 0 } }",
        "{ kratos: http://k, login: //evil }",
        "{ kratos: http://k, identity_header: 'X User' }",
        "{ kratos: http://k, ui: { theme: pink } }",
        "{ kratos: http://k, upstreams: [http://a] }",
        "{ kratos: http://k, upstreams: { a: {} } }",
        "{ kratos: http://k, upstreams: { a: a:80 } }",
        "{ kratos: http://k, upstreams: { a: { endpoints: [] } } }",
        "{ kratos: http://k, upstreams: { a: { endpoints: http://a, balance: random } } }",
        "{ kratos: http://k, rules: [{ access: public }] }",
        "{ kratos: http://k, rules: [{ id: 'a b' }] }",
        "{ kratos: http://k, rules: [{ id: kratos }] }",
        "{ kratos: http://k, rules: [{ id: a, access: sesion }] }",
        "{ kratos: http://k, rules: [{ id: a, acces: public }] }",
        "{ kratos: http://k, rules: [{ id: a, match: { path: /a } }] }",
        "{ kratos: http://k, rules: [{ id: a, match: { paths: [a] } }] }",
        "{ kratos: http://k, rules: [{ id: a, match: { paths: [] } }] }",
        "{ kratos: http://k, rules: [{ id: a, match: { methods: get } }] }",
        "{ kratos: http://k, rules: [{ id: a, access: public, require: { aal: aal2 } }] }",
        "{ kratos: http://k, rules: [{ id: a, on_outage: anonymous }] }",
        "{ kratos: http://k, rules: [{ id: a, require: { aal: aal3 } }] }",
        "{ kratos: http://k, rules: [{ id: a, headers: { 'X A': b } }] }",
    ] {
        assert!(!validator.is_valid(&json(text)), "the schema accepts {text}");
        let text = text.to_owned() + "\n# no kratos is added";
        assert!(compile_text(&text).is_err(), "the compiler accepts {text}");
    }
}
