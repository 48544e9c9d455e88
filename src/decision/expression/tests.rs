//! Expressions as tables: what they give, what they read, what is refused.

use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};

use super::*;
use crate::decision::request::{Head, RequestView, Scheme};

/// The facts of a session as whoami tells it.
pub(crate) fn facts() -> Facts {
    let session = json!({
        "id": "9496bbd5-d0a3-4d6b-a12c-ddd7ba6d1d4f",
        "active": true,
        "authenticator_assurance_level": "aal1",
        "authentication_methods": [{ "method": "password" }, { "method": "totp" }],
        "identity": {
            "id": "5ba5ff9e-0b5a-4b4c-8e0f-9e7f6c1a1d11",
            "traits": { "email": "ann@example.com", "name": "Ann \u{e9}", "age": 41, "score": 1.5, "evil": "ad\nmin" },
            "metadata_public": { "role": "admin", "groups": ["a", "b"], "nothing": null, "big": 9007199254740993_i64 },
        },
    });
    let value = |json: &Json| cel::to_value(json).unwrap();
    Facts::new(value(&session), value(&session["identity"])).unwrap()
}

/// Runs `test` with the scope of a request to `/orders/a%20b?x=1`.
pub(crate) fn with_scope(facts: Option<&Facts>, test: impl FnOnce(&Scope<'_>)) {
    let mut headers = HeaderMap::new();
    headers.insert("host", "shop.example.com".parse().unwrap());
    headers.append("x-one", "first".parse().unwrap());
    headers.append("x-one", "second".parse().unwrap());
    let head = Head {
        method: &Method::POST,
        target: b"/orders/a%20b?x=1",
        authority: None,
        headers: &headers,
        scheme: Scheme::Https,
    };
    let request = RequestView::parse(head).unwrap();
    let captures = [("id".into(), "a b".into())];
    test(&Scope::new(facts, &request, &captures));
}

fn holds(source: &str, facts: Option<&Facts>) -> bool {
    let expression = Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut holds = false;
    with_scope(facts, |scope| holds = expression.holds(scope));
    holds
}

#[test]
fn true_holds_and_nothing_else_does() {
    let facts = facts();
    for source in [
        "true",
        "identity.metadata_public.role == 'admin' && size(session.authentication_methods) > 1",
        "session.identity.id == identity.id",
        "identity['metadata_public']['role'] == \"admin\"",
        "'b' in identity.metadata_public.groups",
        "session.authentication_methods.exists(m, m.method == 'totp')",
        "identity.traits.email.endsWith('@example.com')",
        "identity.traits.email.matches('^[a-z]+@')",
        "identity.traits.age >= 18",
        "request.method == 'POST' && request.host == 'shop.example.com'",
        "request.path == '/orders/a b' && request.query == 'x=1'",
        "request.headers['x-one'] == 'first, second'",
        "request.captures.id == 'a b'",
        "has(identity.traits.email) && !has(identity.traits.phone)",
        "type(identity.traits.email) == string",
    ] {
        assert!(holds(source, Some(&facts)), "{source}");
    }
    for source in [
        "false",
        "1",
        "'true'",
        "null",
        "identity.traits.unheard_of",
        "identity.traits.unheard_of == 'x'",
        "identity.traits.age == 'x'",
        "1 / 0 == 1",
        "request.headers['absent'] == ''",
        "session",
        "[true]",
    ] {
        assert!(!holds(source, Some(&facts)), "{source}");
    }
}

#[test]
fn without_a_session_it_is_null() {
    for source in ["session == null", "identity == null", "request.method == 'POST' || identity.id == 'x'"] {
        assert!(holds(source, None), "{source}");
    }
    for source in ["identity.id == 'x'", "session.active", "size(identity) > 0", "identity != null"] {
        assert!(!holds(source, None), "{source}");
    }
}

#[test]
fn without_a_request_it_is_null() {
    let facts = facts();
    let scope = Scope::of_session(Some(&facts));
    assert!(Expression::compile("request == null").unwrap().holds(&scope));
    assert!(!Expression::compile("request.method == 'POST'").unwrap().holds(&scope));
}

#[test]
fn what_is_read_is_noted() {
    let none = Reads::default();
    let session = Reads { session: true, ..none };
    let request = Reads { request: true, ..none };
    let traits = Reads { traits: true, ..session };
    for (source, reads) in [
        ("true", none),
        ("[1, 2].exists(x, x == 1)", none),
        ("session.active", session),
        ("identity.metadata_public.role", session),
        ("identity.traits.email", traits),
        ("identity['traits']", traits),
        ("session.identity.traits.email", traits),
        ("has(identity.traits.email)", traits),
        ("'traits' == identity.id", session),
        ("request.path", request),
        ("request.captures.traits", request),
        ("identity.id == request.captures.id", Reads { request: true, ..session }),
        ("session.authentication_methods.exists(m, m.method == 'totp')", session),
        ("{'a': identity.id}", session),
        ("true ? request.path : identity.id", Reads { request: true, ..session }),
    ] {
        assert_eq!(Expression::compile(source).unwrap().reads(), reads, "{source}");
    }
}

#[test]
fn what_no_request_has_is_refused_when_it_is_compiled() {
    let unknown = |name: &str| ExpressionError::UnknownName { name: name.to_owned() };
    for (source, error) in [
        ("", ExpressionError::Empty),
        (" \n", ExpressionError::Empty),
        ("user.id == 'x'", unknown("user")),
        ("Session.active", unknown("Session")),
        ("[1].exists(x, y == 1)", unknown("y")),
        ("[1].exists(x, x == 1) && x == 1", unknown("x")),
        ("true || nobody", unknown("nobody")),
        ("identity.metadata_admin.role == 'x'", ExpressionError::NeverTold("metadata_admin".to_owned())),
        ("identity['metadata_admin']", ExpressionError::NeverTold("metadata_admin".to_owned())),
        ("has(session.identity.metadata_admin)", ExpressionError::NeverTold("metadata_admin".to_owned())),
        ("identity.credentials.password", ExpressionError::NeverTold("credentials".to_owned())),
    ] {
        assert_eq!(Expression::compile(source).unwrap_err(), error, "{source}");
    }
    // Names are only refused where whoami would have to tell them.
    for source in ["request.captures.credentials == 'x'", "identity.id == 'credentials'"] {
        assert!(Expression::compile(source).is_ok(), "{source}");
    }
}

#[test]
fn a_slip_is_told_with_its_place() {
    for (source, offset, reason) in [
        ("identity.id ==", 14, "it ends too early"),
        ("identity.id == && true", 15, "unexpected '&&'"),
        ("(true", 5, "missing ')' at the end"),
        ("'caf\u{e9}' == )", 11, "unexpected ')'"),
        ("true &&\n)", 8, "unexpected ')'"),
    ] {
        let error = Expression::compile(source).unwrap_err();
        assert_eq!(error.offset(), offset, "{source}: {error}");
        assert!(error.to_string().contains(reason), "{source}: {error}");
    }
}

#[test]
fn expressions_are_bounded() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::compile(&nested(8)).is_ok());
    assert_eq!(Expression::compile(&nested(9)).unwrap_err(), ExpressionError::TooDeep);
    assert_eq!(Expression::compile(&format!("{}true", "!".repeat(100))).unwrap_err(), ExpressionError::TooDeep);
    let long = format!("identity.id == '{}'", "x".repeat(MAX_LENGTH));
    assert_eq!(Expression::compile(&long).unwrap_err(), ExpressionError::TooLong);
    let loops = |depth: usize| (0..depth).fold("true".to_owned(), |inner, at| format!("[1].all(x{at}, {inner})"));
    assert!(Expression::compile(&loops(2)).is_ok());
    assert_eq!(Expression::compile(&loops(3)).unwrap_err(), ExpressionError::TooManyLoops);
}

