//! Services that are asked while a request is decided: what they are told, and that only their yes lets pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Gateway, Kratos, Seen, Service};

fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-roles: editor\r\n\r\n{body}",
        body.len()
    )
}

fn told(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.body).unwrap_or_default()
}

/// A gateway whose rule `/api/{id}/**` has these keys, and these sections at the top.
fn gateway(kratos: &Kratos, service: &Service, top: &str, rule: &str) -> Gateway {
    Gateway::start(&configuration(kratos, service, top, rule))
}

fn configuration(kratos: &Kratos, service: &Service, top: &str, rule: &str) -> String {
    format!(
        "kratos: {}\nupstreams: {{ app: {} }}\n{top}\nrules:
  - id: api
    match: {{ paths: ['/api/{{id}}/**'] }}
    upstream: app
{rule}
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public, upstream: app }}
",
        kratos.url(),
        service.url()
    )
}

#[test]
fn keto_is_told_the_tuple_and_its_no_is_a_no() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let keto =
        Service::answering(|seen| answer(200, &json!({ "allowed": told(seen)["object"] == "mine" }).to_string()));
    let top = format!("authorizers: {{ permissions: {{ keto: {} }} }}", keto.url());
    let rule = "    authorize: { permissions: { namespace: docs, object: '${request.captures.id}', relation: view, subject: '${subject}' } }";
    let gateway = gateway(&kratos, &service, &top, rule);
    let ann = kratos.sign_in("ann@example.com");
    assert_eq!(gateway.get("/api/mine/x").cookie(&ann.cookie).send().status, 200);
    let asked = keto.last();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/relation-tuples/check/openapi"));
    let subject = service.last().header("x-kratos-authenticated-identity-id").unwrap().to_owned();
    assert_eq!(
        told(&asked),
        json!({ "namespace": "docs", "object": "mine", "relation": "view", "subject_id": subject })
    );
    for secret in ["cookie", "authorization", "x-session-token"] {
        assert_eq!(asked.header(secret), None, "nothing of the client's travels");
    }
    service.forget();
    let refused = gateway.get("/api/yours/x").cookie(&ann.cookie).send();
    assert_eq!((refused.status, &refused.json()["error"]["id"]), (403, &"forbidden".into()));
    assert!(service.seen().is_empty());

    keto.forget();
    assert_eq!(gateway.get("/api/mine/x").send().status, 401);
    assert!(keto.seen().is_empty(), "nobody is asked about those who do not pass anyway");
}

#[test]
fn several_tuples_are_one_question() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let keto = Service::answering(|seen| {
        let tuples = told(seen)["tuples"].as_array().unwrap().clone();
        let results = tuples.iter().map(|tuple| json!({ "allowed": tuple["relation"] != "own" })).collect::<Vec<_>>();
        answer(200, &json!({ "results": results }).to_string())
    });
    let top = format!("authorizers: {{ permissions: {{ keto: {{ url: '{}' }} }} }}", keto.url());
    let rule = |last: &str| {
        format!(
            "    authorize:
      - permissions:
          tuples:
            - {{ namespace: docs, object: '${{request.captures.id}}', relation: view, subject: '${{subject}}' }}
            - {{ namespace: docs, object: a, relation: {last}, subject_set: {{ namespace: groups, object: staff, relation: member }} }}"
        )
    };
    let gateway_of = |last: &str| gateway(&kratos, &service, &top, &rule(last));
    let ann = kratos.sign_in("ann@example.com");
    assert_eq!(gateway_of("edit").get("/api/a/x").cookie(&ann.cookie).send().status, 200);
    assert_eq!(keto.seen().len(), 1);
    assert_eq!(keto.last().target, "/relation-tuples/batch/check");
    assert_eq!(told(&keto.last())["tuples"][1]["subject_set"]["object"], "staff");
    assert_eq!(gateway_of("own").get("/api/a/x").cookie(&ann.cookie).send().status, 403);
}

