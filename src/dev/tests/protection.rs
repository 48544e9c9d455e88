//! What protects flows: CSRF tokens, the refusal of browsers on native flows, and the list of return addresses.

use bytes::Bytes;
use http::Method;
use proptest::prelude::*;
use serde_json::json;

use super::client::Client;
use super::client::PASSWORD;
use super::client::Taste;
use super::client::messages;
use super::client::server;
use super::client::server_with;
use crate::dev::Hashing;
use crate::dev::Options;
use crate::dev::flow::Kind;
use crate::dev::routes;
use crate::dev::visit::Visit;
use crate::dev::world::World;

fn csrf_cookie(client: &Client) -> String {
    client.cookies.keys().find(|name| name.starts_with("csrf_token_")).unwrap().clone()
}

#[tokio::test]
async fn a_browser_flow_belongs_to_its_browser() {
    let server = server().await;
    let mut ann = Client::spa(&server);
    let flow = ann.flow("login", "").await;
    let path = format!("/self-service/login/flows?id={}", flow["id"].as_str().unwrap());
    let mut eve = Client::spa(&server);
    let stolen = eve.get(&path).await.expect(403);
    assert_eq!(stolen["error"]["id"], "security_csrf_violation");
    assert_eq!(stolen["error"]["details"]["reject_reason"], "The HTTP Cookie Header is empty or not set.");
    eve.flow("login", "").await;
    let submitted = eve.submit(&flow, &[("method", "password")]).await.expect(403);
    assert!(submitted["error"]["details"]["reject_reason"].as_str().unwrap().contains("do not match"));
    eve.taste = Taste::Html;
    let page = eve.submit(&flow, &[("method", "password")]).await;
    let page = page.expect_redirect(303).to_owned();
    assert!(page.contains("/ui/error?id="), "{page}");
    let id = page.split_once("?id=").unwrap().1;
    let error = eve.get(&format!("/self-service/errors?id={id}")).await.expect(200);
    assert_eq!(error["error"]["id"], "security_csrf_violation");
    let without = ann.post(flow["ui"]["action"].as_str().unwrap(), json!({ "method": "password" })).await;
    assert!(without.expect(403)["error"]["details"]["reject_reason"].as_str().unwrap().contains("no CSRF token"));
    ann.submit(&flow, &[("method", "password")]).await.expect(400);
}

#[tokio::test]
async fn csrf_tokens_are_new_on_each_render_and_die_at_login() {
    let server = server().await;
    let mut client = Client::spa(&server);
    let flow = client.flow("registration", "").await;
    let id = flow["id"].as_str().unwrap();
    let again = client.get(&format!("/self-service/registration/flows?id={id}")).await.expect(200);
    assert_ne!(super::client::csrf_of(&flow), super::client::csrf_of(&again));
    let before = client.cookies[&csrf_cookie(&client)].clone();
    let fields = [("method", "password"), ("traits.email", "ann@example.com"), ("password", PASSWORD)];
    client.submit(&flow, &fields).await.expect(200);
    assert_ne!(client.cookies[&csrf_cookie(&client)], before);
    client.get(&format!("/self-service/registration/flows?id={id}")).await.expect(403);
}

