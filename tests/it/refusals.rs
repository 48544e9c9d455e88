//! What clients see when they may not pass, each kind of client in its own terms.

use std::io::Write as _;
use std::net::TcpStream;

use crate::harness::{Gateway, Kratos, Service, exchange, read_reply};

fn gateway(kratos: &Kratos, service: &Service, rest: &str) -> Gateway {
    Gateway::start(&format!(
        "kratos: {}\nupstreams: {{ app: {}, gone: 'http://127.0.0.1:1' }}\n{rest}\nrules:
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public, upstream: app }}
  - {{ id: mine, match: {{ paths: [/mine/**] }}, access: session, upstream: app }}
  - {{ id: strong, match: {{ paths: [/strong] }}, access: session, require: {{ aal: aal2 }}, upstream: app }}
  - {{ id: json, match: {{ paths: [/json] }}, access: session, on_refusal: json, upstream: app }}
  - {{ id: shut, match: {{ paths: [/shut] }}, access: deny, upstream: app }}
  - {{ id: gone, match: {{ paths: [/gone] }}, access: public, upstream: gone }}
  - {{ id: read, match: {{ paths: [/methods], methods: [GET] }}, access: public, upstream: app }}
  - {{ id: write, match: {{ paths: [/methods], methods: [PUT] }}, access: deny, upstream: app }}
  - {{ id: safe, match: {{ paths: [/safe], schemes: [https] }}, access: public, upstream: app }}
",
        kratos.url(),
        service.url()
    ))
}

#[test]
fn json_clients_get_the_error_envelope_of_kratos() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    for (target, status, id) in [
        ("/nowhere", 404, "no_rule"),
        ("/open//x", 400, "ambiguous_request"),
        ("/mine/x", 401, "session_inactive"),
        ("/shut", 403, "forbidden"),
        ("/gone", 502, "upstream_unavailable"),
        ("/safe", 404, "no_rule"),
    ] {
        let reply = gateway.get(target).header("accept", "application/json").send();
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{target}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{target}");
        let error = &reply.json()["error"];
        assert_eq!((error["id"].as_str(), error["code"].as_u64()), (Some(id), Some(status.into())), "{target}");
        for key in ["status", "reason", "message"] {
            assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "{target}: {key}");
        }
    }
}

#[test]
fn navigations_without_a_session_are_sent_to_the_login_and_back() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let reply = gateway.get("/mine/a%20b?x=1&y=%26").browser().send();
    assert_eq!(reply.status, 303);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let back = format!("http%3A%2F%2F127.0.0.1%3A{}%2Fmine%2Fa%2520b%3Fx%3D1%26y%3D%2526", gateway.address().port());
    assert_eq!(reply.header("location"), Some(&*format!("/self-service/login/browser?return_to={back}")));
    let strong = gateway.get("/strong").token(&kratos.sign_in("ann@example.com").token).browser().send();
    assert_eq!(strong.status, 303);
    let location = strong.header("location").unwrap();
    assert!(location.starts_with("/self-service/login/browser?aal=aal2&return_to=http"), "{location}");
}

#[test]
fn only_navigations_are_ever_redirected() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    for (request, redirected) in [
        (gateway.get("/mine").header("accept", "text/html"), true),
        (gateway.get("/mine").header("accept", "text/html;q=0.9, application/json;q=0.8"), true),
        (gateway.request("HEAD", "/mine").header("accept", "text/html"), true),
        (gateway.get("/mine").header("sec-fetch-mode", "navigate"), true),
        (gateway.get("/mine"), false),
        (gateway.get("/mine").header("accept", "*/*"), false),
        (gateway.get("/mine").header("accept", "application/json, text/html;q=0.5"), false),
        (gateway.get("/mine").header("accept", "text/html").header("sec-fetch-mode", "cors"), false),
        (gateway.request("POST", "/mine").browser(), false),
        (gateway.get("/json").browser(), false),
    ] {
        let reply = request.send();
        assert_eq!(reply.status, if redirected { 303 } else { 401 }, "{reply:?}");
    }
}

#[test]
fn a_login_url_with_a_query_is_extended_and_the_public_url_is_where_people_come_back() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(
        &kratos,
        &service,
        "login: { url: 'https://auth.example.com/login?theme=dark' }
listen: { address: '127.0.0.1:0', public_url: 'https://app.example.com' }",
    );
    let location = |host: &str| {
        let reply = gateway.get("/mine/x").header("host", host).browser().send();
        reply.header("location").unwrap().to_owned()
    };
    let base = "https://auth.example.com/login?theme=dark&return_to=";
    assert_eq!(location("app.example.com"), format!("{base}https%3A%2F%2Fapp.example.com%2Fmine%2Fx"));
    assert_eq!(location("APP.example.com."), format!("{base}https%3A%2F%2Fapp.example.com%2Fmine%2Fx"));
    assert_eq!(location("other.example.com:8080"), format!("{base}http%3A%2F%2Fother.example.com%3A8080%2Fmine%2Fx"));
}

#[test]
fn browsers_get_small_pages_without_anything_of_theirs_in_it() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    for (target, status) in [("/nowhere/%3Cscript%3E", 404), ("/shut", 403), ("/gone", 502), ("/open//x", 400)] {
        let reply = gateway.get(target).browser().send();
        assert_eq!(reply.status, status, "{target}");
        assert!(reply.header("content-type").unwrap().starts_with("text/html"), "{target}");
        assert!(reply.header("content-security-policy").unwrap().contains("default-src 'none'"), "{target}");
        assert!(!reply.text().contains("<script"), "{}", reply.text());
        let head = gateway.request("HEAD", target).browser().send();
        assert_eq!((head.status, head.body.len()), (status, 0), "{target}");
    }
}

#[test]
fn a_method_that_no_rule_of_the_path_lists_is_told_which_are() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let reply = gateway.request("DELETE", "/methods").send();
    assert_eq!(reply.status, 405);
    let mut allowed = reply.header("allow").unwrap().split(", ").collect::<Vec<_>>();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PUT"]);
    assert_eq!(gateway.request("HEAD", "/methods").send().status, 200, "GET implies HEAD");
    assert_eq!(gateway.request("PUT", "/methods").send().status, 403);
    assert_eq!(gateway.request("TRACE", "/open/x").send().status, 405);
    // The engine itself refuses to build tunnels.
    let connect = exchange(gateway.address(), b"CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n", false);
    assert_eq!(connect.status, 405);
}

#[test]
fn spellings_with_two_meanings_are_refused_before_any_rule() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let targets = [
        "/open/../mine",
        "/open/./x",
        "/open/%2e%2e/mine",
        "/open/%2E./mine",
        "/open/.%2e",
        "/open/%252e%252e/mine",
        "/open/..;/mine",
        "/open;/x",
        "/open/x;y=1",
        "/open/%3Bx",
        "//open",
        "/open//x",
        "/open/%2Fx",
        "/open%2fx",
        "/open%252fx",
        "/open\\x",
        "/open/%5cx",
        "/open/%255cx",
        "/open/%00",
        "/open/%0a",
        "/open/%0d%0ax",
        "/open/%7f",
        "/open/%",
        "/open/%2",
        "/open/%zz",
        "/open/%u002e",
        "/open/%ff",
        "/open/%c0%ae",
        "/open/%20../x",
        "/open/%09",
        "/open/%2500",
        "/open#x",
        "/open/x#",
        "*",
        "open/x",
        "",
        "http://other.example/open/x",
    ];
    for target in targets {
        let bytes = format!("GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", gateway.address());
        assert_eq!(exchange(gateway.address(), bytes.as_bytes(), false).status, 400, "{target:?}");
    }
    // What the engine would percent-encode before anyone saw it is among them, in the path and in the query.
    for raw in [
        &b"/open/\xc3\xa9"[..],
        b"/open/\xff",
        b"/open/a b",
        b"/open/<a",
        b"/open/a>",
        b"/open/\"a",
        b"/open/?q=a b",
        b"/open/?q=<a>",
        b"/open/?q=\"a\"",
        b"/open/?q=a\tb",
        b"/open/?q=a\rb",
        b"/open/x HTTP/1.1",
    ] {
        let bytes = [b"GET ", raw, b" HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n"].concat();
        assert_eq!(exchange(gateway.address(), &bytes, false).status, 400, "{raw:?}");
    }
    assert!(service.seen().is_empty(), "{:?}", service.seen());
}

