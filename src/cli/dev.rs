//! `dev`: the whole thing without anything else installed, for trying out.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use url::Url;

use crate::cli::demo;
use crate::cli::print;
use crate::config::{self, Config, Files, Options};
use crate::dev;
use crate::server;

const CONFIGURATION: &str = include_str!("../../config/dev.yaml");

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:4455")]
    listen: SocketAddr,
    /// Where operators ask.
    #[arg(long, default_value = "127.0.0.1:4456")]
    ops: SocketAddr,
    /// Where the identity server listens: a loopback address.
    #[arg(long, default_value = "127.0.0.1:4433")]
    kratos: SocketAddr,
    /// Where the demo service listens.
    #[arg(long, default_value = "127.0.0.1:4457")]
    demo: SocketAddr,
    /// A SQLite file that keeps accounts across restarts. Default: in memory.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // Ports that are not given are found before anything is told about them.
    let listen = free(arguments.listen)?;
    let origin = format!("http://{listen}");
    let runtime = runtime()?;
    let identities = start_identities(&runtime, arguments, &origin)?;
    let demo = runtime.block_on(demo::serve(arguments.demo)).context("the demo service")?;
    let config = compile(
        &[
            ("PORTCULLIS_LISTEN", listen.to_string()),
            ("PORTCULLIS_OPS", arguments.ops.to_string()),
            ("PORTCULLIS_DEMO", format!("http://{demo}")),
        ],
        &identities.url(),
    )?;
    let running = server::start(config)?;
    print(&welcome(&origin, &identities.url(), &running.ops_address().to_string()))?;
    running.wait();
    runtime.block_on(identities.stop());
    Ok(ExitCode::SUCCESS)
}

/// The identity server that `kratos: embedded` stands for in a configuration of the user's.
pub(super) struct Embedded {
    // Dropped in this order: the server stops before what it runs on.
    _server: dev::Server,
    _runtime: Runtime,
}

/// Starts it beside a gateway of `config`.
pub(super) fn embedded(config: &Config) -> anyhow::Result<Embedded> {
    let runtime = runtime()?;
    let kratos = Options::default().embedded_kratos;
    let listen = kratos.socket_addrs(|| None)?.into_iter().next().context("no address for the identity server")?;
    let base = match &config.policy.public_url {
        Some(public) => public.origin.to_string(),
        None => format!("http://{}", config.settings.listen.address),
    };
    let base = Url::parse(&format!("{base}{}/", config.policy.kratos_prefix))?;
    let ui_url = config.settings.ui.as_ref().map(|ui| base.join(&ui.path_prefix)).transpose()?;
    let options =
        dev::Options { listen, base_url: Some(base), ui_url, seed_demo_accounts: true, ..dev::Options::default() };
    let server = runtime.block_on(dev::Server::start(options))?;
    tracing::warn!(address = %server.address(), "The embedded identity server is for development, not for production");
    Ok(Embedded { _server: server, _runtime: runtime })
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("portcullis-dev")
        .enable_all()
        .build()?)
}

/// `address`, with a free port where it names none.
fn free(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let taken = std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(taken.local_addr()?)
}

fn start_identities(runtime: &Runtime, arguments: &Arguments, origin: &str) -> anyhow::Result<dev::Server> {
    let base = Url::parse(&format!("{origin}/"))?;
    let options = dev::Options {
        listen: arguments.kratos,
        ui_url: Some(base.join("ui")?),
        base_url: Some(base),
        data: arguments.data.clone(),
        seed_demo_accounts: true,
        ..dev::Options::default()
    };
    Ok(runtime.block_on(dev::Server::start(options))?)
}

/// The configuration of `dev`, with what was found out at the start in place of its variables.
fn compile(variables: &[(&str, String)], kratos: &str) -> anyhow::Result<Config> {
    let environment = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let files = Files { read: &|_: &Path| Ok(CONFIGURATION.as_bytes().to_vec()), list: &|_: &str| Ok(Vec::new()) };
    let options = Options { environment: &environment, embedded_kratos: Url::parse(kratos)?, ..Options::default() };
    Ok(config::compile(Path::new("dev.yaml"), &files, &options)?)
}

/// What to open, and four commands to try.
fn welcome(origin: &str, identities: &str, ops: &str) -> String {
    let (demo, totp, admin) = (dev::DEMO_ACCOUNT, dev::TOTP_ACCOUNT, dev::ADMIN_ACCOUNT);
    let secret = totp.totp_secret.unwrap_or_default();
    format!(
        r#"Portcullis is up. Open {origin}/ in a browser, or try this in a shell:

  # 1. Without a session the door is shut: 401.
  curl -i {origin}/private

  # 2. Sign up; the session cookie goes to a file.
  JAR=$(mktemp); FLOW=$(curl -s -c $JAR -H 'Accept: application/json' {origin}/self-service/registration/browser); curl -s -b $JAR -c $JAR -H 'Accept: application/json' -H 'Content-Type: application/json' -d '{{"method":"password","traits":{{"email":"you-'$$'@example.com"}},"password":"correct-horse-battery","csrf_token":"'$(echo "$FLOW" | grep -o '"name":"csrf_token"[^}}]*' | sed 's/.*"value":"\([^"]*\)".*/\1/')'"}}' "$(echo "$FLOW" | sed 's/.*"action":"\([^"]*\)".*/\1/')"; echo

  # 3. With the cookie the demo service answers, and shows who it was told you are.
  curl -i -b $JAR {origin}/private

  # 4. Sign out: the very same cookie is refused at once, although it was cached.
  curl -s -b $JAR "$(curl -s -b $JAR -H 'Accept: application/json' {origin}/self-service/logout/browser | sed 's/.*"logout_url":"\([^"]*\)".*/\1/')"; curl -i -b $JAR {origin}/private

Accounts: {demo_email}, {totp_email} (second factor, secret {secret}), {admin_email}; the password of each is {password}
Mails:    {identities}/dev/mailbox
Operate:  http://{ops}/metrics, http://{ops}/rules
The identity server at {identities} is for development: it listens on this machine only and forgets everything unless --data names a file.
"#,
        demo_email = demo.email,
        totp_email = totp.email,
        admin_email = admin.email,
        password = demo.password,
    )
}
