//! What must be asked of others before a request is decided, and what their answers mean.
//!
//! Nothing is asked here: a call is filled in, and its answer is read. Asking is for the shell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cel::Value;
use cel::objects::{Key, Map};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::decision::edits::Stamp;
use crate::decision::expression::{Reads, Scope};
use crate::decision::payload::{Absent, Payload};
use crate::decision::template::HeaderTemplate;
use crate::decision::url_template::UrlTemplate;

/// A service that is asked, and how patient the gateway is with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    pub name: Box<str>,
    /// For one attempt, from the connection to the last byte.
    pub timeout: Duration,
    /// How often it is asked again after an attempt without an answer.
    pub retries: u32,
    /// How long an answer that lets pass is good. Zero: it is asked every time.
    pub ttl: Duration,
    /// The value of the `Authorization` header by which the gateway says who it is.
    pub authorization: Option<HeaderValue>,
    /// PEM certificates of a private authority that vouches for an https URL, instead of the system's.
    pub authority: Option<Box<[u8]>>,
}

/// A question with holes.
#[derive(Debug)]
pub struct Call {
    pub service: Arc<Service>,
    pub method: Method,
    pub url: Arc<UrlTemplate>,
    /// One without a value is left out; one that no header may carry is as if a hole in the URL had none.
    pub headers: Vec<Arc<HeaderTemplate>>,
    pub body: Option<Arc<Payload>>,
    /// What becomes of a hole in the body that has no value.
    pub absent: Absent,
}

/// A question with its holes filled.
#[derive(Clone, Debug)]
pub struct Question {
    pub service: Arc<Service>,
    pub method: Method,
    pub url: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Option<String>,
    /// The session about which it is asked, where an answer is good for that one alone.
    pub caller: Option<String>,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub enum Reply {
    Said(Said),
    /// No answer, or one that cannot be read.
    Silence,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, where it is JSON; else null.
    pub body: Value,
    /// Of the body, in bytes.
    pub length: usize,
    /// How long ago it was asked for.
    pub age: Duration,
    pub asked_at: Instant,
}

impl Call {
    /// What all holes together read.
    pub fn reads(&self) -> Reads {
        let headers = self.headers.iter().map(|header| header.reads()).fold(Reads::default(), Reads::and);
        let body = self.body.as_ref().map(|body| body.reads()).unwrap_or_default();
        self.url.reads().and(headers).and(body)
    }

    /// The question for this request, or nothing where a hole that matters has no value.
    pub fn question(&self, scope: &Scope<'_>) -> Option<Question> {
        let body = match &self.body {
            Some(payload) => Some(payload.render(scope, self.absent)?),
            None => None,
        };
        let header = |header: &Arc<HeaderTemplate>| {
            let value = header.fill(scope).transpose()?;
            Some(value.map(|value| (header.name().clone(), value)))
        };
        Some(Question {
            service: Arc::clone(&self.service),
            method: self.method.clone(),
            url: self.url.render(scope)?,
            headers: self.headers.iter().filter_map(header).collect::<Result<_, _>>().ok()?,
            body,
            caller: None,
        })
    }
}

/// Something that is asked about a caller, for expressions to read as `context.<name>`.
#[derive(Debug)]
pub struct Enrichment {
    pub call: Call,
    /// Without an answer nobody passes; else it is null.
    pub required: bool,
}

impl Enrichment {
    /// What was told, or nothing where it was no answer.
    pub fn read(reply: &Reply) -> Option<&Value> {
        match reply {
            Reply::Said(said) if said.status.is_success() && said.body != Value::Null => Some(&said.body),
            Reply::Said(_) | Reply::Silence => None,
        }
    }
}

/// Somebody who must agree before a request passes.
#[derive(Debug)]
pub struct Check {
    pub call: Call,
    pub meaning: Meaning,
    /// Headers of the answer that the service behind the gateway gets, as the configuration spells them.
    pub pick: Vec<(HeaderName, Arc<str>)>,
}

/// How an answer says yes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// 200 or 204; 403 says no.
    Status,
    /// Ory Keto: `allowed`.
    Allowed,
    /// Ory Keto: `allowed` of each of so many results.
    AllAllowed(usize),
    /// Open Policy Agent: `result` is true, or its `allow` is.
    Result,
}

