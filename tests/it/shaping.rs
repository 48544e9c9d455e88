//! What a rule changes on the way: headers, cookies, paths and hosts; and where it sends clients instead.

use crate::harness::{Gateway, Kratos, RUNTIME, Service, read_reply};

fn gateway(kratos: &Kratos, service: &Service, rules: &str) -> Gateway {
    Gateway::start(&format!(
        "listen: {{ address: '127.0.0.1:0', trusted_proxies: 127.0.0.1 }}\nkratos: {}\nupstreams: {{ app: {} }}\nrules:\n{rules}",
        kratos.url(),
        service.url()
    ))
}

#[test]
fn a_service_gets_no_header_that_the_rule_removes() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = "  - { id: a, match: { paths: [/a/**] }, access: public, upstream: app, remove_headers: [X-Debug, Authorization] }
  - { id: b, match: { paths: [/b/**] }, access: public, upstream: app, remove_headers: Cookie, cookies: { own: '1' } }
  - { id: c, match: { paths: [/c/**] }, access: public, upstream: app }";
    let gateway = gateway(&kratos, &service, rules);
    let get = |target: &str| {
        let request = gateway.get(target).header("x-debug", "1").header("x_debug", "2");
        request.header("authorization", "Basic dTpw").cookie("a=b").send()
    };
    let seen = |target: &str| {
        assert_eq!(get(target).status, 200);
        let seen = service.last();
        ["x-debug", "x_debug", "authorization", "cookie"].map(|name| seen.header(name).map(str::to_owned))
    };
    assert_eq!(seen("/a/x"), [None, None, None, Some("a=b".to_owned())]);
    let kept = [Some("1"), Some("2"), Some("Basic dTpw")].map(|value| value.map(str::to_owned));
    assert_eq!(seen("/b/x")[..3], kept);
    assert_eq!(service.last().header("cookie"), Some("own=1"));
    assert_eq!(seen("/c/x")[..3], kept);
}

#[test]
fn no_client_names_itself_by_a_cookie_that_a_rule_sets() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = "  - id: told
    match: { paths: [/told/**] }
    upstream: app
    cookies: { user: '${identity.id}', mail: '${identity.traits.email}', odd: '${\"a;b=c\"}', none: '${identity.traits.x}' }
  - { id: open, match: { paths: [/open/**] }, access: public, upstream: app }
  - { id: own, match: { paths: [/own/**] }, access: public }";
    let gateway = gateway(&kratos, &service, rules);
    let ann = kratos.sign_in("ann@example.com");
    let lies = "user=root; a=b; mail=root; odd=root; none=root; users=kept; User=root; n.one=kept; \u{a0}none=root; none[x]=root; %6eone=root; x=1, user=root";
    assert_eq!(gateway.get("/told/x").cookie(&format!("{lies}; {}", ann.cookie)).cookie("c=d").send().status, 200);
    let seen = service.last();
    let identity = seen.header("x-kratos-authenticated-identity-id").unwrap();
    assert_eq!(
        seen.all("cookie"),
        [format!("user={identity}; mail=ann@example.com; a=b; users=kept; n.one=kept; c=d")]
    );
    assert_eq!(gateway.get("/open/x").cookie(lies).send().status, 200);
    assert_eq!(service.last().all("cookie"), ["a=b; users=kept; n.one=kept"], "on every rule, in every spelling");
    // Kratos gets its client's cookies as they are.
    assert_eq!(gateway.get("/sessions/whoami").cookie(&format!("user=x; {}", ann.cookie)).send().status, 200);
}

#[test]
fn answers_carry_what_the_rule_says() {
    let (kratos, service) = (
        Kratos::start(),
        Service::answering(|_| {
            "HTTP/1.1 200 OK\r\nserver: secret/1.0\r\nx-frame-options: ALLOW\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 0\r\n\r\n".to_owned()
        }),
    );
    let rules = "  - id: a
    match: { paths: ['/a/{name}'] }
    upstream: app
    response_headers: { X-Frame-Options: DENY, X-For: '${subject}', X-Name: '${request.captures.name}' }
    remove_response_headers: [Server]";
    let gateway = gateway(&kratos, &service, rules);
    let ann = kratos.sign_in("ann@example.com");
    for name in ["one", "two"] {
        let reply = gateway.get(&format!("/a/{name}")).cookie(&ann.cookie).send();
        let identity = service.last().header("x-kratos-authenticated-identity-id").unwrap().to_owned();
        assert_eq!(reply.all("x-frame-options"), ["DENY"]);
        assert_eq!((reply.header("server"), reply.header("x-for")), (None, Some(identity.as_str())));
        assert_eq!(reply.header("x-name"), Some(name), "of this very request");
        assert_eq!(reply.all("set-cookie"), ["a=b", "c=d"]);
        assert_eq!(service.last().header("x-for"), None, "the service is told nothing of it");
    }
    let refused = gateway.get("/a/one").send();
    assert_eq!((refused.status, refused.header("x-frame-options")), (401, None));
}

#[test]
fn no_rule_loses_a_session_or_lets_it_be_cached() {
    let kratos = Kratos::start();
    let service = Service::answering(|_| {
        "HTTP/1.1 200 OK\r\nconnection: x-ours\r\nx-ours: theirs\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
            .to_owned()
    });
    let rules = "  - id: a
    upstream: app
    require: { checked_within: 0s }
    response_headers: { Cache-Control: 'public, max-age=3600', X-Ours: ours }
    remove_response_headers: [Set-Cookie]";
    let gateway = gateway(&kratos, &service, rules);
    let ann = kratos.sign_in("ann@example.com");
    let plain = gateway.get("/a").cookie(&ann.cookie).send();
    assert_eq!((plain.all("cache-control"), plain.all("set-cookie")), (vec!["public, max-age=3600"], vec![]));
    assert_eq!(plain.all("x-ours"), ["ours"], "what a service nominates is its own");
    let session = gateway.get("/sessions/whoami").cookie(&ann.cookie).send().json();
    let cookies = [("set-cookie", "ory_kratos_session=renewed; Path=/; HttpOnly")];
    kratos.switches().answer_whoami(http::StatusCode::OK, &cookies, &session.to_string());
    let renewed = gateway.get("/a").cookie(&ann.cookie).send();
    assert_eq!(renewed.all("cache-control"), ["private, no-store"]);
    assert_eq!(renewed.all("set-cookie"), ["ory_kratos_session=renewed; Path=/; HttpOnly"]);
}

#[test]
fn what_switches_or_was_not_changed_is_told_of_too() {
    let kratos = Kratos::start();
    let service = Service::answering(|seen| match seen.header("upgrade") {
        Some(_) => "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nserver: s\r\n\r\n"
            .to_owned(),
        None => "HTTP/1.1 304 Not Modified\r\nserver: s\r\netag: \"e\"\r\n\r\n".to_owned(),
    });
    let rules = "  - id: a
    match: { paths: [/api/**] }
    access: public
    upstream: app
    rewrite: { strip_prefix: /api, host: upstream }
    response_headers: { X-Frame-Options: DENY }
    remove_response_headers: [Server]";
    let gateway = gateway(&kratos, &service, rules);
    let reply = gateway.get("/api/x").send();
    assert_eq!((reply.status, reply.header("x-frame-options"), reply.header("server")), (304, Some("DENY"), None));
    let mut stream = std::net::TcpStream::connect(gateway.address()).unwrap();
    let request = format!(
        "GET /ap%69/socket?a HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        gateway.address()
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let reply = read_reply(&mut stream, false);
    assert_eq!((reply.status, reply.header("x-frame-options"), reply.header("server")), (101, Some("DENY"), None));
    let seen = service.last();
    assert_eq!((&*seen.target, seen.header("host")), ("/socket?a", Some(&*service.address().to_string())));
}

#[test]
fn a_prefix_is_cut_and_the_rest_travels_as_it_came() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = "  - id: api
    match: { paths: [/api/**] }
    access: public
    upstream: app
    rewrite: { strip_prefix: /api, add_prefix: /v2, host: upstream }
  - { id: other, match: { paths: [/other/**] }, access: public, upstream: app, rewrite: { host: 'inner.example:81' } }
  - { id: regex, match: { paths: [{ regex: '^/r[0-9]/.*$' }] }, access: public, upstream: app, rewrite: { strip_prefix: /r1 } }";
    let gateway = gateway(&kratos, &service, rules);
    for (target, expected) in [
        ("/api", "/v2"),
        ("/api/", "/v2/"),
        ("/api?x=/api", "/v2?x=/api"),
        ("/api/a%20b/%25", "/v2/a%20b/%25"),
        ("/ap%69/x", "/v2/x"),
        ("/other/api/x", "/other/api/x"),
        ("/r1/x?y", "/x?y"),
        ("/r2/x", "/r2/x"),
    ] {
        assert_eq!(gateway.get(target).send().status, 200, "{target}");
        assert_eq!(service.last().target, expected, "{target}");
    }
    gateway.get("/api/x").send();
    let seen = service.last();
    assert_eq!(seen.header("host"), Some(&*service.address().to_string()));
    assert_eq!(seen.header("x-forwarded-host"), Some(&*gateway.address().to_string()));
    gateway.get("/other/x").send();
    assert_eq!(service.last().header("host"), Some("inner.example:81"));
    for refused in ["/api/../x", "/api//x", "/api%2Fx", "/api/%2e%2e/x"] {
        assert_eq!(gateway.get(refused).send().status, 400, "{refused}");
    }
}

#[test]
fn a_service_over_http2_gets_the_same_path_and_host() {
    let kratos = Kratos::start();
    let listener = RUNTIME.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, arrived) = std::sync::mpsc::channel();
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    seen.send(request.uri().clone()).unwrap();
                    let answer = http::Response::builder().header("server", "s").body(()).unwrap();
                    respond.send_response(answer, true).unwrap();
                }
            });
        }
    });
    let gateway = Gateway::start(&format!(
        "kratos: {}\nrules:\n  - id: a\n    match: {{ paths: [/api/**] }}\n    access: public\n    upstream: h2c://{address}
    rewrite: {{ strip_prefix: /api, add_prefix: /v2, host: inner.example }}\n    remove_response_headers: [Server]\n",
        kratos.url()
    ));
    for (target, expected) in [("/ap%69/a%20b?c=%2F", "/v2/a%20b?c=%2F"), ("/api", "/v2")] {
        let reply = gateway.get(target).send();
        assert_eq!((reply.status, reply.header("server")), (200, None));
        let uri = arrived.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert_eq!(uri.path_and_query().map(|target| target.as_str()), Some(expected));
        assert_eq!(uri.authority().map(|host| host.as_str()), Some("inner.example"));
    }
}

#[test]
fn a_redirect_leads_where_the_rule_says_and_nowhere_else() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = "  - { id: moved, match: { paths: ['/old/{page}'] }, access: public, redirect: { to: 'https://new.example/p/${request.captures.page}', status: 301 } }
  - { id: tls, match: { schemes: http, paths: [/tls/**] }, access: public, redirect: { to: 'https://${request.host}', append_path: true, status: 308 } }
  - { id: any, match: { paths: [/any/**] }, access: public, redirect: { to: '/${request.headers[\"x-to\"]}', append_query: false } }
  - { id: mine, match: { paths: [/mine] }, redirect: '/users/${identity.id}' }";
    let gateway = gateway(&kratos, &service, rules);
    let to = |target: &str, header: Option<&str>| {
        let request = gateway.get(target);
        let reply = match header {
            Some(value) => request.header("x-to", value).send(),
            None => request.send(),
        };
        (reply.status, reply.header("location").map(str::to_owned))
    };
    let found = |status, location: &str| (status, Some(location.to_owned()));
    assert_eq!(to("/old/a%20b?x=1", None), found(301, "https://new.example/p/a%20b?x=1"));
    assert_eq!(to("/tls/a%20b?x=%20", None), found(308, "https://127.0.0.1/tls/a%20b?x=%20"));
    assert_eq!(to("/any/x?y", Some("a?b#c")), found(302, "/a%3Fb%23c"));
    assert_eq!(to("/any/x", Some("/evil.example")), (404, None));
    assert_eq!(to("/any/x", Some("../x")), (404, None), "a value does not climb");
    let reply = gateway.get("/tls/a").header("host", "[::1]:8080").send();
    assert_eq!(reply.header("location"), Some("https://[::1]/tls/a"));
    assert_eq!(to("/any/x", Some("\\evil.example")), found(302, "/%5Cevil.example"));
    assert_eq!(to("/any/x", None), (404, None));
    assert_eq!(to("/mine", None).0, 401);
    let ann = kratos.sign_in("ann@example.com");
    let reply = gateway.get("/mine").cookie(&ann.cookie).send();
    assert_eq!(reply.status, 302);
    assert!(reply.header("location").unwrap().starts_with("/users/"));
    assert!(service.seen().is_empty());
}

#[test]
fn refusals_are_dressed_as_the_rule_says_for_each_client() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let rules = "  - id: shop
    match: { paths: [/shop/**] }
    upstream: app
    require: { when: request.path != '/shop/secret' }
    on_refusal:
      - { status: 401, from: 10.0.0.0/8, then: redirect, to: 'https://sso.example/start', return_to: from, code: 302 }
      - { status: 401, accept: text/html, then: redirect }
      - { error: [forbidden], accept: text/html, then: redirect, to: /sorry, return_to: '' }
      - { then: www_authenticate, realm: 'the \"shop\"' }";
    let gateway = gateway(&kratos, &service, rules);
    let ann = kratos.sign_in("ann@example.com");
    let back = format!("http%3A%2F%2F127.0.0.1%3A{}%2Fshop%2Fx", gateway.address().port());
    let inside = gateway.get("/shop/x").header("x-forwarded-for", "10.1.2.3").send();
    assert_eq!(inside.status, 302);
    assert_eq!(inside.header("location"), Some(&*format!("https://sso.example/start?from={back}")));
    // Who is not behind a trusted proxy cannot say so; here the proxy is trusted and says otherwise.
    let outside = gateway.get("/shop/x").header("x-forwarded-for", "192.0.2.1").browser().send();
    assert_eq!(outside.status, 303);
    assert!(outside.header("location").unwrap().starts_with("/self-service/login/browser?return_to="));
    let program = gateway.get("/shop/x").header("accept", "*/*").send();
    assert_eq!((program.status, program.error_id().as_str()), (401, "session_inactive"));
    assert_eq!(program.header("www-authenticate"), Some("Basic realm=\"the \\\"shop\\\"\""));
    let sorry = gateway.get("/shop/secret").cookie(&ann.cookie).browser().send();
    assert_eq!((sorry.status, sorry.header("location")), (303, Some("/sorry")));
    let posted = gateway.request("POST", "/shop/secret").cookie(&ann.cookie).browser().send();
    assert_eq!((posted.status, posted.header("location")), (403, None));
    let denied = gateway.get("/shop/secret").cookie(&ann.cookie).send();
    assert_eq!((denied.status, denied.json()["error"]["code"].as_u64()), (401, Some(401)), "one status");
    let away = {
        kratos.switches().fail(true);
        gateway.get("/shop/x").cookie("ory_kratos_session=x").send()
    };
    assert_eq!((away.status, away.header("www-authenticate")), (503, None));
}
