//! The one outgoing call: asks Kratos who is behind a credential, and reads its answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, COOKIE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::RwLock;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use crate::decision::credentials::{Credential, SESSION_TOKEN};
use crate::decision::expression::Facts;
use crate::decision::session::{Aal, Session, Tokenized};
use crate::services::client::describe;
use crate::sessions::facts;
use crate::sessions::settings::Settings;

/// The longest answer read, in bytes. A session with many traits and devices is a few KiB.
const MAX_BODY: usize = 512 * 1024;
/// A token must still be good when the service looks at it.
const HANDED_ON_BEFORE: Duration = Duration::from_secs(5);
/// How long an answer about Kratos' health is good.
const HEALTH_TTL: Duration = Duration::from_secs(1);

/// What Kratos said.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An active session, for how long at most it may be kept, and session cookies for the client.
    Active {
        session: Session,
        keep_for: Option<Duration>,
        cookies: Vec<HeaderValue>,
    },
    /// No answer, a failing one, or nonsense; and the cause, for operators.
    Failed(Failure, String),
    Rejected,
    StepUpNeeded,
    Throttled(Option<HeaderValue>),
}

/// How Kratos failed to answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// A 5xx, or a 401 while it is not ready.
    ServerError,
    TimedOut,
    /// It is there, but what it says is no answer.
    Unexpected,
    Unreachable,
}

