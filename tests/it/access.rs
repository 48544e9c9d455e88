//! Who passes which rule, and how often Kratos is asked for it.

use std::time::Duration;

use crate::harness::{Gateway, Kratos, Service};

const IDENTITY: &str = "x-kratos-authenticated-identity-id";

fn gateway(kratos: &Kratos, service: &Service, rules: &str) -> Gateway {
    Gateway::start(&format!("kratos: {}\nupstreams: {{ app: {} }}\nrules:\n{rules}", kratos.url(), service.url()))
}

fn rule(id: &str, rest: &str) -> String {
    format!("  - {{ id: {id}, match: {{ paths: [/{id}] }}, upstream: app, {rest} }}\n")
}

#[test]
fn every_way_to_present_a_session_is_honoured() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, &rule("mine", "access: session"));
    let ann = kratos.sign_in("ann@example.com");
    let requests = [
        gateway.get("/mine").token(&ann.token),
        gateway.get("/mine").cookie(&ann.cookie),
        gateway.get("/mine").cookie(&format!("a=b; {}; c=d", ann.cookie)),
        gateway.get("/mine").header("authorization", format!("Bearer {}", ann.token)),
        // A cookie that nobody can decode falls through to the Bearer.
        gateway.get("/mine").cookie("ory_kratos_session=junk").header("authorization", format!("bearer {}", ann.token)),
        gateway.get("/mine").cookie("ory_kratos_session=junk").cookie(&ann.cookie),
    ];
    for request in requests {
        assert_eq!(request.send().status, 200);
        assert_eq!(service.last().header(IDENTITY), Some(&*ann.identity_id.to_string()));
    }
    let wins = gateway.get("/mine").token("ory_st_wrong").cookie(&ann.cookie).send();
    assert_eq!(wins.status, 401, "a session token wins over everything, even if it is invalid");
}

#[test]
fn a_thousand_requests_of_one_session_ask_kratos_once() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, &rule("mine", "access: session"));
    let ann = kratos.sign_in("ann@example.com");
    for _ in 0..1000 {
        assert_eq!(gateway.get("/mine").token(&ann.token).send().status, 200);
    }
    assert_eq!(kratos.whoami_count(), 1);
    assert_eq!(service.seen().len(), 1000);
    assert_eq!(gateway.metric("portcullis_session_lookups_total{result=\"hit\"}"), 999.0);
    assert_eq!(gateway.metric("portcullis_cached_sessions"), 1.0);
}

#[test]
fn sixty_concurrent_first_requests_ask_kratos_once() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, &rule("mine", "access: session"));
    let ann = kratos.sign_in("ann@example.com");
    kratos.switches().hold();
    std::thread::scope(|threads| {
        let asking =
            (0..60).map(|_| threads.spawn(|| gateway.get("/mine").token(&ann.token).send())).collect::<Vec<_>>();
        kratos.whoami_reached(1);
        crate::harness::until("all sixty are in flight", || gateway.metric("portcullis_requests_in_flight") >= 60.0);
        kratos.switches().release();
        for asking in asking {
            assert_eq!(asking.join().unwrap().status, 200);
        }
    });
    assert_eq!(kratos.whoami_count(), 1);
}

#[test]
fn optional_rules_name_who_is_known_and_pass_everyone_else() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = rule("either", "access: optional") + &rule("soft", "access: optional, on_outage: anonymous");
    let gateway = gateway(&kratos, &service, &rules);
    let ann = kratos.sign_in("ann@example.com");
    for (token, named) in [(None, false), (Some("ory_st_stale"), false), (Some(&*ann.token), true)] {
        let request = gateway.get("/either");
        let request = match token {
            Some(token) => request.token(token),
            None => request,
        };
        assert_eq!(request.send().status, 200);
        assert_eq!(service.last().header(IDENTITY).is_some(), named, "{token:?}");
    }
    kratos.switches().fail(true);
    assert_eq!(gateway.get("/soft").token("ory_st_other").send().status, 200);
    assert_eq!(service.last().header(IDENTITY), None);
    assert_eq!(gateway.get("/either").token("ory_st_other").send().status, 503);
}

#[test]
fn whoami_is_told_nothing_but_the_credential() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, &rule("mine", "access: session"));
    let ann = kratos.sign_in("ann@example.com");
    gateway
        .request("POST", "/mine")
        .cookie(&format!("tracking=1; {}; csrf_token_x=2", ann.cookie))
        .header("origin", "https://evil.example")
        .header("x-custom", "1")
        .body("secret body")
        .send();
    let asked = kratos.switches().last_whoami().unwrap();
    let mut names = asked.keys().map(|name| name.as_str()).collect::<Vec<_>>();
    names.sort_unstable();
    assert_eq!(names, ["accept", "cookie", "host", "user-agent"]);
    assert_eq!(asked["cookie"], ann.cookie.as_str());
    assert_eq!(service.last().body, b"secret body");
}

