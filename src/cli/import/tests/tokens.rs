//! Tokens that are judged, tokens that are signed, and others who are asked.

use expect_test::expect;

use super::*;

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
                    email: '${string(identity.traits.email)}'
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
