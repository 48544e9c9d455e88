//! Error handlers, as a list of what is done about which refusal.

use serde_json::{Map, Value, json};

use super::source::{Handler, OathConfig, OathRule, text, texts};
use super::tokens::plain;

/// What the error handlers of a rule come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    /// In the order in which they are tried; the last one always fits.
    pub(super) list: Vec<Value>,
    /// All of it in one word, where browsers are sent to `login` and nothing else is said.
    pub(super) word: Option<&'static str>,
    /// Where browsers without a session are sent.
    pub(super) login: Option<String>,
    /// What cannot be said.
    pub(super) dropped: Vec<String>,
    /// What is meant otherwise.
    pub(super) improved: Vec<String>,
}

/// The rule's own error handlers come first, then those of the configuration.
pub(super) fn refusals(rule: &OathRule, config: &OathConfig) -> Refusals {
    let mut refusals = Refusals::default();
    let fallback = config.fallback();
    for handler in rule.errors.iter().chain(&fallback).filter(|handler| !handler.disabled) {
        if refusals.handler(handler) {
            break;
        }
    }
    if refusals.list.last().is_none_or(is_conditional) {
        refusals.list.push(json!("json"));
    }
    refusals.sum_up();
    refusals
}

fn is_conditional(entry: &Value) -> bool {
    ["status", "accept", "from"].iter().any(|key| entry.get(key).is_some())
}

impl Refusals {
    /// Takes a handler over; whether it always fits, so that none comes after it.
    fn handler(&mut self, handler: &Handler) -> bool {
        let action = match handler.name.as_str() {
            "json" => Map::from_iter([("then".to_owned(), json!("json"))]),
            "redirect" => self.redirect(handler),
            "www_authenticate" => {
                let realm = handler.config.get("realm").and_then(text);
                let realm = realm.unwrap_or_else(|| "Please authenticate.".to_owned());
                Map::from_iter([
                    ("then".to_owned(), json!("www_authenticate")),
                    ("realm".to_owned(), json!(plain(&realm))),
                ])
            }
            name => {
                self.dropped.push(format!("the error handler `{name}` has nothing like it here"));
                return false;
            }
        };
        let whens = handler.config.get("when").and_then(Value::as_array).cloned().unwrap_or_default();
        if whens.is_empty() {
            self.add(Map::new(), &action, handler);
            return true;
        }
        let mut always = false;
        for when in &whens {
            if let Some(conditions) = self.conditions(when) {
                always |= conditions.is_empty();
                self.add(conditions, &action, handler);
            }
        }
        always
    }

    fn redirect(&mut self, handler: &Handler) -> Map<String, Value> {
        let to = handler.config.get("to").and_then(text).unwrap_or_default();
        let code = handler.config.get("code").and_then(text).and_then(|code| code.parse::<u16>().ok()).unwrap_or(302);
        let parameter = handler.config.get("return_to_query_param").and_then(text).unwrap_or_default();
        self.improved.push("only requests that are safe to repeat are redirected".to_owned());
        Map::from_iter([
            ("then".to_owned(), json!("redirect")),
            ("to".to_owned(), json!(plain(&to))),
            ("code".to_owned(), json!(code)),
            ("return_to".to_owned(), json!(plain(&parameter))),
        ])
    }

    /// The conditions of one `when`; nothing where one of them cannot be said.
    fn conditions(&mut self, when: &Value) -> Option<Map<String, Value>> {
        let mut conditions = Map::new();
        let errors = when.get("error").map(texts).unwrap_or_default();
        let status = |error: &String| match error.as_str() {
            "unauthorized" => Some(401),
            "forbidden" => Some(403),
            "not_found" => Some(404),
            "internal_server_error" => Some(500),
            _ => None,
        };
        if !errors.is_empty() {
            let statuses = errors.iter().filter_map(status).collect::<Vec<_>>();
            if statuses.is_empty() {
                self.dropped.push(format!("an error handler answers `{}`, which is no error", errors.join("`, `")));
                return None;
            }
            conditions.insert("status".to_owned(), json!(statuses));
        }
        let request = when.get("request").unwrap_or(&Value::Null);
        let accept = request.pointer("/header/accept").map(texts).unwrap_or_default();
        if !accept.is_empty() {
            conditions.insert("accept".to_owned(), json!(accept));
        }
        let from = request.pointer("/remote_ip/match").map(texts).unwrap_or_default();
        if !from.is_empty() {
            conditions.insert("from".to_owned(), json!(from));
        }
        if request.get("cidr").is_some() {
            self.improved.push("Oathkeeper never looked at `cidr`, and so it is left out: say it in `from`".to_owned());
        }
        if request.pointer("/header/content_type").is_some() {
            self.dropped
                .push("an error handler looks at `content_type`, which cannot be said; it is left out".to_owned());
            return None;
        }
        Some(conditions)
    }

    fn add(&mut self, conditions: Map<String, Value>, action: &Map<String, Value>, handler: &Handler) {
        if handler.name != "json" && !conditions.contains_key("status") {
            let why = format!("`{}` answered failures, too; here it answers 401 and 403", handler.name);
            self.improved.push(why);
        }
        self.list.push(if conditions.is_empty() && handler.name == "json" {
            json!("json")
        } else {
            Value::Object(conditions.into_iter().chain(action.clone()).collect())
        });
    }

    /// Says it in one word, where one will do.
    fn sum_up(&mut self) {
        match self.list.as_slice() {
            [Value::String(_)] => self.word = Some("json"),
            // Browsers are sent to the login: what `auto` does of itself.
            [Value::Object(redirect), Value::String(_)]
                if redirect.get("then") == Some(&json!("redirect"))
                    && matches!(redirect.get("return_to").and_then(Value::as_str), Some("" | "return_to"))
                    && is_for_browsers(redirect) =>
            {
                self.word = Some("auto");
                self.login = redirect.get("to").and_then(text);
                self.improved.clear();
                if lists(redirect, "status", "403").unwrap_or(true) {
                    let why = "whoever is signed in and still refused is told so, not sent to sign in again";
                    self.improved.push(why.to_owned());
                }
            }
            _ => {}
        }
    }
}

/// Whether a condition names this among others; nothing where there is no such condition.
fn lists(conditions: &Map<String, Value>, key: &str, wanted: &str) -> Option<bool> {
    conditions.get(key).map(|value| texts(value).iter().any(|text| text == wanted))
}

/// Whether the conditions are those under which `auto` redirects: a session is missing, and a page is wanted.
fn is_for_browsers(conditions: &Map<String, Value>) -> bool {
    let lists_only = |key: &str, known: &[&str]| match conditions.get(key) {
        None => true,
        Some(value) => texts(value).iter().all(|text| known.contains(&text.as_str())),
    };
    lists_only("status", &["401", "403"])
        && lists(conditions, "status", "401").unwrap_or(true)
        && lists_only("accept", &["text/html", "text/*"])
        && lists(conditions, "accept", "text/html").unwrap_or(false)
        && !conditions.contains_key("from")
}
