//! What the gateway would do with a request, and why: for operators, on the command line and over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header::HOST;
use serde::Serialize;
use serde::Serializer;

use crate::decision::call::Service;
use crate::decision::credentials::Credentials;
use crate::decision::edits::Edit;
use crate::decision::edits::Toward;
use crate::decision::edits::edits;
use crate::decision::index::WhyNot;
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::Head;
use crate::decision::request::RequestView;
use crate::decision::request::Scheme;
use crate::decision::rule::Access;
use crate::decision::rule::Rule;
use crate::decision::session::Caller;
use crate::decision::session::Outage;
use crate::decision::token::Token;
use crate::gate;
use crate::gate::Passage;
use crate::gate::Preflighted;
use crate::gate::SupposedReplies;
use crate::gate::SupposedReply;
use crate::gate::Verdict;
use crate::gate::WhoAsks;
use crate::services::json::value;
use crate::sessions::whoami;
use crate::sessions::whoami::SessionError;
use crate::tokens;

pub(super) mod page;
mod query;
#[cfg(test)]
mod tests;
mod text;

pub(super) use query::answer;

/// How many of the rules that lost are told about. They come nearest first.
const MOST_OTHERS: usize = 20;

/// What whoami would answer.
#[derive(Clone, Debug)]
pub struct Supposed(Caller);

impl Supposed {
    /// Reads `none` (401), `step-up` (403) and `down` (no answer).
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self(Caller::Rejected)),
            "step-up" => Some(Self(Caller::StepUpNeeded)),
            "down" => Some(Self(Caller::Unknown(Outage::Away))),
            _ => None,
        }
    }

    /// Takes the body of whoami's answer as the gateway would: a session that has ended is refused, nonsense is an outage.
    pub fn answer(body: &[u8]) -> Self {
        Self::session(body).unwrap_or_else(|error| match error {
            SessionError::Inactive => Self(Caller::Rejected),
            SessionError::Malformed(_) => Self(Caller::Unknown(Outage::Away)),
        })
    }

    /// Takes a session as whoami tells it, in JSON; or `{ "token": { …claims… } }`, a token of another issuer.
    ///
    /// # Errors
    /// Where it is none, or one that has ended.
    pub fn session(body: &[u8]) -> Result<Self, SessionError> {
        if let Some(token) = token(body) {
            return Ok(Self(Caller::Token(Arc::new(token))));
        }
        whoami::parse_session(body, true).map(|session| Self(Caller::Known(Arc::new(session))))
    }
}

/// The token that a body supposes, where it does.
fn token(body: &[u8]) -> Option<Token> {
    match serde_json::from_slice::<serde_json::Value>(body).ok()?.get_mut("token")?.take() {
        serde_json::Value::Object(claims) => tokens::supposed(claims),
        _ => None,
    }
}

/// What everyone would answer.
#[derive(Debug, Default)]
pub struct Supposing {
    pub session: Option<Supposed>,
    pub replies: SupposedReplies,
}

impl From<Option<Supposed>> for Supposing {
    fn from(session: Option<Supposed>) -> Self {
        Self { session, replies: SupposedReplies::new() }
    }
}

/// Reads `allow`, `deny` and `silent`.
pub fn reply(text: &str) -> Option<SupposedReply> {
    match text {
        "allow" => Some(SupposedReply::Agrees),
        "deny" => Some(SupposedReply::Refuses),
        "silent" => Some(SupposedReply::Silent),
        _ => None,
    }
}

/// What an enricher would tell, in JSON.
pub fn tells(json: &serde_json::Value) -> SupposedReply {
    SupposedReply::Tells(value(json))
}

/// What would become of a request.
#[derive(Debug)]
pub struct Explanation {
    outcome: Outcome,
    /// The rule that owns the request, where one does.
    rule: Option<Arc<Rule>>,
    captures: Vec<(Box<str>, Box<str>)>,
    edits: Vec<Change>,
    others: Vec<Other>,
    /// How many more rules lost than `others` tells about.
    more: usize,
}

