//! Which rule owns a request: host first, then the most specific path, then method and scheme.

use std::borrow::Cow;
use std::fmt;

use hashbrown::HashMap;
use hashbrown::HashSet;

use crate::decision::host::Host;
use crate::decision::index::claims::Claims;
use crate::decision::index::hosts::Hosts;
use crate::decision::index::tier::Tier;
use crate::decision::path::Allow;
use crate::decision::path::Path;
use crate::decision::pattern::HostPattern;
use crate::decision::pattern::Methods;
use crate::decision::pattern::PathPattern;
use crate::decision::pattern::Schemes;
use crate::decision::request::Ambiguous;
use crate::decision::request::RequestView;

pub use captures::Captures;
pub use conflict::Conflict;
pub use conflict::Unreachable;
pub use conflict::Why;
pub use explain::WhyNot;

mod captures;
mod claims;
mod conflict;
mod explain;
mod hosts;
mod prefix;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
mod tier;
mod trie;

/// What one rule matches. Its number is its position.
#[derive(Clone, Debug)]
pub struct Entry {
    /// None: any host.
    pub hosts: Vec<HostPattern>,
    pub paths: Vec<PathPattern>,
    pub methods: Methods,
    pub schemes: Schemes,
    /// Odd spellings of the path that the rule is ready for.
    pub allow: Allow,
}

/// Who owns a request: a rule of the configuration or a built-in one, each by its position in its own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    Reserved(u32),
    Rule(u32),
}

/// What the rules say of a request before anyone asks who sent it.
#[derive(Debug)]
pub enum Found<'a> {
    /// Oddly spelled, and no one rule both owns all its meanings and allows the spelling.
    Ambiguous(Ambiguous),
    /// Some rule owns the path, but none that lists this method does; the ones listed print as `Allow` does.
    MethodNotListed {
        allow: &'a Methods,
    },
    /// No rule owns it.
    Nothing,
    Owner {
        owner: Owner,
        captures: Captures<'a>,
    },
}

/// All rules, arranged so that finding one costs as much as the path is long, however many there are.
#[derive(Debug)]
pub struct Index {
    rules: Box<[Entry]>,
    reserved: Box<[Entry]>,
    tiers: Vec<Tier>,
    tables: Vec<Table>,
    hosts: Hosts,
}

/// What is matched on one host entry. Built-in rules come first, so that no rule can own their paths.
#[derive(Debug)]
struct Table {
    /// The host entry whose rules these are. Not the table's own, where only built-in rules name that.
    named: Option<HostPattern>,
    reserved: Option<usize>,
    rules: Option<usize>,
}

impl Entry {
    fn hosts(&self) -> Cow<'_, [HostPattern]> {
        if self.hosts.is_empty() { Cow::Owned(vec![HostPattern::Any]) } else { Cow::Borrowed(&self.hosts) }
    }

    fn covers(&self, host: &HostPattern) -> bool {
        self.hosts().iter().any(|own| own.covers(host))
    }
}

impl Owner {
    /// The number of the rule, unless it is a built-in one.
    #[must_use]
    pub fn rule(self) -> Option<u32> {
        match self {
            Self::Reserved(_) => None,
            Self::Rule(number) => Some(number),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(_) => f.write_str("the built-in rules"),
            Self::Rule(number) => write!(f, "rule {number}"),
        }
    }
}

