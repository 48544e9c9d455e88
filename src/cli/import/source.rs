//! Oathkeeper's files: its configuration and its rules, in YAML or JSON, of whatever version.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::dialect::Strategy;
use crate::config::Faults;
use crate::config::fault::Report;
use crate::config::node;
use crate::config::node::{Kind, Mark, Node};
use crate::config::source::{Files, Source};

/// The stages of a rule, as the configuration names them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Stage {
    Authenticators,
    Authorizers,
    Errors,
    Mutators,
}

/// One handler of a rule, the global configuration folded in.
#[derive(Clone, Debug)]
pub(super) struct Handler {
    pub(super) name: String,
    pub(super) config: Map<String, Value>,
    /// The configuration does not enable it, so that Oathkeeper answers 500 on every request of the rule.
    pub(super) disabled: bool,
}

/// Where a rule leads.
#[derive(Clone, Debug, Default)]
pub(super) struct Destination {
    pub(super) url: String,
    pub(super) preserve_host: bool,
    pub(super) strip_path: String,
}

/// One of Oathkeeper's rules.
#[derive(Clone, Debug)]
pub(super) struct OathRule {
    pub(super) id: String,
    /// File and line.
    pub(super) place: String,
    /// Absent where the rule is for gRPC.
    pub(super) url: Option<String>,
    pub(super) methods: Vec<String>,
    pub(super) authenticators: Vec<Handler>,
    pub(super) authorizer: Option<Handler>,
    pub(super) mutators: Vec<Handler>,
    /// Absent: the fallback of the configuration is asked.
    pub(super) errors: Vec<Handler>,
    pub(super) upstream: Destination,
    /// Keys that Oathkeeper ignores without a word.
    pub(super) unknown: Vec<String>,
}

/// Oathkeeper's configuration, as far as it matters for rules and listeners.
#[derive(Debug, Default)]
pub(super) struct OathConfig {
    /// A configuration was given; without one every handler is taken for enabled.
    given: bool,
    pub(super) strategy: Strategy,
    pub(super) repositories: Vec<String>,
    /// What error handlers come after those of a rule.
    fallback: Vec<String>,
    handlers: HashMap<(Stage, String), (bool, Map<String, Value>)>,
    pub(super) serve: Value,
}

