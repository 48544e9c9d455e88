//! What a service, Kratos and the client get to see of each other's heads.

use crate::harness::{Gateway, Kratos, Service};

fn gateway(kratos: &Kratos, service: &Service, rest: &str) -> Gateway {
    Gateway::start(&format!(
        "kratos: {}\nupstreams: {{ app: {} }}\n{rest}\nrules:
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public, upstream: app }}
  - {{ id: either, match: {{ paths: [/either/**] }}, access: optional, upstream: app }}
  - {{ id: kept, match: {{ paths: [/kept/**] }}, access: session, upstream: app, forward_credentials: true }}
  - id: told
    match: {{ paths: ['/told/{{name}}'] }}
    access: session
    upstream: app
    headers:
      X-Email: ${{identity.traits.email}}
      X-Methods: ${{session.authentication_methods.map(m, m.method)}}
      X-Captured: '<${{request.captures.name}}>'
      X-Absent: ${{identity.traits.nothing}}
      X-Plain: costs $5
",
        kratos.url(),
        service.url()
    ))
}

#[test]
fn the_gateway_alone_says_where_a_request_comes_from() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let lies = [
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-user", "root"),
        ("x_forwarded_for", "1.2.3.4"),
        ("x-envoy-external-address", "1.2.3.4"),
        ("true-client-ip", "1.2.3.4"),
        ("cf-connecting-ip", "1.2.3.4"),
        ("cf-ipcity", "Paris"),
        ("x-real-ip", "1.2.3.4"),
        ("x-client-ip", "1.2.3.4"),
        ("x-cluster-client-ip", "1.2.3.4"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("remote-user", "root"),
        ("x-remote-user", "root"),
        ("x-auth-request-email", "root@example.com"),
    ];
    let request = lies.iter().fold(gateway.get("/open/x"), |request, (name, value)| request.header(name, *value));
    assert_eq!(request.send().status, 200);
    let seen = service.last();
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), [gateway.address().to_string()]);
    assert_eq!(seen.all("host"), [gateway.address().to_string()]);
    for (name, value) in lies.iter().filter(|(name, _)| !name.starts_with("x-forwarded-")) {
        assert_eq!(seen.header(name), None, "{name}: {value}");
    }
    assert_eq!(seen.header("x-forwarded-user"), None);
}

#[test]
fn trusted_proxies_are_believed() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway =
        gateway(&kratos, &service, "listen: { address: '127.0.0.1:0', trusted_proxies: [127.0.0.0/8, 10.0.0.0/8] }");
    let reply = gateway
        .get("/open/x")
        .header("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .send();
    assert_eq!(reply.status, 200);
    let seen = service.last();
    assert_eq!(seen.all("x-forwarded-for"), ["6.6.6.6, 203.0.113.9, 10.0.0.2, 127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.all("x-forwarded-host"), [gateway.address().to_string()], "never chosen by anyone");
    for unclear in ["https,http", "gopher", ""] {
        assert_eq!(gateway.get("/open/x").header("x-forwarded-proto", unclear).send().status, 400, "{unclear:?}");
    }
}

#[test]
fn a_request_id_is_kept_if_well_formed_and_else_made() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let reply = gateway.get("/open/x").header("x-request-id", "abc-123").send();
    assert_eq!(
        (reply.header("x-request-id"), service.last().header("x-request-id")),
        (Some("abc-123"), Some("abc-123"))
    );
    for odd in ["", "a b", "<script>", &"a".repeat(500)] {
        let reply = gateway.get("/open/x").header("x-request-id", odd).send();
        let made = reply.header("x-request-id").unwrap();
        assert!(made != odd && made.len() >= 16, "{made}");
        assert_eq!(service.last().header("x-request-id"), Some(made));
    }
    let refused = gateway.get("/nowhere").header("x-request-id", "abc-123").send();
    assert_eq!(refused.header("x-request-id"), Some("abc-123"));
    assert_eq!(refused.json()["error"]["request"], "abc-123");
}

#[test]
fn credentials_stop_at_the_gateway_unless_a_rule_forwards_them() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let ann = kratos.sign_in("ann@example.com");
    let bearer = format!("Bearer {}", ann.token);
    for target in ["/open/x", "/either/x"] {
        let request = gateway
            .get(target)
            .cookie(&format!("a=b; {}", ann.cookie))
            .cookie("c=d")
            .token(&ann.token)
            .header("authorization", bearer.clone());
        assert_eq!(request.send().status, 200);
        let seen = service.last();
        assert_eq!(seen.all("cookie"), ["a=b; c=d"], "{target}");
        assert_eq!((seen.header("x-session-token"), seen.header("authorization")), (None, None), "{target}");
    }
    let own = gateway.get("/open/x").header("authorization", "Bearer own-api-token").send();
    assert_eq!((own.status, service.last().header("authorization")), (200, Some("Bearer own-api-token")));

    gateway.get("/kept/x").cookie(&format!("a=b; {}", ann.cookie)).header("authorization", bearer).send();
    let seen = service.last();
    assert_eq!(seen.all("cookie"), [format!("a=b; {}", ann.cookie)]);
    assert_eq!(seen.header("authorization"), None, "only the one that decided");
}

#[test]
fn headers_are_made_of_the_session_and_the_request() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let ann = kratos.sign_in("ann@example.com");
    assert_eq!(gateway.get("/told/caf%C3%A9").token(&ann.token).send().status, 200);
    let seen = service.last();
    assert_eq!(seen.header("x-email"), Some("ann@example.com"));
    assert_eq!(seen.header("x-methods"), Some(r#"["password"]"#));
    assert_eq!(seen.header("x-captured"), Some("<café>"));
    assert_eq!(seen.header("x-absent"), None);
    assert_eq!(seen.header("x-plain"), Some("costs $5"));
}

#[test]
fn a_value_with_a_control_character_leaves_its_header_unset() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let ann = kratos.sign_in("ann@example.com");
    for email in ["ad\nmin", "ad\r\nX-Admin: 1", "ad\u{0}min", "ad\u{7f}min", "ad\u{85}min"] {
        kratos.switches().set_traits(ann.identity_id, &serde_json::json!({"email": email}));
        let json = [("content-type", "application/json")];
        gateway.ops_with("POST", "/sessions/forget", &json, r#"{"all":true}"#);
        assert_eq!(gateway.get("/told/x").token(&ann.token).header("x-email", "root").send().status, 200);
        let seen = service.last();
        assert_eq!((seen.header("x-email"), seen.header("x-admin")), (None, None), "{email:?}");
    }
}

#[test]
fn the_identity_header_has_the_name_that_operators_choose() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "identity_header: X-User-Id");
    let ann = kratos.sign_in("ann@example.com");
    gateway.get("/told/x").token(&ann.token).header("X_User_Id", "root").send();
    let seen = service.last();
    assert_eq!(seen.all("x-user-id"), [ann.identity_id.to_string()]);
    assert!(!seen.headers.iter().any(|(_, value)| value == "root"));
}

#[test]
fn hop_by_hop_headers_of_a_service_go_no_further() {
    let service = Service::answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\nConnection: X-Internal\r\nX-Internal: 1\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Request-ID: theirs\r\n\r\nok"
            .to_owned()
    });
    let kratos = Kratos::start();
    let gateway = gateway(&kratos, &service, "");
    let reply = gateway.get("/open/x").header("x-request-id", "ours").send();
    assert_eq!((reply.header("keep-alive"), reply.header("x-internal")), (None, None));
    assert_eq!(reply.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(reply.all("x-request-id"), ["ours"]);
}

#[test]
fn an_absolute_form_that_agrees_is_forwarded_in_origin_form() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let target = format!("http://{}/open/x?y=%2F", gateway.address());
    assert_eq!(gateway.get(&target).send().status, 200);
    assert_eq!(service.last().target, "/open/x?y=%2F");
}
