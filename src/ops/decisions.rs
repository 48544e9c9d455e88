//! The decision API: other proxies ask what the gateway would do, and do it themselves.
//!
//! `original` reads the request that is asked about. `forward_auth` answers over HTTP, `ext_authz` in Envoy's own protocol;
//! both ask here. The gate and its refusals are those of the proxy.

mod envoy;
mod ext_authz;
mod forward_auth;
mod log;
mod original;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;

use crate::decision::dress;
use crate::decision::dress::Dress;
use crate::decision::edits::Edit;
use crate::decision::edits::Surface;
use crate::decision::edits::Toward;
use crate::decision::edits::edits;
use crate::decision::origin::is_trusted;
use crate::decision::policy::Policy;
use crate::decision::refusal::Refusal;
use crate::decision::request::Ambiguous;
use crate::decision::request::RequestView;
use crate::decision::rule::Target;
use crate::gate::Parties;
use crate::gate::Passage;
use crate::gate::Verdict;
use crate::gate::WhoAsks;
use crate::gate::judge;
use crate::ops::decisions::log::Asked;
use crate::ops::decisions::original::Original;
use crate::ops::decisions::original::Unclear;
use crate::ops::settings;
use crate::proxy::ClientKind;
use crate::proxy::InFlight;
use crate::proxy::Place;
use crate::proxy::RefusalContext;
use crate::proxy::RequestId;
use crate::proxy::Response;
use crate::proxy::respond;
use crate::telemetry::Metrics;

pub(crate) use ext_authz::router as ext_authz_router;
pub(crate) use forward_auth::router as forward_auth_router;
pub(super) use forward_auth::routes as forward_auth_routes;

/// All that is needed to decide for other proxies.
#[derive(Clone)]
pub(crate) struct Decisions {
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) parties: Parties,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) in_flight: InFlight,
    pub(crate) settings: Arc<settings::Decisions>,
}

/// Who asks for a decision.
struct Asking {
    /// The proxy.
    peer: IpAddr,
    /// For whom it asks.
    client: IpAddr,
    id: RequestId,
}

/// The request that is asked about, once it has one meaning.
struct Request<'a> {
    view: RequestView<'a>,
    /// As a Host header says it.
    authority: String,
}

/// What a proxy is to do with the request that it asked about.
struct Answer {
    id: RequestId,
    /// Session cookies that whoami gave and the client must get.
    set_cookies: Vec<HeaderValue>,
    /// What to change in the head before it goes on, or why it does not.
    outcome: Result<Vec<Edit>, Refused>,
}

/// A refusal, and what the client is to see of it.
struct Refused {
    refusal: Refusal,
    response: Response,
}

impl Decisions {
    /// Whether `peer` may ask; says so in the log where not.
    fn hears(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        let heard = peer.filter(|peer| is_trusted(&peer.to_canonical(), &self.settings.trusted_proxies));
        if heard.is_none() {
            tracing::warn!(
                peer = peer.map(tracing::field::display),
                "No decision for a proxy that is not among `decisions.trusted_proxies`"
            );
        }
        heard
    }

