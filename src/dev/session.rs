//! Sessions: that somebody signed in, how strongly, from where and until when.

use chrono::DateTime;
use chrono::Utc;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::identity::Identity;
use super::identity::stamp;
use super::secret;

/// How sure Kratos is of who signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aal {
    /// One factor.
    One,
    /// Two factors.
    Two,
}

impl Aal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "aal1",
            Self::Two => "aal2",
        }
    }
}

/// One factor that was presented.
#[derive(Clone)]
pub(super) struct Presented {
    pub(super) method: &'static str,
    pub(super) aal: Aal,
    pub(super) at: DateTime<Utc>,
}

/// A session. No `Debug`: it holds its token.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) token: String,
    pub(super) logout_token: String,
    pub(super) identity: Uuid,
    pub(super) revoked: bool,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) authenticated_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) presented: Vec<Presented>,
    pub(super) device: Device,
}

/// Where a session was opened.
#[derive(Clone)]
pub(super) struct Device {
    pub(super) id: Uuid,
    pub(super) ip_address: String,
    pub(super) user_agent: String,
}

impl Session {
    pub(super) fn new(identity: Uuid, first: Presented, expires_at: DateTime<Utc>, device: Device) -> Self {
        Self {
            id: Uuid::new_v4(),
            token: secret::session_token(),
            logout_token: secret::logout_token(),
            identity,
            revoked: false,
            issued_at: first.at,
            authenticated_at: first.at,
            expires_at,
            presented: vec![first],
            device,
        }
    }

    /// Takes note of a factor. Showing it again makes it younger, not more.
    pub(super) fn present(&mut self, factor: Presented) {
        self.presented.retain(|presented| presented.method != factor.method);
        self.presented.push(factor);
    }

    /// AAL2 needs a factor of each level.
    pub(super) fn aal(&self) -> Aal {
        let has = |aal| self.presented.iter().any(|factor| factor.aal == aal);
        if has(Aal::One) && has(Aal::Two) { Aal::Two } else { Aal::One }
    }

    pub(super) fn is_live(&self, now: DateTime<Utc>) -> bool {
        !self.revoked && self.expires_at > now
    }

    /// The public form; `identity` None hides it, as Kratos does from native clients that still owe a second factor.
    pub(super) fn view(&self, identity: Option<&Identity>, base: &str, now: DateTime<Utc>) -> Value {
        let methods: Vec<Value> = self
            .presented
            .iter()
            .map(
                |factor| json!({ "method": factor.method, "aal": factor.aal.name(), "completed_at": stamp(factor.at) }),
            )
            .collect();
        json!({
            "id": self.id,
            "active": self.is_live(now) && identity.is_none_or(|identity| identity.active),
            "expires_at": stamp(self.expires_at),
            "authenticated_at": stamp(self.authenticated_at),
            "authenticator_assurance_level": self.aal().name(),
            "authentication_methods": methods,
            "issued_at": stamp(self.issued_at),
            "identity": identity.map(|identity| identity.view(base)),
            "devices": [{
                "id": self.device.id,
                "ip_address": self.device.ip_address,
                "user_agent": self.device.user_agent,
                "location": "",
            }],
        })
    }
}
