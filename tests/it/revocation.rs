//! Every request that ends or changes a session makes itself felt at once, although sessions are cached.

use std::io::Write as _;
use std::net::TcpStream;

use portcullis::dev::SignedIn;
use serde_json::{Value, json};

use crate::harness::{Gateway, Kratos, Reply, Service, until};

const IDENTITY: &str = "x-kratos-authenticated-identity-id";

struct World {
    kratos: Kratos,
    service: Service,
    gateway: Gateway,
}

impl World {
    fn start() -> Self {
        let (kratos, service) = (Kratos::start(), Service::start());
        // An hour: nothing in these tests ends because it grew old.
        let gateway = Gateway::start(&format!(
            "
kratos: {}
sessions: {{ ttl: 1h }}
upstreams: {{ app: {} }}
rules:
  - {{ id: mine, match: {{ paths: [/mine] }}, access: session, upstream: app, headers: {{ X-Email: '${{identity.traits.email}}' }} }}
  - {{ id: strong, match: {{ paths: [/strong] }}, access: session, require: {{ aal: aal2 }}, upstream: app }}
",
            kratos.url(),
            service.url()
        ));
        Self { kratos, service, gateway }
    }

    /// Somebody whose session is cached under token and cookie.
    fn known(&self, email: &str) -> SignedIn {
        let person = self.kratos.sign_in(email);
        assert_eq!((self.by_token(&person), self.by_cookie(&person)), (200, 200));
        person
    }

    fn by_token(&self, person: &SignedIn) -> u16 {
        self.gateway.get("/mine").token(&person.token).send().status
    }

    fn by_cookie(&self, person: &SignedIn) -> u16 {
        self.gateway.get("/mine").cookie(&person.cookie).send().status
    }

    /// Asserts that a request for each of them needs no call to Kratos.
    fn assert_cached(&self, people: &[&SignedIn]) {
        let before = self.kratos.whoami_count();
        for person in people {
            assert_eq!(self.by_token(person), 200);
        }
        assert_eq!(self.kratos.whoami_count(), before);
    }

    fn native_flow(&self, kind: &str, token: Option<&str>, query: &str) -> (String, Value) {
        let mut request = self.gateway.get(&format!("/self-service/{kind}/api{query}"));
        if let Some(token) = token {
            request = request.token(token);
        }
        let flow = request.send();
        assert_eq!(flow.status, 200, "{}", flow.text());
        let flow = flow.json();
        (format!("/self-service/{kind}?flow={}", flow["id"].as_str().unwrap()), flow)
    }

    fn submit(&self, target: &str, token: Option<&str>, body: &Value) -> Reply {
        let mut request = self.gateway.request("POST", target).json(body).header("accept", "application/json");
        if let Some(token) = token {
            request = request.token(token);
        }
        request.send()
    }

    fn register(&self, email: &str) -> String {
        let (submit, _) = self.native_flow("registration", None, "");
        let body = json!({"method": "password", "password": "correct-horse-battery", "traits": {"email": email}});
        let registered = self.submit(&submit, None, &body);
        assert_eq!(registered.status, 200, "{}", registered.text());
        registered.json()["session_token"].as_str().unwrap().to_owned()
    }
}

#[test]
fn signing_out_in_the_browser_ends_the_session_under_all_its_credentials() {
    let world = World::start();
    let (ann, bob) = (world.known("ann@example.com"), world.known("bob@example.com"));
    let flow =
        world.gateway.get("/self-service/logout/browser").cookie(&ann.cookie).header("accept", "application/json");
    let url = flow.send().json()["logout_url"].as_str().unwrap().to_owned();
    let target = &url[url.find("/self-service").unwrap()..];
    let reply = world.gateway.get(target).cookie(&ann.cookie).header("accept", "application/json").send();
    assert_eq!(reply.status, 204);
    assert_eq!((world.by_cookie(&ann), world.by_token(&ann)), (401, 401));
    world.assert_cached(&[&bob]);
    assert!(world.gateway.metric("portcullis_revocations_total{cause=\"logout\"}") >= 1.0);
}

#[test]
fn signing_out_with_two_credentials_ends_what_each_stands_for() {
    let world = World::start();
    let (ann, bob) = (world.known("ann@example.com"), world.known("bob@example.com"));
    // Kratos' logout prefers the Bearer, whoami the cookie.
    let flow =
        world.gateway.get("/self-service/logout/browser").cookie(&ann.cookie).header("accept", "application/json");
    let url = flow.send().json()["logout_url"].as_str().unwrap().to_owned();
    world
        .gateway
        .get(&url[url.find("/self-service").unwrap()..])
        .cookie(&ann.cookie)
        .header("authorization", format!("Bearer {}", bob.token))
        .send();
    let before = world.kratos.whoami_count();
    world.by_cookie(&ann);
    world.by_token(&bob);
    assert_eq!(world.kratos.whoami_count() - before, 2, "both are asked about anew");
}

