//! One question over HTTP: bounded in time and size, no redirects, nothing of the client's but what the question says.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// The longest answer read, in bytes.
const MAX_BODY: usize = 512 * 1024;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the answer is longer than {MAX_BODY} bytes")]
    TooLong,
    /// It is no request at all.
    #[error("it cannot be put into a request")]
    NotAsked,
    /// In words that quote neither headers nor bodies.
    #[error("{0}")]
    Unreachable(String),
}

/// A client for questions that carry what others must not see. `authority` vouches for https in place of the system's.
///
/// # Errors
/// Where the authority's certificates cannot be read.
pub(crate) fn client(authority: Option<&[u8]>) -> reqwest::Result<reqwest::Client> {
    let mut client = reqwest::Client::builder()
        // Wherever a redirect leads, nobody configured it.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(45))
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
    if let Some(authority) = authority {
        client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(authority)?);
    }
    client.build()
}

/// Sends a request and reads its whole answer, all within `timeout`.
pub(crate) async fn send(request: reqwest::RequestBuilder, timeout: Duration) -> Result<Answer, Unanswered> {
    tokio::time::timeout(timeout, whole(request)).await.unwrap_or(Err(Unanswered::TimedOut(timeout)))
}

async fn whole(request: reqwest::RequestBuilder) -> Result<Answer, Unanswered> {
    let mut response = request.send().await.map_err(|error| match error.is_builder() {
        true => Unanswered::NotAsked,
        false => Unanswered::Unreachable(describe(&error)),
    })?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Unanswered::Unreachable(describe(&error)))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Unanswered::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: body.into() })
}

/// An error and its causes in one line. The URL is left out: its query may hold what is nobody's business.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let kind = if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "no whole answer"
    };
    let mut text = kind.to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
