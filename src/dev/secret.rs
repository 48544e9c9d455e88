//! Random tokens and codes, sealed session cookies and masked CSRF tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use chrono::Utc;
use ring::aead::Aad;
use ring::aead::CHACHA20_POLY1305;
use ring::aead::LessSafeKey;
use ring::aead::NONCE_LEN;
use ring::aead::Nonce;
use ring::aead::UnboundKey;
use serde::Deserialize;
use serde::Serialize;

/// Kratos' cookie codec refuses longer values.
const LONGEST_COOKIE: usize = 4096;
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn letters(alphabet: &[u8], count: usize) -> String {
    (0..count).map(|_| char::from(alphabet[rand::random_range(0..alphabet.len())])).collect()
}

/// `ory_st_` and 32 alphanumerics.
pub(super) fn session_token() -> String {
    format!("ory_st_{}", letters(ALPHANUMERIC, 32))
}

/// `ory_lo_` and 32 alphanumerics.
pub(super) fn logout_token() -> String {
    format!("ory_lo_{}", letters(ALPHANUMERIC, 32))
}

/// 32 alphanumerics, for links and token exchange.
pub(super) fn link_token() -> String {
    letters(ALPHANUMERIC, 32)
}

/// Six digits, for mails.
pub(super) fn mail_code() -> String {
    letters(b"0123456789", 6)
}

/// Eight characters, for a backup code. Kratos uses lower case and digits.
pub(super) fn backup_code() -> String {
    letters(b"abcdefghijklmnopqrstuvwxyz0123456789", 8)
}

/// Whether two secrets are equal, in time that depends on their lengths alone.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// What a session cookie says inside. No `Debug`: it holds a token.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SealedSession {
    #[serde(rename = "t")]
    pub(super) token: String,
    #[serde(rename = "e")]
    pub(super) expires_at: DateTime<Utc>,
    #[serde(rename = "i")]
    pub(super) issued_at: DateTime<Utc>,
}

/// The key of this process' session cookies: a cookie of another process does not decode, like Kratos' after a
/// change of `secrets.cookie`.
pub(super) struct CookieKey(LessSafeKey);

impl CookieKey {
    pub(super) fn random() -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &rand::random::<[u8; 32]>()).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// A cookie value that differs at each call, for the nonce inside is new.
    pub(super) fn seal(&self, session: &SealedSession) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = serde_json::to_vec(session).ok()?;
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// None for everything this key did not seal.
    pub(super) fn open(&self, value: &str) -> Option<SealedSession> {
        if value.len() > LONGEST_COOKIE {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let plain = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }
}

/// The secret of a CSRF cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct CsrfSecret([u8; 32]);

impl CsrfSecret {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    pub(super) fn from_cookie(value: &str) -> Option<Self> {
        STANDARD.decode(value).ok()?.try_into().ok().map(Self)
    }

    pub(super) fn to_cookie(self) -> String {
        STANDARD.encode(self.0)
    }

    /// `pad || pad xor secret`: a new value at each call, so that compression beside it leaks nothing.
    pub(super) fn masked(self) -> String {
        let pad: [u8; 32] = rand::random();
        let mut token = [0; 64];
        for (index, (pad, secret)) in pad.iter().zip(self.0).enumerate() {
            token[index] = *pad;
            token[index + 32] = pad ^ secret;
        }
        STANDARD.encode(token)
    }

    /// Whether `token` is a mask of this secret.
    pub(super) fn matches(self, token: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(token) else { return false };
        let Ok(bytes) = <[u8; 64]>::try_from(bytes) else { return false };
        let (pad, masked) = bytes.split_at(32);
        pad.iter()
            .zip(masked)
            .zip(self.0)
            .fold(0, |differences, ((pad, masked), secret)| differences | (pad ^ masked ^ secret))
            == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed() -> SealedSession {
        SealedSession { token: session_token(), expires_at: Utc::now(), issued_at: Utc::now() }
    }

    #[test]
    fn a_cookie_opens_with_its_key_only_and_differs_each_time() {
        let (ours, theirs) = (CookieKey::random().unwrap(), CookieKey::random().unwrap());
        let session = sealed();
        let (first, second) = (ours.seal(&session).unwrap(), ours.seal(&session).unwrap());
        assert_ne!(first, second);
        assert!(ours.open(&first) == Some(session.clone()));
        assert!(ours.open(&second) == Some(session));
        assert!(theirs.open(&first).is_none());
    }

    #[test]
    fn masks_differ_and_belong_to_one_secret() {
        let secret = CsrfSecret::random();
        let (first, second) = (secret.masked(), secret.masked());
        assert_ne!(first, second);
        assert!(secret.matches(&first) && secret.matches(&second));
        assert!(!CsrfSecret::random().matches(&first));
        assert!(CsrfSecret::from_cookie(&secret.to_cookie()) == Some(secret));
    }

    #[test]
    fn tokens_have_kratos_form() {
        assert!(session_token().starts_with("ory_st_") && session_token().len() == 39);
        assert!(logout_token().starts_with("ory_lo_") && logout_token().len() == 39);
        assert!(mail_code().len() == 6 && mail_code().bytes().all(|digit| digit.is_ascii_digit()));
    }

    proptest! {
        #[test]
        fn no_cookie_or_token_makes_the_parsers_panic(value in ".{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let key = CookieKey::random().unwrap();
            prop_assert!(key.open(&value).is_none());
            prop_assert!(key.open(&URL_SAFE_NO_PAD.encode(&bytes)).is_none());
            let _ = CsrfSecret::from_cookie(&value);
            prop_assert!(!CsrfSecret::random().matches(&STANDARD.encode(&bytes)));
        }
    }
}
