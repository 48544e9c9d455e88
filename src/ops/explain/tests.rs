//! Explanations, for machines and for readers.

use expect_test::Expect;
use expect_test::expect;
use http::Method;
use serde_json::json;

use crate::decision::cors::Cors;
use crate::decision::cors::OriginPattern;
use crate::decision::pattern::Methods;
use crate::decision::policy::PublicUrl;
use crate::ops::tests::policy;
use crate::ops::tests::rule;

use super::*;

const SHOP: &str = "http://shop.example.com";

/// A session of someone with a second factor, signed in just now.
fn session(role: &str) -> Supposed {
    let session = json!({
        "id": "8f660ffd-cda5-4a2e-8f3a-5f8a6e9c1b11",
        "active": true,
        "expires_at": "2999-01-01T00:00:00Z",
        "authenticated_at": "2026-01-01T00:00:00Z",
        "authenticator_assurance_level": "aal2",
        "authentication_methods": [],
        "identity": {
            "id": "9f425a8d-7efc-4768-8f23-7647a74fdf13",
            "traits": {"email": "foo@ory.sh"},
            "metadata_public": {"role": role},
        },
    });
    Supposed::session(session.to_string().as_bytes()).unwrap()
}

fn explained(method: &str, url: &str, headers: &[&str], supposed: Option<Supposed>) -> Explanation {
    let headers = headers.iter().map(|text| header(text).unwrap()).collect();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(explain(&policy(), &method, url, headers, supposed))
}

/// Outcome, status, refusal and rule in one line.
fn summary(method: &str, url: &str, headers: &[&str], supposed: Option<Supposed>) -> String {
    let explanation = explained(method, url, headers, supposed);
    let wire = explanation.wire();
    let status = wire.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    format!("{} {status} {} {}", wire.outcome, wire.refusal.unwrap_or("-"), wire.rule.unwrap_or("-"))
}

fn check_json(explanation: &Explanation, expected: &Expect) {
    expected.assert_eq(&serde_json::to_string_pretty(explanation).unwrap());
}

#[test]
fn every_supposed_answer_has_its_outcome() {
    let cookie = ["Cookie: ory_kratos_session=hunter2"];
    for (path, headers, supposed, expected) in [
        ("/open", &[][..], None, "permit 200 - pages"),
        ("/api/orders/7", &[], None, "ask - - orders"),
        ("/api/orders/7", &cookie, None, "ask - - orders"),
        ("/api/orders/7", &[], Supposed::parse("none"), "refuse 401 session_inactive orders"),
        ("/api/orders/7", &[], Supposed::parse("step-up"), "refuse 403 session_aal2_required orders"),
        ("/api/orders/7", &[], Supposed::parse("down"), "refuse 503 kratos_unavailable orders"),
        ("/api/orders/7", &[], Some(session("user")), "permit 200 - orders"),
        ("/staff", &[], Some(session("user")), "refuse 403 forbidden staff"),
        ("/staff", &[], Some(session("admin")), "permit 200 - staff"),
        ("/", &[], None, "permit 200 - pages"),
        ("/", &cookie, None, "ask - - pages"),
        ("/", &[], Supposed::parse("none"), "permit 200 - pages"),
        ("/", &[], Supposed::parse("down"), "refuse 503 kratos_unavailable pages"),
        ("/sessions/whoami", &[], None, "permit 200 - kratos"),
    ] {
        let found = summary("GET", &format!("{SHOP}{path}"), headers, supposed.clone());
        assert_eq!(found, expected, "{path} {headers:?} {supposed:?}");
    }
}

#[test]
fn a_url_is_taken_as_it_is_written() {
    for (method, url, headers, expected) in [
        ("GET", "http://shop.example.com", &[][..], "permit 200 - pages"),
        ("GET", "HTTPS://Shop.Example.Com:8443?a=b", &[], "permit 200 - pages"),
        ("GET", "/open", &[], "permit 200 - open"),
        ("GET", "/vault", &[], "refuse 403 forbidden vault"),
        ("GET", "/vault", &["Host: shop.example.com"], "permit 200 - pages"),
        ("GET", "", &[], "refuse 404 no_rule -"),
        ("GET", "?a=b", &["Host: shop.example.com"], "permit 200 - pages"),
        ("DELETE", "http://shop.example.com/api/orders/7", &[], "refuse 405 method_not_allowed -"),
        ("TRACE", "http://shop.example.com/", &[], "refuse 405 method_not_allowed -"),
        ("CONNECT", "/open", &[], "refuse 405 method_not_allowed -"),
        ("GET", "http://shop.example.com/a/../vault", &[], "refuse 400 ambiguous_request -"),
        ("GET", "http://shop.example.com/a//b", &[], "refuse 400 ambiguous_request -"),
        ("GET", "http://shop.example.com/#top", &[], "refuse 400 ambiguous_request -"),
        ("GET", "http://shop.example.com/a b", &[], "refuse 400 ambiguous_request -"),
        ("GET", "http://user@shop.example.com/", &[], "refuse 400 ambiguous_request -"),
        ("GET", "http://shop.example.com/", &["Host: other.example.com"], "refuse 400 ambiguous_request -"),
        ("GET", "ftp://shop.example.com/", &[], "refuse 400 ambiguous_request -"),
        ("GET", "shop.example.com", &[], "refuse 400 ambiguous_request -"),
        ("GET", "http:///open", &[], "refuse 400 ambiguous_request -"),
    ] {
        assert_eq!(summary(method, url, headers, None), expected, "{method} {url} {headers:?}");
    }
}

