//! Spellings that have one meaning, and those that are refused with the fault that they have.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header;
use proptest::prelude::*;

use crate::decision::index::Entry;
use crate::decision::index::Found;
use crate::decision::index::Index;
use crate::decision::path::Allow;
use crate::decision::pattern::Methods;
use crate::decision::pattern::PathPattern;
use crate::decision::pattern::Schemes;
use crate::decision::request::Ambiguous;
use crate::decision::request::Head;
use crate::decision::request::RequestView;
use crate::decision::request::Scheme;
use crate::decision::request::is_forbidden_method;

fn head<'a>(target: &'a [u8], headers: &'a HeaderMap) -> Head<'a> {
    Head { method: &Method::GET, target, authority: None, headers, scheme: Scheme::Https }
}

fn headers(lines: &[(header::HeaderName, &[u8])]) -> HeaderMap {
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    lines.iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect::<Vec<_>>().into_iter().fold(
        HeaderMap::new(),
        |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        },
    )
}

/// The fault of a target on a host whose one rule covers every path and allows what it says.
#[track_caller]
fn fault(target: &[u8], allow: Allow) -> Option<Ambiguous> {
    let headers = headers(&[(header::HOST, b"example.com")]);
    let request = match RequestView::parse(head(target, &headers)) {
        Ok(request) => request,
        Err(fault) => return Some(fault),
    };
    let paths = vec![PathPattern::parse("/**").unwrap()];
    let rule = Entry { hosts: vec![], paths, methods: Methods::any(), schemes: Schemes::any(), allow };
    match Index::build(&[rule], &[]).unwrap().find(&request) {
        Found::Ambiguous(fault) => Some(fault),
        Found::Owner { .. } => None,
        other => panic!("{other:?}"),
    }
}

