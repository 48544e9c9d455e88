//! The file of rule tests: what it says, or every fault of it with its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::{Expected, Test, Written};
use crate::cli::import::source::json as value_of;
use crate::config::Faults;
use crate::config::decode::{Decoder, items};
use crate::config::fault::Report;
use crate::config::node;
use crate::config::node::{Kind, Mark, Node};
use crate::config::source::{Contents, Files, Source};
use crate::config::units::Misread;
use crate::decision::refusal::Refusal;
use crate::gate::SupposedReplies;
use crate::ops::explain::{Supposed, Supposing, reply, tells};

/// The keys of the file, of a test, of its request and of what is expected.
const ROOT: &[&str] = &["config", "tests"];
const TEST: &[&str] = &["name", "request", "session", "answers", "expect"];
const REQUEST: &[&str] = &["method", "url", "headers"];
const EXPECT: &[&str] = &["rule", "outcome", "status", "refusal", "headers"];

const OUTCOMES: &[(&str, &str)] = &[("permit", "permit"), ("refuse", "refuse"), ("ask", "ask")];

/// Reads the tests. Files that they name are sought beside theirs.
pub(super) fn read(path: &Path) -> Result<Written, Faults> {
    let files = Files::disk();
    let mut source = Source { name: path.to_owned(), text: String::new(), root: None, prefix: "" };
    let mut decoder = Decoder {
        environment: &|name| std::env::var(name).ok(),
        files: &files,
        folder: path.parent().unwrap_or_else(|| Path::new("")).to_owned(),
        names: vec![path.to_owned()],
        contents: Contents::default(),
        report: Report::default(),
    };
    let mut next = 0;
    match decoder.read(path).map(String::from_utf8) {
        Err(error) => decoder.report.fault(Mark::whole(0), format!("the file cannot be read: {error}")),
        Ok(Err(_)) => decoder.report.fault(Mark::whole(0), "the file is not UTF-8"),
        Ok(Ok(text)) => {
            source.text = text;
            source.root = node::parse(&source.text, 0, &mut next, &mut decoder.report).map(Arc::new);
        }
    }
    let written = source.root.clone().and_then(|root| decoder.written(&root));
    match (written, decoder.report.finish(&[source]).0) {
        (Some(written), None) => Ok(written),
        (_, Some(faults)) => Err(faults),
        (None, None) => Ok(Written { config: PathBuf::new(), tests: Vec::new() }),
    }
}