#[derive(Debug)]
enum Outcome {
    /// Kratos, or somebody else who decides, would have to be asked first.
    Ask(Option<Arc<Service>>),
    Permit,
    /// A preflight, which the gateway answers itself.
    Preflight,
    Refuse(Refusal),
}

/// A rule that does not own the request.
#[derive(Debug)]
struct Other {
    rule: Box<str>,
    why: String,
}

/// A change to the head of a permitted request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Remove(String),
    Set(String, String),
}

/// The explanation as machines read it, in this order.
#[derive(Serialize)]
struct Wire<'e> {
    rule: Option<&'e str>,
    outcome: &'static str,
    status: Option<u16>,
    refusal: Option<&'static str>,
    edits: &'e [Change],
    captures: BTreeMap<&'e str, &'e str>,
}

/// Says what would become of a request of `method` to `url`, an absolute URL or a path, taken as it is written.
///
/// A path alone is asked of `public_url`, or else of `http://localhost`, unless `headers` name a host. Without a
/// supposed answer of Kratos, or of a service, a rule that needs one is not decided.
pub async fn explain(
    policy: &Policy,
    method: &Method,
    url: &str,
    mut headers: HeaderMap,
    supposing: impl Into<Supposing>,
) -> Explanation {
    let Supposing { session: supposed, replies } = supposing.into();
    let (scheme, authority) = origin(url, policy);
    if !headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority)
    {
        headers.insert(HOST, host);
    }
    // Only a path of no characters is completed; whatever else is odd is for the reader of requests to refuse.
    let target = if url.is_empty() || url.starts_with('?') { format!("/{url}") } else { url.to_owned() };
    let head = Head { method, target: target.as_bytes(), authority: None, headers: &headers, scheme };
    let request = match RequestView::parse(head) {
        Ok(request) => request,
        Err(ambiguous) => return Explanation::refused(Refusal::Ambiguous(ambiguous)),
    };
    if let Some(Preflighted { rule, outcome }) = gate::preflight(policy, &request) {
        let outcome = outcome.map_or_else(Outcome::Refuse, |_| Outcome::Preflight);
        let (others, more) = others(policy, &request);
        return Explanation { outcome, rule, captures: Vec::new(), edits: Vec::new(), others, more };
    }
    let is_supposed = supposed.is_some();
    let caller = supposed.map_or(Caller::Anonymous, |Supposed(caller)| caller);
    let supposed = gate::Supposed { caller, replies };
    let verdict = gate::judge(policy, &request, &WhoAsks::Supposed(&supposed)).await;
    let credentials = Credentials::find(&headers, &policy.sources);
    let asks = !is_supposed && verdict.rule.as_ref().is_some_and(|rule| asks_kratos(rule, &credentials));
    let (others, more) = others(policy, &request);
    let Verdict { rule, captures, outcome, unasked, .. } = verdict;
    let (outcome, edits) = match outcome {
        _ if asks => (Outcome::Ask(None), Vec::new()),
        _ if unasked.is_some() => (Outcome::Ask(unasked), Vec::new()),
        Ok(passage) => (Outcome::Permit, changes(policy, &headers, &passage)),
        Err(refusal) => (Outcome::Refuse(refusal), Vec::new()),
    };
    Explanation { outcome, rule, captures, edits, others, more }
}

/// Scheme and authority of an absolute URL, else those that browsers use.
fn origin<'t>(url: &'t str, policy: &'t Policy) -> (Scheme, &'t str) {
    let split = |text: &'t str| {
        [("http://", Scheme::Http), ("https://", Scheme::Https)].into_iter().find_map(|(start, scheme)| {
            let (head, rest) = text.split_at_checked(start.len())?;
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            head.eq_ignore_ascii_case(start).then(|| (scheme, &rest[..end]))
        })
    };
    split(url)
        .or_else(|| policy.public_url.as_ref().and_then(|public| split(&public.origin)))
        .unwrap_or((Scheme::Http, "localhost"))
}

