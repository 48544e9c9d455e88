//! The explanation as a page: a form for the question, and the answer below it.

use axum::body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use maud::Markup;
use maud::html;
use url::form_urlencoded;

use crate::ops::OpsState;
use crate::ops::complaint::Complaint;
use crate::ops::explain::Change;
use crate::ops::explain::Explanation;
use crate::ops::explain::Outcome;
use crate::ops::explain::Supposed;
use crate::ops::explain::explain;
use crate::ops::explain::header;
use crate::ops::explain::text::asked;
use crate::ops::page::Place;
use crate::ops::page::page;
use crate::ops::rules;

/// The longest form read, in bytes. A session is a few KiB.
const LONGEST_FORM: usize = 64 * 1024;

/// What can be supposed of the caller, as the form says it, and in words.
const SUPPOSED: [(&str, &str); 5] = [
    ("", "nothing: say who would be asked"),
    ("none", "none: whoami says 401"),
    ("step-up", "a second factor is missing"),
    ("down", "Kratos gives no answer"),
    ("json", "the session below"),
];

/// The form as it was filled in.
#[derive(Default)]
struct Form {
    method: String,
    url: String,
    headers: String,
    session: String,
    json: String,
}

/// `GET /explain` for people: the question is the query, as for machines.
pub(super) async fn by_query(state: &OpsState, query: &str) -> Response {
    let form = Form::read(query.as_bytes());
    if form.url.is_empty() { show(StatusCode::OK, &form, &html! {}) } else { answer(state, &form).await }
}

/// `POST /explain`: the same, for a session that should not be in an address. It changes nothing.
pub(in crate::ops) async fn by_form(State(state): State<OpsState>, request: Request) -> Result<Response, Complaint> {
    let kind = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    if !kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded")) {
        return Err(Complaint::UNSUPPORTED_FORM);
    }
    let body = body::to_bytes(request.into_body(), LONGEST_FORM).await.map_err(|_| Complaint::FORM_TOO_LARGE)?;
    Ok(answer(&state, &Form::read(&body)).await)
}

async fn answer(state: &OpsState, form: &Form) -> Response {
    match form.question() {
        Ok((method, headers, supposed)) => {
            let policy = state.policy.load_full();
            let explanation = explain(&policy, &method, &form.url, headers, supposed).await;
            show(StatusCode::OK, form, &explained(&explanation))
        }
        Err(why) => show(StatusCode::BAD_REQUEST, form, &html! { p .verdict.refuse role="alert" { (why) } }),
    }
}

impl Form {
    fn read(encoded: &[u8]) -> Self {
        let mut form = Self::default();
        for (key, value) in form_urlencoded::parse(encoded) {
            match &*key {
                "method" => form.method = value.into_owned(),
                "url" => form.url = value.trim().to_owned(),
                "session" => form.session = value.into_owned(),
                "json" => form.json = value.into_owned(),
                // One line each, however they are sent.
                "header" | "headers" => {
                    if !form.headers.is_empty() {
                        form.headers.push('\n');
                    }
                    form.headers.push_str(value.trim());
                }
                _ => {}
            }
        }
        form
    }

    fn question(&self) -> Result<(Method, HeaderMap, Option<Supposed>), String> {
        let method = if self.method.is_empty() { "GET" } else { self.method.trim() };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("“{method}” is no method."))?;
        if self.url.is_empty() {
            return Err("A URL or a path is needed.".to_owned());
        }
        let mut headers = HeaderMap::new();
        for line in self.headers.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = header(line).ok_or_else(|| format!("“{line}” is not like “Name: value”."))?;
            headers.append(name, value);
        }
        let supposed = match self.session.as_str() {
            "" => None,
            "json" => {
                Some(Supposed::session(self.json.as_bytes()).map_err(|error| format!("That is no session: {error}."))?)
            }
            word => Some(Supposed::parse(word).ok_or_else(|| format!("“{word}” cannot be supposed."))?),
        };
        Ok((method, headers, supposed))
    }
}

fn show(status: StatusCode, form: &Form, answer: &Markup) -> Response {
    let method = if form.method.is_empty() { "GET" } else { &form.method };
    let body = html! {
        form .card method="post" action="/explain" {
            div .row {
                label {
                    "Method"
                    input name="method" value=(method) required autocapitalize="characters" spellcheck="false";
                }
                label {
                    "URL or path"
                    input name="url" value=(form.url) required autofocus spellcheck="false"
                        placeholder="https://shop.example.com/api/orders/7";
                }
            }
            label {
                span { "Headers " small { "one “Name: value” a line" } }
                textarea name="headers" rows="2" spellcheck="false" { (form.headers) }
            }
            label {
                "Session"
                select name="session" {
                    @for (value, words) in SUPPOSED {
                        option value=(value) selected[value == form.session] { (words) }
                    }
                }
            }
            label {
                span { "Session as JSON " small { "what whoami would answer, or {\"token\": {…claims…}}; only with “the session below”" } }
                textarea name="json" rows="4" spellcheck="false" { (form.json) }
            }
            button { "Explain" }
        }
        (answer)
    };
    page(status, Place::Explain, "What would become of a request?", &body)
}

fn explained(explanation: &Explanation) -> Markup {
    let (class, words) = match &explanation.outcome {
        Outcome::Ask(None) => ("ask", "Ask: it rests on who asks".to_owned()),
        Outcome::Ask(Some(service)) => ("ask", format!("Ask: it rests on what “{}” says", service.name)),
        Outcome::Permit => ("permit", "Permit".to_owned()),
        Outcome::Preflight => ("permit", "Answer: 204, for a preflight goes no further".to_owned()),
        Outcome::Refuse(refusal) => ("refuse", format!("Refuse: {} {}", refusal.status().as_u16(), refusal.id())),
    };
    html! {
        p .verdict.(class) role="status" { (words) }
        section {
            h2 { "Why" }
            dl {
                dt { "Rule" }
                @match &explanation.rule {
                    Some(rule) => {
                        dd { a href={ "/rules#" (rule.id) } { (rule.id) } }
                        dt { "Access" } dd { (rules::access(rule)) }
                        dt { "Asked" } dd { (asked(rule)) }
                        dt { "Upstream" } dd { (rules::upstream(rule).unwrap_or("none: it answers decisions only")) }
                    }
                    None => dd { "none" },
                }
                @for (name, value) in &explanation.captures {
                    dt { "Capture " (name) } dd .mono { (value) }
                }
            }
        }
        @if !explanation.edits.is_empty() {
            section {
                h2 { "What changes in the head" }
                ul {
                    @for edit in &explanation.edits {
                        @match edit {
                            Change::Remove(name) => li { "remove " code { (name) } },
                            Change::Set(name, value) => li { "set " code { (name) ": " (value) } },
                        }
                    }
                }
            }
        }
        @if !explanation.others.is_empty() {
            section {
                h2 { "Why not the other rules" }
                dl {
                    @for other in &explanation.others {
                        dt { a href={ "/rules#" (other.rule) } { (other.rule) } }
                        dd { (other.why) }
                    }
                }
                @if explanation.more > 0 {
                    p .muted { "and " (explanation.more) " more" }
                }
            }
        }
    }
}
