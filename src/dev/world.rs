//! Everything the server knows: identities, sessions, flows and mails, behind one lock.

use std::collections::HashMap;

use chrono::DateTime;
use chrono::Duration;
use chrono::Utc;
use parking_lot::Mutex;
use parking_lot::MutexGuard;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::Options;
use super::RequiredAal;
use super::StartError;
use super::answer::Fault;
use super::flow::Flow;
use super::flow::Kind;
use super::identity::Identity;
use super::identity::normalized;
use super::mailbox::Mail;
use super::passwords::Passwords;
use super::secret;
use super::secret::CookieKey;
use super::session::Session;
use super::store::Store;
use super::switches::Behaviour;
use super::tokenizer::Tokenizer;
use super::visit::Visit;

/// Expired flows are kept about for their 410; at this many flows they are swept, and the older half of the others.
const MOST_FLOWS: usize = 16 * 1024;
/// As many errors are kept for the error page, and as many exchanges are open, before all are forgotten.
const KEPT: usize = 1024;

/// The URLs the server gives out.
pub(super) struct Urls {
    /// The base URL as written, slash included.
    pub(super) base: Url,
    pub(super) ui: Url,
    pub(super) default_return: Url,
    pub(super) allowed_returns: Vec<Url>,
}

/// How long things live.
pub(super) struct Lifespans {
    pub(super) session: Duration,
    pub(super) flow: Duration,
    pub(super) code: Duration,
    pub(super) privileged: Duration,
}

/// A native client's session token exchange, known by its first code.
pub(super) struct Exchange {
    pub(super) return_to_code: String,
    pub(super) session: Option<Uuid>,
}

/// What changes while the server runs.
#[derive(Default)]
pub(super) struct State {
    pub(super) identities: HashMap<Uuid, Identity>,
    /// By normalized address.
    by_email: HashMap<String, Uuid>,
    pub(super) sessions: HashMap<Uuid, Session>,
    pub(super) by_token: HashMap<String, Uuid>,
    pub(super) flows: HashMap<Uuid, Flow>,
    pub(super) faults: HashMap<Uuid, (Value, DateTime<Utc>)>,
    pub(super) exchanges: HashMap<String, Exchange>,
    pub(super) mails: Vec<Mail>,
}

/// The server behind its HTTP surface.
pub(super) struct World {
    pub(super) urls: Urls,
    pub(super) lifespans: Lifespans,
    pub(super) required_aal: RequiredAal,
    pub(super) csrf_cookie: String,
    pub(super) passwords: Passwords,
    pub(super) tokenizer: Tokenizer,
    pub(super) behaviour: Behaviour,
    /// Submits run one after another: each reads a flow, changes it and puts it back, and a code counts once.
    pub(super) submits: Mutex<()>,
    pub(super) cookie_key: CookieKey,
    store: Option<Store>,
    state: Mutex<State>,
}

