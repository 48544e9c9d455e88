//! What patterns mean, and what is refused as one.

use http::Method;
use proptest::prelude::*;

use crate::decision::host::Host;
use crate::decision::path::Path;
use crate::decision::pattern::HostPattern;
use crate::decision::pattern::HostPatternError;
use crate::decision::pattern::MethodError;
use crate::decision::pattern::Methods;
use crate::decision::pattern::PathPattern;
use crate::decision::pattern::PathPatternError;
use crate::decision::pattern::Schemes;
use crate::decision::request::Scheme;

#[test]
fn host_patterns_are_read_and_printed_in_one_form() {
    for (text, printed) in [
        ("*", "*"),
        ("example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("example.com:8443", "example.com:8443"),
        ("*.Example.com", "*.example.com"),
        ("*.example.com:8443", "*.example.com:8443"),
        ("localhost", "localhost"),
        ("[::1]", "[::1]"),
        ("[0:0::1]:80", "[::1]:80"),
        ("127.0.0.1", "127.0.0.1"),
    ] {
        assert_eq!(HostPattern::parse(text).unwrap().to_string(), printed);
    }
}

#[test]
fn host_patterns_that_are_not_hosts_say_why() {
    type Error = fn(String) -> HostPatternError;
    let cases: &[(&str, Error)] = &[
        ("", |_| HostPatternError::Empty),
        ("https://example.com", HostPatternError::Scheme),
        ("example.com/a", HostPatternError::Path),
        ("user@example.com", HostPatternError::Userinfo),
        ("bücher.example", HostPatternError::NotAscii),
        ("a.*.com", HostPatternError::Wildcard),
        ("*example.com", HostPatternError::Wildcard),
        ("*.*.com", HostPatternError::Wildcard),
        ("*:80", HostPatternError::Wildcard),
        ("*.[::1]", HostPatternError::Wildcard),
        ("*.", HostPatternError::Malformed),
        ("example.com:", HostPatternError::Malformed),
        ("example.com:99999", HostPatternError::Malformed),
        ("::1", HostPatternError::Malformed),
        ("exa mple.com", HostPatternError::Malformed),
    ];
    for (text, error) in cases {
        assert_eq!(HostPattern::parse(text), Err(error((*text).to_owned())));
    }
}

#[test]
fn a_wildcard_stands_for_labels_but_not_for_the_apex() {
    for (pattern, host, matches) in [
        ("*", "example.com:1", true),
        ("example.com", "EXAMPLE.com", true),
        ("example.com", "example.com:8443", true),
        ("example.com", "a.example.com", false),
        ("example.com:8443", "example.com:8443", true),
        ("example.com:8443", "example.com", false),
        ("example.com:443", "example.com:8443", false),
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "b.a.example.com:1", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "badexample.com", false),
        ("*.example.com:1", "a.example.com:1", true),
        ("*.example.com:1", "a.example.com", false),
        ("[::1]", "[0::1]:80", true),
    ] {
        let host = Host::parse(host.as_bytes()).unwrap();
        assert_eq!(HostPattern::parse(pattern).unwrap().matches(&host), matches, "{pattern} {host}");
    }
}

#[test]
fn two_host_patterns_meet_where_both_match() {
    for (one, two, meet) in [
        ("*", "a.com", Some("a.com")),
        ("*.com", "a.com", Some("a.com")),
        ("*.com", "*.a.com:1", Some("*.a.com:1")),
        ("*.com:1", "a.com", Some("a.com:1")),
        ("a.com:1", "a.com:2", None),
        ("a.com", "b.com", None),
        ("*.a.com", "a.com", None),
        ("*.a.com", "*.b.com", None),
    ] {
        let (one, two) = (HostPattern::parse(one).unwrap(), HostPattern::parse(two).unwrap());
        let meet = meet.map(|meet| HostPattern::parse(meet).unwrap());
        assert_eq!(one.meet(&two), meet, "{one} {two}");
        assert_eq!(two.meet(&one), meet, "{two} {one}");
    }
}

