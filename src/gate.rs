//! The one path from a request to a decision, shared by the proxy, the decision API and `explain`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::decision::cors::{AnswerHeaders, Preflight};
use crate::decision::credentials::Credentials;
use crate::decision::decide::{Captured, Decision, FRESH, Need, Permit, decide, needs, scope};
use crate::decision::edits::Stamps;
use crate::decision::index::Found;
use crate::decision::pattern::Methods;
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::{RequestView, is_forbidden_method};
use crate::decision::rule::Rule;
use crate::decision::session::{Answer, Caller, Session};
use crate::sessions::{Resolved, Sessions};

/// Who can say who asks.
pub enum WhoAsks<'s> {
    /// Kratos, through the cache.
    Sessions(&'s Sessions),
    /// Nobody is asked: the answer is supposed, for `explain`.
    Supposed(Answer),
}

/// What became of a request.
pub struct Verdict {
    /// The rule that owns it, where one does.
    pub rule: Option<Arc<Rule>>,
    pub captures: Captured,
    pub outcome: Result<Passage, Refusal>,
    /// Who asked, where it was found out: for the log, also of refused requests.
    pub session: Option<Arc<Session>>,
    /// Session cookies that whoami gave and the client must get.
    pub set_cookies: Vec<HeaderValue>,
}

/// A permit, and the headers that go with it.
#[derive(Debug)]
pub struct Passage {
    pub permit: Permit,
    pub stamps: Stamps,
}

impl Verdict {
    /// Nobody was asked who asks.
    pub(crate) fn refused(rule: Option<Arc<Rule>>, refusal: Refusal) -> Self {
        Self { rule, captures: Vec::new(), outcome: Err(refusal), session: None, set_cookies: Vec::new() }
    }
}

/// Decides one request: rule, credential, caller, decision, and the headers to set.
pub async fn judge(policy: &Policy, request: &RequestView<'_>, who: &WhoAsks<'_>) -> Verdict {
    if is_forbidden_method(request.method()) {
        return Verdict::refused(None, Refusal::MethodNotListed(HeaderValue::from_static("")));
    }
    let (rule, captures) = match policy.index.find(request) {
        Found::Owner { owner, captures } => {
            let owned = captures.iter().map(|(name, value)| (name.into(), value.into())).collect::<Captured>();
            (policy.rule(owner), owned)
        }
        Found::MethodNotListed { allow } => {
            return Verdict::refused(None, method_not_listed(allow));
        }
        Found::Nothing => return Verdict::refused(None, Refusal::NoRule),
        Found::Ambiguous(ambiguous) => return Verdict::refused(None, Refusal::Ambiguous(ambiguous)),
    };
    let credentials = Credentials::find(request.headers(), &policy.sources);
    let mut resolved = match (needs(rule, who.presents(&credentials)), who) {
        (Need::Nothing, _) => Resolved::from(Answer::fresh(Caller::Anonymous)),
        (Need::Caller { within }, who) => who.resolve(&credentials, within, rule).await,
    };
    let mut decision = decide(rule, &resolved.answer, &scope(&resolved.answer, request, &captures), SystemTime::now());
    if matches!(decision, Decision::AskAnew) {
        let set_cookies = std::mem::take(&mut resolved.set_cookies);
        resolved = who.resolve(&credentials, Some(FRESH), rule).await;
        resolved.set_cookies.extend(set_cookies);
        // An answer that had to be waited for longer than that is still the newest there can be.
        resolved.answer.age = Duration::ZERO;
        decision = decide(rule, &resolved.answer, &scope(&resolved.answer, request, &captures), SystemTime::now());
    }
    let outcome = match decision {
        Decision::Permit(permit) => {
            let stamps = resolved.stamps(policy, &permit, &scope(&resolved.answer, request, &captures));
            Ok(Passage { permit, stamps })
        }
        Decision::Refuse(refusal) => Err(refusal),
        // The second answer is fresh by construction; were it not, nobody may pass on it.
        Decision::AskAnew => Err(Refusal::Outage),
    };
    let session = resolved.answer.caller.session().cloned();
    Verdict { rule: Some(Arc::clone(rule)), captures, outcome, session, set_cookies: resolved.set_cookies }
}

/// What a browser's preflight is answered.
pub struct Preflighted {
    /// The rule that answers it, where one does.
    pub rule: Option<Arc<Rule>>,
    pub outcome: Result<AnswerHeaders, Refusal>,
}

/// Answers a preflight where the rule that owns the request to follow has `cors`; nothing otherwise, and the request
/// is then one like any other. A preflight carries no credential, so it is answered before anybody is asked about.
pub fn preflight(policy: &Policy, request: &RequestView<'_>) -> Option<Preflighted> {
    let preflight = Preflight::of(request.method(), request.headers())?;
    match policy.index.find(&request.with_method(&preflight.method)) {
        Found::Owner { owner, .. } => {
            let rule = policy.rule(owner);
            let outcome = rule.cors.as_ref()?.preflight(&preflight).ok_or(Refusal::CrossOrigin);
            Some(Preflighted { rule: Some(Arc::clone(rule)), outcome })
        }
        Found::MethodNotListed { allow } => {
            // The rule that lists OPTIONS must not answer for a method that none lists.
            let Found::Owner { owner, .. } = policy.index.find(request) else { return None };
            policy.rule(owner).cors.as_ref()?;
            Some(Preflighted { rule: None, outcome: Err(method_not_listed(allow)) })
        }
        Found::Ambiguous(_) | Found::Nothing => None,
    }
}

fn method_not_listed(allow: &Methods) -> Refusal {
    Refusal::MethodNotListed(HeaderValue::try_from(allow.to_string()).unwrap_or(HeaderValue::from_static("")))
}

impl WhoAsks<'_> {
    /// Whether there is anything to ask about. A supposed session stands for a credential.
    fn presents(&self, credentials: &Credentials<'_>) -> bool {
        match self {
            Self::Sessions(_) => !credentials.is_empty(),
            Self::Supposed(answer) => !matches!(answer.caller, Caller::Anonymous),
        }
    }

    async fn resolve(&self, credentials: &Credentials<'_>, within: Option<Duration>, rule: &Rule) -> Resolved {
        match self {
            Self::Sessions(sessions) => sessions.resolve(credentials, within, rule.reads_facts()).await,
            Self::Supposed(answer) => Resolved::from(answer.clone()),
        }
    }
}
