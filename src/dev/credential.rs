//! What a visitor presents, and the session behind it.

use chrono::DateTime;
use chrono::Utc;
use uuid::Uuid;

use super::RequiredAal;
use super::identity::Identity;
use super::secret::SealedSession;
use super::session::Aal;
use super::session::Device;
use super::session::Presented;
use super::session::Session;
use super::visit::Visit;
use super::world::World;

pub(super) const SESSION_COOKIE: &str = "ory_kratos_session";

/// A token and, if it came in one, the cookie.
pub(super) struct Credential {
    pub(super) token: String,
    pub(super) cookie: Option<SealedSession>,
}

/// The token of `Authorization: Bearer TOKEN`: exactly two parts.
pub(super) fn bearer(visit: &Visit) -> Option<&str> {
    let (scheme, token) = visit.header("authorization")?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
}

impl World {
    pub(super) fn open_session(&self, identity: Uuid, method: &'static str, visit: &Visit) -> Session {
        let device = Device {
            id: Uuid::new_v4(),
            ip_address: visit.client_ip(),
            user_agent: visit.header("user-agent").unwrap_or_default().to_owned(),
        };
        let first = Presented { method, aal: Aal::One, at: visit.now };
        self.add_session(Session::new(identity, first, visit.now + self.lifespans.session, device))
    }

    pub(super) fn add_session(&self, session: Session) -> Session {
        let mut state = self.state();
        state.by_token.insert(session.token.clone(), session.id);
        state.sessions.insert(session.id, session.clone());
        session
    }

    /// Applies `change` to a session and returns it.
    pub(super) fn change_session(&self, id: Uuid, change: impl FnOnce(&mut Session)) -> Option<Session> {
        let mut state = self.state();
        let session = state.sessions.get_mut(&id)?;
        change(session);
        Some(session.clone())
    }

    /// The session that `visit` presents, if it is live and its identity active.
    pub(super) fn session_of(&self, visit: &Visit) -> Option<(Session, Identity)> {
        self.session_by_token(&self.credential(visit)?.token, visit.now)
    }

    pub(super) fn session_by_token(&self, token: &str, now: DateTime<Utc>) -> Option<(Session, Identity)> {
        let state = self.state();
        let session = state.sessions.get(state.by_token.get(token)?)?;
        let identity = state.identities.get(&session.identity)?;
        (session.is_live(now) && identity.active).then(|| (session.clone(), identity.clone()))
    }

    /// What `visit` presents, in Kratos' order: header, then the first cookie that decodes, then Bearer.
    pub(super) fn credential(&self, visit: &Visit) -> Option<Credential> {
        if let Some(token) = visit.header("x-session-token") {
            return Some(Credential { token: token.to_owned(), cookie: None });
        }
        if let Some(sealed) = self.session_cookie_of(visit) {
            return Some(Credential { token: sealed.token.clone(), cookie: Some(sealed) });
        }
        bearer(visit).map(|token| Credential { token: token.to_owned(), cookie: None })
    }

    /// The first session cookie that decodes and is not older than a session may be.
    pub(super) fn session_cookie_of(&self, visit: &Visit) -> Option<SealedSession> {
        visit
            .cookies(SESSION_COOKIE)
            .filter_map(|value| self.cookie_key.open(value))
            .find(|sealed| visit.now - sealed.issued_at <= self.lifespans.session)
    }

    /// A new cookie value for `session`.
    pub(super) fn seal(&self, session: &Session, now: DateTime<Utc>) -> String {
        let sealed = SealedSession { token: session.token.clone(), expires_at: session.expires_at, issued_at: now };
        self.cookie_key.seal(&sealed).unwrap_or_default()
    }

    pub(super) fn give_session_cookie(&self, visit: &mut Visit, session: &Session) {
        let seconds = (session.expires_at - visit.now).num_seconds().max(0);
        let expires = session.expires_at.format("%a, %d %b %Y %H:%M:%S GMT");
        let value = self.seal(session, visit.now);
        visit.set_cookies.push(format!(
            "{SESSION_COOKIE}={value}; Path=/; Expires={expires}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
        ));
    }

    pub(super) fn owes_second_factor(&self, session: &Session, identity: &Identity) -> bool {
        self.required_aal == RequiredAal::HighestAvailable && session.aal() == Aal::One && identity.has_second_factor()
    }
}
