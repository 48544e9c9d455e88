//! UI nodes: the inputs, buttons and texts that a page for a flow is made of.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::text;

/// One node of a form.
#[derive(Clone)]
pub(super) struct Node {
    kind: &'static str,
    group: &'static str,
    name: String,
    attributes: Map<String, Value>,
    messages: Vec<Value>,
    label: Option<Value>,
}

impl Node {
    fn new(kind: &'static str, group: &'static str, name: &str, attributes: Value) -> Self {
        let mut attributes = if let Value::Object(attributes) = attributes { attributes } else { Map::new() };
        attributes.insert("node_type".to_owned(), json!(kind));
        Self { kind, group, name: name.to_owned(), attributes, messages: Vec::new(), label: None }
    }

    pub(super) fn input(group: &'static str, name: &str, input_type: &str) -> Self {
        Self::new("input", group, name, json!({ "name": name, "type": input_type, "disabled": false }))
    }

    /// A button that submits `name=value`.
    pub(super) fn button(group: &'static str, name: &str, value: &str, label: Value) -> Self {
        Self::input(group, name, "submit").value(value).label(label)
    }

    pub(super) fn text(group: &'static str, id: &str, text: &Value) -> Self {
        Self::new("text", group, id, json!({ "id": id, "text": text }))
    }

    pub(super) fn image(group: &'static str, id: &str, src: &str, side: u32) -> Self {
        Self::new("img", group, id, json!({ "id": id, "src": src, "width": side, "height": side }))
    }

    pub(super) fn anchor(group: &'static str, id: &str, href: &str, title: &Value) -> Self {
        Self::new("a", group, id, json!({ "id": id, "href": href, "title": title }))
    }

    pub(super) fn with(mut self, attribute: &str, value: Value) -> Self {
        self.attributes.insert(attribute.to_owned(), value);
        self
    }

    pub(super) fn value(self, value: &str) -> Self {
        self.with("value", json!(value))
    }

    pub(super) fn required(self) -> Self {
        self.with("required", json!(true))
    }

    pub(super) fn autocomplete(self, what: &str) -> Self {
        self.with("autocomplete", json!(what))
    }

    pub(super) fn label(mut self, label: Value) -> Self {
        self.label = Some(label);
        self
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name
    }

    pub(super) fn group(&self) -> &'static str {
        self.group
    }

    pub(super) fn set_value(&mut self, value: &str) {
        self.attributes.insert("value".to_owned(), json!(value));
    }

    pub(super) fn add_message(&mut self, message: Value) {
        self.messages.push(message);
    }

    pub(super) fn clear_messages(&mut self) {
        self.messages.clear();
    }

    pub(super) fn view(&self) -> Value {
        let meta = match &self.label {
            Some(label) => json!({ "label": label }),
            None => json!({}),
        };
        json!({
            "type": self.kind,
            "group": self.group,
            "attributes": self.attributes,
            "messages": self.messages,
            "meta": meta,
        })
    }
}

/// The hidden anti-CSRF input; native flows have it too, with no value.
pub(super) fn csrf(token: &str) -> Node {
    Node::input("default", "csrf_token", "hidden").value(token).required()
}

pub(super) fn email() -> Node {
    Node::input("code", "email", "email").required().label(text::info(1_070_007, "Email"))
}

/// The inputs of the identity schema, in `group`, filled from `value_of`.
pub(super) fn traits(group: &'static str, value_of: impl Fn(&str) -> Option<String>) -> Vec<Node> {
    let email = Node::input(group, "traits.email", "email").required().autocomplete("email");
    let first = Node::input(group, "traits.name.first", "text");
    let last = Node::input(group, "traits.name.last", "text");
    [(email, "E-Mail"), (first, "First Name"), (last, "Last Name")]
        .into_iter()
        .map(|(node, title)| {
            let label = text::titled(&node.name, title);
            let value = value_of(&node.name);
            let node = node.label(label);
            match value {
                Some(value) => node.value(&value),
                None => node,
            }
        })
        .collect()
}

pub(super) fn password(autocomplete: &str) -> Node {
    Node::input("password", "password", "password")
        .required()
        .autocomplete(autocomplete)
        .label(text::info(1_070_001, "Password"))
}

/// The inputs that take a mailed code, under `label`; and the button that sends another to `address`.
pub(super) fn code_entry(label: Value, resend: (&str, &str)) -> Vec<Node> {
    vec![
        Node::input("code", "code", "text").required().autocomplete("one-time-code").label(label),
        Node::input("code", "method", "hidden").value("code"),
        Node::button("code", "method", "code", text::info(1_070_009, "Continue")),
        Node::button("code", resend.0, resend.1, text::info(1_070_008, "Resend code")),
    ]
}

/// Tells browsers how the code looks. Kratos does so at login and recovery, not at verification.
pub(super) fn six_digits(nodes: &mut [Node]) {
    for node in nodes.iter_mut().filter(|node| node.is_called("code")) {
        node.attributes.insert("pattern".to_owned(), json!("[0-9]+"));
        node.attributes.insert("maxlength".to_owned(), json!(6));
    }
}
