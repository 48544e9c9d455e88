//! Promises about sessions, held against a Kratos whose every answer the test gives by hand.

use std::future::Future;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::decision::credentials::{Credential, Credentials};
use crate::sessions::ending::Ending;

const SESSION: &str = "f28ea4ec-b5d8-4bb1-aa6e-c3046daf9129";
const ANN: &str = "8250c7cf-9815-4a30-a5f6-9166760d4b20";
const PATIENCE: Duration = Duration::from_secs(5);

/// A Kratos that answers when the test says what.
struct Kratos {
    calls: mpsc::UnboundedReceiver<Call>,
    asked: Arc<AtomicUsize>,
    ready: Arc<AtomicBool>,
    sessions: Sessions,
}

/// A whoami call that waits for its answer.
struct Call {
    headers: http::HeaderMap,
    reply: oneshot::Sender<Response>,
}

#[derive(Clone)]
struct Desk {
    calls: mpsc::UnboundedSender<Call>,
    asked: Arc<AtomicUsize>,
    ready: Arc<AtomicBool>,
}

async fn serve(State(desk): State<Desk>, request: Request) -> Response {
    if request.uri().path() == "/health/ready" {
        let status = if desk.ready.load(Ordering::SeqCst) { 200 } else { 503 };
        return answer(status, "");
    }
    desk.asked.fetch_add(1, Ordering::SeqCst);
    let (reply, replied) = oneshot::channel();
    desk.calls.send(Call { headers: request.headers().clone(), reply }).unwrap();
    replied.await.unwrap_or_else(|_| answer(500, ""))
}