#[test]
fn signing_out_natively_ends_the_session_that_the_body_names() {
    let world = World::start();
    let (ann, bob) = (world.known("ann@example.com"), world.known("bob@example.com"));
    let body = json!({"session_token": ann.token});
    assert_eq!(world.gateway.request("DELETE", "/self-service/logout/api").json(&body).send().status, 204);
    assert_eq!((world.by_cookie(&ann), world.by_token(&ann)), (401, 401));
    world.assert_cached(&[&bob]);
}

#[test]
fn the_body_of_a_native_logout_is_read_however_it_is_sent() {
    let world = World::start();
    for chunked in [false, true] {
        let ann = world.known("ann@example.com");
        let body = format!("{{\"session_token\" : \"\\u006f{}\"}}", &ann.token[1..]);
        let framed = if chunked {
            let (one, two) = body.split_at(20);
            format!(
                "transfer-encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
                one.len(),
                two.len()
            )
        } else {
            format!("content-length: {}\r\n\r\n{body}", body.len())
        };
        let request = format!(
            "DELETE /self-service/logout/api HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\
             content-type: application/json\r\n{framed}"
        );
        let reply = crate::harness::exchange(world.gateway.address(), request.as_bytes(), false);
        assert_eq!(reply.status, 204, "{}", reply.text());
        assert_eq!(world.by_token(&ann), 401, "chunked: {chunked}");
    }
    let long = json!({"session_token": "x".repeat(5000)});
    assert_eq!(world.gateway.request("DELETE", "/self-service/logout/api").json(&long).send().status, 413);
}

#[test]
fn ending_one_session_by_its_id_ends_it_for_everyone_who_holds_it() {
    let world = World::start();
    let (here, there) = (world.known("ann@example.com"), world.known("ann@example.com"));
    assert_ne!(here.session_id, there.session_id);
    let target = format!("/sessions/{}", there.session_id);
    assert_eq!(world.gateway.request("DELETE", &target).token(&here.token).send().status, 204);
    assert_eq!((world.by_token(&there), world.by_cookie(&there)), (401, 401));
    assert_eq!(world.by_token(&here), 200);
}

#[test]
fn ending_all_other_sessions_ends_them_at_once() {
    let world = World::start();
    let (here, there) = (world.known("ann@example.com"), world.known("ann@example.com"));
    assert_eq!(world.gateway.request("DELETE", "/sessions").token(&here.token).send().status, 200);
    assert_eq!((world.by_token(&there), world.by_cookie(&there)), (401, 401));
    assert_eq!(world.by_token(&here), 200);
}

