//! What becomes of a request's target and host on the way to a service.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Changes to the beginning of the path, and to the host. The default changes nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rewrite {
    /// Empty, or `/…` without a trailing slash. Cut where the path begins with it, segment by segment.
    pub strip_prefix: Box<str>,
    /// Empty, or `/…` without a trailing slash. Put in front of what is left.
    pub add_prefix: Box<str>,
    pub host: HostRewrite,
}

/// Which Host a service gets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum HostRewrite {
    /// The client's.
    #[default]
    Keep,
    Name(Box<str>),
    /// The service's own.
    Upstream,
}

impl Rewrite {
    /// The target for the service. All of it but the prefix is byte for byte what came.
    pub fn target<'t>(&self, target: &'t str) -> Cow<'t, str> {
        let rest = self.stripped(target);
        if self.add_prefix.is_empty() && rest.starts_with('/') {
            return Cow::Borrowed(rest);
        }
        // Of `/api?x`, without its prefix, there is no path left.
        let slash = if rest.starts_with('/') || !self.add_prefix.is_empty() { "" } else { "/" };
        Cow::Owned(format!("{}{slash}{rest}", self.add_prefix))
    }

    /// The prefix was matched decoded and may be spelled otherwise on the wire, so its segments are compared decoded.
    fn stripped<'t>(&self, target: &'t str) -> &'t str {
        let end = target.find('?').unwrap_or(target.len());
        let mut rest = &target[..end];
        for wanted in self.strip_prefix.split('/').skip(1) {
            let Some(after) = rest.strip_prefix('/') else { return target };
            let length = after.find('/').unwrap_or(after.len());
            if percent_decode_str(&after[..length]).ne(wanted.bytes()) {
                return target;
            }
            rest = &after[length..];
        }
        &target[end - rest.len()..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_cut_only_where_the_path_begins_with_it() {
        for (strip, add, target, expected) in [
            ("", "", "/a?b", "/a?b"),
            ("/api", "", "/api/x?y=/api", "/x?y=/api"),
            ("/api", "", "/api", "/"),
            ("/api", "", "/api/", "/"),
            ("/api", "", "/api?x", "/?x"),
            ("/api", "", "/apix/y", "/apix/y"),
            ("/api", "", "/x/api/y", "/x/api/y"),
            ("/api", "", "/ap%69/%2541", "/%2541"),
            ("/api", "", "/API/x", "/API/x"),
            ("/api/v1", "", "/api/v1/x", "/x"),
            ("/api/v1", "", "/api/v2/x", "/api/v2/x"),
            ("/api/v1", "", "/api", "/api"),
            ("", "/v2", "/x?y", "/v2/x?y"),
            ("", "/v2", "/", "/v2/"),
            ("/api", "/v2", "/api", "/v2"),
            ("/api", "/v2", "/api?x", "/v2?x"),
            ("/api", "/v2", "/api/x", "/v2/x"),
            ("/api", "/v2", "/other", "/v2/other"),
        ] {
            let rewrite = Rewrite { strip_prefix: strip.into(), add_prefix: add.into(), host: HostRewrite::Keep };
            assert_eq!(rewrite.target(target), expected, "{strip} {add} {target}");
        }
    }

    proptest! {
        /// Whatever comes, one slash begins what goes on, and all behind the prefix is as it came.
        #[test]
        fn all_behind_the_prefix_is_as_it_came(path in "(/[a-z%0-9.~-]{1,4}){0,4}/?", query in "(\\?[!-~]{0,8})?") {
            let target = if path.is_empty() { format!("/{query}") } else { format!("{path}{query}") };
            for strip in ["", "/a", "/a/b"] {
                for add in ["", "/x/y"] {
                    let rewrite = Rewrite { strip_prefix: strip.into(), add_prefix: add.into(), host: HostRewrite::Keep };
                    let found = rewrite.target(&target);
                    prop_assert!(found.starts_with('/') && !found.starts_with("//"), "{} {}", target, found);
                    let rest = found.strip_prefix(add).unwrap();
                    let is_tail = target.ends_with(rest) || (rest.starts_with('/') && target.ends_with(&rest[1..]));
                    prop_assert!(is_tail, "{} {}", target, found);
                }
            }
        }
    }
}
