//! Header templates as tables: what they render, and what is refused.

use super::*;
use crate::decision::expression::tests::{facts, with_scope};

#[track_caller]
fn renders(template: &str, expected: Option<&str>) {
    let facts = facts();
    let header = HeaderTemplate::parse("X-Test", template).unwrap_or_else(|error| panic!("{template}: {error}"));
    with_scope(Some(&facts), |scope| {
        let value = header.render(scope);
        let value = value.as_ref().map(|value| std::str::from_utf8(value.as_bytes()).unwrap());
        assert_eq!(value, expected, "{template}");
    });
}

#[test]
fn holes_print_what_they_hold() {
    for (template, value) in [
        ("plain", "plain"),
        ("", ""),
        ("${identity.traits.email}", "ann@example.com"),
        ("<${identity.traits.email}> ${request.method}", "<ann@example.com> POST"),
        ("${identity.traits.name}", "Ann \u{e9}"),
        ("${identity.traits.age}", "41"),
        ("${identity.metadata_public.big}", "9007199254740993"),
        ("${identity.traits.score}", "1.5"),
        ("${session.active}", "true"),
        ("${identity.metadata_public.groups}", "[\"a\",\"b\"]"),
        ("${session.authentication_methods[0]}", "{\"method\":\"password\"}"),
        ("${{'a': 1}}", "{\"a\":1}"),
        ("${request.captures.id}", "a b"),
        ("${has(identity.traits.phone) ? identity.traits.phone : 'none'}", "none"),
        ("${identity.id}${identity.traits.age}", "5ba5ff9e-0b5a-4b4c-8e0f-9e7f6c1a1d1141"),
    ] {
        renders(template, Some(value));
    }
}

#[test]
fn braces_and_dollars_stand_where_they_mean_something_else() {
    for (template, value) in [
        ("${'}'}", "}"),
        ("${\"}{\"}", "}{"),
        ("${'a\\'}'}", "a'}"),
        ("${{'a': {'b': 1}}.a.b}", "1"),
        ("$${identity.id}", "${identity.id}"),
        ("$$${identity.traits.age}", "$${identity.traits.age}"),
        ("$", "$"),
        ("5$ and $x", "5$ and $x"),
        ("}{", "}{"),
        ("cost: $${'}${'$'}", "cost: ${'}$"),
    ] {
        renders(template, Some(value));
    }
}

#[test]
fn what_has_no_value_leaves_the_header_unset() {
    for template in [
        "${identity.traits.phone}",
        "a ${identity.traits.phone} b",
        "${identity.metadata_public.nothing}",
        "${null}",
        "${identity.traits.age + 'x'}",
        "${request.headers['absent']}",
        // A control character is not taken out: `ad\nmin` must not become `admin`.
        "${identity.traits.evil}",
        "a ${identity.traits.evil}",
        "${'a\\tb'}",
        "${'a\\u0000b'}",
        "${'a\\u0085b'}",
    ] {
        renders(template, None);
    }
}

#[test]
fn without_a_session_its_holes_are_empty() {
    let header = HeaderTemplate::parse("X-Test", "${identity.id}").unwrap();
    with_scope(None, |scope| assert_eq!(header.render(scope), None));
    let header = HeaderTemplate::parse("X-Test", "${identity == null ? 'anonymous' : identity.id}").unwrap();
    with_scope(None, |scope| assert_eq!(header.render(scope).unwrap(), "anonymous"));
}

#[test]
fn what_is_no_template_is_refused() {
    let refused = |name: &str, template: &str| HeaderTemplate::parse(name, template).unwrap_err();
    for template in ["${", "a ${identity.id", "${'}", "${{'a': 1}", "${(}"] {
        let error = refused("X-Test", template);
        assert!(matches!(error, TemplateError::Unclosed | TemplateError::Hole { .. }), "{template}: {error}");
    }
    for (template, at) in [("${}", 2), ("ab ${nobody}", 5), ("${identity.id} ${identity.metadata_admin}", 17)] {
        match refused("X-Test", template) {
            TemplateError::Hole { at: found, .. } => assert_eq!(found, at, "{template}"),
            error => panic!("{template}: {error}"),
        }
    }
    for template in ["a\nb", "a\r\nX-Other: b", "a\0", "\t"] {
        assert_eq!(refused("X-Test", template), TemplateError::ControlCharacter, "{template:?}");
    }
    for name in ["", "X Test", "X:Test", "X\u{e9}", "X-Test\n"] {
        assert_eq!(refused(name, "x"), TemplateError::Name(name.to_owned()));
    }
}

#[test]
fn reads_are_those_of_all_holes() {
    let reads = |template| HeaderTemplate::parse("X-Test", template).unwrap().reads();
    assert_eq!(reads("plain"), Reads::default());
    let all = Reads { session: true, request: true, context: false, traits: true };
    assert_eq!(reads("${identity.traits.email} ${request.path}"), all);
}