/// Kratos, as far as it must be asked. It can be pointed elsewhere while it serves.
pub(crate) struct Whoami {
    target: RwLock<Arc<Target>>,
    health: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

struct Target {
    client: reqwest::Client,
    health: Url,
    timeout: Duration,
    whoami: Url,
    tokenizes: bool,
}

/// Why no client for Kratos can be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask Kratos: {0}")]
pub struct ClientError(#[from] reqwest::Error);

impl Whoami {
    pub(crate) fn new(settings: &Settings) -> Result<Self, ClientError> {
        Ok(Self { target: RwLock::new(Arc::new(Target::new(settings)?)), health: tokio::sync::Mutex::new(None) })
    }

    pub(crate) fn point_at(&self, settings: &Settings) -> Result<(), ClientError> {
        *self.target.write() = Arc::new(Target::new(settings)?);
        Ok(())
    }

    /// Asks who is behind `credentials`: they alone travel, in Kratos' own order.
    pub(crate) async fn ask(&self, credentials: &HeaderMap, session_cookies: &[Vec<u8>], with_facts: bool) -> Reply {
        let target = Arc::clone(&self.target.read());
        match tokio::time::timeout(target.timeout, target.ask(credentials, session_cookies, with_facts)).await {
            Ok(reply) => reply,
            Err(_) => Reply::Failed(Failure::TimedOut, format!("no answer within {:?}", target.timeout)),
        }
    }

    /// A refusal is believed only while Kratos says it is ready.
    pub(crate) async fn doubt(&self, reply: Reply) -> Reply {
        let target = Arc::clone(&self.target.read());
        match reply {
            Reply::Rejected if !self.is_ready(&target).await => Reply::Failed(
                Failure::ServerError,
                "whoami says 401 while Kratos is not ready, so it proves nothing about the session".to_owned(),
            ),
            reply => reply,
        }
    }

    /// Whether Kratos says it is ready. It answers 401 for every failure, a database that is down included; those who
    /// ask while an answer is on its way share it.
    async fn is_ready(&self, target: &Target) -> bool {
        // Who cannot even get to ask in time has no reason to believe it.
        let Ok(mut health) = tokio::time::timeout(target.timeout, self.health.lock()).await else { return false };
        if let Some((_, ready)) = health.filter(|(answered_at, _)| answered_at.elapsed() < HEALTH_TTL) {
            return ready;
        }
        let request = target.client.get(target.health.clone()).send();
        let ready = match tokio::time::timeout(target.timeout, request).await {
            // Not found: someone does not expose it, which says nothing about Kratos.
            Ok(Ok(response)) => matches!(response.status(), StatusCode::OK | StatusCode::NOT_FOUND),
            Ok(Err(_)) | Err(_) => false,
        };
        // Counted from the answer: a slow one is shared by those who waited for it.
        *health = Some((Instant::now(), ready));
        ready
    }
}

impl Target {
    fn new(settings: &Settings) -> Result<Self, ClientError> {
        let at = |path: &str| {
            let mut url = settings.kratos.clone();
            url.set_path(path);
            url
        };
        Ok(Self {
            client: settings.client()?,
            health: at("/health/ready"),
            timeout: settings.timeout,
            whoami: match &settings.tokenize_as {
                Some(template) => {
                    let mut url = at("/sessions/whoami");
                    url.query_pairs_mut().append_pair("tokenize_as", template);
                    url
                }
                None => at("/sessions/whoami"),
            },
            tokenizes: settings.tokenize_as.is_some(),
        })
    }

    async fn ask(&self, credentials: &HeaderMap, session_cookies: &[Vec<u8>], with_facts: bool) -> Reply {
        let request =
            self.client.get(self.whoami.clone()).headers(credentials.clone()).header("accept", "application/json");
        let mut response = match request.send().await {
            Ok(response) => response,
            // The error's own text may hold the URL but never a header.
            Err(error) => return Reply::Failed(Failure::Unreachable, describe(&error)),
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return nonsense("the answer is too long"),
                Ok(None) => break,
                Err(error) => return Reply::Failed(Failure::Unreachable, describe(&error)),
            }
        }
        let reply = read(status, &headers, &body, session_cookies, with_facts);
        if self.tokenizes { tokenized(reply, status, &body) } else { reply }
    }
}

/// The headers of a whoami request: the credentials and nothing else.
pub(crate) fn credential_headers(credentials: &[Credential<'_>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut cookies = Vec::new();
    for credential in credentials {
        match credential {
            Credential::Bearer(token) => insert(&mut headers, AUTHORIZATION, &[b"Bearer ", *token].concat()),
            Credential::Cookie { name, value } => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(&[name, b"=".as_slice(), value].concat());
            }
            Credential::Token(token) => insert(&mut headers, SESSION_TOKEN, token),
        }
    }
    if !cookies.is_empty() {
        insert(&mut headers, COOKIE, &cookies);
    }
    headers
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &[u8]) {
    if let Ok(mut value) = HeaderValue::from_bytes(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// Reads a complete answer of whoami.
fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], session_cookies: &[Vec<u8>], with_facts: bool) -> Reply {
    match status {
        StatusCode::OK => match parse_session(body, with_facts) {
            Ok(session) => {
                Reply::Active { session, keep_for: keep_for(headers), cookies: cookies(headers, session_cookies) }
            }
            Err(SessionError::Inactive) => Reply::Rejected,
            Err(error @ SessionError::Malformed(_)) => nonsense(&error.to_string()),
        },
        StatusCode::UNAUTHORIZED => Reply::Rejected,
        StatusCode::FORBIDDEN => match serde_json::from_slice::<Envelope>(body) {
            Ok(envelope) if envelope.error.id == "session_aal2_required" => Reply::StepUpNeeded,
            Ok(_) | Err(_) => nonsense("a 403 that does not ask for a second factor"),
        },
        StatusCode::TOO_MANY_REQUESTS => Reply::Throttled(headers.get(RETRY_AFTER).cloned()),
        status if status.is_server_error() => Reply::Failed(Failure::ServerError, format!("whoami says {status}")),
        status => nonsense(&format!("whoami says {status}")),
    }
}

/// An answer to a question for a signed token. A session without one would reach services that rely on it.
fn tokenized(reply: Reply, status: StatusCode, body: &[u8]) -> Reply {
    match reply {
        Reply::Active { mut session, keep_for, cookies } => match token(body) {
            Some(tokenized) => {
                session.tokenized = Some(tokenized);
                Reply::Active { session, keep_for, cookies }
            }
            None => nonsense("a session without the token that `kratos.tokenize_as` asks for"),
        },
        Reply::Failed(..) if status == StatusCode::BAD_REQUEST => {
            nonsense("whoami says 400: Kratos may have no template of the name in `kratos.tokenize_as`")
        }
        reply => reply,
    }
}

/// The token of an answer, which is for others to verify: only its end is looked at.
fn token(body: &[u8]) -> Option<Tokenized> {
    #[derive(Deserialize)]
    struct Tokenizing {
        tokenized: String,
    }
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let Tokenizing { tokenized } = serde_json::from_slice(body).ok()?;
    let payload = URL_SAFE_NO_PAD.decode(tokenized.split('.').nth(1)?).ok()?;
    let Claims { exp } = serde_json::from_slice(&payload).ok()?;
    let ends_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(exp))?.checked_sub(HANDED_ON_BEFORE)?;
    let mut stamp = HeaderValue::try_from(format!("Bearer {tokenized}")).ok()?;
    stamp.set_sensitive(true);
    Some(Tokenized { stamp, ends_at })
}

