//! The operators' listener, asked as operators ask it.

use axum::body::Body;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::ALLOW;
use http::header::CONTENT_TYPE;
use http::header::WWW_AUTHENTICATE;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;
use std::time::SystemTime;
use tower::ServiceExt;

use crate::decision::credentials::Sources;
use crate::decision::edits::Owned;
use crate::decision::expression::Expression;
use crate::decision::index::Entry;
use crate::decision::index::Index;
use crate::decision::names;
use crate::decision::path::Allow;
use crate::decision::pattern::HostPattern;
use crate::decision::pattern::Methods;
use crate::decision::pattern::PathPattern;
use crate::decision::pattern::Schemes;
use crate::decision::policy::IdentityHeader;
use crate::decision::policy::Login;
use crate::decision::rule::Access;
use crate::decision::rule::Demands;
use crate::decision::rule::OnOutage;
use crate::decision::rule::Rule;
use crate::decision::rule::Target;
use crate::decision::session::Aal;
use crate::decision::template::HeaderTemplate;
use crate::decision::upstream::Balance;
use crate::decision::upstream::Endpoint;
use crate::decision::upstream::EndpointScheme;
use crate::decision::upstream::Timeouts;
use crate::decision::upstream::Upstream;
use crate::gate::Parties;
use crate::proxy::InFlight;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::sessions::settings::Settings;
use crate::signing;
use crate::signing::Signer;
use crate::telemetry::Outcome;
use crate::tokens::Tokens;

use super::*;

const TOKEN: &str = "correct horse";

fn upstream(name: &str) -> Arc<Upstream> {
    Arc::new(Upstream {
        name: name.into(),
        endpoints: vec![Endpoint { host: "127.0.0.1".into(), port: 80, scheme: EndpointScheme::Http }],
        balance: Balance::default(),
        timeouts: Timeouts::default(),
        health_check: None,
        authority: None,
    })
}

pub(super) fn rule(id: &str, access: Access, target: Target) -> Rule {
    Rule { target: Some(target), ..Rule::new(id, access) }
}

fn entry(hosts: &[&str], methods: &[Method], path: &str) -> Entry {
    Entry {
        hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
        paths: vec![PathPattern::parse(path).unwrap()],
        methods: if methods.is_empty() { Methods::any() } else { Methods::of(methods.iter().cloned()) },
        schemes: Schemes::any(),
        allow: Allow::default(),
    }
}

/// A shop: who asks is demanded for orders, welcome on its pages, and nobody may see its vault.
pub(super) fn policy() -> Policy {
    let shop = || Target::Service(upstream("shop"));
    let mut orders = rule(
        "orders",
        Access::Session(Demands { checked_within: Some(Duration::from_secs(5)), ..Demands::default() }),
        shop(),
    );
    orders.headers = vec![
        HeaderTemplate::parse("X-User-Email", "${identity.traits.email}").unwrap(),
        HeaderTemplate::parse("X-Order", "${request.captures.order}").unwrap(),
    ];
    let mut staff = rule("staff", Access::Session(Demands { aal: Aal::Aal2, ..Demands::default() }), shop());
    staff.when = Some(Expression::compile("identity.metadata_public.role == 'admin'").unwrap());
    staff.forward_credentials = true;
    let rules = [
        (orders, entry(&["shop.example.com"], &[Method::GET, Method::POST], "/api/orders/{order}")),
        (staff, entry(&["shop.example.com"], &[], "/staff/**")),
        (
            rule("pages", Access::Optional { on_outage: OnOutage::Refuse }, shop()),
            entry(&["shop.example.com"], &[], "/**"),
        ),
        (rule("vault", Access::Deny, shop()), entry(&[], &[], "/vault")),
        (rule("open", Access::Public, shop()), entry(&[], &[], "/open")),
    ];
    let reserved =
        [(rule("kratos", Access::Public, Target::Kratos(upstream("kratos"))), entry(&[], &[], "/sessions/**"))];
    let (rules, entries): (Vec<_>, Vec<_>) = rules.into_iter().map(|(rule, entry)| (Arc::new(rule), entry)).unzip();
    let (reserved, reserved_entries): (Vec<_>, Vec<_>) =
        reserved.into_iter().map(|(rule, entry)| (Arc::new(rule), entry)).unzip();
    let identity = "X-Kratos-Authenticated-Identity-Id";
    let mut owned = Owned::default();
    for name in [identity, "X-User-Email", "X-Order"] {
        owned.insert(name);
    }
    Policy {
        generation: 1,
        rules,
        reserved,
        index: Index::build(&entries, &reserved_entries).unwrap(),
        owned,
        forwarding: names::forwarding(),
        identity_header: IdentityHeader { name: HeaderName::try_from(identity).unwrap(), spelling: identity.into() },
        sources: Sources::default(),
        trusted_proxies: Vec::new(),
        login: Login { url: "/login".into() },
        public_url: None,
        kratos_prefix: "".into(),
        tokenizes: false,
    }
}

