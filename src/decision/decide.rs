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
        | Refusal::UpstreamFailed
        | Refusal::UpstreamTimedOut => false,
    }
}

/// What a request of `request` may read; the session's facts only where the caller is known.
pub fn scope<'r>(answer: &'r Answer, request: &'r RequestView<'r>, captures: &'r Captured) -> Scope<'r> {
    let facts = answer.caller.session().and_then(|session| session.facts.as_ref());
    Scope::new(facts, request, captures)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};
    use uuid::Uuid;

    use super::*;
    use crate::decision::expression::{Expression, Facts};
    use crate::decision::request::{Head, Scheme};
    use crate::decision::rule::OnRefusal;
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
        Arc::new(Rule {
            id: "rule".into(),
            access,
            when: when.map(|source| Expression::compile(source).unwrap()),
            headers: Vec::new(),
            on_refusal: OnRefusal::Auto,
            forward_credentials: false,
            cors: None,
            target: None,
        })
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
        let answer = Answer { caller, age };
        match decide(rule, &answer, &scope(&answer, &request, &Vec::new()), at(NOW)) {
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
            let identity: cel::Value = std::collections::HashMap::from([("role", role)]).into();
            known(|session| session.facts = Facts::new(cel::Value::Null, identity))
        };
        let rule = rule(session(|_| {}), Some("identity.role == 'admin'"));
        assert_eq!(decided(&rule, role("admin"), Duration::ZERO), "permit");
        assert_eq!(decided(&rule, role("user"), Duration::ZERO), "forbidden");
    }

    #[test]
    fn kratos_is_asked_only_where_a_session_matters_and_a_credential_is_there() {
        let caller = Need::Caller { within: None };
        let strict = session(|d| d.checked_within = Some(Duration::ZERO));
        for (access, has_credentials, need) in [
            (Access::Deny, true, Need::Nothing),
            (Access::Public, true, Need::Nothing),
            (REFUSE, true, caller),
            (REFUSE, false, Need::Nothing),
            (session(|_| {}), true, caller),
            (session(|_| {}), false, Need::Nothing),
            (strict, true, Need::Caller { within: Some(Duration::ZERO) }),
        ] {
            assert_eq!(needs(&rule(access.clone(), None), has_credentials), need, "{access:?} {has_credentials}");
        }
    }
}
