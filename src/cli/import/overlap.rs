//! Rules that share requests. Oathkeeper looks at all of them and answers 500 where two match; here the most specific
//! host and path own a request, for every method. So that no rule loses what was its own, each gets a share of the more
//! specific paths of others, and where two own the very same, the stricter does.

use std::collections::BTreeSet;

use super::Verdict;
use super::handlers::Access;
use super::matching::{PathText, dedup};
use super::shape::{Shape, covers, prefix, regex_of, shape};
use crate::decision::pattern::{HostPattern, Segment};

/// What one rule owns, before others are looked at.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) id: String,
    pub(super) access: Access,
    /// What it demands beside access, in a text; empty: nothing.
    pub(super) demands: String,
    pub(super) http: bool,
    pub(super) https: bool,
    /// None: any host.
    pub(super) hosts: Vec<String>,
    pub(super) paths: Vec<PathText>,
    pub(super) methods: BTreeSet<String>,
}

/// What one rule owns in the end; a rule may have several shares, each a rule of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Share {
    /// The position of the claim.
    pub(super) claim: usize,
    pub(super) http: bool,
    pub(super) https: bool,
    pub(super) hosts: Vec<String>,
    pub(super) paths: Vec<PathText>,
    pub(super) methods: BTreeSet<String>,
}

/// What there is to say of a claim.
pub(super) type Remark = (usize, Verdict, String);

/// One path of one claim, on one host and by one scheme.
#[derive(Clone)]
struct Atom {
    claim: usize,
    host: HostPattern,
    https: bool,
    path: PathText,
    shape: Shape,
    methods: BTreeSet<String>,
    /// A share of another rule's path or host.
    derived: bool,
}

/// Divides the requests among the claims.
pub(super) fn shares(claims: &[Claim]) -> (Vec<Share>, Vec<Remark>) {
    let mut remarks = Vec::new();
    let mut atoms = atoms(claims);
    share_hosts(&mut atoms);
    stand_back(&mut atoms);
    share_paths(&mut atoms, claims, &mut remarks);
    settle(&mut atoms, claims, &mut remarks);
    (grouped(&atoms, claims), remarks)
}

fn atoms(claims: &[Claim]) -> Vec<Atom> {
    let mut atoms = Vec::new();
    for (number, claim) in claims.iter().enumerate() {
        let any = vec!["*".to_owned()];
        for host in if claim.hosts.is_empty() { &any } else { &claim.hosts } {
            let Ok(host) = HostPattern::parse(host) else { continue };
            for path in &claim.paths {
                let Some(shape) = shape(path) else { continue };
                for https in [false, true].into_iter().filter(|https| if *https { claim.https } else { claim.http }) {
                    atoms.push(Atom {
                        claim: number,
                        host: host.clone(),
                        https,
                        path: path.clone(),
                        shape: shape.clone(),
                        methods: claim.methods.clone(),
                        derived: false,
                    });
                }
            }
        }
    }
    atoms
}

/// A more specific host owns all of its requests: rules for wider hosts get their share of it.
fn share_hosts(atoms: &mut Vec<Atom>) {
    let mut hosts = atoms.iter().map(|atom| atom.host.clone()).collect::<Vec<_>>();
    dedup(&mut hosts);
    let mut shares = Vec::new();
    for host in &hosts {
        for atom in atoms.iter().filter(|atom| atom.host != *host && atom.host.covers(host)) {
            shares.push(Atom { host: host.clone(), derived: true, ..atom.clone() });
        }
    }
    atoms.extend(shares);
}

