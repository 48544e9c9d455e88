//! Others who are asked while a request is decided: bounded in time and size, cached where they let pass.

pub(crate) mod answers;
pub(crate) mod circuit;
pub(crate) mod client;
pub(crate) mod flights;
mod horizon;
pub(crate) mod json;
pub(crate) mod peer;
pub(crate) mod roster;
#[cfg(test)]
mod tests;
mod warnings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cel::Value;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::decision::call::{Heard, Question, Reply, Said, Service};
use crate::decision::policy::Policy;
use crate::services::answers::{Answers, Key};
use crate::services::client::{Unanswered, send};
use crate::services::flights::Flights;
use crate::services::peer::{Peer, Unasked};
use crate::services::roster::Roster;
use crate::telemetry::{Asked, Metrics};

/// How long is waited before a question is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// The services that rules name. A clone is the same.
#[derive(Clone)]
pub struct Services {
    shared: Arc<Shared>,
}

struct Shared {
    known: Roster<Known>,
    answers: Answers<Said>,
    /// Questions on their way whose answers may be shared, for they may be cached.
    on_their_way: Arc<Flights<Key, Reply>>,
    metrics: Arc<Metrics>,
}

/// What is known of one service.
struct Known {
    service: Arc<Service>,
    peer: Peer,
}

impl Services {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let shared =
            Shared { known: Roster::default(), answers: Answers::default(), on_their_way: Arc::default(), metrics };
        Self { shared: Arc::new(shared) }
    }

    /// Makes ready what rules of `policy` will ask. A service whose settings did not change keeps its connections.
    pub fn prepare(&self, policy: &Policy) {
        let services = policy.rules.iter().flat_map(|rule| rule.services()).map(|service| (&*service.name, service));
        let is_same = |known: &Known, service: &&Arc<Service>| *known.service == ***service;
        let names = self.shared.known.replace(services, is_same, |service| Known::meet(service));
        self.shared.metrics.services(&names);
    }

    /// No answer to what was asked until now counts from here on.
    pub fn forget(&self) {
        self.shared.answers.forget();
    }

    /// Asks a service, or takes an answer that is younger than `within`. Never fails: silence is a reply.
    pub async fn ask(&self, question: &Question, within: Option<Duration>) -> Reply {
        let shared = &self.shared;
        let Some(known) = shared.known(&question.service) else {
            // Two reloads took it away; the request still has the policy that it began with.
            return Reply::Silence;
        };
        let ttl = question.service.ttl;
        if ttl.is_zero() {
            return shared.ask(&known, question).await;
        }
        let key = shared.key(&known, question);
        if let Some((said, age)) = shared.answers.get(key, ttl, within) {
            shared.metrics.service_asked(&known.service.name, Asked::Cached, Duration::ZERO);
            return Reply::Said(Said { age, ..said });
        }
        let asked = {
            let (shared, question) = (Arc::clone(shared), question.clone());
            async move { shared.ask(&known, &question).await }
        };
        // Whoever needs a new answer must not take one to a question that was asked before.
        let oldest = within.map_or(ttl, |within| within.min(ttl));
        shared.on_their_way.share(key, oldest, asked).await.unwrap_or(Reply::Silence)
    }

    /// Notes what became of a reply. Only those are kept that let pass; a no ends what was kept before.
    pub fn note(&self, question: &Question, reply: &Reply, heard: Heard) {
        let Reply::Said(said) = reply else { return };
        if question.service.ttl.is_zero() || !said.age.is_zero() {
            return;
        }
        let Some(known) = self.shared.known(&question.service) else { return };
        let key = self.shared.key(&known, question);
        match heard {
            Heard::Yes => {
                let headers = said.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
                self.shared.answers.keep(key, said.clone(), said.length + headers, said.asked_at);
            }
            Heard::No => self.shared.answers.refuse(key),
            Heard::Nothing => {}
        }
    }
}

/// Why there is no answer.
struct NoAnswer {
    cause: String,
    service: Found,
}

