//! `explain`: tells what the gateway would do with a request, and why.

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use http::{HeaderMap, Method};

use crate::cli::{ConfigFile, print};
use crate::config::{self, Options};
use crate::ops::explain::{Supposed, explain, header};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// The method, as clients send it.
    #[arg(value_name = "METHOD")]
    method: Method,
    /// The URL, or a path alone. It is never normalised.
    #[arg(value_name = "URL")]
    url: String,
    /// A header of the request.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// What whoami would answer: `none`, `step-up`, `down`, or a file with a session's JSON.
    #[arg(long, value_name = "none|step-up|down|FILE.json")]
    session: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = config::load(&arguments.file.config, &Options::default())?;
    let mut headers = HeaderMap::new();
    for text in &arguments.headers {
        let (name, value) = header(text).with_context(|| format!("`{text}` is no header: write `Name: value`"))?;
        headers.append(name, value);
    }
    let supposed = arguments.session.as_deref().map(supposed).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let explanation = runtime.block_on(explain(&config.policy, &arguments.method, &arguments.url, headers, supposed));
    print(&if arguments.json { serde_json::to_string(&explanation)? } else { explanation.to_string() })?;
    Ok(ExitCode::SUCCESS)
}

/// A word, or else the name of a file.
fn supposed(text: &str) -> anyhow::Result<Supposed> {
    if let Some(supposed) = Supposed::parse(text) {
        return Ok(supposed);
    }
    let body = fs::read(text).with_context(|| format!("cannot read the session in {text}"))?;
    Ok(Supposed::answer(&body))
}
