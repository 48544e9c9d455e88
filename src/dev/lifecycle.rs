//! What all flows have in common: how they start, are read, submitted, refused and replaced.

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Halt;
use super::answer::Outcome;
use super::body::Body;
use super::flow::Flow;
use super::flow::Kind;
use super::flow::Opener;
use super::identity::stamp;
use super::login;
use super::recovery;
use super::registration;
use super::session::Aal;
use super::settings;
use super::text;
use super::verification;
use super::visit::Visit;
use super::world::World;

const AJAX_HINT: &str = "We detected an AJAX call, please ensure that CORS is enabled and configured correctly, and that \
                         your AJAX code sends cookies and has credentials enabled. For further debugging, check your \
                         Browser's Network Tab to see what cookies are included or excluded.";
const BROWSER_HINT: &str = "We detected a regular browser or server-side call. To debug browser calls check your \
                            Browser's Network Tab to see what cookies are included or excluded. If you are calling \
                            from a server ensure that the appropriate cookies are being forwarded and that the SDK \
                            method is called correctly.";

impl World {
    /// A new, empty flow for `visit`, with its `return_to` checked.
    pub(super) fn new_flow(&self, visit: &Visit, kind: Kind, native: bool) -> Result<Flow, Fault> {
        let opener = if native { Opener::Native } else { Opener::Browser(visit.csrf) };
        let mut flow = Flow::new(kind, opener, visit.request_url(), visit.now, self.lifespans.flow);
        flow.return_to = self.return_to(visit)?;
        if native
            && matches!(kind, Kind::Login | Kind::Registration)
            && visit.query("return_session_token_exchange_code").as_deref() == Some("true")
        {
            flow.exchange_code = Some(self.open_exchange());
        }
        Ok(flow)
    }

    /// Shows a flow as its client likes it: JSON, or the page.
    pub(super) fn show(&self, visit: &Visit, flow: &Flow) -> Answer {
        self.keep_flow(flow);
        if flow.is_native() || visit.wants_json() {
            Answer::ok(&self.view(flow))
        } else {
            Answer::see_other(&self.flow_page(flow))
        }
    }

    /// `GET …/flows?id=`, but for the session checks of settings.
    pub(super) fn read_flow(&self, visit: &Visit, kind: Kind) -> Result<Flow, Halt> {
        let id = visit.query("id").and_then(|id| Uuid::parse_str(&id).ok()).ok_or_else(Fault::unknown_resource)?;
        let flow = self.flow(id, kind).ok_or_else(Fault::unknown_resource)?;
        if let Opener::Browser(secret) = flow.opener
            && visit.csrf_sent != Some(secret)
        {
            return Err(self.csrf_fault(visit, true).into());
        }
        if flow.expires_at < visit.now {
            let name = kind.name();
            let reason = format!(
                "The {name} flow has expired. Redirect the user to the {name} flow init endpoint to initialize a new \
                 {name} flow."
            );
            let details = match flow.opener {
                Opener::Browser(_) => json!({
                    "redirect_to": format!("{}/self-service/{name}/browser", self.base()),
                    "return_to": flow.return_to.unwrap_or_default(),
                }),
                Opener::Native => json!({ "api": format!("{}/self-service/{name}/api", self.base()) }),
            };
            return Err(Fault::flow_gone(reason, details).into());
        }
        Ok(flow)
    }

    pub(super) fn read(&self, visit: &Visit, kind: Kind) -> Outcome {
        let flow = self.read_flow(visit, kind)?;
        Ok(Answer::ok(&self.view(&flow)))
    }

    /// The flow that a submit names, whatever its age.
    pub(super) fn submitted_flow(&self, visit: &mut Visit, kind: Kind) -> Result<Flow, Halt> {
        let id = visit.query("flow").and_then(|id| Uuid::parse_str(&id).ok());
        let id = id.ok_or_else(|| Fault::bad_request("The flow query parameter is missing or malformed."))?;
        let flow = self.flow(id, kind).ok_or_else(Fault::unknown_resource)?;
        if flow.is_native() {
            visit.withdraw_csrf_cookie();
        }
        Ok(flow)
    }

    /// Checks that a submit may go on: the flow is young, the body readable, and no other site sent it.
    pub(super) fn check_submit(&self, visit: &Visit, mut flow: Flow) -> Result<(Flow, Body), Halt> {
        if flow.expires_at < visit.now {
            return Err(Halt::from(self.replace_expired(visit, &flow)));
        }
        let content_type = visit.header("content-type").unwrap_or_default();
        let body = match Body::parse(content_type, &visit.body) {
            Ok(body) => body,
            Err(reason) => return Err(self.refuse(visit, flow, &Body::default(), "", text::generic(&reason))),
        };
        if flow.is_native() {
            let key = match () {
                () if visit.headers.contains_key("origin") => Some("Origin"),
                () if visit.has_browser_cookies() => Some("Cookie"),
                () => None,
            };
            if let Some(key) = key {
                let reason = format!(
                    "The HTTP Request Header included the \"{key}\" key, indicating that this request was made by a \
                     Browser. The flow however was initiated as an API request. To prevent potential misuse and \
                     mitigate several attack vectors including CSRF, the request has been blocked. Please consult the \
                     documentation."
                );
                return Err(self.refuse(visit, flow, &Body::default(), "", text::generic(&reason)));
            }
        } else {
            let token = body.text("csrf_token").or_else(|| visit.header("x-csrf-token"));
            if !visit.csrf_sent.zip(token).is_some_and(|(secret, token)| secret.matches(token)) {
                return Err(self.csrf_fault(visit, token.is_some()).into());
            }
        }
        flow.active = body.text("method").map(str::to_owned).or(flow.active);
        Ok((flow, body))
    }

