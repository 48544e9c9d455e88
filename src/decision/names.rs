//! Names of headers and cookies that a client may not send, in whatever spelling a service might fold them to.

use std::borrow::Cow;
use std::collections::HashSet;

use http::HeaderName;
use percent_encoding::percent_decode;

/// The longest name compared on the stack; headers of rules are shorter, so a longer one matches none exactly.
const LONGEST: usize = 128;

/// A set of header names and prefixes, compared with every non-alphanumeric character folded to `-`:
/// CGI, WSGI and PHP read `X_User` as `X-User`.
#[derive(Clone, Debug, Default)]
pub struct FoldedNames {
    exact: HashSet<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
    /// A bit for each length (modulo 64) that an exact name has: most headers of a request are told apart by it alone.
    lengths: u64,
}

impl FoldedNames {
    pub fn insert(&mut self, name: &str) {
        self.lengths |= 1 << (name.len() % 64);
        self.exact.insert(name.bytes().map(fold).collect());
    }

    /// Adds every name that begins with `prefix`.
    pub fn insert_prefix(&mut self, prefix: &str) {
        self.prefixes.push(prefix.bytes().map(fold).collect());
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.contains_prefix(name) || self.contains_exact(name)
    }

    fn contains_exact(&self, name: &[u8]) -> bool {
        if self.lengths & (1 << (name.len() % 64)) == 0 || name.len() > LONGEST {
            return false;
        }
        let mut folded = [0; LONGEST];
        for (to, from) in folded.iter_mut().zip(name) {
            *to = fold(*from);
        }
        self.exact.contains(&folded[..name.len()])
    }

    fn contains_prefix(&self, name: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| {
            name.len() >= prefix.len() && prefix.iter().zip(name).all(|(prefix, byte)| *prefix == fold(*byte))
        })
    }
}

/// Whether CGI, WSGI or PHP read a header `name` as `own`.
pub fn is_read_as(name: &HeaderName, own: &HeaderName) -> bool {
    name == own || name.as_str().bytes().map(fold).eq(own.as_str().bytes().map(fold))
}

/// Whether a service might read a client's cookie of this name as the cookie `own`: frameworks decode `%`, trim blanks that
/// are not ASCII, take `.`, a blank and `[` for `_`, read `own[x]` as a part of `own`, or tell no cases apart.
pub fn is_cookie_read_as(name: &[u8], own: &str) -> bool {
    let name = &*Cow::from(percent_decode(name));
    let is_edge = |byte: &u8| !byte.is_ascii_graphic();
    let start = name.iter().position(|byte| !is_edge(byte)).unwrap_or(name.len());
    let end = name.iter().rposition(|byte| !is_edge(byte)).map_or(start, |last| last + 1);
    let name = &name[start..end];
    let folds_to_own = |name: &[u8]| name.iter().copied().map(fold).eq(own.bytes().map(fold));
    let array = name.iter().position(|byte| *byte == b'[').map(|bracket| &name[..bracket]);
    folds_to_own(name) || array.is_some_and(folds_to_own)
}

/// Whether a service might find the cookie `own` within the value of another one: old parsers begin a new cookie after a comma
/// or a blank, too.
pub fn is_cookie_read_in(value: &[u8], own: &str) -> bool {
    let mut pieces = value.split(|byte| matches!(byte, b',' | b' ' | b'\t'));
    let name = |piece: &'_ [u8]| piece.iter().position(|byte| *byte == b'=');
    pieces.any(|piece| name(piece).is_some_and(|end| is_cookie_read_as(&piece[..end], own)))
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// The names by which clients and proxies say where a request came from; the gateway says it itself.
pub fn forwarding() -> FoldedNames {
    let mut names = FoldedNames::default();
    for prefix in ["x-forwarded-", "x-envoy-", "cf-", "x-original-", "x-http-method", "x-auth-request-"] {
        names.insert_prefix(prefix);
    }
    for name in [
        "forwarded",
        "true-client-ip",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-rewrite-url",
        "x-method-override",
        "remote-user",
        "x-remote-user",
    ] {
        names.insert(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &'static str) -> HeaderName {
        HeaderName::from_static(text)
    }

    #[test]
    fn every_spelling_of_an_owned_name_is_found() {
        let mut names = FoldedNames::default();
        names.insert("X-User.Email");
        for spelling in ["x-user-email", "x_user_email", "x-user_email", "x.user.email", "x!user#email"] {
            assert!(names.contains(&name(spelling)), "{spelling}");
        }
        for other in ["x-user", "x-user-emails", "xuseremail", "y-user-email"] {
            assert!(!names.contains(&name(other)), "{other}");
        }
    }

    #[test]
    fn a_cookie_is_found_in_every_spelling_that_some_service_folds() {
        for name in [
            "user_id",
            "USER_ID",
            "user.id",
            "user id",
            "user[id",
            "user-id",
            "user_id[x]",
            "user_id[",
            "\u{a0}user_id",
            "user_id\u{a0}",
            "\u{2003}user_id\u{3000}",
            "\u{85}user_id",
            "%75ser%5fid",
            "%20user_id",
            "user%5Bid",
            "user_id%5Bx%5D",
        ] {
            assert!(is_cookie_read_as(name.as_bytes(), "user_id"), "{name:?}");
        }
        assert!(is_cookie_read_as(b"\xa0user_id\x85", "user_id"), "blanks of Latin-1");
        for name in ["", "user", "userid", "user_ids", "my_user_id", "[user_id]", "[x]user_id", "%2575ser_id"] {
            assert!(!is_cookie_read_as(name.as_bytes(), "user_id"), "{name:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_in_the_value_of_another() {
        for value in ["b,user_id=root", "b, User.Id=root", "b user_id=root", "user_id=root", "\"b\", user_id=root"] {
            assert!(is_cookie_read_in(value.as_bytes(), "user_id"), "{value}");
        }
        for value in ["", "user_id", "b,user_id", "x=user_id", "b=c,users_id=d"] {
            assert!(!is_cookie_read_in(value.as_bytes(), "user_id"), "{value}");
        }
    }

    #[test]
    fn forwarding_names_are_found_by_prefix_and_whole() {
        let names = forwarding();
        for found in
            ["x-forwarded-for", "x_forwarded_user", "cf-connecting-ip", "cf_ipcountry", "remote_user", "forwarded"]
        {
            assert!(names.contains(&name(found)), "{found}");
        }
        for other in ["x-forward", "cfo", "user", "x-user", "forwarded-by"] {
            assert!(!names.contains(&name(other)), "{other}");
        }
    }

    #[test]
    fn a_name_too_long_for_the_stack_is_still_compared_by_prefix() {
        let long = format!("x-forwarded-{}", "a".repeat(300));
        assert!(forwarding().contains(&HeaderName::from_bytes(long.as_bytes()).unwrap()));
    }
}