#[track_caller]
fn matches(pattern: &str, path: &str) -> bool {
    let pattern = match pattern.strip_prefix("regex ") {
        Some(regex) => PathPattern::regex(regex),
        None => PathPattern::parse(pattern),
    };
    pattern.unwrap().matches(&Path::read(path).unwrap().path)
}

#[test]
fn path_patterns_match_whole_decoded_segments() {
    for (pattern, path, expected) in [
        ("/", "/", true),
        ("/", "/a", false),
        ("/a", "/a", true),
        ("/a", "/a/", true),
        ("/a/", "/a", true),
        ("/a", "/A", false),
        ("/a", "/ab", false),
        ("/a", "/a/b", false),
        ("/admin", "/%61dmin", true),
        ("/caf%C3%A9", "/caf%c3%a9", true),
        ("/café", "/caf%C3%A9", true),
        ("/a%2Ab", "/a*b", true),
        ("/a%7Bb%7D", "/a{b}", true),
        ("/a b", "/a%20b", true),
        ("/*", "/a", true),
        ("/*", "/a/", true),
        ("/*", "/", false),
        ("/*", "/a/b", false),
        ("/{x}", "/a", true),
        ("/{x}/b", "/a/b", true),
        ("/{x}/b", "/a/c", false),
        ("/a/*/c", "/a//c", false),
        ("/**", "/", true),
        ("/**", "/a/b/c/", true),
        ("/api/**", "/api", true),
        ("/api/**", "/api/", true),
        ("/api/**", "/api/x/y", true),
        ("/api/**", "/apix", false),
        ("/*/**", "/", false),
        ("/*/**", "/a/b", true),
        ("regex ^/v[0-9]+/.*$", "/v1/a", true),
        ("regex /v[0-9]+", "/v1", true),
        ("regex /v[0-9]+", "/v1/", false),
        ("regex /v[0-9]+", "/x/v1", false),
        ("regex /a|/b", "/bc", false),
        ("regex /caf.", "/caf%C3%A9", true),
    ] {
        assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn patterns_without_a_meaning_say_why() {
    for (pattern, expected) in [
        ("", "`` does not begin with `/`"),
        ("a", "`a` does not begin with `/`"),
        ("**", "`**` does not begin with `/`"),
        ("/a*b", "stands for a whole segment"),
        ("/a*", "stands for a whole segment"),
        ("/***", "stands for a whole segment"),
        ("/{a}*", "stands for a whole segment"),
        ("/**/a", "can only come last"),
        ("/a/**/", "can only come last"),
        ("/**/", "can only come last"),
        ("/**/**", "can only come last"),
        ("/{}", "is no capture"),
        ("/{1a}", "is no capture"),
        ("/{a-b}", "is no capture"),
        ("/x{a}", "is no capture"),
        ("/{a", "is no capture"),
        ("/a}", "is no capture"),
        ("/{a}/{a}", "`a` appears twice"),
        ("//", "an empty segment"),
        ("/a//b", "an empty segment"),
        ("//**", "an empty segment"),
        ("/a//", "an empty segment"),
        ("/./a", "a `.` or `..` segment"),
        ("/a/%2e%2E", "a `.` or `..` segment"),
        ("/a%2Fb", "an encoded slash"),
        ("/a\\b", "a backslash"),
        ("/a;b", "path parameters"),
        ("/a%00", "a control character"),
        ("/a%FF", "not UTF-8"),
        ("/a%252Fb", "an encoded slash"),
        ("/a%", "needs two hexadecimal digits"),
        ("/a%zz", "needs two hexadecimal digits"),
        ("/100%%", "needs two hexadecimal digits"),
        ("/a?b", "without query"),
        ("/a#b", "without query"),
    ] {
        let text = PathPattern::parse(pattern).unwrap_err().to_string();
        assert!(text.contains(expected), "{pattern}: {text}");
    }
}

#[test]
fn regexes_without_linear_time_or_bounds_are_refused() {
    for regex in ["(", "a)|(b", r"(a)\1", "(?=a)", "[a", "(?:(?:(?:a{1,100}){1,100}){1,100}){1,100}"] {
        let error = PathPattern::regex(regex).unwrap_err();
        assert!(matches!(error, PathPatternError::Regex { .. }), "{regex}: {error}");
    }
}

#[test]
fn patterns_print_as_written_and_name_their_captures_in_order() {
    for pattern in ["/", "/a/", "/caf%C3%A9/{x}/*/{y_2}/**"] {
        assert_eq!(PathPattern::parse(pattern).unwrap().to_string(), pattern);
    }
    let names = |pattern: &PathPattern| pattern.captures().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&PathPattern::parse("/{b}/*/{a}/**").unwrap()), ["b", "a"]);
    let regex = PathPattern::regex("^/(?<year>[0-9]+)/(.*)/(?P<slug>.*)$").unwrap();
    assert_eq!((names(&regex), regex.to_string().starts_with('^')), (vec!["year".to_owned(), "slug".to_owned()], true));
}

