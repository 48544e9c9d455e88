//! Keyed hashes of credentials: what the cache knows of a secret.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::decision::credentials::Credential;

/// The hash of all the credentials that an answer of Kratos rests on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key(u128);

/// The hash of one secret, whatever header it came in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Print(u128);

/// Hashes under a key that this process made for itself: nobody outside can make two credentials collide.
pub(crate) struct Fingerprints {
    key: (u64, u64),
}

impl Fingerprints {
    pub(crate) fn new() -> Self {
        Self { key: (rand::random(), rand::random()) }
    }

    /// Each part goes in with its kind and length, so that no two lists of credentials read alike.
    pub(crate) fn key(&self, credentials: &[Credential<'_>]) -> Key {
        let mut hasher = self.hasher();
        let mut part = |kind: u8, bytes: &[u8]| {
            hasher.write_u8(kind);
            hasher.write_u64(bytes.len() as u64);
            hasher.write(bytes);
        };
        for credential in credentials {
            match credential {
                Credential::Bearer(token) => part(b'b', token),
                Credential::Cookie { name, value } => {
                    part(b'n', name);
                    part(b'c', value);
                }
                Credential::Token(token) => part(b't', token),
            }
        }
        Key(hasher.finish128().as_u128())
    }

    /// The hash of a secret. A token is the same whether it came as a Bearer, a header or in a body.
    pub(crate) fn print(&self, secret: &[u8]) -> Print {
        let mut hasher = self.hasher();
        hasher.write(secret);
        Print(hasher.finish128().as_u128())
    }

    fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_credentials_never_share_a_key() {
        let prints = Fingerprints::new();
        let lists: [&[Credential<'_>]; 7] = [
            &[],
            &[Credential::Token(b"ab")],
            &[Credential::Bearer(b"ab")],
            &[Credential::Cookie { name: b"a", value: b"b" }],
            &[Credential::Cookie { name: b"ab", value: b"" }],
            &[Credential::Bearer(b"a"), Credential::Bearer(b"b")],
            &[Credential::Cookie { name: b"a", value: b"b" }, Credential::Bearer(b"ab")],
        ];
        for (at, one) in lists.iter().enumerate() {
            for other in &lists[at + 1..] {
                assert_ne!(prints.key(one), prints.key(other), "{one:?} {other:?}");
            }
            assert_eq!(prints.key(one), prints.key(one));
        }
    }

    #[test]
    fn a_secret_is_the_same_wherever_it_is_carried() {
        let prints = Fingerprints::new();
        assert_eq!(prints.print(Credential::Token(b"x").secret()), prints.print(Credential::Bearer(b"x").secret()));
        assert_ne!(prints.print(b"x"), Fingerprints::new().print(b"x"), "each process has its own key");
    }
}
