//! The messages of Envoy's `envoy.service.auth.v3`, as far as they are read or written here.
//!
//! Field numbers are those of Envoy's own protocol files; what is left out, prost skips.

use std::collections::HashMap;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AttributeContext {
    /// The client, after Envoy has judged whom it believes.
    #[prost(message, optional, tag = "1")]
    pub(super) source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    pub(super) request: Option<Request>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Peer {
    #[prost(message, optional, tag = "1")]
    pub(super) address: Option<Address>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Address {
    #[prost(message, optional, tag = "1")]
    pub(super) socket_address: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SocketAddress {
    #[prost(string, tag = "2")]
    pub(super) address: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(message, optional, tag = "2")]
    pub(super) http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpRequest {
    #[prost(string, tag = "2")]
    pub(super) method: String,
    /// Names in lower case; several values of one name are joined with commas.
    #[prost(map = "string, string", tag = "3")]
    pub(super) headers: HashMap<String, String>,
    /// With the query.
    #[prost(string, tag = "4")]
    pub(super) path: String,
    #[prost(string, tag = "5")]
    pub(super) host: String,
    #[prost(string, tag = "6")]
    pub(super) scheme: String,
    /// Instead of `headers`, where Envoy is told to `encode_raw_headers`.
    #[prost(message, optional, tag = "13")]
    pub(super) header_map: Option<HeaderMap>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    pub(super) headers: Vec<HeaderValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HeaderValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    /// Instead of `value`, for any bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) raw_value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(oneof = "HttpResponse", tags = "2, 3")]
    pub(super) http_response: Option<HttpResponse>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum HttpResponse {
    #[prost(message, tag = "2")]
    Denied(DeniedHttpResponse),
    #[prost(message, tag = "3")]
    Ok(OkHttpResponse),
}

/// `google.rpc.Status`: 0 lets the request pass.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DeniedHttpResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderValueOption>,
    #[prost(string, tag = "3")]
    pub(super) body: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OkHttpResponse {
    /// For the request.
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderValueOption>,
    /// From the request, after `headers` were set.
    #[prost(string, repeated, tag = "5")]
    pub(super) headers_to_remove: Vec<String>,
    /// For the service's response.
    #[prost(message, repeated, tag = "6")]
    pub(super) response_headers_to_add: Vec<HeaderValueOption>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<HeaderValue>,
    /// `google.protobuf.BoolValue`. Where it is set, `append_action` must not be.
    #[prost(message, optional, tag = "2")]
    pub(super) append: Option<bool>,
    #[prost(int32, tag = "3")]
    pub(super) append_action: i32,
}

/// `HeaderAppendAction`: one value, whatever was there.
const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;

impl HeaderValueOption {
    /// The only header of this name.
    pub(super) fn only(name: &str, value: &http::HeaderValue) -> Self {
        Self { header: Some(HeaderValue::of(name, value)), append: None, append_action: OVERWRITE_IF_EXISTS_OR_ADD }
    }

    /// One more header of this name.
    pub(super) fn another(name: &str, value: &http::HeaderValue) -> Self {
        Self { header: Some(HeaderValue::of(name, value)), append: Some(true), append_action: 0 }
    }
}

impl HeaderValue {
    fn of(name: &str, value: &http::HeaderValue) -> Self {
        match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Self { key: name.to_owned(), value: text.to_owned(), raw_value: Vec::new() },
            Err(_) => Self { key: name.to_owned(), value: String::new(), raw_value: value.as_bytes().to_vec() },
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// What Envoy 1.40 sent for `GET /a?b`, shortened by hand.
    #[test]
    fn the_wire_is_envoys() {
        let http = b"\x0a\x01\x31\x12\x03GET\x1a\x0b\x0a\x06cookie\x12\x01c\x22\x04/a?b\x2a\x04shop\x32\x04http\x52\x08HTTP/1.1";
        let mut request = vec![0x12, u8::try_from(http.len()).unwrap()];
        request.extend_from_slice(http);
        let source = b"\x0a\x0f\x0a\x0d\x0a\x0b\x12\x09127.0.0.1";
        let mut attributes = source.to_vec();
        attributes.extend_from_slice(&[0x22, u8::try_from(request.len()).unwrap()]);
        attributes.extend_from_slice(&request);
        let mut whole = vec![0x0a, u8::try_from(attributes.len()).unwrap()];
        whole.extend_from_slice(&attributes);

        let read = CheckRequest::decode(whole.as_slice()).unwrap().attributes.unwrap();
        assert_eq!(read.source.unwrap().address.unwrap().socket_address.unwrap().address, "127.0.0.1");
        let http = read.request.unwrap().http.unwrap();
        assert_eq!((&*http.method, &*http.path, &*http.host, &*http.scheme), ("GET", "/a?b", "shop", "http"));
        assert_eq!(http.headers["cookie"], "c");
    }

    #[test]
    fn a_header_is_set_without_the_deprecated_field_and_appended_with_it() {
        let value = http::HeaderValue::from_static("v");
        assert_eq!(HeaderValueOption::only("n", &value).encode_to_vec(), b"\x0a\x06\x0a\x01n\x12\x01v\x18\x02");
        assert_eq!(
            HeaderValueOption::another("n", &value).encode_to_vec(),
            b"\x0a\x06\x0a\x01n\x12\x01v\x12\x02\x08\x01"
        );
    }
}
