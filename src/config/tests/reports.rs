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
    check(&[("config.yaml", text)], expect![[]]);
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
    check(&[("config.yaml", text), ("rules.d/more.yaml", more)], expect![[]]);
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
    check(&[("config.yaml", text)], expect![[]]);
}

#[test]
fn two_owners_in_two_files() {
    let config = "kratos: http://kratos:4433\nrule_files: [a.yaml, b.yaml]\n";
    let one = "- id: one\n  match: { hosts: a.example, paths: '/x/{id}' }\n";
    let two = "- id: two\n  match: { hosts: a.example, paths: '/x/*' }\n";
    check(&[("config.yaml", config), ("a.yaml", one), ("b.yaml", two)], expect![[]]);
}
