//! What becomes of each handler of a rule.

use expect_test::expect;

use super::*;

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
fn what_kratos_is_not_told_any_more_is_said() {
    let mut session = cookie_session();
    for (key, value) in [
        ("check_session_url", json!("http://kratos:4433/sessions/whoami?tokenize_as=jwt")),
        ("additional_headers", json!({ "X-Api-Key": "k" })),
        ("forward_http_headers", json!(["X-Forwarded-For"])),
        ("force_method", json!("GET")),
    ] {
        session["config"][key] = value;
    }
    let mut bearer = session.clone();
    bearer["handler"] = json!("bearer_token");
    bearer["config"]["prefix"] = json!("ory_st_");
    let mut rule = rule("http://a.test/x", &["GET"]);
    rule["authenticators"] = json!([bearer]);
    let imported = imported(None, &json!([rule])).unwrap();
    expect![[r#"
        sample: dropped: `bearer_token`: it asks for a token: name the template in `kratos.tokenize_as`, and services get it as `Authorization`
        sample: dropped: `bearer_token`: `additional_headers` is left out: Kratos gets no more than the credential
        sample: improved on purpose: `bearer_token`: `forward_http_headers` is left out: Kratos gets no more than the credential
        sample: improved on purpose: `bearer_token`: `force_method` is left out: whoami is asked by GET
        sample: improved on purpose: `bearer_token`: tokens that do not begin `ory_st_` were left to others; Kratos is asked about all
    "#]].assert_eq(&notes(&imported));
    assert_eq!(imported.exit_code(), 3);
}

#[test]
fn a_name_or_an_issuer_that_is_none_closes_its_rule_alone() {
    let mut odd = cookie_session();
    odd["config"]["only"] = json!(["a b"]);
    let mut signed = rule("http://a.test/signed", &["GET"]);
    signed["authenticators"] = json!([cookie_session()]);
    signed["mutators"] = json!([{ "handler": "id_token", "config": { "issuer_url": " " } }]);
    let mut looking = rule("http://a.test/looking", &["GET"]);
    looking["authenticators"] = json!([odd]);
    let imported = imported(None, &json!([rule("http://a.test/x", &["GET"]), looking, signed])).unwrap();
    assert_eq!(imported.yaml.matches("access: deny").count(), 2, "{}", imported.yaml);
    assert_eq!(imported.yaml.matches("access: public").count(), 1, "{}", imported.yaml);
}

#[test]
fn an_error_handler_for_what_is_no_error_answers_nothing() {
    let mut rule = rule("http://a.test/x", &["GET"]);
    rule["authenticators"] = json!([cookie_session()]);
    let when = json!([{ "error": ["gone"] }]);
    rule["errors"] = json!([{ "handler": "redirect", "config": { "to": "https://sso/", "when": when } }]);
    let imported = imported(None, &json!([rule])).unwrap();
    assert!(imported.yaml.contains("on_refusal: json"), "{}", imported.yaml);
    assert!(notes(&imported).contains("answers `gone`, which is no error"), "{}", notes(&imported));
}
