//! What is wrong with a set of rules: two owners, a path that is not theirs to own, a rule that is never reached.

use std::fmt;

use crate::decision::index::Owner;
use crate::decision::index::claims::Claims;
use crate::decision::pattern::HostPattern;
use crate::decision::pattern::PathPattern;

/// Why rules cannot stand together. Rules are named by their position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Conflict {
    #[error(
        "the regex `{regex}` of rule {rule} is never reached on host `{host}`: `{covering}` of {by} takes every such path"
    )]
    RegexNeverReached { rule: u32, regex: String, host: HostPattern, covering: String, by: Owner },
    #[error("the regexes on host `{host}` cannot be used together: {reason}")]
    Regexes { host: HostPattern, reason: String },
    #[error("`{pattern}` of rule {rule} lies within `{reserved}`, which the gateway passes to Kratos itself")]
    Reserved { rule: u32, pattern: String, reserved: String },
    #[error("rules {first} and {second} both own `{pattern}` on host `{host}` for a method and scheme that both list")]
    TwoOwners { first: u32, second: u32, host: HostPattern, pattern: String },
}

impl Conflict {
    /// Nothing where built-in entries overlap: those are all alike, and the first one owns the path.
    pub(super) fn two_owners(first: Owner, second: Owner, host: &HostPattern, pattern: &PathPattern) -> Option<Self> {
        let (first, second) = (first.rule()?, second.rule()?);
        Some(Self::TwoOwners { first, second, host: host.clone(), pattern: pattern.to_string() })
    }

    pub(super) fn never_reached(regex: &Claims, covering: &Claims, host: &HostPattern) -> Option<Self> {
        Some(Self::RegexNeverReached {
            rule: regex.owners().next()?.rule()?,
            regex: regex.pattern.clone().into(),
            host: host.clone(),
            covering: covering.pattern.clone().into(),
            by: covering.owners().next()?,
        })
    }
}

/// A pattern that can never match, or a rule without any that can. Worth a warning, not wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    pub rule: u32,
    pub why: Why,
}

/// Why a rule, or one pattern of it, can never match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("`{pattern}` can never match: a path begins with `/`")]
    Impossible { pattern: String },
    #[error("it lists no method")]
    NoMethod,
    #[error("it lists no path")]
    NoPath,
    #[error("it lists no scheme")]
    NoScheme,
    #[error("`{pattern}` can never match on host `{host}`: other patterns take all of its paths")]
    Shadowed { host: HostPattern, pattern: String },
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.why)
    }
}
