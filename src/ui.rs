//! Self-service pages: renders the `ui.nodes` of any Kratos flow.
//!
//! A page is asked for with `?flow=<id>`; the flow is read from Kratos with the visitor's own cookies and shown as
//! plain HTML forms that post straight back to Kratos. Nothing here decides who may pass, and nothing is kept
//! between two requests.

mod arrange;
mod flow;
mod flow_page;
mod forms;
mod kratos;
mod links;
mod nodes;
mod page;
mod policy;
mod response;
mod theme;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::header::{ALLOW, COOKIE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use flow::{Flow, Kind};
use kratos::{Answer, Kratos, Visitor};
use page::Shell;
use policy::ContentPolicy;
use response::{Asset, asset, html, redirect};

pub use response::PageResponse;
pub use theme::{Accent, BadAccent, Scheme, Theme};

const SCRIPT: &str = include_str!("ui/pages.js");

/// Marks a browser that was just sent to a new flow, so that a second failure shows a page instead of another redirect.
const RESTARTED: &str = "portcullis_ui_restarted";

/// How the pages look and where they sit.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the pages are mounted, `/ui` by default; neither empty nor ending in a slash.
    pub path_prefix: String,
    /// The name shown on top of every page.
    pub brand: String,
    /// Colours.
    pub theme: Theme,
    /// Where browsers find Kratos' public API on this origin: empty, or a prefix like `/.ory/kratos/public`.
    pub public_path: String,
    /// Where "continue" leads. Should be Kratos' `default_browser_return_url`: a form may only redirect to origins
    /// that its page names, and this is how the pages learn of one that is not their own.
    pub home: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path_prefix: "/ui".to_owned(),
            brand: "Portcullis".to_owned(),
            theme: Theme::default(),
            public_path: String::new(),
            home: "/".to_owned(),
        }
    }
}

/// What a page needs to know of a request. Has no `Debug`: it holds cookies.
pub struct PageRequest<'a> {
    pub method: &'a Method,
    /// The path as sent, prefix included.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// `scheme://authority` as the browser sees us.
    pub origin: &'a str,
}

/// The self-service pages in front of one Kratos.
#[derive(Debug)]
pub struct Pages {
    settings: Settings,
    kratos: Kratos,
    stylesheet: Asset,
    script: Asset,
}

impl Pages {
    /// `kratos_url` is Kratos' public API as seen from here. `client` must neither follow redirects nor keep cookies:
    /// it carries other people's.
    pub fn new(mut settings: Settings, kratos_url: Url, client: reqwest::Client) -> Self {
        for path in [&mut settings.path_prefix, &mut settings.public_path] {
            path.truncate(path.trim_end_matches('/').len());
        }
        let stylesheet = Asset::new(theme::stylesheet(&settings.theme), "text/css; charset=utf-8");
        let script = Asset::new(SCRIPT.to_owned(), "text/javascript; charset=utf-8");
        Self { settings, kratos: Kratos::new(kratos_url, client), stylesheet, script }
    }

