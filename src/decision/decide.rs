//! The decision itself: a pure function of rule, request and caller.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cel::Value;

use crate::decision::authenticate::Authenticator;
use crate::decision::call::{Enrichment, Judgement, Question, Reply};
use crate::decision::edits::{Stamp, Stamps};
use crate::decision::expression::{Reads, Scope, Told};
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::RequestView;
use crate::decision::rule::{Access, Demands, OnOutage, Rule, Target};
use crate::decision::session::{Answer, Caller, Outage, Session};
use crate::decision::token::Token;

/// An answer older than this may permit but not refuse: what the user did since may have passed elsewhere.
pub const FRESH: Duration = Duration::from_secs(1);

/// The captures of a rule's pattern, name and decoded value.
pub type Captured = Vec<(Box<str>, Box<str>)>;

/// A request may pass. Only [`decide`] makes one, and nothing connects upstream without one.
#[derive(Clone, Debug)]
pub struct Permit {
    rule: Arc<Rule>,
    caller: Passing,
    /// What those who agreed want the service to know.
    picked: Vec<Stamp>,
}

/// Who was let pass.
#[derive(Clone, Debug)]
pub enum Passing {
    /// Nobody in particular.
    Unnamed,
    Session(Arc<Session>),
    /// The token, and the number of the authenticator that vouched for it.
    Token(Arc<Token>, usize),
}

impl Permit {
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    /// Where the request goes; absent where the rule answers decisions only.
    pub fn target(&self) -> Option<&Target> {
        self.rule.target.as_ref()
    }

    pub fn caller(&self) -> &Passing {
        &self.caller
    }

    /// Who was let pass, where it was by a session.
    pub fn session(&self) -> Option<&Arc<Session>> {
        match &self.caller {
            Passing::Session(session) => Some(session),
            Passing::Token(..) | Passing::Unnamed => None,
        }
    }

    /// Whether the stamps are the same for every request of the session.
    pub fn stamps_repeat(&self) -> bool {
        let repeats = |reads: Reads| !reads.request && !reads.context;
        self.picked.is_empty() && self.rule.headers.iter().all(|header| repeats(header.reads()))
    }

    /// The headers to set: the identity, then those of the rule, then those of the ones who agreed.
    pub fn stamps(&self, policy: &Policy, scope: &Scope<'_>) -> Stamps {
        let identity = match &self.caller {
            Passing::Session(session) => Some(session.stamp.clone()),
            Passing::Token(token, _) => token.stamp.clone(),
            Passing::Unnamed => None,
        };
        let identity = identity.map(|value| Stamp {
            name: policy.identity_header.name.clone(),
            spelling: Arc::clone(&policy.identity_header.spelling),
            value,
        });
        let headers = self.rule.headers.iter().filter_map(|header| {
            Some(Stamp {
                name: header.name().clone(),
                spelling: Arc::clone(header.spelling()),
                value: header.render(scope)?,
            })
        });
        identity.into_iter().chain(headers).chain(self.picked.iter().cloned()).collect()
    }
}

/// What is known of a request's caller, and what others said of it.
#[derive(Debug)]
pub struct Evidence {
    pub answer: Answer,
    /// The number of the authenticator that the answer is of; absent where none found a credential.
    pub by: Option<usize>,
    /// What each enrichment told; null where it may be missing.
    told: Vec<Value>,
    context: Option<Told>,
    /// How many checks agreed.
    agreed: usize,
    picked: Vec<Stamp>,
    /// What ends it, whatever else is known.
    ending: Option<Refusal>,
    /// Of the oldest answer that it rests on.
    age: Duration,
}

impl Evidence {
    pub fn new(answer: Answer, by: Option<usize>) -> Self {
        let age = answer.age;
        let (told, picked) = (Vec::new(), Vec::new());
        Self { answer, by, told, context: None, agreed: 0, picked, ending: None, age }
    }

    /// Says that no newer answer can be had.
    pub fn settle(&mut self) {
        self.age = Duration::ZERO;
    }

