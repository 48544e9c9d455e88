//! Single-page apps on other origins: what their browsers ask beforehand, and what they may read.

use crate::harness::{Client, Gateway, Kratos, Reply, Service, until};

const SPA: &str = "https://spa.example.com";

/// A service that has an opinion of its own about other origins.
fn opinionated() -> Service {
    Service::answering(|seen| {
        format!(
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: {}\r\n\
             Access-Control-Expose-Headers: X-Theirs\r\nVary: Accept-Encoding\r\nContent-Length: 2\r\n\r\nok",
            seen.method
        )
    })
}

fn gateway(kratos: &str, service: &Service) -> Gateway {
    Gateway::start(&format!(
        "kratos: {kratos}\nupstreams: {{ app: {}, gone: 'http://127.0.0.1:1' }}\nrules:
  - id: mine
    match: {{ paths: [/mine/**], methods: [GET, PUT] }}
    access: session
    cors: {{ origins: ['{SPA}', 'https://*.example.org'], credentials: true, expose: [x-total], max_age: 10m }}
    upstream: app
  - {{ id: read, match: {{ paths: [/split], methods: [GET, OPTIONS] }}, access: public, cors: '{SPA}', upstream: app }}
  - {{ id: write, match: {{ paths: [/split], methods: [PUT] }}, access: session, upstream: app }}
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public, cors: '*', upstream: app }}
  - {{ id: plain, match: {{ paths: [/plain/**] }}, access: public, upstream: app }}
  - {{ id: shut, match: {{ paths: [/shut] }}, access: deny, cors: '{SPA}', upstream: app }}
  - {{ id: gone, match: {{ paths: [/gone] }}, access: public, cors: '{SPA}', upstream: gone }}
",
        service.url()
    ))
}

fn preflight(gateway: &Gateway, target: &str, origin: &str, method: &str) -> Client {
    let asked = gateway.request("OPTIONS", target).header("origin", origin).header("sec-fetch-mode", "cors");
    asked.header("access-control-request-method", method)
}

/// What an answer says about other origins, in the order of the names.
fn said(reply: &Reply) -> Vec<(&str, &str)> {
    let mut said = reply
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("access-control-"))
        .map(|(name, value)| (&name["access-control-".len()..], value.as_str()))
        .collect::<Vec<_>>();
    said.sort_unstable();
    said
}

#[test]
fn a_preflight_is_answered_before_anybody_is_asked_who_sent_it() {
    let (kratos, service) = (Kratos::start(), opinionated());
    let gateway = gateway(&kratos.url(), &service);
    for origin in [SPA, "https://a.b.example.org"] {
        let asked = preflight(&gateway, "/mine/x", origin, "PUT").header("access-control-request-headers", "x-any");
        let reply = asked.send();
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        assert_eq!(reply.header("content-length"), None);
        assert_eq!(
            said(&reply),
            [
                ("allow-credentials", "true"),
                ("allow-headers", "content-type, authorization, x-session-token"),
                ("allow-methods", "GET, HEAD, PUT"),
                ("allow-origin", origin),
                ("expose-headers", "x-total"),
                ("max-age", "600"),
            ]
        );
        let vary = reply.all("vary").join(", ").to_ascii_lowercase();
        for name in ["origin", "access-control-request-method", "access-control-request-headers"] {
            assert!(vary.split(", ").any(|known| known == name), "{vary}");
        }
    }
    assert_eq!((service.seen().len(), kratos.whoami_count()), (0, 0));
    let series = r#"portcullis_requests_total{outcome="permit",rule="mine",status="2xx"}"#;
    until("it is counted like any other request", || gateway.metric(series) == 2.0);
}

#[test]
fn a_preflight_of_a_stranger_or_for_a_method_that_nobody_has_is_refused() {
    let (kratos, service) = (Kratos::start(), opinionated());
    let gateway = gateway(&kratos.url(), &service);
    for origin in
        ["https://evil.example", "https://example.org", "https://evilexample.org", "http://spa.example.com", "null"]
    {
        let reply = preflight(&gateway, "/mine/x", origin, "PUT").send();
        assert_eq!((reply.status, reply.error_id().as_str()), (403, "cross_origin_not_allowed"), "{origin}");
        assert_eq!(said(&reply), [], "{origin}");
    }
    for target in ["/mine/x", "/split"] {
        let reply = preflight(&gateway, target, SPA, "DELETE").send();
        assert_eq!((reply.status, reply.error_id().as_str()), (405, "method_not_allowed"), "{target}");
        assert_eq!(said(&reply), [], "{target}");
    }
    assert_eq!(preflight(&gateway, "/split", SPA, "GET").send().status, 204);
    // The rule that owns the request to follow has no say, so the question is a request like any other.
    assert_eq!(preflight(&gateway, "/split", SPA, "PUT").send().status, 200);
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn what_a_service_says_of_other_origins_is_replaced_and_never_doubled() {
    let (kratos, service) = (Kratos::start(), opinionated());
    let gateway = gateway(&kratos.url(), &service);
    let ann = kratos.sign_in("ann@example.com");
    let mine = || gateway.get("/mine/x").header("sec-fetch-mode", "cors").cookie(&ann.cookie);
    let reply = mine().header("origin", SPA).send();
    assert_eq!(reply.status, 200);
    assert_eq!(
        said(&reply),
        [("allow-credentials", "true"), ("allow-origin", SPA), ("expose-headers", "x-total")],
        "with credentials an origin is named, never `*`"
    );
    assert_eq!(reply.all("vary"), ["Accept-Encoding", "Origin"]);
    for reply in [mine().header("origin", "https://evil.example").send(), mine().send()] {
        assert_eq!((reply.status, said(&reply)), (200, Vec::new()), "who is not listed is told nothing");
        assert_eq!(reply.all("vary"), ["Accept-Encoding", "Origin"], "caches must know all the same");
    }
    let open = gateway.get("/open/x").header("origin", "https://anybody.example").send();
    assert_eq!((said(&open), open.all("vary")), (vec![("allow-origin", "*")], vec!["Accept-Encoding"]));
}

#[test]
fn rules_without_cors_leave_it_all_to_the_service() {
    let (kratos, service) = (Kratos::start(), opinionated());
    let gateway = gateway(&kratos.url(), &service);
    let theirs = |method| vec![("allow-methods", method), ("allow-origin", "*"), ("expose-headers", "X-Theirs")];
    let reply = gateway.get("/plain/x").header("origin", SPA).send();
    assert_eq!((said(&reply), reply.all("vary")), (theirs("GET"), vec!["Accept-Encoding"]));
    let asked = preflight(&gateway, "/plain/x", SPA, "PUT").send();
    assert_eq!((asked.status, said(&asked)), (200, theirs("OPTIONS")));
    assert_eq!(service.last().header("access-control-request-method"), Some("PUT"));
}

#[test]
fn our_own_refusals_can_be_read_by_the_page_that_is_refused() {
    let (kratos, service) = (Kratos::start(), opinionated());
    let gateway = gateway(&kratos.url(), &service);
    let fetch = |target: &str| gateway.get(target).header("origin", SPA).header("sec-fetch-mode", "cors");
    let ann = kratos.sign_in("ann@example.com");
    for (reply, status, id) in [
        (fetch("/mine/x").send(), 401, "session_inactive"),
        // Whatever it takes besides, a page that asks in script is never sent to a sign-in page.
        (fetch("/mine/x").header("accept", "text/html").send(), 401, "session_inactive"),
        (fetch("/shut").send(), 403, "forbidden"),
        (fetch("/gone").send(), 502, "upstream_unavailable"),
    ] {
        assert_eq!((reply.status, reply.error_id().as_str()), (status, id));
        assert!(said(&reply).contains(&("allow-origin", SPA)), "{reply:?}");
        assert_eq!(reply.all("vary"), ["Origin"]);
    }
    kratos.switches().fail(true);
    let away = fetch("/mine/x").token(&ann.token).send();
    assert_eq!((away.status, said(&away).contains(&("allow-origin", SPA))), (503, true));
    let stranger = gateway.get("/mine/x").header("origin", "https://evil.example").send();
    assert_eq!((stranger.status, said(&stranger)), (401, Vec::new()));
    assert_eq!(said(&gateway.get("/nowhere").header("origin", SPA).send()), [], "no rule, no say");
}

#[test]
fn the_public_api_of_kratos_is_shared_as_its_section_says() {
    let (kratos, service) = (opinionated(), Service::start());
    let shared =
        gateway(&format!("{{ url: '{}', cors: {{ origins: ['{SPA}'], credentials: true }} }}", kratos.url()), &service);
    let asked = preflight(&shared, "/self-service/login", SPA, "POST").send();
    assert_eq!(asked.status, 204);
    assert!(said(&asked).contains(&("allow-methods", "POST")), "{asked:?}");
    assert!(kratos.seen().iter().all(|seen| seen.method != "OPTIONS"));
    let reply = shared.get("/sessions/whoami").header("origin", SPA).send();
    assert_eq!(said(&reply), [("allow-credentials", "true"), ("allow-origin", SPA)]);
    let left = gateway(&kratos.url(), &service);
    assert_eq!(preflight(&left, "/self-service/login", SPA, "POST").send().status, 200);
    let reply = left.get("/sessions/whoami").header("origin", SPA).send();
    assert!(said(&reply).contains(&("allow-origin", "*")), "Kratos speaks for itself");
}