macro_rules! refused {
    ($($name:ident: $target:expr => $fault:ident;)*) => {
        mod refused_target {
            use super::*;
            $(#[test] fn $name() { assert_eq!(fault($target, Allow::default()), Some(Ambiguous::$fault)); })*
        }
    };
}

refused! {
    empty: b"" => TargetNotOriginForm;
    asterisk: b"*" => TargetNotOriginForm;
    without_slash: b"admin" => TargetNotOriginForm;
    authority_form: b"example.com:443" => TargetNotOriginForm;
    only_a_query: b"?a=b" => TargetNotOriginForm;
    another_scheme: b"ftp://example.com/" => TargetNotOriginForm;
    scheme_without_slashes: b"http:/example.com/" => TargetNotOriginForm;
    backslashes_after_scheme: b"http:\\\\example.com/" => TargetNotOriginForm;
    absolute_of_another_host: b"http://evil.com/" => HostDisagrees;
    absolute_of_another_port: b"http://example.com:8080/" => HostDisagrees;
    absolute_with_a_default_port: b"https://example.com:443/" => HostDisagrees;
    absolute_with_userinfo: b"http://admin@example.com/" => Userinfo;
    absolute_without_host: b"http:///admin" => HostEmpty;
    absolute_with_backslash_host: b"http://example.com\\@evil.com/" => Userinfo;
    absolute_with_backslash: b"http://example.com\\admin" => HostMalformed;
    raw_fragment: b"/a#b" => RawByte;
    raw_space: b"/a b" => RawByte;
    raw_space_in_query: b"/a?b c" => RawByte;
    raw_utf8: "/café".as_bytes() => RawByte;
    raw_high_byte: b"/a\xff" => RawByte;
    raw_nul: b"/a\0b" => ControlCharacter;
    raw_tab: b"/a\tb" => ControlCharacter;
    raw_newline: b"/a\nb" => ControlCharacter;
    raw_delete: b"/a\x7fb" => ControlCharacter;
    percent_alone: b"/a%" => BadPercent;
    percent_one_digit: b"/a%2" => BadPercent;
    percent_not_hex: b"/a%zz" => BadPercent;
    percent_half_hex: b"/a%2g" => BadPercent;
    percent_iis_unicode: b"/a%u002e" => BadPercent;
    percent_over_slash: b"/a%2/b" => BadPercent;
    percent_in_query: b"/a?b=100%" => BadPercent;
    dot: b"/." => DotSegment;
    dot_inside: b"/a/./b" => DotSegment;
    dots: b"/a/../b" => DotSegment;
    dots_last: b"/a/.." => DotSegment;
    dots_first: b"/../a" => DotSegment;
    dots_encoded: b"/a/%2e%2e/b" => DotSegment;
    dots_encoded_upper: b"/a/%2E%2E/b" => DotSegment;
    dots_half_encoded: b"/a/.%2e/b" => DotSegment;
    dot_encoded: b"/a/%2e/b" => DotSegment;
    dots_double_encoded: b"/a/%252e%252e/b" => DotSegment;
    dots_half_double_encoded: b"/a/.%252e/b" => DotSegment;
    dots_with_encoded_percent_digits: b"/a/%25%32%65/b" => DotSegment;
    dots_and_blank: b"/a/..%20/b" => DotSegment;
    dots_after_blank: b"/a/%20../b" => DotSegment;
    dots_and_unicode_blank: b"/a/..%C2%A0/b" => DotSegment;
    dots_and_double_encoded_blank: b"/a/..%2520/b" => DotSegment;
    dots_and_parameter: b"/a/..;/b" => DotSegment;
    dots_and_encoded_parameter: b"/a/..%3Bx/b" => DotSegment;
    dots_and_double_encoded_parameter: b"/a/..%253B/b" => DotSegment;
    dots_behind_encoded_slash: b"/a%2F..%2Fb" => DotSegment;
    dots_behind_double_encoded_slash: b"/a%252F..%252Fb" => DotSegment;
    dots_behind_backslash: b"/a\\..\\b" => DotSegment;
    dots_behind_encoded_backslash: b"/a%5C..%5Cb" => DotSegment;
    dots_and_slash_encoded: b"/..%2f" => DotSegment;
    backslash: b"/a\\b" => Backslash;
    backslash_encoded: b"/a%5Cb" => Backslash;
    backslash_encoded_lower: b"/a%5cb" => Backslash;
    backslash_double_encoded: b"/a%255Cb" => Backslash;
    nul_encoded: b"/a%00" => ControlCharacter;
    newline_encoded: b"/a%0Ab" => ControlCharacter;
    carriage_return_encoded: b"/a%0d" => ControlCharacter;
    tab_encoded: b"/a/%09../b" => ControlCharacter;
    delete_encoded: b"/a%7F" => ControlCharacter;
    c1_control_encoded: b"/a%C2%85" => ControlCharacter;
    nul_double_encoded: b"/a%2500" => ControlCharacter;
    newline_double_encoded: b"/a%250a" => ControlCharacter;
    slash_encoded: b"/a%2Fb" => EncodedSlash;
    slash_encoded_lower: b"/a%2fb" => EncodedSlash;
    slash_encoded_first: b"/%2Fa" => EncodedSlash;
    slash_encoded_last: b"/a%2F" => EncodedSlash;
    slash_double_encoded: b"/a%252Fb" => EncodedSlash;
    slash_with_encoded_percent_digits: b"/a%25%32%46b" => EncodedSlash;
    empty_segment: b"/a//b" => EmptySegment;
    empty_segment_first: b"//a" => EmptySegment;
    empty_segment_last: b"/a//" => EmptySegment;
    empty_segments_only: b"//" => EmptySegment;
    network_path: b"//evil.com/a" => EmptySegment;
    parameter: b"/a;v=1/b" => Parameters;
    parameter_encoded: b"/a%3Bv/b" => Parameters;
    parameter_double_encoded: b"/a%253Bv" => Parameters;
    parameter_alone: b"/a/;/b" => Parameters;
    parameter_session_id: b"/a;jsessionid=1" => Parameters;
    not_utf8: b"/a%FF" => NotUtf8;
    overlong_dot: b"/%c0%ae%c0%ae/a" => NotUtf8;
    overlong_slash: b"/a%c0%afb" => NotUtf8;
    surrogate: b"/a%ED%A0%80" => NotUtf8;
    cut_character: b"/a%C3/%A9" => NotUtf8;
    not_utf8_double_encoded: b"/a%25FF" => NotUtf8;
}

macro_rules! accepted {
    ($($name:ident: $target:expr => $decoded:expr;)*) => {
        mod accepted_target {
            use super::*;
            $(#[test] fn $name() {
                let headers = headers(&[(header::HOST, b"example.com")]);
                let request = RequestView::parse(head($target, &headers)).unwrap();
                assert_eq!(request.decoded_path(), $decoded);
                assert_eq!(request.oddities(), Allow::default());
            })*
        }
    };
}

