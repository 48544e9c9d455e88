//! URLs of rules, and what is made of them.

use super::*;

/// Schemes, hosts, paths and condition in one line.
fn said(url: &str, strategy: Strategy, naming: bool) -> String {
    let found = match matching(url, strategy, naming) {
        Ok(found) => found,
        Err(error) => return format!("error: {error}"),
    };
    let scheme = match (found.http, found.https) {
        (true, true) => "any",
        (true, false) => "http",
        (false, _) => "https",
    };
    let paths = found.paths.iter().map(|path| match path {
        PathText::Pattern(text) | PathText::Regex(text) => text.as_str(),
    });
    let paths = paths.collect::<Vec<_>>().join(" ");
    let guard = found.guard.map(|guard| format!(" if {guard}")).unwrap_or_default();
    format!("{scheme} [{}] {paths}{guard}", found.hosts.join(" "))
}

#[test]
fn urls_of_regexes_become_patterns_where_they_say_the_same() {
    for (url, expected) in [
        ("http://127.0.0.1:4455/x", "http [127.0.0.1:4455] /x"),
        ("https://a.test", "https [a.test] /"),
        ("https://a.test/", "https [a.test] /"),
        ("https://A.test/users/", "https [a.test] /users"),
        ("<https|http>://a.test/<.*>", "any [a.test] /**"),
        (
            "https?://a.test/x",
            "error: the scheme of `https?://a.test/x` is neither http nor https, so that Oathkeeper never matched anything",
        ),
        ("http://a.test/api/<.*>", "http [a.test] /api/*/**"),
        ("http://a.test/api<(/.*)?>", "http [a.test] /api /api/*/**"),
        ("http://a.test/api/<[^/]+>/x", "http [a.test] /api/*/x"),
        ("http://a.test/<[^/]*>", "http [a.test] / /*"),
        ("http://a.test/<baz|bar>", "http [a.test] /baz /bar"),
        ("http://a.test/<(a|b)/c>", "http [a.test] /a/c /b/c"),
        ("http://a.test/users/<[0-9]+>", "http [a.test] ^/users/[0-9]+/?$"),
        ("http://a.test/api/<.*>/x", "http [a.test] ^/api/.*/x/?$"),
        ("http://a.test/a<.*>", "http [a.test] ^/a.*$"),
        ("http://a.test/a.b*", "http [a.test] /a.b%2A"),
        ("http://a.test/a%20b", "http [a.test] /a%2520b"),
        ("http://<127.0.0.1|localhost>:4455/x", "http [127.0.0.1:4455 localhost:4455] /x"),
        ("http://127.0.0.1:<6660|6661>/jwt", "http [127.0.0.1:6660 127.0.0.1:6661] /jwt"),
        ("https://<.*>.a.test/x", "https [*.a.test] /x"),
        ("https://<[a-z]+>.a.test/x", r#"https [*.a.test] /x if request.host.matches("^[a-z]+\\.a\\.test$")"#),
        (
            "https://api-<.*>.a.test:8443/x",
            r#"https [*.a.test:8443] /x if request.host.matches("^api-.*\\.a\\.test$")"#,
        ),
        ("https://<.*>/x", "https [] /x"),
        ("<.*>/x", "any [] /x"),
        ("<.*>", "any [] /**"),
        ("https://<.*>", "https [] /**"),
        ("https://a.test<.*>", "https [a.test] /**"),
        ("https://a.test<(/.*)?>", "https [a.test] / /**"),
        ("<https?://a.test/.*>", "any [a.test] /**"),
        ("a.test/x", "error: its URL has no scheme, so that Oathkeeper never matched anything"),
        (
            "ftp://a.test/x",
            "error: the scheme of `ftp://a.test/x` is neither http nor https, so that Oathkeeper never matched anything",
        ),
        ("http://a.test/<(?=x).*>", "error: `(?=x).*` looks ahead or behind in a way that cannot be rewritten"),
    ] {
        assert_eq!(said(url, Strategy::Regexp, false), expected, "{url}");
    }
}

#[test]
fn urls_of_globs_become_patterns_where_they_say_the_same() {
    for (url, expected) in [
        ("http://a.test/<**>", "http [a.test] /**"),
        ("http://a.test/api/<**>", "http [a.test] /api/*/**"),
        ("http://a.test/<*>", "http [a.test] ^/[^./]*/?$"),
        ("http://a.test/<{a,b/{c,d}}>", "http [a.test] /a /b/c /b/d"),
        ("http://a.test/<{login,**.css}>", r"http [a.test] /login ^/.*\.css/?$"),
        ("<{http,https}>://a.test/x", "any [a.test] /x"),
        ("https://<*>.a.test/x", r#"https [*.a.test] /x if request.host.matches("^[^./]*\\.a\\.test$")"#),
        ("<**>", "any [] /**"),
    ] {
        assert_eq!(said(url, Strategy::Glob, false), expected, "{url}");
    }
}

#[test]
fn captures_are_named_by_oathkeepers_numbers() {
    for (url, expected) in [
        ("<https|http>://a.test/<[^/]+>", "any [a.test] /{cap1}"),
        ("http://a.test/users/<[0-9]+>", "http [a.test] ^/users/(?P<cap0>[0-9]+)/?$"),
        ("http://a.test/users/<.*>", "http [a.test] ^/users/(?P<cap0>.+?)/?$"),
        ("http://a.test/<.*>", "http [a.test] ^/(?P<cap0>.*?)/?$"),
        ("http://a.test/<(a|b)-(c|d)>", "http [a.test] ^/(?P<cap0>(?P<cap1>a|b)-(?P<cap2>c|d))/?$"),
    ] {
        assert_eq!(said(url, Strategy::Regexp, true), expected, "{url}");
    }
}
