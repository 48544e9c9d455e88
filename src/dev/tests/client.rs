//! Clients for the tests: a native one, and a browser with a cookie jar that follows no redirect.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use crate::dev::Hashing;
use crate::dev::Options;
use crate::dev::Server;
use crate::dev::tests::conformance;

pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) async fn server() -> Server {
    server_with(|_| {}).await
}

pub(super) async fn server_with(change: impl FnOnce(&mut Options)) -> Server {
    let mut options = Options { hashing: Hashing::Cheap, ..Options::default() };
    change(&mut options);
    Server::start(options).await.unwrap()
}

/// A response, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn location(&self) -> &str {
        self.header("location")
    }

    /// Asserts the status and returns the JSON body.
    #[track_caller]
    pub(super) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Asserts a redirect and returns where to.
    #[track_caller]
    pub(super) fn expect_redirect(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.location()
    }
}

/// How a client likes its answers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Taste {
    Json,
    Html,
}

pub(super) struct Client {
    base: String,
    http: reqwest::Client,
    pub(super) taste: Taste,
    pub(super) cookies: BTreeMap<String, String>,
    keeps_cookies: bool,
    pub(super) headers: HeaderMap,
    /// The operations whose answers were held against the OpenAPI document.
    pub(super) operations: BTreeSet<String>,
}

impl Client {
    fn new(server: &Server, taste: Taste, keeps_cookies: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        let (cookies, headers) = (BTreeMap::new(), HeaderMap::new());
        Self { base: server.url(), http, taste, cookies, keeps_cookies, headers, operations: BTreeSet::new() }
    }

    pub(super) fn native(server: &Server) -> Self {
        Self::new(server, Taste::Json, false)
    }

    pub(super) fn browser(server: &Server) -> Self {
        Self::new(server, Taste::Html, true)
    }

    pub(super) fn spa(server: &Server) -> Self {
        Self::new(server, Taste::Json, true)
    }

    pub(super) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(super) async fn send(&mut self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Reply {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let named_method = method.as_str().to_ascii_lowercase();
        let mut request = self.http.request(method, url).headers(self.headers.clone());
        let accept = if self.taste == Taste::Json { "application/json" } else { "text/html,*/*;q=0.8" };
        request = request.header("accept", accept);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        let response = request.body(body).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        if self.keeps_cookies {
            for cookie in headers.get_all("set-cookie") {
                let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                if attributes.contains("Max-Age=0;") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        let reply = Reply { status, headers, text: response.text().await.unwrap() };
        let path = path.strip_prefix(&self.base).unwrap_or(path).split('?').next().unwrap();
        self.operations.extend(conformance::check(&named_method, path, &reply));
        reply
    }

    pub(super) async fn get(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path, "", Vec::new()).await
    }

    pub(super) async fn delete(&mut self, path: &str) -> Reply {
        self.send(Method::DELETE, path, "", Vec::new()).await
    }

    pub(super) async fn delete_with(&mut self, path: &str, body: Value) -> Reply {
        self.send(Method::DELETE, path, "application/json", body.to_string().into_bytes()).await
    }

    pub(super) async fn post(&mut self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, "application/json", body.to_string().into_bytes()).await
    }

    pub(super) async fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, path, "application/x-www-form-urlencoded", body.into_bytes()).await
    }

    /// Starts a flow and returns it; a browser follows to the page and reads it there, as the page's server does.
    pub(super) async fn flow(&mut self, kind: &str, query: &str) -> Value {
        let opener = if self.keeps_cookies { "browser" } else { "api" };
        let reply = self.get(&format!("/self-service/{kind}/{opener}{query}")).await;
        if self.taste == Taste::Json {
            return reply.expect(200);
        }
        let page = reply.expect_redirect(303).to_owned();
        assert!(page.contains(&format!("/ui/{kind}?flow=")), "{page}");
        self.read_flow(kind, &page).await
    }

    /// Reads the flow that a page's URL names.
    pub(super) async fn read_flow(&mut self, kind: &str, page: &str) -> Value {
        let id = url::Url::parse(page).unwrap().query_pairs().find(|(name, _)| name == "flow").unwrap().1.into_owned();
        self.get(&format!("/self-service/{kind}/flows?id={id}")).await.expect(200)
    }

    /// Submits a flow with its CSRF token: JSON, or a form for a browser.
    pub(super) async fn submit(&mut self, flow: &Value, fields: &[(&str, &str)]) -> Reply {
        let url = url::Url::parse(flow["ui"]["action"].as_str().unwrap()).unwrap();
        let path = format!("{}{}?{}", self.base, url.path(), url.query().unwrap());
        let csrf = csrf_of(flow);
        if self.taste == Taste::Html {
            let fields: Vec<(&str, &str)> = [("csrf_token", csrf)].into_iter().chain(fields.iter().copied()).collect();
            return self.post_form(&path, &fields).await;
        }
        let mut body = json!({ "csrf_token": csrf });
        for (name, value) in fields {
            let mut place = &mut body;
            for part in name.split('.') {
                place = &mut place[part];
            }
            *place = json!(value);
        }
        self.post(&path, body).await
    }

    /// Registers and returns the reply.
    pub(super) async fn register(&mut self, email: &str) -> Reply {
        let flow = self.flow("registration", "").await;
        let fields = [("method", "password"), ("traits.email", email), ("password", PASSWORD)];
        self.submit(&flow, &fields).await
    }

    pub(super) async fn sign_in(&mut self, email: &str, query: &str) -> Reply {
        let flow = self.flow("login", query).await;
        self.submit(&flow, &[("method", "password"), ("identifier", email), ("password", PASSWORD)]).await
    }

    pub(super) async fn whoami(&mut self) -> Reply {
        self.get("/sessions/whoami").await
    }

    /// The last mail of a kind.
    pub(super) async fn mail(&mut self, kind: &str) -> Value {
        let mails = self.get("/dev/mailbox.json").await.expect(200);
        let mails = mails.as_array().unwrap();
        mails.iter().rev().find(|mail| mail["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {mails:?}")).clone()
    }
}

pub(super) fn csrf_of(flow: &Value) -> &str {
    node(flow, "csrf_token")["attributes"]["value"].as_str().unwrap()
}

/// The node called `name`.
#[track_caller]
pub(super) fn node<'a>(flow: &'a Value, name: &str) -> &'a Value {
    let nodes = flow["ui"]["nodes"].as_array().unwrap();
    let named = |node: &&Value| node["attributes"]["name"] == name || node["attributes"]["id"] == name;
    nodes.iter().find(named).unwrap_or_else(|| panic!("no {name} in {nodes:#?}"))
}

/// The ids of all messages: above the form, then at nodes as `name/id`.
pub(super) fn messages(flow: &Value) -> Vec<String> {
    let above = flow["ui"]["messages"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<String> = above.iter().map(|message| message["id"].to_string()).collect();
    for node in flow["ui"]["nodes"].as_array().unwrap() {
        for message in node["messages"].as_array().unwrap() {
            found.push(format!("{}/{}", node["attributes"]["name"].as_str().unwrap(), message["id"]));
        }
    }
    found
}
