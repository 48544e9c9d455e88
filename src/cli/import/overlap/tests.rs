//! Rules that share requests, and who owns them in the end.

use super::*;

fn claim(id: &str, access: Access, methods: &[&str], url: &str) -> Claim {
    let found = crate::cli::import::matching::matching(url, Default::default(), false).unwrap();
    Claim {
        id: id.to_owned(),
        access,
        demands: String::new(),
        http: found.http,
        https: found.https,
        hosts: found.hosts,
        paths: found.paths,
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
    }
}

/// Each share as `id METHODS hosts paths`.
fn check(claims: &[Claim], expected: &[&str]) {
    let (shares, _) = shares(claims);
    let shown = shares.iter().map(|share| {
        let paths = share.paths.iter().map(|path| match path {
            PathText::Pattern(text) | PathText::Regex(text) => text.as_str(),
        });
        let methods = share.methods.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let paths = paths.collect::<Vec<_>>().join(" ");
        format!("{} {methods} {} {paths}", claims[share.claim].id, share.hosts.join(","))
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn other_methods_keep_their_share_of_a_more_specific_path() {
    check(
        &[
            claim("read", Access::Public, &["GET"], "http://a/api/<.*>"),
            claim("order", Access::Session, &["POST"], "http://a/api/orders"),
        ],
        &["read GET a /api/*/** /api/orders", "order POST a /api/orders"],
    );
}

#[test]
fn a_wider_host_keeps_its_share_of_a_narrower_one() {
    check(
        &[
            claim("health", Access::Public, &["GET"], "http://<.*>/health"),
            claim("api", Access::Session, &["GET"], "http://a.test/api/<.*>"),
        ],
        &["health GET *,a.test /health", "api GET a.test /api/*/**"],
    );
}

#[test]
fn patterns_stand_back_behind_regexes_that_they_would_take_everything_from() {
    check(
        &[
            claim("all", Access::Public, &["GET", "POST"], "http://a/<.*>"),
            claim("user", Access::Session, &["GET"], "http://a/users/<[0-9]+>"),
        ],
        &["all POST a ^/users/[0-9]+/?$", "user GET a ^/users/[0-9]+/?$", "all GET,POST a ^/.*$"],
    );
}

#[test]
fn the_stricter_of_two_equals_owns_what_both_did() {
    check(
        &[
            claim("open", Access::Public, &["GET", "POST"], "http://a/x"),
            claim("shut", Access::Session, &["GET"], "http://a/x"),
        ],
        &["open POST a /x", "shut GET a /x"],
    );
}