#[test]
fn a_policy_is_told_what_the_rule_says_or_who_asks_for_what() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let opa = Service::answering(|_| answer(200, r#"{"result":{"allow":true}}"#));
    let top = format!("authorizers: {{ policy: {{ opa: '{}/v1/data/app/allow' }} }}", opa.url());
    let ann = kratos.sign_in("ann@example.com");
    let usual = gateway(&kratos, &service, &top, "    authorize: policy");
    assert_eq!(usual.get("/api/a/x?q=1").cookie(&ann.cookie).send().status, 200);
    let input = told(&opa.last())["input"].clone();
    assert_eq!(opa.last().target, "/v1/data/app/allow");
    assert_eq!(input["request"], json!({ "method": "GET", "host": "127.0.0.1", "path": "/api/a/x", "query": "q=1" }));
    assert_eq!(input["session"]["identity"]["traits"]["email"], "ann@example.com");
    assert_eq!(input["claims"], Value::Null);
    let own = gateway(
        &kratos,
        &service,
        &top,
        "    authorize: { policy: { input: { methods: '${session.authentication_methods.map(m, m.method)}', n: 3, none: '${identity.traits.none}' } } }",
    );
    assert_eq!(own.get("/api/a/x").cookie(&ann.cookie).send().status, 200);
    assert_eq!(told(&opa.last()), json!({ "input": { "methods": ["password"], "n": 3, "none": null } }));
}

#[test]
fn what_an_authorizer_answers_reaches_the_service_and_no_client_can_say_it() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let other = Service::answering(|_| answer(200, ""));
    let top = format!(
        "authorizers: {{ legacy: {{ http: {{ url: '{}/check/${{request.path}}?m=${{request.method}}', headers: {{ X-Tenant: a }}, payload: {{ all: true }} }}, authorization: Bearer s3cret }} }}",
        other.url()
    );
    let rule = "    authorize: { legacy: { payload: { user: '${subject}', secret: '${request.headers.cookie}' }, pick: [X-Roles, X-Absent] } }";
    let gateway = gateway(&kratos, &service, &top, rule);
    let ann = kratos.sign_in("ann@example.com");
    let lies = |target: &str| gateway.get(target).header("x-roles", "admin").header("x_absent", "admin");
    assert_eq!(lies("/api/a/x").cookie(&ann.cookie).send().status, 200);
    let seen = service.last();
    assert_eq!((seen.all("x-roles"), seen.header("x_absent"), seen.header("x-absent")), (vec!["editor"], None, None));
    let asked = other.last();
    assert_eq!(asked.target, "/check/%2Fapi%2Fa%2Fx?m=GET");
    assert_eq!((asked.header("authorization"), asked.header("x-tenant")), (Some("Bearer s3cret"), Some("a")));
    assert!(told(&asked)["secret"].as_str().unwrap().contains("ory_kratos_session"), "where a rule says so");
    assert_eq!(lies("/open/x").send().status, 200);
    assert_eq!((service.last().header("x-roles"), service.last().header("x_absent")), (None, None), "on every rule");
}

