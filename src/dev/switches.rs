//! Switches: how a test makes this server misbehave, signs somebody in, and sees who asked what.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::answer::Answer;
use super::answer::Fault;
use super::credential::SESSION_COOKIE;
use super::identity::Identity;
use super::session::Aal;
use super::session::Device;
use super::session::Presented;
use super::session::Session;
use super::visit::Visit;
use super::world::World;

/// What the switches are set to.
pub(super) struct Behaviour {
    pub(super) cut: Arc<AtomicBool>,
    failing: AtomicBool,
    not_ready: AtomicBool,
    garbage: AtomicBool,
    delay: Mutex<Duration>,
    fixed: Mutex<Option<Answer>>,
    last_whoami: Mutex<Option<HeaderMap>>,
    asked: watch::Sender<u64>,
    held: watch::Sender<bool>,
    waiting: AtomicU64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            cut: Arc::default(),
            failing: AtomicBool::default(),
            not_ready: AtomicBool::default(),
            garbage: AtomicBool::default(),
            delay: Mutex::default(),
            fixed: Mutex::default(),
            last_whoami: Mutex::default(),
            asked: watch::Sender::new(0),
            held: watch::Sender::new(false),
            waiting: AtomicU64::default(),
        }
    }
}

impl Behaviour {
    pub(super) fn outage(&self) -> Option<Answer> {
        self.failing.load(Ordering::SeqCst).then(|| Fault::internal("The server is switched off.").answer(None))
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.not_ready.load(Ordering::SeqCst)
    }

    /// Counts a whoami, makes it wait as told, and answers in its place if told to.
    pub(super) async fn at_whoami(&self, visit: &Visit) -> Option<Answer> {
        *self.last_whoami.lock() = Some(visit.headers.clone());
        self.asked.send_modify(|asked| *asked += 1);
        let delay = *self.delay.lock();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut held = self.held.subscribe();
        let waiting = Waiting::begin(&self.waiting);
        // The sender lives as long as `self`, so this ends only when the gate is open.
        let _ = held.wait_for(|held| !held).await;
        drop(waiting);
        if self.garbage.load(Ordering::SeqCst) {
            return Some(Answer::bytes(StatusCode::OK, "application/json; charset=utf-8", "{\"id\": 7, \"active\":"));
        }
        self.fixed.lock().clone()
    }
}

/// One whoami at the gate. It stops counting when it is dropped, be it that its client gave up.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Somebody that [`Switches::sign_in`] signed in.
#[derive(Clone)]
pub struct SignedIn {
    /// Whose session it is.
    pub identity_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// For `X-Session-Token` or `Authorization: Bearer`.
    pub token: String,
    /// For `Cookie`: name and value.
    pub cookie: String,
}

/// A handle to a running server's switches. Cloning is cheap; all clones turn the same switches.
#[derive(Clone)]
pub struct Switches {
    pub(super) world: Arc<World>,
}

impl Switches {
    fn behaviour(&self) -> &Behaviour {
        &self.world.behaviour
    }

    /// Every request is answered 500 while `failing`.
    pub fn fail(&self, failing: bool) {
        self.behaviour().failing.store(failing, Ordering::SeqCst);
    }

    /// Every connection is cut without an answer while `cut`: nobody seems to live here.
    pub fn cut(&self, cut: bool) {
        self.behaviour().cut.store(cut, Ordering::SeqCst);
    }

    /// Every whoami takes `delay` longer; zero for full speed.
    pub fn slow(&self, delay: Duration) {
        *self.behaviour().delay.lock() = delay;
    }

    /// Every whoami is answered 200 with half a JSON document while `garbage`.
    pub fn garbage(&self, garbage: bool) {
        self.behaviour().garbage.store(garbage, Ordering::SeqCst);
    }

