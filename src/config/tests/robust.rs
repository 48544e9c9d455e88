//! Whatever stands in the file, the compiler answers, and soon.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{compile_files, compile_text};

/// Pieces of configurations, whole and broken.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "kratos",
            "rules",
            "id",
            "match",
            "paths",
            "hosts",
            "access",
            "require",
            "when",
            "headers",
            "upstreams",
            "listen",
            "tls",
            "rule_files",
            ":",
            ": ",
            "\n",
            "\n  ",
            "\n    - ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\"",
            "'",
            "|",
            ">",
            "&a ",
            "*a",
            "<<: ",
            "!!str ",
            "? ",
            "#",
            "---\n",
            "...",
            "\t",
            "~",
            "null",
            "true",
            "/",
            "/**",
            "http://k",
            "${",
            "}",
            "${A:-",
            "$${",
            "session.x",
            "1",
            "30s",
            "\u{feff}",
            "é",
            "\0",
            "\r\n",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(pieces in prop::collection::vec(piece(), 0..40)) {
        if let Err(faults) = compile_text(&pieces.concat()) {
            assert!(!faults.to_string().is_empty());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let read = |_: &std::path::Path| Ok(bytes.clone());
        let list = |_: &str| Ok(Vec::new());
        let files = crate::config::Files { read: &read, list: &list };
        let _ = crate::config::compile("config.yaml".as_ref(), &files, &Default::default());
    }

    #[test]
    fn no_value_makes_it_panic(
        key in prop::sample::select(vec![
            "listen", "ops", "kratos", "sessions", "login", "identity_header", "ui", "upstreams", "rules", "rule_files",
        ]),
        value in prop_oneof![Just("x".to_owned()), piece(), any::<String>()],
    ) {
        let text = format!("{key}: {}\n", serde_json::Value::String(value));
        if let Err(faults) = compile_text(&text) {
            assert!(faults.iter().len() > 0);
        }
    }
}

#[test]
fn an_alias_bomb_is_refused_before_it_grows() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        let _ = writeln!(text, "a{level}: &a{level} [{}]", below.trim_end_matches(", "));
    }
    let started = Instant::now();
    let told = compile_text(&text).err().unwrap().to_string();
    assert!(told.contains("aliases stand for more than"), "{told}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(10_000), "{a: ".repeat(10_000), "- ".repeat(10_000), "? ".repeat(10_000)] {
        assert!(compile_files(&[("config.yaml", &text)]).is_err());
    }
}

#[test]
fn many_rules_compile_in_time_that_grows_with_their_number() {
    let text = |count: usize| {
        let mut text = "kratos: http://k\nupstreams: { a: http://a }\nrules:\n".to_owned();
        for number in 0..count {
            let _ = writeln!(
                text,
                "  - {{ id: r{number}, match: {{ hosts: h{}.example, methods: [GET, POST], paths: [/api/{number}/**, '/x/{number}/{{id}}'] }}, \
                 access: session, upstream: a }}",
                number % 100
            );
        }
        text
    };
    let time = |count| {
        let text = text(count);
        let started = Instant::now();
        assert!(compile_files(&[("config.yaml", &text)]).is_ok());
        started.elapsed()
    };
    let (few, many) = (time(1000), time(10_000));
    // Ten times the rules in at most thirty times the time: far from the hundred of a square.
    assert!(many < few * 30 + Duration::from_secs(1), "{few:?} and {many:?}");
}
