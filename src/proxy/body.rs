//! Request bodies: how much of one may pass, and the one kind that is read before it is passed on.

use bytes::{Bytes, BytesMut};

/// The most that the body of `DELETE /self-service/logout/api` may measure; Kratos wants one short token in it.
const MOST_HELD: usize = 4 * 1024;

/// The most strings that are looked at in one body: each may cost Kratos a question.
const MOST_STRINGS: usize = 8;

/// A body that is kept back until it is whole.
#[derive(Debug, Default)]
pub(super) struct HeldBody(BytesMut);

/// The body is longer than it may be.
#[derive(Debug)]
pub(super) struct TooLong;

impl HeldBody {
    /// # Errors
    /// Where the body grows beyond what is ever kept back.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), TooLong> {
        if self.0.len() + chunk.len() > MOST_HELD {
            return Err(TooLong);
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }

    /// Starts over: the engine sends the body again when it tries another endpoint.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The whole body, to be passed on.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.split().freeze())
    }

    /// Every string value in the body.
    ///
    /// Found without parsing the whole: Kratos reads the first value of a body and ignores what follows, so a
    /// stricter reader would overlook what Kratos acts on.
    ///
    /// # Errors
    /// Where there are too many to ask about.
    pub(super) fn strings(&self) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut found = Vec::new();
        let mut rest = &self.0[..];
        while let Some(open) = rest.iter().position(|byte| *byte == b'"') {
            let literal = &rest[open..];
            let Some(length) = literal_length(literal) else { break };
            rest = &literal[length..];
            let is_key = rest.trim_ascii_start().first() == Some(&b':');
            if is_key {
                continue;
            }
            if found.len() == MOST_STRINGS {
                return Err(TooLong);
            }
            let literal = &literal[..length];
            let value = serde_json::from_slice::<String>(literal)
                .map_or_else(|_| literal[1..length - 1].to_vec(), String::into_bytes);
            if !value.is_empty() {
                found.push(value);
            }
        }
        Ok(found)
    }
}

/// The length of the string literal that `text` begins with, quotes included.
fn literal_length(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(body: &str) -> Vec<String> {
        let mut held = HeldBody::default();
        held.push(body.as_bytes()).unwrap();
        held.strings().unwrap().into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn every_string_value_is_found() {
        for (body, expected) in [
            (r#"{"session_token":"ory_st_a"}"#, &["ory_st_a"][..]),
            (r#" {"session_token" : "a", "SESSION_TOKEN":"b"} trailing"#, &["a", "b"]),
            (r#"{"session_token":"\u006fry_st"}"#, &["ory_st"]),
            (r#"{"x":["a",{"y":"b\"c"}]}"#, &["a", "b\"c"]),
            (r#"{"session_token":""}"#, &[]),
            (r#"{"session_token":"open"#, &[]),
            ("", &[]),
        ] {
            assert_eq!(strings(body), expected, "{body}");
        }
    }

    #[test]
    fn a_long_body_and_a_swarm_of_strings_are_refused() {
        let mut held = HeldBody::default();
        assert!(held.push(&[b' '; MOST_HELD]).is_ok());
        assert!(held.push(b" ").is_err());
        held.clear();
        held.push(&b"\"a\",".repeat(MOST_STRINGS + 1)).unwrap();
        assert!(held.strings().is_err());
    }

    #[test]
    fn what_was_held_is_released_once() {
        let mut held = HeldBody::default();
        assert_eq!(held.release(), None);
        held.push(b"{").unwrap();
        held.push(b"}").unwrap();
        assert_eq!(held.release().as_deref(), Some(&b"{}"[..]));
        assert_eq!(held.release(), None);
    }
}
