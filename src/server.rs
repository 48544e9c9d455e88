//! Assembly: from a configuration to listening services, and from a signal to a clean end.
//!
//! One runtime serves everything, so that connections, look-ups and checks never depend on a runtime that ends before
//! them. The engine's own server is not used: it would wait for the whole of a fixed grace period, and would go on
//! without a listener where a port is taken.

mod drain;
mod listeners;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::config::{Config, Settings, UiSettings, UiTheme};
use crate::decision::policy::Policy;
use crate::decision::rule::Target;
use crate::gate::Parties;
use crate::ops::decisions::{Decisions, ext_authz_router, forward_auth_router};
use crate::ops::readiness::Readiness;
use crate::ops::{self, OpsState};
use crate::proxy::listener::{Certificate, TlsError, serve};
use crate::proxy::{Gateway, InFlight, Pools};
use crate::server::drain::{Drain, Stop};
use crate::server::listeners::{Addresses, Listeners, answer};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::sessions::whoami::ClientError;
use crate::signing::Signer;
use crate::telemetry::Metrics;
use crate::tokens::Tokens;
use crate::ui::{self, Pages};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("listen.tls: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Kratos(#[from] ClientError),
    #[error("no threads to run on: {0}")]
    Threads(io::Error),
}

/// What a running gateway is made of; reloads and operators look at the same.
#[derive(Clone)]
pub struct Control {
    policy: Arc<ArcSwap<Policy>>,
    pools: Arc<Pools>,
    pages: Arc<ArcSwapOption<Pages>>,
    runtime: tokio::runtime::Handle,
    settings: Arc<ArcSwap<Settings>>,
    parties: Parties,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    stop: watch::Sender<Stop>,
}

/// A running gateway. Dropped, it stops at once.
pub struct Running {
    control: Control,
    addresses: Addresses,
    thread: Option<JoinHandle<()>>,
}

/// Starts the gateway of `config`, and returns as soon as it takes requests.
///
/// Call it outside of any runtime: it makes its own, and may have to drop it again.
///
/// # Errors
/// Where a port is taken, a certificate cannot be read, or the system gives no threads: said at once.
pub fn start(config: Config) -> Result<Running, StartError> {
    // Whoever installed one before us, in the same process, has the same in mind.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Config { policy, settings, signing, .. } = config;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.listen.threads.max(1))
        .thread_name("portcullis")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let _within = runtime.enter();
    let certificate = settings.listen.tls.as_ref().map(Certificate::read).transpose()?;
    let listeners = Listeners::bind(&settings)?;
    let addresses = listeners.addresses();

    let metrics = Arc::new(Metrics::new());
    let control = Control {
        pools: Arc::new(Pools::default()),
        pages: Arc::new(ArcSwapOption::from_pointee(pages(&policy, &settings)?)),
        runtime: runtime.handle().clone(),
        parties: Parties {
            sessions: Sessions::new(settings.sessions.clone(), Arc::clone(&metrics))?,
            tokens: Tokens::new(Arc::clone(&metrics)),
            services: Services::new(Arc::clone(&metrics)),
            signer: Signer::new(signing),
        },
        readiness: Arc::new(Readiness::default()),
        stop: watch::Sender::new(Stop::NotYet),
        policy: Arc::new(ArcSwap::from_pointee(policy)),
        settings: Arc::new(ArcSwap::from_pointee(settings)),
        metrics,
    };
    control.prepare(&control.policy.load());
    control.metrics.started();

    // The ports are ours: whoever connects from here on is answered.
    control.readiness.begin();
    let thread = std::thread::Builder::new().name("portcullis-main".to_owned());
    let running = control.clone();
    let thread = thread.spawn(move || running.run(runtime, listeners, certificate)).map_err(StartError::Threads)?;
    tracing::info!(
        address = %addresses.clients,
        ops = %addresses.operators,
        decisions = addresses.decisions.map(tracing::field::display),
        grpc = addresses.grpc.map(tracing::field::display),
        "Listening"
    );
    Ok(Running { control, addresses, thread: Some(thread) })
}

impl Running {
    /// Where the gateway listens; with the port that was found where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.addresses.clients
    }

    /// Where operators ask.
    pub fn ops_address(&self) -> SocketAddr {
        self.addresses.operators
    }

    /// Where other proxies ask for decisions over HTTP, beside the operators' listener.
    pub fn decisions_address(&self) -> Option<SocketAddr> {
        self.addresses.decisions
    }

    /// Where Envoy asks for decisions.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.addresses.grpc
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops as a signal would, and returns when it is done.
    pub fn stop(mut self) {
        self.control.stop();
        self.join();
    }

    /// Returns when a signal, or [`Control::stop`], has stopped the gateway.
    pub fn wait(mut self) {
        drop(self.control.runtime.spawn(drain::heed_signals(self.control.stop.clone())));
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The gateway ended in a panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Twice: whoever lets go of it does not want to wait.
        self.control.stop();
        self.control.stop();
        self.join();
    }
}

