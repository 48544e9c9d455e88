//! Keeps identities in a SQLite file, so that accounts survive a restart. Sessions do not.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::params;

use super::identity::Identity;

/// Why the file of accounts could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error("the accounts file: {0}")]
    Open(#[from] io::Error),
    /// SQLite refused.
    #[error("the accounts file: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row is not an identity, perhaps of another version.
    #[error("an account in the file cannot be read: {0}")]
    Row(#[from] serde_json::Error),
}

pub(super) struct Store(Mutex<Connection>);

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        // Password hashes and authenticator secrets are nobody else's business.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        connection.execute_batch("CREATE TABLE IF NOT EXISTS identities (id TEXT PRIMARY KEY, body TEXT NOT NULL)")?;
        Ok(Self(Mutex::new(connection)))
    }

    pub(super) fn load(&self) -> Result<Vec<Identity>, StoreError> {
        let connection = self.0.lock();
        let mut statement = connection.prepare("SELECT body FROM identities")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut identities = Vec::new();
        for row in rows {
            identities.push(serde_json::from_str(&row?)?);
        }
        Ok(identities)
    }

    pub(super) fn keep(&self, identity: &Identity) -> Result<(), StoreError> {
        let body = serde_json::to_string(identity)?;
        let statement = "INSERT INTO identities (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2";
        self.0.lock().execute(statement, params![identity.id.to_string(), body])?;
        Ok(())
    }
}
