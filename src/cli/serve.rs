//! `serve`: runs the gateway, and puts a changed configuration in force while it serves.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use crate::cli::ConfigFile;
use crate::config::reload::{Watch, Watched, watch};
use crate::config::{self, Config, Faults, Options};
use crate::server::{self, Control, Running};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = &arguments.file.config;
    let config = config::load(path, &Options::default())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    #[cfg(feature = "dev")]
    let _identities = if config.settings.embedded { Some(super::dev::embedded(&config)?) } else { None };
    #[cfg(not(feature = "dev"))]
    anyhow::ensure!(!config.settings.embedded, "`kratos: embedded` needs a build with the feature `dev`");

    let watched = watched(path, &config);
    let (running, watch) = start_watched(config, watched)?;
    reload_on_hang_up(&running, watch)?;
    running.wait();
    Ok(ExitCode::SUCCESS)
}

fn watched(path: &Path, config: &Config) -> Watched {
    Watched {
        config: path.to_owned(),
        embedded_kratos: Options::default().embedded_kratos,
        generation: config.policy.generation,
    }
}

/// Starts the gateway and a watch over its files.
fn start_watched(config: Config, watched: Watched) -> anyhow::Result<(Running, Watch)> {
    // The watch needs the configuration and the gateway takes it: the control comes through a cell.
    let control = Arc::new(OnceLock::<Control>::new());
    let watch = {
        let control = Arc::clone(&control);
        watch(watched, &config, move |changed| {
            // A change while the gateway starts waits for it.
            take(control.wait(), changed);
        })?
    };
    let running = server::start(config)?;
    // Set once, here.
    let _ = control.set(running.control().clone());
    Ok((running, watch))
}

/// All of a changed configuration, or nothing of it.
fn take(control: &Control, changed: Result<Config, Faults>) {
    match changed {
        Ok(config) => {
            let (rules, generation) = (config.policy.rules.len(), config.policy.generation);
            for warning in &config.warnings {
                tracing::warn!("{warning}");
            }
            match control.reload(config) {
                Ok(()) => tracing::info!(rules, generation, "Configuration taken"),
                Err(error) => control.refuse_reload(&error.to_string()),
            }
        }
        Err(faults) => {
            // Operators read the whole of it in the log; over HTTP, where anyone may look, only where it is wrong.
            tracing::error!("{faults}");
            control.refuse_reload(&faults.places());
        }
    }
}

/// SIGHUP reads the files anew, changed or not.
fn reload_on_hang_up(running: &Running, watch: Watch) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let _within = running.control().runtime().enter();
    let mut hang_up = signal(SignalKind::hangup())?;
    running.control().runtime().spawn(async move {
        while hang_up.recv().await.is_some() {
            watch.reload();
        }
    });
    Ok(())
}