#[test]
fn a_step_up_is_known_at_once() {
    let world = World::start();
    let token = world.register("ann@example.com");
    let strong = |token: &str| world.gateway.get("/strong").token(token).send();
    assert_eq!(strong(&token).error_id(), "session_aal2_required");
    // Backup codes are a second factor; settings reveal them, then confirm them, and the session is stronger by it.
    let (settings, _) = world.native_flow("settings", Some(&token), "");
    let submit = |body: Value| {
        let reply = world.submit(&settings, Some(&token), &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    let revealed = submit(json!({"method": "lookup_secret", "lookup_secret_regenerate": true}));
    let codes = find(&revealed, &|value| value.get("secrets").is_some()).expect("no codes");
    let code = codes["secrets"][0]["text"].as_str().expect("no code").to_owned();
    submit(json!({"method": "lookup_secret", "lookup_secret_confirm": true}));
    assert_eq!(strong(&token).status, 200);

    let (login, _) = world.native_flow("login", None, "");
    let body = json!({"method": "password", "identifier": "ann@example.com", "password": "correct-horse-battery"});
    let signed_in = world.submit(&login, None, &body);
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    let token = signed_in.json()["session_token"].as_str().unwrap().to_owned();
    assert_eq!(strong(&token).error_id(), "session_aal2_required", "Kratos itself demands it");

    let (login, _) = world.native_flow("login", Some(&token), "?aal=aal2");
    let body = json!({"method": "lookup_secret", "lookup_secret": code});
    let stepped = world.submit(&login, Some(&token), &body);
    assert_eq!(stepped.status, 200, "{}", stepped.text());
    assert_eq!(strong(&token).status, 200, "the same token, stronger at once");
}

#[test]
fn settings_are_known_at_once_in_every_session_of_the_identity() {
    let world = World::start();
    let token = world.register("ann@example.com");
    let other = world.known("ann@example.com");
    let (submit, _) = world.native_flow("settings", Some(&token), "");
    let body = json!({"method": "profile", "traits": {"email": "anna@example.com"}});
    let saved = world.submit(&submit, Some(&token), &body);
    assert_eq!(saved.status, 200, "{}", saved.text());
    assert_eq!(world.by_token(&other), 200);
    assert_eq!(world.service.last().header("x-email"), Some("anna@example.com"));
}

#[test]
fn signing_in_again_drops_what_was_known_of_the_old_session() {
    let world = World::start();
    let token = world.register("ann@example.com");
    assert_eq!(world.gateway.get("/mine").token(&token).send().status, 200);
    let (submit, _) = world.native_flow("login", Some(&token), "?refresh=true");
    let before = world.kratos.whoami_count();
    let body = json!({"method": "password", "identifier": "ann@example.com", "password": "correct-horse-battery"});
    assert_eq!(world.submit(&submit, Some(&token), &body).status, 200);
    let prepared = world.kratos.whoami_count();
    assert_eq!(prepared, before, "the session was cached, so preparing the end asked nobody");
    assert_eq!(world.gateway.get("/mine").token(&token).send().status, 200);
    assert_eq!(world.kratos.whoami_count(), prepared + 1);
}

#[test]
fn whoami_that_passes_and_is_refused_forgets_its_credential() {
    let world = World::start();
    let ann = world.known("ann@example.com");
    world.kratos.switches().end_session(ann.session_id);
    assert_eq!(world.by_token(&ann), 200, "behind our back, until the cache is done with it");
    assert_eq!(world.gateway.get("/sessions/whoami").token(&ann.token).send().status, 401);
    assert_eq!(world.by_token(&ann), 401);
}

#[test]
fn reading_ends_nothing() {
    let world = World::start();
    let ann = world.known("ann@example.com");
    for (method, target) in [
        ("GET", "/sessions/whoami"),
        ("GET", "/sessions"),
        ("GET", "/self-service/login/api"),
        ("GET", "/self-service/settings/api"),
        ("GET", "/self-service/errors?id=stub:500"),
        ("GET", "/self-service/login/flows?id=00000000-0000-4000-8000-000000000000"),
        ("OPTIONS", "/self-service/login"),
        ("HEAD", "/sessions/whoami"),
    ] {
        world.gateway.request(method, target).token(&ann.token).send();
        world.assert_cached(&[&ann]);
    }
}

#[test]
fn operators_and_web_hooks_can_have_sessions_forgotten() {
    let world = World::start();
    let ann = world.known("ann@example.com");
    let bob = world.known("bob@example.com");
    let json = [("content-type", "application/json")];
    world.kratos.switches().end_sessions(ann.identity_id);
    let body = format!(r#"{{"identity":"{}"}}"#, ann.identity_id);
    assert_eq!(world.gateway.ops_with("POST", "/sessions/forget", &json, &body).status, 204);
    assert_eq!((world.by_token(&ann), world.by_cookie(&ann)), (401, 401));
    world.assert_cached(&[&bob]);
    for body in ["", "{}", r#"{"identity":"x"}"#, r#"{"all":1}"#, r#"{"all":true,"session":"x"}"#, "[]"] {
        assert_eq!(world.gateway.ops_with("POST", "/sessions/forget", &json, body).status, 400, "{body}");
    }
}

#[test]
fn forgetting_needs_the_token_where_there_is_one() {
    let kratos = Kratos::start();
    let gateway =
        Gateway::start(&format!("kratos: {}\nops: {{ address: '127.0.0.1:0', token: sesame }}\n", kratos.url()));
    let json = ("content-type", "application/json");
    for (authorization, status) in [(None, 401), (Some("Bearer wrong!"), 401), (Some("Bearer sesame"), 204)] {
        let headers = authorization.map(|value| ("authorization", value)).into_iter().chain([json]).collect::<Vec<_>>();
        let reply = gateway.ops_with("POST", "/sessions/forget", &headers, r#"{"all":true}"#);
        assert_eq!(reply.status, status, "{authorization:?}");
    }
    assert_eq!(gateway.ops("GET", "/rules").status, 401);
    assert_eq!(gateway.ops("GET", "/health/alive").status, 200);
    assert_eq!(gateway.ops("GET", "/metrics").status, 200);
}

#[test]
fn an_exchange_whose_client_has_gone_has_ended_too() {
    let world = World::start();
    let ann = world.known("ann@example.com");
    let body = json!({"session_token": ann.token}).to_string();
    let request = format!(
        "DELETE /self-service/logout/api HTTP/1.1\r\nhost: a.example\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(world.gateway.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    drop(stream);
    until("the session is forgotten", || {
        world.by_token(&ann) == 401 || world.gateway.metric("portcullis_revocations_total") > 0.0
    });
    assert!(world.service.seen().iter().all(|seen| seen.header(IDENTITY).is_some()));
}

/// The first value anywhere in `tree` for which `wanted` holds.
fn find(tree: &Value, wanted: &dyn Fn(&Value) -> bool) -> Option<Value> {
    if wanted(tree) {
        return Some(tree.clone());
    }
    match tree {
        Value::Array(items) => items.iter().find_map(|item| find(item, wanted)),
        Value::Object(fields) => fields.values().find_map(|field| find(field, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
