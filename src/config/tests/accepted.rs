//! What a configuration means that has no fault: shorthands, defaults, the environment, warnings.

use std::time::Duration;

use super::{certificate, compile_files, good};
use crate::config::{Config, UiTheme};
use crate::decision::rule::{Access, OnOutage, Rule, Target};
use crate::decision::session::Aal;
use crate::decision::upstream::{Balance, EndpointScheme, Timeouts, Upstream};
use crate::ops::settings::Statuses;
use crate::signing::keys::{KeyKind, generate};

fn rule<'c>(config: &'c Config, id: &str) -> &'c Rule {
    config.policy.rules.iter().find(|rule| &*rule.id == id).unwrap()
}

fn upstream<'c>(config: &'c Config, id: &str) -> &'c Upstream {
    match &rule(config, id).target {
        Some(Target::Service(upstream)) => upstream,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn warned(config: &Config, expected: &[(&str, &str)]) {
    let told = config.warnings.iter().map(|warning| (warning.path.as_str(), warning.message.as_str()));
    let told = told.collect::<Vec<_>>();
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((path, message), (expected_path, piece)) in told.iter().zip(expected) {
        assert_eq!(path, expected_path, "{told:?}");
        assert!(message.contains(piece), "{told:?}");
    }
}

#[test]
fn a_bare_value_stands_for_its_section() {
    let config = good(
        "listen: 0.0.0.0:80\nops: 127.0.0.1:81\ndecisions: 127.0.0.1:82\nkratos: https://kratos\nlogin: /welcome\nui: /pages\n\
         upstreams:\n  orders: http://a:8080\n  paid: { endpoints: https://b, health_check: /healthz }\n\
         rules:\n- { id: one, match: { paths: /one }, upstream: orders }\n\
         - { id: two, match: { paths: /two }, upstream: 'h2c://[::1]:50051' }\n\
         - { id: three, match: { paths: /three }, upstream: { endpoints: http://c, balance: least_requests } }\n\
         - { id: four, match: { paths: /four }, upstream: paid }",
    );
    let settings = &config.settings;
    assert_eq!(settings.listen.address.to_string(), "0.0.0.0:80");
    assert_eq!(settings.ops.address.to_string(), "127.0.0.1:81");
    assert_eq!(settings.decisions.address, Some("127.0.0.1:82".parse().unwrap()));
    assert_eq!(settings.sessions.kratos.as_str(), "https://kratos/");
    assert_eq!(settings.ui.as_ref().unwrap().path_prefix, "/pages");
    assert_eq!(&*config.policy.login.url, "/welcome");
    let authority = |id| upstream(&config, id).endpoints[0].authority();
    assert_eq!(authority("one"), "a:8080");
    assert_eq!(authority("two"), "[::1]:50051");
    assert_eq!(upstream(&config, "two").endpoints[0].scheme, EndpointScheme::H2c);
    assert_eq!((authority("three").as_str(), &*upstream(&config, "three").name), ("c", "three"));
    assert_eq!(upstream(&config, "three").balance, Balance::LeastRequests);
    assert_eq!(authority("four"), "b");
    assert_eq!(upstream(&config, "four").health_check.as_ref().unwrap().interval, Duration::from_secs(5));
    warned(&config, &[]);
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let config = good("kratos: http://k\nupstreams: { a: http://a }\nrules: [{ id: a, upstream: a }]");
    let settings = &config.settings;
    assert_eq!(settings.listen, Default::default());
    assert_eq!(settings.ops, Default::default());
    assert_eq!(settings.decisions, Default::default());
    assert_eq!(settings.sessions, crate::sessions::settings::Settings::new("http://k".parse().unwrap()));
    assert!(settings.serve_kratos && !settings.embedded && settings.ui.is_none());
    let policy = &config.policy;
    assert_eq!(policy.generation, 7);
    assert_eq!(policy.identity_header.name, "x-kratos-authenticated-identity-id");
    assert_eq!(&*policy.login.url, "/self-service/login/browser");
    assert_eq!(policy.sources, Default::default());
    assert_eq!(upstream(&config, "a").timeouts, Timeouts::default());
    assert!(matches!(&rule(&config, "a").access, Access::Session(demands) if *demands == Default::default()));
    assert_eq!(policy.reserved.len(), 1);
    assert_eq!(&*policy.reserved[0].id, "kratos");
}

#[test]
fn the_reference_says_what_its_comments_say() {
    let defaults = good("kratos: http://127.0.0.1:4433\nrules: [{ id: a }]");
    let reference = super::schema::uncommented(include_str!("../../../config/reference.yaml"));
    let key = || generate(KeyKind::Es256).unwrap();
    let config = compile_files(&[
        ("config.yaml", &reference),
        ("kratos-ca.pem", ""),
        ("services-ca.pem", ""),
        ("keys/2026-11.pem", &key()),
        ("keys/2026-05.pem", &key()),
    ]);
    let config = config.unwrap_or_else(|faults| panic!("{reference}\n{faults}"));
    // The keys that the file sets on purpose are put back; all others are written with their default.
    let mut listen = config.settings.listen.clone();
    (listen.max_body_size, listen.threads) = (None, defaults.settings.listen.threads);
    assert_eq!(listen, defaults.settings.listen);
    assert_eq!(config.settings.sessions, defaults.settings.sessions);
    assert_eq!(config.settings.ops, defaults.settings.ops);
    let mut decisions = config.settings.decisions.clone();
    (decisions.address, decisions.grpc) = (None, None);
    assert_eq!(decisions, defaults.settings.decisions);
    assert_eq!(config.policy.sources, defaults.policy.sources);
    assert_eq!(config.policy.identity_header.spelling, defaults.policy.identity_header.spelling);
    assert_eq!(upstream(&config, "orders").timeouts, Timeouts::default());
    assert_eq!(config.settings.ui.map(|ui| (ui.path_prefix, ui.theme)), Some(("/ui".into(), UiTheme::Auto)));
}

#[test]
fn decisions_for_other_machines_need_to_be_told_which() {
    let rules = "rules: [{ id: a }]";
    let config = good(&format!(
        "decisions: {{ address: 0.0.0.0:1, grpc: '[::]:2', trusted_proxies: 10.0.0.0/8, statuses: nginx }}\n{rules}"
    ));
    let decisions = &config.settings.decisions;
    assert_eq!(decisions.grpc, Some("[::]:2".parse().unwrap()));
    assert_eq!(decisions.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(decisions.statuses, Statuses::Nginx);
    warned(&config, &[]);
    let deaf = "decisions are made for other machines, but only proxies on this one are trusted";
    warned(&good(&format!("decisions: 0.0.0.0:1\n{rules}")), &[("decisions", deaf)]);
    warned(&good(&format!("decisions: {{ address: 127.0.0.1:1, grpc: 0.0.0.0:2 }}\n{rules}")), &[("decisions", deaf)]);
}

#[test]
fn the_environment_is_read_everywhere_but_in_expressions() {
    let config = good(
        "kratos: { url: '${KRATOS}', serve: '${SERVE:-false}', hosts: '${HOST:-a.b}' }\n\
         ops: { token: '${EMPTY}' }\nsessions: { ttl: '${TTL}', max_entries: '${MAX:-5}' }\n\
         rules: [{ id: '${ID:-a}', match: { paths: '/${P:-x}/{name}' }, headers: { X-A: '$${KRATOS}' } }]",
    );
    assert_eq!(config.settings.sessions.kratos.as_str(), "http://kratos:4433/");
    assert_eq!(config.settings.sessions.ttl, Duration::from_secs(45));
    assert_eq!(config.settings.sessions.refresh_after, Duration::from_secs(30));
    assert_eq!(config.settings.sessions.max_entries, 5);
    assert!(!config.settings.serve_kratos && config.policy.reserved.is_empty());
    assert!(config.settings.ops.token.is_none());
    let header = &rule(&config, "a").headers[0];
    let value = header.render(&crate::decision::expression::Scope::of_session(None)).unwrap();
    assert_eq!(value, "${KRATOS}");
}

#[test]
fn words_that_yaml_once_took_for_booleans_stay_words() {
    let config = good(
        "upstreams: { 'no': http://on:80 }\nui: { brand: no }\n\
         rules: [{ id: on, match: { paths: /off }, upstream: no }, { id: 1e3, match: { paths: /y } }, { id: 0x10, match: { paths: /z } }]",
    );
    assert_eq!(&*upstream(&config, "on").name, "no");
    assert_eq!(config.settings.ui.as_ref().unwrap().brand, "no");
    assert_eq!(&*rule(&config, "1e3").id, "1e3");
    assert_eq!(&*rule(&config, "0x10").id, "0x10");
}

#[test]
fn embedded_is_the_development_server() {
    let config = good("kratos: { url: embedded }");
    assert!(config.settings.embedded);
    assert_eq!(config.settings.sessions.kratos.as_str(), "http://127.0.0.1:4433/");
}

#[test]
fn private_authorities_are_read() {
    let (certificate, key) = certificate();
    let config = compile_files(&[
        (
            "etc/config.yaml",
            "kratos: { url: https://k, ca: ca.pem }\nlisten: { tls: { certificate: ca.pem, key: tls.key } }\n\
             upstreams: { a: { endpoints: https://a, ca: ca.pem } }\nrules: { id: a, upstream: a }",
        ),
        ("etc/ca.pem", &certificate),
        ("etc/tls.key", &key),
    ])
    .unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.settings.sessions.authority.as_deref(), Some(certificate.as_bytes()));
    assert_eq!(upstream(&config, "a").authority.as_deref(), Some(certificate.as_bytes()));
    assert_eq!(config.settings.listen.tls.unwrap().key, std::path::Path::new("etc/tls.key"));
    let files = config.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    assert_eq!(files, ["etc/ca.pem", "etc/config.yaml", "etc/tls.key"]);
}

#[test]
fn everything_that_a_rule_can_say_is_understood() {
    let config = good(
        "rules:\n- id: all\n  match: { hosts: a.b, schemes: https, methods: GET, paths: /x, allow: [encoded_slash, parameters] }\n\
         \x20 require: { aal: aal2, authenticated_within: 15m, checked_within: 0s, verified: true, when: request.method == 'GET' }\n\
         \x20 headers: { X-Email: '${identity.traits.email}', X-Static: 7 }\n\
         - { id: maybe, match: { paths: /maybe }, access: optional, on_outage: anonymous }\n\
         - { id: written-out, match: { paths: /written-out, allow: [] }, access: session, on_outage: refuse }\n\
         - { id: never, match: { paths: /never }, access: deny }",
    );
    let Access::Session(demands) = &rule(&config, "all").access else { panic!() };
    assert_eq!(demands.aal, Aal::Aal2);
    assert_eq!(demands.authenticated_within, Some(Duration::from_secs(900)));
    assert_eq!(demands.checked_within, Some(Duration::ZERO));
    assert!(demands.verified);
    assert_eq!(rule(&config, "all").when.as_ref().unwrap().source(), "request.method == 'GET'");
    assert_eq!(rule(&config, "all").headers.len(), 2);
    assert!(matches!(rule(&config, "maybe").access, Access::Optional { on_outage: OnOutage::Anonymous }));
    assert!(matches!(rule(&config, "never").access, Access::Deny));
    for owned in ["x-email", "x-static", "x-kratos-authenticated-identity-id"] {
        assert!(config.policy.owned.stamped.contains(&http::HeaderName::from_static(owned)), "{owned}");
    }
}

#[test]
fn files_of_rules_are_read_in_order_and_sorted_by_bytes() {
    let one = |id: &str| format!("- {{ id: {id}, match: {{ paths: /{id} }} }}\n");
    let config = compile_files(&[
        ("etc/config.yaml", "kratos: http://k\nrules: [{ id: first }]\nlogin: https://login.example\nrule_files: [z.yaml, rules/*.yaml]"),
        ("etc/rules/b.yaml", &one("b")),
        ("etc/rules/B.yaml", &one("B")),
        ("etc/rules/a.yaml", &one("a")),
        ("etc/rules/empty.yaml", "# nothing yet\n"),
        ("etc/rules/deep/c.yml", &one("c")),
        ("etc/z.yaml", &one("z")),
    ])
    .unwrap_or_else(|faults| panic!("{faults}"));
    let ids = config.policy.rules.iter().map(|rule| &*rule.id).collect::<Vec<_>>();
    assert_eq!(ids, ["first", "z", "B", "a", "b"]);
    assert_eq!(config.patterns, ["etc/rules/*.yaml"]);
    assert!(config.files.contains(&"etc/rules/empty.yaml".into()));
}

#[test]
fn the_prefix_of_kratos_moves_its_paths_and_the_login() {
    let config = good(
        "kratos: { url: http://k, path_prefix: /.ory }\nrules: [{ id: a, match: { paths: [/self-service/x, /a] } }]",
    );
    assert_eq!(&*config.policy.login.url, "/.ory/self-service/login/browser");
    assert_eq!(&*config.policy.kratos_prefix, "/.ory");
}

#[test]
fn anchors_are_understood() {
    let config = good(
        "rules:\n- { id: a, match: { paths: /a }, headers: &h { X-A: b } }\n- { id: b, match: { paths: /b }, headers: *h }",
    );
    assert_eq!(rule(&config, "b").headers.len(), 1);
}

#[test]
fn what_is_doubtful_is_warned_of() {
    warned(&good("kratos: http://k"), &[("", "there are no rules")]);
    warned(&good("ops: 0.0.0.0:1\nrules: { id: a }"), &[("ops", "no token guards it")]);
    warned(&good("ops: { address: 0.0.0.0:1, token: x }\nrules: { id: a }"), &[]);
    warned(&good("upstreams: { a: http://a }\nrules: { id: a }"), &[("upstreams.a", "no rule uses")]);
    warned(
        &good("rules: { id: a, require: { when: identity.traits.admin } }"),
        &[("rules.require.when", "users may edit")],
    );
    warned(&good("rule_files: none/*.yaml\nrules: { id: a }"), &[("rule_files", "no file matches")]);
    warned(
        &good("rules: { id: a, headers: { Accept: text/html } }"),
        &[("rules.headers.Accept", "loses its own `Accept`")],
    );
    warned(
        &good("rules: { id: a, match: { paths: [/a, { regex: 'x' }] } }"),
        &[("rules.match.paths[1]", "rule `a`: `x` can never match")],
    );
}

#[test]
fn a_login_that_is_not_behind_a_session_is_fine() {
    for text in [
        "rules: [{ id: a }, { id: b, match: { paths: /welcome }, access: public }]\nlogin: /welcome",
        "rules: [{ id: a, access: optional }]\nlogin: /welcome",
        "rules: [{ id: a }]\nlogin: https://elsewhere.example/welcome",
        "rules: [{ id: a }]\nui: /ui\nlogin: /ui/login",
        "rules: [{ id: a, match: { hosts: x.y } }]\nlogin: https://login.x.y/",
    ] {
        good(text);
    }
}

#[test]
fn what_changes_nothing_is_warned_of() {
    let config = good(
        "kratos: http://k\nrules:\n- { id: a, match: { paths: /a }, rewrite: { add_prefix: /v2 }, response_headers: { X-A: b } }\n\
         - { id: b, match: { paths: /b }, upstream: http://b, on_refusal: [{ status: [401, 503], error: no_rule, then: www_authenticate, realm: r }] }\n\
         - { id: c, match: { paths: '/ap%69/**' }, upstream: http://c, rewrite: { strip_prefix: /api } }",
    );
    warned(
        &config,
        &[
            ("rules[0].rewrite", "the rule has no `upstream`"),
            ("rules[0].response_headers", "the rule has no `upstream`"),
            ("rules[1].on_refusal[0].status", "no challenge answers `503`"),
            ("rules[1].on_refusal[0].error", "no challenge answers `no_rule`"),
        ],
    );
}

#[test]
fn keys_in_a_file_are_few_and_public() {
    let text = "kratos: http://k\nauthenticators: { a: { jwt: { jwks: keys.json, issuers: i } } }\nrules: [{ id: a, authenticate: a }]";
    let (public, private) =
        (r#""kty":"OKP","crv":"Ed25519","x":"dGhpcyBpcyBub3QgYSByZWFsIGtleSBidXQgMzIgYi4""#, r#","d":"x""#);
    let compiled = |keys: &[String]| {
        let document = format!("{{\"keys\":[{}]}}", keys.join(","));
        compile_files(&[("config.yaml", text), ("keys.json", &document)])
    };
    warned(&compiled(&[format!("{{{public}}}")]).unwrap(), &[]);
    let config = compiled(&[format!("{{{public}}}"), format!("{{{public}{private}}}")]).unwrap();
    warned(&config, &[("authenticators.a.jwt.jwks", "holds private keys")]);
    let faults = compiled(&vec![format!("{{{public}}}"); 101]).err().unwrap().to_string();
    assert!(faults.contains("holds 101 keys; 100 are the most"), "{faults}");
}