accepted! {
    root: b"/" => "/";
    root_with_query: b"/?a=b" => "/";
    one_segment: b"/admin" => "/admin";
    trailing_slash: b"/admin/" => "/admin/";
    several_segments: b"/a/b/c" => "/a/b/c";
    encoded_letter: b"/%61dmin" => "/admin";
    encoded_letters_in_between: b"/a/%62/c/" => "/a/b/c/";
    encoded_umlaut: b"/caf%C3%A9" => "/café";
    encoded_space: b"/a%20b" => "/a b";
    encoded_question_mark: b"/a%3Fb" => "/a?b";
    encoded_hash: b"/a%23b" => "/a#b";
    encoded_percent: b"/a%25b" => "/a%b";
    encoded_percent_twice: b"/a%2525b" => "/a%25b";
    encoded_percent_before_letter: b"/100%25" => "/100%";
    case_is_kept: b"/Admin" => "/Admin";
    three_dots: b"/a/.../b" => "/a/.../b";
    hidden_file: b"/.well-known/x" => "/.well-known/x";
    dot_at_end: b"/a." => "/a.";
    dots_inside: b"/a..b" => "/a..b";
    sub_delimiters: b"/a!$&'()*+,=:@b" => "/a!$&'()*+,=:@b";
    tilde_and_quotes: b"/~a\"<>^`{|}" => "/~a\"<>^`{|}";
    query_with_dots_and_slashes: b"/a?b=/../c//d;e\\" => "/a";
    query_with_encoded_bytes: b"/a?b=%FF%00%2F" => "/a";
    query_with_question_mark: b"/a?b?c" => "/a";
    absolute: b"https://example.com/a" => "/a";
    absolute_upper: b"HTTP://EXAMPLE.com./a" => "/a";
    absolute_without_path: b"http://example.com" => "/";
    absolute_without_path_but_query: b"http://example.com?a" => "/";
    only_blanks: b"/%20/a" => "/ /a";
    emoji: b"/%F0%9F%A6%80" => "/🦀";
}

#[test]
fn what_is_forwarded_is_what_came() {
    for (target, forwarded, query) in [
        ("/%61dmin/?x=%20", "/%61dmin/?x=%20", Some("x=%20")),
        ("/a?", "/a?", Some("")),
        ("/a", "/a", None),
        ("http://example.com/%7Ea?b", "/%7Ea?b", Some("b")),
        ("http://example.com", "/", None),
        ("http://example.com?b=/c", "/?b=/c", Some("b=/c")),
    ] {
        let headers = headers(&[(header::HOST, b"example.com")]);
        let request = RequestView::parse(head(target.as_bytes(), &headers)).unwrap();
        assert_eq!((request.origin_form(), request.query()), (forwarded, query), "{target}");
    }
}

