//! The ten invariants of the gateway, each under its name. Their corners are in the other files.

use std::io::Write as _;
use std::net::TcpStream;

use crate::harness::{Gateway, Kratos, Service, compile, read_reply, until};

const IDENTITY: &str = "x-kratos-authenticated-identity-id";

fn gateway(kratos: &Kratos, service: &Service) -> Gateway {
    Gateway::start(&configuration(kratos, service))
}

fn configuration(kratos: &Kratos, service: &Service) -> String {
    format!(
        "
kratos: {kratos}
upstreams: {{ app: {app} }}
rules:
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public, upstream: app }}
  - {{ id: either, match: {{ paths: [/either/**] }}, access: optional, upstream: app }}
  - id: mine
    match: {{ paths: [/mine/**] }}
    access: session
    headers: {{ X-User-Email: '${{identity.traits.email}}' }}
    upstream: app
  - {{ id: shut, match: {{ paths: [/shut/**] }}, access: deny, upstream: app }}
  - {{ id: asked, match: {{ paths: [/asked] }}, access: session }}
",
        kratos = kratos.url(),
        app = service.url()
    )
}

#[test]
fn no_permit_no_upstream_connection() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    for (target, status) in
        [("/mine/x", 401), ("/shut", 403), ("/nowhere", 404), ("/open/../mine", 400), ("/asked", 401)]
    {
        assert_eq!(gateway.get(target).send().status, status, "{target}");
    }
    assert_eq!(gateway.get("/asked").token(&kratos.sign_in("ann@example.com").token).send().status, 404);
    assert!(service.seen().is_empty(), "{:?}", service.seen());
}

#[test]
fn no_client_names_itself() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    let ann = kratos.sign_in("ann@example.com");
    for target in ["/open/x", "/either/x", "/mine/x", "/self-service/login/api", "/sessions/whoami"] {
        for spelling in [
            "X-Kratos-Authenticated-Identity-Id",
            "x_kratos_authenticated_identity_id",
            "X-Kratos_Authenticated-Identity_Id",
            "x.kratos.authenticated.identity.id",
            "X-User-Email",
            "x_user_email",
        ] {
            let request = || gateway.get(target).header(spelling, "root").header(spelling, "root");
            for reply in [request().send(), request().token(&ann.token).send()] {
                assert!(!reply.text().contains("root"), "{target} {spelling}");
            }
            // To nominate it keeps it from nobody: the request is refused.
            assert_eq!(request().header("connection", format!("close, {spelling}")).send().status, 400, "{spelling}");
        }
    }
    for seen in service.seen() {
        assert!(!seen.headers.iter().any(|(_, value)| value == "root"), "{seen:?}");
    }
    gateway.get("/mine/x").token(&ann.token).header(IDENTITY, "root").send();
    assert_eq!(service.last().all(IDENTITY), [ann.identity_id.to_string()]);
    assert_eq!(service.last().all("x-user-email"), ["ann@example.com"]);
}

#[test]
fn what_was_matched_is_what_is_forwarded() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    for target in [
        "/open",
        "/open/",
        "/%6fpen/x",
        "/open/caf%C3%A9?q=%2F..%2f&empty=&x",
        "/open/a%25b/c",
        "/open/$&'()*+,=:@!~",
        "/open/x?",
        "/open/x?a=//b/../c;d",
    ] {
        assert_eq!(gateway.get(target).send().status, 200, "{target}");
        assert_eq!(service.last().target, target);
    }
    // The decoded meaning decides.
    assert_eq!(gateway.get("/%6dine/x").send().status, 401);
}

#[test]
fn kratos_being_away_is_neither_signed_in_nor_signed_out() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    let ann = kratos.sign_in("ann@example.com");
    kratos.switches().fail(true);
    for target in ["/mine/x", "/either/x"] {
        let reply = gateway.get(target).token(&ann.token).send();
        assert_eq!((reply.status, reply.error_id().as_str()), (503, "kratos_unavailable"), "{target}");
        assert!(reply.header("retry-after").is_some());
        assert_eq!(gateway.get(target).token(&ann.token).browser().send().status, 503, "never sent to the login");
    }
    assert_eq!(gateway.get("/open/x").token(&ann.token).send().status, 200);
    assert_eq!(gateway.get("/either/x").send().status, 200, "no credential, nothing to judge");
    assert_eq!(gateway.get("/mine/x").send().status, 401);
}

#[test]
fn a_session_that_a_request_ended_is_honoured_by_no_later_request() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    let ann = kratos.sign_in("ann@example.com");
    assert_eq!(gateway.get("/mine/x").token(&ann.token).send().status, 200);
    assert_eq!(gateway.get("/mine/x").cookie(&ann.cookie).send().status, 200);
    let body = serde_json::json!({"session_token": ann.token});
    assert_eq!(gateway.request("DELETE", "/self-service/logout/api").json(&body).send().status, 204);
    assert_eq!(gateway.get("/mine/x").token(&ann.token).send().status, 401);
    assert_eq!(gateway.get("/mine/x").cookie(&ann.cookie).send().status, 401);
}

#[test]
fn no_look_up_that_began_before_a_revocation_brings_a_session_back() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    let ann = kratos.sign_in("ann@example.com");
    kratos.switches().hold();
    std::thread::scope(|threads| {
        let asking = threads.spawn(|| gateway.get("/mine/x").token(&ann.token).send());
        kratos.whoami_reached(1);
        kratos.switches().end_session(ann.session_id);
        let forget = format!(r#"{{"session":"{}"}}"#, ann.session_id);
        let json = [("content-type", "application/json")];
        assert_eq!(gateway.ops_with("POST", "/sessions/forget", &json, &forget).status, 204);
        kratos.switches().release();
        assert_eq!(asking.join().unwrap().status, 401, "it was told before the end");
    });
    assert_eq!(gateway.get("/mine/x").token(&ann.token).send().status, 401);
}

#[test]
fn no_secret_in_an_error_a_metric_or_a_debug() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    let secret = "ory_st_hunter2hunter2hunter2hunter2hu";
    let replies = [
        gateway.get("/mine/x?token=hunter2").token(secret).send(),
        gateway.get("/mine/x").cookie("ory_kratos_session=hunter2").browser().send(),
        gateway.get("/mine/%zz").header("authorization", "Bearer hunter2").send(),
        gateway.get("/shut/hunter2").cookie("ory_kratos_session=hunter2").browser().send(),
    ];
    for reply in replies {
        let shown = format!("{:?} {}", reply.headers, reply.text());
        assert!(!shown.contains("ory_st_") && !reply.text().contains("hunter2"), "{shown}");
    }
    assert!(!gateway.ops("GET", "/metrics").body.contains("hunter2"));
}

#[test]
fn a_bad_configuration_never_replaces_a_good_one() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let mut gateway = gateway(&kratos, &service);
    let good = configuration(&kratos, &service);
    let bad = good.replace("access: deny", "access: nobody").replace("access: public", "access: session");
    assert!(compile(&bad, 2).is_err());
    gateway.running().control().refuse_reload("test.yaml:3:4 rules[3].access");
    assert_eq!(gateway.get("/open/x").send().status, 200, "nor half of it");
    assert_eq!(gateway.metric("portcullis_last_reload_successful"), 0.0);
    let ready = gateway.ops("GET", "/health/ready");
    assert_eq!(ready.status, 200);
    assert!(ready.body.contains("rules[3].access"), "{}", ready.body);
    gateway.reload(&good.replace("paths: [/open/**]", "paths: [/opened/**]"));
    assert_eq!(gateway.get("/open/x").send().status, 404);
    assert_eq!(gateway.get("/opened/x").send().status, 200);
    assert_eq!(gateway.metric("portcullis_last_reload_successful"), 1.0);
}

#[test]
fn every_refusal_is_counted_and_told_apart() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service);
    for (target, id) in [
        ("/mine/x", "session_inactive"),
        ("/shut", "forbidden"),
        ("/nowhere", "no_rule"),
        ("/a/../b", "ambiguous_request"),
    ] {
        assert_eq!(gateway.get(target).send().error_id(), id);
        // It is counted when the exchange ends, a moment after the client has the answer.
        let series = format!("portcullis_refusals_total{{reason=\"{id}\"}}");
        until("it is counted", || gateway.metric(&series) == 1.0);
    }
    // What the engine refuses while parsing never reaches us: it is counted at the connection.
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost : x\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream, false).status, 400);
    until("the engine's refusal is counted", || gateway.metric("portcullis_connection_errors_total") >= 1.0);
}

#[test]
fn a_cached_answer_may_permit_but_never_refuse() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = Gateway::start(&format!(
        "
kratos: {}
upstreams: {{ app: {} }}
rules:
  - {{ id: any, match: {{ paths: [/any] }}, access: session, upstream: app }}
  - {{ id: strong, match: {{ paths: [/strong] }}, access: session, require: {{ aal: aal2 }}, upstream: app }}
",
        kratos.url(),
        service.url()
    ));
    let ann = kratos.sign_in("ann@example.com");
    assert_eq!(gateway.get("/any").token(&ann.token).send().status, 200);
    // The step-up does not pass here, and answers younger than a second may refuse: let the cached one grow older.
    kratos.switches().set_session_aal(ann.session_id, portcullis::dev::Aal::Two);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(gateway.get("/strong").token(&ann.token).send().status, 200);
}
