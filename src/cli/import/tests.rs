//! Oathkeeper's own samples, and what the import must never do.

use std::fs;

use expect_test::{Expect, expect};
use futures_util::FutureExt as _;
use http::{HeaderMap, Method};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::{Files, Options, compile};
use crate::ops::explain::explain;

/// Imports rules as files would have them.
fn imported(config: Option<&Value>, rules: &Value) -> Result<Imported, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let rules_file = folder.path().join("rules.json");
    fs::write(&rules_file, rules.to_string()).unwrap();
    let config_file = folder.path().join("oathkeeper.yaml");
    if let Some(config) = config {
        fs::write(&config_file, config.to_string()).unwrap();
    }
    import(config.map(|_| config_file.as_path()), &[rules_file])
}

/// The notes of the rules, places cut.
fn notes(imported: &Imported) -> String {
    let of_rules = imported.notes.iter().filter(|note| note.rule.is_some());
    of_rules
        .map(|note| format!("{}: {}: {}\n", note.rule.as_deref().unwrap_or_default(), note.verdict, note.reason))
        .collect()
}

fn policy(yaml: &str) -> crate::decision::policy::Policy {
    let read = |_: &Path| Ok(yaml.as_bytes().to_vec());
    let list = |_: &str| Ok(Vec::new());
    let options = Options { environment: &|_| None, ..Options::default() };
    match compile(Path::new("portcullis.yaml"), &Files { read: &read, list: &list }, &options) {
        Ok(config) => config.policy,
        Err(faults) => panic!("{faults}\n{yaml}"),
    }
}

