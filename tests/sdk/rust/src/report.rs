//! Which operations were called and what came of it, for the table of all clients.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::json;

/// Why a test ended early.
pub(crate) enum Stop {
    Failed(String),
    /// It could not come to its end here, through no fault of the server's.
    NotTested(&'static str),
}

impl<E: std::fmt::Display> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Stop>;

#[derive(Default)]
pub(crate) struct Report {
    /// By operation and outcome.
    operations: BTreeMap<&'static str, BTreeMap<&'static str, u32>>,
    passed: u32,
    failed: u32,
    skipped: Vec<&'static str>,
}

impl Report {
    /// `outcome` is `succeeded`, `refused`, `undecodable` or `failed`.
    pub(crate) fn record(&mut self, operation: &'static str, outcome: &'static str) {
        *self.operations.entry(operation).or_default().entry(outcome).or_default() += 1;
    }

    pub(crate) fn close(&mut self, test: &'static str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                println!("ok - {test}");
                self.passed += 1;
            }
            Err(Stop::NotTested(why)) => {
                println!("NOT TESTED - {test}: {why}");
                self.skipped.push(test);
            }
            Err(Stop::Failed(why)) => {
                println!("FAILED - {test}: {why}");
                self.failed += 1;
            }
        }
    }

    pub(crate) fn finish(self) -> ExitCode {
        let report = json!({
            "client": "ory-kratos-client 26.2.0 (Rust)",
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "operations": self.operations,
        });
        let written = std::env::var_os("SDK_REPORT").map(|path| std::fs::write(path, format!("{report:#}\n")));
        match written {
            Some(Err(error)) => {
                println!("the report could not be written: {error}");
                ExitCode::FAILURE
            }
            _ if self.failed > 0 || self.passed == 0 => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }
}
