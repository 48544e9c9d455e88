//! The few questions the pages ask Kratos, each with the cookies of the visitor it is asked for.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, COOKIE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use url::Url;

use crate::ui::flow::Kind;

/// How long an answer may take, body included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer is read: a settings flow with a QR code is about 20 KiB.
const LIMIT: usize = 1024 * 1024;

/// Kratos' public API.
#[derive(Debug)]
pub(super) struct Kratos {
    base: Url,
    client: reqwest::Client,
}

/// The one who asked for a page. Has no `Debug`: it holds their cookies.
pub(super) struct Visitor {
    cookies: Option<HeaderValue>,
    origin: String,
}

/// What Kratos said, whole and bounded.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) cookies: Vec<HeaderValue>,
    pub(super) retry_after: Option<HeaderValue>,
}

/// Kratos could not be asked, or did not finish its answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    /// The cause comes without the address, which holds the id of a flow.
    #[error("Kratos did not answer: {0}")]
    Unreachable(reqwest::Error),
    #[error("Kratos answered with more than {LIMIT} bytes")]
    TooLong,
}

/// An error as Kratos words it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) code: Option<u16>,
    pub(super) id: Option<String>,
    pub(super) message: Option<String>,
    pub(super) reason: Option<String>,
}

impl Visitor {
    pub(super) fn of(headers: &HeaderMap, origin: &str) -> Self {
        // HTTP/2 may split the cookies over several headers; Kratos reads one.
        let mut joined = Vec::new();
        for value in headers.get_all(COOKIE) {
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            joined.extend_from_slice(value.as_bytes());
        }
        let mut cookies = HeaderValue::from_bytes(&joined).ok().filter(|cookies| !cookies.is_empty());
        if let Some(cookies) = &mut cookies {
            cookies.set_sensitive(true);
        }
        Self { cookies, origin: origin.to_owned() }
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }
}

impl From<reqwest::Error> for Away {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

impl Kratos {
    pub(super) fn new(base: Url, client: reqwest::Client) -> Self {
        Self { base, client }
    }

    pub(super) async fn flow(&self, kind: Kind, id: &str, visitor: &Visitor) -> Result<Answer, Away> {
        self.ask(&format!("/self-service/{}/flows", kind.as_str()), &[("id", id)], visitor).await
    }

    pub(super) async fn flow_error(&self, id: &str, visitor: &Visitor) -> Result<Answer, Away> {
        self.ask("/self-service/errors", &[("id", id)], visitor).await
    }

    pub(super) async fn logout_flow(&self, return_to: Option<&str>, visitor: &Visitor) -> Result<Answer, Away> {
        let return_to = return_to.map(|address| ("return_to", address));
        self.ask("/self-service/logout/browser", return_to.as_slice(), visitor).await
    }

    pub(super) async fn whoami(&self, visitor: &Visitor) -> Result<Answer, Away> {
        self.ask("/sessions/whoami", &[], visitor).await
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)], visitor: &Visitor) -> Result<Answer, Away> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.get(url).timeout(TIMEOUT).header(ACCEPT, "application/json");
        if let Some(cookies) = &visitor.cookies {
            request = request.header(COOKIE, cookies);
        }
        if let Some((scheme, authority)) = visitor.origin.split_once("://") {
            request = request.header("x-forwarded-proto", scheme).header("x-forwarded-host", authority);
        }
        let mut response = request.send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LIMIT {
                return Err(Away::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let headers = response.headers();
        Ok(Answer {
            status: response.status(),
            body: body.into(),
            cookies: headers.get_all(SET_COOKIE).iter().cloned().collect(),
            retry_after: headers.get(RETRY_AFTER).cloned(),
        })
    }
}

impl Answer {
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().filter(Value::is_object)
    }

    /// A text at the top of the answer, such as `redirect_browser_to`.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(&self.json()?, name)
    }

    /// A text in `error.details`.
    pub(super) fn detail(&self, name: &str) -> Option<String> {
        text(self.json()?.get("error")?.get("details")?, name)
    }

    /// The error in Kratos' envelope; the error page's answer has the same shape.
    pub(super) fn error(&self) -> Option<Told> {
        let answer = self.json()?;
        let error = answer.get("error").filter(|error| error.is_object())?;
        Some(Told {
            code: error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()),
            id: text(error, "id"),
            message: text(error, "message"),
            reason: text(error, "reason"),
        })
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The value of a cookie of the request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}
