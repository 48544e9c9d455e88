//! `portcullis test`: requests, what is supposed of their sessions, and what the policy must make of them.

use std::fmt;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::config::{self, Faults, Options};
use crate::decision::policy::Policy;
use crate::ops::explain::{Supposing, explain};

mod file;
#[cfg(test)]
mod tests;

/// What became of all tests of a file.
#[derive(Debug)]
pub(crate) struct Report {
    results: Vec<TestResult>,
}

#[derive(Debug)]
struct TestResult {
    name: String,
    /// The line of the test.
    place: String,
    /// What was not as expected; none: it passed.
    failures: Vec<Failure>,
}

/// One thing that was not as expected.
#[derive(Debug, Eq, PartialEq)]
struct Failure {
    what: String,
    expected: String,
    got: String,
}

/// Why no test was run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleTestError {
    /// The tests, or the configuration that they name, are faulty.
    #[error("{0}")]
    Faults(#[from] Faults),
}

/// One test, as it was written.
struct Test {
    name: String,
    line: u32,
    method: Method,
    url: String,
    headers: HeaderMap,
    /// A rule that asks anyone of whom nothing is supposed has the outcome `ask`.
    supposing: Supposing,
    expected: Expected,
}

/// What is expected; what is absent is not looked at.
#[derive(Debug, Default)]
struct Expected {
    /// The id of the rule, or that there is none.
    rule: Option<Option<String>>,
    outcome: Option<String>,
    status: Option<u16>,
    refusal: Option<Option<String>>,
    /// What the service gets of these headers; nothing where it must not get one.
    headers: Vec<(String, Option<String>)>,
}

/// Runs the tests of `file` against the configuration that it names, as the gateway would decide.
///
/// # Errors
/// Every fault of the file, or of the configuration.
pub(crate) fn run_rule_tests(file: &Path) -> Result<Report, RuleTestError> {
    let written = file::read(file)?;
    let config = config::load(&written.config, &Options::default())?;
    let results = written.tests.into_iter().map(|test| run(test, file, &config.policy)).collect();
    Ok(Report { results })
}

fn run(test: Test, file: &Path, policy: &Policy) -> TestResult {
    let Test { name, line, method, url, headers, supposing, expected } = test;
    let place = format!("{}:{line}", file.display());
    let sent = headers.clone();
    // Nobody is asked, so that there is nothing to wait for.
    let explained = explain(policy, &method, &url, headers, supposing).now_or_never();
    let explained = explained.and_then(|explanation| serde_json::to_value(&explanation).ok());
    let failures = match explained {
        Some(explained) => expected.failures(&explained, &sent),
        None => vec![Failure::new("decision", "one", "none: it would have to wait")],
    };
    TestResult { name, place, failures }
}

impl Expected {
    fn failures(&self, explained: &Value, sent: &HeaderMap) -> Vec<Failure> {
        let told = |key: &str| explained.get(key).and_then(Value::as_str);
        let mut failures = Vec::new();
        let mut differs = |what: &str, expected: Option<&str>, got: Option<&str>| {
            if expected != got {
                failures.push(Failure::new(what, expected.unwrap_or("none"), got.unwrap_or("none")));
            }
        };
        if let Some(rule) = &self.rule {
            differs("rule", rule.as_deref(), told("rule"));
        }
        if let Some(outcome) = &self.outcome {
            differs("outcome", Some(outcome), told("outcome"));
        }
        if let Some(status) = self.status {
            let got = explained.get("status").and_then(Value::as_u64).map(|status| status.to_string());
            differs("status", Some(&status.to_string()), got.as_deref());
        }
        if let Some(refusal) = &self.refusal {
            differs("refusal", refusal.as_deref(), told("refusal"));
        }
        for (name, expected) in &self.headers {
            let got = if told("outcome") == Some("permit") { arriving(name, explained, sent) } else { None };
            differs(&format!("header {name}"), expected.as_deref(), got.as_deref());
        }
        failures
    }
}

/// What the service gets of a header: what was sent, after all edits.
fn arriving(name: &str, explained: &Value, sent: &HeaderMap) -> Option<String> {
    let values = sent.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut arriving = values.reduce(|all, one| format!("{all}, {one}"));
    let is_it =
        |other: Option<&Value>| other.and_then(Value::as_str).is_some_and(|other| other.eq_ignore_ascii_case(name));
    for edit in explained.get("edits").and_then(Value::as_array).into_iter().flatten() {
        if is_it(edit.get("remove")) {
            arriving = None;
        }
        let set = edit.get("set");
        if is_it(set.and_then(|set| set.get(0))) {
            arriving = set.and_then(|set| set.get(1)).and_then(Value::as_str).map(str::to_owned);
        }
    }
    arriving
}

impl Failure {
    fn new(what: &str, expected: &str, got: &str) -> Self {
        Self { what: what.to_owned(), expected: expected.to_owned(), got: got.to_owned() }
    }
}

impl Report {
    /// 0 where every test passed, 1 where one failed.
    pub(crate) fn exit_code(&self) -> u8 {
        u8::from(self.failed() > 0)
    }

    fn failed(&self) -> usize {
        self.results.iter().filter(|result| !result.failures.is_empty()).count()
    }
}

/// Every failure, and how many tests passed and failed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in self.results.iter().filter(|result| !result.failures.is_empty()) {
            writeln!(f, "{}: {}", result.place, result.name)?;
            for failure in &result.failures {
                writeln!(f, "  {}: expected {}, got {}", failure.what, failure.expected, failure.got)?;
            }
        }
        let failed = self.failed();
        writeln!(f, "{} passed, {failed} failed", self.results.len() - failed)
    }
}

/// What the tests of a file are run against.
struct Written {
    config: PathBuf,
    tests: Vec<Test>,
}
