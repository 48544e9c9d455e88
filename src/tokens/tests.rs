//! Promises about tokens, held against issuers whose every answer the test gives.

mod keys;
mod opaque;
mod signer;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use url::Url;

use self::signer::{Signer, now};
use super::*;
use crate::decision::authenticate::{Algorithm, Carried, KeySource};

const PATIENCE: Duration = Duration::from_secs(10);

/// An issuer that says what the test wants, and counts how often it is asked.
#[derive(Clone)]
struct Peer {
    url: Url,
    desk: Arc<Desk>,
}

struct Desk {
    /// What is said first, one answer for each question.
    next: Mutex<VecDeque<(u16, Vec<u8>)>>,
    /// What is said when there is nothing left of that.
    always: Mutex<(u16, Vec<u8>)>,
    asked: AtomicUsize,
    seen: Mutex<Vec<(HeaderMap, Bytes)>>,
    held: AtomicUsize,
    released: Notify,
}

impl Peer {
    async fn start(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let desk = Arc::new(Desk {
            next: Mutex::default(),
            always: Mutex::new((status, body.into())),
            asked: AtomicUsize::new(0),
            seen: Mutex::default(),
            held: AtomicUsize::new(0),
            released: Notify::new(),
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&desk));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, desk }
    }

    /// An issuer that publishes these keys.
    async fn publishing(signers: &[&Signer]) -> Self {
        Self::start(200, keys(signers)).await
    }

    fn says(&self, status: u16, body: impl Into<Vec<u8>>) {
        *self.desk.always.lock() = (status, body.into());
    }

    fn says_next(&self, status: u16, body: impl Into<Vec<u8>>) {
        self.desk.next.lock().push_back((status, body.into()));
    }

    fn asked(&self) -> usize {
        self.desk.asked.load(Ordering::SeqCst)
    }

    /// Answers so many questions only when [`Self::release`] is called.
    fn hold(&self, questions: usize) {
        self.desk.held.store(questions, Ordering::SeqCst);
    }

    fn release(&self) {
        self.desk.released.notify_one();
    }

    async fn reached(&self, count: usize) {
        within(async {
            while self.asked() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn serve(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    desk.seen.lock().push((headers, body));
    let is_held = desk.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| held.checked_sub(1)).is_ok();
    // What is said is settled when it is asked, so that a held answer is an old one.
    let next = desk.next.lock().pop_front();
    let (status, body) = next.unwrap_or_else(|| desk.always.lock().clone());
    desk.asked.fetch_add(1, Ordering::SeqCst);
    if is_held {
        desk.released.notified().await;
    }
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

fn keys(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}

fn claims(change: &Value) -> Value {
    let mut claims = json!({ "iss": "me", "aud": "orders", "sub": "ann", "exp": now() + 600, "iat": now() });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn signed_by(keys: Vec<KeySource>, change: impl FnOnce(&mut Jwt)) -> Arc<Issuer> {
    let mut jwt = Jwt {
        jwks: keys,
        algorithms: vec![Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256],
        issuers: vec!["me".into()],
        audience: vec!["orders".into()],
        leeway: Duration::from_secs(10),
        refresh_after: Duration::from_secs(300),
        timeout: Duration::from_secs(5),
        authority: None,
    };
    change(&mut jwt);
    issuer(Verification::Jwt(jwt))
}

fn asked_at(url: &Url, change: impl FnOnce(&mut Introspection)) -> Arc<Issuer> {
    let mut introspection = Introspection {
        url: url.clone(),
        authorization: None,
        issuers: Vec::new(),
        audience: Vec::new(),
        leeway: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        ttl: Duration::from_secs(60),
        authority: None,
    };
    change(&mut introspection);
    issuer(Verification::Introspection(introspection))
}

fn issuer(verification: Verification) -> Arc<Issuer> {
    Arc::new(Issuer {
        name: "api".into(),
        carried: Carried::Bearer,
        subject: "sub".into(),
        subject_is_identity: false,
        verification,
    })
}

/// An issuer of whom nothing is known yet.
struct Believer {
    tokens: Tokens,
    known: Arc<Known>,
}

fn believer(issuer: &Arc<Issuer>) -> Arc<Believer> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tokens = Tokens::new(Arc::new(Metrics::new()));
    let known = Arc::new(Known::meet(issuer));
    Arc::new(Believer { tokens, known })
}

/// Whoever believes what a peer publishes.
fn believing(peer: &Peer, refresh_after: Duration) -> Arc<Believer> {
    believer(&signed_by(vec![KeySource::Url(peer.url.clone())], |jwt| jwt.refresh_after = refresh_after))
}

impl Believer {
    /// What becomes of a token, in a word.
    async fn fresh(&self, token: &str, max_age: Option<Duration>) -> &'static str {
        let checked = match &self.known.issuer.verification {
            Verification::Introspection(introspection) => {
                let introspections = &self.tokens.shared.introspections;
                within(introspections.check(&self.known, introspection, token.as_bytes(), max_age)).await
            }
            Verification::Jwt(jwt) => within(self.known.check(jwt, token.as_bytes())).await,
        };
        match checked {
            Checked::Good(..) => "valid",
            Checked::Invalid(_) => "refused",
            Checked::Unknown(_) => "unknown",
        }
    }

    async fn word(&self, token: &str) -> &'static str {
        self.fresh(token, None).await
    }
}
