//! What there is to tell of an import, rule by rule.

use std::path::Path;

use super::gateway::Gateway;
use super::handlers::Access;
use super::source::{OathConfig, OathRule, Reader};
use super::{Note, Verdict};

/// The notes so far.
#[derive(Default)]
pub(super) struct Notes {
    all: Vec<(Option<usize>, Verdict, String)>,
}

impl Notes {
    pub(super) fn are_none(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn on(&mut self, rule: usize, verdict: Verdict, reason: impl Into<String>) {
        self.add(Some(rule), verdict, reason.into());
    }

    pub(super) fn whole(&mut self, verdict: Verdict, reason: impl Into<String>) {
        self.add(None, verdict, reason.into());
    }

    pub(super) fn add(&mut self, rule: Option<usize>, verdict: Verdict, reason: String) {
        let note = (rule, verdict, reason);
        if !self.all.contains(&note) {
            self.all.push(note);
        }
    }

    /// Forgets what was said of a rule that is not needed any more.
    pub(super) fn forget(&mut self, rule: usize) {
        self.all.retain(|(of, ..)| *of != Some(rule));
    }

    pub(super) fn repository(
        &mut self,
        reader: &mut Reader,
        repository: &str,
        folder: &Path,
        config: &OathConfig,
    ) -> Vec<OathRule> {
        if let Some(path) = repository.strip_prefix("file://") {
            // Oathkeeper takes them from where it runs; whoever imports is rarely there.
            let given = Path::new(path);
            let beside = folder.join(path.trim_start_matches("./"));
            return reader.rules(if given.exists() || !beside.exists() { given } else { &beside }, config);
        }
        match repository.strip_prefix("inline://") {
            Some(encoded) => reader.inline(encoded, config),
            None => {
                let why =
                    format!("the rules of `{repository}` are not fetched: fetch them, and name the file with --rules");
                self.whole(Verdict::Dropped, why);
                Vec::new()
            }
        }
    }

    /// In the order of the rules, what concerns the whole first.
    pub(super) fn finish(mut self, rules: &[OathRule]) -> Vec<Note> {
        for number in 0..rules.len() {
            if !self.all.iter().any(|(rule, ..)| *rule == Some(number)) {
                self.on(number, Verdict::Kept, "it means what it meant");
            }
        }
        self.all.sort_by_key(|(rule, verdict, _)| (*rule, std::cmp::Reverse(*verdict)));
        let note = |(rule, verdict, reason): (Option<usize>, Verdict, String)| {
            let rule = rule.and_then(|number| rules.get(number));
            Note { rule: rule.map(|rule| rule.id.clone()), place: rule.map(|rule| rule.place.clone()), verdict, reason }
        };
        self.all.into_iter().map(note).collect()
    }
}

/// What every rule finds different here: said once.
pub(super) fn customs(rules: &[OathRule], gateway: &Gateway, notes: &mut Notes) {
    if rules.is_empty() {
        return;
    }
    notes.whole(
        Verdict::Improved,
        "a path that could be read in two ways (`//`, `..`, `%2F`, `;`) is refused with 400; Oathkeeper decoded and cleaned it",
    );
    notes.whole(Verdict::Improved, "hosts are compared without case and final dot, and without a port match any port");
    notes.whole(
        Verdict::Improved,
        "services get the path as it was sent, its trailing slash too; with or without one it matches the same rule",
    );
    notes.whole(
        Verdict::Improved,
        "of two rules that match, the more specific path owns the request; Oathkeeper answered 500",
    );
    if gateway.rules.iter().any(|rule| rule.share.methods.contains("GET")) {
        notes.whole(Verdict::Improved, "GET means HEAD too");
    }
    if gateway.rules.iter().any(|rule| !rule.handled.headers.is_empty()) {
        notes.whole(
            Verdict::Improved,
            "a header that any rule sets is taken from every request first; one without a value is left out, not empty",
        );
    }
    if gateway.rules.iter().any(|rule| rule.handled.access == Access::Session) {
        notes.whole(Verdict::Improved, "sessions are cached for `sessions.ttl`; Kratos being away is 503, not 401");
    }
    if gateway.rules.iter().any(|rule| rule.handled.refusals.as_ref().is_some_and(|refusals| refusals.login.is_some()))
    {
        notes.whole(
            Verdict::Improved,
            "redirects are 303, for navigations of browsers only, and say where to come back to in `return_to`",
        );
    }
}
