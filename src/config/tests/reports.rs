//! What people see: whole reports, word by word.

use expect_test::{Expect, expect};

use super::compile_files;

fn check(files: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&compile_files(files).err().unwrap().to_string());
}

#[test]
fn typing_errors() {
    let text = "\
listen: localhost:4455
kratos:
  url: http://kratos:4433
  session_cookies: ory_kratos_session
sessions: { ttl: 30 }
upstream:
  orders: http://10.0.0.1:8080
";
    check(
        &[("config.yaml", text)],
        expect![[r#"
        config.yaml:1:9: listen: `localhost:4455` is not an address and a port like `127.0.0.1:4455` or `[::]:4455`
          1 | listen: localhost:4455
            |         ^
          help: did you mean `127.0.0.1:4455`?
        config.yaml:4:3: kratos.session_cookies: unknown key `session_cookies`
          4 |   session_cookies: ory_kratos_session
            |   ^
          help: did you mean `session_cookie`?
        config.yaml:5:18: sessions.ttl: `30` has no unit
          5 | sessions: { ttl: 30 }
            |                  ^
          help: did you mean `30s`?
        config.yaml:6:1: upstream: unknown key `upstream`
          6 | upstream:
            | ^
          help: did you mean `upstreams`?
        4 faults"#]],
    );
}

#[test]
fn rules_that_do_not_fit_together() {
    let text = "\
kratos: http://kratos:4433
upstreams:
  orders: http://10.0.0.1:8080
rules:
  - id: orders
    match: { paths: [/api/orders/**] }
    upstream: order
  - id: old-orders
    match: { methods: [GET], paths: [/api/orders/**] }
    access: public
    require: { aal: aal2 }
    upstream: orders
rule_files: rules.d/*.yaml
";
    let more = "- id: orders\n  match: { paths: /more }\n";
    check(
        &[("config.yaml", text), ("rules.d/more.yaml", more)],
        expect![[r#"
        config.yaml:7:15: rules[0].upstream: there is no upstream `order`
          7 |     upstream: order
            |               ^
          help: did you mean `orders`?
        config.yaml:9:38: rules[1].match.paths[0]: the rules `orders` and `old-orders` both own `/api/orders/**` on host `*` for a method and scheme that both list; the other stands in line 6
          9 |     match: { methods: [GET], paths: [/api/orders/**] }
            |                                      ^
        config.yaml:11:16: rules[1].require.aal: `aal` is for rules with `access: session`
          11 |     require: { aal: aal2 }
             |                ^
        rules.d/more.yaml:1:7: rules[0].id: another rule is called `orders`, at config.yaml:5
          1 | - id: orders
            |       ^
        4 faults"#]],
    );
}

#[test]
fn expressions() {
    let text = "\
kratos: http://kratos:4433
rules:
  - id: orders
    match: { paths: /orders }
    require:
      when: identity.id == \"a\" && && true
    headers:
      X-User: \"${identity.traits.email} (${user.id})\"
      Host: example.com
      X-Role: ${identity.metadata_admin.role}
";
    check(
        &[("config.yaml", text)],
        expect![[r#"
            config.yaml:6:35: rules[0].require.when: not an expression: unexpected '&&'
              6 |       when: identity.id == "a" && && true
                |                                   ^
            config.yaml:8:44: rules[0].headers.X-User: in `${user.id}`: unknown name `user`: an expression may read `session`, `identity`, `subject`, `claims`, `context` and `request`
              8 |       X-User: "${identity.traits.email} (${user.id})"
                |                                            ^
            config.yaml:9:7: rules[0].headers.Host: `Host` belongs to the connection and is not for a rule to set
              9 |       Host: example.com
                |       ^
            config.yaml:10:17: rules[0].headers.X-Role: in `${identity.metadata_admin.role}`: the expression never has a value: whoami does not tell `metadata_admin`
              10 |       X-Role: ${identity.metadata_admin.role}
                 |                 ^
            4 faults"#]],
    );
}

#[test]
fn two_owners_in_two_files() {
    let config = "kratos: http://kratos:4433\nrule_files: [a.yaml, b.yaml]\n";
    let one = "- id: one\n  match: { hosts: a.example, paths: '/x/{id}' }\n";
    let two = "- id: two\n  match: { hosts: a.example, paths: '/x/*' }\n";
    check(
        &[("config.yaml", config), ("a.yaml", one), ("b.yaml", two)],
        expect![[r#"
            b.yaml:2:37: rules[0].match.paths: the rules `one` and `two` both own `/x/*` on host `a.example` for a method and scheme that both list; the other stands at a.yaml:2
              2 |   match: { hosts: a.example, paths: '/x/*' }
                |                                     ^
            1 fault"#]],
    );
}