impl Control {
    /// Puts another configuration in force: wholly, or not at all. Requests in flight keep the policy they began with.
    ///
    /// Listeners are not moved: what of their settings changed is named in the log and needs a restart.
    ///
    /// # Errors
    /// Where Kratos cannot be asked with the new settings; then everything stays as it was.
    pub fn reload(&self, config: Config) -> Result<(), ClientError> {
        let _within = self.runtime.enter();
        let Config { policy, settings, signing, .. } = config;
        let pages = pages(&policy, &settings)?;
        self.parties.sessions.reconfigure(settings.sessions.clone())?;
        let old = self.settings.load();
        if old.listen != settings.listen || old.ops != settings.ops || old.decisions != settings.decisions {
            tracing::warn!("Settings of listeners changed; they take effect at the next start");
        }
        // First the pools, so that no request of the new policy has to wait for a name.
        self.prepare(&policy);
        self.parties.signer.reconfigure(signing);
        self.pages.store(pages.map(Arc::new));
        self.settings.store(Arc::new(settings));
        self.policy.store(Arc::new(policy));
        self.readiness.reloaded(SystemTime::now(), None);
        self.metrics.reload(true);
        Ok(())
    }

    /// Notes that a configuration was not taken, for `reason`; the one in force stays.
    pub fn refuse_reload(&self, reason: &str) {
        tracing::error!(reason, "Configuration not taken, the old one stays");
        self.readiness.reloaded(SystemTime::now(), Some(reason));
        self.metrics.reload(false);
    }

    /// What everything of the gateway runs on.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// Asks the gateway to stop; asked twice, it does not wait for what is in flight.
    pub fn stop(&self) {
        self.stop.send_modify(Stop::ask);
    }

    /// The number of the policy in force.
    pub fn generation(&self) -> u64 {
        self.policy.load().generation
    }

    /// Makes ready what requests of `policy` will need.
    fn prepare(&self, policy: &Policy) {
        let rules = || policy.reserved.iter().chain(&policy.rules);
        self.pools.prepare(policy);
        self.parties.services.prepare(policy);
        self.parties.tokens.prepare(policy);
        self.parties.sessions.keep_facts(policy.reads_facts());
        self.metrics.rules(&rules().map(|rule| &*rule.id).collect::<Vec<_>>());
        let upstreams = rules().filter_map(|rule| match &rule.target {
            Some(Target::Kratos(upstream) | Target::Service(upstream)) => Some(&*upstream.name),
            Some(Target::Keys | Target::Pages | Target::Redirect(_)) | None => None,
        });
        let mut upstreams = upstreams.collect::<Vec<_>>();
        upstreams.sort_unstable();
        upstreams.dedup();
        self.metrics.upstreams(&upstreams);
    }

    /// Serves until asked to stop, then drains.
    fn run(self, runtime: Runtime, listeners: Listeners, certificate: Option<Certificate>) {
        let settings = self.settings.load_full();
        let in_flight = InFlight::default();
        let gateway = Gateway {
            policy: Arc::clone(&self.policy),
            parties: self.parties.clone(),
            pools: Arc::clone(&self.pools),
            metrics: Arc::clone(&self.metrics),
            pages: Arc::clone(&self.pages),
            settings: settings.listen.clone(),
            in_flight: in_flight.clone(),
        };
        let decisions = Decisions {
            policy: Arc::clone(&self.policy),
            parties: self.parties.clone(),
            metrics: Arc::clone(&self.metrics),
            in_flight: in_flight.clone(),
            settings: Arc::new(settings.decisions.clone()),
        };
        let operators = ops::router(OpsState {
            policy: Arc::clone(&self.policy),
            metrics: Arc::clone(&self.metrics),
            readiness: Arc::clone(&self.readiness),
            decisions: decisions.clone(),
            token: settings.ops.token.clone(),
        });
        runtime.block_on(async {
            let closing = watch::Sender::new(false);
            let listening = tokio::spawn(serve(gateway, listeners.clients, certificate, closing.subscribe()));
            let deciding = [
                listeners.decisions.map(|bound| (bound, forward_auth_router(decisions.clone()))),
                listeners.grpc.map(|bound| (bound, ext_authz_router(decisions))),
            ];
            for (bound, router) in deciding.into_iter().flatten() {
                tokio::spawn(answer(bound, router, closing.subscribe()));
            }
            // Nobody closes it: to the last, operators can see how far the end has come.
            let staying = watch::Sender::new(false);
            let operators = tokio::spawn(answer(listeners.operators, operators, staying.subscribe()));
            let drain = Drain {
                delay: settings.listen.shutdown_delay,
                timeout: settings.listen.shutdown_timeout,
                in_flight,
                readiness: &self.readiness,
            };
            drain.run(self.stop.subscribe(), closing, listening).await;
            operators.abort();
            // Its listener is closed when it is gone, not when it was told to go.
            let _ = operators.await;
        });
        runtime.shutdown_background();
    }
}

/// The sign-in pages, where they are on.
fn pages(policy: &Policy, settings: &Settings) -> Result<Option<Pages>, ClientError> {
    let Some(configured) = &settings.ui else { return Ok(None) };
    let UiSettings { path_prefix, brand, theme, home } = configured.clone();
    let scheme = match theme {
        UiTheme::Auto => ui::Scheme::Auto,
        UiTheme::Dark => ui::Scheme::Dark,
        UiTheme::Light => ui::Scheme::Light,
    };
    let settings_of_pages = ui::Settings {
        path_prefix,
        brand,
        theme: ui::Theme { scheme, ..ui::Theme::default() },
        public_path: policy.kratos_prefix.to_string(),
        home,
    };
    let client = settings.sessions.client()?;
    Ok(Some(Pages::new(settings_of_pages, settings.sessions.kratos.clone(), client)))
}