#[test]
fn a_rewritten_target_is_told_as_such_and_the_connection_lives_on() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut ask = |request: &str| {
        stream.write_all(request.as_bytes()).unwrap();
        read_reply(&mut stream, false)
    };
    // A body full of what would be odd in a line, and a second request whose line came after it.
    let body = "<a b c \"d\">";
    let plain = format!("POST /open/x HTTP/1.1\r\nhost: a.example\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(ask(&plain).status, 200);
    let odd = ask("GET /open/a b HTTP/1.1\r\nhost: a.example\r\n\r\n");
    assert_eq!((odd.status, odd.error_id().as_str()), (400, "ambiguous_request"));
    assert_eq!(ask(&plain).status, 200);
    let targets = service.seen().into_iter().map(|seen| seen.target).collect::<Vec<_>>();
    assert_eq!(targets, ["/open/x", "/open/x"]);
}

#[test]
fn hosts_with_two_meanings_are_refused() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    for host in [
        "",
        " ",
        "user@a.example",
        "a.example/x",
        "a.example:http",
        "a.example:99999",
        "a b",
        "a..example",
        "[::1",
        "a.example, b.example",
        "a.example?",
        "a%2eexample",
        ".",
    ] {
        let bytes = format!("GET /open/x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let status = exchange(gateway.address(), bytes.as_bytes(), false).status;
        assert_eq!(status, 400, "{host:?}");
    }
    for head in [
        "GET /open/x HTTP/1.1\r\n",
        "GET /open/x HTTP/1.0\r\n",
        "GET /open/x HTTP/1.1\r\nhost: a.example\r\nhost: a.example\r\n",
        "GET http://a.example/open/x HTTP/1.1\r\nhost: b.example\r\n",
    ] {
        let bytes = format!("{head}connection: close\r\n\r\n");
        assert_eq!(exchange(gateway.address(), bytes.as_bytes(), false).status, 400, "{head}");
    }
    assert!(service.seen().is_empty());
}

