//! Who is asking: the session behind a credential, cached, shared, and revoked at once.

pub mod settings;