#[test]
fn silence_lets_nobody_pass() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let ann = kratos.sign_in("ann@example.com");
    let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let huge = format!("{{\"result\":true,\"x\":\"{}\"}}", "x".repeat(600 * 1024));
    let elsewhere = Service::answering(|_| answer(200, r#"{"result":true}"#));
    let redirect = format!("HTTP/1.1 307 X\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    for (what, reply) in [
        ("an error", answer(500, r#"{"result":true}"#)),
        ("another status", answer(404, r#"{"result":true}"#)),
        ("no JSON", answer(200, "true")),
        (
            "half of it",
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"result\":true}".to_owned(),
        ),
        ("too deep", answer(200, &format!("{{\"result\":true,\"x\":{nested}}}"))),
        ("too long", answer(200, &huge)),
        ("a redirect", redirect),
        ("no HTTP", "\r\n\r\nconnection: close".to_owned()),
    ] {
        let opa = Service::answering(move |_| reply.clone());
        let top = format!("authorizers: {{ policy: {{ opa: {} }} }}", opa.url());
        let gateway = gateway(&kratos, &service, &top, "    authorize: policy");
        let refused = gateway.get("/api/a/x").cookie(&ann.cookie).send();
        assert_eq!((refused.status, &refused.json()["error"]["id"]), (503, &"decision_unavailable".into()), "{what}");
        assert_eq!(refused.header("retry-after"), Some("1"), "{what}");
        assert!(!refused.text().contains(&opa.url()), "{what}: the client learns nothing of who was asked");
        assert_eq!(opa.seen().len(), 1, "{what}: asked once");
    }
    assert!(elsewhere.seen().is_empty() && service.seen().is_empty());
    // Nobody listens there.
    let gateway =
        gateway(&kratos, &service, "authorizers: { policy: { opa: 'http://127.0.0.1:9' } }", "    authorize: policy");
    assert_eq!(gateway.get("/api/a/x").cookie(&ann.cookie).send().status, 503);
}

#[test]
fn a_slow_service_costs_its_timeout_and_no_more() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let ann = kratos.sign_in("ann@example.com");
    // It takes questions and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let top = format!(
        "authorizers: {{ policy: {{ opa: 'http://{}', timeout: 100ms, retries: 1 }} }}",
        listener.local_addr().unwrap()
    );
    let gateway = gateway(&kratos, &service, &top, "    authorize: policy");
    let began = Instant::now();
    assert_eq!(gateway.get("/api/a/x").cookie(&ann.cookie).send().status, 503);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_question_without_an_answer_is_asked_again_as_often_as_configured() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let ann = kratos.sign_in("ann@example.com");
    let count = Arc::new(AtomicUsize::new(0));
    let opa = Service::answering({
        let count = Arc::clone(&count);
        move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => answer(503, ""),
            _ => answer(200, r#"{"result":true}"#),
        }
    });
    let top = |retries| format!("authorizers: {{ policy: {{ opa: '{}', retries: {retries} }} }}", opa.url());
    let once = gateway(&kratos, &service, &top(0), "    authorize: policy");
    assert_eq!(once.get("/api/a/x").cookie(&ann.cookie).send().status, 503);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let again = gateway(&kratos, &service, &top(1), "    authorize: policy");
    assert_eq!(again.get("/api/a/x").cookie(&ann.cookie).send().status, 200);
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn a_yes_is_kept_for_its_time_and_a_no_never() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let opa = Service::answering(|seen| {
        answer(200, &json!({ "result": told(seen)["input"]["request"]["path"] != "/api/no/x" }).to_string())
    });
    let top = |ttl: &str| format!("authorizers: {{ policy: {{ opa: '{}', ttl: {ttl} }} }}", opa.url());
    let mut gateway = gateway(&kratos, &service, &top("1h"), "    authorize: policy");
    let (ann, bob) = (kratos.sign_in("ann@example.com"), kratos.sign_in("bob@example.com"));
    let get = |gateway: &Gateway, target: &str, cookie: &str| gateway.get(target).cookie(cookie).send().status;
    for _ in 0..3 {
        assert_eq!(get(&gateway, "/api/yes/x", &ann.cookie), 200);
    }
    assert_eq!(opa.seen().len(), 1);
    assert_eq!(get(&gateway, "/api/yes/x", &bob.cookie), 200);
    assert_eq!(opa.seen().len(), 2, "it was told something else");
    opa.forget();
    for _ in 0..2 {
        assert_eq!(get(&gateway, "/api/no/x", &ann.cookie), 403);
    }
    assert_eq!(opa.seen().len(), 2);
    opa.forget();
    let json = [("content-type", "application/json")];
    assert_eq!(gateway.ops_with("POST", "/sessions/forget", &json, r#"{"all":true}"#).status, 204);
    assert_eq!(get(&gateway, "/api/yes/x", &ann.cookie), 200);
    assert_eq!(opa.seen().len(), 1, "forgetting all is forgetting answers, too");
    opa.forget();
    // Other settings, other answers.
    gateway.reload(&configuration(&kratos, &service, &top("2h"), "    authorize: policy"));
    assert_eq!(get(&gateway, "/api/yes/x", &ann.cookie), 200);
    assert_eq!(opa.seen().len(), 1);
    let metrics = gateway.ops("GET", "/metrics").body;
    assert!(metrics.contains(r#"portcullis_service_questions_total{result="cached",service="policy"} 2"#), "{metrics}");
}

#[test]
fn a_no_ends_the_yes_that_was_kept() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let switch = |agrees: &Arc<AtomicBool>| {
        let agrees = Arc::clone(agrees);
        Service::answering(move |_| answer(if agrees.load(Ordering::SeqCst) { 200 } else { 403 }, "{}"))
    };
    let (first_agrees, second_agrees) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (first, second) = (switch(&first_agrees), switch(&second_agrees));
    let top = format!(
        "authorizers: {{ first: {{ http: {}, ttl: 60s }}, second: {{ http: {} }} }}",
        first.url(),
        second.url()
    );
    let gateway = gateway(&kratos, &service, &top, "    authorize: [first, second]");
    let ann = kratos.sign_in("ann@example.com");
    let status = || gateway.get("/api/1/x").cookie(&ann.cookie).send().status;
    assert_eq!((status(), first.seen().len()), (200, 1));
    first_agrees.store(false, Ordering::SeqCst);
    second_agrees.store(false, Ordering::SeqCst);
    // Older than a second, a kept answer refuses nobody: it is asked anew.
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!((status(), first.seen().len()), (403, 2));
    second_agrees.store(true, Ordering::SeqCst);
    assert_eq!(status(), 403, "the first said no since");
}

#[test]
fn equal_questions_on_their_way_are_one() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let (entered, go) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let (entered_sender, go_receiver) = (entered.0, std::sync::Mutex::new(go.1));
    let opa = Service::answering(move |_| {
        entered_sender.send(()).unwrap();
        go_receiver.lock().unwrap().recv().unwrap();
        answer(200, r#"{"result":true}"#)
    });
    let top = format!("authorizers: {{ policy: {{ opa: '{}', ttl: 1h, timeout: 20s }} }}", opa.url());
    let gateway = gateway(&kratos, &service, &top, "    authorize: { policy: { input: { user: '${subject}' } } }");
    let ann = kratos.sign_in("ann@example.com");
    std::thread::scope(|scope| {
        let requests = (0..8).map(|_| {
            let request = gateway.get("/api/a/x").cookie(&ann.cookie);
            scope.spawn(move || request.send().status)
        });
        let requests = requests.collect::<Vec<_>>();
        entered.1.recv().unwrap();
        // All of them wait for the one that is asked.
        crate::harness::until("all requests are under way", || {
            gateway.ops("GET", "/metrics").body.contains("portcullis_requests_in_flight 8")
        });
        go.0.send(()).unwrap();
        drop(go.0);
        assert!(requests.into_iter().all(|request| request.join().unwrap() == 200));
    });
    assert_eq!(opa.seen().len(), 1);
}

#[test]
fn what_an_enricher_tells_is_read_by_conditions_and_headers() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let profiles = Service::answering(|seen| match seen.target.rsplit('/').next().unwrap() {
        "gold" => answer(200, r#"{"plan":"gold","seats":3}"#),
        "none" => answer(404, "{}"),
        _ => answer(200, r#"{"plan":"tin"}"#),
    });
    let top = |required| {
        format!(
            "enrichers: {{ profile: {{ url: '{}/${{identity.id}}/${{request.captures.id}}', required: {required}, ttl: 1h }} }}",
            profiles.url()
        )
    };
    let rule = "    enrich: profile
    require: { when: context.profile == null || context.profile.plan == \"gold\" }
    headers: { X-Seats: '${context.profile.seats}' }";
    let ann = kratos.sign_in("ann@example.com");
    for required in [true, false] {
        let gateway = gateway(&kratos, &service, &top(required), rule);
        let get = |id: &str| gateway.get(&format!("/api/{id}/x")).cookie(&ann.cookie).header("x-seats", "99").send();
        profiles.forget();
        for _ in 0..3 {
            assert_eq!(get("gold").status, 200);
            assert_eq!(service.last().all("x-seats"), ["3"]);
        }
        assert_eq!(profiles.seen().len(), 1, "kept for the session");
        assert_eq!(get("tin").status, 403);
        assert_eq!(get("none").status, if required { 503 } else { 200 });
        if !required {
            assert_eq!(service.last().header("x-seats"), None);
        }
        // A segment of their own cannot become another path.
        assert_eq!(get("a%20b").status, 403);
        assert!(profiles.last().target.ends_with("/a%20b"));
    }
}

#[test]
fn one_bad_question_does_not_close_a_service_to_others() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let opa = Service::answering(|seen| match told(seen)["input"]["request"]["path"].as_str() {
        Some("/api/bad/x") => answer(500, ""),
        _ => answer(200, r#"{"result":true}"#),
    });
    let top = format!("authorizers: {{ policy: {{ opa: '{}' }} }}", opa.url());
    let gateway = gateway(&kratos, &service, &top, "    authorize: policy");
    let ann = kratos.sign_in("ann@example.com");
    for _ in 0..20 {
        assert_eq!(gateway.get("/api/bad/x").cookie(&ann.cookie).send().status, 503);
    }
    assert_eq!(gateway.get("/api/good/x").cookie(&ann.cookie).send().status, 200);
    // Silence is another matter: then it is left alone for a moment, and whoever asks is told at once.
    let top = "authorizers: { policy: { opa: 'http://127.0.0.1:9' } }";
    let gateway = self::gateway(&kratos, &service, top, "    authorize: policy");
    for _ in 0..20 {
        assert_eq!(gateway.get("/api/good/x").cookie(&ann.cookie).send().status, 503);
    }
    let metrics = gateway.ops("GET", "/metrics").body;
    let failed = |result: &str| {
        let line = format!("portcullis_service_questions_total{{result=\"{result}\",service=\"policy\"}} ");
        metrics
            .lines()
            .find_map(|text| text.strip_prefix(&line))
            .and_then(|count| count.parse::<u32>().ok())
            .unwrap_or(0)
    };
    assert!(failed("failed") <= 8 && failed("not_asked") >= 12, "{metrics}");
}