    /// Says no to a submit: the flow comes back with `message` at the node called `about`, or above the form.
    pub(super) fn refuse(&self, visit: &Visit, flow: Flow, body: &Body, about: &str, message: Value) -> Halt {
        self.refuse_all(visit, flow, body, vec![(about.to_owned(), message)])
    }

    pub(super) fn refuse_all(
        &self,
        visit: &Visit,
        mut flow: Flow,
        body: &Body,
        complaints: Vec<(String, Value)>,
    ) -> Halt {
        flow.refill(body);
        for (about, message) in complaints {
            flow.complain(&about, message);
        }
        self.keep_flow(&flow);
        Halt::from(if flow.is_native() || visit.wants_json() {
            Answer::json(http::StatusCode::BAD_REQUEST, &self.view(&flow))
        } else if flow.kind == Kind::Registration {
            Answer::found(&self.flow_page(&flow))
        } else {
            Answer::see_other(&self.flow_page(&flow))
        })
    }

    /// A submit came too late: a fresh flow takes the old one's place and says so.
    fn replace_expired(&self, visit: &Visit, old: &Flow) -> Answer {
        let opener = if old.is_native() { Opener::Native } else { Opener::Browser(visit.csrf) };
        let mut flow = Flow::new(old.kind, opener, old.request_url.clone(), visit.now, self.lifespans.flow);
        flow.return_to.clone_from(&old.return_to);
        flow.refresh = old.refresh;
        flow.requested_aal = old.requested_aal;
        flow.identity = old.identity;
        self.populate(visit, &mut flow);
        flow.messages = vec![text::expired(old.kind, old.expires_at, visit.now)];
        self.keep_flow(&flow);
        let json = flow.is_native() || visit.wants_json();
        match old.kind {
            Kind::Recovery | Kind::Verification if json => {
                Answer::see_other(&format!("{}/self-service/{}/flows?id={}", self.base(), flow.kind.name(), flow.id))
            }
            Kind::Login | Kind::Registration | Kind::Settings if json => {
                let since = visit.now - old.expires_at;
                let minutes = text::minutes(since);
                let reason = format!("The self-service flow expired {minutes:.2} minutes ago, initialize a new one.");
                Fault::flow_expired(reason)
                    .beside("expired_at", json!(stamp(old.expires_at)))
                    .beside("since", json!(since.num_nanoseconds()))
                    .beside("use_flow_id", json!(flow.id))
                    .answer(visit.request_id())
            }
            Kind::Login | Kind::Registration | Kind::Settings | Kind::Recovery | Kind::Verification => {
                Answer::see_other(&self.flow_page(&flow))
            }
        }
    }

    /// Fills in the nodes of a flow that has just begun.
    pub(super) fn populate(&self, visit: &Visit, flow: &mut Flow) {
        match flow.kind {
            Kind::Login => {
                let session = self.session_of(visit).filter(|_| flow.refresh || flow.requested_aal == Aal::Two);
                login::populate(flow, session.as_ref().map(|(_, identity)| identity));
            }
            Kind::Registration => registration::populate(flow),
            Kind::Settings => {
                if let Some(identity) = flow.identity.and_then(|id| self.identity(id)) {
                    settings::populate(flow, &identity);
                }
            }
            Kind::Recovery => recovery::populate(flow),
            Kind::Verification => verification::populate(flow),
        }
    }

    pub(super) fn csrf_fault(&self, visit: &Visit, token_sent: bool) -> Fault {
        let cookie_header = visit.headers.contains_key("cookie");
        let rejection = match (cookie_header, visit.csrf_sent, token_sent) {
            (false, ..) => "The HTTP Cookie Header is empty or not set.",
            (true, None, _) => "The HTTP Cookie Header was set but did not include the anti-CSRF cookie.",
            (true, Some(_), false) => {
                "The HTTP Cookie Header was set and a CSRF cookie was included but no CSRF token was sent."
            }
            (true, Some(_), true) => {
                "The HTTP Cookie Header was set and a CSRF token was sent but they do not match. We recommend \
                 deleting all cookies for this domain and retrying the flow."
            }
        };
        Fault::csrf(if visit.wants_json() { AJAX_HINT } else { BROWSER_HINT }, rejection)
    }

    /// Where a browser goes when `flow` is done.
    pub(super) fn destination(&self, flow: &Flow) -> String {
        flow.return_to.clone().unwrap_or_else(|| self.urls.default_return.to_string())
    }

    /// Where a visitor that is signed in already goes instead.
    pub(super) fn already_signed_in(&self, visit: &Visit, native: bool) -> Halt {
        if native || visit.wants_json() {
            return Fault::already_signed_in().into();
        }
        let destination = self.return_to(visit).ok().flatten();
        Halt::from(Answer::see_other(&destination.unwrap_or_else(|| self.urls.default_return.to_string())))
    }

    /// Lets the client that holds the other half of the codes have the session of this native flow.
    /// Returns the URL that brings it the second code, if the flow asked for an exchange and has a `return_to`.
    pub(super) fn fulfil_exchange(&self, flow: &Flow, session: Uuid) -> Option<Value> {
        let mut state = self.state();
        let exchange = state.exchanges.get_mut(flow.exchange_code.as_ref()?)?;
        exchange.session = Some(session);
        let mut url = url::Url::parse(flow.return_to.as_ref()?).ok()?;
        url.query_pairs_mut().append_pair("code", &exchange.return_to_code);
        Some(json!({ "action": "redirect_browser_to", "redirect_browser_to": url.as_str() }))
    }
}
