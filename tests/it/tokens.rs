//! Tokens of other issuers: who is believed, who is asked, and what becomes of those that are not.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portcullis::signing::keys::{KeyKind, SigningKey, generate, published};
use serde_json::{Value, json};

use crate::harness::{Gateway, Kratos, Service};

/// A key of an issuer.
struct Key {
    pem: String,
}

impl Key {
    fn new() -> Self {
        Self { pem: generate(KeyKind::Es256).unwrap() }
    }

    fn read(&self) -> SigningKey {
        SigningKey::parse(self.pem.as_bytes()).unwrap()
    }

    /// A token of this key, good for a minute, which also says `more`.
    fn sign(&self, more: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({ "iss": "https://issuer.test", "sub": "robot", "iat": now, "exp": now + 60 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = Header { kid: Some(self.read().id().to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_pem(self.pem.as_bytes()).unwrap()).unwrap()
    }
}

/// An issuer whose published keys a test can change, or take away.
struct Issuer {
    keys: Arc<Mutex<Option<Vec<String>>>>,
    server: Service,
}

impl Issuer {
    fn start(keys: &[&Key]) -> Self {
        let shared = Arc::new(Mutex::new(None::<Vec<String>>));
        let server = Service::answering({
            let shared = Arc::clone(&shared);
            move |_| match shared.lock().unwrap().as_ref() {
                Some(keys) => answer(200, &document(keys)),
                None => answer(500, ""),
            }
        });
        let issuer = Self { keys: shared, server };
        issuer.publish(Some(keys));
        issuer
    }

    fn publish(&self, keys: Option<&[&Key]>) {
        *self.keys.lock().unwrap() = keys.map(|keys| keys.iter().map(|key| key.pem.clone()).collect());
    }

    fn fetches(&self) -> usize {
        self.server.seen().len()
    }
}

fn document(pems: &[String]) -> String {
    let keys = pems.iter().map(|pem| SigningKey::parse(pem.as_bytes()).unwrap()).collect::<Vec<_>>();
    published(&keys).to_string()
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// These authenticators and rules, with the service as `app`.
fn written(kratos: &Kratos, service: &Service, authenticators: &str, rules: &str) -> String {
    let (kratos, service) = (kratos.url(), service.url());
    format!("kratos: {kratos}\nupstreams: {{ app: {service} }}\nauthenticators:\n{authenticators}\nrules:\n{rules}\n")
}

fn configuration(kratos: &Kratos, service: &Service, jwks: &str, rules: &str) -> String {
    let authenticators = format!("  api: {{ jwt: {{ jwks: ['{jwks}'], issuers: https://issuer.test }} }}");
    let rules = format!(
        "{rules}
  - id: tokens
    match: {{ paths: [/tokens/**] }}
    authenticate: api
    upstream: app
    headers: {{ X-Who: '${{subject}}', X-Team: '${{claims.team}}', X-Session: '${{session}}' }}
  - {{ id: sessions, match: {{ paths: [/sessions-only/**] }}, upstream: app }}"
    );
    written(kratos, service, &authenticators, &rules)
}

const BOTH: &str = "  - { id: both, match: { paths: [/both/**] }, authenticate: [session, api], upstream: app }
  - { id: scoped, match: { paths: [/scoped/**] }, authenticate: { api: { scopes: [orders.read] } }, upstream: app }
  - { id: kept, match: { paths: [/kept/**] }, authenticate: api, forward_credentials: true, upstream: app }
  - id: either
    match: { paths: [/either/**] }
    access: optional
    authenticate: [session, api, { anonymous: { subject: guest } }]
    upstream: app
    headers: { X-Name: '${subject}' }
  - id: next
    match: { paths: [/next/**] }
    authenticate: [{ session: { on_invalid: next } }, { api: { on_invalid: next } }]
    upstream: app";

#[test]
fn a_token_names_its_subject_and_stops_at_the_gateway() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), BOTH));
    let bearer = format!("Bearer {}", key.sign(json!({ "team": "blue" })));
    let lies = [("x-who", "root"), ("x-team", "root"), ("x-kratos-authenticated-identity-id", "root")];
    let request = lies.iter().fold(gateway.get("/tokens/x"), |request, (name, lie)| request.header(name, *lie));
    assert_eq!(request.header("authorization", bearer.clone()).send().status, 200);
    let seen = service.last();
    assert_eq!((seen.header("x-who"), seen.header("x-team")), (Some("robot"), Some("blue")));
    for absent in ["authorization", "x-session", "x-kratos-authenticated-identity-id"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
    assert_eq!(gateway.get("/kept/x").header("authorization", bearer.clone()).send().status, 200);
    assert_eq!(service.last().header("authorization"), Some(bearer.as_str()));
    assert_eq!(issuer.fetches(), 1, "keys are kept");
    assert_eq!(kratos.whoami_count(), 0, "Kratos has nothing to say here");
    // Signing in would not help, so nobody is sent to do so.
    let refused = gateway.get("/tokens/x").browser().send();
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    let metrics = gateway.ops("GET", "/metrics").body;
    assert!(metrics.contains(r#"portcullis_token_checks_total{issuer="api",result="valid"} 2"#), "{metrics}");
}

#[test]
fn no_client_names_itself_by_a_token_that_nobody_signed() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), BOTH));
    let good = key.sign(json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let foreign = Key::new().sign(json!({}));
    for token in [
        foreign.as_str(),
        &format!("{signed}.{}", "A".repeat(signature.len())),
        &key.sign(json!({ "iss": "https://mallory.test" })),
        &key.sign(json!({ "exp": 1 })),
        &key.sign(json!({ "nbf": 99_999_999_999_u64 })),
        "a.b.c",
        "opaque",
    ] {
        let refused = gateway.get("/tokens/x").header("authorization", format!("Bearer {token}")).send();
        assert_eq!((refused.status, refused.error_id().as_str()), (401, "token_invalid"), "{token}");
        assert!(!refused.text().contains("issuer"), "a client learns nothing of why");
    }
    assert!(service.seen().is_empty());
    // A token is none on a rule that does not take any: Kratos is asked, as ever.
    let refused = gateway.get("/sessions-only/x").header("authorization", format!("Bearer {good}")).send();
    assert_eq!((refused.status, kratos.whoami_count()), (401, 1));
}

#[test]
fn a_bearer_goes_to_whom_it_is_for() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), BOTH));
    let ann = kratos.sign_in("ann@example.com");
    let bearer = |token: &str| gateway.get("/both/x").header("authorization", format!("Bearer {token}"));
    assert_eq!(bearer(&ann.token).send().status, 200);
    assert!(service.last().header("x-kratos-authenticated-identity-id").is_some());
    assert_eq!((kratos.whoami_count(), issuer.fetches()), (1, 0));
    assert_eq!(bearer(&key.sign(json!({}))).send().status, 200);
    assert_eq!(service.last().header("x-kratos-authenticated-identity-id"), None);
    assert_eq!((kratos.whoami_count(), issuer.fetches()), (1, 1));
    // Beside a session a token does not decide: a service that read it would take it for one that was checked.
    for lie in [key.sign(json!({})), "a.b.c".to_owned(), " a.b.c".to_owned()] {
        assert_eq!(bearer(&lie).cookie(&ann.cookie).send().status, 200);
        let seen = service.last();
        assert!(seen.header("x-kratos-authenticated-identity-id").is_some());
        assert_eq!((seen.header("cookie"), seen.header("authorization")), (None, None), "{lie}");
    }
    assert_eq!(gateway.get("/both/x").header("authorization", "Basic YTpi").cookie(&ann.cookie).send().status, 200);
    assert_eq!(service.last().header("authorization"), Some("Basic YTpi"), "it is the service's own");
    // What looks like neither is nobody's.
    assert_eq!(bearer("opaque").send().status, 401);
}

#[test]
fn an_invalid_credential_falls_through_only_where_the_rule_says_so() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), BOTH));
    let stale = "ory_kratos_session=stale";
    let bearer = format!("Bearer {}", key.sign(json!({})));
    let get = |target: &str| gateway.get(target).cookie(stale).header("authorization", bearer.clone());
    assert_eq!(get("/both/x").send().status, 401);
    assert_eq!(get("/next/x").send().status, 200);
    assert_eq!(gateway.get("/next/x").cookie(stale).header("authorization", "Bearer a.b.c").send().status, 401);
    // A stale cookie passes unnamed where anyone may, under the name of those who bring nothing.
    assert_eq!(gateway.get("/either/x").cookie(stale).send().status, 200);
    assert_eq!(service.last().header("x-name"), Some("guest"));
    assert_eq!(gateway.get("/either/x").header("authorization", bearer.clone()).send().status, 200);
    assert_eq!(service.last().header("x-name"), Some("robot"));
    // Kratos being away is not an invalid session.
    kratos.switches().fail(true);
    let away = gateway.get("/next/x").cookie("ory_kratos_session=other").header("authorization", bearer.clone()).send();
    assert_eq!((away.status, away.error_id().as_str()), (503, "kratos_unavailable"));
}

#[test]
fn keys_rotate_while_the_gateway_runs() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let (old, new) = (Key::new(), Key::new());
    let issuer = Issuer::start(&[&old]);
    // The issuer is asked again when a key is missing that it has published since.
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), ""));
    let status = |key: &Key| {
        gateway.get("/tokens/x").header("authorization", format!("Bearer {}", key.sign(json!({})))).send().status
    };
    assert_eq!((status(&old), issuer.fetches()), (200, 1));
    issuer.publish(Some(&[&new]));
    assert_eq!((status(&new), issuer.fetches()), (200, 2));
    // A key that is not published any more is not honoured any more.
    assert_eq!(status(&old), 401);
    // Made-up keys cause no storm of fetches.
    for _ in 0..20 {
        assert_eq!(status(&Key::new()), 401);
    }
    assert_eq!(issuer.fetches(), 2);
}

#[test]
fn an_issuer_that_cannot_be_asked_is_not_a_bad_token() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    issuer.publish(None);
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), BOTH));
    let bearer = format!("Bearer {}", key.sign(json!({})));
    for target in ["/tokens/x", "/either/x", "/next/x"] {
        let refused = gateway.get(target).header("authorization", bearer.clone()).send();
        assert_eq!((refused.status, refused.error_id().as_str()), (503, "decision_unavailable"), "{target}");
    }
    assert!(service.seen().is_empty());
    for reply in ["[]", "{\"keys\":7}", "nonsense", &format!("{{\"keys\":[{}]}}", "0,".repeat(400_000))] {
        let reply = answer(200, reply);
        let odd = Service::answering(move |_| reply.clone());
        let gateway = Gateway::start(&configuration(&kratos, &service, &odd.url(), ""));
        assert_eq!(gateway.get("/tokens/x").header("authorization", bearer.clone()).send().status, 503);
    }
    // Keys that were fetched outlive an outage.
    issuer.publish(Some(&[&key]));
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), ""));
    assert_eq!(gateway.get("/tokens/x").header("authorization", bearer.clone()).send().status, 200);
    issuer.publish(None);
    assert_eq!(gateway.get("/tokens/x").header("authorization", bearer).send().status, 200);
}

#[test]
fn scopes_are_looked_at_for_each_rule() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    let gateway = Gateway::start(&configuration(&kratos, &service, &issuer.server.url(), BOTH));
    for (scope, status) in [("orders.read other", 200), ("orders", 403), ("orders.read.all", 403), ("", 403)] {
        let token = key.sign(json!({ "scope": scope }));
        let reply = gateway.get("/scoped/x").header("authorization", format!("Bearer {token}")).send();
        assert_eq!(reply.status, status, "{scope}");
        assert_eq!(gateway.get("/tokens/x").header("authorization", format!("Bearer {token}")).send().status, 200);
    }
}

#[test]
fn an_opaque_token_is_asked_about_and_only_a_yes_is_kept() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let hydra = Service::answering(|seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        match body.split('&').next().unwrap().trim_start_matches("token=") {
            "good" => answer(
                200,
                &json!({ "active": true, "sub": "robot", "scope": "a b", "aud": ["x"], "exp": now + 60 }).to_string(),
            ),
            "other" => answer(200, &json!({ "active": true, "sub": "robot", "aud": ["y"] }).to_string()),
            "over" => answer(200, &json!({ "active": true, "aud": ["x"], "exp": 1 }).to_string()),
            "refresh" => answer(
                200,
                &json!({ "active": true, "sub": "robot", "aud": ["x"], "token_use": "refresh_token" }).to_string(),
            ),
            "access" => answer(
                200,
                &json!({ "active": true, "sub": "robot", "aud": ["x"], "token_use": "access_token" }).to_string(),
            ),
            "odd" => answer(200, &json!({ "active": "true", "aud": ["x"] }).to_string()),
            "list" => answer(200, "[true]"),
            "forbidden" => answer(403, &json!({ "active": true, "aud": ["x"] }).to_string()),
            _ => answer(200, &json!({ "active": false }).to_string()),
        }
    });
    let configuration = |ttl: &str, audience: &str| {
        let authenticators = format!(
            "  hydra:
    introspection: {{ url: '{}/introspect', basic: {{ username: gate, password: 'p:w' }}, audience: {audience}, ttl: {ttl} }}",
            hydra.url()
        );
        let rules = "  - { id: plain, match: { paths: [/plain/**] }, authenticate: hydra, upstream: app }
  - { id: scoped, match: { paths: [/scoped/**] }, authenticate: { hydra: { scopes: [c] } }, upstream: app }
  - { id: strict, match: { paths: [/strict/**] }, authenticate: hydra, require: { checked_within: 0s }, upstream: app }";
        written(&kratos, &service, &authenticators, rules)
    };
    let mut gateway = Gateway::start(&configuration("1h", "x"));
    let status = |gateway: &Gateway, target: &str, token: &str| {
        gateway.get(target).header("authorization", format!("Bearer {token}")).send().status
    };
    for _ in 0..3 {
        assert_eq!(status(&gateway, "/plain/x", "good"), 200);
    }
    assert_eq!(hydra.seen().len(), 1);
    let asked = hydra.last();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/introspect"));
    assert_eq!(asked.header("authorization"), Some("Basic Z2F0ZTpwJTNBdw=="));
    assert_eq!(String::from_utf8_lossy(&asked.body), "token=good&token_type_hint=access_token");
    assert_eq!(status(&gateway, "/scoped/x", "good"), 403, "what is kept says nothing of what another rule demands");
    assert_eq!(status(&gateway, "/strict/x", "good"), 200);
    hydra.forget();
    for (token, expected) in [
        ("bad", 401),
        ("bad", 401),
        ("other", 401),
        ("over", 401),
        ("odd", 503),
        ("list", 503),
        ("forbidden", 503),
        ("refresh", 401),
        ("access", 200),
    ] {
        assert_eq!(status(&gateway, "/plain/x", token), expected, "{token}");
    }
    assert_eq!(hydra.seen().len(), 9, "a no is never kept");
    hydra.forget();
    let json = [("content-type", "application/json")];
    assert_eq!(gateway.ops_with("POST", "/sessions/forget", &json, r#"{"all":true}"#).status, 204);
    assert_eq!(status(&gateway, "/plain/x", "good"), 200);
    assert_eq!(hydra.seen().len(), 1, "forgetting all is forgetting tokens, too");
    // Other settings, other answers: what one audience let pass says nothing of another.
    gateway.reload(&configuration("1h", "y"));
    assert_eq!(status(&gateway, "/plain/x", "good"), 401);
    gateway.reload(&configuration("0s", "x"));
    hydra.forget();
    for _ in 0..2 {
        assert_eq!(status(&gateway, "/plain/x", "good"), 200);
    }
    assert_eq!(hydra.seen().len(), 2, "without a ttl it is asked every time");
}

#[test]
fn tokens_are_found_where_they_are_carried_and_taken_from_there() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    let url = issuer.server.url();
    let authenticators = format!(
        "  cookie: {{ jwt: {{ jwks: '{url}', issuers: https://issuer.test }}, from: {{ cookie: token }} }}
  header: {{ jwt: {{ jwks: '{url}', issuers: https://issuer.test }}, from: {{ header: X-Api-Token }}, subject_is_identity: true }}"
    );
    let rules = "  - { id: all, authenticate: [session, cookie, header], upstream: app }";
    let gateway = Gateway::start(&written(&kratos, &service, &authenticators, rules));
    let token = key.sign(json!({}));
    assert_eq!(gateway.get("/x").cookie(&format!("a=b; token={token}; c=d")).cookie("e=f").send().status, 200);
    assert_eq!(service.last().all("cookie"), ["a=b; c=d; e=f"]);
    assert_eq!(gateway.get("/x").cookie(&format!("token={token}")).send().status, 200);
    assert_eq!(service.last().header("cookie"), None);
    let identity = "5ba5ff9e-0b5a-4b4c-8e0f-9e7f6c1a1d11";
    let named = key.sign(json!({ "sub": identity }));
    assert_eq!(gateway.get("/x").header("x-api-token", named).send().status, 200);
    let seen = service.last();
    assert_eq!((seen.header("x-api-token"), seen.header("x-kratos-authenticated-identity-id")), (None, Some(identity)));
    assert_eq!(gateway.get("/x").header("x-api-token", token.clone()).send().status, 401, "its subject is no identity");
}

#[test]
fn no_token_reaches_a_service_but_the_one_that_was_judged() {
    let (kratos, service, key) = (Kratos::start(), Service::start(), Key::new());
    let issuer = Issuer::start(&[&key]);
    let url = issuer.server.url();
    let authenticators = format!(
        "  cookie: {{ jwt: {{ jwks: '{url}' }}, from: {{ cookie: token }} }}
  header: {{ jwt: {{ jwks: '{url}' }}, from: {{ header: X-Api-Token }} }}"
    );
    let rules = "  - { id: all, match: { paths: [/all/**] }, authenticate: [cookie, header], forward_credentials: true, upstream: app }
  - { id: open, match: { paths: [/open/**] }, access: optional, authenticate: [header, anonymous], upstream: app }";
    let gateway = Gateway::start(&written(&kratos, &service, &authenticators, rules));
    let (good, lie) = (key.sign(json!({})), "a.b.c");
    let named = |name: &str, token: &str| gateway.get("/all/x").header(name, token.to_owned());
    // The one that decided is forwarded, and no other: not one in another place, nor under a name that reads like it.
    let reply = named("x-api-token", lie).header("x_api_token", lie).cookie(&format!("token={good}")).send();
    assert_eq!(reply.status, 200);
    let seen = service.last();
    assert_eq!((seen.header("x-api-token"), seen.header("x_api_token")), (None, None));
    assert_eq!(seen.all("cookie"), [format!("token={good}")]);
    assert_eq!(named("x-api-token", &good).header("x_api_token", lie).send().status, 200);
    assert_eq!((service.last().header("x-api-token"), service.last().header("x_api_token")), (Some(&*good), None));
    // Of two, nobody knows which the service would read.
    service.forget();
    assert_eq!(named("x-api-token", &good).header("x-api-token", lie).send().status, 401);
    assert_eq!(gateway.get("/all/x").cookie(&format!("token={good}; token={lie}")).send().status, 401);
    assert!(service.seen().is_empty());
    // What was not believed does not pass with one who passes unnamed.
    assert_eq!(gateway.get("/open/x").header("x-api-token", lie).send().status, 200);
    assert_eq!(service.last().header("x-api-token"), None);
}

#[test]
fn services_get_the_session_as_a_token_of_kratos() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let configuration = |template: &str| {
        format!(
            "kratos: {{ url: '{}', tokenize_as: {template} }}
upstreams: {{ app: {} }}
rules:
  - {{ id: app, match: {{ paths: [/app/**] }}, upstream: app, headers: {{ X-All: '${{session}}' }} }}
  - {{ id: either, match: {{ paths: [/either/**] }}, access: optional, upstream: app }}
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public, upstream: app }}
  - {{ id: kept, match: {{ paths: [/kept/**] }}, forward_credentials: true, upstream: app }}
",
            kratos.url(),
            service.url()
        )
    };
    let mut gateway = Gateway::start(&configuration("dev"));
    let ann = kratos.sign_in("ann@example.com");
    let lie = |target: &str| gateway.get(target).header("authorization", "Bearer lie");
    assert_eq!(lie("/app/x").cookie(&ann.cookie).send().status, 200);
    let seen = service.last();
    let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let keys = published_by(&kratos, "/dev/jwks.json");
    let key = jsonwebtoken::DecodingKey::from_jwk(&serde_json::from_value(keys["keys"][0].clone()).unwrap()).unwrap();
    let validation = jsonwebtoken::Validation::new(Algorithm::EdDSA);
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"].as_str(), seen.header("x-kratos-authenticated-identity-id"));
    assert!(!seen.header("x-all").unwrap().contains(&token), "it is a credential and no fact");
    // One question brings one token for many requests.
    assert_eq!(lie("/app/x").cookie(&ann.cookie).send().status, 200);
    assert_eq!(service.last().header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(kratos.whoami_count(), 1);
    // Nobody is named, and nobody names themselves; where nobody is asked, it is the service's own affair.
    for (target, expected) in [("/either/x", None), ("/open/x", Some("Bearer lie"))] {
        assert_eq!(lie(target).send().status, 200);
        assert_eq!(service.last().header("authorization"), expected, "{target}");
    }
    let bearer = format!("Bearer {}", ann.token);
    assert_eq!(gateway.get("/kept/x").header("authorization", bearer.clone()).send().status, 200);
    assert_eq!(service.last().header("authorization"), Some(bearer.as_str()));
    // A template that Kratos does not have is no reason to sign anybody out.
    gateway.reload(&configuration("gone"));
    let refused = gateway.get("/app/x").cookie(&ann.cookie).send();
    assert_eq!((refused.status, refused.error_id().as_str()), (503, "kratos_unavailable"));
}

/// What Kratos itself publishes, past the gateway.
fn published_by(kratos: &Kratos, target: &str) -> Value {
    let address = kratos.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: kratos\r\nconnection: close\r\n\r\n");
    crate::harness::exchange(address, request.as_bytes(), false).json()
}
