//! The patterns and regexes of one host's rules, or of the built-in ones.

use hashbrown::HashMap;
use regex::RegexSet;
use regex::RegexSetBuilder;

use crate::decision::index::Entry;
use crate::decision::index::Owner;
use crate::decision::index::claims::Claim;
use crate::decision::index::claims::Claims;
use crate::decision::index::conflict::Conflict;
use crate::decision::index::prefix::Prefix;
use crate::decision::index::prefix::Prefixes;
use crate::decision::index::trie::Draft;
use crate::decision::index::trie::Trie;
use crate::decision::path::Path;
use crate::decision::pattern::HostPattern;
use crate::decision::pattern::PathPattern;
use crate::decision::pattern::REGEX_SIZE_LIMIT;
use crate::decision::pattern::RegexPattern;

#[derive(Debug, Default)]
pub(super) struct Tier {
    trie: Trie,
    claims: Vec<Claims>,
    regexes: Vec<OwnedRegex>,
    /// All regexes, to ask them at once.
    set: RegexSet,
}

/// A regex and the number of its claims; rules with the same text share it.
#[derive(Debug)]
struct OwnedRegex {
    pattern: RegexPattern,
    claims: u32,
}

impl Tier {
    /// Collects what these entries say, in their order.
    ///
    /// # Errors
    /// Two owners of one pattern, and regexes that no request can reach.
    pub(super) fn build<'e>(
        host: &HostPattern,
        entries: impl IntoIterator<Item = (Owner, &'e Entry)>,
        conflicts: &mut Vec<Conflict>,
    ) -> Self {
        let mut tier = Self::default();
        let mut draft = Draft::default();
        let mut regexes: HashMap<&str, u32> = HashMap::new();
        for (owner, entry) in entries {
            for pattern in &entry.paths {
                let place = match pattern {
                    PathPattern::Regex(regex) => *regexes.entry(regex.as_str()).or_insert_with(|| {
                        let claims = open(&mut tier.claims, pattern);
                        tier.regexes.push(OwnedRegex { pattern: regex.clone(), claims });
                        claims
                    }),
                    PathPattern::Segments(segments) => {
                        *draft.place(segments).get_or_insert_with(|| open(&mut tier.claims, pattern))
                    }
                };
                let claim = Claim::new(owner, &entry.methods, entry.schemes, pattern);
                if let Err(first) = tier.claims[place as usize].add(claim) {
                    conflicts.extend(Conflict::two_owners(first, owner, host, pattern));
                }
            }
        }
        tier.trie = draft.lay_out();
        tier.compile(host, conflicts);
        tier.refuse_unreached(host, conflicts);
        tier
    }

    /// The claims of the pattern that owns this path.
    pub(super) fn find(&self, path: &Path<'_>) -> Option<&Claims> {
        let claims = self.trie.find(path).or_else(|| {
            if self.regexes.is_empty() {
                return None;
            }
            let first = self.set.matches(path.as_str()).iter().next()?;
            Some(self.regexes[first].claims)
        })?;
        Some(&self.claims[claims as usize])
    }

    /// The pattern, if there is one, that takes every path away from this regex.
    pub(super) fn covering(&self, regex: &RegexPattern) -> Option<&Claims> {
        let claims = Prefixes::of(regex).covered_by(|prefix| match prefix {
            Prefix::Begins(segments) => self.trie.covering(segments),
            Prefix::Is(path) => self.trie.find(path),
        })?;
        Some(&self.claims[claims as usize])
    }

    /// Regexes that cannot match any path, since none of their matches begins with a slash.
    pub(super) fn impossible(&self) -> impl Iterator<Item = &Claims> {
        let is_impossible = |regex: &&OwnedRegex| Prefixes::of(&regex.pattern).are_impossible();
        self.regexes.iter().filter(is_impossible).map(|regex| &self.claims[regex.claims as usize])
    }

    /// Patterns and regexes that others leave nothing to; each with the one that comes before it.
    pub(super) fn shadowed(&self) -> impl Iterator<Item = &Claims> {
        let everything = self.regexes.iter().position(|regex| takes_everything(regex.pattern.as_str()));
        let late = everything.map_or(&[][..], |position| &self.regexes[position + 1..]);
        let patterns = self.trie.shadowed().into_iter().chain(late.iter().map(|regex| regex.claims));
        patterns.map(|claims| &self.claims[claims as usize])
    }

    fn compile(&mut self, host: &HostPattern, conflicts: &mut Vec<Conflict>) {
        if self.regexes.is_empty() {
            return;
        }
        // Each one was within the limit, so that their sum is a fair limit for all.
        let limit = REGEX_SIZE_LIMIT.saturating_mul(self.regexes.len());
        let texts = self.regexes.iter().map(|regex| regex.pattern.regex().as_str());
        match RegexSetBuilder::new(texts).size_limit(limit).build() {
            Ok(set) => self.set = set,
            Err(error) => conflicts.push(Conflict::Regexes { host: host.clone(), reason: error.to_string() }),
        }
    }

    fn refuse_unreached(&self, host: &HostPattern, conflicts: &mut Vec<Conflict>) {
        for regex in &self.regexes {
            if let Some(covering) = self.covering(&regex.pattern) {
                let own = &self.claims[regex.claims as usize];
                conflicts.extend(Conflict::never_reached(own, covering, host));
            }
        }
    }
}

fn open(claims: &mut Vec<Claims>, pattern: &PathPattern) -> u32 {
    claims.push(Claims::new(pattern.to_string().into()));
    u32::try_from(claims.len() - 1).expect("a configuration is far smaller than 4 GiB")
}

/// Whether a regex plainly matches every path.
fn takes_everything(regex: &str) -> bool {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    matches!(regex.strip_suffix('$').unwrap_or(regex), ".*" | ".+" | "/.*")
}