#[test]
fn oddities_are_passed_only_to_a_rule_that_allows_all_of_them() {
    let [none, slash, empty, parameters] = [
        Allow::default(),
        Allow { encoded_slash: true, ..Allow::default() },
        Allow { empty_segment: true, ..Allow::default() },
        Allow { parameters: true, ..Allow::default() },
    ];
    let all = Allow { encoded_slash: true, empty_segment: true, parameters: true };
    for (target, needed) in [
        ("/a%2Fb", slash),
        ("/a\\b", slash),
        ("/a%5cb", slash),
        ("/a%2F", slash),
        ("/a//b", empty),
        ("/a;v=1/b", parameters),
        ("/a%3Bv", parameters),
        ("/a%2F/b", Allow { empty_segment: true, ..slash }),
        ("/a/;x/b", Allow { empty_segment: true, ..parameters }),
        ("/a%2Fb;c//d", all),
    ] {
        for allow in [none, slash, empty, parameters, all, Allow { parameters: false, ..all }] {
            assert_eq!(fault(target.as_bytes(), allow).is_none(), allow.covers(needed), "{target} with {allow:?}");
        }
    }
}

#[test]
fn no_rule_can_allow_double_encoding_dots_or_three_meanings() {
    let all = Allow { encoded_slash: true, empty_segment: true, parameters: true };
    for (target, expected) in [
        ("/a%252Fb", Ambiguous::EncodedSlash),
        ("/a%255Cb", Ambiguous::Backslash),
        ("/a%253Bb", Ambiguous::Parameters),
        ("/a%2F..%2Fb", Ambiguous::DotSegment),
        ("/a/..;x/b", Ambiguous::DotSegment),
        ("/a;x%2F..%2Fb", Ambiguous::EncodedSlash),
        ("/a;x%2Fb", Ambiguous::EncodedSlash),
        ("/a//..", Ambiguous::DotSegment),
    ] {
        assert_eq!(fault(target.as_bytes(), all), Some(expected), "{target}");
    }
}

#[test]
fn a_target_without_any_rule_is_still_refused_when_odd() {
    let headers = headers(&[(header::HOST, b"example.com")]);
    let request = RequestView::parse(head(b"/a//b", &headers)).unwrap();
    let found = Index::build(&[], &[]).unwrap();
    assert!(matches!(found.find(&request), Found::Ambiguous(Ambiguous::EmptySegment)));
}

#[track_caller]
fn host(value: &[u8]) -> Result<String, Ambiguous> {
    let headers = headers(&[(header::HOST, value)]);
    RequestView::parse(head(b"/", &headers)).map(|request| request.host().to_string())
}

#[test]
fn hosts_are_refused_that_are_not_exactly_one_name_or_address() {
    use Ambiguous::HostEmpty;
    use Ambiguous::HostMalformed;
    use Ambiguous::Userinfo;
    let long_label = [b'a'; 64];
    let long_name = [b"a.".repeat(127), b"com".to_vec()].concat();
    let cases: &[(&[u8], Ambiguous)] = &[
        (b"", HostEmpty),
        (b"user@example.com", Userinfo),
        (b"user:pass@example.com", Userinfo),
        (b"@", Userinfo),
        (b"example.com,evil.com", HostMalformed),
        (b"example.com evil.com", HostMalformed),
        (b"example.com/a", HostMalformed),
        (b"example.com\\a", HostMalformed),
        (b"example.com?a", HostMalformed),
        (b"example.com#a", HostMalformed),
        (b"http://example.com", HostMalformed),
        (b"exa%6dple.com", HostMalformed),
        (b"example.com\t", HostMalformed),
        ("bücher.example".as_bytes(), HostMalformed),
        (b"example.com:", HostMalformed),
        (b"example.com:0", HostMalformed),
        (b"example.com:080", HostMalformed),
        (b"example.com:+80", HostMalformed),
        (b"example.com:http", HostMalformed),
        (b"example.com:65536", HostMalformed),
        (b"example.com:80:80", HostMalformed),
        (b"example.com:80.", HostMalformed),
        (b":80", HostMalformed),
        (b".", HostMalformed),
        (b".example.com", HostMalformed),
        (b"example..com", HostMalformed),
        (b"example.com..", HostMalformed),
        (b"*.example.com", HostMalformed),
        (b"::1", HostMalformed),
        (b"[::1", HostMalformed),
        (b"[]", HostMalformed),
        (b"[::1]a", HostMalformed),
        (b"[::1].", HostMalformed),
        (b"[::1%25eth0]", HostMalformed),
        (b"[::g]", HostMalformed),
        (b"[example.com]", HostMalformed),
        (b"[127.0.0.1]", HostMalformed),
        (b"a[::1]", HostMalformed),
        (&long_label, HostMalformed),
        (&long_name, HostMalformed),
    ];
    for (value, expected) in cases {
        assert_eq!(host(value), Err(*expected), "{}", value.escape_ascii());
    }
}

