//! The one path from a request to a decision, shared by the proxy, the decision API and `explain`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cel::Value;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::decision::authenticate::{Authenticator, OnInvalid, Presented, presented};
use crate::decision::call::{Meaning, Reply, Said, Service};
use crate::decision::cors::{AnswerHeaders, Preflight};
use crate::decision::credentials::Credentials;
use crate::decision::decide::{Captured, Decision, Evidence, FRESH, Permit, decide};
use crate::decision::edits::{Stamp, Stamps};
use crate::decision::expression::Scope;
use crate::decision::index::Found;
use crate::decision::pattern::Methods;
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::{RequestView, is_forbidden_method};
use crate::decision::rule::{Rule, Target};
use crate::decision::session::{Answer, Caller, Session};
use crate::services::Services;
use crate::sessions::{Forget, Resolved, Sessions};
use crate::signing::Signer;
use crate::tokens::Tokens;

/// Who can say who asks, and whatever else a decision rests on.
pub enum WhoAsks<'s> {
    /// Kratos through the cache, issuers of tokens, and the services that rules name.
    Parties(&'s Parties),
    /// Nobody is asked: the answers are supposed, for `explain`.
    Supposed(&'s Supposed),
}

/// What stands for a signed token where nothing is signed.
const UNSIGNED: HeaderValue = HeaderValue::from_static("(signed when the request is served)");

/// All who can be asked while a request is decided. A clone is the same.
#[derive(Clone)]
pub struct Parties {
    pub sessions: Sessions,
    pub tokens: Tokens,
    pub services: Services,
    pub signer: Signer,
}

impl Parties {
    /// Forgets sessions by name. Forgetting all is forgetting whatever anybody else said, too.
    pub fn forget(&self, what: Forget) {
        if matches!(what, Forget::All) {
            self.tokens.forget();
            self.services.forget();
        }
        self.sessions.forget(what);
    }
}

/// What everyone would answer.
#[derive(Debug)]
pub struct Supposed {
    pub caller: Caller,
    pub replies: SupposedReplies,
}

/// What services would answer, by their names.
pub type SupposedReplies = HashMap<Box<str>, SupposedReply>;

/// What a service would answer.
#[derive(Clone, Debug)]
pub enum SupposedReply {
    Agrees,
    Refuses,
    /// There would be no answer.
    Silent,
    /// What an enricher would tell.
    Tells(Value),
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
    /// A service of which nothing was supposed, where the decision rests on its answer.
    pub unasked: Option<Arc<Service>>,
}

/// A permit, and the headers that go with it.
#[derive(Debug)]
pub struct Passage {
    pub permit: Permit,
    pub stamps: Stamps,
    /// Where the client is sent, where the rule sends it somewhere.
    pub location: Option<HeaderValue>,
}

impl Verdict {
    /// Nobody was asked who asks.
    pub(crate) fn refused(rule: Option<Arc<Rule>>, refusal: Refusal) -> Self {
        Self {
            rule,
            captures: Vec::new(),
            outcome: Err(refusal),
            session: None,
            set_cookies: Vec::new(),
            unasked: None,
        }
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
    let inquiry = Inquiry { rule, request, captures: &captures, credentials: &credentials, who };
    let mut within = None;
    let mut set_cookies = Vec::new();
    // Twice at most: what is asked anew is as new as can be.
    loop {
        let mut asker = inquiry.caller(within).await;
        set_cookies.extend(asker.resolved.take_cookies());
        if within.is_some() {
            asker.evidence.settle();
        }
        let (decision, unasked) = inquiry.decide(&mut asker.evidence, within).await;
        let outcome = match decision {
            Decision::AskAnew if within.is_none() => {
                within = Some(FRESH);
                continue;
            }
            Decision::Permit(permit) => {
                let scope = asker.evidence.scope(rule, request, &captures);
                let stamps = asker.resolved.stamps(policy, &permit, &scope);
                let stamps = inquiry.signed(&permit, &scope, stamps);
                match permit.target() {
                    Some(Target::Redirect(redirect)) => match redirect.location(&scope, request.origin_form()) {
                        location @ Some(_) => Ok(Passage { permit, stamps, location }),
                        // There is no such place.
                        None => Err(Refusal::NoRule),
                    },
                    Some(Target::Keys | Target::Kratos(_) | Target::Pages | Target::Service(_)) | None => {
                        Ok(Passage { permit, stamps, location: None })
                    }
                }
            }
            Decision::Refuse(refusal) => Err(refusal),
            // The evidence was settled and heard out; were it not, nobody may pass on it.
            Decision::Ask(_) | Decision::AskAnew => Err(Refusal::Undecided),
        };
        let session = asker.evidence.answer.caller.session().cloned();
        let rule = Some(Arc::clone(rule));
        return Verdict { rule, captures, outcome, session, set_cookies, unasked };
    }
}

/// What is found out about one request.
struct Inquiry<'i, 'r> {
    rule: &'i Arc<Rule>,
    request: &'i RequestView<'r>,
    captures: &'i Captured,
    credentials: &'i Credentials<'r>,
    who: &'i WhoAsks<'i>,
}

/// Who asks, as far as it was found out.
struct Asker {
    evidence: Evidence,
    resolved: Resolved,
}

impl<'i, 'r> Inquiry<'i, 'r> {
    /// Asks the rule's authenticators, in their order, who asks; by answers that are no older than `within`.
    async fn caller(&self, within: Option<Duration>) -> Asker {
        let mut from = 0;
        while self.rule.asks_who()
            && let Some((number, presented)) = self.presented(from)
        {
            let resolved = self.resolve(&presented, within).await;
            let is_last = self.rule.authenticate.get(number).is_none_or(|one| one.on_invalid() == OnInvalid::Refuse)
                || self.presented(number + 1).is_none();
            if is_last || !matches!(resolved.answer.caller, Caller::Rejected) {
                return Asker { evidence: Evidence::new(resolved.answer.clone(), Some(number)), resolved };
            }
            from = number + 1;
        }
        let answer = Answer::fresh(Caller::Anonymous);
        Asker { evidence: Evidence::new(answer.clone(), None), resolved: answer.into() }
    }

    fn presented(&self, from: usize) -> Option<(usize, Presented<'i, 'r>)> {
        match self.who {
            WhoAsks::Parties(_) => presented(self.rule, self.request.headers(), self.credentials, from),
            // What is supposed stands for a credential of its kind.
            WhoAsks::Supposed(supposed) => supposed.presented(self.rule, from),
        }
    }

    async fn resolve(&self, presented: &Presented<'_, '_>, within: Option<Duration>) -> Resolved {
        let within = [within, self.rule.checked_within()].into_iter().flatten().min();
        match (self.who, presented) {
            (WhoAsks::Parties(parties), Presented::Session(credentials)) => {
                parties.sessions.resolve(credentials, within, self.rule.reads_facts()).await
            }
            (WhoAsks::Parties(parties), Presented::Token { token, issuer }) => {
                parties.tokens.resolve(issuer, token, within).await.into()
            }
            (WhoAsks::Supposed(supposed), _) => Answer::fresh(supposed.caller.clone()).into(),
        }
    }

    /// The stamps, with a signed token after them where the rule wants one.
    fn signed(&self, permit: &Permit, scope: &Scope<'_>, stamps: Stamps) -> Stamps {
        let signed = self.rule.id_token.as_ref().and_then(|token| {
            let assertion = token.assertion(permit, scope)?;
            let value = match self.who {
                WhoAsks::Parties(parties) => parties.signer.sign(&assertion, SystemTime::now())?,
                WhoAsks::Supposed(_) => UNSIGNED,
            };
            Some(Stamp::request(token.carrier.name(), token.carrier.spelling(), value))
        });
        match signed {
            Some(signed) => stamps.iter().cloned().chain([signed]).collect(),
            None => stamps,
        }
    }

    /// Decides, asking others for as long as the decision rests on them.
    async fn decide(&self, evidence: &mut Evidence, within: Option<Duration>) -> (Decision, Option<Arc<Service>>) {
        loop {
            match decide(self.rule, evidence, self.request, self.captures, SystemTime::now()) {
                Decision::Ask(question) => {
                    let reply = match self.who {
                        WhoAsks::Parties(parties) => parties.services.ask(&question, within).await,
                        WhoAsks::Supposed(supposed) => match supposed.replies.get(&question.service.name) {
                            Some(reply) => reply.to(self.rule, &question.service),
                            None => return (Decision::Refuse(Refusal::Undecided), Some(question.service)),
                        },
                    };
                    let heard = evidence.hear(self.rule, &reply);
                    if let WhoAsks::Parties(parties) = self.who {
                        parties.services.note(&question, &reply, heard);
                    }
                    if within.is_some() {
                        evidence.settle();
                    }
                }
                decision => return (decision, None),
            }
        }
    }
}

impl SupposedReply {
    /// The reply in what `service` speaks on this rule.
    fn to(&self, rule: &Rule, service: &Service) -> Reply {
        let check = rule.authorize.iter().find(|check| check.call.service.name == service.name);
        let meaning = check.map_or(Meaning::Status, |check| check.meaning);
        let (status, body) = match self {
            Self::Agrees => meaning.supposed(true),
            Self::Refuses => meaning.supposed(false),
            Self::Silent => return Reply::Silence,
            Self::Tells(value) => (StatusCode::OK, value.clone()),
        };
        Reply::Said(Said {
            status,
            headers: HeaderMap::new(),
            body,
            length: 0,
            age: Duration::ZERO,
            asked_at: Instant::now(),
        })
    }
}

impl Supposed {
    fn presented<'i, 'r>(&self, rule: &'i Rule, from: usize) -> Option<(usize, Presented<'i, 'r>)> {
        rule.authenticate.iter().enumerate().skip(from).find_map(|(number, authenticator)| {
            match (&self.caller, authenticator) {
                (Caller::Anonymous, _) | (_, Authenticator::Anonymous { .. }) => None,
                (Caller::Token(_), Authenticator::Token { issuer, .. }) => {
                    Some((number, Presented::Token { token: b"", issuer }))
                }
                (
                    Caller::Known(_) | Caller::Rejected | Caller::StepUpNeeded | Caller::Unknown(_),
                    Authenticator::Session { .. },
                ) => Some((number, Presented::Session(Credentials::default()))),
                (Caller::Token(_), Authenticator::Session { .. })
                | (
                    Caller::Known(_) | Caller::Rejected | Caller::StepUpNeeded | Caller::Unknown(_),
                    Authenticator::Token { .. },
                ) => None,
            }
        })
    }
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
