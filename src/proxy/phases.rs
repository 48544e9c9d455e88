//! The engine's phases: each asks the gate or edits what it is given, and decides nothing itself.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::ORIGIN;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::decision::credentials::Credentials;
use crate::decision::refusal::Refusal;
use crate::decision::rule::Target;
use crate::decision::upstream::Balance;
use crate::proxy::Gateway;
use crate::proxy::access_log;
use crate::proxy::admit::Admitted;
use crate::proxy::answer::{refuse, write};
use crate::proxy::app::{head_was_read, whole_seconds};
use crate::proxy::backward;
use crate::proxy::client_kind::ClientKind;
use crate::proxy::exchange::{Asked, Exchange};
use crate::proxy::forward;
use crate::proxy::request_id::RequestId;
use crate::proxy::selfservice::new_session_cookie;
use crate::proxy::upstream::{Picked, Wish, is_timeout, kind_of};

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::new(self.policy.load_full(), self.in_flight.enter(), self.metrics.in_flight())
    }

    /// The default adds a module to every request that does nothing.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<()> {
        head_was_read();
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(whole_seconds(self.settings.idle_timeout)));
        }
        let is_upgrade = session.is_upgrade_req();
        let read_timeout = if is_upgrade { self.settings.upgrade_timeout } else { self.settings.read_timeout };
        session.set_read_timeout(Some(read_timeout));
        session.set_total_drain_timeout(Some(self.settings.read_timeout));
        session.set_write_timeout(Some(self.settings.write_timeout));
        let head = session.req_header();
        exchange.id = RequestId::of(&head.headers);
        exchange.client = ClientKind::of(&head.method, &head.headers);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        match self.admit(session, exchange).await {
            Ok(Admitted::Onward) => return Ok(false),
            Ok(Admitted::Answered(response)) => write(response, session, exchange).await?,
            Err(refusal) => refuse(&refusal, session, exchange).await?,
        }
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        // Invariant 1: the permit alone says where to.
        let upstream = match exchange.permit.as_ref().and_then(|permit| permit.target()) {
            Some(Target::Kratos(upstream) | Target::Service(upstream)) => upstream,
            Some(Target::Keys | Target::Pages | Target::Redirect(_)) | None => {
                return Error::e_explain(ErrorType::InternalError, "no permit, no upstream");
            }
        };
        let pool = self.pools.of(upstream);
        let affinity = match (upstream.balance, &exchange.session, &exchange.origin) {
            (Balance::ConsistentIdentity, Some(session), _) => session.identity.to_string(),
            (Balance::ConsistentIdentity, None, Some(origin)) => origin.client.to_string(),
            (Balance::ConsistentIdentity | Balance::LeastRequests | Balance::RoundRobin, _, _) => String::new(),
        };
        let wish = Wish {
            affinity: &affinity,
            tried: &exchange.tried,
            http2: session.is_http2() && !session.is_upgrade_req(),
        };
        match pool.pick(wish).await {
            Some((peer, picked)) => {
                exchange.picked = Some(picked);
                Ok(Box::new(peer))
            }
            None => Err(Error::explain(ErrorType::ConnectNoRoute, "no endpoint has an address").into_up()),
        }
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(picked) = exchange.picked.take() {
            self.metrics.upstream_error(&picked.pool.upstream().name, kind_of(error.etype()));
            // Nothing was sent or read yet, so the engine's words quote nobody.
            tracing::warn!(
                upstream = &*picked.pool.upstream().name,
                endpoint = picked.endpoint(),
                %error,
                request_id = exchange.id.as_str(),
                "Endpoint cannot be connected to"
            );
            picked.failed();
            exchange.tried.push(picked.number);
            // Nothing was sent yet, so any request may be tried elsewhere.
            error.set_retry(picked.pool.may_try_again(exchange.tried.len()));
        }
        error
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        head: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if let Some(held) = &mut exchange.held {
            held.clear();
        }
        exchange.body_bytes = 0;
        let Some(picked) = &exchange.picked else {
            return Error::e_explain(ErrorType::InternalError, "no endpoint was picked");
        };
        forward::edit(head, exchange, picked.pool.host())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        // What follows a 101 is no body.
        if session.was_upgraded() {
            return Ok(());
        }
        exchange.body_bytes += body.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.settings.max_body_size.is_some_and(|most| exchange.body_bytes > most) {
            return too_large();
        }
        let Some(held) = &mut exchange.held else { return Ok(()) };
        if body.take().is_some_and(|chunk| held.push(&chunk).is_err()) {
            return too_large();
        }
        if end_of_stream {
            let Ok(tokens) = held.strings() else { return too_large() };
            if let Some(ending) = &mut exchange.ending {
                ending.add_tokens(&tokens).await;
            }
            *body = held.release();
        } else {
            // Nothing at all would be taken for the end.
            *body = Some(Bytes::new());
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        if exchange.is_whoami && head.status == StatusCode::UNAUTHORIZED {
            let credentials = Credentials::find(&session.req_header().headers, &exchange.policy.sources);
            if !credentials.is_empty() {
                self.parties.sessions.forget_credentials(&credentials);
            }
        }
        if let Some(ending) = &mut exchange.ending {
            if let Some((name, value)) = new_session_cookie(&head.headers, &exchange.policy.sources) {
                ending.new_session(name, value).await;
            }
            ending.finish();
        }
        if session.is_process_shutting_down() {
            session.set_keepalive(None);
        }
        backward::strip_hop_by_hop(head);
        if let Some(permit) = &exchange.permit {
            backward::tell(head, permit.rule(), &exchange.stamps)?;
        }
        backward::edit(head, &exchange.id, &exchange.set_cookies)?;
        if let Some(cors) = exchange.cors() {
            backward::forget_origins(head);
            backward::tell_origin(head, cors, session.get_header(ORIGIN))?;
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        exchange: &mut Exchange,
        client_reused: bool,
    ) -> Box<Error> {
        if *error.esource() == ErrorSource::Upstream
            && let Some(picked) = &exchange.picked
        {
            self.metrics.upstream_error(&picked.pool.upstream().name, kind_of(error.etype()));
            report(picked, &error, exchange);
        }
        let may_repeat =
            session.req_header().method.is_idempotent() && !session.as_downstream().retry_buffer_truncated();
        if may_repeat {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        exchange.finish_ending();
        if matches!(error.esource(), ErrorSource::Internal | ErrorSource::Unset) && !is_status(error) {
            tracing::error!(kind = error.etype().as_str(), request_id = exchange.id.as_str(), "The gateway failed");
        }
        let mut error_code = 0;
        let has_begun = session.response_written().is_some_and(|head| !head.status.is_informational());
        if let Some(refusal) = refusal_of(error).filter(|_| !has_begun) {
            // What is left of the exchange is in doubt, so the connection ends with it.
            session.set_keepalive(None);
            error_code = refusal.status().as_u16();
            if let Err(error) = refuse(&refusal, session, exchange).await {
                tracing::debug!(%error, request_id = exchange.id.as_str(), "Client is gone");
            }
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// What the engine would log quotes what peers sent, secrets included. The access log and [`report`] tell enough.
    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Exchange, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    /// The engine's own summary has the query in it, which holds tokens.
    fn request_summary(&self, session: &Session, exchange: &Exchange) -> String {
        let path = exchange.asked.as_ref().map_or("", Asked::path);
        format!("{} {path:?}, request {}", session.req_header().method, exchange.id.as_str())
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
        exchange.finish_ending();
        access_log::write(&self.metrics, session, exchange, error);
    }

    /// Tells the next request on the connection that it is not the first.
    fn persist_connection_context(&self, _: &Session, _: &Exchange) -> Option<Box<dyn std::any::Any + Send + Sync>> {
        Some(Box::new(()))
    }
}

/// Tells operators which endpoint failed and how, in words that quote nothing of what it sent.
fn report(picked: &Picked, error: &Error, exchange: &Exchange) {
    tracing::warn!(
        upstream = &*picked.pool.upstream().name,
        endpoint = picked.endpoint(),
        kind = error.etype().as_str(),
        request_id = exchange.id.as_str(),
        "Service failed"
    );
}

/// Whether one of our own filters said no.
fn is_status(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::HTTPStatus(_))
}

fn too_large() -> Result<()> {
    Error::e_explain(ErrorType::HTTPStatus(StatusCode::PAYLOAD_TOO_LARGE.as_u16()), "body too large")
}

/// What a failure of the engine is for the client; nothing where there is no client left.
fn refusal_of(error: &Error) -> Option<Refusal> {
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(413), _) => Some(Refusal::TooLarge),
        (kind, ErrorSource::Upstream) if is_timeout(kind) => Some(Refusal::UpstreamTimedOut),
        (_, ErrorSource::Upstream) => Some(Refusal::UpstreamFailed),
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => Some(Refusal::TooSlow),
        (
            ErrorType::WriteError | ErrorType::WriteTimedout | ErrorType::ReadError | ErrorType::ConnectionClosed,
            ErrorSource::Downstream,
        ) => None,
        (_, ErrorSource::Downstream) => Some(Refusal::Malformed),
        (_, ErrorSource::Internal | ErrorSource::Unset) => Some(Refusal::Internal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_a_refusal_or_has_nobody_left_to_tell() {
        let upstream = |kind| refusal_of(&Error::new(kind).into_up()).map(|refusal| refusal.id());
        let downstream = |kind| refusal_of(&Error::new(kind).into_down()).map(|refusal| refusal.id());
        for kind in [ErrorType::ConnectTimedout, ErrorType::ReadTimedout, ErrorType::TLSHandshakeTimedout] {
            assert_eq!(upstream(kind), Some("upstream_timeout"));
        }
        for kind in [ErrorType::ConnectRefused, ErrorType::ConnectionClosed, ErrorType::InvalidHTTPHeader] {
            assert_eq!(upstream(kind), Some("upstream_unavailable"));
        }
        for kind in [ErrorType::WriteError, ErrorType::WriteTimedout, ErrorType::ConnectionClosed] {
            assert_eq!(downstream(kind), None);
        }
        assert_eq!(downstream(ErrorType::ReadTimedout), Some("request_timeout"));
        assert_eq!(downstream(ErrorType::InvalidHTTPHeader), Some("malformed_request"));
        assert_eq!(
            refusal_of(&Error::new(ErrorType::HTTPStatus(413))).map(|refusal| refusal.id()),
            Some("body_too_large")
        );
        let ours = Error::explain(ErrorType::InternalError, "no permit, no upstream");
        assert_eq!(refusal_of(&ours).map(|refusal| refusal.id()), Some("internal_error"));
    }
}
