//! Kratos' public API through the gateway: exactly it, and untouched.

use crate::harness::{Gateway, Kratos, Service};

/// A gateway in front of a Kratos that shows what reached it.
fn before(kratos: &Service, rest: &str) -> Gateway {
    Gateway::start(&format!("{rest}\n").replace("KRATOS", &kratos.url()))
}

#[test]
fn exactly_the_public_api_passes() {
    let kratos = Service::start();
    let gateway = before(&kratos, "kratos: KRATOS");
    for path in [
        "/self-service/login/browser",
        "/self-service/x/y/z",
        "/sessions",
        "/sessions/whoami",
        "/sessions/a/b",
        "/schemas",
        "/schemas/ZGVmYXVsdA",
        "/.well-known/ory/webauthn.js",
        "/.well-known/change-password",
    ] {
        assert_eq!(gateway.get(path).send().status, 200, "{path}");
        assert_eq!(kratos.last().target, path);
    }
    kratos.forget();
    for path in [
        "/admin/identities",
        "/identities",
        "/admin/sessions/whoami",
        "/recovery/code",
        "/courier/messages",
        "/version",
        "/metrics/prometheus",
        "/health/config",
        "/health/ready",
        "/schemas/a/b",
        "/.well-known/jwks.json",
        "/",
        "/Sessions/whoami",
        "/self-servicex",
        "/sessionsx",
    ] {
        assert_eq!(gateway.get(path).send().status, 404, "{path}");
    }
    assert!(kratos.seen().is_empty());
}

#[test]
fn kratos_gets_what_the_client_sent_and_where_it_came_from() {
    let kratos = Service::start();
    let gateway = before(&kratos, "kratos: KRATOS");
    let body = "identifier=a&password=b";
    gateway
        .request("POST", "/self-service/login?flow=1")
        .header("host", "app.example.com")
        .header("accept", "application/json, text/plain, */*")
        .header("content-type", "application/json")
        .cookie("csrf_token_1=x")
        .cookie("ory_kratos_session=y")
        .header("authorization", "Bearer ory_st_z")
        .header("x-session-token", "ory_st_t")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-kratos-authenticated-identity-id", "root")
        .body(body)
        .send();
    let seen = kratos.seen().into_iter().find(|seen| seen.method == "POST").unwrap();
    assert_eq!(seen.target, "/self-service/login?flow=1");
    assert_eq!(seen.all("host"), [kratos.address().to_string()]);
    assert_eq!(seen.all("x-forwarded-host"), ["app.example.com"]);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("accept"), ["application/json, text/plain, */*"]);
    assert_eq!(seen.all("content-type"), ["application/json"]);
    assert_eq!(seen.all("cookie"), ["csrf_token_1=x; ory_kratos_session=y"]);
    assert_eq!(seen.all("authorization"), ["Bearer ory_st_z"]);
    assert_eq!(seen.all("x-session-token"), ["ory_st_t"]);
    assert_eq!((seen.header("origin"), seen.header("x-kratos-authenticated-identity-id")), (None, None));
    assert_eq!(seen.body, body.as_bytes());
}

#[test]
fn a_client_without_cookies_stays_without() {
    let kratos = Service::start();
    let gateway = before(&kratos, "kratos: KRATOS");
    gateway.get("/self-service/login/api").send();
    let seen = kratos.last();
    assert_eq!((seen.header("cookie"), seen.header("origin"), seen.header("accept")), (None, None, None));
}

#[test]
fn what_kratos_answers_comes_back_untouched() {
    let kratos = Service::answering(|_| {
        "HTTP/1.1 303 See Other\r\nLocation: https://elsewhere.example/ui?flow=1\r\nSet-Cookie: csrf_token_x=1; Path=/; \
         HttpOnly\r\nSet-Cookie: ory_kratos_continuity=2; Path=/\r\nVary: Cookie\r\n\
         Cache-Control: private, no-cache, no-store, must-revalidate\r\nContent-Length: 2\r\n\r\nok"
            .to_owned()
    });
    let gateway = before(&kratos, "kratos: KRATOS");
    let reply = gateway.get("/self-service/login/browser").send();
    assert_eq!((reply.status, reply.header("location")), (303, Some("https://elsewhere.example/ui?flow=1")));
    assert_eq!(reply.all("set-cookie"), ["csrf_token_x=1; Path=/; HttpOnly", "ory_kratos_continuity=2; Path=/"]);
    assert_eq!(reply.header("cache-control"), Some("private, no-cache, no-store, must-revalidate"));
    assert_eq!(reply.header("vary"), Some("Cookie"));
}

