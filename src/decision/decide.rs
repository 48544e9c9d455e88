//! The decision itself: a pure function of rule, request and caller.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cel::Value;
use http::header::{AUTHORIZATION, COOKIE};

use crate::decision::authenticate::Authenticator;
use crate::decision::call::{Enrichment, Heard, Judgement, Question, Reply};
use crate::decision::edits::{Stamp, Stamps, Surface};
use crate::decision::expression::{Reads, Scope, Told};
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::RequestView;
use crate::decision::rule::{Access, Demands, OnOutage, Rule, Target};
use crate::decision::session::{Answer, Caller, Outage, Session};
use crate::decision::template::HeaderTemplate;
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
        self.picked.is_empty()
            && self.rule.headers.iter().chain(&self.rule.response_headers).all(|header| repeats(header.reads()))
            && self.rule.cookies.iter().all(|cookie| repeats(cookie.reads()))
    }

    /// The headers to set: the identity, then those of the rule, then those of the ones who agreed.
    pub fn stamps(&self, policy: &Policy, scope: &Scope<'_>) -> Stamps {
        let identity = match &self.caller {
            Passing::Session(session) => Some(session.stamp.clone()),
            Passing::Token(token, _) => token.stamp.clone(),
            Passing::Unnamed => None,
        };
        let own = &policy.identity_header;
        let identity = identity.map(|value| Stamp::request(own.name.clone(), Arc::clone(&own.spelling), value));
        let rendered = |header: &HeaderTemplate| {
            Some(Stamp::request(header.name().clone(), Arc::clone(header.spelling()), header.render(scope)?))
        };
        let headers = self.rule.headers.iter().filter_map(rendered);
        let cookies = self.rule.cookies.iter().filter_map(|cookie| {
            let value = cookie.render(scope)?;
            Some(Stamp { on: Surface::Cookie, name: COOKIE, spelling: (*cookie.name).into(), value })
        });
        let response = self.rule.response_headers.iter().filter_map(rendered);
        let response = response.map(|stamp| Stamp { on: Surface::Response, ..stamp });
        let tokenized = self.session().filter(|_| self.rule.hands_on_tokens(policy)).and_then(|session| {
            let value = session.tokenized.as_ref()?.stamp.clone();
            Some(Stamp::request(AUTHORIZATION, "Authorization".into(), value))
        });
        let of_request = identity.into_iter().chain(headers).chain(self.picked.iter().cloned()).chain(tokenized);
        of_request.chain(cookies).chain(response).collect()
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

    /// Takes the reply to what [`decide`] asked last, and says what it was.
    pub fn hear(&mut self, rule: &Rule, reply: &Reply) -> Heard {
        if let Reply::Said(said) = reply {
            self.age = self.age.max(said.age);
        }
        if let Some(enrichment) = rule.enrich.get(self.told.len()) {
            let told = Enrichment::read(reply);
            match told {
                Some(value) => self.note(rule, value.clone()),
                None if enrichment.required => self.ending = Some(Refusal::Undecided),
                None => self.note(rule, Value::Null),
            }
            return if told.is_some() { Heard::Yes } else { Heard::Nothing };
        }
        let Some(check) = rule.authorize.get(self.agreed) else { return Heard::Nothing };
        match check.judge(reply) {
            Judgement::Agrees(picked) => {
                self.agreed += 1;
                self.picked.extend(picked);
                Heard::Yes
            }
            Judgement::Refuses => {
                self.ending = Some(Refusal::Forbidden);
                Heard::No
            }
            Judgement::Unclear => {
                self.ending = Some(Refusal::Undecided);
                Heard::Nothing
            }
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
        Err(refusal) if evidence.age > FRESH && rests_on_answer(&refusal, rule, evidence) => Decision::AskAnew,
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
                let mut question = enrichment.call.question(&evidence.scope(rule, request, captures));
                if let (Some(question), Passing::Session(session)) = (&mut question, &caller) {
                    question.caller = Some(session.id.to_string());
                }
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
            // Signing in would help nobody whose session does not count.
            Access::Deny | Access::Public | Access::Session(_) if rule.takes_sessions() => Err(Refusal::LogIn),
            Access::Deny | Access::Public | Access::Session(_) => Err(Refusal::NoToken),
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

/// Whether a newer answer of whoever was asked could turn the refusal into a permit.
fn rests_on_answer(refusal: &Refusal, rule: &Rule, evidence: &Evidence) -> bool {
    match refusal {
        Refusal::LogIn | Refusal::NoToken | Refusal::Refresh | Refusal::StepUp | Refusal::Unverified => true,
        Refusal::Forbidden => {
            // Its scopes and claims are an answer, too.
            let is_token = matches!(evidence.answer.caller, Caller::Token(_));
            let reads = rule.when.as_ref().map(|when| when.reads()).unwrap_or_default();
            is_token || reads.session || reads.context || !rule.enrich.is_empty() || !rule.authorize.is_empty()
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
mod tests;