/// Patterns come before all regexes. Those that would take from a regex become regexes that come after it.
fn stand_back(atoms: &mut Vec<Atom>) {
    let regexes = |atoms: &[Atom]| {
        let is_regex = |atom: &&Atom| !matches!(atom.shape, Shape::Segments(_));
        atoms.iter().filter(is_regex).cloned().collect::<Vec<_>>()
    };
    loop {
        let known = regexes(atoms);
        let mut changed = false;
        for atom in atoms.iter_mut() {
            let Shape::Segments(segments) = &atom.shape else { continue };
            if !known.iter().any(|other| other.host == atom.host) {
                continue;
            }
            let text = regex_of(segments);
            let Ok(regex) = regex::Regex::new(&text) else { continue };
            let is_wild = segments.covers_below() || segments.iter().any(|one| !matches!(one, Segment::Literal(_)));
            let takes = |other: &Atom| {
                other.host == atom.host
                    && match &other.shape {
                        Shape::Regex { samples, .. } => samples.iter().any(|sample| regex.is_match(sample)),
                        Shape::WasSegments(other) => segments.covers(other) && !other.covers(segments),
                        Shape::Segments(_) => false,
                    }
            };
            if is_wild && known.iter().any(takes) {
                atom.path = PathText::Regex(text);
                atom.shape = Shape::WasSegments(segments.clone());
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    // What a regex of the same rule has already, it need not have twice.
    let all = atoms.clone();
    atoms.retain(|atom| {
        !all.iter().any(|other| {
            other.claim == atom.claim
                && other.host == atom.host
                && other.https == atom.https
                && matches!(other.shape, Shape::WasSegments(_))
                && matches!(atom.shape, Shape::Regex { .. })
                && covers(&other.shape, &atom.shape)
        })
    });
}

fn is_same(one: &Atom, two: &Atom) -> bool {
    one.host == two.host && one.https == two.https && covers(&one.shape, &two.shape) && covers(&two.shape, &one.shape)
}

/// `GET` brings `HEAD` with it.
fn shared(one: &BTreeSet<String>, two: &BTreeSet<String>) -> BTreeSet<String> {
    let brings =
        |set: &BTreeSet<String>, method: &str| set.contains(method) || (method == "HEAD" && set.contains("GET"));
    one.union(two).filter(|method| brings(one, method) && brings(two, method)).cloned().collect()
}

/// A more specific path owns every method: what others had of it, by other methods, they get.
fn share_paths(atoms: &mut Vec<Atom>, claims: &[Claim], remarks: &mut Vec<Remark>) {
    let mut shares = Vec::new();
    let mut told = BTreeSet::new();
    for inner in atoms.iter() {
        for outer in atoms.iter() {
            let is_wider = outer.claim != inner.claim
                && outer.host == inner.host
                && outer.https == inner.https
                && covers(&outer.shape, &inner.shape)
                && !covers(&inner.shape, &outer.shape);
            if !is_wider {
                continue;
            }
            let both = shared(&outer.methods, &inner.methods);
            let left = outer.methods.difference(&both).cloned().collect::<BTreeSet<_>>();
            let is_new = !both.is_empty() && told.insert((outer.claim, inner.claim));
            if let Some((outer, inner)) = is_new.then_some((outer, inner)) {
                remarks.push((
                    outer.claim,
                    Verdict::Improved,
                    format!(
                        "Oathkeeper answered 500 where `{}` matches too; here that rule, being more specific, owns it",
                        claims[inner.claim].id
                    ),
                ));
            }
            if !left.is_empty() {
                shares.push(Atom { claim: outer.claim, methods: left, derived: true, ..inner.clone() });
            }
        }
    }
    atoms.extend(shares);
}

/// Where two own the same, the one with an own claim does, then the stricter, then the first.
fn settle(atoms: &mut Vec<Atom>, claims: &[Claim], remarks: &mut Vec<Remark>) {
    let mut order = std::mem::take(atoms);
    let strictness = |atom: &Atom| (claims[atom.claim].access, !claims[atom.claim].demands.is_empty());
    order.sort_by_key(|atom| (atom.derived, std::cmp::Reverse(strictness(atom)), atom.claim));
    let mut told = BTreeSet::new();
    for mut atom in order {
        for owner in atoms.iter_mut() {
            if !is_same(owner, &atom) {
                continue;
            }
            if owner.claim == atom.claim {
                atom.methods.retain(|method| !owner.methods.contains(method));
                continue;
            }
            let both = shared(&owner.methods, &atom.methods);
            if both.is_empty() {
                continue;
            }
            if both.contains("HEAD") && !both.contains("GET") && atom.methods.contains("GET") {
                // GET cannot be had without HEAD here.
                owner.methods.remove("HEAD");
                let why = format!("HEAD goes with GET, which `{}` owns there", claims[atom.claim].id);
                remarks.push((owner.claim, Verdict::Dropped, why));
                let rest = shared(&owner.methods, &atom.methods);
                atom.methods.retain(|method| !rest.contains(method));
            } else {
                atom.methods.retain(|method| !both.contains(method));
            }
            if !atom.derived && told.insert((atom.claim, owner.claim)) {
                let which = if strictness(owner) > strictness(&atom) { "the stricter" } else { "the first" };
                let why = format!(
                    "Oathkeeper answered 500 where `{}` matches too; here that rule, {which}, owns what both did",
                    claims[owner.claim].id
                );
                // What both demand need not be what one does.
                let lost = &claims[atom.claim].demands;
                let owner = &claims[owner.claim];
                let is_kept = lost.is_empty() || *lost == owner.demands || owner.access == Access::Deny;
                remarks.push((atom.claim, if is_kept { Verdict::Improved } else { Verdict::Dropped }, why));
            }
        }
        if !atom.methods.is_empty() {
            atoms.push(atom);
        }
    }
    atoms.retain(|atom| !atom.methods.is_empty());
}

/// The atoms of each claim, put together again.
fn grouped(atoms: &[Atom], claims: &[Claim]) -> Vec<Share> {
    // First over the schemes, then over the hosts, then over the paths.
    let mut places: Vec<Share> = Vec::new();
    for atom in atoms {
        let host = atom.host.to_string();
        let same = places.iter_mut().find(|place| {
            place.claim == atom.claim
                && place.hosts[0] == host
                && place.paths[0] == atom.path
                && place.methods == atom.methods
                && (if atom.https { !place.https } else { !place.http })
        });
        match same {
            Some(place) => (place.http, place.https) = (place.http || !atom.https, place.https || atom.https),
            None => places.push(Share {
                claim: atom.claim,
                http: !atom.https,
                https: atom.https,
                hosts: vec![host],
                paths: vec![atom.path.clone()],
                methods: atom.methods.clone(),
            }),
        }
    }
    let over_hosts = merged(places, |one, two| one.paths == two.paths, |one, two| one.hosts.extend(two.hosts));
    let mut shares = merged(over_hosts, |one, two| one.hosts == two.hosts, |one, two| one.paths.extend(two.paths));
    for share in &mut shares {
        // Where no other host is listed, any is meant by listing none.
        if matches!(share.hosts.as_slice(), [only] if only == "*") {
            share.hosts.clear();
        }
        let of = &claims[share.claim].paths;
        share.paths.sort_by_key(|path| of.iter().position(|own| own == path).unwrap_or(usize::MAX));
    }
    // Regexes are tried in the order of the file: those with the longest beginning come first.
    let breadth = |share: &Share| {
        let regexes = share.paths.iter().filter_map(|path| match path {
            PathText::Regex(text) => Some((prefix(text).len(), text.len())),
            PathText::Pattern(_) => None,
        });
        std::cmp::Reverse(regexes.min().unwrap_or((usize::MAX, usize::MAX)))
    };
    shares.sort_by_key(|share| share.claim);
    shares.sort_by_key(breadth);
    shares
}

fn merged(shares: Vec<Share>, fits: impl Fn(&Share, &Share) -> bool, join: impl Fn(&mut Share, Share)) -> Vec<Share> {
    let mut all: Vec<Share> = Vec::new();
    for share in shares {
        let same = all.iter_mut().find(|one| {
            one.claim == share.claim
                && (one.http, one.https) == (share.http, share.https)
                && one.methods == share.methods
                && fits(one, &share)
        });
        match same {
            Some(one) => join(one, share),
            None => all.push(share),
        }
    }
    all
}

#[cfg(test)]
mod tests;