    /// Every whoami is answered with `status`, `headers` and `body`. Headers that HTTP cannot carry are left out.
    pub fn answer_whoami(&self, status: StatusCode, headers: &[(&str, &str)], body: &str) {
        let mut answer = Answer::bytes(status, "application/json", body);
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(*value)) {
                answer.headers.append(name, value);
            }
        }
        *self.behaviour().fixed.lock() = Some(answer);
    }

    /// Whoami speaks the truth again, at once and at full speed; nothing fails, nothing is held.
    pub fn behave(&self) {
        self.fail(false);
        self.cut(false);
        self.slow(Duration::ZERO);
        self.garbage(false);
        self.ready(true);
        *self.behaviour().fixed.lock() = None;
        self.release();
    }

    /// What `/health/ready` says: 200, or 503.
    pub fn ready(&self, ready: bool) {
        self.behaviour().not_ready.store(!ready, Ordering::SeqCst);
    }

    /// From now on whoami requests are counted and then wait for [`Self::release`].
    pub fn hold(&self) {
        self.behaviour().held.send_replace(true);
    }

    /// Lets all waiting whoami requests go on. They see the sessions as they are then.
    pub fn release(&self) {
        self.behaviour().held.send_replace(false);
    }

    /// How many whoami requests arrived since the start or the last [`Self::reset_count`].
    pub fn whoami_count(&self) -> u64 {
        *self.behaviour().asked.borrow()
    }

    /// How many whoami requests wait at the gate.
    pub fn whoami_waiting(&self) -> u64 {
        self.behaviour().waiting.load(Ordering::SeqCst)
    }

    /// Starts counting anew.
    pub fn reset_count(&self) {
        self.behaviour().asked.send_replace(0);
    }

    /// Returns when at least `count` whoami requests have arrived.
    pub async fn whoami_reached(&self, count: u64) {
        let _ = self.behaviour().asked.subscribe().wait_for(|asked| *asked >= count).await;
    }

    /// The headers of the last whoami request.
    pub fn last_whoami(&self) -> Option<HeaderMap> {
        self.behaviour().last_whoami.lock().clone()
    }

    /// Opens a session for the identity with this address, which is made if it does not exist.
    pub fn sign_in(&self, email: &str) -> SignedIn {
        let now = Utc::now();
        let identity = self.world.identity_by_email(email).unwrap_or_else(|| {
            let identity = Identity::with_email(email, now);
            // It fails only if another thread made the same identity meanwhile, or the disk is full.
            let _ = self.world.keep_identity(identity.clone());
            self.world.identity_by_email(email).unwrap_or(identity)
        });
        let first = Presented { method: "password", aal: Aal::One, at: now };
        let device = Device { id: Uuid::new_v4(), ip_address: String::new(), user_agent: "switches".to_owned() };
        let expires_at = now + self.world.lifespans.session;
        let session = self.world.add_session(Session::new(identity.id, first, expires_at, device));
        SignedIn {
            identity_id: identity.id,
            session_id: session.id,
            cookie: format!("{SESSION_COOKIE}={}", self.world.seal(&session, now)),
            token: session.token,
        }
    }

    /// Another `Cookie` value for the same session, as after a refresh.
    pub fn another_cookie(&self, session_id: Uuid) -> Option<String> {
        let session = self.world.state().sessions.get(&session_id).cloned()?;
        Some(format!("{SESSION_COOKIE}={}", self.world.seal(&session, Utc::now())))
    }

    /// Ends a session behind everybody's back.
    pub fn end_session(&self, session_id: Uuid) {
        self.world.change_session(session_id, |session| session.revoked = true);
    }

    /// Ends all sessions of an identity behind everybody's back.
    pub fn end_sessions(&self, identity_id: Uuid) {
        let mut state = self.world.state();
        for session in state.sessions.values_mut().filter(|session| session.identity == identity_id) {
            session.revoked = true;
        }
    }

    /// Sets when a session ends by itself, `in_time` from now. The next whoami by cookie brings a new cookie.
    pub fn expire_session(&self, session_id: Uuid, in_time: Duration) {
        let expires_at = Utc::now() + chrono::Duration::from_std(in_time).unwrap_or_default();
        self.world.change_session(session_id, |session| session.expires_at = expires_at);
    }

    /// Makes a session look as strong as `aal`, its id and token unchanged.
    pub fn set_session_aal(&self, session_id: Uuid, aal: Aal) {
        self.world.change_session(session_id, |session| {
            session.presented.retain(|factor| factor.aal == Aal::One);
            if aal == Aal::Two {
                session.presented.push(Presented { method: "totp", aal, at: Utc::now() });
            }
        });
    }

    /// Sets when the session's owner last proved who they are, `ago` before now.
    pub fn set_authenticated(&self, session_id: Uuid, ago: Duration) {
        let at = Utc::now() - chrono::Duration::from_std(ago).unwrap_or_default();
        self.world.change_session(session_id, |session| session.authenticated_at = at);
    }

    /// Whether an identity counts as having a second factor, so that whoami answers its AAL1 sessions 403.
    pub fn set_second_factor(&self, identity_id: Uuid, exists: bool) {
        self.world.change_identity(identity_id, |identity| identity.pretend_second_factor = exists);
    }

    /// Whether an identity's address is verified.
    pub fn set_verified(&self, identity_id: Uuid, verified: bool) {
        self.world.change_identity(identity_id, |identity| identity.verified_at = verified.then(Utc::now));
    }

    /// An inactive identity's sessions count for nothing.
    pub fn set_active(&self, identity_id: Uuid, active: bool) {
        self.world.change_identity(identity_id, |identity| identity.active = active);
    }

    /// Replaces an identity's `metadata_public`.
    pub fn set_metadata_public(&self, identity_id: Uuid, metadata: Value) {
        self.world.change_identity(identity_id, |identity| identity.metadata_public = metadata);
    }

    /// Replaces an identity's traits, which stay as they are if `traits` is no object or its address is taken.
    pub fn set_traits(&self, identity_id: Uuid, traits: &Value) {
        if let Value::Object(traits) = traits {
            self.world.change_identity(identity_id, |identity| identity.traits = traits.clone());
        }
    }
}
