//! `check`: compiles configurations and tells every fault at once.

mod kratos;

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
    /// Also asks the running Kratos whether its base_url, cookies, pages and return_to fit. The name of its session
    /// cookie cannot be asked for: it shows only once somebody signs in.
    #[arg(long)]
    kratos: bool,
}

/// Faults, misfits and warnings go to standard error, so that a clean run prints one line a file.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut faulty = false;
    for file in &arguments.files {
        let config = match config::load(file, &Options::default()) {
            Ok(config) => config,
            Err(faults) => {
                faulty = true;
                writeln!(err, "{faults}")?;
                continue;
            }
        };
        for warning in &config.warnings {
            writeln!(err, "warning: {warning}")?;
        }
        writeln!(out, "{}: {} rules, no faults", file.display(), config.policy.rules.len())?;
        if arguments.kratos {
            // Whoever installed one before us has the same in mind.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let misfits = runtime.block_on(kratos::misfits(&config));
            for misfit in &misfits {
                writeln!(err, "{}: {misfit}", file.display())?;
            }
            if misfits.is_empty() {
                writeln!(out, "{}: Kratos fits", file.display())?;
            }
            faulty |= !misfits.is_empty();
        }
    }
    Ok(if faulty { ExitCode::from(FAULTY) } else { ExitCode::SUCCESS })
}
