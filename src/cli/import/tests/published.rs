//! Oathkeeper's own samples and published rules.

use expect_test::expect;
use futures_util::FutureExt as _;
use http::{HeaderMap, Method};

use super::*;
use crate::ops::explain::explain;

fn sample(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/data/oathkeeper/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Samples that are answered otherwise on purpose, and why.
const ON_PURPOSE: &[(&str, &str)] = &[(
    "rule-path-traversal",
    "a path with `..` has two meanings: it is refused with 400, whatever it would be cleaned to",
)];

#[test]
fn the_samples_are_matched_as_oathkeeper_does() {
    let samples = sample("match.json");
    let mut same = 0;
    let mut others = Vec::new();
    for case in &samples {
        let id = case["id"].as_str().unwrap();
        let methods = case["rule"]["methods"].as_array().unwrap().iter().map(|method| method.as_str().unwrap());
        let rules = json!([rule(case["rule"]["url"].as_str().unwrap(), &methods.collect::<Vec<_>>())]);
        let config = enabling(case["strategy"].as_str().unwrap(), &Map::new());
        let imported = imported(Some(&config), &rules).unwrap();
        let policy = policy(&imported.yaml);
        let method = Method::from_bytes(case["request"]["method"].as_str().unwrap().as_bytes()).unwrap();
        let url = case["request"]["url"].as_str().unwrap();
        let explained = explain(&policy, &method, url, HeaderMap::new(), None).now_or_never().unwrap();
        if explained.rule().is_some() == case["match"].as_bool().unwrap() {
            same += 1;
        } else {
            others.push(id);
        }
    }
    let on_purpose = ON_PURPOSE.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    assert_eq!(others, on_purpose, "answered otherwise; {same} of {} are the same", samples.len());
    assert_eq!((same, samples.len()), (35, 36));
}

/// Imports the published rules of one dialect together.
fn published(strategy: &str) -> Imported {
    let rules = sample("rules.json");
    let rules = rules.into_iter().filter(|rule| rule["x_matching_strategy"] == strategy).collect::<Vec<_>>();
    let global = rules[0]["x_global_config"].as_object().unwrap().clone();
    let mut config = enabling(strategy, &global);
    config["serve"] = json!({ "proxy": { "port": 4455 }, "api": { "port": 4456 } });
    imported(Some(&config), &Value::Array(rules)).unwrap()
}

#[test]
fn the_published_rules_of_the_quickstart_are_brought_over() {
    let imported = published("glob");
    expect![[r#"
        # Brought over from Oathkeeper by `portcullis import oathkeeper`.
        listen:
          address: '0.0.0.0:4455'
        ops:
          address: '127.0.0.1:4456'
        kratos:
          url: http://kratos:4433
          hosts: ['127.0.0.1:4455']
          path_prefix: /.ory/kratos/public
          session_cookie: [ory_kratos_session]
          credentials: [cookie]
        login:
          url: http://127.0.0.1:4455/login
        id_token:
          issuer: 'http://127.0.0.1:4455/'
          keys: id_token.pem
        rules:
          # ory:kratos-selfservice-ui-node:protected
          - id: ory-kratos-selfservice-ui-node-protected
            match:
              hosts: ['127.0.0.1:4455']
              schemes: [http]
              methods: [GET]
              paths:
                - /sessions
                - /settings
            access: session
            id_token:
              claims:
                session: '${session}'
              ttl: 15m
            upstream: http://kratos-selfservice-ui-node:4435
          # ory:kratos-selfservice-ui-node:anonymous
          - id: ory-kratos-selfservice-ui-node-anonymous
            match:
              hosts: ['127.0.0.1:4455']
              schemes: [http]
              methods: [GET]
              paths:
                - /registration
                - /welcome
                - /recovery
                - /verification
                - /login
                - /error
                - /health/alive
                - /health/ready
                - regex: '^/.*\.css/?$'
                - regex: '^/.*\.js/?$'
                - regex: '^/.*\.png/?$'
                - regex: '^/.*\.svg/?$'
                - regex: '^/.*\.woff[^./]*/?$'
            access: public
            upstream: http://kratos-selfservice-ui-node:4435
    "#]]
    .assert_eq(&imported.yaml);
    expect![[r#"
        ory:kratos:public: improved on purpose: the gateway passes Kratos' public API through itself below `/.ory/kratos/public`: /self-service, /sessions, /schemas and /.well-known/ory, by every method; nothing else of Kratos is reached
        ory:kratos-selfservice-ui-node:anonymous: improved on purpose: requests that bring an `Authorization` header pass too; `anonymous` left them to whoever came next
        ory:kratos-selfservice-ui-node:protected: improved on purpose: `id_token` is signed with a new key: `portcullis keys generate id_token.pem` makes it, and /.well-known/jwks.json has it
        ory:kratos-selfservice-ui-node:protected: improved on purpose: whoever is signed in and still refused is told so, not sent to sign in again
    "#]].assert_eq(&notes(&imported));
    expect![[r#"
        # One test for each imported rule; run them with `portcullis test` on this file.
        config: portcullis.yaml
        tests:
          - name: ory-kratos-selfservice-ui-node-protected without a session
            request: { method: GET, url: 'http://127.0.0.1:4455/sessions' }
            session: none
            expect: { rule: ory-kratos-selfservice-ui-node-protected, outcome: refuse, status: 401, refusal: session_inactive }
          - name: ory-kratos-selfservice-ui-node-anonymous without a session
            request: { method: GET, url: 'http://127.0.0.1:4455/registration' }
            session: none
            expect: { rule: ory-kratos-selfservice-ui-node-anonymous, outcome: permit, status: 200 }
    "#]].assert_eq(&imported.starter_tests);
    assert_eq!(imported.exit_code(), 0, "all of it was kept, or improved on purpose");
}

#[test]
fn the_published_rules_in_regexes_are_brought_over() {
    let imported = published("regexp");
    expect![[r#"
        # Brought over from Oathkeeper by `portcullis import oathkeeper`.
        listen:
          address: '0.0.0.0:4455'
        ops:
          address: '127.0.0.1:4456'
        # No rule asks Kratos: this is a guess.
        kratos:
          url: http://127.0.0.1:4433
          serve: false
        id_token:
          issuer: 'http://localhost:4455/'
          keys: id_token.pem
        rules:
          - id: allow-anonymous-with-header-mutator
            match:
              hosts: ['127.0.0.1:4455', 'localhost:4455']
              schemes: [http]
              methods: [GET]
              paths:
                - /anything/header
            access: public
            headers:
              X-User: guest
            rewrite:
              add_prefix: /anything/header
              host: upstream
            upstream: https://httpbin.org
          - id: deny-anonymous
            match:
              hosts: ['127.0.0.1:4455', 'localhost:4455']
              schemes: [http]
              methods: [GET]
              paths:
                - /anything/deny
            access: deny
            on_refusal:
              - accept: [application/json]
                then: json
              - accept: ['text/*']
                code: 302
                return_to: ''
                then: redirect
                to: 'https://www.ory.com/docs'
              - json
            rewrite:
              add_prefix: /anything/deny
              host: upstream
            upstream: https://httpbin.org
          - id: allow-anonymous-with-id-token-mutator
            match:
              hosts: ['127.0.0.1:4455', 'localhost:4455']
              schemes: [http]
              methods: [GET]
              paths:
                - /anything/id_token
            authenticate:
              - anonymous:
                  subject: guest
            access: optional
            id_token:
              ttl: 15m
            rewrite:
              add_prefix: /anything/id_token
              host: upstream
            upstream: https://httpbin.org
    "#]]
    .assert_eq(&imported.yaml);
    expect![[r#"
        allow-anonymous-with-header-mutator: improved on purpose: a dot in its host stood for any character; here it is a dot
        allow-anonymous-with-header-mutator: improved on purpose: requests that bring an `Authorization` header pass too; `anonymous` left them to whoever came next
        deny-anonymous: improved on purpose: a dot in its host stood for any character; here it is a dot
        deny-anonymous: improved on purpose: only requests that are safe to repeat are redirected
        deny-anonymous: improved on purpose: `redirect` answered failures, too; here it answers 401 and 403
        allow-anonymous-with-id-token-mutator: improved on purpose: a dot in its host stood for any character; here it is a dot
        allow-anonymous-with-id-token-mutator: improved on purpose: `id_token` is signed with a new key: `portcullis keys generate id_token.pem` makes it, and /.well-known/jwks.json has it
        allow-anonymous-with-id-token-mutator: improved on purpose: requests that bring an `Authorization` header pass too; `anonymous` left them to whoever came next
    "#]].assert_eq(&notes(&imported));
}

#[test]
fn the_starter_tests_pass() {
    for strategy in ["glob", "regexp"] {
        let imported = published(strategy);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("portcullis.yaml"), &imported.yaml).unwrap();
        let key = crate::signing::keys::generate(crate::signing::keys::KeyKind::Es256).unwrap();
        fs::write(folder.path().join("id_token.pem"), key).unwrap();
        let file = folder.path().join("tests.yaml");
        fs::write(&file, &imported.starter_tests).unwrap();
        let report = crate::cli::rule_tests::run_rule_tests(&file).unwrap();
        assert_eq!(report.exit_code(), 0, "{report}");
        assert!(!report.to_string().starts_with('0'), "{report}");
    }
}