/// Kratos is there, but what it says is no answer.
fn nonsense(cause: &str) -> Reply {
    Reply::Failed(Failure::Unexpected, cause.to_owned())
}

/// The ceiling that Kratos sets for caches, in whole seconds.
fn keep_for(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("ory-session-cache-for")?;
    // A ceiling that cannot be read is the lowest one.
    Some(Duration::from_secs(value.to_str().ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)))
}

/// The `Set-Cookie` headers of the session cookies that were sent.
fn cookies(headers: &HeaderMap, session_cookies: &[Vec<u8>]) -> Vec<HeaderValue> {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| {
            let name = value.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            session_cookies.iter().any(|cookie| cookie == name)
        })
        .cloned()
        .collect()
}

#[derive(Deserialize)]
struct Envelope {
    error: EnvelopeError,
}

#[derive(Deserialize)]
struct EnvelopeError {
    #[serde(default)]
    id: String,
}

/// Why a body is no session that may be honoured.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It is a session, and it says of itself that it has ended.
    #[error("the session is not active, or expired")]
    Inactive,
    #[error("not a session: {0}")]
    Malformed(String),
}

#[derive(Deserialize)]
struct RawSession {
    id: Uuid,
    active: Option<bool>,
    expires_at: Option<DateTime<Utc>>,
    authenticated_at: Option<DateTime<Utc>>,
    #[serde(default)]
    authenticator_assurance_level: String,
    identity: RawIdentity,
}

#[derive(Deserialize)]
struct RawIdentity {
    id: Uuid,
    #[serde(default)]
    verifiable_addresses: Option<Vec<RawAddress>>,
}

#[derive(Deserialize)]
struct RawAddress {
    #[serde(default)]
    verified: bool,
}

/// Reads the body of a 200 of whoami. `with_facts` keeps all that expressions can read.
///
/// # Errors
/// Where it is no session, or one that has ended.
pub fn parse_session(body: &[u8], with_facts: bool) -> Result<Session, SessionError> {
    let malformed = |error: serde_json::Error| SessionError::Malformed(format!("at column {}", error.column()));
    let raw = serde_json::from_slice::<RawSession>(body).map_err(malformed)?;
    let expires_at = raw.expires_at.ok_or_else(|| SessionError::Malformed("no expires_at".to_owned()))?;
    let expires_at = SystemTime::from(expires_at);
    match raw.active {
        Some(true) if expires_at > SystemTime::now() => {}
        Some(_) => return Err(SessionError::Inactive),
        None => return Err(SessionError::Malformed("it does not say whether it is active".to_owned())),
    }
    let facts = if with_facts { Some(parse_facts(body)?) } else { None };
    let identity = raw.identity.id;
    Ok(Session {
        id: raw.id,
        identity,
        expires_at,
        // Nobody knows when: longer ago than any rule allows.
        authenticated_at: raw.authenticated_at.map_or(SystemTime::UNIX_EPOCH, SystemTime::from),
        // Legacy sessions leave it empty, and a spelling nobody knows promises nothing.
        aal: Aal::parse(&raw.authenticator_assurance_level).unwrap_or(Aal::Aal0),
        verified: raw.identity.verifiable_addresses.unwrap_or_default().iter().any(|address| address.verified),
        stamp: HeaderValue::try_from(identity.to_string())
            .map_err(|_| SessionError::Malformed("its identity's id is no header value".to_owned()))?,
        tokenized: None,
        facts,
    })
}

