//! A flow as Kratos describes it, read leniently: what is missing or unknown is left out, never a failure.

use serde_json::Value;

/// Which of the five self-service flows a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Login,
    Registration,
    Settings,
    Recovery,
    Verification,
}

impl Kind {
    /// The word Kratos uses in its paths.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Registration => "registration",
            Self::Settings => "settings",
            Self::Recovery => "recovery",
            Self::Verification => "verification",
        }
    }
}

/// What a page shows of a flow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) action: String,
    /// Whether forms are sent with GET; everything else is POST.
    pub(super) by_get: bool,
    pub(super) nodes: Vec<Node>,
    pub(super) messages: Vec<Message>,
    pub(super) return_to: Option<String>,
    /// A signed-in person is asked to confirm who they are.
    pub(super) refresh: bool,
    /// A second factor is asked for.
    pub(super) second_factor: bool,
    pub(super) state: String,
    pub(super) login_challenge: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Info,
    Success,
    Error,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: i64,
    pub(super) text: String,
    pub(super) tone: Tone,
    /// The lookup secrets of `context.secrets`; empty for every other message.
    pub(super) secrets: Vec<Self>,
}

/// One element of the form. `index` is its place in the flow, which makes its HTML id unique.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) index: usize,
    pub(super) group: String,
    pub(super) label: Option<Message>,
    pub(super) messages: Vec<Message>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Input(Input),
    Text(Message),
    Image { src: String, width: Option<u64>, height: Option<u64> },
    Anchor { href: String, title: Option<Message> },
    Script(Script),
    Division { id: String, class: String, data: Vec<(String, String)> },
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) kind: InputKind,
    pub(super) value: Option<String>,
    pub(super) checked: bool,
    pub(super) required: bool,
    pub(super) disabled: bool,
    pub(super) autocomplete: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) maxlength: Option<u64>,
    pub(super) options: Vec<String>,
    pub(super) on_click: Option<Trigger>,
    pub(super) on_load: Option<Trigger>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum InputKind {
    #[default]
    Text,
    Password,
    Number,
    Checkbox,
    Hidden,
    Email,
    Tel,
    Submit,
    Button,
    DateTime,
    Date,
    Url,
}

/// A function of Kratos' own script, by a name from a closed list, and the options it is to be called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trigger {
    pub(super) function: &'static str,
    pub(super) options: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) src: String,
    pub(super) integrity: String,
    pub(super) crossorigin: String,
    pub(super) referrerpolicy: String,
}

const FUNCTIONS: [&str; 6] = [
    "oryWebAuthnRegistration",
    "oryWebAuthnLogin",
    "oryPasskeyLogin",
    "oryPasskeyLoginAutocompleteInit",
    "oryPasskeyRegistration",
    "oryPasskeySettingsRegistration",
];

impl Flow {
    /// `None` if this is not the JSON of a flow at all.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let flow: Value = serde_json::from_slice(body).ok()?;
        let ui = flow.get("ui").filter(|ui| ui.is_object())?;
        Some(Self {
            action: text(ui, "action"),
            by_get: text(ui, "method").eq_ignore_ascii_case("get"),
            nodes: list(ui, "nodes").iter().enumerate().map(|(index, node)| Node::parse(index, node)).collect(),
            messages: messages(ui),
            return_to: some_text(&flow, "return_to"),
            refresh: truth(&flow, "refresh"),
            second_factor: matches!(text(&flow, "requested_aal").as_str(), "aal2" | "aal3"),
            state: text(&flow, "state"),
            login_challenge: some_text(&flow, "oauth2_login_challenge"),
        })
    }

    /// Whether Kratos itself says where to go from here.
    pub(super) fn leads_on(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.body, Body::Anchor { .. }))
    }
}

impl Message {
    fn parse(value: &Value) -> Self {
        let tone = match value.get("type").and_then(Value::as_str) {
            Some("error") => Tone::Error,
            Some("success") => Tone::Success,
            _ => Tone::Info,
        };
        let secrets = value.get("context").map(|context| list(context, "secrets")).unwrap_or_default();
        // One level only: a secret has no secrets, and a document cannot make us recurse.
        let secrets = secrets.iter().map(|secret| Self { secrets: Vec::new(), ..Self::shallow(secret) }).collect();
        Self { tone, secrets, ..Self::shallow(value) }
    }

    fn shallow(value: &Value) -> Self {
        let id = value.get("id").and_then(Value::as_i64).unwrap_or_default();
        Self { id, text: text(value, "text"), tone: Tone::Info, secrets: Vec::new() }
    }
}

