//! Decisions over gRPC, as Envoy's `ext_authz` asks for them: `envoy.service.auth.v3.Authorization/Check`.
//!
//! One method, one message in, one message out. That is little enough to frame by hand on the HTTP/2 that is here anyway.

use std::net::IpAddr;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Buf as _;
use bytes::BufMut as _;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use http::header::SET_COOKIE;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use prost::Message as _;

use crate::decision::edits::Edit;
use crate::ops::decisions::Answer;
use crate::ops::decisions::Asking;
use crate::ops::decisions::Decisions;
use crate::ops::decisions::Refused;
use crate::ops::decisions::envoy::CheckRequest;
use crate::ops::decisions::envoy::CheckResponse;
use crate::ops::decisions::envoy::DeniedHttpResponse;
use crate::ops::decisions::envoy::HeaderValueOption;
use crate::ops::decisions::envoy::HttpRequest;
use crate::ops::decisions::envoy::HttpResponse;
use crate::ops::decisions::envoy::HttpStatus;
use crate::ops::decisions::envoy::OkHttpResponse;
use crate::ops::decisions::envoy::Status;
use crate::ops::decisions::original::Original;
use crate::ops::decisions::original::Unclear;
use crate::ops::decisions::original::scheme_of;
use crate::proxy::RequestId;
use crate::proxy::X_REQUEST_ID;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The most that a question may measure. Bodies of requests, which Envoy may be told to send along, are not looked at.
const MAX_MESSAGE: usize = 1024 * 1024;

/// A flag and the length stand before every message.
const FRAME_HEAD: usize = 5;

/// Why a question cannot be answered at all. Envoy then refuses the request, unless it is told to let it pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    Compressed,
    Malformed,
    TooLarge,
    Unimplemented,
    Untrusted,
}

pub(crate) fn router(decisions: Decisions) -> Router {
    Router::new()
        .route(CHECK, post(check))
        .fallback(async || Fault::Unimplemented.response())
        .method_not_allowed_fallback(async || Fault::Unimplemented.response())
        .with_state(decisions)
}

async fn check(State(decisions): State<Decisions>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let Some(peer) = decisions.hears(peer) else { return Fault::Untrusted.response() };
    match read(request).await {
        Ok(question) => {
            let (asking, original) = understand(peer, question);
            message(&decisions.decide(&asking, &original).await.into_grpc())
        }
        Err(fault) => fault.response(),
    }
}

async fn read(request: Request) -> Result<CheckRequest, Fault> {
    let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC.as_bytes()));
    if !is_grpc {
        return Err(Fault::Malformed);
    }
    let body = axum::body::to_bytes(request.into_body(), FRAME_HEAD + MAX_MESSAGE).await;
    unframe(body.map_err(|_| Fault::TooLarge)?)
}

/// The one message of a body.
fn unframe(mut body: Bytes) -> Result<CheckRequest, Fault> {
    if body.len() < FRAME_HEAD {
        return Err(Fault::Malformed);
    }
    if body.get_u8() != 0 {
        return Err(Fault::Compressed);
    }
    if usize::try_from(body.get_u32()) != Ok(body.len()) {
        return Err(Fault::Malformed);
    }
    CheckRequest::decode(body).map_err(|_| Fault::Malformed)
}

