//! Others who are asked while a request is decided: bounded in time and size, cached where they let pass.

mod cache;
pub(crate) mod circuit;
pub(crate) mod client;
pub(crate) mod flights;
pub(crate) mod horizon;
pub(crate) mod json;
pub(crate) mod roster;
pub(crate) mod warnings;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cel::Value;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;

use crate::decision::call::{Question, Reply, Said, Service};
use crate::decision::policy::Policy;
use crate::services::cache::{Cache, Key};
use crate::services::circuit::Circuit;
use crate::services::client::{Unanswered, client, send};
use crate::services::flights::Flights;
use crate::services::roster::Roster;
use crate::services::warnings::Warnings;
use crate::telemetry::{Asked, Metrics};

/// So many questions may be on their way to one service at once; the others wait, within their time.
const MAX_AT_ONCE: usize = 256;
/// How long is waited before a question is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// The services that rules name. A clone is the same.
#[derive(Clone)]
pub struct Services {
    shared: Arc<Shared>,
}

struct Shared {
    known: Roster<Known>,
    cache: Cache,
    /// Questions on their way whose answers may be shared, for they may be cached.
    on_their_way: Arc<Flights<Key, Reply>>,
    generations: AtomicU64,
    metrics: Arc<Metrics>,
}

/// What is known of one service.
struct Known {
    service: Arc<Service>,
    /// Absent where its certificates cannot be read: then it cannot be asked.
    client: Option<reqwest::Client>,
    circuit: Circuit,
    slots: Semaphore,
    warnings: Warnings,
    /// Of its settings: answers to others do not count.
    generation: u64,
}

impl Services {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let shared = Shared {
            known: Roster::default(),
            cache: Cache::new(),
            on_their_way: Arc::default(),
            generations: AtomicU64::new(0),
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes ready what rules of `policy` will ask. A service whose settings did not change keeps its connections.
    pub fn prepare(&self, policy: &Policy) {
        let services = policy.rules.iter().flat_map(|rule| rule.services()).map(|service| (&*service.name, service));
        let is_same = |known: &Known, service: &&Arc<Service>| *known.service == ***service;
        let names = self.shared.known.replace(services, is_same, |service| self.shared.meet(service));
        self.shared.metrics.services(&names);
    }

    /// No answer to what was asked until now counts from here on.
    pub fn forget(&self) {
        self.shared.cache.forget();
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
        let key = shared.cache.key(question, known.generation);
        if let Some(said) = shared.cache.get(key, ttl, within) {
            shared.metrics.service_asked(&known.service.name, Asked::Cached, Duration::ZERO);
            return Reply::Said(said);
        }
        // Whoever needs a new answer must not take one to a question that was asked before.
        if within.is_some() {
            return shared.ask(&known, question).await;
        }
        let asked = {
            let (shared, question) = (Arc::clone(shared), question.clone());
            async move { shared.ask(&known, &question).await }
        };
        shared.on_their_way.share(key, asked).await.unwrap_or(Reply::Silence)
    }

    /// Keeps an answer that lets pass. No other is ever kept.
    pub fn keep(&self, question: &Question, reply: &Reply) {
        if let (Reply::Said(said), false) = (reply, question.service.ttl.is_zero())
            && said.age.is_zero()
            && let Some(known) = self.shared.known(&question.service)
        {
            let key = self.shared.cache.key(question, known.generation);
            self.shared.cache.keep(key, said.clone(), said.asked_at);
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

impl NoAnswer {
    fn unasked(cause: &str) -> Self {
        Self { cause: cause.to_owned(), service: Found::Unasked }
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

impl Shared {
    fn known(&self, service: &Arc<Service>) -> Option<Arc<Known>> {
        let is_same = |known: &Known| Arc::ptr_eq(&known.service, service) || known.service == *service;
        self.known.get(&service.name, is_same)
    }

    fn meet(&self, service: &Arc<Service>) -> Known {
        let client = client(service.authority.as_deref());
        let client = client.inspect_err(|error| tracing::error!(service = &*service.name, %error, "Cannot be asked"));
        Known {
            service: Arc::clone(service),
            client: client.ok(),
            circuit: Circuit::default(),
            slots: Semaphore::new(MAX_AT_ONCE),
            warnings: Warnings::default(),
            generation: self.generations.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Asks, and after a failure as often again as the service's settings say.
    async fn ask(&self, known: &Known, question: &Question) -> Reply {
        let service = &known.service;
        let began = Instant::now();
        for attempt in 0..=service.retries {
            if !known.circuit.admits(Instant::now()) {
                self.metrics.service_asked(&service.name, Asked::NotAsked, began.elapsed());
                return Reply::Silence;
            }
            match self.attempt(known, question).await {
                Ok(said) => {
                    known.circuit.succeeded();
                    self.metrics.service_asked(&service.name, Asked::Answered, began.elapsed());
                    return Reply::Said(said);
                }
                Err(NoAnswer { cause, service: found }) => {
                    match found {
                        Found::Away => known.circuit.failed(Instant::now()),
                        Found::There => known.circuit.succeeded(),
                        Found::Unasked => {}
                    }
                    if let Some(withheld) = known.warnings.take(Instant::now()) {
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
        let client = known.client.as_ref().ok_or_else(|| NoAnswer::unasked("its certificates cannot be read"))?;
        let slot = tokio::time::timeout(timeout, known.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else { return Err(NoAnswer::unasked("too many questions are on their way to it")) };
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
