//! Keyed hashes of credentials: what the cache knows of a secret.

use crate::decision::credentials::Credential;
use crate::hashing::KeyedHash;

/// The hash of all the credentials that an answer of Kratos rests on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key(u128);

/// The hash of one secret, whatever header it came in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Print(u128);

/// Hashes under a key that this process made for itself.
#[derive(Default)]
pub(crate) struct Fingerprints {
    hash: KeyedHash,
}

impl Fingerprints {
    /// Each credential goes in with its kind.
    pub(crate) fn key(&self, credentials: &[Credential<'_>]) -> Key {
        Key(self.hash.of(|parts| {
            for credential in credentials {
                match credential {
                    Credential::Bearer(token) => {
                        parts.add(b"b");
                        parts.add(token);
                    }
                    Credential::Cookie { name, value } => {
                        parts.add(b"c");
                        parts.add(name);
                        parts.add(value);
                    }
                    Credential::Token(token) => {
                        parts.add(b"t");
                        parts.add(token);
                    }
                }
            }
        }))
    }

    /// The hash of a secret. A token is the same whether it came as a Bearer, a header or in a body.
    pub(crate) fn print(&self, secret: &[u8]) -> Print {
        Print(self.hash.of(|parts| parts.add(secret)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_credentials_never_share_a_key() {
        let prints = Fingerprints::default();
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
        let prints = Fingerprints::default();
        assert_eq!(prints.print(Credential::Token(b"x").secret()), prints.print(Credential::Bearer(b"x").secret()));
        assert_ne!(prints.print(b"x"), Fingerprints::default().print(b"x"), "each process has its own key");
    }
}