/// Reads files and notes what is wrong with them, for one complaint about all.
pub(super) struct Reader {
    report: Report,
    sources: Vec<Source>,
    next_node: u32,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { report: Report::default(), sources: Vec::new(), next_node: 0 }
    }

    /// Every fault of every file that was read.
    pub(super) fn finish(self) -> Result<(), Faults> {
        self.report.finish(&self.sources).0.map_or(Ok(()), Err)
    }

    fn file(&mut self, path: &Path) -> Option<Arc<Node>> {
        match (Files::disk().read)(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.text(path, text),
            Ok(Err(_)) => self.unreadable(path, "the file is not UTF-8"),
            Err(error) => self.unreadable(path, &format!("the file cannot be read: {error}")),
        }
    }

    fn unreadable(&mut self, path: &Path, why: &str) -> Option<Arc<Node>> {
        let file = self.begin(path, String::new());
        self.report.fault(Mark::whole(file), why);
        None
    }

    fn text(&mut self, path: &Path, text: String) -> Option<Arc<Node>> {
        let file = self.begin(path, text.clone());
        let mut report = Report::default();
        let root = node::parse(&text, file, &mut self.next_node, &mut report);
        let root = root.filter(|_| report.count() == 0).or_else(|| {
            // JSON has escapes that YAML has not.
            let value = serde_json::from_str::<Value>(&text).ok()?;
            Some(from_json(value, Mark { file, node: 0, line: 1, column: 1 }))
        });
        if root.is_none() {
            self.report.absorb(report);
        }
        let root = root.map(Arc::new);
        if let Some(source) = self.sources.last_mut() {
            source.root.clone_from(&root);
        }
        root
    }

    fn begin(&mut self, path: &Path, text: String) -> u32 {
        let file = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(Source { name: path.to_owned(), text, root: None, prefix: "" });
        file
    }

    /// Reads Oathkeeper's own configuration.
    pub(super) fn config(&mut self, path: &Path) -> OathConfig {
        let mut config = OathConfig { given: true, ..OathConfig::default() };
        let Some(root) = self.file(path) else { return config };
        if !matches!(root.kind, Kind::Map(_) | Kind::Empty) {
            self.report.fault(root.mark, format!("Oathkeeper's configuration is a mapping, not {}", root.describe()));
            return config;
        }
        let rules = child(&root, "access_rules");
        if let Some(strategy) = rules.and_then(|rules| child(rules, "matching_strategy")) {
            match json(strategy).as_str() {
                Some("glob") => config.strategy = Strategy::Glob,
                Some("regexp" | "") => config.strategy = Strategy::Regexp,
                _ => self.report.fault(strategy.mark, "`matching_strategy` is `glob` or `regexp`"),
            }
        }
        if let Some(list) = rules.and_then(|rules| child(rules, "repositories")) {
            config.repositories = texts(&json(list));
        }
        for (key, stage) in [
            ("authenticators", Stage::Authenticators),
            ("authorizers", Stage::Authorizers),
            ("mutators", Stage::Mutators),
        ] {
            config.handlers(stage, child(&root, key));
        }
        let errors = child(&root, "errors");
        config.handlers(Stage::Errors, errors.and_then(|errors| child(errors, "handlers")));
        let fallback = errors.and_then(|errors| child(errors, "fallback")).map(|list| texts(&json(list)));
        config.fallback = fallback.unwrap_or_default();
        config.serve = child(&root, "serve").map(json).unwrap_or_default();
        config
    }

    /// Reads a file of rules: a list, or one rule.
    pub(super) fn rules(&mut self, path: &Path, config: &OathConfig) -> Vec<OathRule> {
        let root = self.file(path);
        self.list(path, root, config)
    }

    /// Reads the rules of `inline://…`, in base64.
    pub(super) fn inline(&mut self, encoded: &str, config: &OathConfig) -> Vec<OathRule> {
        let path = PathBuf::from("inline");
        let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let root = match decoded {
            Some(text) => self.text(&path, text),
            None => self.unreadable(&path, "the inline rules are not text in base64"),
        };
        self.list(&path, root, config)
    }

    fn list(&mut self, path: &Path, root: Option<Arc<Node>>, config: &OathConfig) -> Vec<OathRule> {
        let Some(root) = root else { return Vec::new() };
        let nodes = match &root.kind {
            Kind::Empty => &[][..],
            Kind::List(nodes) => nodes,
            Kind::Map(_) => std::slice::from_ref(&*root),
            Kind::Scalar(_) => {
                self.report.fault(root.mark, "a file of rules is a list of rules, or one rule");
                &[]
            }
        };
        let mut rules = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            match &node.kind {
                Kind::Map(_) => rules.push(self.rule(path, number, node, config)),
                Kind::Empty | Kind::List(_) | Kind::Scalar(_) => {
                    self.report.fault(node.mark, format!("a rule is a mapping, not {}", node.describe()));
                }
            }
        }
        rules
    }

    fn rule(&mut self, path: &Path, number: usize, node: &Node, config: &OathConfig) -> OathRule {
        const KNOWN: [&str; 11] = [
            "id",
            "version",
            "description",
            "match",
            "authenticators",
            "authorizer",
            "mutators",
            "errors",
            "upstream",
            // Before there were several of them.
            "mutator",
            "credentials_issuer",
        ];
        let id = child(node, "id").map(json).and_then(|id| text(&id)).filter(|id| !id.is_empty());
        let matching = child(node, "match").map(json).unwrap_or_default();
        let is_rpc = matching.get("full_method").is_some();
        let upstream = child(node, "upstream").map(json).unwrap_or_default();
        let mutators = ["mutators", "mutator", "credentials_issuer"].iter().find_map(|key| child(node, key));
        let keys = match &node.kind {
            Kind::Map(entries) => entries.iter().map(|entry| &*entry.key).collect(),
            Kind::Empty | Kind::List(_) | Kind::Scalar(_) => Vec::new(),
        };
        let unknown = keys.iter().filter(|key| !KNOWN.contains(key) && !key.starts_with("x_"));
        OathRule {
            id: id.unwrap_or_else(|| format!("rule-{}", number + 1)),
            place: format!("{}:{}", path.display(), node.mark.line),
            url: matching.get("url").and_then(text).filter(|_| !is_rpc),
            methods: matching.get("methods").map(texts).unwrap_or_default(),
            authenticators: self.handlers(Stage::Authenticators, child(node, "authenticators"), config),
            authorizer: self.handlers(Stage::Authorizers, child(node, "authorizer"), config).into_iter().next(),
            mutators: self.handlers(Stage::Mutators, mutators, config),
            errors: self.handlers(Stage::Errors, child(node, "errors"), config),
            upstream: Destination {
                url: upstream.get("url").and_then(text).unwrap_or_default(),
                preserve_host: upstream.get("preserve_host").and_then(Value::as_bool).unwrap_or_default(),
                strip_path: upstream.get("strip_path").and_then(text).unwrap_or_default(),
            },
            unknown: unknown.map(|key| (*key).to_owned()).collect(),
        }
    }

    /// Handlers in their order; a single one stands for a list of one.
    fn handlers(&mut self, stage: Stage, node: Option<&Node>, config: &OathConfig) -> Vec<Handler> {
        let Some(node) = node else { return Vec::new() };
        let nodes = match &node.kind {
            Kind::List(nodes) => nodes,
            Kind::Map(_) => std::slice::from_ref(node),
            Kind::Empty => &[],
            Kind::Scalar(_) => {
                self.report.fault(node.mark, "this is a handler, or a list of them: `handler` and `config`");
                &[]
            }
        };
        let mut handlers = Vec::new();
        for node in nodes {
            match child(node, "handler").map(json).and_then(|name| text(&name)) {
                Some(name) => handlers.push(config.handler(stage, &name, child(node, "config").map(json))),
                None => self.report.fault(node.mark, "this handler has no name: `handler` is missing"),
            }
        }
        handlers
    }
}