/// Whether serving a request of this rule would wait for Kratos, or its answer in the cache.
fn asks_kratos(rule: &Rule, credentials: &Credentials<'_>) -> bool {
    match rule.access {
        Access::Session(_) => true,
        Access::Optional { .. } => !credentials.is_empty(),
        Access::Deny | Access::Public => false,
    }
}

/// The edits of a permitted request, after the names that no client may send, for they go whether this one sent them
/// or not.
fn changes(policy: &Policy, headers: &HeaderMap, passage: &Passage) -> Vec<Change> {
    let Passage { permit, stamps, .. } = passage;
    let owned = &policy.owned.spellings;
    let mut changes = owned.iter().map(|spelling| Change::Remove(spelling.to_string())).collect::<Vec<_>>();
    let is_told = |edit: &Edit| match edit {
        Edit::Remove(name) => owned.iter().any(|spelling| spelling.eq_ignore_ascii_case(name.as_str())),
        Edit::Set { .. } => false,
    };
    let made = edits(policy, headers, Toward::of(permit), stamps);
    changes.extend(made.into_iter().filter(|edit| !is_told(edit)).map(Change::from));
    changes
}

/// The rules that lost, those that came nearest first, and how many more there are.
fn others(policy: &Policy, request: &RequestView<'_>) -> (Vec<Other>, usize) {
    let mut lost = policy.index.why_not(request);
    lost.sort_by_key(|(_, why)| match why {
        WhyNot::MethodNotListed | WhyNot::SchemeNotListed | WhyNot::Spelling(_) => 0,
        WhyNot::PathOwned { .. } => 1,
        WhyNot::HostOwned { .. } => 2,
        WhyNot::PathDoesNotMatch => 3,
        WhyNot::HostDoesNotMatch => 4,
    });
    let more = lost.len().saturating_sub(MOST_OTHERS);
    let others = lost.into_iter().take(MOST_OTHERS).filter_map(|(number, why)| {
        let rule = policy.rules.get(number as usize)?.id.clone();
        let why = match why {
            WhyNot::PathOwned { by, owner } => format!("the path belongs to `{by}` of `{}`", policy.rule(owner).id),
            why => why.to_string(),
        };
        Some(Other { rule, why })
    });
    (others.collect(), more)
}

impl Explanation {
    fn refused(refusal: Refusal) -> Self {
        let outcome = Outcome::Refuse(refusal);
        Self { outcome, rule: None, captures: Vec::new(), edits: Vec::new(), others: Vec::new(), more: 0 }
    }

    /// The status that the gateway decides on; nothing where Kratos would have to be asked first.
    pub fn status(&self) -> Option<u16> {
        match &self.outcome {
            Outcome::Ask(_) => None,
            Outcome::Permit => Some(200),
            Outcome::Preflight => Some(204),
            Outcome::Refuse(refusal) => Some(refusal.status().as_u16()),
        }
    }

    /// The rule that owns the request, where one does.
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_ref().map(|rule| &*rule.id)
    }

    fn wire(&self) -> Wire<'_> {
        let (outcome, refusal) = match &self.outcome {
            Outcome::Ask(_) => ("ask", None),
            Outcome::Permit | Outcome::Preflight => ("permit", None),
            Outcome::Refuse(refusal) => ("refuse", Some(refusal.id())),
        };
        let captures = self.captures.iter().map(|(name, value)| (&**name, &**value)).collect();
        Wire { rule: self.rule(), outcome, status: self.status(), refusal, edits: &self.edits, captures }
    }
}

/// As machines read it. People get its `Display`.
impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.wire().serialize(serializer)
    }
}

impl Change {
    fn set(name: &str, value: &HeaderValue) -> Self {
        Self::Set(name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

impl From<Edit> for Change {
    fn from(edit: Edit) -> Self {
        match edit {
            Edit::Remove(name) => Self::Remove(name.to_string()),
            Edit::Set { spelling, value, .. } => Self::set(&spelling, &value),
        }
    }
}

/// Reads `Name: value`.
pub fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    Some((HeaderName::try_from(name.trim_end()).ok()?, HeaderValue::from_str(value.trim()).ok()?))
}
