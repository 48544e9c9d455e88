//! What a settings submit changes in an identity, and who may.

use serde_json::Value;

use super::body::Body;
use super::flow::Flow;
use super::flow::Kind;
use super::identity::BackupCode;
use super::identity::Identity;
use super::passwords;
use super::registration::checked_traits;
use super::secret;
use super::text;
use super::totp;
use super::world::World;

const BACKUP_CODES: usize = 12;

/// What a submit comes to.
pub(super) enum Step {
    /// Save, for anybody signed in.
    Free(Identity),
    /// Save, for somebody who signed in lately.
    Privileged(Identity),
    /// Show backup codes, likewise.
    Reveal(Identity),
    Refuse(Vec<(String, Value)>),
}

fn refused(about: &str, message: Value) -> Step {
    Step::Refuse(vec![(about.to_owned(), message)])
}

/// Somebody's wish to change their identity.
pub(super) struct Change<'a> {
    pub(super) world: &'a World,
    pub(super) body: &'a Body,
    pub(super) identity: Identity,
}

impl Change<'_> {
    pub(super) fn profile(mut self) -> Step {
        match checked_traits(&self.body.field("traits").cloned().unwrap_or_default()) {
            Err(complaints) => Step::Refuse(complaints),
            Ok(traits) => {
                let old_email = self.identity.email().to_owned();
                self.identity.traits = traits;
                if self.identity.email() == old_email {
                    return Step::Free(self.identity);
                }
                self.identity.verified_at = None;
                self.identity.verification_sent = false;
                Step::Privileged(self.identity)
            }
        }
    }

    pub(super) fn password(mut self) -> Step {
        let Some(password) = self.body.text("password") else {
            return refused("password", text::missing("password"));
        };
        if let Some(complaint) = passwords::complaint(password, self.identity.email()) {
            return refused("password", complaint);
        }
        self.identity.credentials.password = self.world.passwords.hash(password);
        Step::Privileged(self.identity)
    }

    pub(super) fn totp(mut self, flow: &Flow) -> Step {
        if self.body.flag("totp_unlink") {
            self.identity.credentials.totp = None;
            return Step::Privileged(self.identity);
        }
        let Some(code) = self.body.text("totp_code") else {
            return refused("totp_code", text::missing("totp_code"));
        };
        match &flow.pending_totp {
            Some(secret) if totp::accepts(secret, code) => {
                self.identity.credentials.totp = Some(secret.clone());
                Step::Privileged(self.identity)
            }
            _ => refused("totp_code", text::wrong_totp_code()),
        }
    }

    pub(super) fn backup_codes(mut self, flow: &mut Flow) -> Step {
        if self.body.flag("lookup_secret_regenerate") {
            flow.pending_backup_codes = (0..BACKUP_CODES).map(|_| secret::backup_code()).collect();
            return Step::Reveal(self.identity);
        }
        if self.body.flag("lookup_secret_reveal") {
            flow.pending_backup_codes.clear();
            return Step::Reveal(self.identity);
        }
        let codes = if self.body.flag("lookup_secret_disable") {
            Vec::new()
        } else if self.body.flag("lookup_secret_confirm") && !flow.pending_backup_codes.is_empty() {
            flow.pending_backup_codes.iter().map(|code| BackupCode { code: code.clone(), used_at: None }).collect()
        } else {
            return refused("", text::no_strategy(Kind::Settings));
        };
        self.identity.credentials.backup_codes = codes;
        Step::Privileged(self.identity)
    }
}