    /// Takes the reply to what [`decide`] asked last.
    pub fn hear(&mut self, rule: &Rule, reply: &Reply) {
        if let Some(enrichment) = rule.enrich.get(self.told.len()) {
            match Enrichment::read(reply) {
                Some(value) => self.note(rule, value.clone()),
                None if enrichment.required => self.ending = Some(Refusal::Undecided),
                None => self.note(rule, Value::Null),
            }
        } else if let Some(check) = rule.authorize.get(self.agreed) {
            match check.judge(reply) {
                Judgement::Agrees(picked) => {
                    self.agreed += 1;
                    self.picked.extend(picked);
                }
                Judgement::Refuses => self.ending = Some(Refusal::Forbidden),
                Judgement::Unclear => self.ending = Some(Refusal::Undecided),
            }
        }
        if let Reply::Said(said) = reply {
            self.age = self.age.max(said.age);
        }
    }

    fn note(&mut self, rule: &Rule, value: Value) {
        self.told.push(value);
        let names = rule.enrich.iter().map(|enrichment| &*enrichment.call.service.name);
        self.context = Told::by_name(names.zip(self.told.iter().cloned()));
    }

    /// What the expressions of `request` may read; the session's facts only where the caller is known.
    pub fn scope<'r>(&'r self, rule: &'r Rule, request: &'r RequestView<'r>, captures: &'r Captured) -> Scope<'r> {
        let unnamed = || rule.authenticate.iter().find_map(Authenticator::anonymous);
        let (facts, subject, claims) = match &self.answer.caller {
            Caller::Known(session) => (session.facts.as_ref(), session.stamp.to_str().ok(), None),
            Caller::Token(token) => (None, token.subject.as_deref(), Some(&token.claims)),
            Caller::Anonymous | Caller::Rejected | Caller::StepUpNeeded | Caller::Unknown(_) => (None, unnamed(), None),
        };
        Scope { facts, subject, claims, context: self.context.as_ref(), request: Some(request), captures }
    }
}

/// Whether anybody is asked who asks.
pub fn asks_who(rule: &Rule) -> bool {
    match &rule.access {
        Access::Session(_) | Access::Optional { .. } => true,
        Access::Deny | Access::Public => false,
    }
}

/// A decision.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Somebody must be asked first; the evidence is to hear the reply.
    Ask(Box<Question>),
    /// The answer would refuse, but is too old to: who said so must be asked anew.
    AskAnew,
    Permit(Permit),
    Refuse(Refusal),
}

