//! Why the other rules lost: for `explain`, which may take its time.

use crate::decision::index::Entry;
use crate::decision::index::Index;
use crate::decision::index::Owner;
use crate::decision::index::claims::Claims;
use crate::decision::path::Path;
use crate::decision::pattern::HostPattern;
use crate::decision::request::Ambiguous;
use crate::decision::request::RequestView;

/// Why a rule does not own a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    #[error("its hosts do not match")]
    HostDoesNotMatch,
    #[error("the host belongs to the rules that name `{by}`")]
    HostOwned { by: HostPattern },
    #[error("it does not list the method")]
    MethodNotListed,
    #[error("its paths do not match")]
    PathDoesNotMatch,
    #[error("the path belongs to `{by}` of {owner}")]
    PathOwned { by: String, owner: Owner },
    #[error("it does not list the scheme")]
    SchemeNotListed,
    #[error("it would have to own the path as it came and folded, and to allow: {0}")]
    Spelling(Ambiguous),
}

impl Index {
    /// Every rule that does not own this request, and why.
    #[must_use]
    pub fn why_not(&self, request: &RequestView<'_>) -> Vec<(u32, WhyNot)> {
        let rules = (0u32..).zip(&self.rules);
        rules.filter_map(|(number, rule)| Some((number, self.why_not_rule(number, rule, request)?))).collect()
    }

    fn why_not_rule(&self, number: u32, rule: &Entry, request: &RequestView<'_>) -> Option<WhyNot> {
        let hosts = rule.hosts();
        if !hosts.iter().any(|host| host.matches(request.host())) {
            return Some(WhyNot::HostDoesNotMatch);
        }
        // Some table is there, since the rule has one and its host matches.
        let table = self.table(request.host())?;
        if let Some(by) = table.named.as_ref().filter(|named| !hosts.contains(named)) {
            return Some(WhyNot::HostOwned { by: by.clone() });
        }
        if let Some(why) = self.why_not_path(number, rule, request, request.path()) {
            return Some(why);
        }
        let odd = request.odd()?;
        let is_owner =
            rule.allow.covers(odd.oddities) && self.why_not_path(number, rule, request, &odd.folded).is_none();
        (!is_owner).then_some(WhyNot::Spelling(odd.fault))
    }

    fn why_not_path(&self, number: u32, rule: &Entry, request: &RequestView<'_>, path: &Path<'_>) -> Option<WhyNot> {
        if !rule.paths.iter().any(|pattern| pattern.matches(path)) {
            return Some(WhyNot::PathDoesNotMatch);
        }
        let claims: &Claims = self.table(request.host()).and_then(|table| self.claims(table, path))?;
        if !claims.owners().any(|owner| owner == Owner::Rule(number)) {
            let owner = claims.owners().next()?;
            return Some(WhyNot::PathOwned { by: claims.pattern.clone().into(), owner });
        }
        if !rule.schemes.contains(request.scheme()) {
            return Some(WhyNot::SchemeNotListed);
        }
        (!rule.methods.contains(request.method())).then_some(WhyNot::MethodNotListed)
    }
}