fn sample(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/data/oathkeeper/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn rule(url: &str, methods: &[&str]) -> Value {
    json!({
        "id": "sample",
        "match": { "url": url, "methods": methods },
        "authenticators": [{ "handler": "noop" }],
        "authorizer": { "handler": "allow" },
        "mutators": [{ "handler": "noop" }],
        "upstream": { "url": "http://service:8080", "preserve_host": true },
    })
}

/// A configuration that enables every handler, for one dialect.
fn enabling(strategy: &str, global: &Map<String, Value>) -> Value {
    let mut config = json!({ "access_rules": { "matching_strategy": strategy }, "errors": global.get("errors") });
    for (stage, names) in [
        ("authenticators", &["noop", "anonymous", "cookie_session", "bearer_token", "unauthorized"][..]),
        ("authorizers", &["allow", "deny"]),
        ("mutators", &["noop", "header", "id_token", "hydrator"]),
    ] {
        for name in names {
            let own = global.get(&format!("{stage}.{name}.config"));
            config[stage][name] = json!({ "enabled": true, "config": own });
        }
    }
    config
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
        allow-anonymous-with-id-token-mutator: improved on purpose: a dot in its host stood for any character; here it is a dot
        allow-anonymous-with-id-token-mutator: improved on purpose: `id_token` is signed with a new key: `portcullis keys generate id_token.pem` makes it, and /.well-known/jwks.json has it
        allow-anonymous-with-id-token-mutator: improved on purpose: requests that bring an `Authorization` header pass too; `anonymous` left them to whoever came next
    "#]].assert_eq(&notes(&imported));
}

/// Imports one rule, changed by `change`, and shows its part of the configuration and its notes.
fn check(change: Value, expected: &Expect) {
    let mut rule = rule("http://a.test/x", &["GET"]);
    for (key, value) in change.as_object().unwrap() {
        rule[key] = value.clone();
    }
    let imported = imported(None, &rule).unwrap();
    let yaml = imported.yaml.split_once("kratos:\n").unwrap().1;
    expected.assert_eq(&format!("{yaml}\n{}", notes(&imported)));
}

fn cookie_session() -> Value {
    json!({ "handler": "cookie_session", "config": {
        "check_session_url": "http://kratos:4433/sessions/whoami", "preserve_path": true,
        "extra_from": "@this", "subject_from": "identity.id", "only": ["ory_kratos_session"],
    } })
}

#[test]
fn sessions_and_headers_are_kept() {
    check(
        json!({
            "authenticators": [cookie_session(), { "handler": "anonymous", "config": { "subject": "guest" } }],
            "mutators": [{ "handler": "header", "config": { "headers": {
                "X-User": "{{ print .Subject }}",
                "X-Mail": "{{ print .Extra.identity.traits.email }}",
                "X-Odd": "{{ if .Subject }}x{{ end }}",
            } } }],
        }),
        &expect![[r#"
              url: http://kratos:4433
              serve: false
              session_cookie: [ory_kratos_session]
              credentials: [cookie]
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                access: optional
                headers:
                  X-Mail: '${identity.traits.email}'
                  X-Odd: '${null}'
                  X-User: '${session == null ? "guest" : identity.id}'
                upstream: http://service:8080

            sample: dropped: the header `X-Odd` is taken from every request and not set: `{{ if .Subject }}` is more than can be said in a hole (`{{ if .Subject }}x{{ end }}`)
            sample: improved on purpose: a stale session or token passes unnamed, as without one; Oathkeeper refused it with 401
            sample: improved on purpose: requests that bring an `Authorization` header pass too; `anonymous` left them to whoever came next
        "#]],
    );
}

#[test]
fn what_cannot_be_asked_lets_nobody_pass() {
    check(
        json!({ "authenticators": [{ "handler": "jwt", "config": {} }, cookie_session()] }),
        &expect![[r#"
              url: http://kratos:4433
              serve: false
              session_cookie: [ory_kratos_session]
              credentials: [cookie]
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                access: deny
                upstream: http://service:8080

            sample: dropped: `jwt` names no keys (`jwks_urls`); the rule lets nobody pass (`access: deny`) until you say who may
        "#]],
    );
    check(
        json!({ "authorizer": { "handler": "remote_json", "config": {} } }),
        &expect![[r#"
              url: http://127.0.0.1:4433
              serve: false
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                access: deny
                upstream: http://service:8080

            sample: dropped: `remote_json` asks nobody (`remote`); the rule lets nobody pass (`access: deny`) until you say who may
        "#]],
    );
}

#[test]
fn a_signed_token_says_what_it_said() {
    let claims =
        r#"{"aud": ["a", "b"], "email": "{{ print .Extra.identity.traits.email }}", "n": 3, "sub": "ignored"}"#;
    let config = json!({ "issuer_url": "https://gate/", "ttl": "60s", "claims": claims });
    check(
        json!({ "authenticators": [cookie_session()], "mutators": [{ "handler": "id_token", "config": config }] }),
        &expect![[r#"
              url: http://kratos:4433
              serve: false
              session_cookie: [ory_kratos_session]
              credentials: [cookie]
            login:
              url: http://kratos:4433/self-service/login/browser
            id_token:
              issuer: 'https://gate/'
              keys: id_token.pem
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                access: session
                id_token:
                  audience: [a, b]
                  claims:
                    email: '${identity.traits.email}'
                    n: 3
                  ttl: 60s
                on_refusal: json
                upstream: http://service:8080

            sample: improved on purpose: `id_token` is signed with a new key: `portcullis keys generate id_token.pem` makes it, and /.well-known/jwks.json has it
        "#]],
    );
}

#[test]
fn tokens_are_judged_as_they_were() {
    let jwt = json!({ "handler": "jwt", "config": {
        "jwks_urls": ["https://issuer/jwks.json", "file:///etc/keys.json"], "allowed_algorithms": ["RS256", "ES256"],
        "trusted_issuers": ["https://issuer/"], "target_audience": ["shop"], "required_scope": ["orders.read"],
        "scope_strategy": "hierarchic", "jwks_ttl": "60s",
    } });
    let hydra = json!({ "handler": "oauth2_introspection", "config": {
        "introspection_url": "https://hydra/introspect", "scope_strategy": "none",
        "introspection_request_headers": { "Authorization": "Basic $${x}" }, "token_from": { "header": "X-Token" },
        "cache": { "enabled": true, "ttl": "90s" },
    } });
    check(
        json!({
            "authenticators": [cookie_session(), jwt, hydra, { "handler": "anonymous", "config": { "subject": "guest" } }],
            "mutators": [{ "handler": "header", "config": { "headers": {
                "X-User": "{{ print .Subject }}", "X-Mail": "{{ print .Extra.email }}",
            } } }],
        }),
        &expect![[r#"
              url: http://kratos:4433
              serve: false
              session_cookie: [ory_kratos_session]
              credentials: [cookie]
            authenticators:
              introspection:
                from:
                  header: X-Token
                introspection:
                  authorization: 'Basic $$${x}'
                  ttl: 90s
                  url: 'https://hydra/introspect'
              jwt:
                jwt:
                  algorithms: [RS256, ES256]
                  audience: [shop]
                  issuers: ['https://issuer/']
                  jwks: ['https://issuer/jwks.json', /etc/keys.json]
                  refresh_after: 60s
                scope_strategy: hierarchic
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                authenticate:
                  - session
                  - jwt:
                      scopes: [orders.read]
                  - introspection
                  - anonymous:
                      subject: guest
                access: optional
                headers:
                  X-Mail: '${null}'
                  X-User: '${subject}'
                forward_credentials: true
                upstream: http://service:8080

            sample: dropped: the header `X-Mail` is taken from every request and not set: `jwt` and `oauth2_introspection` tell `.Extra` in different places (`{{ print .Extra.email }}`)
            sample: improved on purpose: `jwt`: tokens without `exp` are refused, and clocks may differ by `leeway`
            sample: improved on purpose: a stale session or token passes unnamed, as without one; Oathkeeper refused it with 401
            sample: improved on purpose: requests that bring an `Authorization` header pass too; `anonymous` left them to whoever came next
        "#]],
    );
    for (config, reason) in [
        (json!({ "jwks_urls": ["https://a"], "allowed_algorithms": ["HS256"] }), "whoever checks such a token"),
        (json!({ "jwks_urls": ["https://a"], "required_scope": ["a"] }), "without a `scope_strategy`"),
        (json!({ "jwks_urls": ["https://a"], "token_from": { "query_parameter": "t" } }), "ends up in logs"),
        (json!({ "jwks_urls": ["ftp://a"] }), "cannot be said"),
    ] {
        let mut rule = rule("http://a.test/x", &["GET"]);
        rule["authenticators"] = json!([{ "handler": "jwt", "config": config }]);
        let imported = imported(None, &rule).unwrap();
        assert!(imported.yaml.contains("access: deny"), "{}", imported.yaml);
        assert!(notes(&imported).contains(reason), "{}", notes(&imported));
        assert_eq!(imported.exit_code(), 3);
    }
}

#[test]
fn others_are_asked_as_they_were() {
    let payload =
        r#"{"subject": "{{ print .Subject }}", "resource": "{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}"}"#;
    check(
        json!({
            "match": { "url": "http://a.test/docs/<[^/]+>", "methods": ["GET"] },
            "authenticators": [cookie_session()],
            "authorizer": { "handler": "remote_json", "config": {
                "remote": "http://opa/allow", "payload": payload, "forward_response_headers_to_upstream": ["X-Roles"],
                "retry": { "give_up_after": "2s" },
            } },
            "mutators": [
                { "handler": "hydrator", "config": { "api": { "url": "http://profiles", "auth": { "basic": { "username": "a", "password": "b" } } }, "cache": { "ttl": "30s" } } },
                { "handler": "header", "config": { "headers": { "X-Plan": "{{ print .Extra.plan }}" } } },
                { "handler": "cookie", "config": { "cookies": { "user": "{{ print .Subject }}" } } },
            ],
        }),
        &expect![[r#"
              url: http://kratos:4433
              serve: false
              session_cookie: [ory_kratos_session]
              credentials: [cookie]
            login:
              url: http://kratos:4433/self-service/login/browser
            authorizers:
              remote:
                http:
                  method: POST
                  url: 'http://opa/allow'
                retries: 1
                timeout: 2s
            enrichers:
              hydrator:
                authorization: 'Basic YTpi'
                method: POST
                payload:
                  extra: '${session}'
                  header: null
                  subject: '${identity.id}'
                ttl: 30s
                url: 'http://profiles'
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - '/docs/{cap0}'
                access: session
                enrich: [hydrator]
                authorize:
                  - remote:
                      payload:
                        resource: '${request.captures.cap0}'
                        subject: '${identity.id}'
                      pick: [X-Roles]
                headers:
                  X-Plan: '${context.hydrator.extra.plan}'
                cookies:
                  user: '${identity.id}'
                on_refusal: json
                upstream: http://service:8080

            sample: improved on purpose: `remote_json`: it is asked twice at most, each time for `give_up_after`
            sample: improved on purpose: `remote_json`: 204 lets pass as 200 does
            sample: improved on purpose: the hydrator is not told the headers of the request, and those that it answers with are not read
            sample: improved on purpose: the answer of the hydrator is `context.hydrator` beside the session
        "#]],
    );
    for name in ["remote", "keto_engine_acp_ory"] {
        let mut rule = rule("http://a.test/x", &["GET"]);
        rule["authorizer"] = json!({ "handler": name, "config": {} });
        let imported = imported(None, &rule).unwrap();
        assert!(imported.yaml.contains("access: deny"), "{}", imported.yaml);
    }
}

#[test]
fn refusals_are_told_as_they_were() {
    check(
        json!({
            "authenticators": [cookie_session()],
            "errors": [
                { "handler": "redirect", "config": { "to": "https://sso/login", "code": 301, "return_to_query_param": "back", "when": [
                    { "error": ["unauthorized"], "request": { "header": { "accept": ["text/html"] } } },
                    { "error": ["forbidden"], "request": { "remote_ip": { "match": ["10.0.0.0/8"] } } },
                ] } },
                { "handler": "www_authenticate", "config": { "realm": "shop", "when": [{ "request": { "header": { "content_type": ["a/b"] } } }, { "error": ["unauthorized"] }] } },
                { "handler": "json" },
            ],
        }),
        &expect![[r#"
              url: http://kratos:4433
              serve: false
              session_cookie: [ory_kratos_session]
              credentials: [cookie]
            login:
              url: http://kratos:4433/self-service/login/browser
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                access: session
                on_refusal:
                  - accept: [text/html]
                    code: 301
                    return_to: back
                    status: [401]
                    then: redirect
                    to: 'https://sso/login'
                  - code: 301
                    from: [10.0.0.0/8]
                    return_to: back
                    status: [403]
                    then: redirect
                    to: 'https://sso/login'
                  - realm: shop
                    status: [401]
                    then: www_authenticate
                  - json
                upstream: http://service:8080

            sample: dropped: an error handler looks at `content_type`, which cannot be said; it is left out
            sample: improved on purpose: only requests that are safe to repeat are redirected
        "#]],
    );
}

#[test]
fn a_rule_for_bearers_is_not_opened_to_cookies() {
    let bearer = json!({ "handler": "bearer_token", "config": {
        "check_session_url": "http://kratos:4433/sessions/whoami", "preserve_path": true,
        "extra_from": "@this", "subject_from": "identity.id",
    } });
    let mut machines = rule("http://a.test/machines", &["POST"]);
    machines["authenticators"] = json!([bearer]);
    let mut people = rule("http://a.test/people", &["POST"]);
    people["authenticators"] = json!([cookie_session()]);
    let imported = imported(None, &json!([machines, people])).unwrap();
    assert_eq!(
        imported.yaml.matches("when: has(request.headers.authorization)").count()
            + imported.yaml.matches("when: 'has(request.headers.authorization)'").count(),
        1,
        "{}",
        imported.yaml
    );
    assert!(imported.yaml.contains("credentials: [cookie, bearer]"), "{}", imported.yaml);
}

#[test]
fn a_cookie_opens_no_rule_for_tokens_in_whatever_shape() {
    let bearer = |from: Value| {
        json!({ "handler": "bearer_token", "config": {
            "check_session_url": "http://kratos:4433/sessions/whoami", "preserve_path": true,
            "extra_from": "@this", "subject_from": "identity.id", "token_from": from,
        } })
    };
    let mut header = rule("http://a.test/header", &["POST"]);
    header["authenticators"] = json!([bearer(json!({ "header": "X-Session-Token" }))]);
    let mut either = rule("http://a.test/either", &["POST"]);
    either["authenticators"] = json!([bearer(json!({ "header": "Authorization" })), { "handler": "anonymous" }]);
    let mut people = rule("http://a.test/people", &["POST"]);
    people["authenticators"] = json!([cookie_session()]);
    let yaml = imported(None, &json!([header, either, people])).unwrap().yaml;
    let conditions = yaml.lines().filter(|line| line.trim().starts_with("when:")).map(str::trim).collect::<Vec<_>>();
    assert!(conditions.len() == 2, "{yaml}");
    assert!(conditions[0].contains("'x-session-token'' in request.headers"), "{yaml}");
    assert!(conditions[1].contains("session == null || has(request.headers.authorization)"), "{yaml}");
}

#[test]
fn a_rule_adds_to_what_is_configured_for_all() {
    let config = json!({ "mutators": { "header": { "enabled": true, "config": { "headers": { "X-Role": "none" } } } },
        "authenticators": { "noop": { "enabled": true } }, "authorizers": { "allow": { "enabled": true } } });
    let mut rule = rule("http://a.test/x", &["GET"]);
    rule["mutators"] = json!([{ "handler": "header", "config": { "headers": { "X-Tenant": "t1" } } }]);
    let yaml = imported(Some(&config), &json!([rule])).unwrap().yaml;
    assert!(yaml.contains("X-Role: none") && yaml.contains("X-Tenant: t1"), "{yaml}");
}

#[test]
fn no_rule_loses_its_authorizer_to_another_unnoticed() {
    let (mut one, mut two) = (rule("http://a.test/same", &["GET"]), rule("http://a.test/same", &["GET"]));
    for rule in [&mut one, &mut two] {
        rule["authenticators"] = json!([cookie_session()]);
    }
    two["id"] = json!("two");
    two["authorizer"] = json!({ "handler": "remote_json", "config": { "remote": "http://authz/", "payload": "{}" } });
    let imported = imported(None, &json!([one, two])).unwrap();
    assert!(imported.yaml.contains("authorize:"), "the stricter owns both: {}", imported.yaml);
}

#[test]
fn every_method_keeps_its_owner() {
    let mut rules = Vec::new();
    for (id, url, methods) in [
        ("read", "http://<.*>.shop.test/api/<.*>", &["GET"][..]),
        ("order", "http://a.shop.test/api/orders", &["POST"]),
        ("item", "http://a.shop.test/api/items/<[0-9]+>", &["DELETE", "PUT"]),
        ("head", "http://a.shop.test/api/orders", &["HEAD"]),
        ("stock", "http://a.shop.test/api/items/<[^/]+>", &["PATCH"]),
    ] {
        let mut rule = rule(url, methods);
        rule["id"] = json!(id);
        rules.push(rule);
    }
    let imported = imported(None, &Value::Array(rules)).unwrap();
    let policy = policy(&imported.yaml);
    for (method, url, expected) in [
        ("GET", "http://b.shop.test/api/orders", Some("read")),
        ("GET", "http://a.shop.test/api/orders", Some("read")),
        ("POST", "http://a.shop.test/api/orders", Some("order")),
        ("POST", "http://b.shop.test/api/orders", None),
        ("GET", "http://a.shop.test/api/items/7", Some("read")),
        ("PUT", "http://a.shop.test/api/items/7", Some("item")),
        ("PATCH", "http://a.shop.test/api/items/7", Some("stock")),
        ("PATCH", "http://a.shop.test/api/items/x", Some("stock")),
        ("GET", "http://a.shop.test/api/items/x", Some("read")),
        ("PUT", "http://a.shop.test/api/items/x", None),
    ] {
        let parsed = Method::from_bytes(method.as_bytes()).unwrap();
        let explained = explain(&policy, &parsed, url, HeaderMap::new(), None).now_or_never().unwrap();
        let id = explained.rule().map(|id| id.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-'));
        assert_eq!(id, expected, "{method} {url}\n{}", imported.yaml);
    }
    assert!(notes(&imported).contains("head: dropped: HEAD goes with GET"), "{}", notes(&imported));
}

#[test]
fn a_path_of_the_upstream_opens_no_other_paths() {
    check(
        json!({ "upstream": { "url": "http://service/public" } }),
        &expect![[r#"
              url: http://127.0.0.1:4433
              serve: false
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                access: public
                rewrite:
                  add_prefix: /public
                  host: upstream
                upstream: http://service

            sample: kept: it means what it meant
        "#]],
    );
    check(
        json!({ "upstream": { "url": "http://service", "strip_path": "/x", "preserve_host": true } }),
        &expect![[r#"
              url: http://127.0.0.1:4433
              serve: false
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  schemes: [http]
                  methods: [GET]
                  paths:
                    - /x
                access: public
                rewrite:
                  strip_prefix: /x
                upstream: http://service

            sample: improved on purpose: `strip_path` is stripped where the path begins with it; Oathkeeper cut it out wherever it came first
        "#]],
    );
}

#[test]
fn captures_reach_their_headers() {
    check(
        json!({
            "match": { "url": "<http|https>://a.test/users/<[0-9]+>/<[^/]+>", "methods": ["GET"] },
            "mutators": [{ "handler": "header", "config": { "headers": {
                "X-Id": "{{ printIndex .MatchContext.RegexpCaptureGroups 1 }}",
                "X-Scheme": "{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}",
            } } }],
        }),
        &expect![[r#"
              url: http://127.0.0.1:4433
              serve: false
            rules:
              - id: sample
                match:
                  hosts: [a.test]
                  methods: [GET]
                  paths:
                    - regex: '^/users/(?P<cap1>[0-9]+)/(?P<cap2>[^/]+)/?$'
                access: public
                headers:
                  X-Id: '${request.captures.cap1}'
                  X-Scheme: '${null}'
                upstream: http://service:8080

            sample: dropped: the header `X-Scheme` is taken from every request and not set: its capture 0 is not in the path
        "#]],
    );
}

#[test]
fn pages_of_other_origins_may_do_what_they_did() {
    let cors = |credentials: bool, origins: Value| {
        let cors = json!({ "enabled": true, "allowed_origins": origins, "allowed_methods": ["GET"], "allow_credentials": credentials, "max_age": 60 });
        let mut config = enabling("regexp", &Map::new());
        config["serve"] = json!({ "proxy": { "cors": cors } });
        imported(Some(&config), &json!([rule("http://a.test/x", &["GET"])])).unwrap()
    };
    let kept = cors(true, json!(["https://app.test", "https://*.app.test"]));
    assert!(
        kept.yaml.contains("    cors:\n      credentials: true\n      max_age: 60s\n      methods: [GET]\n"),
        "{}",
        kept.yaml
    );
    assert_eq!(kept.exit_code(), 0);
    for odd in [cors(true, json!(["*"])), cors(false, json!(["no origin"]))] {
        assert!(!odd.yaml.contains("cors"), "{}", odd.yaml);
        assert_eq!(odd.exit_code(), 3);
    }
}

#[test]
fn a_handler_that_is_not_enabled_lets_nobody_pass() {
    let rules = json!([rule("http://a.test/x", &["GET"])]);
    let imported = imported(Some(&json!({ "authorizers": { "allow": { "enabled": true } } })), &rules).unwrap();
    assert!(imported.yaml.contains("access: deny"), "{}", imported.yaml);
    assert_eq!(imported.exit_code(), 3);
}

#[test]
fn repositories_are_read_unless_rules_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("oathkeeper.yml");
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, "- id: one\n  match: { url: 'http://a/<[a-z]+>', methods: [GET] }\n").unwrap();
    let text =
        format!("access_rules:\n  repositories: ['file://{}', 'https://elsewhere/rules.json']\n", rules.display());
    fs::write(&config, text).unwrap();
    let found = import(Some(&config), &[]).unwrap();
    assert!(found.yaml.contains("id: one"), "{}", found.yaml);
    assert!(found.notes.iter().any(|note| note.rule.is_none() && note.reason.contains("https://elsewhere")));
}

#[test]
fn malformed_files_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("- id: [", "rules.yaml:1:"),
        ("just text", "rules.yaml:1:1: a file of rules is a list of rules, or one rule"),
        ("- id: a\n  authenticators:\n    - config: {}\n", "this handler has no name"),
        ("- 7\n", "a rule is a mapping, not a single value"),
        ("", "there are no rules"),
    ] {
        let file = folder.path().join("rules.yaml");
        fs::write(&file, text).unwrap();
        let error = import(None, &[file]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let missing = folder.path().join("missing.yaml");
    assert!(import(None, &[missing]).unwrap_err().to_string().contains("cannot be read"));
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

/// URLs of rules, mostly such as could be ones.
fn urls() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,3}",
        2 => Just("/".to_owned()),
        1 => Just("://".to_owned()),
        1 => Just("https://a.test/".to_owned()),
        1 => Just("<.*>".to_owned()),
        1 => Just("<[0-9]+>".to_owned()),
        1 => Just("<(?!ab).*>".to_owned()),
        1 => Just("<a|b>".to_owned()),
        1 => Just("<**>".to_owned()),
        1 => "<[-a-c.*?(){}\\[\\]|/\\\\$^!:+]{0,8}>",
        1 => "[%{}*?#;$\\\\.:@ <>\u{e9}\u{2028}]{1,2}",
    ];
    (prop_oneof![3 => Just("http://a.test/"), 1 => Just("")], prop::collection::vec(piece, 0..6))
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is written compiles, which the import checks itself: only a defect of ours is an error.
    #[test]
    fn any_urls_are_imported_or_dropped(
        urls in prop::collection::vec((urls(), prop::sample::select(vec!["GET", "POST", "HEAD"])), 1..5),
        is_glob in any::<bool>(),
        template in "[a-z{}$. ]{0,12}",
    ) {
        let rules = urls.iter().enumerate().map(|(number, (url, method))| {
            let mut rule = rule(url, &[method]);
            rule["id"] = json!(format!("r{number}"));
            if number % 2 == 0 {
                rule["authenticators"] = json!([cookie_session()]);
                let headers = json!({ "X-A": template, "X-B": "{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}" });
                rule["mutators"] = json!([{ "handler": "header", "config": { "headers": headers } }]);
            }
            rule
        });
        let rules = rules.collect::<Vec<_>>();
        let config = enabling(if is_glob { "glob" } else { "regexp" }, &Map::new());
        let imported = imported(Some(&config), &Value::Array(rules)).unwrap();
        policy(&imported.yaml);
        prop_assert!(imported.notes.iter().filter(|note| note.rule.is_some()).count() >= urls.len());
    }
}
