//! No rule is more open than it was, and none loses what it demanded.

use expect_test::expect;
use futures_util::FutureExt as _;
use http::{HeaderMap, Method};

use super::*;
use crate::ops::explain::explain;

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
fn a_handler_that_is_not_enabled_lets_nobody_pass() {
    let rules = json!([rule("http://a.test/x", &["GET"])]);
    let imported = imported(Some(&json!({ "authorizers": { "allow": { "enabled": true } } })), &rules).unwrap();
    assert!(imported.yaml.contains("access: deny"), "{}", imported.yaml);
    assert_eq!(imported.exit_code(), 3);
}