#[test]
fn get_brings_head_and_nothing_brings_get() {
    let get = Methods::of([Method::GET]);
    assert!(get.contains(&Method::HEAD) && !get.contains(&Method::POST));
    assert!(!Methods::of([Method::HEAD]).contains(&Method::GET));
    assert!(get.overlaps(&Methods::of([Method::HEAD])));
    assert!(!get.overlaps(&Methods::of([Method::POST])));
    assert!(Methods::any().overlaps(&get) && get.overlaps(&Methods::any()));
    assert!(!Methods::any().overlaps(&Methods::of([])));
    let purge = Methods::of([Methods::read("PURGE").unwrap(), Methods::read("LOCK").unwrap()]);
    assert!(purge.overlaps(&Methods::of([Methods::read("LOCK").unwrap()])) && !purge.overlaps(&get));
    assert_eq!(purge.union(&get).to_string(), "GET, HEAD, LOCK, PURGE");
    assert_eq!(Methods::of([]).to_string(), "");
    assert!(purge.union(&Methods::any()).is_any());
}

#[test]
fn methods_that_no_request_has_are_refused() {
    assert_eq!(Methods::read("TRACE"), Err(MethodError::Forbidden("TRACE".to_owned())));
    assert_eq!(Methods::read("GET POST"), Err(MethodError::Malformed("GET POST".to_owned())));
    assert_eq!(Methods::read(""), Err(MethodError::Malformed(String::new())));
    assert_eq!(Methods::read("get").unwrap_err().to_string(), "`get` is not `GET`: methods are case-sensitive");
    assert_eq!(Methods::read("PATCH"), Ok(Method::PATCH));
}

#[test]
fn schemes_overlap_where_one_is_in_both() {
    let (http, https) = (Schemes::of([Scheme::Http]), Schemes::of([Scheme::Https]));
    assert!(!http.overlaps(https) && http.overlaps(Schemes::any()));
    assert!(http.contains(Scheme::Http) && !http.contains(Scheme::Https) && Schemes::of([]).is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_reading_a_pattern_panic(text in "[/*{}%a-c0-9.;\\\\?é]{0,16}", any in any::<String>()) {
        for text in [&text, &any] {
            let _ = PathPattern::regex(text);
            let _ = HostPattern::parse(text);
            if let Ok(pattern) = PathPattern::parse(text) {
                prop_assert_eq!(&pattern.to_string(), text);
            }
        }
    }

    #[test]
    fn what_a_pattern_covers_it_matches(one in "(/([ab]|\\*)){1,3}(/\\*\\*)?", two in "(/([ab]|\\*)){1,3}(/\\*\\*)?", path in "(/[ab]){1,4}") {
        let (PathPattern::Segments(one), PathPattern::Segments(two)) =
            (PathPattern::parse(&one).unwrap(), PathPattern::parse(&two).unwrap())
        else {
            unreachable!("neither is a regex")
        };
        let path = Path::read(&path).unwrap().path;
        prop_assert!(!one.covers(&two) || !two.matches(&path) || one.matches(&path));
    }
}
