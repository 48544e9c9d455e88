//! From the head of a request to its permit, and what must be found out before it goes on.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use pingora::proxy::Session;

use crate::decision::credentials::{Credentials, Sources};
use crate::decision::origin::origin;
use crate::decision::refusal::Refusal;
use crate::decision::request::{Ambiguous, Head, RequestView};
use crate::decision::rule::Target;
use crate::gate::{Preflighted, WhoAsks, judge, preflight};
use crate::proxy::Gateway;
use crate::proxy::app::target_was_rewritten;
use crate::proxy::body::HeldBody;
use crate::proxy::exchange::{Asked, Exchange};
use crate::proxy::respond::{Response, browser_origin};
use crate::proxy::selfservice::{Effect, effect};
use crate::proxy::wire;
use crate::sessions::ending::Ending;
use crate::telemetry::RevocationCause;
use crate::ui::PageRequest;

/// The most credentials that a request may carry which ends sessions: each is remembered as revoked for a while, and no
/// honest client has more than a few.
const MOST_CREDENTIALS: usize = 32;

/// What becomes of a request that the gate let pass.
pub(super) enum Admitted {
    /// It is answered here: by one of our own pages, or because it is a preflight.
    Answered(Response),
    /// It goes upstream.
    Onward,
}

impl Gateway {
    /// Everything between the head of a request and its permit.
    pub(super) async fn admit(&self, session: &Session, exchange: &mut Exchange) -> Result<Admitted, Refusal> {
        let policy = exchange.policy.clone();
        let head = session.req_header();
        if wire::head_size(session) > self.settings.max_header_size {
            return Err(Refusal::HeadTooLarge);
        }
        if target_was_rewritten() {
            return Err(Refusal::Ambiguous(Ambiguous::RawByte));
        }
        let origin = origin(wire::peer(session), wire::scheme(session), &head.headers, &policy.trusted_proxies)
            .map_err(|_| Refusal::Ambiguous(Ambiguous::SchemeUnclear))?;
        let scheme = origin.scheme;
        exchange.origin = Some(origin);
        let target = wire::target(session);
        let view = RequestView::parse(Head {
            method: &head.method,
            target: &target,
            authority: wire::authority(session),
            headers: &head.headers,
            scheme,
        })
        .map_err(Refusal::Ambiguous)?;
        exchange.asked = Some(Asked::of(&view));
        if let Some(Preflighted { rule, outcome }) = preflight(&policy, &view) {
            exchange.rule = rule;
            let headers = outcome?.into_vec();
            return Ok(Admitted::Answered(Response { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() }));
        }
        exchange.take(judge(&policy, &view, &WhoAsks::Parties(&self.parties)).await)?;

        let target = exchange.permit.as_ref().and_then(|permit| permit.target().cloned());
        match target {
            // The rule answers decisions only; for the listener there is nothing behind it.
            None => Err(Refusal::NoRule),
            Some(Target::Keys) => Ok(Admitted::Answered(self.show_keys(&head.method))),
            Some(Target::Redirect(redirect)) => {
                let location = exchange.location.clone().ok_or(Refusal::NoRule)?;
                let mut headers = vec![(LOCATION, location)];
                // What a session was told is not for the next one.
                if exchange.session.is_some() || exchange.rule.as_ref().is_some_and(|rule| rule.asks_who()) {
                    headers.push((CACHE_CONTROL, HeaderValue::from_static("private, no-store")));
                }
                Ok(Admitted::Answered(Response { status: redirect.status, headers, body: Bytes::new() }))
            }
            Some(Target::Pages) => self.show_page(session, exchange).await.map(Admitted::Answered),
            Some(Target::Service(_)) => self.check_length(session).map(|()| Admitted::Onward),
            Some(Target::Kratos(_)) => {
                self.check_length(session)?;
                let path = view.decoded_path();
                let path = path.strip_prefix(&*policy.kratos_prefix).unwrap_or(path);
                self.prepare_ending(effect(&head.method, path), &view, exchange).await?;
                Ok(Admitted::Onward)
            }
        }
    }

    /// Finds out what a request to Kratos may end, while that can still be found out.
    async fn prepare_ending(
        &self,
        effect: Effect,
        view: &RequestView<'_>,
        exchange: &mut Exchange,
    ) -> Result<(), Refusal> {
        let (ending, cause) = match effect {
            Effect::Nothing => return Ok(()),
            Effect::Whoami => {
                exchange.is_whoami = true;
                return Ok(());
            }
            Effect::Ends(ending, cause) => (ending, cause),
            Effect::EndsWithBody => {
                exchange.held = Some(HeldBody::default());
                (Ending::Sessions, RevocationCause::Logout)
            }
        };
        // Kratos looks at all of them, whichever we were told to ask about.
        let everywhere =
            Sources { session_token: true, bearer: true, cookies: exchange.policy.sources.cookies.clone() };
        let credentials = Credentials::find(view.headers(), &everywhere);
        if credentials.all().len() > MOST_CREDENTIALS {
            return Err(Refusal::HeadTooLarge);
        }
        exchange.ending = Some(self.parties.sessions.prepare_ending(&credentials, ending, cause).await);
        Ok(())
    }

    /// The keys, for as long as a cache may keep them while a new one is being introduced.
    fn show_keys(&self, method: &Method) -> Response {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        ];
        let body =
            if *method == Method::HEAD { Bytes::new() } else { self.parties.signer.published().to_string().into() };
        Response { status: StatusCode::OK, headers, body }
    }

    async fn show_page(&self, session: &Session, exchange: &Exchange) -> Result<Response, Refusal> {
        let (Some(pages), Some(asked)) = (self.pages.load_full(), &exchange.asked) else { return Err(Refusal::NoRule) };
        let head = session.req_header();
        let page = pages
            .answer(PageRequest {
                method: &head.method,
                path: asked.path(),
                query: asked.query(),
                headers: &head.headers,
                origin: &browser_origin(asked.place(), exchange.policy.public_url.as_ref()),
            })
            .await;
        let body = if head.method == Method::HEAD { Bytes::new() } else { page.body };
        Ok(Response { status: page.status, headers: page.headers, body })
    }

    fn check_length(&self, session: &Session) -> Result<(), Refusal> {
        match (self.settings.max_body_size, wire::content_length(session)) {
            (Some(most), Some(length)) if length > most => Err(Refusal::TooLarge),
            (Some(_) | None, _) => Ok(()),
        }
    }
}