    /// Decides the request that is asked about.
    async fn decide(&self, asking: &Asking, original: &Result<Original, Unclear>) -> Answer {
        let started = Instant::now();
        let _under_way = (self.in_flight.enter(), self.metrics.in_flight());
        let policy = self.policy.load_full();
        let request = Request::read(asking, original);
        let verdict = match &request {
            Ok(request) => judge(&policy, &request.view, &WhoAsks::Parties(&self.parties)).await,
            Err(why) => Verdict::refused(None, Refusal::Ambiguous(*why)),
        };
        let outcome = verdict.outcome.and_then(|passage| match (passage.permit.target(), &request) {
            // What the gateway itself serves is not for others to pass on: nobody said that their service may be
            // asked there.
            (Some(Target::Keys | Target::Kratos(_) | Target::Pages | Target::Redirect(_)), _) => Err(Refusal::NoRule),
            (Some(Target::Service(_)) | None, Ok(request)) => Ok(changes(&policy, request.view.headers(), &passage)),
            (Some(Target::Service(_)) | None, Err(why)) => Err(Refusal::Ambiguous(*why)),
        });
        let request = request.as_ref().ok();
        let rule = verdict.rule.clone();
        let outcome = outcome.map_err(|refusal| {
            let rule = rule.as_deref();
            let headers = request.map(|request| request.view.headers());
            let dress =
                rule.zip(headers).map(|(rule, headers)| rule.on_refusal.choose(&refusal, headers, Some(asking.client)));
            let dress = dress.unwrap_or(&dress::AUTO);
            let response = respond(&refusal, &context(&policy, dress, request, &asking.id));
            Refused { refusal, response }
        });
        let asked = Asked { asking, request, rule: verdict.rule.as_deref(), session: verdict.session.as_deref() };
        log::write(&self.metrics, &asked, outcome.as_ref().err(), started.elapsed());
        Answer { id: asking.id.clone(), set_cookies: verdict.set_cookies, outcome }
    }
}

impl<'a> Request<'a> {
    fn read(asking: &Asking, original: &'a Result<Original, Unclear>) -> Result<Self, Ambiguous> {
        let original = original.as_ref().map_err(|why| {
            let peer = asking.peer;
            tracing::warn!(%peer, %why, request_id = asking.id.as_str(), "It is unclear what a proxy asks about");
            Ambiguous::ReportUnclear
        })?;
        let view = RequestView::parse(original.head()).inspect_err(|why| {
            tracing::debug!(%why, request_id = asking.id.as_str(), "Ambiguous request");
        })?;
        Ok(Self { authority: view.host().to_string(), view })
    }

    /// Path as sent, without the query.
    fn path(&self) -> &str {
        self.view.origin_form().split('?').next().unwrap_or_default()
    }
}

/// What a refusal of `request` is dressed with.
fn context<'a>(
    policy: &'a Policy,
    dress: &'a Dress,
    request: Option<&'a Request<'_>>,
    id: &'a RequestId,
) -> RefusalContext<'a> {
    RefusalContext {
        login: &policy.login,
        public_url: policy.public_url.as_ref(),
        method: request.map_or(&Method::GET, |request| request.view.method()),
        client: request
            .map(|request| ClientKind::of(request.view.method(), request.view.headers()))
            .unwrap_or_default(),
        dress,
        place: request.map(|request| Place {
            scheme: request.view.scheme(),
            host: request.view.host().name(),
            authority: &request.authority,
            origin_form: request.view.origin_form(),
        }),
        request_id: id.as_str(),
    }
}

/// The changes to the head of a permitted request, as they are made to proxied ones, and after the names that no client
/// may send. Where a request comes from is for the proxy to say, so what it says of that stays.
///
/// A proxy may remove after it has set, so nothing that is set is removed before; setting replaces anyway.
fn changes(policy: &Policy, headers: &HeaderMap, passage: &Passage) -> Vec<Edit> {
    let Passage { permit, stamps, .. } = passage;
    let owned = policy.owned.spellings.iter().filter_map(|spelling| HeaderName::try_from(&**spelling).ok());
    let owned = owned.collect::<Vec<_>>();
    let is_set = |name: &HeaderName| stamps.iter().any(|stamp| stamp.on == Surface::Request && stamp.name == *name);
    let mut changes = owned.iter().filter(|name| !is_set(name)).cloned().map(Edit::Remove).collect::<Vec<_>>();
    changes.extend(edits(policy, headers, Toward::of(permit), stamps).into_iter().filter(|edit| match edit {
        Edit::Remove(name) if is_set(name) => false,
        Edit::Remove(name) if policy.owned.stamped.contains(name) => !owned.contains(name),
        Edit::Remove(name) => !policy.forwarding.contains(name),
        Edit::Set { .. } => true,
    }));
    changes
}