impl Index {
    /// Arranges the rules, and the built-in ones beside them.
    ///
    /// Built-in rules are matched on every host that they cover, before the rules of the most specific entry that any
    /// rule names for that host. A host that only they name keeps the rules it would have without them.
    ///
    /// # Errors
    /// Every conflict among the rules, or between them and the built-in ones.
    pub fn build(rules: &[Entry], reserved: &[Entry]) -> Result<Self, Vec<Conflict>> {
        let mut conflicts = Vec::new();
        let named = by_host(rules);
        let mut tiers: Vec<Tier> = Vec::new();
        for (host, numbers) in &named {
            let entries = numbers.iter().map(|number| (Owner::Rule(*number), &rules[*number as usize]));
            tiers.push(Tier::build(host, entries, &mut conflicts));
        }

        let mut tables = Vec::new();
        let mut hosts = Hosts::default();
        let mut reserved_tiers: HashMap<Vec<u32>, usize> = HashMap::new();
        for (host, own) in every_host(&named, reserved) {
            let numbers: Vec<u32> =
                (0..).zip(reserved).filter(|(_, entry)| entry.covers(&host)).map(|(number, _)| number).collect();
            let reserved_tier = (!numbers.is_empty()).then(|| {
                *reserved_tiers.entry(numbers).or_insert_with_key(|numbers| {
                    let entries = numbers.iter().map(|number| (Owner::Reserved(*number), &reserved[*number as usize]));
                    tiers.push(Tier::build(&host, entries, &mut conflicts));
                    tiers.len() - 1
                })
            });
            if let (Some(own), Some(reserved_tier)) = (own, reserved_tier) {
                let within = named[own].1.iter().map(|number| (*number, &rules[*number as usize]));
                refuse_reserved(within, reserved, &host, &tiers[reserved_tier], &mut conflicts);
            }
            let rules = own.or_else(|| most_specific(&named, &host));
            hosts.insert(&host, tables.len());
            tables.push(Table { named: rules.map(|base| named[base].0.clone()), reserved: reserved_tier, rules });
        }

        let mut seen = HashSet::new();
        conflicts.retain(|conflict| seen.insert(conflict.clone()));
        if conflicts.is_empty() {
            Ok(Self { rules: rules.into(), reserved: reserved.into(), tiers, tables, hosts })
        } else {
            Err(conflicts)
        }
    }

    /// Finds what the rules say of a request. Nothing is allocated where no regex is asked and no odd spelling is met.
    #[must_use]
    pub fn find<'a>(&'a self, request: &'a RequestView<'_>) -> Found<'a> {
        let Some(table) = self.table(request.host()) else {
            return request.odd().map_or(Found::Nothing, |odd| Found::Ambiguous(odd.fault));
        };
        let as_it_came = self.find_path(table, request, request.path());
        let Some(odd) = request.odd() else { return as_it_came };
        match (&as_it_came, self.find_path(table, request, &odd.folded)) {
            (Found::Owner { owner, .. }, Found::Owner { owner: folded, .. })
                if *owner == folded && self.entry(folded).allow.covers(odd.oddities) =>
            {
                as_it_came
            }
            _ => Found::Ambiguous(odd.fault),
        }
    }

    /// Patterns that can never match and rules without any that can, as far as that is certain.
    #[must_use]
    pub fn unreachable(&self) -> Vec<Unreachable> {
        let mut found = Vec::new();
        for (rule, entry) in (0..).zip(&self.rules) {
            let reasons = [
                (entry.methods.is_empty(), Why::NoMethod),
                (entry.paths.is_empty(), Why::NoPath),
                (entry.schemes.is_empty(), Why::NoScheme),
            ];
            found.extend(reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| Unreachable { rule, why }));
        }
        let mut seen = HashSet::new();
        for table in &self.tables {
            let (Some(host), Some(tier)) = (&table.named, table.rules) else { continue };
            if !seen.insert(tier) {
                continue;
            }
            let pattern = |claims: &Claims| claims.pattern.clone().into();
            let shadowed = self.tiers[tier]
                .shadowed()
                .map(|claims| (claims, Why::Shadowed { host: host.clone(), pattern: pattern(claims) }));
            let impossible =
                self.tiers[tier].impossible().map(|claims| (claims, Why::Impossible { pattern: pattern(claims) }));
            for (claims, why) in shadowed.chain(impossible) {
                found
                    .extend(claims.owners().filter_map(Owner::rule).map(|rule| Unreachable { rule, why: why.clone() }));
            }
        }
        found.sort_by_key(|one| one.rule);
        found
    }

    /// What a rule matches, as it was configured.
    ///
    /// # Panics
    /// Where the owner is none of this index.
    #[must_use]
    pub fn entry(&self, owner: Owner) -> &Entry {
        match owner {
            Owner::Reserved(number) => &self.reserved[number as usize],
            Owner::Rule(number) => &self.rules[number as usize],
        }
    }

    fn table(&self, host: &Host<'_>) -> Option<&Table> {
        self.hosts.find(host).map(|table| &self.tables[table])
    }

    fn claims(&self, table: &Table, path: &Path<'_>) -> Option<&Claims> {
        [table.reserved, table.rules].into_iter().flatten().find_map(|tier| self.tiers[tier].find(path))
    }

    fn find_path<'a>(&'a self, table: &Table, request: &RequestView<'_>, path: &'a Path<'_>) -> Found<'a> {
        self.claims(table, path).map_or(Found::Nothing, |claims| claims.judge(request.method(), request.scheme(), path))
    }
}

