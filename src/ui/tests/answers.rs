//! What a browser gets, with a small Kratos of wood behind the pages.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use url::Url;

use crate::ui::tests::{authentic, csrf, flow_of, input};
use crate::ui::{PageRequest, PageResponse, Pages, Settings};

const ORIGIN: &str = "https://app.example";

/// Answers by path, and what was asked.
#[derive(Default)]
struct Wood {
    answers: HashMap<&'static str, (u16, String)>,
    seen: Mutex<Vec<(String, HeaderMap)>>,
}

/// Pages in front of a Kratos of wood, which falls when this is dropped.
struct Stage {
    pages: Pages,
    wood: Arc<Wood>,
    server: AbortHandle,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn play(State(wood): State<Arc<Wood>>, request: Request) -> Response {
    wood.seen.lock().push((request.uri().to_string(), request.headers().clone()));
    let (status, body) = wood.answers.get(request.uri().path()).cloned().unwrap_or_else(|| (404, "{}".to_owned()));
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header(SET_COOKIE, "csrf_token_1=a; Path=/; HttpOnly")
        .header(SET_COOKIE, "ory_kratos_session=b; Path=/; HttpOnly")
        .body(Body::from(body))
        .unwrap()
}

fn client() -> reqwest::Client {
    let _already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

impl Stage {
    async fn with(answers: &[(&'static str, u16, Value)]) -> Self {
        Self::mounted("", answers).await
    }

    async fn mounted(public_path: &str, answers: &[(&'static str, u16, Value)]) -> Self {
        let answers = answers.iter().map(|(path, status, body)| (*path, (*status, body.to_string()))).collect();
        Self::raw(public_path, answers).await
    }

    async fn raw(public_path: &str, answers: HashMap<&'static str, (u16, String)>) -> Self {
        let wood = Arc::new(Wood { answers, ..Wood::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let app = axum::Router::new().fallback(play).with_state(Arc::clone(&wood));
        let server = tokio::spawn(async move { axum::serve(listener, app).await }).abort_handle();
        let settings = Settings { public_path: public_path.to_owned(), ..Settings::default() };
        Self { pages: Pages::new(settings, url, client()), wood, server }
    }

    async fn get(&self, target: &str) -> PageResponse {
        self.send(Method::GET, target, &[("cookie", "a=1"), ("cookie", "b=2"), ("x-session-token", "never")]).await
    }

    async fn send(&self, method: Method, target: &str, headers: &[(&'static str, &str)]) -> PageResponse {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        assert!(self.pages.owns(path));
        self.pages.answer(PageRequest { method: &method, path, query, headers: &map, origin: ORIGIN }).await
    }
}

impl PageResponse {
    fn all(&self, name: HeaderName) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.to_str().unwrap()).collect()
    }

    fn html(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn totp() -> Value {
    let mut flow = flow_of(authentic("nodes-login-totp-aal2"));
    flow["requested_aal"] = json!("aal2");
    flow
}

#[tokio::test]
async fn a_flow_is_read_with_the_visitors_cookies_and_nothing_else_of_theirs() {
    let flow = flow_of(authentic("nodes-login-password"));
    let stage = Stage::with(&[("/self-service/login/flows", 200, flow)]).await;
    let page = stage.get("/ui/login?flow=a%26b").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.html().contains("action=\"http://kratos.example/self-service/login?flow=1\""));
    let seen = stage.wood.seen.lock();
    assert_eq!(seen.len(), 1);
    let (uri, headers) = &seen[0];
    assert_eq!(uri, "/self-service/login/flows?id=a%26b");
    assert_eq!(headers["cookie"], "a=1; b=2");
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "app.example");
    assert!(!headers.contains_key("x-session-token"));
}

#[tokio::test]
async fn several_cookies_of_kratos_stay_several() {
    let stage = Stage::with(&[("/self-service/login/flows", 200, flow_of(json!([csrf()])))]).await;
    let page = stage.get("/ui/login?flow=1").await;
    let cookies = page.all(SET_COOKIE);
    assert_eq!(cookies, ["csrf_token_1=a; Path=/; HttpOnly", "ory_kratos_session=b; Path=/; HttpOnly"]);
}

#[tokio::test]
async fn every_page_is_kept_to_itself() {
    let stage = Stage::with(&[("/self-service/login/flows", 200, flow_of(json!([csrf()])))]).await;
    for target in ["/ui/login?flow=1", "/ui", "/ui/logout", "/ui/error", "/ui/nothing", "/ui/settings?flow=1"] {
        let page = stage.get(target).await;
        if page.status == StatusCode::SEE_OTHER {
            continue;
        }
        let csp = page.all(http::header::CONTENT_SECURITY_POLICY).join("");
        assert!(
            csp.starts_with("default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self';"),
            "{csp}"
        );
        assert!(csp.ends_with("base-uri 'none'; frame-ancestors 'none'"), "{csp}");
        assert_eq!(page.all(http::header::CACHE_CONTROL), ["no-store"], "{target}");
        assert_eq!(page.all(http::header::X_CONTENT_TYPE_OPTIONS), ["nosniff"], "{target}");
        assert_eq!(page.all(http::header::REFERRER_POLICY), ["same-origin"], "{target}");
        assert_eq!(page.html().matches("<h1").count(), 1, "{target}");
    }
}

#[tokio::test]
async fn without_a_flow_one_begins_and_keeps_what_was_asked() {
    let stage = Stage::mounted("/.ory", &[]).await;
    for (target, location) in [
        ("/ui/login", "/.ory/self-service/login/browser"),
        ("/ui/login?flow=", "/.ory/self-service/login/browser"),
        ("/ui/login?aal=aal2&return_to=%2Fx&other=1", "/.ory/self-service/login/browser?aal=aal2&return_to=%2Fx"),
        ("/ui/registration?login_challenge=c", "/.ory/self-service/registration/browser?login_challenge=c"),
        ("/ui/settings", "/.ory/self-service/settings/browser"),
        ("/ui/recovery/", "/.ory/self-service/recovery/browser"),
        ("/ui/verification", "/.ory/self-service/verification/browser"),
    ] {
        let page = stage.get(target).await;
        assert_eq!((page.status, page.all(LOCATION)), (StatusCode::SEE_OTHER, vec![location]), "{target}");
    }
    assert!(stage.wood.seen.lock().is_empty(), "Kratos is not asked");
}

#[tokio::test]
async fn a_lost_flow_begins_anew_once_and_then_says_why() {
    let errors = authentic("errors-derived");
    let mut gone = errors["get_login_flow_410_browser"]["body"].clone();
    gone["error"]["details"]["return_to"] = json!("https://shop.example/cart");
    for (status, body, location) in [
        (404, errors["flow_404"]["body"].clone(), "/self-service/login/browser"),
        (403, errors["csrf_403_server_mismatch"]["body"].clone(), "/self-service/login/browser"),
        (410, gone, "/self-service/login/browser?return_to=https%3A%2F%2Fshop.example%2Fcart"),
    ] {
        let stage = Stage::with(&[("/self-service/login/flows", status, body)]).await;
        let page = stage.send(Method::GET, "/ui/login?flow=1", &[("cookie", "csrf_token_x=1")]).await;
        assert_eq!((page.status, page.all(LOCATION)), (StatusCode::SEE_OTHER, vec![location]));
        let mark = page.all(SET_COOKIE).into_iter().find(|cookie| cookie.contains("restarted")).unwrap().to_owned();
        assert!(mark.contains("; Path=/ui; ") && mark.ends_with("; Secure"), "{mark}");
        let again = stage.send(Method::GET, "/ui/login?flow=2", &[("cookie", mark.split(';').next().unwrap())]).await;
        assert_eq!(again.status, StatusCode::FORBIDDEN);
        assert!(again.html().contains(&format!("href=\"{}\"", location.replace('&', "&amp;"))), "{}", again.html());
    }
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_is_told_so_instead_of_going_in_circles() {
    let body = authentic("errors-derived")["csrf_403_server_mismatch"]["body"].clone();
    let stage = Stage::with(&[("/self-service/login/flows", 403, body)]).await;
    let page = stage.send(Method::GET, "/ui/login?flow=1", &[]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.html().contains("Allow cookies"), "{}", page.html());
}

#[tokio::test]
async fn a_flow_that_arrives_ends_the_restart() {
    let stage = Stage::with(&[("/self-service/login/flows", 200, flow_of(json!([csrf()])))]).await;
    let page = stage.send(Method::GET, "/ui/login?flow=1", &[("cookie", "portcullis_ui_restarted=1")]).await;
    assert!(page.all(SET_COOKIE).iter().any(|cookie| cookie.contains("restarted=1; Path=/ui; Max-Age=0;")));
    assert!(!stage.get("/ui/login?flow=1").await.all(SET_COOKIE).iter().any(|cookie| cookie.contains("restarted")));
}

#[tokio::test]
async fn settings_ask_for_a_session_and_for_the_second_factor() {
    let errors = authentic("errors-derived");
    let stage =
        Stage::with(&[("/self-service/settings/flows", 401, errors["settings_browser_401_json"]["body"].clone())])
            .await;
    let page = stage.get("/ui/settings?flow=1").await;
    let back = "return_to=https%3A%2F%2Fapp.example%2Fui%2Fsettings%3Fflow%3D1";
    assert_eq!(page.all(LOCATION), [format!("/self-service/login/browser?{back}")]);

    let stage =
        Stage::with(&[("/self-service/settings/flows", 403, errors["whoami_403_aal2_required"]["body"].clone())]).await;
    let page = stage.get("/ui/settings?flow=1").await;
    assert_eq!(page.all(LOCATION), [format!("http://127.0.0.1:4433/self-service/login/browser?aal=aal2&{back}")]);

    let evil = json!({ "error": {}, "redirect_browser_to": "javascript:alert(1)" });
    let stage = Stage::with(&[("/self-service/settings/flows", 403, evil)]).await;
    assert_eq!(stage.get("/ui/settings?flow=1").await.all(LOCATION), ["/self-service/settings/browser"]);
}

#[tokio::test]
async fn kratos_away_is_a_503_that_says_when_to_return() {
    let stage = Stage::with(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let stage = Stage {
        pages: Pages::new(Settings::default(), nobody, client()),
        wood: Arc::clone(&stage.wood),
        server: stage.server.clone(),
    };
    for target in ["/ui", "/ui/login?flow=1", "/ui/logout", "/ui/error?id=1"] {
        let page = stage.get(target).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{target}");
        assert_eq!(page.all(http::header::RETRY_AFTER), ["5"], "{target}");
        assert!(page.html().contains(&format!("href=\"{ORIGIN}{target}\"")), "{target} can be tried again");
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_502() {
    let no_action = json!({ "ui": { "action": "javascript:alert(1)", "nodes": [csrf()] } });
    for body in ["", "null", "[]", "{}", "{\"ui\":[]}", "<html>", &no_action.to_string()] {
        let answers = HashMap::from([("/self-service/login/flows", (200, body.to_owned()))]);
        let stage = Stage::raw("", answers).await;
        assert_eq!(stage.get("/ui/login?flow=1").await.status, StatusCode::BAD_GATEWAY, "{body}");
    }
    let long = format!("{{\"ui\":{{}},\"x\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let stage = Stage::raw("", HashMap::from([("/self-service/login/flows", (200, long))])).await;
    assert_eq!(
        stage.get("/ui/login?flow=1").await.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "nor is it read to its end"
    );
}

#[tokio::test]
async fn whoever_must_add_a_second_factor_can_sign_out_instead() {
    let logout = json!({ "logout_url": "http://kratos.example/self-service/logout?token=ory_lo_1&x=2", "logout_token": "ory_lo_1" });
    let stage =
        Stage::with(&[("/self-service/login/flows", 200, totp()), ("/self-service/logout/browser", 200, logout)]).await;
    let page = stage.get("/ui/login?flow=1").await;
    assert!(page.html().contains("href=\"http://kratos.example/self-service/logout?token=ory_lo_1&amp;x=2\""));
    assert!(!page.html().contains("Create an account"));

    let stage = Stage::with(&[("/self-service/login/flows", 200, totp())]).await;
    assert!(
        stage.get("/ui/login?flow=1").await.html().contains("href=\"/ui/logout\""),
        "even where Kratos has no link"
    );
}

#[tokio::test]
async fn the_login_page_leads_on_with_the_address_to_return_to() {
    let mut flow =
        flow_of(json!([csrf(), input("password", json!({ "name": "password", "type": "password" }), "Password")]));
    flow["return_to"] = json!("https://shop.example/?a=1");
    let stage = Stage::with(&[("/self-service/login/flows", 200, flow)]).await;
    let html = stage.get("/ui/login?flow=1").await.html().to_owned();
    let back = "browser?return_to=https%3A%2F%2Fshop.example%2F%3Fa%3D1\"";
    assert!(html.contains(&format!("href=\"/self-service/registration/{back}")), "{html}");
    assert!(html.contains(&format!("href=\"/self-service/recovery/{back}")), "{html}");
}

#[tokio::test]
async fn signing_out_is_confirmed_first() {
    let logout = json!({ "logout_url": "http://kratos.example/self-service/logout?token=t", "logout_token": "t" });
    let stage = Stage::with(&[("/self-service/logout/browser", 200, logout)]).await;
    let page = stage.get("/ui/logout?return_to=%2Fx").await;
    assert!(page.html().contains("href=\"http://kratos.example/self-service/logout?token=t\""));
    assert_eq!(stage.wood.seen.lock()[0].0, "/self-service/logout/browser?return_to=%2Fx");

    let nobody = authentic("errors-derived")["logout_browser_401"]["body"].clone();
    let stage = Stage::with(&[("/self-service/logout/browser", 401, nobody)]).await;
    assert!(stage.get("/ui/logout").await.html().contains("href=\"/self-service/login/browser\""));
}

#[tokio::test]
async fn an_error_is_shown_in_kratos_words_and_escaped() {
    let told = json!({ "id": "1", "error": { "code": 403, "message": "no", "reason": "because <b>so</b>", "id": "security_csrf_violation" } });
    let stage = Stage::with(&[("/self-service/errors", 200, told)]).await;
    let page = stage.get("/ui/error?id=1").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.html().contains("because &lt;b&gt;so&lt;/b&gt;"));
    let stage = Stage::with(&[]).await;
    assert_eq!(stage.get("/ui/error?id=1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn home_says_who_is_signed_in() {
    let stage = Stage::with(&[("/sessions/whoami", 200, authentic("session-active-aal1"))]).await;
    let page = stage.get("/ui/").await;
    assert!(page.html().contains("<h1>Foo Bar</h1>") && page.html().contains("foo@ory.com"), "{}", page.html());
    assert_eq!(page.all(SET_COOKIE).len(), 2, "an extended session reaches the browser");

    let errors = authentic("errors-derived");
    let stage = Stage::with(&[("/sessions/whoami", 401, errors["whoami_401_any_cause"]["body"].clone())]).await;
    assert!(stage.get("/ui").await.html().contains("<h1>Welcome</h1>"));
    let stage = Stage::with(&[("/sessions/whoami", 403, errors["whoami_403_aal2_required"]["body"].clone())]).await;
    assert!(
        stage.get("/ui").await.html().contains("login/browser?aal=aal2&amp;return_to=https%3A%2F%2Fapp.example%2Fui")
    );
}

#[tokio::test]
async fn files_are_kept_for_a_year_under_the_hash_of_their_content() {
    let stage = Stage::with(&[]).await;
    let html = stage.get("/ui/nothing").await.html().to_owned();
    for name in ["style.css", "pages.js"] {
        let start = html.find(&format!("/ui/assets/{name}?v=")).unwrap();
        let address = html[start..].split('"').next().unwrap();
        let file = stage.get(address).await;
        assert_eq!(file.status, StatusCode::OK);
        assert_eq!(file.all(http::header::CACHE_CONTROL), ["public, max-age=31536000, immutable"]);
        let other = stage.get(&format!("/ui/assets/{name}?v=0")).await;
        assert_eq!(other.all(http::header::CACHE_CONTROL), ["no-cache"], "another version is not pinned");
    }
}

#[tokio::test]
async fn an_answer_can_be_awaited_on_any_thread() {
    fn moves_between_threads<T: Send>(value: T) -> T {
        value
    }
    let stage = Stage::with(&[]).await;
    let (method, headers) = (Method::GET, HeaderMap::new());
    let request = PageRequest { method: &method, path: "/ui", query: None, headers: &headers, origin: ORIGIN };
    assert_eq!(moves_between_threads(stage.pages.answer(request)).await.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn pages_are_only_shown() {
    let stage = Stage::with(&[]).await;
    let page = stage.send(Method::POST, "/ui/login", &[]).await;
    assert_eq!((page.status, page.all(http::header::ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, vec!["GET, HEAD"]));
    let head = stage.send(Method::HEAD, "/ui/nothing", &[]).await;
    assert_eq!((head.status, head.body), (StatusCode::NOT_FOUND, Bytes::new()));
    for (path, owned) in [("/ui", true), ("/ui/", true), ("/ui/x/y", true), ("/uix", false), ("/", false), ("", false)]
    {
        assert_eq!(stage.pages.owns(path), owned, "{path}");
    }
}
