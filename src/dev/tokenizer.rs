//! Turns a session into a JWT for `tokenize_as`, signed with a key of this process.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use chrono::Utc;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use ring::signature::KeyPair;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

/// Signs EdDSA tokens. The public key is at `/dev/jwks.json`.
pub(super) struct Tokenizer {
    key: Ed25519KeyPair,
    key_id: String,
    templates: Vec<(String, Duration)>,
}

impl Tokenizer {
    pub(super) fn new(templates: &[(String, Duration)]) -> Option<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).ok()?;
        Some(Self { key, key_id: Uuid::new_v4().to_string(), templates: templates.to_vec() })
    }

    /// A token with Kratos' claims; None if no template has that name.
    pub(super) fn sign(
        &self,
        template: &str,
        issuer: &str,
        (session, identity): (Uuid, Uuid),
        now: DateTime<Utc>,
    ) -> Option<String> {
        let (_, ttl) = self.templates.iter().find(|(name, _)| name == template)?;
        let header = json!({ "alg": "EdDSA", "kid": self.key_id, "typ": "JWT" });
        let issued = now.timestamp();
        let claims = json!({
            "jti": Uuid::new_v4(),
            "iss": issuer,
            "sub": identity,
            "sid": session,
            "iat": issued,
            "nbf": issued,
            "exp": issued.saturating_add_unsigned(ttl.as_secs()),
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        Some(format!("{signed}.{signature}"))
    }

    pub(super) fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.key_id, "x": x }] })
    }
}
