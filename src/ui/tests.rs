//! The promises of the pages, on authentic flows and against a small Kratos of wood.

mod answers;
mod rendering;

use serde_json::{Value, json};

/// An authentic file of Kratos.
fn authentic(name: &str) -> Value {
    let path = format!("{}/tests/data/kratos/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A flow around nodes; Kratos' snapshots leave out action and CSRF token.
fn flow_of(mut nodes: Value) -> Value {
    for node in nodes.as_array_mut().unwrap() {
        if node["attributes"]["name"] == "csrf_token" {
            node["attributes"]["value"] = json!("csrf-of-this-browser");
        }
    }
    json!({
        "id": "5caccb0b-c3b5-4e9d-9944-213dccb3c8d0",
        "type": "browser",
        "ui": { "action": "http://kratos.example/self-service/login?flow=1", "method": "POST", "nodes": nodes },
        "state": "choose_method",
    })
}

/// An input node.
fn input(group: &str, attributes: Value, label: &str) -> Value {
    let mut attributes = attributes;
    attributes["node_type"] = json!("input");
    json!({
        "type": "input", "group": group, "attributes": attributes, "messages": [],
        "meta": { "label": { "id": 1_070_002, "text": label, "type": "info" } },
    })
}

fn csrf() -> Value {
    input("default", json!({ "name": "csrf_token", "type": "hidden", "value": "" }), "")
}
