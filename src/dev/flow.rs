//! Self-service flows: a form on its way from "please choose" to "done".

use chrono::DateTime;
use chrono::Duration;
use chrono::Utc;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::body::Body;
use super::identity::stamp;
use super::node;
use super::node::Node;
use super::secret::CsrfSecret;
use super::session::Aal;
use super::text;

/// What a flow is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Login,
    Registration,
    Settings,
    Recovery,
    Verification,
}

impl Kind {
    /// As in paths, pages and messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Registration => "registration",
            Self::Settings => "settings",
            Self::Recovery => "recovery",
            Self::Verification => "verification",
        }
    }
}

/// How far a flow has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    ChooseMethod,
    SentEmail,
    PassedChallenge,
    ShowForm,
    Success,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::ChooseMethod => "choose_method",
            Self::SentEmail => "sent_email",
            Self::PassedChallenge => "passed_challenge",
            Self::ShowForm => "show_form",
            Self::Success => "success",
        }
    }
}

/// A code or a link that was mailed, and whom it lets in.
#[derive(Clone)]
pub(super) struct Challenge {
    pub(super) secret: String,
    pub(super) is_link: bool,
    /// None when nobody has the address: then no secret is right.
    pub(super) identity: Option<Uuid>,
    pub(super) address: String,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) wrong_answers: u32,
}

/// Who opened a flow: a browser, bound to its CSRF cookie, or a native client.
#[derive(Clone, Copy)]
pub(super) enum Opener {
    Browser(CsrfSecret),
    Native,
}

/// A flow. No `Debug`: it holds secrets of the challenge under way.
#[derive(Clone)]
pub(super) struct Flow {
    pub(super) id: Uuid,
    pub(super) kind: Kind,
    pub(super) opener: Opener,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) request_url: String,
    pub(super) return_to: Option<String>,
    pub(super) state: State,
    pub(super) active: Option<String>,
    pub(super) messages: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    /// Login: confirm who is signed in already.
    pub(super) refresh: bool,
    /// Login: the level to reach.
    pub(super) requested_aal: Aal,
    /// Settings: whose; other kinds: none.
    pub(super) identity: Option<Uuid>,
    pub(super) challenge: Option<Challenge>,
    /// Settings: a second factor that is offered, not yet confirmed.
    pub(super) pending_totp: Option<String>,
    pub(super) pending_backup_codes: Vec<String>,
    /// The first half of a session token exchange.
    pub(super) exchange_code: Option<String>,
    pub(super) continue_with: Vec<Value>,
}

impl Flow {
    /// From now on the flow waits for what was mailed to `address`; nobody may have it.
    pub(super) fn await_mail(
        &mut self,
        secret: String,
        is_link: bool,
        identity: Option<Uuid>,
        address: &str,
        expires_at: DateTime<Utc>,
    ) {
        let address = address.to_owned();
        self.challenge = Some(Challenge { secret, is_link, identity, address, expires_at, wrong_answers: 0 });
        self.state = State::SentEmail;
        let method = if is_link { "link" } else { "code" };
        self.active = Some(method.to_owned());
        self.messages = vec![text::mail_sent(self.kind, method)];
    }

    pub(super) fn new(kind: Kind, opener: Opener, request_url: String, now: DateTime<Utc>, lifespan: Duration) -> Self {
        Self {
            id: Uuid::new_v4(),
            kind,
            opener,
            issued_at: now,
            expires_at: now + lifespan,
            request_url,
            return_to: None,
            state: if kind == Kind::Settings { State::ShowForm } else { State::ChooseMethod },
            active: None,
            messages: Vec::new(),
            nodes: Vec::new(),
            refresh: false,
            requested_aal: Aal::One,
            identity: None,
            challenge: None,
            pending_totp: None,
            pending_backup_codes: Vec::new(),
            exchange_code: None,
            continue_with: Vec::new(),
        }
    }

    pub(super) fn is_native(&self) -> bool {
        matches!(self.opener, Opener::Native)
    }

    /// Forgets what an earlier submit complained about and shows again what was typed, secrets excepted.
    pub(super) fn refill(&mut self, body: &Body) {
        self.messages.clear();
        for node in &mut self.nodes {
            node.clear_messages();
            for name in ["identifier", "email"] {
                if node.is_called(name)
                    && self.challenge.is_none()
                    && let Some(text) = body.text(name)
                {
                    node.set_value(text);
                }
            }
            for (name, pointer) in
                [("traits.email", "/email"), ("traits.name.first", "/name/first"), ("traits.name.last", "/name/last")]
            {
                let typed = body.field("traits").and_then(|traits| traits.pointer(pointer)).and_then(Value::as_str);
                if node.is_called(name)
                    && let Some(typed) = typed
                {
                    node.set_value(typed);
                }
            }
        }
    }

    /// Puts a message at the node it is about, or above the form if there is no such node.
    pub(super) fn complain(&mut self, about: &str, message: Value) {
        match self.nodes.iter_mut().find(|node| node.is_called(about)) {
            Some(node) => node.add_message(message),
            None => self.messages.push(message),
        }
    }

    /// The flow as JSON. `base` is the base URL without its last slash; `identity` is the settings flow's.
    pub(super) fn view(&self, base: &str, identity: Option<Value>) -> Value {
        let csrf = match self.opener {
            Opener::Browser(secret) => node::csrf(&secret.masked()),
            Opener::Native => node::csrf(""),
        };
        let nodes: Vec<Value> = std::iter::once(&csrf).chain(&self.nodes).map(Node::view).collect();
        let mut ui = json!({
            "action": format!("{base}/self-service/{}?flow={}", self.kind.name(), self.id),
            "method": "POST",
            "nodes": nodes,
        });
        if !self.messages.is_empty() {
            ui["messages"] = json!(self.messages);
        }
        let mut view = json!({
            "id": self.id,
            "type": if self.is_native() { "api" } else { "browser" },
            "issued_at": stamp(self.issued_at),
            "expires_at": stamp(self.expires_at),
            "request_url": self.request_url,
            "ui": ui,
            "state": self.state.name(),
        });
        if let Some(return_to) = &self.return_to {
            view["return_to"] = json!(return_to);
        }
        if let Some(active) = &self.active {
            view["active"] = json!(active);
        }
        if let Some(code) = &self.exchange_code {
            view["session_token_exchange_code"] = json!(code);
        }
        match self.kind {
            Kind::Login => {
                view["organization_id"] = Value::Null;
                view["created_at"] = json!(stamp(self.issued_at));
                view["updated_at"] = json!(stamp(self.issued_at));
                view["refresh"] = json!(self.refresh);
                view["requested_aal"] = json!(self.requested_aal.name());
            }
            Kind::Registration => view["organization_id"] = Value::Null,
            Kind::Settings => {
                view["organization_id"] = Value::Null;
                view["identity"] = identity.unwrap_or_default();
            }
            Kind::Recovery | Kind::Verification => {}
        }
        if !self.continue_with.is_empty() {
            view["continue_with"] = json!(self.continue_with);
        }
        view
    }
}
