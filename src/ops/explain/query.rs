//! `GET /explain`: the question as a query.

use axum::Json;
use axum::extract::RawQuery;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::Method;
use url::form_urlencoded;

use crate::ops::OpsState;
use crate::ops::complaint::Complaint;
use crate::ops::explain::Supposed;
use crate::ops::explain::explain;
use crate::ops::explain::header;
use crate::ops::explain::page;
use crate::ops::page::is_for_people;

/// `GET /explain?method=&url=&session=&header=`: as on the command line, but for the session, which is supposed by name.
/// Browsers get a page.
pub(in crate::ops) async fn answer(
    State(state): State<OpsState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Complaint> {
    let query = query.unwrap_or_default();
    if is_for_people(&headers) {
        return Ok(page::by_query(&state, &query).await);
    }
    let asked = Asked::read(&query)?;
    let policy = state.policy.load_full();
    Ok(Json(explain(&policy, &asked.method, &asked.url, asked.headers, asked.supposed).await).into_response())
}

/// What the query of `/explain` asks.
struct Asked {
    method: Method,
    url: String,
    headers: HeaderMap,
    supposed: Option<Supposed>,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Complaint> {
        let (mut method, mut url, mut supposed) = (None, None, None);
        let mut headers = HeaderMap::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let repeated = match &*key {
                "method" => {
                    let value = Method::from_bytes(value.as_bytes());
                    method.replace(value.map_err(|_| Complaint::bad_request("`method` is no method."))?).is_some()
                }
                "url" => url.replace(value.into_owned()).is_some(),
                "session" => {
                    let value = Supposed::parse(&value);
                    let value = value.ok_or_else(|| Complaint::bad_request("`session` must be none, step-up or down."));
                    supposed.replace(value?).is_some()
                }
                "header" => {
                    let (name, value) =
                        header(&value).ok_or_else(|| Complaint::bad_request("`header` must be like `Name: value`."))?;
                    headers.append(name, value);
                    false
                }
                _ => {
                    return Err(Complaint::bad_request("The query may have `method`, `url`, `session` and `header`."));
                }
            };
            if repeated {
                return Err(Complaint::bad_request(format!("`{key}` is there more than once.")));
            }
        }
        let url = url.ok_or_else(|| Complaint::bad_request("`url` is missing."))?;
        Ok(Self { method: method.unwrap_or(Method::GET), url, headers, supposed })
    }
}
