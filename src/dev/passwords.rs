//! Hashes passwords and says which ones are too weak.

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use serde_json::Value;

use super::StartError;
use super::text;

const MIN_LENGTH: usize = 8;
/// Similarity is judged on this many characters; nobody types more.
const COMPARED: usize = 256;

/// What a password hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hashing {
    /// Argon2's recommended parameters, about 20 ms.
    #[default]
    Sensible,
    /// Next to nothing, for tests.
    Cheap,
}

pub(super) struct Passwords(Argon2<'static>);

impl Passwords {
    pub(super) fn new(hashing: Hashing) -> Result<Self, StartError> {
        let params = match hashing {
            Hashing::Sensible => Params::DEFAULT,
            Hashing::Cheap => Params::new(Params::MIN_M_COST, 1, 1, None).map_err(|_| StartError::Key)?,
        };
        Ok(Self(Argon2::new(Algorithm::Argon2id, Version::V0x13, params)))
    }

    /// The PHC string; None if hashing failed, which only absurd lengths can cause.
    pub(super) fn hash(&self, password: &str) -> Option<String> {
        let hash: PasswordHash = self.0.hash_password(password.as_bytes()).ok()?;
        Some(hash.to_string())
    }

    /// Whether `password` made `hash`. Without a hash the same work is done, so that time does not tell who exists.
    pub(super) fn verify(&self, password: &str, hash: Option<&str>) -> bool {
        match hash.and_then(|hash| PasswordHash::new(hash).ok()) {
            Some(hash) => self.0.verify_password(password.as_bytes(), &hash).is_ok(),
            None => {
                let _ = self.hash(password);
                false
            }
        }
    }
}

/// What is wrong with a new password, if anything.
pub(super) fn complaint(password: &str, identifier: &str) -> Option<Value> {
    let length = password.chars().count();
    if length < MIN_LENGTH {
        return Some(text::password_too_short(MIN_LENGTH, length));
    }
    too_similar(password, identifier).then(text::password_too_similar)
}

/// Kratos' rule: fewer than five edits apart, or more than half of the password in one piece of the identifier.
fn too_similar(password: &str, identifier: &str) -> bool {
    let password: Vec<char> = password.to_lowercase().chars().take(COMPARED).collect();
    let identifier: Vec<char> = identifier.to_lowercase().chars().take(COMPARED).collect();
    strsim::generic_levenshtein(&password, &identifier) < 5
        || longest_common_piece(&password, &identifier) * 2 > password.len()
}

fn longest_common_piece(a: &[char], b: &[char]) -> usize {
    let mut longest = 0;
    let mut row = vec![0; b.len() + 1];
    for left in a {
        let mut before = 0;
        for (index, right) in b.iter().enumerate() {
            let above = row[index + 1];
            row[index + 1] = if left == right { before + 1 } else { 0 };
            longest = longest.max(row[index + 1]);
            before = above;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_named() {
        for (password, id) in [
            ("short", Some(4_000_032)),
            ("ann@example.co", Some(4_000_031)),
            ("ann@example.com1234", Some(4_000_031)),
            ("correct horse battery", None),
        ] {
            let found = complaint(password, "ann@example.com").map(|message| message["id"].clone());
            assert_eq!(found, id.map(Value::from), "{password}");
        }
    }

    #[test]
    fn a_password_verifies_against_its_own_hash() {
        let passwords = Passwords::new(Hashing::Cheap).unwrap();
        let hash = passwords.hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(passwords.verify("correct horse", Some(&hash)));
        assert!(!passwords.verify("wrong horse", Some(&hash)));
        assert!(!passwords.verify("correct horse", None));
        assert!(!passwords.verify("correct horse", Some("not a hash")));
    }
}