fn parse_facts(body: &[u8]) -> Result<Facts, SessionError> {
    facts::read(body).ok_or_else(|| SessionError::Malformed("its values cannot be read by expressions".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), &[], true)
    }

    fn session(change: impl Fn(&mut serde_json::Value)) -> String {
        let mut session = serde_json::json!({
            "id": "f28ea4ec-b5d8-4bb1-aa6e-c3046daf9129", "active": true, "expires_at": "2999-01-01T00:00:00.5Z",
            "authenticated_at": "2026-04-27T16:05:13.011508962Z", "authenticator_assurance_level": "aal2",
            "identity": {"id": "8250c7cf-9815-4a30-a5f6-9166760d4b20", "traits": {"email": "foo@ory.com"},
                "verifiable_addresses": [{"verified": false}, {"verified": true}]}
        });
        change(&mut session);
        session.to_string()
    }

    #[test]
    fn every_status_has_its_meaning() {
        assert!(matches!(reply(200, &session(|_| {})), Reply::Active { .. }));
        assert!(matches!(reply(401, "{}"), Reply::Rejected));
        assert!(matches!(reply(403, r#"{"error":{"id":"session_aal2_required"}}"#), Reply::StepUpNeeded));
        assert!(matches!(reply(403, r#"{"error":{"id":"blocked"}}"#), Reply::Failed(Failure::Unexpected, _)));
        assert!(matches!(reply(403, "<html>"), Reply::Failed(Failure::Unexpected, _)));
        assert!(matches!(reply(429, ""), Reply::Throttled(None)));
        assert!(matches!(reply(500, ""), Reply::Failed(Failure::ServerError, _)));
        assert!(matches!(reply(503, ""), Reply::Failed(Failure::ServerError, _)));
        for odd in [201, 204, 301, 400, 404] {
            assert!(matches!(reply(odd, ""), Reply::Failed(Failure::Unexpected, _)), "{odd}");
        }
    }

    #[test]
    fn nonsense_is_never_a_session_and_never_a_refusal() {
        let bodies = [
            String::new(),
            "null".to_owned(),
            "<html>signed in</html>".to_owned(),
            session(|s| s["identity"]["id"] = "root".into()),
            session(|s| s["identity"] = serde_json::Value::Null),
            session(|s| s["id"] = 7.into()),
            session(|s| s["expires_at"] = "soon".into()),
            session(|s| s["expires_at"] = serde_json::Value::Null),
            session(|s| s["active"] = "yes".into()),
            session(|s| s["active"] = serde_json::Value::Null),
            session(|s| s["authenticated_at"] = 1.into()),
        ];
        for body in bodies {
            assert!(matches!(reply(200, &body), Reply::Failed(Failure::Unexpected, _)), "{body}");
        }
    }

    #[test]
    fn a_session_that_has_ended_is_refused() {
        assert!(matches!(reply(200, &session(|s| s["active"] = false.into())), Reply::Rejected));
        assert!(matches!(reply(200, &session(|s| s["expires_at"] = "2020-01-01T00:00:00Z".into())), Reply::Rejected));
    }

    #[test]
    fn an_unknown_assurance_level_promises_nothing() {
        for (level, aal) in [("aal1", Aal::Aal1), ("aal2", Aal::Aal2), ("", Aal::Aal0), ("aal9", Aal::Aal0)] {
            let parsed =
                parse_session(session(|s| s["authenticator_assurance_level"] = level.into()).as_bytes(), false);
            assert_eq!(parsed.unwrap().aal, aal, "{level}");
        }
    }

    #[test]
    fn only_credentials_travel() {
        let headers = credential_headers(&[
            Credential::Cookie { name: b"ory_kratos_session", value: b"one" },
            Credential::Cookie { name: b"ory_kratos_session", value: b"two" },
            Credential::Bearer(b"three"),
        ]);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[COOKIE], "ory_kratos_session=one; ory_kratos_session=two");
        assert_eq!(headers[AUTHORIZATION], "Bearer three");
        assert!(headers.values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn only_the_session_cookie_is_relayed() {
        let mut headers = HeaderMap::new();
        for cookie in ["csrf_token_x=1; Path=/", "ory_kratos_session=new; HttpOnly", "ory_kratos_session_x=1"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        assert_eq!(cookies(&headers, &[b"ory_kratos_session".to_vec()]), ["ory_kratos_session=new; HttpOnly"]);
    }

    #[test]
    fn a_ceiling_for_caches_is_kept_and_one_that_cannot_be_read_is_the_lowest() {
        for (value, seconds) in [("60", 60), ("0", 0), ("-1", 0), ("soon", 0)] {
            let headers = HeaderMap::from_iter([("ory-session-cache-for".parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(keep_for(&headers), Some(Duration::from_secs(seconds)), "{value}");
        }
        assert_eq!(keep_for(&HeaderMap::new()), None);
    }
}