#[tokio::test]
async fn native_flows_refuse_browsers() {
    let server = server().await;
    let mut native = Client::native(&server);
    let flow = native.flow("login", "").await;
    let fields = [("method", "password"), ("identifier", "a@b.c"), ("password", PASSWORD)];
    for (name, value, refused) in
        [("cookie", "theme=dark", true), ("origin", "https://app.example", true), ("cookie", "__cf_bm=1", false)]
    {
        let mut client = Client::native(&server).with_header(name, value);
        let reply = client.submit(&flow, &fields).await;
        let expected = if refused { ["4000001"] } else { ["4000006"] };
        assert_eq!(messages(&reply.expect(400)), expected, "{name}: {value}");
        assert!(!reply.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn return_to_leads_to_listed_places_only() {
    let server = server_with(|options| {
        options.allowed_return_urls =
            vec!["https://app.example/area".parse().unwrap(), "https://*.tenants.example/".parse().unwrap()];
    })
    .await;
    let mut client = Client::spa(&server);
    for (wish, allowed) in [
        ("https://app.example/area/1", true),
        ("https://app.example/areas", true),
        ("https://app.example/", false),
        ("http://app.example/area", false),
        ("https://app.example:8443/area", false),
        ("https://a.tenants.example/x", true),
        ("https://tenants.example/x", false),
        ("https://app.example.evil.example/area", false),
        ("https://app.example@evil.example/area", false),
        ("//evil.example/area", false),
        ("javascript:alert(1)", false),
        ("/self-service/settings/browser", true),
        ("/elsewhere", false),
    ] {
        let wish: String = url::form_urlencoded::byte_serialize(wish.as_bytes()).collect();
        for kind in ["login", "registration", "recovery", "verification"] {
            let reply = client.get(&format!("/self-service/{kind}/browser?return_to={wish}")).await;
            assert_eq!(reply.status.as_u16(), if allowed { 200 } else { 400 }, "{kind} {wish}");
            if !allowed {
                assert_eq!(reply.json()["error"]["id"], "self_service_flow_return_to_forbidden");
            }
        }
    }
}

#[tokio::test]
async fn the_csrf_cookie_comes_where_kratos_sets_it() {
    let server = server().await;
    for (path, comes) in [
        ("/self-service/login/browser", true),
        ("/nowhere", true),
        ("/.well-known/ory/webauthn.js", true),
        ("/self-service/login/api", false),
        ("/sessions/whoami", false),
        ("/sessions", false),
        ("/schemas", false),
        ("/health/alive", false),
    ] {
        let reply = Client::native(&server).get(path).await;
        assert_eq!(reply.headers.contains_key("set-cookie"), comes, "{path}");
    }
    let unknown = Client::native(&server).post("/nowhere", json!({})).await.expect(403);
    assert_eq!(unknown["error"]["id"], "security_csrf_violation");
}

#[tokio::test]
async fn large_bodies_are_refused_and_odd_ones_survived() {
    let server = server().await;
    let mut client = Client::native(&server);
    let flow = client.flow("registration", "").await;
    let path = format!("/self-service/registration?flow={}", flow["id"].as_str().unwrap());
    let large = vec![b'a'; 5 * 1024 * 1024 + 1];
    client.send(Method::POST, &path, "application/json", large).await.expect(400);
    for (content_type, body) in [
        ("application/json", r#"{"method":{"a":1},"traits":[]}"#),
        ("application/json", r#"{"method":"password","traits":{"email":{"a":null}},"password":7}"#),
        ("application/json", r#"{"method":"password","traits":{"email":"a@b.c\u0000"},"password":"x"}"#),
        ("application/x-www-form-urlencoded", "method=password&traits=1&traits.email.x=2&%ff=%00"),
        ("application/x-www-form-urlencoded", ""),
    ] {
        client.send(Method::POST, &path, content_type, body.as_bytes().to_vec()).await.expect(400);
    }
}

/// A world with somebody signed in, and one native flow of each kind.
fn world() -> (World, String, Vec<String>) {
    let options = Options { hashing: Hashing::Cheap, seed_demo_accounts: true, ..Options::default() };
    let world = World::new(&options, &"http://127.0.0.1:1/".parse().unwrap()).unwrap();
    crate::dev::demo::seed(&world);
    let visit = visit("GET", "/", &[], "");
    let demo = world.identity_by_email("demo@example.com").unwrap();
    let token = world.open_session(demo.id, "password", &visit).token;
    let paths = [Kind::Login, Kind::Registration, Kind::Settings, Kind::Recovery, Kind::Verification].map(|kind| {
        let mut flow = world.new_flow(&visit, kind, true).unwrap();
        flow.identity = (kind == Kind::Settings).then_some(demo.id);
        world.populate(&visit, &mut flow);
        world.keep_flow(&flow);
        format!("/self-service/{}?flow={}", kind.name(), flow.id)
    });
    (world, token, paths.to_vec())
}

fn visit(method: &str, uri: &str, headers: &[(&'static str, &str)], body: &str) -> Visit {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let peer = "127.0.0.1:5".parse().unwrap();
    Visit::new((method, &uri.parse().unwrap(), headers), Bytes::from(body.to_owned()), peer, "csrf_token_x")
}

/// JSON that looks like a submit: known names, any values.
fn submit() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec![
        "method",
        "identifier",
        "password",
        "code",
        "email",
        "traits",
        "totp_code",
        "lookup_secret",
        "resend",
        "lookup_secret_regenerate",
        "lookup_secret_confirm",
        "totp_unlink",
        "csrf_token",
    ]);
    let text = prop_oneof![
        proptest::sample::select(vec![
            "password",
            "code",
            "link",
            "totp",
            "lookup_secret",
            "profile",
            "demo@example.com"
        ])
        .prop_map(|text| json!(text)),
        ".{0,20}".prop_map(|text| json!(text)),
        any::<bool>().prop_map(|flag| json!(flag)),
        Just(json!(null)),
        Just(json!([{ "email": 1 }])),
        ".{0,9}".prop_map(|text| json!({ "email": text, "name": { "first": text } })),
    ];
    proptest::collection::btree_map(name, text, 0..6).prop_map(|fields| json!(fields).to_string())
}

#[test]
fn nothing_a_client_sends_makes_the_server_fail() {
    let (world, token, paths) = world();
    let strategy = (
        proptest::sample::select(vec!["GET", "POST", "DELETE", "PUT"]),
        prop_oneof![
            4 => proptest::sample::select(paths),
            1 => "/(self-service|sessions|schemas|dev)?/[a-z%./]{0,12}[?][a-z=&%]{0,12}",
        ],
        any::<bool>(),
        prop_oneof![4 => submit(), 1 => "[ -~]{0,60}"],
    );
    proptest!(ProptestConfig::with_cases(512), |((method, uri, signed_in, body) in strategy)| {
        let mut headers = vec![("content-type", "application/json"), ("host", "h")];
        headers.extend(signed_in.then_some(("x-session-token", token.as_str())));
        let answer = routes::respond(&world, visit(method, &uri, &headers, &body));
        prop_assert!(!answer.status.is_server_error(), "{}", answer.status);
    });
}