fn answer(status: u16, body: &str) -> Response {
    let mut response = Response::new(body.to_owned().into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn session_of(identity: &str, session: &str) -> String {
    serde_json::json!({
        "id": session, "active": true, "expires_at": "2999-01-01T00:00:00Z", "authenticator_assurance_level": "aal1",
        "authenticated_at": "2026-01-01T00:00:00Z", "identity": {"id": identity, "traits": {}}
    })
    .to_string()
}

fn ann() -> Response {
    answer(200, &session_of(ANN, SESSION))
}

impl Kratos {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        change(&mut settings);
        let (sender, calls) = mpsc::unbounded_channel();
        let desk = Desk { calls: sender, asked: Arc::default(), ready: Arc::new(AtomicBool::new(true)) };
        let (asked, ready) = (Arc::clone(&desk.asked), Arc::clone(&desk.ready));
        let router = Router::new().fallback(serve).with_state(desk);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { calls, asked, ready, sessions: Sessions::new(settings, Arc::new(Metrics::new())).unwrap() }
    }

    async fn call(&mut self) -> Call {
        within(self.calls.recv()).await.unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Asks in the background who is behind `token`.
    fn ask(&self, token: &'static str, within: Option<Duration>) -> JoinHandle<Resolved> {
        let sessions = self.sessions.clone();
        tokio::spawn(async move { sessions.resolve(&credentials(token), within, false).await })
    }

    /// Asks, has Kratos answer, and returns what came of it.
    async fn exchange(&mut self, token: &'static str, within_age: Option<Duration>, reply: Response) -> Resolved {
        let asking = self.ask(token, within_age);
        self.call().await.reply.send(reply).unwrap();
        within(asking).await.unwrap()
    }

    /// Asks what must be known without Kratos.
    async fn cached(&self, token: &'static str) -> Resolved {
        let before = self.asked();
        let resolved = within(self.sessions.resolve(&credentials(token), None, false)).await;
        assert_eq!(self.asked(), before, "Kratos was asked");
        resolved
    }
}

fn credentials(token: &'static str) -> Credentials<'static> {
    Credential::Token(token.as_bytes()).into()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

#[track_caller]
fn assert_known(resolved: &Resolved) {
    assert!(matches!(resolved.answer.caller, Caller::Known(_)), "{:?}", resolved.answer);
}

/// Waits until `condition` holds; the work it waits for is under way.
async fn until(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn sixty_first_requests_of_one_session_make_one_call() {
    let mut kratos = Kratos::start(|_| {}).await;
    let asking = (0..60).map(|_| kratos.ask("one", None)).collect::<Vec<_>>();
    kratos.call().await.reply.send(ann()).unwrap();
    for asking in asking {
        assert_known(&within(asking).await.unwrap());
    }
    assert_eq!(kratos.asked(), 1);
}

#[tokio::test]
async fn a_cancelled_leader_strands_nobody() {
    let mut kratos = Kratos::start(|_| {}).await;
    let leader = kratos.ask("one", None);
    let call = kratos.call().await;
    let follower = kratos.ask("one", None);
    leader.abort();
    assert!(leader.await.is_err_and(|error| error.is_cancelled()));
    call.reply.send(ann()).unwrap();
    assert_known(&within(follower).await.unwrap());
    assert_eq!(kratos.asked(), 1);
}

#[tokio::test]
async fn only_the_credential_travels_to_whoami() {
    let mut kratos = Kratos::start(|_| {}).await;
    let _asking = kratos.ask("one", None);
    let call = kratos.call().await;
    let mut names = call.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "user-agent", "x-session-token"]);
}

#[tokio::test]
async fn different_credentials_are_different_callers() {
    let mut kratos = Kratos::start(|_| {}).await;
    assert_known(&kratos.exchange("one", None, ann()).await);
    let other = kratos.exchange("two", None, answer(401, "{}")).await;
    assert!(matches!(other.answer.caller, Caller::Rejected));
    assert_known(&kratos.cached("one").await);
}

#[tokio::test]
async fn a_refusal_is_believed_only_while_kratos_is_ready() {
    let mut kratos = Kratos::start(|_| {}).await;
    kratos.ready.store(false, Ordering::SeqCst);
    let resolved = kratos.exchange("one", None, answer(401, "{}")).await;
    assert!(matches!(resolved.answer.caller, Caller::Unknown(Outage::Away)), "{:?}", resolved.answer);
}

#[tokio::test]
async fn a_rule_that_asks_for_this_very_request_never_joins_an_older_look_up() {
    let mut kratos = Kratos::start(|_| {}).await;
    let first = kratos.ask("one", None);
    let older = kratos.call().await;
    let strict = kratos.ask("one", Some(Duration::ZERO));
    let newer = kratos.call().await;
    newer.reply.send(answer(401, "{}")).unwrap();
    assert!(matches!(within(strict).await.unwrap().answer.caller, Caller::Rejected));
    older.reply.send(ann()).unwrap();
    within(first).await.unwrap();
    // The older answer came later and must not outlive the newer refusal for anyone who asks strictly.
    let strict = kratos.exchange("one", Some(Duration::ZERO), answer(401, "{}")).await;
    assert!(matches!(strict.answer.caller, Caller::Rejected));
}

#[tokio::test]
async fn a_known_session_is_refreshed_in_the_background() {
    let mut kratos = Kratos::start(|settings| settings.refresh_after = Duration::ZERO).await;
    assert_known(&kratos.exchange("one", None, ann()).await);
    let served = within(kratos.sessions.resolve(&credentials("one"), None, false)).await;
    assert_known(&served);
    let refresh = kratos.call().await;
    let mut reply = ann();
    reply.headers_mut().insert("set-cookie", "other=1".parse().unwrap());
    refresh.reply.send(reply).unwrap();
    assert_eq!(kratos.asked(), 2);
}

#[tokio::test]
async fn the_cookie_of_a_background_refresh_goes_once_to_the_next_request() {
    let cookie = || Credentials::from(Credential::Cookie { name: b"ory_kratos_session", value: b"old" });
    let mut kratos = Kratos::start(|settings| settings.refresh_after = Duration::ZERO).await;
    let first = tokio::spawn({
        let sessions = kratos.sessions.clone();
        async move { sessions.resolve(&cookie(), None, false).await }
    });
    kratos.call().await.reply.send(ann()).unwrap();
    assert!(within(first).await.unwrap().set_cookies.is_empty());
    let asked_at = within(kratos.sessions.resolve(&cookie(), None, false)).await.entry.unwrap().asked_at;
    let mut reply = ann();
    reply.headers_mut().append("set-cookie", "csrf=1".parse().unwrap());
    reply.headers_mut().append("set-cookie", "ory_kratos_session=new; HttpOnly".parse().unwrap());
    kratos.call().await.reply.send(reply).unwrap();
    // No refresh of the refresh, or its answer would be waited for below.
    let key = kratos.sessions.shared.prints.key(cookie().asked());
    until(|| kratos.sessions.shared.cache.get(key).is_some_and(|entry| entry.asked_at > asked_at)).await;
    let next = within(kratos.sessions.resolve(&cookie(), None, false)).await;
    assert_eq!(next.set_cookies, ["ory_kratos_session=new; HttpOnly"]);
    let later = within(kratos.sessions.resolve(&cookie(), None, false)).await;
    assert!(later.set_cookies.is_empty());
}

#[tokio::test]
async fn an_answer_that_a_revocation_overtook_is_asked_anew() {
    let mut kratos = Kratos::start(|_| {}).await;
    for forget in [Forget::All, Forget::Identity(ANN.parse().unwrap()), Forget::Session(SESSION.parse().unwrap())] {
        let asking = kratos.ask("one", None);
        let overtaken = kratos.call().await;
        kratos.sessions.forget(forget);
        overtaken.reply.send(ann()).unwrap();
        kratos.call().await.reply.send(answer(401, "{}")).unwrap();
        let resolved = within(asking).await.unwrap();
        assert!(matches!(resolved.answer.caller, Caller::Rejected), "{forget:?}: {:?}", resolved.answer);
        kratos.sessions.forget(Forget::All);
    }
}

#[tokio::test]
async fn no_later_request_joins_a_look_up_that_began_before_its_credential_was_revoked() {
    let mut kratos = Kratos::start(|_| {}).await;
    let before = kratos.ask("one", None);
    let overtaken = kratos.call().await;
    kratos.sessions.forget_credentials(&credentials("one"));
    let later = kratos.ask("one", None);
    kratos.call().await.reply.send(answer(401, "{}")).unwrap();
    assert!(matches!(within(later).await.unwrap().answer.caller, Caller::Rejected));
    // The older one asks once more rather than hand out what it was told before the revocation.
    overtaken.reply.send(ann()).unwrap();
    kratos.call().await.reply.send(answer(401, "{}")).unwrap();
    assert!(matches!(within(before).await.unwrap().answer.caller, Caller::Rejected));
}

#[tokio::test]
async fn an_unrelated_revocation_voids_nothing() {
    let mut kratos = Kratos::start(|_| {}).await;
    let asking = kratos.ask("one", None);
    let call = kratos.call().await;
    kratos.sessions.forget(Forget::Identity(Uuid::from_u128(7)));
    call.reply.send(ann()).unwrap();
    assert_known(&within(asking).await.unwrap());
    assert_eq!(kratos.asked(), 1);
}

#[tokio::test]
async fn forgetting_reaches_a_session_through_every_name_it_has() {
    let mut kratos = Kratos::start(|_| {}).await;
    for forget in [Forget::All, Forget::Identity(ANN.parse().unwrap()), Forget::Session(SESSION.parse().unwrap())] {
        assert_known(&kratos.exchange("one", None, ann()).await);
        assert_known(&kratos.exchange("two", None, ann()).await);
        kratos.sessions.forget(forget);
        for token in ["one", "two"] {
            let resolved = kratos.exchange(token, None, answer(401, "{}")).await;
            assert!(matches!(resolved.answer.caller, Caller::Rejected), "{forget:?} {token}");
        }
        kratos.sessions.forget(Forget::All);
    }
}

#[tokio::test]
async fn a_request_that_ends_a_session_ends_it_under_all_its_credentials() {
    let mut kratos = Kratos::start(|_| {}).await;
    assert_known(&kratos.exchange("one", None, ann()).await);
    assert_known(&kratos.exchange("two", None, ann()).await);
    let mut pending =
        within(kratos.sessions.prepare_ending(&credentials("one"), Ending::Sessions, RevocationCause::Logout)).await;
    assert_known(&kratos.cached("two").await);
    pending.finish();
    for token in ["one", "two"] {
        let resolved = kratos.exchange(token, None, answer(401, "{}")).await;
        assert!(matches!(resolved.answer.caller, Caller::Rejected), "{token}");
    }
}

#[tokio::test]
async fn a_request_with_many_credentials_does_not_flood_kratos() {
    let mut kratos = Kratos::start(|_| {}).await;
    let cookies = (0..500).map(|number| format!("ory_kratos_session=value{number}; ")).collect::<String>();
    let preparing = tokio::spawn({
        let sessions = kratos.sessions.clone();
        async move {
            let headers = http::HeaderMap::from_iter([(http::header::COOKIE, cookies.parse().unwrap())]);
            let credentials = Credentials::find(&headers, &crate::decision::credentials::Sources::default());
            assert_eq!(credentials.all().len(), 500);
            sessions.prepare_ending(&credentials, Ending::Sessions, RevocationCause::Logout).await
        }
    });
    for _ in 0..8 {
        kratos.call().await.reply.send(answer(401, "{}")).unwrap();
    }
    drop(within(preparing).await.unwrap());
    assert_eq!(kratos.asked(), 8);
}

#[tokio::test]
async fn an_exchange_that_is_dropped_has_ended_too() {
    let mut kratos = Kratos::start(|_| {}).await;
    assert_known(&kratos.exchange("one", None, ann()).await);
    drop(within(kratos.sessions.prepare_ending(&credentials("one"), Ending::Sessions, RevocationCause::Logout)).await);
    assert!(matches!(kratos.exchange("one", None, answer(401, "{}")).await.answer.caller, Caller::Rejected));
}

#[tokio::test]
async fn settings_end_every_session_of_the_identity() {
    let mut kratos = Kratos::start(|_| {}).await;
    let other = answer(200, &session_of(ANN, "11111111-1111-4111-8111-111111111111"));
    assert_known(&kratos.exchange("one", None, ann()).await);
    assert_known(&kratos.exchange("other", None, other).await);
    drop(
        within(kratos.sessions.prepare_ending(&credentials("one"), Ending::Identity, RevocationCause::Settings)).await,
    );
    assert!(matches!(kratos.exchange("other", None, answer(401, "{}")).await.answer.caller, Caller::Rejected));
}

#[tokio::test]
async fn an_ending_forgets_the_value_even_if_nobody_can_say_whose_it_is() {
    let mut kratos = Kratos::start(|_| {}).await;
    let preparing = tokio::spawn({
        let sessions = kratos.sessions.clone();
        async move { sessions.prepare_ending(&credentials("one"), Ending::Sessions, RevocationCause::Logout).await }
    });
    kratos.call().await.reply.send(answer(500, "")).unwrap();
    let pending = within(preparing).await.unwrap();
    let asking = kratos.ask("one", None);
    let overtaken = kratos.call().await;
    drop(pending);
    overtaken.reply.send(ann()).unwrap();
    kratos.call().await.reply.send(answer(401, "{}")).unwrap();
    assert!(matches!(within(asking).await.unwrap().answer.caller, Caller::Rejected));
}

#[tokio::test]
async fn a_known_session_outlives_an_outage_only_where_that_was_asked_for() {
    for (stale_if_error, survives) in [(Duration::from_secs(60), true), (Duration::ZERO, false)] {
        let mut kratos = Kratos::start(|settings| {
            settings.ttl = Duration::from_millis(1);
            settings.refresh_after = settings.ttl;
            settings.stale_if_error = stale_if_error;
        })
        .await;
        assert_known(&kratos.exchange("one", None, ann()).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let resolved = kratos.exchange("one", None, answer(500, "")).await;
        assert_eq!(matches!(resolved.answer.caller, Caller::Known(_)), survives, "{:?}", resolved.answer);

        let strict = kratos.exchange("one", Some(Duration::from_secs(5)), answer(500, "")).await;
        assert!(!matches!(strict.answer.caller, Caller::Known(_)), "never where a rule asks how old an answer is");
    }
}

#[tokio::test]
async fn a_forgotten_session_never_outlives_an_outage() {
    let mut kratos = Kratos::start(|settings| {
        settings.ttl = Duration::from_millis(1);
        settings.refresh_after = settings.ttl;
        settings.stale_if_error = Duration::from_secs(60);
    })
    .await;
    assert_known(&kratos.exchange("one", None, ann()).await);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let asking = kratos.ask("one", None);
    let call = kratos.call().await;
    kratos.sessions.forget(Forget::Session(SESSION.parse().unwrap()));
    call.reply.send(answer(500, "")).unwrap();
    assert!(matches!(within(asking).await.unwrap().answer.caller, Caller::Unknown(_)));
}

#[tokio::test]
async fn a_ceiling_of_kratos_is_honoured() {
    let mut kratos = Kratos::start(|_| {}).await;
    let mut reply = ann();
    reply.headers_mut().insert("ory-session-cache-for", "0".parse().unwrap());
    assert_known(&kratos.exchange("one", None, reply).await);
    assert_known(&kratos.exchange("one", None, ann()).await);
    assert_eq!(kratos.asked(), 2);
}

#[tokio::test]
async fn an_open_circuit_answers_at_once_and_closes_by_itself() {
    let mut kratos = Kratos::start(|_| {}).await;
    for _ in 0..5 {
        let resolved = kratos.exchange("one", None, answer(503, "")).await;
        assert!(matches!(resolved.answer.caller, Caller::Unknown(Outage::Away)));
    }
    assert_eq!(kratos.sessions.kratos_state(), KratosState::Away);
    assert!(matches!(kratos.cached("two").await.answer.caller, Caller::Unknown(Outage::Away)));
    // The pause is a second of real time; there is no state to wait for.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_known(&kratos.exchange("two", None, ann()).await);
    assert_eq!(kratos.sessions.kratos_state(), KratosState::Reachable);
}

#[tokio::test]
async fn a_look_up_that_landed_before_a_revocation_is_known_to_be_void() {
    let mut kratos = Kratos::start(|_| {}).await;
    for forget in [Forget::All, Forget::Identity(ANN.parse().unwrap()), Forget::Session(SESSION.parse().unwrap())] {
        let entry = kratos.exchange("one", None, ann()).await.entry.unwrap();
        assert!(!kratos.sessions.shared.cache.voids(&entry));
        kratos.sessions.forget(forget);
        assert!(kratos.sessions.shared.cache.voids(&entry), "{forget:?}");
    }
}

#[tokio::test]
async fn a_look_up_without_facts_is_not_enough_for_a_request_that_joins_it_and_reads_them() {
    let mut kratos = Kratos::start(|_| {}).await;
    let plain = kratos.ask("one", None);
    let first = kratos.call().await;
    let reading = tokio::spawn({
        let sessions = kratos.sessions.clone();
        async move { sessions.resolve(&credentials("one"), None, true).await }
    });
    first.reply.send(ann()).unwrap();
    assert_known(&within(plain).await.unwrap());
    kratos.call().await.reply.send(ann()).unwrap();
    let read = within(reading).await.unwrap();
    assert!(read.entry.unwrap().session.facts.is_some());
    assert_eq!(kratos.asked(), 2);
}

#[tokio::test]
async fn so_many_look_ups_ask_kratos_at_once_and_no_more() {
    const BOUND: usize = 192;
    let mut kratos = Kratos::start(|_| {}).await;
    let asking = (0..BOUND + 40).map(|number| {
        let sessions = kratos.sessions.clone();
        let token = number.to_string();
        tokio::spawn(async move {
            sessions.resolve(&Credential::Token(token.as_bytes()).into(), None, false).await.answer.caller
        })
    });
    let asking = asking.collect::<Vec<_>>();
    let mut calls = Vec::new();
    for _ in 0..BOUND {
        calls.push(kratos.call().await);
    }
    assert!(kratos.calls.try_recv().is_err(), "the others wait for their turn");
    for call in calls {
        call.reply.send(ann()).unwrap();
    }
    for _ in 0..40 {
        kratos.call().await.reply.send(ann()).unwrap();
    }
    for asking in asking {
        assert!(matches!(within(asking).await.unwrap(), Caller::Known(_)));
    }
}

#[tokio::test]
async fn an_answer_without_facts_does_not_serve_a_rule_that_reads_them() {
    let mut kratos = Kratos::start(|_| {}).await;
    assert_known(&kratos.exchange("one", None, ann()).await);
    let asking = tokio::spawn({
        let sessions = kratos.sessions.clone();
        async move { sessions.resolve(&credentials("one"), None, true).await }
    });
    kratos.call().await.reply.send(ann()).unwrap();
    assert_known(&within(asking).await.unwrap());
    let again = within(kratos.sessions.resolve(&credentials("one"), None, true)).await;
    assert_known(&again);
    assert_eq!(kratos.asked(), 2);
}