impl Meaning {
    /// The answer that says yes or no, for those who suppose one.
    pub fn supposed(self, yes: bool) -> (StatusCode, Value) {
        let entry = |name: &str, value| (Key::String(Arc::new(name.to_owned())), value);
        let map = |name: &str, value| Value::Map(Map { map: Arc::new([entry(name, value)].into_iter().collect()) });
        match self {
            Self::Status if yes => (StatusCode::OK, Value::Null),
            Self::Status => (StatusCode::FORBIDDEN, Value::Null),
            Self::Allowed => (StatusCode::OK, map("allowed", Value::Bool(yes))),
            Self::AllAllowed(count) => {
                let results = vec![map("allowed", Value::Bool(yes)); count];
                (StatusCode::OK, map("results", Value::List(Arc::new(results))))
            }
            Self::Result => (StatusCode::OK, map("result", Value::Bool(yes))),
        }
    }
}

/// What a reply was to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// It lets pass.
    Yes,
    No,
    /// It is no answer, or one that nothing can be made of.
    Nothing,
}

/// What an answer means.
#[derive(Debug)]
pub enum Judgement {
    Agrees(Vec<Stamp>),
    Refuses,
    /// Whatever it is, it is neither a yes nor a no.
    Unclear,
}

impl Check {
    pub fn reads(&self) -> Reads {
        self.call.reads()
    }

    pub fn judge(&self, reply: &Reply) -> Judgement {
        let Reply::Said(said) = reply else { return Judgement::Unclear };
        let agrees = match self.meaning {
            Meaning::Status => match said.status {
                StatusCode::OK | StatusCode::NO_CONTENT => Some(true),
                StatusCode::FORBIDDEN => Some(false),
                _ => None,
            },
            // Keto says no with 403 on one of its two routes and with 200 on the other.
            Meaning::Allowed => match (said.status, boolean(field(&said.body, "allowed"))) {
                (StatusCode::OK, Some(allowed)) => Some(allowed),
                (StatusCode::FORBIDDEN, Some(false)) => Some(false),
                _ => None,
            },
            Meaning::AllAllowed(count) => match (said.status, field(&said.body, "results")) {
                (StatusCode::OK, Some(Value::List(results))) if results.len() == count => all_allowed(results),
                _ => None,
            },
            // A policy that defines nothing for this input has no result at all: that is a no.
            Meaning::Result => match (said.status, &said.body, field(&said.body, "result")) {
                (StatusCode::OK, _, Some(Value::Bool(result))) => Some(*result),
                (StatusCode::OK, _, Some(result @ Value::Map(_))) => match field(result, "allow") {
                    None => Some(false),
                    allow => boolean(allow),
                },
                (StatusCode::OK, Value::Map(_), None) => Some(false),
                _ => None,
            },
        };
        match agrees {
            Some(true) => Judgement::Agrees(self.picked(&said.headers)),
            Some(false) => Judgement::Refuses,
            None => Judgement::Unclear,
        }
    }

    fn picked(&self, headers: &HeaderMap) -> Vec<Stamp> {
        let stamp = |(name, spelling): &(HeaderName, Arc<str>)| {
            let value = headers.get(name)?.clone();
            Some(Stamp::request(name.clone(), Arc::clone(spelling), value))
        };
        self.pick.iter().filter_map(stamp).collect()
    }
}

/// Whether every result is a yes; nothing where one is neither.
fn all_allowed(results: &[Value]) -> Option<bool> {
    let allowed = results.iter().map(|result| match field(result, "error") {
        None | Some(Value::Null) => boolean(field(result, "allowed")),
        Some(Value::String(error)) if error.is_empty() => boolean(field(result, "allowed")),
        Some(_) => None,
    });
    let allowed = allowed.collect::<Option<Vec<_>>>()?;
    Some(allowed.iter().all(|allowed| *allowed))
}

fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Map(map) => map.map.get(&Key::String(Arc::new(name.to_owned()))),
        _ => None,
    }
}

fn boolean(value: Option<&Value>) -> Option<bool> {
    match value {
        Some(Value::Bool(value)) => Some(*value),
        _ => None,
    }
}