fn state(token: Option<&str>) -> OpsState {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Arc::new(Metrics::new());
    let settings = Settings::new("http://127.0.0.1:9".parse().unwrap());
    let sessions = Sessions::new(settings, Arc::clone(&metrics)).unwrap();
    let policy = Arc::new(ArcSwap::from_pointee(policy()));
    OpsState {
        decisions: Decisions {
            policy: Arc::clone(&policy),
            parties: Parties {
                sessions,
                tokens: Tokens::new(Arc::clone(&metrics)),
                services: Services::new(Arc::clone(&metrics)),
                signer: Signer::new(signing::Settings::default()),
            },
            metrics: Arc::clone(&metrics),
            in_flight: InFlight::default(),
            settings: Arc::default(),
        },
        policy,
        metrics,
        readiness: Arc::default(),
        token: token.and_then(Token::new),
    }
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn send(state: &OpsState, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router(state.clone()).oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let reply =
        Reply { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() };
    assert!(!reply.body.contains(TOKEN), "{}", reply.body);
    if reply.status >= 400 && reply.status != 503 {
        let error = &reply.json()["error"];
        assert_eq!(error["code"], reply.status, "{}", reply.body);
        assert!(error["id"].is_string() && error["reason"].is_string() && error["message"].is_string());
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
    reply
}

async fn get(state: &OpsState, target: &str) -> Reply {
    send(state, "GET", target, &[], "").await
}

async fn forget(state: &OpsState, content_type: &str, body: &str) -> u16 {
    send(state, "POST", "/sessions/forget", &[("content-type", content_type)], body).await.status
}

#[tokio::test]
async fn readiness_follows_the_life_of_the_gateway() {
    let state = state(None);
    assert_eq!(get(&state, "/health/alive").await.json(), json!({"status": "ok"}));
    let reply = get(&state, "/health/ready").await;
    assert_eq!((reply.status, &reply.json()["status"]), (503, &json!("starting")));
    state.readiness.begin();
    let reply = get(&state, "/health/ready").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json(), json!({"status": "ok", "kratos": "reachable", "last_reload": null}));
    state.readiness.drain();
    let reply = get(&state, "/health/ready").await;
    assert_eq!((reply.status, &reply.json()["status"]), (503, &json!("draining")));
    assert_eq!(get(&state, "/health/alive").await.status, 200);
}

#[tokio::test]
async fn a_refused_reload_is_told_and_does_not_fail_readiness() {
    let state = state(None);
    state.readiness.begin();
    state.readiness.reloaded(SystemTime::UNIX_EPOCH, Some("rules.yaml:3:1: no paths"));
    let reply = get(&state, "/health/ready").await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json()["last_reload"],
        json!({"result": "failure", "error": "rules.yaml:3:1: no paths", "at": "1970-01-01T00:00:00Z"})
    );
    state.readiness.reloaded(SystemTime::UNIX_EPOCH, None);
    assert_eq!(get(&state, "/health/ready").await.json()["last_reload"]["result"], "success");
}

