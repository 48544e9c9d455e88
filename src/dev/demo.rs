//! Accounts to try things with.

use chrono::Utc;
use serde_json::json;

use super::identity::Identity;
use super::world::World;

/// An account that exists if the server is told to seed. Its credentials are public: they are documentation.
#[derive(Debug, Clone, Copy)]
pub struct DemoAccount {
    /// What to sign in with.
    pub email: &'static str,
    /// What proves it.
    pub password: &'static str,
    /// The base32 secret for an authenticator app, where there is a second factor.
    pub totp_secret: Option<&'static str>,
}

/// Somebody.
pub const DEMO_ACCOUNT: DemoAccount =
    DemoAccount { email: "demo@example.com", password: "portcullis-demo", totp_secret: None };

/// Somebody with a second factor.
pub const TOTP_ACCOUNT: DemoAccount = DemoAccount {
    email: "totp@example.com",
    password: "portcullis-demo",
    totp_secret: Some("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
};

/// Somebody whose `metadata_public.role` is `admin`.
pub const ADMIN_ACCOUNT: DemoAccount =
    DemoAccount { email: "admin@example.com", password: "portcullis-demo", totp_secret: None };

/// Adds the demo accounts that do not exist yet; those in the file of accounts stay as their user left them.
pub(super) fn seed(world: &World) {
    for (account, name) in [(DEMO_ACCOUNT, "Demo"), (TOTP_ACCOUNT, "Two Factors"), (ADMIN_ACCOUNT, "Admin")] {
        let now = Utc::now();
        let mut identity = Identity::with_email(account.email, now);
        identity.traits.insert("name".to_owned(), json!({ "first": name }));
        identity.verified_at = Some(now);
        identity.credentials.password = world.passwords.hash(account.password);
        identity.credentials.totp = account.totp_secret.map(str::to_owned);
        if account.email == ADMIN_ACCOUNT.email {
            identity.metadata_public = json!({ "role": "admin" });
        }
        // An address that is taken is an account that exists.
        let _ = world.keep_identity(identity);
    }
}