#[test]
fn a_prefix_is_where_the_api_is_mounted_and_does_not_reach_kratos() {
    let kratos = Service::start();
    let gateway = before(&kratos, "kratos: { url: KRATOS, path_prefix: /.ory/kratos/public }");
    for (target, forwarded) in [
        ("/.ory/kratos/public/sessions/whoami", "/sessions/whoami"),
        ("/.ory/kratos/public/self-service/login/flows?id=%2F", "/self-service/login/flows?id=%2F"),
        ("/.ory/kratos/public/.well-known/change-password", "/.well-known/change-password"),
        ("/%2eory/kratos/public/schemas/caf%C3%A9", "/schemas/caf%C3%A9"),
    ] {
        assert_eq!(gateway.get(target).send().status, 200, "{target}");
        assert_eq!(kratos.last().target, forwarded);
    }
    kratos.forget();
    for target in ["/sessions/whoami", "/.ory/kratos/public/admin/identities", "/.ory/kratos/public"] {
        assert_eq!(gateway.get(target).send().status, 404, "{target}");
    }
    assert!(kratos.seen().is_empty());
}

#[test]
fn the_api_is_served_on_the_hosts_that_were_named_only() {
    let kratos = Service::start();
    let gateway = before(&kratos, "kratos: { url: KRATOS, hosts: [auth.example.com] }");
    for (host, status) in [("auth.example.com", 200), ("AUTH.example.com.", 200), ("app.example.com", 404)] {
        assert_eq!(gateway.get("/sessions/whoami").header("host", host).send().status, status, "{host}");
    }
    let gateway = before(&kratos, "kratos: { url: KRATOS, serve: false }");
    assert_eq!(gateway.get("/sessions/whoami").send().status, 404);
}

#[test]
fn no_rule_of_the_user_owns_a_path_of_kratos() {
    let (kratos, service) = (Service::start(), Service::start());
    let gateway = before(
        &kratos,
        &format!(
            "kratos: KRATOS\nrules: [{{ id: all, match: {{ paths: [/**, '/*/whoami'] }}, access: public, upstream: '{}' }}]",
            service.url()
        ),
    );
    assert_eq!(gateway.get("/sessions/whoami").send().status, 200);
    assert_eq!(gateway.get("/elsewhere/whoami").send().status, 200);
    assert_eq!((kratos.seen().len(), service.seen().len()), (1, 1));
}

#[test]
fn a_person_signs_up_is_known_and_signs_out() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = Gateway::start(&format!(
        "kratos: {}\nrules: [{{ id: mine, match: {{ paths: [/mine] }}, access: session, upstream: '{}' }}]\n",
        kratos.url(),
        service.url()
    ));
    let flow = gateway.get("/self-service/registration/api").send().json();
    let submit = format!("/self-service/registration?flow={}", flow["id"].as_str().unwrap());
    let body = serde_json::json!({
        "method": "password", "password": "correct-horse-battery", "traits": {"email": "ann@example.com"}
    });
    let registered = gateway.request("POST", &submit).json(&body).send();
    assert_eq!(registered.status, 200, "{}", registered.text());
    let registered = registered.json();
    let token = registered["session_token"].as_str().unwrap().to_owned();
    assert_eq!(gateway.get("/mine").token(&token).send().status, 200);
    assert_eq!(service.last().header("x-kratos-authenticated-identity-id"), registered["identity"]["id"].as_str());
    let body = serde_json::json!({"session_token": token});
    assert_eq!(gateway.request("DELETE", "/self-service/logout/api").json(&body).send().status, 204);
    assert_eq!(gateway.get("/mine").token(&token).send().status, 401);
}
