//! What each proxy's headers are read as, and what is not believed.

use http::Request;

use super::*;

/// A request in words: method, scheme, host and target; or why it is unclear.
fn read(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    match Original::of(parts) {
        Ok(original) => {
            for name in REPORTS {
                assert!(!original.headers.contains_key(name), "rules would see {name}");
            }
            let host = original.headers[HOST].to_str().unwrap();
            let target = std::str::from_utf8(&original.target).unwrap();
            format!("{} {} {host} {target}", original.method, original.scheme)
        }
        Err(unclear) => unclear.to_string(),
    }
}

/// What every header of the first kind says.
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-method", "POST"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "shop.example:8443"),
    ("x-forwarded-uri", "/a%2Fb?c=d"),
];
const MEANT: &str = "POST https shop.example:8443 /a%2Fb?c=d";

#[test]
fn every_proxy_is_understood() {
    let asked = ("host", "portcullis:4458");
    for (who, headers, expected) in [
        ("traefik, caddy", [asked].into_iter().chain(FORWARDED).collect(), MEANT),
        (
            "nginx' ingress",
            vec![
                asked,
                ("x-original-method", "POST"),
                ("x-original-url", "https://shop.example:8443/a%2Fb?c=d"),
                ("x-sent-from", "nginx-ingress-controller"),
            ],
            MEANT,
        ),
        (
            "nginx by hand",
            vec![
                asked,
                ("x-original-method", "POST"),
                ("x-original-uri", "/a%2Fb?c=d"),
                ("x-original-host", "shop.example:8443"),
                ("x-forwarded-proto", "https"),
            ],
            MEANT,
        ),
        ("a URL without a path", vec![("x-original-method", "GET"), ("x-original-url", "http://a")], "GET http a /"),
        ("a WebSocket", vec![FORWARDED[0], ("x-forwarded-proto", "wss"), FORWARDED[2], FORWARDED[3]], MEANT),
    ] {
        for target in ["/decisions", "/decisions?nginx"] {
            assert_eq!(read("GET", target, &headers), expected, "{who}");
        }
    }
}

#[test]
fn a_path_below_is_the_request_itself() {
    let host = ("host", "shop.example");
    for (method, target, headers, expected) in [
        ("POST", "/decisions/a/b?c=d", vec![host], "POST http shop.example /a/b?c=d"),
        ("GET", "/decisions/", vec![host], "GET http shop.example /"),
        ("GET", "/decisions//", vec![host], "GET http shop.example //"),
        ("GET", "/decisions/a/../b", vec![host], "GET http shop.example /a/../b"),
        ("GET", "/decisions/a", vec![host, ("x-forwarded-proto", "https")], "GET https shop.example /a"),
        ("GET", "http://shop.example/decisions/a", vec![], "GET http shop.example /a"),
        (
            "GET",
            "/decisions/a",
            vec![host, ("x-forwarded-host", "SHOP.example"), ("x-forwarded-uri", "/a")],
            "GET http SHOP.example /a",
        ),
    ] {
        assert_eq!(read(method, target, &headers), expected);
    }
}

#[test]
fn a_client_cannot_add_what_its_proxy_left_out() {
    for (at, (name, _)) in FORWARDED.iter().enumerate() {
        let headers = FORWARDED.iter().copied().enumerate().filter(|(place, _)| *place != at);
        let told = read("GET", "/decisions", &headers.map(|(_, header)| header).collect::<Vec<_>>());
        let named = told.to_lowercase();
        assert!(told.starts_with("`/decisions` was asked without") && named.contains(name), "{told}");
    }
}

#[test]
fn whoever_contradicts_or_repeats_is_not_believed() {
    for (more, expected) in [
        (("x-original-method", "GET"), "`x-forwarded-method` and `x-original-method` disagree"),
        (("x-original-uri", "/a/b?c=d"), "`x-forwarded-uri` and `x-original-uri` disagree"),
        (("x-original-host", "shop.example"), "`x-forwarded-host` and `x-original-host` disagree"),
        (("x-original-url", "http://shop.example:8443/a%2Fb?c=d"), "`x-forwarded-proto` and `x-original-url` disagree"),
        (("x-original-url", "https://a/a%2Fb?c=d"), "`x-forwarded-host` and `x-original-url` disagree"),
        (("x-original-url", "https://shop.example:8443/public"), "`x-forwarded-uri` and `x-original-url` disagree"),
        (("x-original-url", "nonsense"), "`x-original-url` makes no sense"),
        (("x-original-url", "https://shop.example:8443?c=d"), "`x-original-url` makes no sense"),
        (("x-original-uri", "https://shop.example:8443/a%2Fb?c=d"), "`x-original-uri` makes no sense"),
        (("x-forwarded-uri", "/a%2Fb?c=d"), "more than one `x-forwarded-uri`"),
    ] {
        let headers = FORWARDED.into_iter().chain([more]).collect::<Vec<_>>();
        assert_eq!(read("GET", "/decisions", &headers), expected, "{more:?}");
    }
    let host = ("host", "shop.example");
    for (header, expected) in [
        (("x-forwarded-uri", "/public"), "`x-forwarded-uri` and `the path after /decisions` disagree"),
        (("x-forwarded-method", "POST"), "`x-forwarded-method` and `the request's own method` disagree"),
        (("x-forwarded-host", "other.example"), "`x-forwarded-host` and `Host` disagree"),
        (("x-forwarded-proto", "https,http"), "`x-forwarded-proto` makes no sense"),
        (("host", "shop.example"), "more than one `Host`"),
    ] {
        assert_eq!(read("GET", "/decisions/a", &[host, header]), expected);
    }
}

#[test]
fn a_host_said_twice_must_be_the_same() {
    let told = read("GET", "http://other.example/decisions/a", &[("host", "shop.example")]);
    assert_eq!(told, "`Host` and `:authority` disagree");
}

#[test]
fn equal_words_of_two_headers_are_one_fact() {
    let same = [
        ("x-original-url", "HTTPS://Shop.Example:8443/a%2Fb?c=d"),
        ("x-original-method", "POST"),
        ("x-original-uri", "/a%2Fb?c=d"),
    ];
    assert_eq!(read("GET", "/decisions", &FORWARDED.into_iter().chain(same).collect::<Vec<_>>()), MEANT);
}
