//! Which rules share one pattern, and which of them a request's method and scheme belong to.

use http::Method;
use regex::Regex;
use smallvec::SmallVec;

use crate::decision::index::Captures;
use crate::decision::index::Found;
use crate::decision::index::Owner;
use crate::decision::path::Path;
use crate::decision::pattern::Methods;
use crate::decision::pattern::PathPattern;
use crate::decision::pattern::Schemes;
use crate::decision::request::Scheme;

/// All rules with one pattern. Whatever they do not list, nobody owns: it never falls to a weaker pattern.
#[derive(Debug)]
pub(super) struct Claims {
    claims: SmallVec<[Claim; 1]>,
    /// As the first of them wrote it.
    pub(super) pattern: Box<str>,
    /// What may be asked by http and by https.
    allow: Box<[Methods; 2]>,
}

/// What one rule claims of the pattern.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) owner: Owner,
    methods: Methods,
    schemes: Schemes,
    names: Names,
}

/// Where the captures of a pattern are found.
#[derive(Debug)]
enum Names {
    Regex(Regex),
    Segments(Box<[(Box<str>, usize)]>),
}

impl Claim {
    pub(super) fn new(owner: Owner, methods: &Methods, schemes: Schemes, pattern: &PathPattern) -> Self {
        let names = match pattern {
            PathPattern::Regex(regex) if regex.captures().next().is_some() => Names::Regex(regex.regex().clone()),
            PathPattern::Regex(_) => Names::Segments(Box::default()),
            PathPattern::Segments(segments) => {
                Names::Segments(segments.captures().map(|(name, position)| (name.into(), position)).collect())
            }
        };
        Self { owner, methods: methods.clone(), schemes, names }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.methods.overlaps(&other.methods) && self.schemes.overlaps(other.schemes)
    }

    fn captures<'a>(&'a self, path: &'a Path<'_>) -> Captures<'a> {
        match &self.names {
            Names::Regex(regex) => Captures::of_regex(regex, path),
            Names::Segments(positions) => Captures::of_segments(positions, path),
        }
    }
}

impl Claims {
    pub(super) fn new(pattern: Box<str>) -> Self {
        let none = Methods::of([]);
        Self { claims: SmallVec::new(), pattern, allow: Box::new([none.clone(), none]) }
    }

    /// Adds a claim, unless another one overlaps with it: then that one's owner.
    pub(super) fn add(&mut self, claim: Claim) -> Result<(), Owner> {
        if let Some(other) = self.claims.iter().find(|other| other.overlaps(&claim)) {
            return Err(other.owner);
        }
        for (scheme, allow) in [Scheme::Http, Scheme::Https].into_iter().zip(self.allow.iter_mut()) {
            if claim.schemes.contains(scheme) {
                *allow = allow.union(&claim.methods);
            }
        }
        self.claims.push(claim);
        Ok(())
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = Owner> {
        self.claims.iter().map(|claim| claim.owner)
    }

    /// Gives the request to the one rule that lists its method and scheme, or to none.
    pub(super) fn judge<'a>(&'a self, method: &Method, scheme: Scheme, path: &'a Path<'_>) -> Found<'a> {
        let claim = self.claims.iter().find(|claim| claim.schemes.contains(scheme) && claim.methods.contains(method));
        if let Some(claim) = claim {
            return Found::Owner { owner: claim.owner, captures: claim.captures(path) };
        }
        let [http, https] = &*self.allow;
        let allow = match scheme {
            Scheme::Http => http,
            Scheme::Https => https,
        };
        if allow.is_empty() { Found::Nothing } else { Found::MethodNotListed { allow } }
    }
}
