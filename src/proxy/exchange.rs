//! What is known of one request while it passes: the engine carries it from phase to phase.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method};
use smallvec::SmallVec;

use crate::decision::cors::Cors;
use crate::decision::decide::Permit;
use crate::decision::dress;
use crate::decision::edits::Stamps;
use crate::decision::origin::Origin;
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::{RequestView, Scheme};
use crate::decision::rule::{Rule, Target};
use crate::decision::session::Session;
use crate::gate::Verdict;
use crate::proxy::body::HeldBody;
use crate::proxy::client_kind::ClientKind;
use crate::proxy::in_flight::UnderWay;
use crate::proxy::request_id::RequestId;
use crate::proxy::respond::{Place, RefusalContext, Response, respond};
use crate::proxy::upstream::Picked;
use crate::sessions::ending::PendingEnding;
use crate::telemetry::InFlight as Counted;

/// One request and its answer.
pub(crate) struct Exchange {
    /// The one policy that this request sees from start to end, whatever is reloaded meanwhile.
    pub(super) policy: Arc<Policy>,
    pub(super) started: Instant,
    pub(super) id: RequestId,
    pub(super) client: ClientKind,
    pub(super) origin: Option<Origin>,
    pub(super) asked: Option<Asked>,
    pub(super) rule: Option<Arc<Rule>>,
    pub(super) session: Option<Arc<Session>>,
    /// Without one nothing connects upstream.
    pub(super) permit: Option<Permit>,
    pub(super) stamps: Stamps,
    /// Where the client is sent, where the rule sends it somewhere.
    pub(super) location: Option<HeaderValue>,
    /// Session cookies that whoami gave and the client must get.
    pub(super) set_cookies: Vec<HeaderValue>,
    /// The id of the refusal that was answered.
    pub(super) refusal: Option<&'static str>,
    /// What is forgotten when this exchange ends, however it ends.
    pub(super) ending: Option<PendingEnding>,
    /// Whether this is a whoami on its way to Kratos, whose 401 is as good as one of our own.
    pub(super) is_whoami: bool,
    /// A body that must be read before it is passed on.
    pub(super) held: Option<HeldBody>,
    pub(super) body_bytes: u64,
    /// The endpoint in use.
    pub(super) picked: Option<Picked>,
    /// The endpoints that this request already tried, by number.
    pub(super) tried: SmallVec<[usize; 4]>,
    _under_way: (UnderWay, Counted),
}

/// What a request asked for, kept beyond the life of its [`RequestView`].
pub(super) struct Asked {
    pub(super) scheme: Scheme,
    host: Box<str>,
    /// As a Host header says it.
    authority: Box<str>,
    /// Path and query as sent.
    pub(super) origin_form: Box<str>,
}

impl Asked {
    pub(super) fn of(view: &RequestView<'_>) -> Self {
        Self {
            scheme: view.scheme(),
            host: view.host().name().into(),
            authority: view.host().to_string().into(),
            origin_form: view.origin_form().into(),
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { scheme: self.scheme, host: &self.host, authority: &self.authority, origin_form: &self.origin_form }
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Path as sent, without the query.
    pub(super) fn path(&self) -> &str {
        self.origin_form.split('?').next().unwrap_or_default()
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.origin_form.split_once('?').map(|(_, query)| query)
    }
}

impl Exchange {
    pub(super) fn new(policy: Arc<Policy>, under_way: UnderWay, counted: Counted) -> Self {
        Self {
            policy,
            started: Instant::now(),
            id: RequestId::unknown(),
            client: ClientKind::default(),
            origin: None,
            asked: None,
            rule: None,
            session: None,
            permit: None,
            stamps: Arc::new([]),
            location: None,
            set_cookies: Vec::new(),
            refusal: None,
            ending: None,
            is_whoami: false,
            held: None,
            body_bytes: 0,
            picked: None,
            tried: SmallVec::new(),
            _under_way: (under_way, counted),
        }
    }

    /// Takes over what the gate decided.
    ///
    /// # Errors
    /// The refusal, where it decided against the request.
    pub(super) fn take(&mut self, verdict: Verdict) -> Result<(), Refusal> {
        self.rule = verdict.rule;
        self.session = verdict.session;
        self.set_cookies = verdict.set_cookies;
        let passage = verdict.outcome?;
        self.permit = Some(passage.permit);
        self.stamps = passage.stamps;
        self.location = passage.location;
        Ok(())
    }

    /// What pages of other origins may do with the answer, where a rule says so.
    pub(super) fn cors(&self) -> Option<&Cors> {
        self.rule.as_ref()?.cors.as_ref()
    }

    /// The name of the upstream that it may go to.
    pub(super) fn upstream(&self) -> Option<&str> {
        match self.permit.as_ref()?.target()? {
            Target::Kratos(upstream) | Target::Service(upstream) => Some(&upstream.name),
            Target::Keys | Target::Pages | Target::Redirect(_) => None,
        }
    }

    /// What the client sees of a refusal.
    pub(super) fn answer(&self, refusal: &Refusal, method: &Method, headers: &HeaderMap) -> Response {
        let from = self.origin.as_ref().map(|origin| origin.client);
        let chosen = self.rule.as_ref().map(|rule| rule.on_refusal.choose(refusal, headers, from));
        respond(
            refusal,
            &RefusalContext {
                login: &self.policy.login,
                public_url: self.policy.public_url.as_ref(),
                method,
                client: self.client,
                dress: chosen.unwrap_or(&dress::AUTO),
                place: self.asked.as_ref().map(Asked::place),
                request_id: self.id.as_str(),
            },
        )
    }

    /// Forgets what this exchange ends. Called before the first byte of an answer, and again when all is over.
    pub(super) fn finish_ending(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.finish();
        }
    }
}
