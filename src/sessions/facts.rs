//! Kratos' JSON as values that expressions can read.

use crate::decision::expression::Facts;
use crate::services::json::value;

/// Reads a session's JSON. Nothing where it is no object with an identity.
pub(crate) fn read(body: &[u8]) -> Option<Facts> {
    let mut session = serde_json::from_slice::<serde_json::Value>(body).ok()?;
    let identity = session.get_mut("identity")?;
    // whoami never has these; were they there, no header and no condition may read them.
    if let Some(identity) = identity.as_object_mut() {
        identity.remove("credentials");
        identity.remove("metadata_admin");
    }
    let identity = value(identity);
    // A credential, and no fact.
    if let Some(session) = session.as_object_mut() {
        session.remove("tokenized");
    }
    Facts::new(value(&session), identity)
}