    /// Whether `path` is one of ours to answer: the prefix itself and everything below it.
    pub fn owns(&self, path: &str) -> bool {
        path.strip_prefix(&self.settings.path_prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request for a path that [`Pages::owns`]. Never fails: what goes wrong becomes a page.
    pub async fn answer(&self, request: PageRequest<'_>) -> PageResponse {
        if request.method != Method::GET && request.method != Method::HEAD {
            let response = self.notice(StatusCode::METHOD_NOT_ALLOWED, &page::WRONG_METHOD, None);
            return response.with(ALLOW, "GET, HEAD");
        }
        let below = request.path.strip_prefix(&self.settings.path_prefix).unwrap_or_default();
        let mut response = match below.trim_end_matches('/') {
            "" => self.home(&request).await,
            "/login" => self.flow(Kind::Login, &request).await,
            "/registration" => self.flow(Kind::Registration, &request).await,
            "/settings" => self.flow(Kind::Settings, &request).await,
            "/recovery" => self.flow(Kind::Recovery, &request).await,
            "/verification" => self.flow(Kind::Verification, &request).await,
            "/logout" => self.logout(&request).await,
            "/error" => self.error(&request).await,
            "/assets/style.css" => asset(&self.stylesheet, request.query),
            "/assets/pages.js" => asset(&self.script, request.query),
            _ => self.notice(StatusCode::NOT_FOUND, &page::NO_PAGE, None),
        };
        if request.method == Method::HEAD {
            response.body = Bytes::new();
        }
        response
    }

    async fn flow(&self, kind: Kind, request: &PageRequest<'_>) -> PageResponse {
        let query = links::Query::parse(request.query);
        let fresh = links::new_flow(&self.settings.public_path, kind, &query);
        let Some(id) = query.first("flow").filter(|id| !id.is_empty()) else {
            return redirect(&fresh);
        };
        let visitor = Visitor::of(request.headers, request.origin);
        let answer = match self.kratos.flow(kind, id, &visitor).await {
            Ok(answer) => answer,
            Err(away) => return self.away(&away, request),
        };
        let response = match answer.status {
            StatusCode::OK => match Flow::parse(&answer.body) {
                Some(flow) => {
                    let response = self.form(kind, &flow, &query, &visitor).await;
                    // It arrived: the next lost flow is another story.
                    let marked = kratos::cookie(request.headers, RESTARTED).is_some();
                    if marked { response.with(SET_COOKIE, &self.mark(request, 0)) } else { response }
                }
                None => self.notice(StatusCode::BAD_GATEWAY, &page::GARBAGE, Some(&fresh)),
            },
            StatusCode::UNAUTHORIZED if kind == Kind::Settings => {
                redirect(&links::login(&self.settings.public_path, &here(request)))
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAUTHORIZED => {
                self.restart(kind, &answer, query, request)
            }
            _ => self.refused(&answer, Some(&fresh)),
        };
        response.with_cookies(answer.cookies)
    }

    async fn form(&self, kind: Kind, flow: &Flow, query: &links::Query, visitor: &Visitor) -> PageResponse {
        if !flow.nodes.is_empty() && links::safe(&flow.action).is_none() {
            return self.notice(StatusCode::BAD_GATEWAY, &page::GARBAGE, None);
        }
        let mut cookies = Vec::new();
        // Whoever is asked to confirm or to add a second factor is signed in already, and must have a way out.
        let sign_out = if kind == Kind::Login && (flow.refresh || flow.second_factor) {
            match self.kratos.logout_flow(None, visitor).await {
                Ok(mut answer) => {
                    cookies.append(&mut answer.cookies);
                    answer.text("logout_url").filter(|url| links::safe(url).is_some())
                }
                Err(_) => None,
            }
            .or_else(|| Some(format!("{}/logout", self.settings.path_prefix)))
        } else {
            None
        };
        let policy = ContentPolicy::of(flow, visitor.origin(), &self.settings.home);
        let around = flow_page::Around::new(&self.settings, kind, flow, query, sign_out);
        let scripts = policy.scripts(flow);
        let body = flow_page::page(&self.shell(), kind, flow, &around, &scripts);
        html(StatusCode::OK, body, &policy).with_cookies(cookies)
    }

    /// The flow is gone, expired or not this browser's: begin a new one, once.
    fn restart(&self, kind: Kind, answer: &Answer, query: links::Query, request: &PageRequest<'_>) -> PageResponse {
        let query = query.or("return_to", answer.detail("return_to"));
        let fresh = links::new_flow(&self.settings.public_path, kind, &query);
        // Kratos binds a browser's flow to a cookie. A browser that brings none at all keeps none, so a new flow would be
        // as lost on it as this one, and the mark below too.
        let keeps_no_cookies = answer.status == StatusCode::FORBIDDEN && !request.headers.contains_key(COOKIE);
        if keeps_no_cookies || kratos::cookie(request.headers, RESTARTED).is_some() {
            return self.notice(StatusCode::FORBIDDEN, &page::NOT_YOURS, Some(&fresh));
        }
        let elsewhere = (answer.status == StatusCode::FORBIDDEN)
            .then(|| answer.text("redirect_browser_to"))
            .flatten()
            .filter(|url| links::safe(url).is_some())
            .map(|url| links::with_return_to(&url, &here(request)));
        redirect(&elsewhere.unwrap_or(fresh)).with(SET_COOKIE, &self.mark(request, 20))
    }

    /// The cookie that marks a browser as just restarted, for `seconds`; 0 takes it back.
    fn mark(&self, request: &PageRequest<'_>, seconds: u8) -> String {
        let secure = if request.origin.starts_with("https:") { "; Secure" } else { "" };
        let path = &self.settings.path_prefix;
        format!("{RESTARTED}=1; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }

    async fn logout(&self, request: &PageRequest<'_>) -> PageResponse {
        let query = links::Query::parse(request.query);
        let visitor = Visitor::of(request.headers, request.origin);
        let answer = match self.kratos.logout_flow(query.first("return_to"), &visitor).await {
            Ok(answer) => answer,
            Err(away) => return self.away(&away, request),
        };
        let response = match (answer.status, answer.text("logout_url")) {
            (StatusCode::OK, Some(url)) if links::safe(&url).is_some() => {
                self.page(StatusCode::OK, page::logout(&self.shell(), &url, &self.settings.home))
            }
            (StatusCode::OK, _) => self.notice(StatusCode::BAD_GATEWAY, &page::GARBAGE, None),
            (StatusCode::UNAUTHORIZED, _) => {
                let login = links::new_flow(&self.settings.public_path, Kind::Login, &query);
                self.page(StatusCode::OK, page::signed_out(&self.shell(), &login))
            }
            _ => self.refused(&answer, None),
        };
        response.with_cookies(answer.cookies)
    }

    async fn error(&self, request: &PageRequest<'_>) -> PageResponse {
        let query = links::Query::parse(request.query);
        let Some(id) = query.first("id").filter(|id| !id.is_empty()) else {
            return self.notice(StatusCode::NOT_FOUND, &page::NO_ERROR, None);
        };
        let visitor = Visitor::of(request.headers, request.origin);
        let answer = match self.kratos.flow_error(id, &visitor).await {
            Ok(answer) => answer,
            Err(away) => return self.away(&away, request),
        };
        let response = match answer.status {
            StatusCode::OK => self.told(&answer, None),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                self.notice(StatusCode::NOT_FOUND, &page::NO_ERROR, None)
            }
            _ => self.refused(&answer, None),
        };
        response.with_cookies(answer.cookies)
    }

    async fn home(&self, request: &PageRequest<'_>) -> PageResponse {
        let visitor = Visitor::of(request.headers, request.origin);
        let answer = match self.kratos.whoami(&visitor).await {
            Ok(answer) => answer,
            Err(away) => return self.away(&away, request),
        };
        let shell = self.shell();
        let response = match answer.status {
            StatusCode::OK => match answer.json() {
                Some(session) => self.page(StatusCode::OK, page::signed_in(&shell, &session, &self.settings)),
                None => self.notice(StatusCode::BAD_GATEWAY, &page::GARBAGE, None),
            },
            StatusCode::UNAUTHORIZED => self.page(StatusCode::OK, page::welcome(&shell, &self.settings)),
            StatusCode::FORBIDDEN => {
                let step_up = answer
                    .text("redirect_browser_to")
                    .filter(|url| links::safe(url).is_some())
                    .map(|url| links::with_return_to(&url, &here(request)));
                match step_up {
                    Some(url) => self.page(StatusCode::OK, page::half_signed_in(&shell, &url, &self.settings)),
                    None => self.refused(&answer, None),
                }
            }
            _ => self.refused(&answer, None),
        };
        response.with_cookies(answer.cookies)
    }

    /// Kratos answered with an error of its own: its words, under a status that says whose fault it is.
    fn refused(&self, answer: &Answer, again: Option<&str>) -> PageResponse {
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let after = answer.retry_after.clone().unwrap_or_else(|| HeaderValue::from_static("5"));
                let notice =
                    if answer.status == StatusCode::SERVICE_UNAVAILABLE { &page::AWAY } else { &page::TOO_MANY };
                let mut response = self.notice(answer.status, notice, again);
                response.headers.push((RETRY_AFTER, after));
                response
            }
            status if status.is_client_error() => self.told(answer, again),
            _ => self.notice(StatusCode::BAD_GATEWAY, &page::GARBAGE, again),
        }
    }

    /// Shows what Kratos says went wrong.
    fn told(&self, answer: &Answer, again: Option<&str>) -> PageResponse {
        let Some(error) = answer.error() else {
            return self.notice(StatusCode::BAD_GATEWAY, &page::GARBAGE, again);
        };
        let status = error
            .code
            .and_then(|code| StatusCode::from_u16(code).ok())
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.page(status, page::error(&self.shell(), &error, again.unwrap_or(&self.settings.home)))
    }

    fn away(&self, away: &kratos::Away, request: &PageRequest<'_>) -> PageResponse {
        tracing::warn!(error = %away, "the pages could not ask Kratos");
        let again = here(request);
        self.notice(StatusCode::SERVICE_UNAVAILABLE, &page::AWAY, links::safe(&again)).with(RETRY_AFTER, "5")
    }

    fn notice(&self, status: StatusCode, notice: &page::Notice, again: Option<&str>) -> PageResponse {
        self.page(status, page::notice(&self.shell(), notice, again.unwrap_or(&self.settings.home)))
    }

    fn page(&self, status: StatusCode, body: maud::Markup) -> PageResponse {
        html(status, body, &ContentPolicy::plain())
    }

    fn shell(&self) -> Shell<'_> {
        Shell {
            brand: &self.settings.brand,
            prefix: &self.settings.path_prefix,
            style: &self.stylesheet.hash,
            script: &self.script.hash,
        }
    }
}

/// The address the browser is at.
fn here(request: &PageRequest<'_>) -> String {
    match request.query {
        Some(query) => format!("{}{}?{query}", request.origin, request.path),
        None => format!("{}{}", request.origin, request.path),
    }
}
