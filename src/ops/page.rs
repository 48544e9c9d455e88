//! What operators' pages look like: plain HTML without a script, for eyes that look at JSON otherwise.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_SECURITY_POLICY;
use http::header::CONTENT_TYPE;
use http::header::REFERRER_POLICY;
use http::header::VARY;
use http::header::X_CONTENT_TYPE_OPTIONS;
use maud::DOCTYPE;
use maud::Markup;
use maud::PreEscaped;
use maud::html;

use crate::proxy::ClientKind;
use crate::proxy::page::style_only;

const STYLE: &str = include_str!("style.css");

/// Made once, for its hash does not change.
static CONTENT_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| style_only(STYLE, "'self'"));

/// The pages there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Explain,
    Rules,
}

/// Whether a person looks at the answer.
pub(super) fn is_for_people(headers: &HeaderMap) -> bool {
    ClientKind::of(&Method::GET, headers) == ClientKind::Navigation
}

/// A whole page.
pub(super) fn page(status: StatusCode, place: Place, title: &str, body: &Markup) -> Response {
    let current = |own: Place| (own == place).then_some("page");
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " – Portcullis" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    strong { "Portcullis" }
                    nav {
                        a href="/explain" aria-current=[current(Place::Explain)] { "Explain" }
                        " · "
                        a href="/rules" aria-current=[current(Place::Rules)] { "Rules" }
                    }
                }
                main {
                    h1 { (title) }
                    (body)
                }
            }
        }
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY.clone()),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (VARY, HeaderValue::from_static("Accept, Sec-Fetch-Mode")),
    ];
    (status, headers, markup.into_string()).into_response()
}
