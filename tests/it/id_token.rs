//! Tokens that the gateway signs: what services can rely on, and what clients cannot bring about.

use std::path::Path;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use portcullis::signing::keys::{KeyKind, generate};
use serde_json::Value;

use crate::harness::{Gateway, Kratos, Service};

fn key(folder: &Path, name: &str, kind: KeyKind) -> String {
    let path = folder.join(name);
    std::fs::write(&path, generate(kind).unwrap()).unwrap();
    path.display().to_string()
}

fn configuration(kratos: &Kratos, service: &Service, keys: &str) -> String {
    format!(
        "kratos: {}
upstreams: {{ app: {} }}
id_token: {{ issuer: https://gateway.test, keys: [{keys}], publish: true }}
rules:
  - {{ id: open, match: {{ paths: [/open/**] }}, access: public, upstream: app }}
  - {{ id: either, match: {{ paths: [/either/**] }}, access: optional, upstream: app, id_token: true }}
  - id: signed
    match: {{ paths: [/signed/**] }}
    upstream: app
    id_token: {{ audience: app, claims: {{ email: '${{identity.traits.email}}', level: 3, path: '${{request.path}}' }} }}
  - {{ id: aside, match: {{ paths: [/aside/**] }}, upstream: app, id_token: {{ audience: app, header: X-Id-Token }} }}
",
        kratos.url(),
        service.url()
    )
}

/// What a service reads that fetches the keys from clients' listener.
fn verified(gateway: &Gateway, token: &str) -> Value {
    let published = gateway.get("/.well-known/jwks.json").send();
    assert_eq!(published.status, 200);
    let keys: JwkSet = serde_json::from_value(published.json()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = keys.find(header.kid.as_deref().unwrap()).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["app"]);
    validation.set_issuer(&["https://gateway.test"]);
    jsonwebtoken::decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

#[test]
fn a_service_is_told_who_asks_in_a_token_that_it_can_check() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&configuration(&kratos, &service, &key(folder.path(), "a.pem", KeyKind::Es256)));
    let ann = kratos.sign_in("ann@example.com");
    assert_eq!(gateway.get("/signed/a").cookie(&ann.cookie).send().status, 200);
    let seen = service.last();
    let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let claims = verified(&gateway, &token);
    assert_eq!(claims["sub"].as_str(), seen.header("x-kratos-authenticated-identity-id"));
    assert_eq!((&claims["email"], &claims["level"]), (&"ann@example.com".into(), &3.into()));
    assert_eq!(claims["path"], "/signed/a");

    // Signed once for the same words, and anew for others.
    gateway.get("/signed/a").cookie(&ann.cookie).send();
    assert_eq!(service.last().header("authorization").unwrap(), format!("Bearer {token}"));
    gateway.get("/signed/b").cookie(&ann.cookie).send();
    assert_ne!(service.last().header("authorization").unwrap(), format!("Bearer {token}"));

    gateway.get("/aside/a").cookie(&ann.cookie).header("authorization", "Basic dTpw").send();
    let seen = service.last();
    assert_eq!(verified(&gateway, seen.header("x-id-token").unwrap())["sub"], claims["sub"]);
    assert_eq!(seen.header("authorization"), Some("Basic dTpw"), "that header is the client's there");
}

#[test]
fn no_client_brings_a_token_of_its_own() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&configuration(&kratos, &service, &key(folder.path(), "a.pem", KeyKind::Es256)));
    let ann = kratos.sign_in("ann@example.com");
    let lies = [("authorization", "Bearer lie"), ("x-id-token", "lie"), ("x_id_token", "lie")];
    let with_lies =
        |target: &str| lies.iter().fold(gateway.get(target), |request, (name, lie)| request.header(name, *lie));
    // Nobody is named, so nothing is signed, and what the client said of itself does not pass for it.
    assert_eq!(with_lies("/either/a").send().status, 200);
    let seen = service.last();
    assert_eq!(lies.map(|(name, _)| seen.header(name)), [None; 3]);
    assert_eq!(with_lies("/signed/a").cookie(&ann.cookie).send().status, 200);
    let seen = service.last();
    assert_eq!(seen.all("authorization").len(), 1);
    assert_ne!(seen.header("authorization"), Some("Bearer lie"));
    // On other rules its own Authorization is the service's affair, the gateway's header is not.
    assert_eq!(with_lies("/open/a").send().status, 200);
    let seen = service.last();
    assert_eq!(lies.map(|(name, _)| seen.header(name)), [Some("Bearer lie"), None, None]);
}

#[test]
fn keys_rotate_without_a_restart_and_old_tokens_stay_good() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (key(folder.path(), "old.pem", KeyKind::Rs256), key(folder.path(), "new.pem", KeyKind::EdDsa));
    let mut gateway = Gateway::start(&configuration(&kratos, &service, &old));
    let ann = kratos.sign_in("ann@example.com");
    let signed = |gateway: &Gateway| {
        gateway.get("/signed/a").cookie(&ann.cookie).send();
        service.last().header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned()
    };
    let before = signed(&gateway);
    gateway.reload(&configuration(&kratos, &service, &format!("{new}, {old}")));
    let after = signed(&gateway);
    assert_ne!(before, after);
    for token in [before, after] {
        assert_eq!(verified(&gateway, &token)["email"], "ann@example.com");
    }
}

#[test]
fn operators_publish_the_keys_whatever_clients_may_see() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let folder = tempfile::tempdir().unwrap();
    let yaml = configuration(&kratos, &service, &key(folder.path(), "a.pem", KeyKind::Es256));
    let gateway = Gateway::start(&format!("ops: {{ address: 127.0.0.1:0, token: secret }}\n{yaml}"));
    let published = gateway.ops("GET", "/.well-known/jwks.json");
    assert_eq!(published.status, 200);
    let told: Value = serde_json::from_str(&published.body).unwrap();
    assert_eq!(told, gateway.get("/.well-known/jwks.json").send().json());
    assert!(told["keys"][0].get("d").is_none());

    let hidden = Gateway::start(&yaml.replace("publish: true", "publish: false"));
    assert_eq!(hidden.get("/.well-known/jwks.json").send().status, 404);
    assert_eq!(hidden.ops("GET", "/.well-known/jwks.json").status, 200);
}
