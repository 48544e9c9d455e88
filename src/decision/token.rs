//! A token that was found good: whose it is and what it says.

use std::fmt;
use std::time::SystemTime;

use http::HeaderValue;

use crate::decision::expression::Told;

/// A valid token. Whoever builds one has checked it.
pub struct Token {
    /// Who asks.
    pub subject: Option<Box<str>>,
    /// The subject as the identity header says it, where it is an identity's id.
    pub stamp: Option<HeaderValue>,
    pub scopes: Vec<Box<str>>,
    /// When it ends, as far as is known.
    pub expires_at: Option<SystemTime>,
    /// All that it says.
    pub claims: Told,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("subject", &self.subject).finish_non_exhaustive()
    }
}