#[test]
fn whatever_is_written_the_stack_of_a_worker_is_enough() {
    let repeated = |piece: &str, end: &str| format!("{}{end}", piece.repeat((MAX_LENGTH - end.len()) / piece.len()));
    let mut sources = Vec::new();
    for (open, close) in [("(", ")"), ("[", "]"), ("size(", ")"), ("{1: ", "}"), ("[1].all(x, ", ")")] {
        sources.extend([8, 200].map(|depth| format!("{}true{}", open.repeat(depth), close.repeat(depth))));
    }
    for piece in ["true || ", "true && ", "1+", "1==", "true?1:", "!", "-", "1<", "'a'+"] {
        sources.push(repeated(piece, "true"));
        sources.push(format!("{}true", piece.repeat(30)));
    }
    for piece in [".a", "[0]", ".a()", ".size()"] {
        sources.push(format!("identity{}", piece.repeat((MAX_LENGTH - 8) / piece.len())));
        sources.push(format!("identity{}", piece.repeat(30)));
    }
    // Where it is not optimised, as here, every frame is several times larger.
    let worker = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for source in &sources {
            if let Ok(expression) = Expression::compile(source) {
                expression.holds(&Scope::of_session(None));
            }
        }
    });
    worker.unwrap().join().unwrap();
}