impl Node {
    fn parse(index: usize, node: &Value) -> Self {
        let none = Value::Null;
        let attributes = node.get("attributes").unwrap_or(&none);
        // Answers from before 2022 have the type on the node only.
        let kind = some_text(node, "type").or_else(|| some_text(attributes, "node_type")).unwrap_or_default();
        let label = node.get("meta").and_then(|meta| meta.get("label")).or_else(|| attributes.get("label"));
        let size = |name| attributes.get(name).and_then(Value::as_u64).filter(|size| (1..=1024).contains(size));
        let body = match kind.as_str() {
            "input" => Body::Input(Input::parse(attributes)),
            "text" => Body::Text(attributes.get("text").map_or_else(|| Message::parse(&none), Message::parse)),
            "img" => Body::Image { src: text(attributes, "src"), width: size("width"), height: size("height") },
            "a" => Body::Anchor {
                href: text(attributes, "href"),
                title: attributes.get("title").filter(|title| title.is_object()).map(Message::parse),
            },
            "script" => Body::Script(Script {
                src: text(attributes, "src"),
                integrity: text(attributes, "integrity"),
                crossorigin: text(attributes, "crossorigin"),
                referrerpolicy: text(attributes, "referrerpolicy"),
            }),
            "div" => Body::Division {
                id: text(attributes, "id"),
                class: text(attributes, "class"),
                data: attributes
                    .get("data")
                    .and_then(Value::as_object)
                    .map(|data| data.iter().filter_map(|(key, value)| Some((key.clone(), scalar(value)?))).collect())
                    .unwrap_or_default(),
            },
            _ => Body::Unknown,
        };
        Self {
            index,
            group: text(node, "group"),
            label: label.filter(|label| label.is_object()).map(Message::parse).filter(|label| !label.text.is_empty()),
            messages: messages(node),
            body,
        }
    }

    pub(super) fn input(&self) -> Option<&Input> {
        if let Body::Input(input) = &self.body { Some(input) } else { None }
    }

    /// Hidden inputs and scripts take no room on the page.
    pub(super) fn is_hidden(&self) -> bool {
        match &self.body {
            Body::Input(input) => input.kind == InputKind::Hidden,
            Body::Script(_) => true,
            Body::Text(_) | Body::Image { .. } | Body::Anchor { .. } | Body::Division { .. } | Body::Unknown => false,
        }
    }

    /// Whether one of its messages says what is wrong.
    pub(super) fn is_wrong(&self) -> bool {
        self.messages.iter().any(|message| message.tone == Tone::Error)
    }

    pub(super) fn is_button(&self) -> bool {
        self.input().is_some_and(|input| matches!(input.kind, InputKind::Submit | InputKind::Button))
    }
}

impl Input {
    fn parse(attributes: &Value) -> Self {
        let kind = InputKind::parse(&text(attributes, "type"));
        let value = attributes.get("value").and_then(scalar);
        let trigger = |name, legacy| {
            let old = some_text(attributes, legacy).and_then(|code| Trigger::from_code(&code));
            let options = value.clone().filter(|value| value.starts_with('{'));
            some_text(attributes, name).and_then(|name| Trigger::named(&name, options)).or(old)
        };
        Self {
            name: text(attributes, "name"),
            kind,
            checked: kind == InputKind::Checkbox && value.as_deref() == Some("true"),
            required: truth(attributes, "required"),
            disabled: truth(attributes, "disabled"),
            autocomplete: some_text(attributes, "autocomplete"),
            pattern: some_text(attributes, "pattern"),
            maxlength: attributes.get("maxlength").and_then(Value::as_u64).filter(|length| *length > 0),
            options: list(attributes, "options").iter().filter_map(|option| scalar(option.get("value")?)).collect(),
            on_click: trigger("onclickTrigger", "onclick"),
            on_load: trigger("onloadTrigger", "onload"),
            value,
        }
    }
}

impl InputKind {
    fn parse(text: &str) -> Self {
        match text {
            "password" => Self::Password,
            "number" => Self::Number,
            "checkbox" => Self::Checkbox,
            "hidden" => Self::Hidden,
            "email" => Self::Email,
            "tel" => Self::Tel,
            "submit" => Self::Submit,
            "button" => Self::Button,
            "datetime-local" => Self::DateTime,
            "date" => Self::Date,
            "url" => Self::Url,
            _ => Self::Text,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Password => "password",
            Self::Number => "number",
            Self::Checkbox => "checkbox",
            Self::Hidden => "hidden",
            Self::Email => "email",
            Self::Tel => "tel",
            Self::Submit => "submit",
            Self::Button => "button",
            Self::DateTime => "datetime-local",
            Self::Date => "date",
            Self::Url => "url",
        }
    }
}

impl Trigger {
    fn named(name: &str, options: Option<String>) -> Option<Self> {
        let name = name.trim_start_matches("window.").trim_start_matches('_');
        FUNCTIONS.iter().find(|function| **function == name).map(|function| Self { function, options })
    }

    /// Older Kratos sends code to evaluate, `window.__oryWebAuthnLogin({…})`. Only its meaning is taken: which of the
    /// known functions, with which JSON.
    fn from_code(code: &str) -> Option<Self> {
        let (name, rest) = code.split_once('(')?;
        let argument = rest.trim_end().trim_end_matches(';').strip_suffix(')')?.trim();
        let options = match argument {
            "" => None,
            json => Some(serde_json::from_str::<Value>(json).ok().filter(Value::is_object)?.to_string()),
        };
        Self::named(name.trim(), options)
    }
}

fn messages(value: &Value) -> Vec<Message> {
    list(value, "messages").iter().map(Message::parse).filter(|message| !message.text.is_empty()).collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn some_text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn text(value: &Value, name: &str) -> String {
    some_text(value, name).unwrap_or_default()
}

fn truth(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// A value as a form sends it.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}