#[tokio::test]
async fn metrics_tell_what_was_counted() {
    let state = state(None);
    state.metrics.rules(&["orders"]);
    state.metrics.request("orders", Outcome::Permit, 200, Duration::from_millis(1));
    let reply = get(&state, "/metrics").await;
    assert_eq!(reply.headers[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    for line in
        [r#"portcullis_requests_total{outcome="permit",rule="orders",status="2xx"} 1"#, "portcullis_cached_sessions 0"]
    {
        assert!(reply.body.lines().any(|found| found == line), "{line}");
    }
}

#[tokio::test]
async fn rules_are_listed_as_configured() {
    let state = state(None);
    let all = get(&state, "/rules").await.json();
    let ids = all.as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(ids, ["orders", "staff", "pages", "vault", "open", "kratos"]);
    let orders = json!({
        "id": "orders",
        "position": 0,
        "built_in": false,
        "access": "session",
        "match": {
            "hosts": ["shop.example.com"],
            "schemes": [],
            "methods": ["GET", "HEAD", "POST"],
            "paths": ["/api/orders/{order}"],
        },
        "upstream": "shop",
    });
    assert_eq!(all[0], orders);
    assert_eq!(get(&state, "/rules/orders").await.json(), orders);
    assert_eq!(get(&state, "/rules/kratos").await.json()["built_in"], true);
    let reply = get(&state, "/rules/nobody").await;
    assert_eq!((reply.status, &reply.json()["error"]["id"]), (404, &json!("unknown_rule")));
}

#[tokio::test]
async fn explain_is_the_same_as_on_the_command_line() {
    let state = state(None);
    let reply = get(&state, "/explain?method=GET&url=http://shop.example.com/api/orders/7").await;
    assert_eq!(
        reply.body,
        r#"{"rule":"orders","outcome":"ask","status":null,"refusal":null,"edits":[],"captures":{"order":"7"}}"#
    );
    let reply = get(&state, "/explain?url=http://shop.example.com/staff&session=down&header=Accept:%20text/html").await;
    assert_eq!((reply.status, &reply.json()["refusal"]), (200, &json!("kratos_unavailable")));
    for query in
        ["", "method=GET", "url=/&method=G%20T", "url=/&session=root", "url=/&url=/", "url=/&header=x", "url=/&x=y"]
    {
        assert_eq!(get(&state, &format!("/explain?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn forgetting_takes_exactly_one_order() {
    let state = state(None);
    let id = "9f425a8d-7efc-4768-8f23-7647a74fdf13";
    let good = [format!(r#"{{"identity":"{id}"}}"#), format!(r#"{{"session":"{id}"}}"#), r#"{"all":true}"#.to_owned()];
    for body in &good {
        assert_eq!(forget(&state, "application/json", body).await, 204, "{body}");
        assert_eq!(forget(&state, "Application/JSON; charset=utf-8", body).await, 204, "{body}");
    }
    let counted = r#"portcullis_revocations_total{cause="operator"} 6"#;
    assert!(state.metrics.render().contains(counted), "{}", state.metrics.render());
    for body in [
        "",
        "{}",
        "[]",
        r#""all""#,
        r#"{"all":false}"#,
        r#"{"all":1}"#,
        r#"{"identity":"me"}"#,
        r#"{"identity":null}"#,
        r#"{"everyone":true}"#,
        &format!(r#"{{"identity":"{id}","session":"{id}"}}"#),
        &format!(r#"{{"identity":"{id}","identity":"{id}"}}"#),
        &format!(r#"{{"identity":"{id}"}} {{"all":true}}"#),
    ] {
        assert_eq!(forget(&state, "application/json", body).await, 400, "{body}");
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        assert_eq!(forget(&state, content_type, &good[0]).await, 415, "{content_type}");
    }
    assert_eq!(send(&state, "POST", "/sessions/forget", &[], &good[0]).await.status, 415);
    assert_eq!(forget(&state, "application/json", &format!("{}{}", " ".repeat(4096), good[2])).await, 413);
    assert!(state.metrics.render().contains(counted));
}

#[tokio::test]
async fn the_token_guards_all_but_health_and_metrics() {
    let state = state(Some(TOKEN));
    state.readiness.begin();
    for target in ["/health/alive", "/health/ready", "/metrics"] {
        assert_eq!(get(&state, target).await.status, 200, "{target}");
    }
    for target in ["/rules", "/rules/orders", "/rules/nobody", "/explain?url=/"] {
        for presented in
            [None, Some("Bearer wrong"), Some("Bearer correct_horsf"), Some("Basic correct_horse"), Some("")]
        {
            let headers = presented.map(|value| ("authorization", value));
            let reply = send(&state, "GET", target, headers.as_slice(), "").await;
            assert_eq!(reply.status, 401, "{target} {presented:?}");
            assert_eq!(reply.headers[WWW_AUTHENTICATE], "Bearer");
        }
    }
    let order = [("content-type", "application/json")];
    assert_eq!(send(&state, "POST", "/sessions/forget", &order, r#"{"all":true}"#).await.status, 401);
    assert!(state.metrics.render().contains(r#"portcullis_revocations_total{cause="operator"} 0"#));
}

#[tokio::test]
async fn the_right_token_opens() {
    let state = state(Some("correct_horse"));
    for scheme in ["Bearer", "bearer"] {
        let value = format!("{scheme} correct_horse");
        assert_eq!(send(&state, "GET", "/rules", &[("authorization", &value)], "").await.status, 200);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let state = state(Some(TOKEN));
    for target in ["/", "/rule", "/health", "/metrics/", "/sessions"] {
        assert_eq!(get(&state, target).await.status, StatusCode::NOT_FOUND, "{target}");
    }
    for (method, target, allow) in [("POST", "/metrics", "GET,HEAD"), ("PUT", "/health/ready", "GET,HEAD")] {
        let reply = send(&state, method, target, &[], "").await;
        assert_eq!(reply.status, 405, "{method} {target}");
        assert_eq!(reply.headers.get(ALLOW), Some(&HeaderValue::from_static(allow)), "{method} {target}");
    }
}

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[tokio::test]
async fn people_get_pages_and_machines_get_json() {
    let state = state(None);
    for target in ["/rules", "/explain?url=/open"] {
        let reply = get(&state, target).await;
        assert_eq!(reply.headers[CONTENT_TYPE], "application/json", "{target}");
        let reply = send(&state, "GET", target, &[BROWSER], "").await;
        assert_eq!((reply.status, &reply.headers[CONTENT_TYPE]), (200, &"text/html; charset=utf-8".parse().unwrap()));
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert!(!reply.body.contains("<script"), "{target}");
    }
    assert_eq!(get(&state, "/explain").await.status, 400);
    assert_eq!(send(&state, "GET", "/explain", &[BROWSER], "").await.status, 200, "an empty form");
}

#[tokio::test]
async fn the_page_answers_the_form_and_escapes_what_it_repeats() {
    let state = state(None);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let body = "method=GET&url=https%3A%2F%2Fshop.example.com%2Fapi%2Forders%2F%253Cb%253E&session=none&headers=X-A%3A%20%3Cb%3E";
    let reply = send(&state, "POST", "/explain", &[form], body).await;
    assert_eq!(reply.status, 200);
    for piece in ["Refuse: 401 session_inactive", "href=\"/rules#orders\"", "&lt;b&gt;", "the path belongs to"] {
        assert!(reply.body.contains(piece), "{piece}\n{}", reply.body);
    }
    assert!(!reply.body.contains("<b>"), "{}", reply.body);
    let json = send(&state, "POST", "/explain", &[("content-type", "application/json")], "{}").await;
    assert_eq!(json.status, 415);
    assert_eq!(send(&state, "POST", "/explain", &[form], &"a".repeat(70_000)).await.status, 413);
}

#[tokio::test]
async fn rules_are_shown_with_what_became_of_their_requests() {
    let state = state(None);
    state.metrics.rules(&["orders", "staff"]);
    for status in [200, 204, 304] {
        state.metrics.request("orders", Outcome::Permit, status, Duration::ZERO);
    }
    state.metrics.request("orders", Outcome::Refuse, 401, Duration::ZERO);
    let reply = send(&state, "GET", "/rules?filter=api/orders", &[BROWSER], "").await;
    assert!(reply.body.contains("<td class=\"number\" data-label=\"Permitted\">3</td>"), "{}", reply.body);
    assert!(reply.body.contains("<td class=\"number\" data-label=\"Refused\">1</td>"), "{}", reply.body);
    assert!(!reply.body.contains("id=\"staff\""), "{}", reply.body);
}

#[tokio::test]
async fn a_password_is_good_for_looking_alone() {
    let state = state(Some(TOKEN));
    let basic = |password: &str| {
        let pair = STANDARD.encode(format!("anyone:{password}"));
        format!("Basic {pair}")
    };
    let (right, wrong) = (basic(TOKEN), basic("wrong"));
    for target in ["/rules", "/rules/orders", "/explain?url=/open"] {
        assert_eq!(send(&state, "GET", target, &[("authorization", &right)], "").await.status, 200, "{target}");
        assert_eq!(send(&state, "GET", target, &[("authorization", &wrong)], "").await.status, 401, "{target}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(&state, "POST", "/explain", &[form, ("authorization", &right)], "url=/open").await.status, 200);
    // A browser sends it by itself, whoever makes it: it must not change anything, nor speak for a client.
    let json = ("content-type", "application/json");
    let forget = send(&state, "POST", "/sessions/forget", &[json, ("authorization", &right)], r#"{"all":true}"#).await;
    assert_eq!((forget.status, &forget.headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    assert_eq!(send(&state, "GET", "/decisions/open", &[("authorization", &right)], "").await.status, 401);
    let asked = send(&state, "GET", "/rules", &[BROWSER], "").await;
    assert!(asked.headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    assert_eq!(get(&state, "/rules").await.headers["www-authenticate"], "Bearer");
}