/// Oathkeeper merges mappings key by key, at any depth; a list or a scalar takes the place of the other.
fn merge(global: &mut Map<String, Value>, own: Map<String, Value>) {
    for (key, value) in own {
        match (global.get_mut(&key), value) {
            (Some(Value::Object(global)), Value::Object(own)) => merge(global, own),
            (_, value) => drop(global.insert(key, value)),
        }
    }
}

impl OathConfig {
    fn handlers(&mut self, stage: Stage, node: Option<&Node>) {
        let Some(Value::Object(handlers)) = node.map(json) else { return };
        for (name, handler) in handlers {
            let enabled = handler.get("enabled").is_some_and(|enabled| *enabled == Value::Bool(true));
            let config = handler.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
            self.handlers.insert((stage, name), (enabled, config));
        }
    }

    /// A handler of a rule: its own configuration over the global one of the same name.
    fn handler(&self, stage: Stage, name: &str, own: Option<Value>) -> Handler {
        let global = self.handlers.get(&(stage, name.to_owned()));
        let mut config = global.map(|(_, config)| config.clone()).unwrap_or_default();
        if let Some(Value::Object(own)) = own {
            merge(&mut config, own);
        }
        // Oathkeeper enables the error handler `json` itself.
        let is_on = global.is_some_and(|(enabled, _)| *enabled) || (stage == Stage::Errors && name == "json");
        Handler { name: name.to_owned(), config, disabled: self.given && !is_on }
    }

    /// The error handlers that come into question for a rule that has none of its own, in their order.
    pub(super) fn fallback(&self) -> Vec<Handler> {
        let names = if self.fallback.is_empty() { vec!["json".to_owned()] } else { self.fallback.clone() };
        names.iter().map(|name| self.handler(Stage::Errors, name, None)).collect()
    }

    /// The global configuration of a handler that is enabled.
    pub(super) fn enabled(&self, stage: Stage, name: &str) -> Option<&Map<String, Value>> {
        let (enabled, config) = self.handlers.get(&(stage, name.to_owned()))?;
        enabled.then_some(config)
    }
}

fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|entry| &*entry.key == key).map(|entry| &entry.value),
        Kind::Empty | Kind::List(_) | Kind::Scalar(_) => None,
    }
}

/// A value as JSON, plain scalars read as YAML 1.2 reads them.
pub(crate) fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Empty => Value::Null,
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => {
            entries.iter().map(|entry| (entry.key.to_string(), json(&entry.value))).collect::<Map<_, _>>().into()
        }
        Kind::Scalar(scalar) if !scalar.plain => Value::String(scalar.text.to_string()),
        Kind::Scalar(scalar) => match &*scalar.text {
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            text => match serde_json::from_str::<serde_json::Number>(text) {
                Ok(number) => Value::Number(number),
                Err(_) => Value::String(text.to_owned()),
            },
        },
    }
}

fn from_json(value: Value, mark: Mark) -> Node {
    use crate::config::node::{Entry, Scalar};
    let kind = match value {
        Value::Null => Kind::Empty,
        Value::Array(items) => Kind::List(items.into_iter().map(|item| from_json(item, mark)).collect()),
        Value::Object(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry { mark, key: key.into(), value: from_json(value, mark) })
                .collect(),
        ),
        Value::String(text) => Kind::Scalar(Scalar { text: text.into(), plain: false, offset: None }),
        Value::Bool(_) | Value::Number(_) => {
            Kind::Scalar(Scalar { text: value.to_string().into(), plain: true, offset: None })
        }
    };
    Node { mark, kind }
}

/// A scalar as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A list of texts, or a single one.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        value => text(value).into_iter().collect(),
    }
}