#[test]
fn hosts_are_compared_in_one_form() {
    for (value, expected) in [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("example.com.", "example.com"),
        ("Example.com.:8443", "example.com:8443"),
        ("example.com:443", "example.com:443"),
        ("localhost", "localhost"),
        ("a_b-c.internal", "a_b-c.internal"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1:65535", "127.0.0.1:65535"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]:80"),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
    ] {
        assert_eq!(host(value.as_bytes()).as_deref(), Ok(expected));
    }
}

#[test]
fn every_host_that_a_request_names_is_the_same_one() {
    use Ambiguous::HostDisagrees;
    type Case<'a> = (&'a [&'a str], Option<&'a str>, &'a str, Result<(), Ambiguous>);
    let cases: &[Case<'_>] = &[
        (&[], None, "/", Err(Ambiguous::HostMissing)),
        (&[], None, "http://a.com/", Err(Ambiguous::HostMissing)),
        (&["a.com", "a.com"], None, "/", Err(Ambiguous::HostRepeated)),
        (&["a.com", "b.com"], Some("a.com"), "/", Err(Ambiguous::HostRepeated)),
        (&[], Some("a.com"), "/", Ok(())),
        (&[], Some(""), "/", Err(Ambiguous::HostEmpty)),
        (&[], Some("u@a.com"), "/", Err(Ambiguous::Userinfo)),
        (&["a.com"], Some("A.com."), "/", Ok(())),
        (&["a.com"], Some("b.com"), "/", Err(HostDisagrees)),
        (&["a.com"], Some("a.com:443"), "/", Err(HostDisagrees)),
        (&["a.com:443"], Some("a.com:443"), "https://a.com:443/", Ok(())),
        (&["a.com"], Some("a.com"), "http://b.com/", Err(HostDisagrees)),
        (&["a.com"], None, "http://a.com:80/", Err(HostDisagrees)),
    ];
    for (hosts, authority, target, expected) in cases {
        let lines: Vec<_> = hosts.iter().map(|host| (header::HOST, host.as_bytes())).collect();
        let headers = headers(&lines);
        let head = Head { authority: authority.map(str::as_bytes), ..head(target.as_bytes(), &headers) };
        assert_eq!(RequestView::parse(head).map(|_| ()), *expected, "{hosts:?} {authority:?} {target}");
    }
}

#[test]
fn connection_names_nothing_but_what_hops_need() {
    for (lines, is_known) in [
        (&["close"][..], true),
        (&["Keep-Alive, Upgrade"], true),
        (&["Upgrade", "HTTP2-Settings,TE"], true),
        (&[" close ,, keep-alive"], true),
        (&[""], true),
        (&["X-User"], false),
        (&["close, x-user"], false),
        (&["close", "Cookie"], false),
        (&["close;x"], false),
        (&["\"close\""], false),
        (&["closed"], false),
        (&["close keep-alive"], false),
        (&["x\u{e9}"], false),
    ] {
        let mut all: Vec<_> = lines.iter().map(|line| (header::CONNECTION, line.as_bytes())).collect();
        all.push((header::HOST, b"example.com"));
        let headers = headers(&all);
        let fault = RequestView::parse(head(b"/", &headers)).err();
        assert_eq!(fault, (!is_known).then_some(Ambiguous::ConnectionNomination), "{lines:?}");
    }
}

#[test]
fn a_body_has_one_length() {
    for (lines, is_one) in
        [(&[][..], true), (&["5"], true), (&["5", "5"], false), (&["5", "6"], false), (&["5, 5"], false)]
    {
        let mut all: Vec<(header::HeaderName, &[u8])> =
            lines.iter().map(|line: &&str| (header::CONTENT_LENGTH, line.as_bytes())).collect();
        all.push((header::HOST, b"example.com"));
        let headers = headers(&all);
        let fault = RequestView::parse(head(b"/", &headers)).err();
        assert_eq!(fault, (!is_one).then_some(Ambiguous::RepeatedContentLength), "{lines:?}");
    }
}

#[test]
fn trace_and_connect_are_forbidden_in_every_case() {
    for (method, is_forbidden) in
        [("TRACE", true), ("CONNECT", true), ("trace", true), ("GET", false), ("PURGE", false)]
    {
        assert_eq!(is_forbidden_method(&Method::from_bytes(method.as_bytes()).unwrap()), is_forbidden, "{method}");
    }
}

#[test]
fn debug_shows_neither_headers_nor_query() {
    let headers = headers(&[(header::HOST, b"example.com"), (header::COOKIE, b"ory_kratos_session=secret")]);
    let text = format!("{:?}", RequestView::parse(head(b"/a?token=secret", &headers)).unwrap());
    assert!(text.contains("/a") && !text.contains("secret"), "{text}");
}

proptest! {
    #[test]
    fn no_bytes_make_parsing_panic(target in proptest::collection::vec(any::<u8>(), 0..64), host in "[ -~]{0,40}") {
        let headers = headers(&[(header::HOST, host.as_bytes())]);
        let _ = RequestView::parse(head(&target, &headers));
        let target = [b"/".to_vec(), target].concat();
        let _ = RequestView::parse(head(&target, &headers));
    }

    #[test]
    fn no_nasty_spelling_gets_through_with_a_dangerous_segment(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "/", "a", ".", "..", "%2e", "%2F", "%25", "2e", "2F", ";", "\\", "%5c", "%20", "%3b", "%00", "%C3%A9",
            ]),
            0..10,
        ),
    ) {
        let target = format!("/{}", pieces.concat());
        let headers = headers(&[(header::HOST, b"h")]);
        if let Ok(request) = RequestView::parse(head(target.as_bytes(), &headers)) {
            // What any service could make of it: decoded once more, with every kind of separator.
            let decoded = percent_encoding::percent_decode_str(request.decoded_path()).decode_utf8().unwrap();
            for segment in decoded.split(['/', '\\']) {
                let name = segment.split(';').next().unwrap();
                prop_assert!(!matches!(name.trim(), "." | ".."), "{target}");
            }
            prop_assert!(!decoded.chars().any(char::is_control));
            if request.oddities().is_empty() {
                prop_assert!(!decoded.contains(['\\', ';']) && !decoded.contains("//"), "{target}");
                prop_assert_eq!(decoded.matches('/').count(), target.matches('/').count());
            }
        }
    }

    #[test]
    fn a_plain_path_decodes_to_itself(path in "(/[a-zA-Z0-9_~!$&'()*+,=:@-]{1,8}){1,6}/?") {
        let headers = headers(&[(header::HOST, b"h")]);
        let request = RequestView::parse(head(path.as_bytes(), &headers)).unwrap();
        prop_assert_eq!(request.decoded_path(), &path);
        prop_assert_eq!(request.origin_form(), &path);
        prop_assert!(request.oddities().is_empty());
        let segments: Vec<&str> = request.path().segments().collect();
        let expected: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        prop_assert_eq!(segments, expected);
    }

    #[test]
    fn every_encoding_of_a_path_means_the_same(path in "(/[a-z0-9 é?#%]{1,6}){1,4}", mask in any::<u64>()) {
        let mut encoded = String::new();
        for (position, byte) in path.bytes().enumerate() {
            if byte == b'/' || byte.is_ascii_lowercase() && mask >> (position % 64) & 1 == 0 {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        let headers = headers(&[(header::HOST, b"h")]);
        match RequestView::parse(head(encoded.as_bytes(), &headers)) {
            Ok(request) => prop_assert_eq!(request.decoded_path(), &path),
            // A `%` of the decoded path may happen to escape something.
            Err(_) => prop_assert!(path.contains('%'), "{encoded}"),
        }
    }
}