#[test]
fn connection_nominates_nothing_of_meaning() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    for nominated in ["cookie", "X-Forwarded-For", "authorization", "close, x-anything", "keep-alive, Host", "x_y"] {
        assert_eq!(gateway.get("/open/x").header("connection", nominated).send().status, 400, "{nominated}");
    }
    for fine in ["close", "keep-alive", "Keep-Alive, TE", "upgrade, http2-settings"] {
        assert_eq!(gateway.get("/open/x").header("connection", fine).send().status, 200, "{fine}");
    }
    assert_eq!(service.seen().len(), 4);
}

#[test]
fn an_unread_body_is_never_read_as_a_request() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    let smuggled = "GET /open/smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n";
    for target in ["/mine/x", "/nowhere", "/a//b", "/shut"] {
        for framing in [
            format!("content-length: {}\r\n\r\n{smuggled}", smuggled.len()),
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
            format!("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ] {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            stream.write_all(format!("POST {target} HTTP/1.1\r\nhost: a.example\r\n{framing}").as_bytes()).unwrap();
            let reply = read_reply(&mut stream, false);
            assert!((400..500).contains(&reply.status), "{target}: {reply:?}");
            drop(stream);
        }
    }
    // A request of its own, so that a smuggled one would have been seen before it.
    assert_eq!(gateway.get("/open/honest").send().status, 200);
    let targets = service.seen().into_iter().map(|seen| seen.target).collect::<Vec<_>>();
    assert_eq!(targets, ["/open/honest"]);
}

#[test]
fn a_service_that_is_too_slow_is_a_504() {
    let (kratos, service) = (
        Kratos::start(),
        Service::answering(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1500));
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
        }),
    );
    let gateway = Gateway::start(&format!(
        "kratos: {}\nrules:\n  - {{ id: slow, match: {{ paths: [/slow] }}, access: public, upstream: {{ endpoints: ['{}'], read_timeout: 100ms }} }}\n",
        kratos.url(),
        service.url()
    ));
    let reply = gateway.get("/slow").send();
    assert_eq!((reply.status, reply.error_id().as_str()), (504, "upstream_timeout"));
}

#[test]
fn two_content_lengths_are_refused() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = gateway(&kratos, &service, "");
    for lengths in
        ["content-length: 2\r\ncontent-length: 2", "content-length: 2, 2", "content-length: 2\r\ncontent-length: 3"]
    {
        let bytes = format!("POST /open/x HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{lengths}\r\n\r\nok");
        assert_eq!(exchange(gateway.address(), bytes.as_bytes(), false).status, 400, "{lengths}");
    }
    assert!(service.seen().is_empty());
}
