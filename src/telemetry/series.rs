//! Counters that are found without formatting or hashing a label: by the place of a closed value, or by rule.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::telemetry::labels::Class;
use crate::telemetry::labels::Label;
use crate::telemetry::labels::Outcome;

/// The label value of what no rule or upstream of the policy owns.
const NOBODY: &str = "-";

/// One counter for each value of a closed label, all there from the start: an absent series cannot be told from zero.
pub(super) struct Counters<L> {
    counters: Vec<IntCounter>,
    label: PhantomData<L>,
}

impl<L: Label> Counters<L> {
    pub(super) fn new(family: &IntCounterVec) -> Self {
        let counters = L::ALL.iter().map(|value| family.with_label_values(&[value.as_str()])).collect();
        Self { counters, label: PhantomData }
    }

    pub(super) fn inc(&self, value: L) {
        self.counters[value.index()].inc();
    }
}

/// The series of requests by rule. Only rules of the policy have any, so clients cannot make new ones.
pub(super) struct ByRule {
    requests: IntCounterVec,
    durations: HistogramVec,
    rules: ArcSwap<HashMap<Box<str>, Arc<RuleSeries>>>,
    nobody: RuleSeries,
}

/// The series of one rule. They are made when first counted: most rules of a large policy see few combinations.
#[derive(Default)]
struct RuleSeries {
    duration: OnceLock<Histogram>,
    requests: OnceLock<Box<[[OnceLock<IntCounter>; Class::ALL.len()]; Outcome::ALL.len()]>>,
}

impl ByRule {
    pub(super) fn new(requests: IntCounterVec, durations: HistogramVec) -> Self {
        Self { requests, durations, rules: ArcSwap::default(), nobody: RuleSeries::default() }
    }

    /// Replaces the rules there are. Those that stay keep their counts, those that go take their series with them.
    pub(super) fn replace(&self, ids: &[&str]) {
        let old = self.rules.load_full();
        let new = ids
            .iter()
            .map(|&id| (Box::from(id), old.get(id).map(Arc::clone).unwrap_or_default()))
            .collect::<HashMap<Box<str>, _>>();
        let gone = old.keys().filter(|id| !new.contains_key(&***id)).cloned().collect::<Vec<_>>();
        self.rules.store(Arc::new(new));
        for id in gone {
            // A series that was never counted is not there to be removed.
            let _ = self.durations.remove_label_values(&[&*id]);
            for outcome in Outcome::ALL {
                for class in Class::ALL {
                    let _ = self.requests.remove_label_values(&[&*id, outcome.as_str(), class.as_str()]);
                }
            }
        }
    }

    pub(super) fn count(&self, rule: &str, outcome: Outcome, class: Class, took: Duration) {
        let rules = self.rules.load();
        let (rule, series) = match rules.get(rule) {
            Some(series) => (rule, &**series),
            None => (NOBODY, &self.nobody),
        };
        let requests = series.requests.get_or_init(Box::default);
        requests[outcome.index()][class.index()]
            .get_or_init(|| self.requests.with_label_values(&[rule, outcome.as_str(), class.as_str()]))
            .inc();
        series.duration.get_or_init(|| self.durations.with_label_values(&[rule])).observe(took.as_secs_f64());
    }
}

impl ByRule {
    /// How many requests of a rule ended so, whatever their status.
    pub(super) fn counted(&self, rule: &str, outcome: Outcome) -> u64 {
        let rules = self.rules.load();
        let series = rules.get(rule).and_then(|series| series.requests.get());
        let classes = series.map(|series| &series[outcome.index()]);
        classes.into_iter().flatten().filter_map(|counter| counter.get()).map(IntCounter::get).sum()
    }
}

/// Counts by a name of the policy and a closed label. Only names of the policy have series of their own.
pub(super) struct ByName {
    counts: IntCounterVec,
    names: ArcSwap<HashSet<Box<str>>>,
}

impl ByName {
    pub(super) fn new(counts: IntCounterVec) -> Self {
        Self { counts, names: ArcSwap::default() }
    }

    /// Replaces the names there are, as [`ByRule::replace`] does the rules.
    pub(super) fn replace<L: Label>(&self, names: &[&str]) {
        let new = names.iter().map(|&name| Box::from(name)).collect::<HashSet<Box<str>>>();
        let old = self.names.swap(Arc::new(new));
        for gone in old.iter().filter(|name| !names.contains(&&***name)) {
            for kind in L::ALL {
                let _ = self.counts.remove_label_values(&[&**gone, kind.as_str()]);
            }
        }
    }

    pub(super) fn count(&self, name: &str, kind: impl Label) {
        let name = if self.names.load().contains(name) { name } else { NOBODY };
        self.counts.with_label_values(&[name, kind.as_str()]).inc();
    }
}
