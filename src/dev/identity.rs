//! Identities: who can sign in, with what, and how Kratos shows them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use chrono::SecondsFormat;
use chrono::Utc;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

/// The one identity schema, named as in Kratos' quickstart.
pub(super) const SCHEMA_ID: &str = "default";

/// RFC 3339 with as many digits as the moment has, as Go writes it.
pub(super) fn stamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// An e-mail address, in the one spelling that identities are found by.
pub(super) fn normalized(address: &str) -> String {
    address.trim().to_lowercase()
}

/// The quickstart's identity schema: an e-mail address and a name.
pub(super) fn schema() -> Value {
    json!({
        "$id": "https://schemas.ory.sh/presets/kratos/quickstart/email-password/identity.schema.json",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Person",
        "type": "object",
        "properties": {
            "traits": {
                "type": "object",
                "properties": {
                    "email": {
                        "type": "string",
                        "format": "email",
                        "title": "E-Mail",
                        "minLength": 3,
                        "ory.sh/kratos": {
                            "credentials": { "password": { "identifier": true }, "code": { "identifier": true, "via": "email" } },
                            "verification": { "via": "email" },
                            "recovery": { "via": "email" },
                        },
                    },
                    "name": {
                        "type": "object",
                        "properties": {
                            "first": { "title": "First Name", "type": "string" },
                            "last": { "title": "Last Name", "type": "string" },
                        },
                    },
                },
                "required": ["email"],
                "additionalProperties": false,
            },
        },
    })
}

/// A backup code of the second factor.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct BackupCode {
    pub(super) code: String,
    pub(super) used_at: Option<DateTime<Utc>>,
}

/// What proves that somebody is an identity. Never shown, and no `Debug`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Credentials {
    /// An argon2id hash in PHC form.
    pub(super) password: Option<String>,
    /// A base32 secret.
    pub(super) totp: Option<String>,
    pub(super) backup_codes: Vec<BackupCode>,
}

/// An identity with its one address, its e-mail trait.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) id: Uuid,
    pub(super) active: bool,
    pub(super) traits: Map<String, Value>,
    pub(super) address_id: Uuid,
    pub(super) recovery_id: Uuid,
    pub(super) verified_at: Option<DateTime<Utc>>,
    pub(super) verification_sent: bool,
    pub(super) metadata_public: Value,
    pub(super) credentials: Credentials,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    /// Counts as having a second factor without one, for tests.
    #[serde(skip)]
    pub(super) pretend_second_factor: bool,
}

impl Identity {
    pub(super) fn new(traits: Map<String, Value>, now: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::new_v4(),
            active: true,
            traits,
            address_id: Uuid::new_v4(),
            recovery_id: Uuid::new_v4(),
            verified_at: None,
            verification_sent: false,
            metadata_public: Value::Null,
            credentials: Credentials::default(),
            created_at: now,
            updated_at: now,
            pretend_second_factor: false,
        }
    }

    pub(super) fn with_email(email: &str, now: DateTime<Utc>) -> Self {
        Self::new(Map::from_iter([("email".to_owned(), json!(email))]), now)
    }

    pub(super) fn email(&self) -> &str {
        self.traits.get("email").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether a session of this identity can reach AAL2.
    pub(super) fn has_second_factor(&self) -> bool {
        self.pretend_second_factor || self.credentials.totp.is_some() || !self.credentials.backup_codes.is_empty()
    }

    /// The public form: no credentials, no admin metadata; `metadata_public` and `organization_id` null, never absent.
    pub(super) fn view(&self, base: &str) -> Value {
        let mut address = json!({
            "id": self.address_id,
            "value": self.email(),
            "verified": self.verified_at.is_some(),
            "via": "email",
            "status": match (self.verified_at, self.verification_sent) {
                (Some(_), _) => "completed",
                (None, true) => "sent",
                (None, false) => "pending",
            },
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
        });
        if let Some(verified_at) = self.verified_at {
            address["verified_at"] = json!(stamp(verified_at));
        }
        json!({
            "id": self.id,
            "schema_id": SCHEMA_ID,
            "schema_url": format!("{base}/schemas/{}", URL_SAFE_NO_PAD.encode(SCHEMA_ID)),
            "state": if self.active { "active" } else { "inactive" },
            "state_changed_at": stamp(self.created_at),
            "traits": self.traits,
            "verifiable_addresses": [address],
            "recovery_addresses": [{
                "id": self.recovery_id,
                "value": self.email(),
                "via": "email",
                "created_at": stamp(self.created_at),
                "updated_at": stamp(self.updated_at),
            }],
            "metadata_public": self.metadata_public,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
            "organization_id": null,
        })
    }
}
