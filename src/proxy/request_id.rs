//! The name of one request: the client's where it is well-formed, else one of ours.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Builder;
use uuid::fmt::Hyphenated;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ones are not kept: they would be copied into every log line.
const LONGEST: usize = 128;

/// A request's id. Letters, digits and a little punctuation only, so it is safe in a header, a log line and a page.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id that `headers` bring along, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(X_REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_well_formed(id.as_bytes()) => Self(id.clone()),
            _ => Self::new(),
        }
    }

    fn new() -> Self {
        let id = Builder::from_random_bytes(rand::random()).into_uuid();
        let mut text = [0; Hyphenated::LENGTH];
        let text = id.hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// Stands in until the head was read.
    pub(crate) fn unknown() -> Self {
        Self(HeaderValue::from_static("unknown"))
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-:=+/".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(is_safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(values: &[&str]) -> String {
        let headers = values.iter().map(|value| (X_REQUEST_ID, HeaderValue::from_str(value).unwrap())).collect();
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_well_formed_id_is_kept() {
        for id in ["a", "7f3c-1", "1-5759e988:bd862e3f=AQ+/", &"x".repeat(128)] {
            assert_eq!(id_of(&[id]), id);
        }
    }

    #[test]
    fn anything_else_gets_a_new_one() {
        for ids in [&[][..], &[""], &["a b"], &["a\"b"], &["<b>"], &["a", "a"], &[&"x".repeat(129)]] {
            let made = id_of(ids);
            assert_eq!(made.len(), 36, "{ids:?}");
            assert_ne!(made, id_of(ids), "every id is another one");
        }
    }
}
