//! `check`: compiles configurations and tells every fault at once.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::FAULTY;
use crate::config::{self, Options};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configurations; each is checked by itself.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Faults and warnings go to standard error, so that a clean run prints one line a file.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut faulty = false;
    for file in &arguments.files {
        match config::load(file, &Options::default()) {
            Ok(config) => {
                for warning in &config.warnings {
                    writeln!(err, "warning: {warning}")?;
                }
                writeln!(out, "{}: {} rules, no faults", file.display(), config.policy.rules.len())?;
            }
            Err(faults) => {
                faulty = true;
                writeln!(err, "{faults}")?;
            }
        }
    }
    Ok(if faulty { ExitCode::from(FAULTY) } else { ExitCode::SUCCESS })
}