/// The host entries that rules name, in order of appearance, and the numbers of the rules that name each.
fn by_host(rules: &[Entry]) -> Vec<(HostPattern, Vec<u32>)> {
    let mut named: Vec<(HostPattern, Vec<u32>)> = Vec::new();
    let mut places: HashMap<HostPattern, usize> = HashMap::new();
    for (number, rule) in (0..).zip(rules) {
        for host in rule.hosts().iter() {
            let place = *places.entry_ref(host).or_insert_with(|| {
                named.push((host.clone(), Vec::new()));
                named.len() - 1
            });
            let numbers = &mut named[place].1;
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
    }
    named
}

/// The host entries that need a table: those that rules name, each with its place, and those that only built-in rules
/// do, with whatever hosts the two have in common.
fn every_host(named: &[(HostPattern, Vec<u32>)], reserved: &[Entry]) -> Vec<(HostPattern, Option<usize>)> {
    let mut every: Vec<_> = named.iter().enumerate().map(|(place, (host, _))| (host.clone(), Some(place))).collect();
    let mut seen: HashSet<HostPattern> = named.iter().map(|(host, _)| host.clone()).collect();
    for host in reserved.iter().flat_map(|entry| entry.hosts().into_owned()) {
        let common = named.iter().filter_map(|(other, _)| host.meet(other));
        for host in std::iter::once(host.clone()).chain(common) {
            if seen.insert(host.clone()) {
                every.push((host, None));
            }
        }
    }
    every
}

fn most_specific(named: &[(HostPattern, Vec<u32>)], host: &HostPattern) -> Option<usize> {
    let covering = named.iter().enumerate().filter(|(_, (other, _))| other.covers(host));
    covering.max_by_key(|(_, (other, _))| other.specificity()).map(|(place, _)| place)
}

/// Refuses rules that name nothing but paths of the built-in ones on this host.
fn refuse_reserved<'e>(
    rules: impl Iterator<Item = (u32, &'e Entry)>,
    reserved: &[Entry],
    host: &HostPattern,
    tier: &Tier,
    conflicts: &mut Vec<Conflict>,
) {
    let built_in: Vec<&PathPattern> =
        reserved.iter().filter(|entry| entry.covers(host)).flat_map(|entry| &entry.paths).collect();
    for (rule, entry) in rules {
        for pattern in &entry.paths {
            let reserved = match pattern {
                PathPattern::Regex(regex) => tier.covering(regex).map(|claims| claims.pattern.clone().into()),
                PathPattern::Segments(segments) => built_in.iter().find_map(|built_in| match built_in {
                    PathPattern::Segments(built_in) if built_in.covers(segments) => Some(built_in.to_string()),
                    PathPattern::Regex(_) | PathPattern::Segments(_) => None,
                }),
            };
            if let Some(reserved) = reserved {
                conflicts.push(Conflict::Reserved { rule, pattern: pattern.to_string(), reserved });
            }
        }
    }
}