#[test]
fn what_kratos_answers_reaches_the_right_caller() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, &rule("mine", "access: session"));
    let stepping_up = r#"{"error":{"id":"session_aal2_required","code":403}}"#;
    let inactive = r#"{"id":"f28ea4ec-b5d8-4bb1-aa6e-c3046daf9129","active":false,"expires_at":"2999-01-01T00:00:00Z",
        "identity":{"id":"8250c7cf-9815-4a30-a5f6-9166760d4b20"}}"#;
    let expired = inactive.replace("false", "true").replace("2999", "2001");
    for (number, (status, headers, body, expected, id)) in [
        (401, None, "{}", 401, "session_inactive"),
        (403, None, stepping_up, 403, "session_aal2_required"),
        (403, None, "<html>blocked</html>", 503, "kratos_unavailable"),
        (429, Some(("retry-after", "17")), "{}", 429, "too_many_requests"),
        (500, None, "{}", 503, "kratos_unavailable"),
        (404, None, "{}", 503, "kratos_unavailable"),
        (302, Some(("location", "/elsewhere")), "", 503, "kratos_unavailable"),
        (200, None, "{}", 503, "kratos_unavailable"),
        (200, None, "null", 503, "kratos_unavailable"),
        (200, None, inactive, 401, "session_inactive"),
        (200, None, &expired, 401, "session_inactive"),
    ]
    .into_iter()
    .enumerate()
    {
        kratos.switches().answer_whoami(
            http::StatusCode::from_u16(status).unwrap(),
            &headers.into_iter().collect::<Vec<_>>(),
            body,
        );
        let reply = gateway.get("/mine").token(&format!("ory_st_{number}")).send();
        assert_eq!((reply.status, reply.error_id().as_str()), (expected, id), "{status} {body}");
        if status == 429 {
            assert_eq!(reply.header("retry-after"), Some("17"));
        }
    }
    assert!(service.seen().is_empty());
}

#[test]
fn a_slow_kratos_is_an_outage_after_its_time() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = Gateway::start(&format!(
        "kratos: {{ url: '{}', timeout: 100ms }}\nupstreams: {{ app: {} }}\nrules:\n{}",
        kratos.url(),
        service.url(),
        rule("mine", "access: session")
    ));
    kratos.switches().slow(Duration::from_secs(30));
    let reply = gateway.get("/mine").token("ory_st_x").send();
    assert_eq!((reply.status, reply.error_id().as_str()), (503, "kratos_unavailable"));
}

#[test]
fn demands_are_held_against_the_session_of_kratos() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = [
        rule("strong", "access: session, require: { aal: aal2 }"),
        rule("recent", "access: session, require: { authenticated_within: 15m }"),
        rule("checked", "access: session, require: { checked_within: 0s }"),
        rule("verified", "access: session, require: { verified: true }"),
        rule("admin", "access: session, require: { when: identity.metadata_public.role == 'admin' }"),
    ]
    .concat();
    let gateway = gateway(&kratos, &service, &rules);
    let ann = kratos.sign_in("ann@example.com");
    let switches = kratos.switches();
    let status = |target: &str| {
        let reply = gateway.get(target).token(&ann.token).send();
        if reply.status == 200 { "200".to_owned() } else { format!("{} {}", reply.status, reply.error_id()) }
    };
    switches.set_authenticated(ann.session_id, Duration::from_secs(3600));
    switches.set_verified(ann.identity_id, false);
    assert_eq!(status("/strong"), "403 session_aal2_required");
    assert_eq!(status("/recent"), "403 session_refresh_required");
    assert_eq!(status("/verified"), "403 session_verified_address_required");
    assert_eq!(status("/admin"), "403 forbidden");

    switches.set_session_aal(ann.session_id, portcullis::dev::Aal::Two);
    switches.set_authenticated(ann.session_id, Duration::from_secs(60));
    switches.set_verified(ann.identity_id, true);
    switches.set_metadata_public(ann.identity_id, serde_json::json!({"role": "admin"}));
    let json = [("content-type", "application/json")];
    assert_eq!(gateway.ops_with("POST", "/sessions/forget", &json, r#"{"all":true}"#).status, 204);
    for target in ["/strong", "/recent", "/verified", "/admin"] {
        assert_eq!(status(target), "200", "{target}");
    }
    let before = kratos.whoami_count();
    assert_eq!((status("/checked").as_str(), status("/checked").as_str()), ("200", "200"));
    assert_eq!(kratos.whoami_count() - before, 2, "for this very request");
}

#[test]
fn a_second_factor_that_kratos_demands_is_asked_for() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = rule("mine", "access: session") + &rule("either", "access: optional");
    let gateway = gateway(&kratos, &service, &rules);
    let ann = kratos.sign_in("ann@example.com");
    kratos.switches().set_second_factor(ann.identity_id, true);
    for target in ["/mine", "/either"] {
        let reply = gateway.get(target).token(&ann.token).send();
        assert_eq!((reply.status, reply.error_id().as_str()), (403, "session_aal2_required"), "{target}");
        let to = reply.json()["redirect_browser_to"].as_str().unwrap().to_owned();
        assert!(to.contains("aal=aal2") && to.contains("return_to="), "{to}");
    }
}

#[test]
fn the_session_cookie_that_whoami_gives_reaches_the_client() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, &rule("mine", "access: session"));
    let ann = kratos.sign_in("ann@example.com");
    let session = serde_json::json!({
        "id": ann.session_id, "active": true, "expires_at": "2999-01-01T00:00:00Z",
        "identity": {"id": ann.identity_id}
    });
    let cookies =
        [("set-cookie", "ory_kratos_session=renewed; Path=/; HttpOnly"), ("set-cookie", "csrf_token_x=1; Path=/")];
    kratos.switches().answer_whoami(http::StatusCode::OK, &cookies, &session.to_string());
    let reply = gateway.get("/mine").cookie(&ann.cookie).send();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.all("set-cookie"), ["ory_kratos_session=renewed; Path=/; HttpOnly"]);
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    assert_eq!(gateway.get("/mine").cookie(&ann.cookie).send().all("set-cookie"), Vec::<&str>::new());
}
