//! Keyed hashes: names for secrets and for questions that nobody outside can foresee, or make two of collide.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// Hashes under a key that it made for itself.
pub(crate) struct KeyedHash {
    key: (u64, u64),
}

/// What goes into a hash, piece by piece.
pub(crate) struct Parts {
    hasher: SipHasher13,
}

impl Default for KeyedHash {
    fn default() -> Self {
        Self { key: (rand::random(), rand::random()) }
    }
}

impl KeyedHash {
    pub(crate) fn of(&self, fill: impl FnOnce(&mut Parts)) -> u128 {
        let mut parts = Parts { hasher: SipHasher13::new_with_keys(self.key.0, self.key.1) };
        fill(&mut parts);
        parts.hasher.finish128().as_u128()
    }
}

impl Parts {
    /// With its length, so that no two lists of pieces read alike.
    pub(crate) fn add(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.hasher.write_u64(bytes.len() as u64);
        self.hasher.write(bytes);
    }

    pub(crate) fn add_number(&mut self, number: u64) {
        self.hasher.write_u64(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lists_of_parts_and_no_two_keys_hash_alike() {
        let hash = KeyedHash::default();
        let of = |parts: &[&str]| hash.of(|all| parts.iter().for_each(|part| all.add(part)));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        for other in [&["a", "bc"][..], &["abc"], &["ab", "c", ""], &["ab"], &[]] {
            assert_ne!(of(&["ab", "c"]), of(other), "{other:?}");
        }
        assert_ne!(hash.of(|all| all.add("x")), KeyedHash::default().of(|all| all.add("x")));
        assert_ne!(hash.of(|all| all.add_number(1)), hash.of(|all| all.add_number(2)));
    }
}