fn message(response: &CheckResponse) -> Response {
    let length = response.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEAD + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.put_slice(&response.encode_to_vec());
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// Who asks about which request.
fn understand(peer: IpAddr, question: CheckRequest) -> (Asking, Result<Original, Unclear>) {
    let attributes = question.attributes.unwrap_or_default();
    let address = attributes.source.and_then(|source| source.address?.socket_address);
    let client = address.and_then(|address| address.address.parse().ok()).unwrap_or(peer);
    let http = attributes.request.and_then(|request| request.http).unwrap_or_default();
    let headers = headers(&http);
    let id = RequestId::of(&headers);
    (Asking { peer, client, id }, original(http, headers))
}

fn original(http: HttpRequest, mut headers: HeaderMap) -> Result<Original, Unclear> {
    let method = Method::from_bytes(http.method.as_bytes()).map_err(|_| Unclear::Malformed("method"))?;
    let scheme = scheme_of(http.scheme.as_bytes()).ok_or(Unclear::Malformed("scheme"))?;
    let host = HeaderValue::try_from(http.host).map_err(|_| Unclear::Malformed("host"))?;
    headers.insert(HOST, host);
    Ok(Original { method, target: http.path.into_bytes(), scheme, headers })
}

/// The headers of the request. What is no header, such as `:path`, is told elsewhere in the question.
fn headers(http: &HttpRequest) -> HeaderMap {
    let plain = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|header| {
        let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        (header.key.as_str(), value)
    });
    plain
        .chain(raw)
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

impl Answer {
    fn into_grpc(self) -> CheckResponse {
        let cookies = self.set_cookies.iter().map(|cookie| HeaderValueOption::another(SET_COOKIE.as_str(), cookie));
        let id = HeaderValueOption::only(X_REQUEST_ID.as_str(), self.id.header());
        match self.outcome {
            Ok(edits) => {
                let mut ok =
                    OkHttpResponse { response_headers_to_add: cookies.chain([id]).collect(), ..Default::default() };
                for edit in edits {
                    match edit {
                        Edit::Remove(name) => ok.headers_to_remove.push(name.to_string()),
                        Edit::Set { name, value, .. } => {
                            ok.headers.push(HeaderValueOption::only(name.as_str(), &value));
                        }
                    }
                }
                CheckResponse { status: Some(Status { code: 0 }), http_response: Some(HttpResponse::Ok(ok)) }
            }
            Err(Refused { response, .. }) => {
                // The bodies are ours, and UTF-8.
                let body = String::from_utf8_lossy(&response.body).into_owned();
                let own = response.headers.iter().map(|(name, value)| HeaderValueOption::only(name.as_str(), value));
                let denied = DeniedHttpResponse {
                    status: Some(HttpStatus { code: response.status.as_u16().into() }),
                    headers: own.chain(cookies).chain([id]).collect(),
                    body,
                };
                // UNAUTHENTICATED and PERMISSION_DENIED; Envoy only looks whether it is 0.
                let code = if response.status == StatusCode::UNAUTHORIZED { 16 } else { 7 };
                CheckResponse { status: Some(Status { code }), http_response: Some(HttpResponse::Denied(denied)) }
            }
        }
    }
}

impl Fault {
    fn response(self) -> Response {
        let (code, message) = match self {
            Self::Compressed => ("12", "compressed messages are not understood"),
            Self::Malformed => ("3", "this is no CheckRequest"),
            Self::TooLarge => ("8", "the message is longer than 1 MiB"),
            Self::Unimplemented => ("12", "there is envoy.service.auth.v3.Authorization/Check and nothing else"),
            Self::Untrusted => ("7", "decisions are for the proxies in decisions.trusted_proxies"),
        };
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, GRPC);
        headers.insert(GRPC_STATUS, HeaderValue::from_static(code));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::decisions::envoy;

    fn question(method: &str, scheme: &str, host: &str, headers: &[(&str, &str)]) -> HttpRequest {
        HttpRequest {
            method: method.to_owned(),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: "/a%2Fb?c=d".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            header_map: None,
        }
    }

    #[test]
    fn envoys_question_is_the_request_itself() {
        let http =
            question("POST", "https", "shop.example", &[(":path", "/other"), ("host", "other"), ("cookie", "a=b")]);
        let found = headers(&http);
        let original = original(http, found).unwrap();
        assert_eq!((original.method, original.scheme.as_str()), (Method::POST, "https"));
        assert_eq!(original.target, b"/a%2Fb?c=d");
        assert_eq!(original.headers.get_all(HOST).iter().collect::<Vec<_>>(), ["shop.example"]);
        assert_eq!(original.headers["cookie"], "a=b");
        assert_eq!(original.headers.len(), 2);
    }

    #[test]
    fn raw_headers_are_heard_too() {
        let header = |key: &str, value: &str, raw: &[u8]| envoy::HeaderValue {
            key: key.to_owned(),
            value: value.to_owned(),
            raw_value: raw.to_vec(),
        };
        let map = vec![header("cookie", "", b"a=\xff"), header("cookie", "c=d", b""), header(":method", "GET", b"")];
        let http = HttpRequest { header_map: Some(envoy::HeaderMap { headers: map }), ..HttpRequest::default() };
        let found = headers(&http);
        let cookies = found.get_all("cookie").iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        assert_eq!(cookies, [&b"a=\xff"[..], b"c=d"]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_question_without_a_request_is_unclear() {
        for (method, scheme, host, part) in [
            ("", "http", "a", "method"),
            ("GET", "", "a", "scheme"),
            ("GET", "gopher", "a", "scheme"),
            ("GET", "http", "a\n", "host"),
        ] {
            let http = question(method, scheme, host, &[]);
            assert_eq!(original(http, HeaderMap::new()).unwrap_err(), Unclear::Malformed(part));
        }
        let (asking, original) = understand(IpAddr::from([10, 0, 0, 1]), CheckRequest::default());
        assert_eq!(asking.client, IpAddr::from([10, 0, 0, 1]));
        assert!(original.is_err());
    }

    #[test]
    fn only_one_whole_plain_message_is_read() {
        let empty = [0, 0, 0, 0, 0];
        assert_eq!(unframe(Bytes::copy_from_slice(&empty)), Ok(CheckRequest::default()));
        for (bytes, fault) in [
            (&b""[..], Fault::Malformed),
            (b"\0\0\0\0", Fault::Malformed),
            (b"\x01\0\0\0\0", Fault::Compressed),
            (b"\0\0\0\0\x01", Fault::Malformed),
            (b"\0\0\0\0\0\0", Fault::Malformed),
            (b"\0\xff\xff\xff\xff", Fault::Malformed),
            (b"\0\0\0\0\x01\xff", Fault::Malformed),
        ] {
            assert_eq!(unframe(Bytes::copy_from_slice(bytes)), Err(fault), "{bytes:?}");
        }
    }
}
