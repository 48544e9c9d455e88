//! Files of tests, and the reports on them.

use expect_test::{Expect, expect};

use super::*;

const CONFIG: &str = r#"
kratos: { url: http://kratos:4433, serve: false }
login: https://login.example.com/
authenticators: { api: { jwt: { jwks: http://issuer, issuers: x } } }
authorizers: { keto: { keto: http://keto:4466 }, policy: { opa: http://opa:8181 } }
enrichers: { profile: { url: http://profiles } }
rules:
  - id: machines
    match: { hosts: [a.test], paths: [/machines/**] }
    authenticate: [session, { api: { scopes: [read] } }]
    headers: { X-User: "${subject}" }
    upstream: http://b:80
  - id: asks
    match: { hosts: [a.test], paths: [/asks/**] }
    enrich: profile
    require: { when: context.profile.plan == "gold" }
    authorize:
      - keto: { tuples: [{ namespace: n, object: o, relation: r, subject: a }, { namespace: n, object: o, relation: s, subject: a }] }
      - policy
    upstream: http://b:80
  - { id: open, match: { hosts: [a.test], paths: [/open/**] }, access: public, upstream: http://b:80 }
  - id: staff
    match: { hosts: [a.test], paths: [/staff/**] }
    access: session
    require: { when: identity.metadata_public.role == "admin" }
    headers: { X-User: "${identity.id}", X-Mail: "${identity.traits.email}" }
    upstream: http://b:80
"#;

/// Runs `tests` beside [`CONFIG`] and shows the report, or the faults; paths are cut.
fn check(tests: &str, expected: &Expect) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tests.yaml");
    std::fs::write(folder.path().join("portcullis.yaml"), CONFIG).unwrap();
    std::fs::write(&file, tests).unwrap();
    let shown = match run_rule_tests(&file) {
        Ok(report) => format!("{report}exit {}\n", report.exit_code()),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&shown.replace(&format!("{}/", folder.path().display()), ""));
}

#[test]
fn expectations_are_compared_with_what_the_gate_says() {
    check(
        r#"
config: portcullis.yaml
tests:
  - name: anyone may look
    request: { url: http://a.test/open/x, headers: { X-User: mallory, X-Other: kept } }
    session: none
    expect: { rule: open, outcome: permit, status: 200, refusal: null, headers: { X-User: null, X-Other: kept } }
  - name: staff must be admins
    request: { method: GET, url: http://a.test/staff/x }
    session: { identity: { metadata_public: { role: user } } }
    expect: { rule: staff, outcome: refuse, status: 403, refusal: forbidden }
  - name: admins pass and are named
    request: { method: POST, url: http://a.test/staff/x }
    session: { identity: { metadata_public: { role: admin }, traits: { email: ann@a.test } } }
    expect:
      status: 200
      headers: { X-User: 00000000-0000-4000-8000-000000000002, X-Mail: ann@a.test }
  - name: nobody is nobody
    request: { url: http://a.test/staff/x }
    session: none
    expect: { refusal: session_inactive, status: 401 }
  - name: a rule that must ask
    request: { url: http://a.test/staff/x }
    expect: { outcome: ask }
  - name: nothing there
    request: { url: http://a.test/nowhere }
    expect: { rule: null, refusal: no_rule }
"#,
        &expect![[r#"
            6 passed, 0 failed
            exit 0
        "#]],
    );
}

#[test]
fn tokens_can_be_supposed() {
    check(
        r#"
config: portcullis.yaml
tests:
  - name: machines are named by their tokens
    request: { url: http://a.test/machines/x }
    session: { token: { sub: robot, scope: read write } }
    expect: { rule: machines, outcome: permit, headers: { X-User: robot } }
  - name: not without the scope
    request: { url: http://a.test/machines/x }
    session: { token: { sub: robot } }
    expect: { refusal: forbidden }
  - name: no token where only sessions count
    request: { url: http://a.test/staff/x }
    session: { token: { sub: robot } }
    expect: { refusal: session_inactive }
"#,
        &expect![[r#"
            3 passed, 0 failed
            exit 0
        "#]],
    );
}

#[test]
fn what_services_would_answer_can_be_supposed() {
    let test = |answers: &str, expect: &str| {
        format!(
            "  - name: a case\n    request: {{ url: http://a.test/asks/x }}\n    session: {{}}\n    answers: {answers}\n    expect: {expect}\n"
        )
    };
    let tests = [
        test("{ profile: { plan: gold }, keto: allow, policy: allow }", "{ rule: asks, outcome: permit }"),
        test("{ profile: { plan: gold }, keto: allow, policy: deny }", "{ refusal: forbidden }"),
        test("{ profile: { plan: gold }, keto: silent }", "{ refusal: decision_unavailable, status: 503 }"),
        test("{ profile: { plan: tin } }", "{ refusal: forbidden }"),
        test("{ profile: { plan: gold }, keto: allow }", "{ outcome: ask }"),
        test("{ profile: maybe }", "{ outcome: ask }"),
    ];
    let good = format!("config: portcullis.yaml\ntests:\n{}", tests[..5].concat());
    check(
        &good,
        &expect![[r#"
        5 passed, 0 failed
        exit 0
    "#]],
    );
    check(
        &format!("config: portcullis.yaml\ntests:\n{}", tests[5]),
        &expect![[r#"
        tests.yaml:6:25: tests[0].answers.profile: `maybe` is none of `allow`, `deny` and `silent`, and no mapping
          6 |     answers: { profile: maybe }
            |                         ^
        1 fault
    "#]],
    );
}

#[test]
fn every_failure_is_told_with_what_came_instead() {
    check(
        r#"
config: portcullis.yaml
tests:
  - name: wrong in every way
    request: { url: http://a.test/open/x }
    session: down
    expect: { rule: staff, outcome: refuse, status: 503, refusal: kratos_unavailable, headers: { X-User: ann } }
  - name: right
    request: { url: http://a.test/staff/x }
    session: down
    expect: { status: 503 }
"#,
        &expect![[r#"
            tests.yaml:4: wrong in every way
              rule: expected staff, got open
              outcome: expected refuse, got permit
              status: expected 503, got 200
              refusal: expected kratos_unavailable, got none
              header X-User: expected ann, got none
            1 passed, 1 failed
            exit 1
        "#]],
    );
}

#[test]
fn faults_of_the_file_have_their_place() {
    check(
        r#"
config: portcullis.yaml
tests:
  - name: x
    request: { url: http://a.test/, metod: GET }
    session: nobody.json
    expect: { refusal: nope, outcome: maybe, status: 1000 }
  - expect: {}
"#,
        &expect![[r#"
            tests.yaml:5:37: tests[0].request.metod: unknown key `metod`
              5 |     request: { url: http://a.test/, metod: GET }
                |                                     ^
              help: did you mean `method`?
            tests.yaml:6:14: tests[0].session: `nobody.json` is none of `none`, `step-up`, `down`, and no file that can be read: No such file or directory (os error 2)
              6 |     session: nobody.json
                |              ^
            tests.yaml:7:24: tests[0].expect.refusal: `nope` is the id of no refusal
              7 |     expect: { refusal: nope, outcome: maybe, status: 1000 }
                |                        ^
            tests.yaml:7:39: tests[0].expect.outcome: `maybe` is none of `permit`, `refuse`, `ask`
              7 |     expect: { refusal: nope, outcome: maybe, status: 1000 }
                |                                       ^
            tests.yaml:7:54: tests[0].expect.status: `1000` is more than 599
              7 |     expect: { refusal: nope, outcome: maybe, status: 1000 }
                |                                                      ^
            tests.yaml:8:5: tests[1]: `name` is missing
              8 |   - expect: {}
                |     ^
            tests.yaml:8:5: tests[1]: `request` is missing
              8 |   - expect: {}
                |     ^
            7 faults
        "#]],
    );
}
