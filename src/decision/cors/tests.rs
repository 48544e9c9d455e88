//! Origins that are listed and origins that are not, and what each is told.

use super::*;

/// What a rule with these origins tells a page of `origin`, with credentials or without.
fn told(origins: &[&str], credentials: bool, origin: &'static str) -> Vec<String> {
    let cors = cors(origins, credentials);
    words(cors.answer(Some(&HeaderValue::from_static(origin))))
}

fn cors(origins: &[&str], credentials: bool) -> Cors {
    Cors {
        origins: origins.iter().map(|origin| OriginPattern::parse(origin).unwrap()).collect(),
        methods: Methods::of([Method::GET, Method::PUT]),
        headers: HeaderValue::from_static("content-type"),
        expose: None,
        credentials,
        max_age: None,
    }
}

fn words(headers: AnswerHeaders) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

#[test]
fn an_origin_is_told_itself_where_it_is_listed() {
    for (pattern, origin, listed) in [
        ("https://spa.example.com", "https://spa.example.com", true),
        ("HTTPS://SPA.example.com", "https://spa.example.com", true),
        ("https://spa.example.com:443", "https://spa.example.com", true),
        ("http://localhost:3000", "http://localhost:3000", true),
        ("http://[::1]:3000", "http://[::1]:3000", true),
        ("https://spa.example.com", "http://spa.example.com", false),
        ("https://spa.example.com", "https://spa.example.com:8443", false),
        ("https://spa.example.com", "https://spa.example.com.evil.example", false),
        ("https://spa.example.com", "https://evil.example/https://spa.example.com", false),
        ("https://spa.example.com", "null", false),
        ("https://spa.example.com", "", false),
        ("https://*.example.com", "https://a.example.com", true),
        ("https://*.example.com", "https://a.b.example.com", true),
        ("https://*.example.com:8443", "https://a.example.com:8443", true),
        ("https://*.example.com", "https://example.com", false),
        ("https://*.example.com", "https://.example.com", false),
        ("https://*.example.com", "https://a..example.com", false),
        ("https://*.example.com", "https://evilexample.com", false),
        ("https://*.example.com", "https://a.example.com:8443", false),
        ("https://*.example.com", "http://a.example.com", false),
        ("https://*.example.com", "https://evil.example/.example.com", false),
        ("https://*.example.com", "https://evil.example:1.example.com", false),
        ("https://*.example.com", "https://me@evil.example.com", false),
    ] {
        let allowed = format!("access-control-allow-origin: {origin}");
        let expected = if listed { vec![allowed] } else { Vec::new() };
        assert_eq!(told(&[pattern], false, origin), expected, "{pattern} {origin}");
    }
}

#[test]
fn everybody_is_told_so_and_never_with_credentials() {
    assert_eq!(told(&["*"], false, "https://a.example"), ["access-control-allow-origin: *"]);
    assert_eq!(told(&["*"], false, "null"), ["access-control-allow-origin: *"]);
    assert!(!cors(&["*"], false).varies());
    // The compiler refuses the two together; were it not to, nobody would be told `*`.
    assert!(!told(&["*"], true, "https://a.example")[0].ends_with('*'));
    assert_eq!(
        told(&["https://a.example"], true, "https://a.example"),
        ["access-control-allow-origin: https://a.example", "access-control-allow-credentials: true"]
    );
    assert!(cors(&["https://a.example"], false).varies());
    assert!(cors(&["*"], false).answer(None).is_empty(), "who names no origin asks from none");
}

#[test]
fn what_is_no_origin_is_told_by_its_cause() {
    for (text, fault) in [
        ("spa.example.com", OriginError::NoScheme),
        ("null", OriginError::NoScheme),
        ("", OriginError::NoScheme),
        ("ftp://spa.example.com", OriginError::Scheme),
        ("capacitor://localhost", OriginError::Scheme),
        ("https://spa.example.com/", OriginError::Path),
        ("https://spa.example.com/app", OriginError::Path),
        ("https://spa.example.com?x", OriginError::Path),
        ("https://me@spa.example.com", OriginError::Userinfo),
        ("https://", OriginError::Host),
        ("https://*.", OriginError::Host),
        ("https://a b", OriginError::Host),
        ("https://a:port", OriginError::Host),
        ("https://*", OriginError::Wildcard),
        ("https://a.*.example.com", OriginError::Wildcard),
        ("https://spa*.example.com", OriginError::Wildcard),
    ] {
        assert_eq!(OriginPattern::parse(text), Err(fault), "{text}");
    }
}

#[test]
fn a_preflight_is_answered_for_the_method_that_is_to_follow() {
    let asked = |method: &Method, headers: &[(HeaderName, &'static str)], cors: &Cors| {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect::<HeaderMap>();
        Preflight::of(method, &headers).map(|preflight| cors.preflight(&preflight).map(words))
    };
    let cors = cors(&["https://spa.example.com"], true);
    let from = |origin, method| [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, method)];
    let vary = "vary: Access-Control-Request-Method, Access-Control-Request-Headers".to_owned();
    let allowed = |methods: &str| {
        let methods = format!("access-control-allow-methods: {methods}");
        Some(Some(vec![methods, "access-control-allow-headers: content-type".to_owned(), vary.clone()]))
    };
    let spa = "https://spa.example.com";
    assert_eq!(asked(&Method::OPTIONS, &from(spa, "PUT"), &cors), allowed("GET, HEAD, PUT"));
    assert_eq!(asked(&Method::OPTIONS, &from(spa, "DELETE"), &cors), Some(None));
    assert_eq!(asked(&Method::OPTIONS, &from("https://evil.example", "PUT"), &cors), Some(None));
    assert_eq!(asked(&Method::OPTIONS, &from(spa, "P U T"), &cors), None, "what is no method asks nothing");
    assert_eq!(asked(&Method::GET, &from(spa, "PUT"), &cors), None);
    assert_eq!(asked(&Method::OPTIONS, &[(ORIGIN, spa)], &cors), None);
    assert_eq!(asked(&Method::OPTIONS, &[(ACCESS_CONTROL_REQUEST_METHOD, "PUT")], &cors), None);
    let any = Cors { methods: Methods::any(), ..cors };
    assert_eq!(asked(&Method::OPTIONS, &from(spa, "PATCH"), &any), allowed("PATCH"));
    assert_eq!(asked(&Method::OPTIONS, &from(spa, "TRACE"), &any), Some(None));
}

#[test]
fn a_header_that_says_so_already_is_not_doubled() {
    let says = |values: &[&'static str]| {
        let headers = values.iter().map(|value| (VARY, HeaderValue::from_static(value))).collect::<HeaderMap>();
        varies_by_origin(&headers)
    };
    assert!(says(&["Accept", "Cookie,origin"]));
    assert!(says(&["*"]));
    assert!(!says(&["Accept, X-Origin"]));
    assert!(!says(&[]));
}
