//! The decision itself: a pure function of rule, request and caller.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::decision::edits::{Stamp, Stamps};
use crate::decision::expression::Scope;
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::RequestView;
use crate::decision::rule::{Access, Demands, OnOutage, Rule, Target};
use crate::decision::session::{Answer, Caller, Outage, Session};

/// An answer older than this may permit but not refuse: what the user did since may have passed elsewhere.
pub const FRESH: Duration = Duration::from_secs(1);

/// The captures of a rule's pattern, name and decoded value.
pub type Captured = Vec<(Box<str>, Box<str>)>;

/// A request may pass. Only [`decide`] makes one, and nothing connects upstream without one.
#[derive(Clone, Debug)]
pub struct Permit {
    rule: Arc<Rule>,
    session: Option<Arc<Session>>,
}

impl Permit {
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    /// Where the request goes; absent where the rule answers decisions only.
    pub fn target(&self) -> Option<&Target> {
        self.rule.target.as_ref()
    }

    /// Who was let pass, where the rule asked.
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// Whether the stamps are the same for every request of the session.
    pub fn stamps_repeat(&self) -> bool {
        self.rule.headers.iter().all(|header| !header.reads().request)
    }

    /// The headers to set: the identity, then those of the rule.
    pub fn stamps(&self, policy: &Policy, scope: &Scope<'_>) -> Stamps {
        let identity = self.session.as_ref().map(|session| Stamp {
            name: policy.identity_header.name.clone(),
            spelling: Arc::clone(&policy.identity_header.spelling),
            value: session.stamp.clone(),
        });
        let headers = self.rule.headers.iter().filter_map(|header| {
            Some(Stamp {
                name: header.name().clone(),
                spelling: Arc::clone(header.spelling()),
                value: header.render(scope)?,
            })
        });
        identity.into_iter().chain(headers).collect()
    }
}

/// What the gate must find out before it can decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Who asks, by an answer of Kratos no older than this, or of any age that the cache keeps.
    Caller {
        within: Option<Duration>,
    },
    Nothing,
}

/// What must be known to decide a request of this rule.
pub fn needs(rule: &Rule, has_credentials: bool) -> Need {
    match &rule.access {
        Access::Session(_) | Access::Optional { .. } if has_credentials => {
            Need::Caller { within: rule.checked_within() }
        }
        Access::Session(_) | Access::Optional { .. } | Access::Deny | Access::Public => Need::Nothing,
    }
}

/// A decision.
#[derive(Clone, Debug)]
#[must_use]
pub enum Decision {
    /// The answer would refuse, but is too old to: Kratos must be asked anew.
    AskAnew,
    Permit(Permit),
    Refuse(Refusal),
}

/// Decides whether the request of `scope` may pass `rule`, given what is known of the caller at `now`.
pub fn decide(rule: &Arc<Rule>, answer: &Answer, scope: &Scope<'_>, now: SystemTime) -> Decision {
    let verdict = caller_of(rule, answer).and_then(|session| {
        if let (Access::Session(demands), Some(session)) = (&rule.access, &session) {
            satisfies(session, demands, now)?;
        }
        if rule.when.as_ref().is_some_and(|when| !when.holds(scope)) {
            return Err(Refusal::Forbidden);
        }
        Ok(session)
    });
    match verdict {
        Ok(session) => Decision::Permit(Permit { rule: Arc::clone(rule), session }),
        Err(refusal) if answer.age > FRESH && rests_on_answer(&refusal, rule) => Decision::AskAnew,
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// Who passes as far as access goes, and under which session.
fn caller_of(rule: &Rule, answer: &Answer) -> Result<Option<Arc<Session>>, Refusal> {
    match (&rule.access, &answer.caller) {
        (Access::Deny, _) => Err(Refusal::Forbidden),
        (Access::Public, _) => Ok(None),
        (Access::Session(_) | Access::Optional { .. }, Caller::Known(session)) => Ok(Some(Arc::clone(session))),
        (Access::Session(_) | Access::Optional { .. }, Caller::StepUpNeeded) => Err(Refusal::StepUp),
        (Access::Session(_), Caller::Anonymous | Caller::Rejected) => Err(Refusal::LogIn),
        (Access::Optional { .. }, Caller::Anonymous | Caller::Rejected) => Ok(None),
        (Access::Optional { on_outage: OnOutage::Anonymous }, Caller::Unknown(_)) => Ok(None),
        (Access::Session(_) | Access::Optional { on_outage: OnOutage::Refuse }, Caller::Unknown(outage)) => {
            Err(match outage {
                Outage::Away => Refusal::Outage,
                Outage::Throttled(retry_after) => Refusal::Throttled(retry_after.clone()),
            })
        }
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
        Refusal::Forbidden => rule.when.as_ref().is_some_and(|when| when.reads().session),
        Refusal::Ambiguous(_)
        | Refusal::HeadTooLarge
        | Refusal::MethodNotListed(_)
        | Refusal::NoRule
        | Refusal::Outage
        | Refusal::Throttled(_)
        | Refusal::TooLarge
        | Refusal::TooSlow
        | Refusal::UpstreamFailed
        | Refusal::UpstreamTimedOut => false,
    }
}

/// What a request of `request` may read; the session's facts only where the caller is known.
pub fn scope<'r>(answer: &'r Answer, request: &'r RequestView<'r>, captures: &'r Captured) -> Scope<'r> {
    let facts = match &answer.caller {
        Caller::Known(session) => session.facts.as_ref(),
        Caller::Anonymous | Caller::Rejected | Caller::StepUpNeeded | Caller::Unknown(_) => None,
    };
    Scope::new(facts, request, captures)
}