impl Decoder<'_> {
    fn written(&mut self, root: &Node) -> Option<Written> {
        let fields = self.sections(root, ROOT)?;
        let config = self.required(&fields, "config").and_then(|node| self.text(node));
        let mut tests = Vec::new();
        for node in fields.get("tests").map(items).unwrap_or_default() {
            tests.extend(self.test(node));
        }
        if fields.get("tests").is_none() {
            self.report.fault(fields.mark, "there are no `tests`");
        }
        Some(Written { config: self.folder.join(config?), tests })
    }

    fn test(&mut self, node: &Node) -> Option<Test> {
        let fields = self.fields(node, TEST)?;
        let name = self.required(&fields, "name").and_then(|node| self.text(node));
        let request = self.required(&fields, "request").and_then(|node| self.request(node));
        let expected = self.required(&fields, "expect").and_then(|node| self.expected(node));
        let session = match fields.get("session") {
            Some(node) => Some(self.session(node)?),
            None => None,
        };
        let replies = fields.get("answers").map(|node| self.answers(node)).unwrap_or_default();
        let supposing = Supposing { session, replies };
        let (method, url, headers) = request?;
        Some(Test { name: name?, line: node.mark.line, method, url, headers, supposing, expected: expected? })
    }

    fn request(&mut self, node: &Node) -> Option<(Method, String, HeaderMap)> {
        let fields = self.fields(node, REQUEST)?;
        let method = match fields.get("method") {
            Some(node) => {
                self.parsed(node, |text| Method::from_bytes(text.as_bytes()).map_err(|_| Misread::new("is no method")))
            }
            None => Some(Method::GET),
        };
        let url = self.required(&fields, "url").and_then(|node| self.text(node));
        let mut headers = HeaderMap::new();
        for entry in fields.get("headers").and_then(|node| self.entries(node)).unwrap_or_default() {
            let Some(name) = self.key_header(entry.mark, &entry.key) else { continue };
            for node in items(&entry.value) {
                let value = self.parsed(node, |text| {
                    HeaderValue::from_str(text).map_err(|_| Misread::new("is no value of a header"))
                });
                if let Some(value) = value {
                    headers.append(name.clone(), value);
                }
            }
            if name == HOST && headers.get_all(HOST).iter().count() > 1 {
                self.report.fault(entry.mark, "a request has one host");
            }
        }
        Some((method?, url?, headers))
    }

    fn key_header(&mut self, mark: Mark, text: &str) -> Option<HeaderName> {
        let name = HeaderName::try_from(text).ok();
        if name.is_none() {
            self.report.fault(mark, format!("`{text}` is no name of a header"));
        }
        name
    }

    /// `none`, `step-up`, `down`, the name of a file, or a session itself. What a session leaves out is made up.
    fn session(&mut self, node: &Node) -> Option<Supposed> {
        let body = match &node.kind {
            Kind::Map(_) => {
                let mut session = value_of(node);
                if session.get("token").is_none() {
                    complete(&mut session);
                }
                session.to_string().into_bytes()
            }
            Kind::Scalar(_) => {
                let text = self.text(node)?;
                if let Some(supposed) = Supposed::parse(&text) {
                    return Some(supposed);
                }
                match self.read(&self.folder.join(&text)) {
                    Ok(body) => body,
                    Err(error) => {
                        let why = format!(
                            "`{text}` is none of `none`, `step-up`, `down`, and no file that can be read: {error}"
                        );
                        self.report.fault(node.mark, why);
                        return None;
                    }
                }
            }
            Kind::Empty | Kind::List(_) => {
                self.report
                    .fault(node.mark, format!("a session is a word, a file or a mapping, not {}", node.describe()));
                return None;
            }
        };
        match Supposed::session(&body) {
            Ok(supposed) => Some(supposed),
            Err(error) => {
                self.report.fault(node.mark, format!("no session: {error}"));
                None
            }
        }
    }

    /// By the name of the service: `allow`, `deny`, `silent`, or a mapping that an enricher would tell.
    fn answers(&mut self, node: &Node) -> SupposedReplies {
        let mut replies = SupposedReplies::new();
        for entry in self.entries(node).unwrap_or_default() {
            let answer = match &entry.value.kind {
                Kind::Scalar(_) => self.parsed(&entry.value, |text| {
                    reply(text).ok_or_else(|| Misread::new("is none of `allow`, `deny` and `silent`, and no mapping"))
                }),
                Kind::Empty | Kind::List(_) | Kind::Map(_) => Some(tells(&value_of(&entry.value))),
            };
            replies.extend(answer.map(|answer| (entry.key.clone(), answer)));
        }
        replies
    }

    fn expected(&mut self, node: &Node) -> Option<Expected> {
        let fields = self.sections(node, EXPECT)?;
        let mut expected = Expected::default();
        // A key without a value expects that there is none.
        if fields.mentions("rule") {
            expected.rule = Some(fields.get("rule").and_then(|node| self.text(node)));
        }
        if fields.mentions("refusal") {
            let id = fields.get("refusal").and_then(|node| {
                self.parsed(node, |text| {
                    let is_one = Refusal::IDS.contains(&text);
                    if is_one { Ok(text.to_owned()) } else { Err(Misread::new("is the id of no refusal")) }
                })
            });
            expected.refusal = Some(id);
        }
        expected.outcome = fields.get("outcome").and_then(|node| self.choice(node, OUTCOMES)).map(str::to_owned);
        let status = fields.get("status").and_then(|node| self.count(node, 100..=599));
        expected.status = status.and_then(|status| u16::try_from(status).ok());
        for entry in fields.get("headers").and_then(|node| self.entries(node)).unwrap_or_default() {
            if self.key_header(entry.mark, &entry.key).is_none() {
                continue;
            }
            let value = match entry.value.kind {
                Kind::Empty => None,
                Kind::List(_) | Kind::Map(_) | Kind::Scalar(_) => self.text(&entry.value),
            };
            expected.headers.push((entry.key.to_string(), value));
        }
        Some(expected)
    }
}

/// Makes up what a session has in any case, so that a test tells only what matters to it.
fn complete(session: &mut Value) {
    let defaults = json!({
        "id": "00000000-0000-4000-8000-000000000001",
        "active": true,
        "expires_at": "2999-01-01T00:00:00Z",
        "authenticated_at": chrono::Utc::now().to_rfc3339(),
        "authenticator_assurance_level": "aal1",
        "authentication_methods": [],
        "identity": {
            "id": "00000000-0000-4000-8000-000000000002",
            "traits": {},
            "metadata_public": null,
            "verifiable_addresses": [],
        },
    });
    fill(session, &defaults);
}

fn fill(value: &mut Value, defaults: &Value) {
    let (Value::Object(value), Value::Object(defaults)) = (value, defaults) else { return };
    for (key, default) in defaults {
        fill(value.entry(key.clone()).or_insert_with(|| default.clone()), default);
    }
}
