//! Header names that a client may not send, in whatever spelling a service might fold them to.

use std::collections::HashSet;

use http::HeaderName;

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
