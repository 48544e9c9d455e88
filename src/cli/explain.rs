//! `explain`: tells what the gateway would do with a request, and why.

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use http::{HeaderMap, Method};

use crate::cli::{ConfigFile, print};
use crate::config::{self, Options};
use crate::gate::SupposedReply;
use crate::ops::explain::{Supposed, Supposing, explain, header, reply, tells};

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
    /// What whoami would answer: `none`, `step-up`, `down`, or a file with a session's JSON, or with a
    /// token's claims: `{"token": {"sub": …}}`.
    #[arg(long, value_name = "none|step-up|down|FILE.json")]
    session: Option<String>,
    /// What a service would answer: `allow`, `deny` or `silent`, or a file with the JSON that an enricher would tell.
    #[arg(long = "answer", value_name = "NAME=allow|deny|silent|FILE.json")]
    answers: Vec<String>,
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
    let replies = arguments.answers.iter().map(|text| answer(text)).collect::<anyhow::Result<_>>()?;
    let session = arguments.session.as_deref().map(supposed).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let explanation = runtime.block_on(explain(
        &config.policy,
        &arguments.method,
        &arguments.url,
        headers,
        Supposing { session, replies },
    ));
    print(&if arguments.json { serde_json::to_string(&explanation)? } else { explanation.to_string() })?;
    Ok(ExitCode::SUCCESS)
}

/// The name of a service, and a word or the name of a file.
fn answer(text: &str) -> anyhow::Result<(Box<str>, SupposedReply)> {
    let (name, answer) = text.split_once('=').with_context(|| format!("`{text}` is no answer: write `name=allow`"))?;
    if let Some(reply) = reply(answer) {
        return Ok((name.into(), reply));
    }
    let json = fs::read(answer).with_context(|| format!("cannot read the answer in {answer}"))?;
    let json = serde_json::from_slice(&json).with_context(|| format!("{answer} holds no JSON"))?;
    Ok((name.into(), tells(&json)))
}

/// A word, or else the name of a file.
fn supposed(text: &str) -> anyhow::Result<Supposed> {
    if let Some(supposed) = Supposed::parse(text) {
        return Ok(supposed);
    }
    let body = fs::read(text).with_context(|| format!("cannot read the session in {text}"))?;
    Ok(Supposed::answer(&body))
}