#[test]
fn a_preflight_is_explained_as_it_is_answered() {
    let mut policy = policy();
    let cors = Cors {
        origins: vec![OriginPattern::parse("https://spa.example.com").unwrap()],
        methods: Methods::any(),
        headers: HeaderValue::from_static("content-type"),
        expose: None,
        credentials: true,
        max_age: None,
    };
    let target = policy.rules[3].target.clone();
    policy.rules[3] = Arc::new(Rule { cors: Some(cors), ..rule("vault", Access::Deny, target.unwrap()) });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let status = |origin: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("origin", HeaderValue::from_static(origin));
        headers.insert("access-control-request-method", HeaderValue::from_static("PUT"));
        let explanation = runtime.block_on(explain(&policy, &Method::OPTIONS, "/vault", headers, None));
        (explanation.status(), explanation.rule().map(str::to_owned))
    };
    assert_eq!(status("https://spa.example.com"), (Some(204), Some("vault".to_owned())));
    assert_eq!(status("https://evil.example"), (Some(403), Some("vault".to_owned())));
}

#[test]
fn a_path_alone_is_asked_of_the_public_url() {
    let mut policy = policy();
    policy.public_url = Some(PublicUrl { origin: SHOP.into(), host: "shop.example.com".into() });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let explanation = runtime.block_on(explain(&policy, &Method::GET, "/vault", HeaderMap::new(), None));
    assert_eq!(explanation.rule(), Some("pages"));
}

#[test]
fn edits_are_removals_then_credentials_then_what_is_set() {
    let headers = [
        "X_User_Email: mallory@example.com",
        "X-Forwarded-For: 1.2.3.4",
        "Accept: */*",
        "X-Session-Token: hunter2",
        "Cookie: a=b; ory_kratos_session=hunter3",
    ];
    let explanation = explained("GET", &format!("{SHOP}/api/orders/7"), &headers, Some(session("user")));
    check_json(
        &explanation,
        &expect![[r#"
        {
          "rule": "orders",
          "outcome": "permit",
          "status": 200,
          "refusal": null,
          "edits": [
            {
              "remove": "X-Kratos-Authenticated-Identity-Id"
            },
            {
              "remove": "X-User-Email"
            },
            {
              "remove": "X-Order"
            },
            {
              "remove": "x_user_email"
            },
            {
              "remove": "x-forwarded-for"
            },
            {
              "remove": "x-session-token"
            },
            {
              "set": [
                "Cookie",
                "a=b"
              ]
            },
            {
              "set": [
                "X-Kratos-Authenticated-Identity-Id",
                "9f425a8d-7efc-4768-8f23-7647a74fdf13"
              ]
            },
            {
              "set": [
                "X-User-Email",
                "foo@ory.sh"
              ]
            },
            {
              "set": [
                "X-Order",
                "7"
              ]
            }
          ],
          "captures": {
            "order": "7"
          }
        }"#]],
    );
    let kept = explained("GET", &format!("{SHOP}/staff"), &headers, Some(session("admin")));
    assert!(!serde_json::to_string(&kept).unwrap().contains("x-session-token"));
}

#[test]
fn people_are_told_why_the_other_rules_lost() {
    let ordered = explained("GET", &format!("{SHOP}/api/orders/7"), &[], Some(session("user")));
    expect![[r#"
        rule      orders (access session, upstream shop)
        asked     Kratos, unless its last answer is younger than 5s
        captures  order = 7
        decision  permit
        edits     remove X-Kratos-Authenticated-Identity-Id
                  remove X-User-Email
                  remove X-Order
                  set X-Kratos-Authenticated-Identity-Id: 9f425a8d-7efc-4768-8f23-7647a74fdf13
                  set X-User-Email: foo@ory.sh
                  set X-Order: 7
        others    pages: the path belongs to `/api/orders/{order}` of `orders`
                  vault: the host belongs to the rules that name `shop.example.com`
                  open: the host belongs to the rules that name `shop.example.com`
                  staff: its paths do not match
    "#]]
    .assert_eq(&ordered.to_string());
    let refused = explained("DELETE", &format!("{SHOP}/api/orders/7"), &[], None);
    expect![[r#"
        rule      none
        decision  refuse: 405 method_not_allowed (allowed: GET, HEAD, POST)
        others    orders: it does not list the method
                  pages: the path belongs to `/api/orders/{order}` of `orders`
                  vault: the host belongs to the rules that name `shop.example.com`
                  open: the host belongs to the rules that name `shop.example.com`
                  staff: its paths do not match
    "#]]
    .assert_eq(&refused.to_string());
    let ambiguous = explained("GET", &format!("{SHOP}/a/%2e%2e/b"), &[], None);
    expect![[r#"
        rule      none
        decision  refuse: 400 ambiguous_request (a `.` or `..` segment in the path)
    "#]]
    .assert_eq(&ambiguous.to_string());
}

#[test]
fn what_is_no_session_cannot_be_supposed() {
    for body in ["", "{}", r#"{"active":true}"#] {
        assert!(Supposed::session(body.as_bytes()).is_err(), "{body}");
    }
    assert!(Supposed::parse("admin").is_none());
}