/// How a service was found when it gave no answer that counts.
enum Found {
    /// Others would get none either.
    Away,
    /// It is there: what it makes of one question says nothing of the others.
    There,
    /// It was not even asked.
    Unasked,
}

impl From<Unasked> for NoAnswer {
    fn from(unasked: Unasked) -> Self {
        Self { cause: unasked.to_string(), service: Found::Unasked }
    }
}

impl From<Unanswered> for NoAnswer {
    fn from(unanswered: Unanswered) -> Self {
        let service = match unanswered {
            Unanswered::TimedOut(_) | Unanswered::Unreachable(_) => Found::Away,
            Unanswered::TooLong => Found::There,
            Unanswered::NotAsked => Found::Unasked,
        };
        Self { cause: unanswered.to_string(), service }
    }
}

impl Known {
    fn meet(service: &Arc<Service>) -> Self {
        Self { service: Arc::clone(service), peer: Peer::new(&service.name, service.authority.as_deref()) }
    }
}

impl Shared {
    fn known(&self, service: &Arc<Service>) -> Option<Arc<Known>> {
        let is_same = |known: &Known| Arc::ptr_eq(&known.service, service) || known.service == *service;
        self.known.get(&service.name, is_same)
    }

    /// Everything that decides about an answer.
    fn key(&self, known: &Known, question: &Question) -> Key {
        self.answers.key(|parts| {
            parts.add(&*question.service.name);
            parts.add_number(known.peer.generation);
            parts.add(question.method.as_str());
            parts.add(&question.url);
            // That there is none is something else than an empty one.
            for text in [&question.body, &question.caller] {
                parts.add_number(u64::from(text.is_some()));
                parts.add(text.as_deref().unwrap_or_default());
            }
            for (name, value) in &question.headers {
                parts.add(name);
                parts.add(value);
            }
        })
    }

    /// Asks, and after a failure as often again as the service's settings say.
    async fn ask(&self, known: &Known, question: &Question) -> Reply {
        let service = &known.service;
        let began = Instant::now();
        for attempt in 0..=service.retries {
            if !known.peer.circuit.admits(Instant::now()) {
                self.metrics.service_asked(&service.name, Asked::NotAsked, began.elapsed());
                return Reply::Silence;
            }
            match self.attempt(known, question).await {
                Ok(said) => {
                    known.peer.circuit.succeeded();
                    self.metrics.service_asked(&service.name, Asked::Answered, began.elapsed());
                    return Reply::Said(said);
                }
                Err(NoAnswer { cause, service: found }) => {
                    match found {
                        Found::Away => known.peer.circuit.failed(Instant::now()),
                        Found::There => known.peer.circuit.succeeded(),
                        Found::Unasked => {}
                    }
                    if let Some(withheld) = known.peer.warnings.take(Instant::now()) {
                        let service = &*service.name;
                        tracing::warn!(service, %cause, attempt, withheld, "A service that decides cannot be asked");
                    }
                }
            }
            if attempt < service.retries {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.metrics.service_asked(&service.name, Asked::Failed, began.elapsed());
        Reply::Silence
    }

    async fn attempt(&self, known: &Known, question: &Question) -> Result<Said, NoAnswer> {
        let timeout = known.service.timeout;
        let client = known.peer.client()?;
        let _slot = known.peer.slot(timeout).await?;
        let asked_at = Instant::now();
        let mut request = client.request(question.method.clone(), &question.url);
        for (name, value) in &question.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &known.service.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = &question.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        let answer = send(request, timeout).await?;
        // A service that fails has decided nothing.
        if answer.status.is_server_error() {
            // These are said by a proxy in front of it, or by one that is starting or full: the others get no more.
            let service = match answer.status {
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Found::Away,
                _ => Found::There,
            };
            return Err(NoAnswer { cause: format!("it says {}", answer.status), service });
        }
        let body = serde_json::from_slice(&answer.body).map_or(Value::Null, |body| json::value(&body));
        let length = answer.body.len();
        Ok(Said { status: answer.status, headers: answer.headers, body, length, age: Duration::ZERO, asked_at })
    }
}
