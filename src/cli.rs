//! The commands: serve, dev, check, explain, import, keys, test and schema.

mod check;
#[cfg(feature = "dev")]
mod demo;
#[cfg(feature = "dev")]
mod dev;
mod explain;
mod import;
mod keys;
mod rule_tests;
mod serve;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config;
use crate::telemetry::{self, LogFormat, LogGuard, LogSettings};

/// What is wrong is wrong with what the user gave us.
const FAULTY: u8 = 1;

/// The gate in front of services whose users sign in with Ory Kratos.
#[derive(Parser)]
#[command(name = "portcullis", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    log: LogArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct LogArguments {
    /// What is logged, as in RUST_LOG: `info,access=off`, `portcullis=debug`. Default: RUST_LOG, else `info`.
    #[arg(long = "log", global = true, value_name = "FILTER")]
    filter: Option<String>,
    /// How the log is written.
    #[arg(long = "log-format", global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Text,
}

#[derive(Subcommand)]
enum Command {
    /// Compiles configurations and tells every fault at once.
    Check(check::Arguments),
    /// Runs the gateway with an embedded identity server, sign-in pages and a demo service. Needs no configuration.
    #[cfg(feature = "dev")]
    Dev(dev::Arguments),
    /// Tells what the gateway would do with a request, and why.
    Explain(explain::Arguments),
    /// Brings rules of another gateway over.
    #[command(subcommand)]
    Import(Import),
    /// Makes and shows the keys that the gateway signs with.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Prints the JSON Schema of the configuration, for editors.
    Schema,
    /// Runs the gateway.
    Serve(serve::Arguments),
    /// Holds a policy to its tests: requests, what is supposed of their sessions, and what must come of them.
    Test {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum Import {
    /// Ory Oathkeeper's configuration and rules, as ours on standard output. What changed its meaning or cannot be kept
    /// is told on standard error, rule by rule; the exit status is 3 where something was dropped.
    Oathkeeper {
        /// Oathkeeper's configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Its rules; they replace the repositories of the configuration.
        #[arg(long, value_name = "FILE", num_args = 1..)]
        rules: Vec<PathBuf>,
        /// Where to write a first file of tests, one for each rule, for `portcullis test`.
        #[arg(long, value_name = "FILE")]
        tests: Option<PathBuf>,
    },
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Check(check) => check::run(&check),
        #[cfg(feature = "dev")]
        Command::Dev(dev) => with_log(&arguments.log, || dev::run(&dev)),
        Command::Explain(explain) => explain::run(&explain),
        Command::Import(Import::Oathkeeper { config, rules, tests }) => {
            import_oathkeeper(config.as_deref(), &rules, tests.as_deref())
        }
        Command::Keys(command) => keys::run(&command),
        Command::Schema => print(&format!("{:#}", config::schema())).map(|()| ExitCode::SUCCESS),
        Command::Serve(serve) => with_log(&arguments.log, || serve::run(&serve)),
        Command::Test { file } => run_tests(&file),
    };
    outcome.unwrap_or_else(|error| {
        // A reader that has gone, as `head` does, is no failure worth words.
        if error.downcast_ref::<io::Error>().is_none_or(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            let _ = writeln!(io::stderr(), "portcullis: {error:#}");
        }
        ExitCode::from(FAULTY)
    })
}

fn import_oathkeeper(config: Option<&Path>, rules: &[PathBuf], tests: Option<&Path>) -> anyhow::Result<ExitCode> {
    let imported = import::import(config, rules)?;
    let mut err = io::stderr().lock();
    for note in &imported.notes {
        writeln!(err, "{note}")?;
    }
    if let Some(tests) = tests {
        std::fs::write(tests, &imported.starter_tests).with_context(|| format!("cannot write {}", tests.display()))?;
    }
    print(&imported.yaml)?;
    Ok(ExitCode::from(imported.exit_code()))
}

fn run_tests(file: &Path) -> anyhow::Result<ExitCode> {
    let report = rule_tests::run_rule_tests(file)?;
    print(&report.to_string())?;
    Ok(ExitCode::from(report.exit_code()))
}

/// Runs `command` with a log, and writes what is left of the log when it is done.
fn with_log(arguments: &LogArguments, command: impl FnOnce() -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let _written: LogGuard = telemetry::subscribe(&LogSettings::new(
        arguments.filter.as_deref(),
        match arguments.format {
            Format::Json => LogFormat::Json,
            Format::Text => LogFormat::Text,
        },
    ))?;
    command()
}

/// Prints one text on standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Where the configuration is.
#[derive(Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}