impl World {
    pub(super) fn new(options: &Options, own_url: &Url) -> Result<Self, StartError> {
        let base = options.base_url.clone().unwrap_or_else(|| own_url.clone());
        let ui = options.ui_url.clone().map_or_else(|| base.join("ui"), Ok).map_err(StartError::Url)?;
        let allowed_returns = match options.allowed_return_urls.as_slice() {
            [] => vec![base.clone()],
            urls => urls.to_vec(),
        };
        let store = options.data.as_deref().map(Store::open).transpose()?;
        let mut state = State::default();
        if let Some(store) = &store {
            for identity in store.load()? {
                state.by_email.insert(normalized(identity.email()), identity.id);
                state.identities.insert(identity.id, identity);
            }
        }
        Ok(Self {
            csrf_cookie: csrf_cookie_name(base.as_str()),
            urls: Urls {
                default_return: options.default_return_url.clone().unwrap_or_else(|| base.clone()),
                base,
                ui,
                allowed_returns,
            },
            lifespans: Lifespans {
                session: Duration::from_std(options.session_lifespan).unwrap_or(Duration::days(1)),
                flow: Duration::from_std(options.flow_lifespan).unwrap_or(Duration::hours(1)),
                code: Duration::from_std(options.code_lifespan).unwrap_or(Duration::minutes(15)),
                privileged: Duration::from_std(options.privileged_session_max_age).unwrap_or(Duration::hours(1)),
            },
            required_aal: options.required_aal,
            passwords: Passwords::new(options.hashing)?,
            tokenizer: Tokenizer::new(&options.tokenizer_templates).ok_or(StartError::Key)?,
            behaviour: Behaviour::default(),
            submits: Mutex::new(()),
            cookie_key: CookieKey::random().ok_or(StartError::Key)?,
            store,
            state: Mutex::new(state),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The base URL without its last slash, for building on.
    pub(super) fn base(&self) -> &str {
        self.urls.base.as_str().trim_end_matches('/')
    }

    /// The page of the login UI called `name`.
    pub(super) fn page(&self, name: &str) -> String {
        format!("{}/{name}", self.urls.ui.as_str().trim_end_matches('/'))
    }

    /// The page that shows `flow`.
    pub(super) fn flow_page(&self, flow: &Flow) -> String {
        format!("{}?flow={}", self.page(flow.kind.name()), flow.id)
    }

    pub(super) fn identity(&self, id: Uuid) -> Option<Identity> {
        self.state().identities.get(&id).cloned()
    }

    pub(super) fn identity_by_email(&self, email: &str) -> Option<Identity> {
        let state = self.state();
        state.identities.get(state.by_email.get(&normalized(email))?).cloned()
    }

    /// Adds or replaces an identity, in the file too. An address belongs to one identity.
    pub(super) fn keep_identity(&self, identity: Identity) -> Result<(), KeepError> {
        let mut state = self.state();
        let email = normalized(identity.email());
        if state.by_email.get(&email).is_some_and(|owner| *owner != identity.id) {
            return Err(KeepError::AddressTaken);
        }
        if let Some(store) = &self.store {
            store.keep(&identity).map_err(|_| KeepError::Store)?;
        }
        let id = identity.id;
        if let Some(old) = state.identities.insert(id, identity) {
            state.by_email.remove(&normalized(old.email()));
        }
        state.by_email.insert(email, id);
        Ok(())
    }

    /// Applies `change` to an identity; None if there is no such identity or it could not be written.
    pub(super) fn change_identity(&self, id: Uuid, change: impl FnOnce(&mut Identity)) -> Option<Identity> {
        let mut identity = self.identity(id)?;
        change(&mut identity);
        identity.updated_at = Utc::now();
        self.keep_identity(identity.clone()).ok()?;
        Some(identity)
    }

    pub(super) fn keep_flow(&self, flow: &Flow) {
        let mut state = self.state();
        if state.flows.len() >= MOST_FLOWS {
            sweep(&mut state.flows, Utc::now());
        }
        state.flows.insert(flow.id, flow.clone());
    }

    pub(super) fn flow(&self, id: Uuid, kind: Kind) -> Option<Flow> {
        self.state().flows.get(&id).filter(|flow| flow.kind == kind).cloned()
    }

    /// The flow as JSON.
    pub(super) fn view(&self, flow: &Flow) -> Value {
        let identity = flow.identity.and_then(|id| self.identity(id)).map(|identity| identity.view(self.base()));
        flow.view(self.base(), identity)
    }

    /// Where the visitor asks to be sent at the end; None if they do not ask.
    pub(super) fn return_to(&self, visit: &Visit) -> Result<Option<String>, Fault> {
        let Some(wish) = visit.query("return_to") else { return Ok(None) };
        let url = self.urls.default_return.join(&wish).map_err(|_| Fault::return_to_forbidden(&wish))?;
        let own = self.urls.base.join("self-service").ok();
        let allowed = self.urls.allowed_returns.iter().chain(&own).any(|allowed| {
            allowed.scheme() == url.scheme()
                && allowed.port_or_known_default() == url.port_or_known_default()
                && host_allows(allowed.host_str().unwrap_or_default(), url.host_str().unwrap_or_default())
                && url.path().starts_with(allowed.path())
        });
        if allowed { Ok(Some(url.into())) } else { Err(Fault::return_to_forbidden(&wish)) }
    }

    /// Keeps an error for the error page; returns the id it is asked for by.
    pub(super) fn keep_fault(&self, error: Value, now: DateTime<Utc>) -> Uuid {
        let id = Uuid::new_v4();
        let faults = &mut self.state().faults;
        if faults.len() >= KEPT {
            faults.clear();
        }
        faults.insert(id, (error, now));
        id
    }

    /// Starts a token exchange for a native flow that asked for one; returns the code the client keeps.
    pub(super) fn open_exchange(&self) -> String {
        let init_code = secret::link_token();
        let exchange = Exchange { return_to_code: secret::link_token(), session: None };
        let exchanges = &mut self.state().exchanges;
        if exchanges.len() >= KEPT {
            exchanges.clear();
        }
        exchanges.insert(init_code.clone(), exchange);
        init_code
    }
}

/// Why an identity could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeepError {
    AddressTaken,
    Store,
}

fn sweep(flows: &mut HashMap<Uuid, Flow>, now: DateTime<Utc>) {
    flows.retain(|_, flow| flow.expires_at > now);
    if flows.len() > MOST_FLOWS / 2 {
        let mut births: Vec<DateTime<Utc>> = flows.values().map(|flow| flow.issued_at).collect();
        let half = births.len() / 2;
        let median = *births.select_nth_unstable(half).1;
        flows.retain(|_, flow| flow.issued_at > median);
    }
}

fn host_allows(allowed: &str, host: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|label| label.ends_with('.')),
        None => allowed.eq_ignore_ascii_case(host),
    }
}

/// `csrf_token_` and the hash of the base URL as it is written.
fn csrf_cookie_name(base: &str) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(base.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("csrf_token_{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csrf_cookie_is_named_as_kratos_names_it() {
        let name = "csrf_token_01c86631efd1537ee34a98e75884a6e21dd8e2d9e944934bca21204106bfd32f";
        assert_eq!(csrf_cookie_name("http://foo.com/bar"), name);
    }

    #[test]
    fn a_wildcard_allows_subdomains_only() {
        assert!(host_allows("*.example.com", "a.example.com"));
        assert!(!host_allows("*.example.com", "example.com"));
        assert!(!host_allows("*.example.com", "badexample.com"));
        assert!(host_allows("Example.com", "example.com"));
    }

    #[test]
    fn a_sweep_spares_the_younger_half() {
        let now = Utc::now();
        let secret = secret::CsrfSecret::random();
        let flow = |seconds: i64| {
            let issued = now - Duration::seconds(seconds);
            Flow::new(
                Kind::Login,
                super::super::flow::Opener::Browser(secret),
                String::new(),
                issued,
                Duration::hours(5),
            )
        };
        let mut flows: HashMap<Uuid, Flow> =
            (0..).map(|age| flow(age / 2)).take(MOST_FLOWS).map(|flow| (flow.id, flow)).collect();
        let youngest = flows.values().max_by_key(|flow| flow.issued_at).unwrap().id;
        sweep(&mut flows, now);
        assert!(flows.contains_key(&youngest) && flows.len() <= MOST_FLOWS / 2, "{}", flows.len());
    }
}