/// Decides whether the request of `scope` may pass `rule`, given what is known at `now`.
pub fn decide(
    rule: &Arc<Rule>,
    evidence: &mut Evidence,
    request: &RequestView<'_>,
    captures: &Captured,
    now: SystemTime,
) -> Decision {
    match verdict(rule, evidence, request, captures, now) {
        Ok(Step::Ask(question)) => Decision::Ask(question),
        Ok(Step::Pass(caller)) => {
            let picked = std::mem::take(&mut evidence.picked);
            Decision::Permit(Permit { rule: Arc::clone(rule), caller, picked })
        }
        Err(refusal) if evidence.age > FRESH && rests_on_answer(&refusal, rule) => Decision::AskAnew,
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// What comes next, where nothing refuses.
enum Step {
    Ask(Box<Question>),
    Pass(Passing),
}

fn verdict(
    rule: &Rule,
    evidence: &mut Evidence,
    request: &RequestView<'_>,
    captures: &Captured,
    now: SystemTime,
) -> Result<Step, Refusal> {
    let caller = caller_of(rule, evidence)?;
    match (&rule.access, &caller) {
        (Access::Session(demands), Passing::Session(session)) => satisfies(session, demands, now)?,
        // What is demanded of sessions, no token can fulfil.
        (Access::Session(demands), Passing::Token(..)) if demands.exceed_a_session() => return Err(Refusal::Forbidden),
        (Access::Session(_), Passing::Token(..) | Passing::Unnamed)
        | (Access::Deny | Access::Optional { .. } | Access::Public, _) => {}
    }
    if let Some(refusal) = &evidence.ending {
        return Err(refusal.clone());
    }
    while let Some(enrichment) = rule.enrich.get(evidence.told.len()) {
        // Of nobody there is nothing to tell.
        let question = match caller {
            Passing::Unnamed => None,
            Passing::Session(_) | Passing::Token(..) => {
                let question = enrichment.call.question(&evidence.scope(rule, request, captures));
                if question.is_none() && enrichment.required {
                    return Err(Refusal::Forbidden);
                }
                question
            }
        };
        match question {
            Some(question) => return Ok(Step::Ask(Box::new(question))),
            None => evidence.note(rule, Value::Null),
        }
    }
    let scope = evidence.scope(rule, request, captures);
    if rule.when.as_ref().is_some_and(|when| !when.holds(&scope)) {
        return Err(Refusal::Forbidden);
    }
    match rule.authorize.get(evidence.agreed) {
        // Half a question is no question: nobody could agree to it.
        Some(check) => {
            check.call.question(&scope).map(|question| Step::Ask(Box::new(question))).ok_or(Refusal::Forbidden)
        }
        None => Ok(Step::Pass(caller)),
    }
}

/// Who passes as far as access goes.
fn caller_of(rule: &Rule, evidence: &Evidence) -> Result<Passing, Refusal> {
    let access = match &rule.access {
        Access::Deny => return Err(Refusal::Forbidden),
        Access::Public => return Ok(Passing::Unnamed),
        access @ (Access::Optional { .. } | Access::Session(_)) => access,
    };
    match &evidence.answer.caller {
        Caller::Known(session) => Ok(Passing::Session(Arc::clone(session))),
        Caller::Token(token) => {
            let by = evidence.by.unwrap_or_default();
            match rule.authenticate.get(by) {
                Some(Authenticator::Token { scopes, .. }) if scopes.covered_by(&token.scopes) => {
                    Ok(Passing::Token(Arc::clone(token), by))
                }
                Some(Authenticator::Anonymous { .. } | Authenticator::Session { .. } | Authenticator::Token { .. })
                | None => Err(Refusal::Forbidden),
            }
        }
        Caller::StepUpNeeded => Err(Refusal::StepUp),
        Caller::Anonymous | Caller::Rejected => match access {
            Access::Optional { .. } => Ok(Passing::Unnamed),
            Access::Deny | Access::Public | Access::Session(_) => Err(Refusal::LogIn),
        },
        Caller::Unknown(outage) => match (access, outage) {
            (Access::Optional { on_outage: OnOutage::Anonymous }, _) => Ok(Passing::Unnamed),
            (_, Outage::Away) => Err(Refusal::Outage),
            (_, Outage::Issuer) => Err(Refusal::Undecided),
            (_, Outage::Throttled(retry_after)) => Err(Refusal::Throttled(retry_after.clone())),
        },
    }
}

/// Whether the session is all that the rule demands of one.
fn satisfies(session: &Session, demands: &Demands, now: SystemTime) -> Result<(), Refusal> {
    if session.aal < demands.aal {
        return Err(Refusal::StepUp);
    }
    if let Some(within) = demands.authenticated_within {
        // A sign-in in the future is one of this moment: clocks of two machines differ a little.
        let ago = now.duration_since(session.authenticated_at).unwrap_or_default();
        if ago > within {
            return Err(Refusal::Refresh);
        }
    }
    if demands.verified && !session.verified {
        return Err(Refusal::Unverified);
    }
    Ok(())
}

/// Whether a newer answer of Kratos could turn the refusal into a permit.
fn rests_on_answer(refusal: &Refusal, rule: &Rule) -> bool {
    match refusal {
        Refusal::LogIn | Refusal::Refresh | Refusal::StepUp | Refusal::Unverified => true,
        Refusal::Forbidden => {
            let reads = rule.when.as_ref().map(|when| when.reads()).unwrap_or_default();
            reads.session || reads.context || !rule.enrich.is_empty() || !rule.authorize.is_empty()
        }
        Refusal::Ambiguous(_)
        | Refusal::CrossOrigin
        | Refusal::HeadTooLarge
        | Refusal::Internal
        | Refusal::Malformed
        | Refusal::MethodNotListed(_)
        | Refusal::NoRule
        | Refusal::Outage
        | Refusal::Throttled(_)
        | Refusal::TooLarge
        | Refusal::TooSlow
        | Refusal::Undecided
        | Refusal::UpstreamFailed
        | Refusal::UpstreamTimedOut => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};
    use uuid::Uuid;

    use super::*;
    use crate::decision::expression::{Expression, Facts};
    use crate::decision::request::{Head, Scheme};
    use crate::decision::session::Aal;

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn known(change: impl FnOnce(&mut Session)) -> Caller {
        let mut session = Session {
            id: Uuid::from_u128(1),
            identity: Uuid::from_u128(2),
            expires_at: at(NOW + 3600),
            authenticated_at: at(NOW - 600),
            aal: Aal::Aal1,
            verified: false,
            stamp: HeaderValue::from_static("ann"),
            facts: None,
        };
        change(&mut session);
        Caller::Known(Arc::new(session))
    }

    fn rule(access: Access, when: Option<&str>) -> Arc<Rule> {
        let when = when.map(|source| Expression::compile(source).unwrap());
        Arc::new(Rule { when, ..Rule::new("rule", access) })
    }

    fn session(change: impl FnOnce(&mut Demands)) -> Access {
        let mut demands = Demands::default();
        change(&mut demands);
        Access::Session(demands)
    }

    /// The decision in a word: `permit`, `permit unnamed`, `ask anew`, or the refusal's id.
    fn decided(rule: &Arc<Rule>, caller: Caller, age: Duration) -> &'static str {
        let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("a.example"))]);
        let head =
            Head { method: &Method::GET, target: b"/x", authority: None, headers: &headers, scheme: Scheme::Http };
        let request = RequestView::parse(head).unwrap();
        let mut evidence = Evidence::new(Answer { caller, age }, Some(0));
        match decide(rule, &mut evidence, &request, &Vec::new(), at(NOW)) {
            Decision::Ask(_) => "ask",
            Decision::AskAnew => "ask anew",
            Decision::Permit(permit) if permit.session().is_some() => "permit",
            Decision::Permit(_) => "permit unnamed",
            Decision::Refuse(refusal) => refusal.id(),
        }
    }

    const OUTAGE: Caller = Caller::Unknown(Outage::Away);
    const THROTTLED: Caller = Caller::Unknown(Outage::Throttled(None));
    const REFUSE: Access = Access::Optional { on_outage: OnOutage::Refuse };
    const ANONYMOUS: Access = Access::Optional { on_outage: OnOutage::Anonymous };

    #[test]
    fn every_caller_gets_what_every_access_says() {
        let callers = [Caller::Anonymous, known(|_| {}), Caller::Rejected, Caller::StepUpNeeded, OUTAGE, THROTTLED];
        let table = [
            (Access::Deny, ["forbidden"; 6]),
            (Access::Public, ["permit unnamed"; 6]),
            (
                REFUSE,
                [
                    "permit unnamed",
                    "permit",
                    "permit unnamed",
                    "session_aal2_required",
                    "kratos_unavailable",
                    "too_many_requests",
                ],
            ),
            (
                ANONYMOUS,
                [
                    "permit unnamed",
                    "permit",
                    "permit unnamed",
                    "session_aal2_required",
                    "permit unnamed",
                    "permit unnamed",
                ],
            ),
            (
                session(|_| {}),
                [
                    "session_inactive",
                    "permit",
                    "session_inactive",
                    "session_aal2_required",
                    "kratos_unavailable",
                    "too_many_requests",
                ],
            ),
        ];
        for (access, expected) in table {
            for (caller, expected) in callers.iter().zip(expected) {
                let rule = rule(access.clone(), None);
                assert_eq!(decided(&rule, caller.clone(), Duration::ZERO), expected, "{access:?} {caller:?}");
            }
        }
    }

    #[test]
    fn an_outage_is_never_signed_in_and_never_signed_out() {
        for caller in [OUTAGE, THROTTLED] {
            for access in [session(|_| {}), REFUSE] {
                let word = decided(&rule(access, None), caller.clone(), Duration::ZERO);
                assert!(matches!(word, "kratos_unavailable" | "too_many_requests"), "{word}");
            }
        }
    }

    #[test]
    fn demands_are_held_against_the_session() {
        let within = |seconds| session(|demands| demands.authenticated_within = Some(Duration::from_secs(seconds)));
        for (access, caller, expected) in [
            (session(|d| d.aal = Aal::Aal2), known(|_| {}), "session_aal2_required"),
            (session(|d| d.aal = Aal::Aal2), known(|s| s.aal = Aal::Aal2), "permit"),
            (session(|d| d.aal = Aal::Aal1), known(|s| s.aal = Aal::Aal0), "session_aal2_required"),
            (session(|_| {}), known(|s| s.aal = Aal::Aal0), "permit"),
            (within(600), known(|_| {}), "permit"),
            (within(599), known(|_| {}), "session_refresh_required"),
            (within(1), known(|s| s.authenticated_at = at(NOW + 5)), "permit"),
            (session(|d| d.verified = true), known(|_| {}), "session_verified_address_required"),
            (session(|d| d.verified = true), known(|s| s.verified = true), "permit"),
        ] {
            assert_eq!(decided(&rule(access.clone(), None), caller, Duration::ZERO), expected, "{access:?}");
        }
    }

    #[test]
    fn a_cached_answer_may_permit_but_never_refuse() {
        let old = Duration::from_millis(1001);
        let fresh = Duration::from_secs(1);
        let verified = rule(session(|d| d.verified = true), None);
        assert_eq!(decided(&verified, known(|s| s.verified = true), old), "permit");
        assert_eq!(decided(&verified, known(|_| {}), old), "ask anew");
        assert_eq!(decided(&verified, known(|_| {}), fresh), "session_verified_address_required");
        assert_eq!(decided(&rule(session(|d| d.aal = Aal::Aal2), None), known(|_| {}), old), "ask anew");
        assert_eq!(decided(&rule(session(|_| {}), None), Caller::StepUpNeeded, old), "ask anew");
        assert_eq!(decided(&rule(session(|_| {}), Some("identity != null")), known(|_| {}), old), "ask anew");
        // What no answer of Kratos can change is refused at once.
        assert_eq!(decided(&rule(Access::Deny, None), known(|_| {}), old), "forbidden");
        assert_eq!(decided(&rule(session(|_| {}), Some("request.method == 'PUT'")), known(|_| {}), old), "forbidden");
    }

    #[test]
    fn only_the_boolean_true_lets_pass() {
        for (when, expected) in [
            ("true", "permit unnamed"),
            ("1 == 1", "permit unnamed"),
            ("session == null", "permit unnamed"),
            ("request.path == '/x' && request.host == 'a.example'", "permit unnamed"),
            ("false", "forbidden"),
            ("1", "forbidden"),
            ("'true'", "forbidden"),
            ("null", "forbidden"),
            ("identity.traits.admin", "forbidden"),
            ("1 / 0 == 1", "forbidden"),
        ] {
            assert_eq!(
                decided(&rule(Access::Public, Some(when)), Caller::Anonymous, Duration::ZERO),
                expected,
                "{when}"
            );
        }
    }

    #[test]
    fn a_condition_reads_the_facts_of_the_session() {
        let role = |role: &str| {
            let identity: Value = std::collections::HashMap::from([("role", role)]).into();
            known(|session| session.facts = Facts::new(Value::Null, identity))
        };
        let rule = rule(session(|_| {}), Some("identity.role == 'admin'"));
        assert_eq!(decided(&rule, role("admin"), Duration::ZERO), "permit");
        assert_eq!(decided(&rule, role("user"), Duration::ZERO), "forbidden");
    }

    #[test]
    fn nobody_is_asked_who_asks_where_it_does_not_matter() {
        for (access, asks) in [(Access::Deny, false), (Access::Public, false), (REFUSE, true), (session(|_| {}), true)]
        {
            assert_eq!(asks_who(&rule(access.clone(), None)), asks, "{access:?}");
        }
    }
}
