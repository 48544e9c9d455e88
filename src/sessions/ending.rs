//! Requests that may end or change a session: what they carry is found out before, and forgotten after.

use std::sync::Arc;

use futures_util::future::join_all;
use uuid::Uuid;

use crate::decision::credentials::{Credential, Credentials};
use crate::decision::session::Session;
use crate::sessions::Sessions;
use crate::sessions::Shared;
use crate::sessions::fingerprint::Key;
use crate::sessions::journal::Mark;
use crate::telemetry::RevocationCause;

/// So many credentials of one request are asked about; more than that no honest client carries, and a request must not
/// make us flood Kratos. The values of the others are forgotten all the same.
const MAX_RESOLVED: usize = 8;

/// How much a request may end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// Every session of the identity: its settings change, or it signs out elsewhere.
    Identity,
    /// The session named in the path, besides those the request carries.
    Named(Uuid),
    /// The sessions that the request carries.
    Sessions,
}

/// A request on its way to Kratos that may end sessions. However its exchange ends, even by being dropped, they are
/// forgotten: a session too many costs one look-up, a session too few lets someone in.
pub struct PendingEnding {
    shared: Arc<Shared>,
    ending: Ending,
    cause: RevocationCause,
    keys: Vec<Key>,
    marks: Vec<Mark>,
    finished: bool,
}

impl Sessions {
    /// Finds out which sessions `credentials` stand for, each by itself: Kratos' logout looks at them in another order
    /// than whoami does. Call it before the request is forwarded; afterwards nobody could tell any more.
    pub async fn prepare_ending(
        &self,
        credentials: &Credentials<'_>,
        ending: Ending,
        cause: RevocationCause,
    ) -> PendingEnding {
        let mut pending = PendingEnding {
            shared: Arc::clone(&self.shared),
            ending,
            cause,
            keys: Vec::new(),
            marks: Vec::new(),
            finished: false,
        };
        if let Ending::Named(session) = ending {
            pending.marks.push(Mark::Session(session));
        }
        if !credentials.is_empty() {
            pending.keys.push(self.shared.prints.key(credentials.asked()));
        }
        pending.add(self, credentials.all()).await;
        pending
    }
}

impl PendingEnding {
    /// Adds session tokens that the body of the request names.
    pub async fn add_tokens(&mut self, tokens: &[Vec<u8>]) {
        let sessions = Sessions::from(Arc::clone(&self.shared));
        let tokens = tokens.iter().map(|token| Credential::Token(token)).collect::<Vec<_>>();
        self.add(&sessions, &tokens).await;
    }

    /// The answer sets a new session cookie: whose it is, nobody else may be served an older view of.
    pub async fn new_session(&mut self, name: &[u8], value: &[u8]) {
        let credential = Credential::Cookie { name, value };
        self.marks.push(Mark::Credential(self.shared.prints.print(value)));
        if let Some(session) = resolve(&Sessions::from(Arc::clone(&self.shared)), credential).await {
            self.marks.extend([Mark::Session(session.id), Mark::Identity(session.identity)]);
        }
    }

    /// Forgets it all. Call it when the exchange ends, before the client sees the first byte of the answer.
    pub fn finish(&mut self) {
        let finished = std::mem::replace(&mut self.finished, true);
        if !finished && (!self.marks.is_empty() || !self.keys.is_empty()) {
            self.shared.forget(&self.marks, &self.keys, self.cause);
        }
    }

    async fn add(&mut self, sessions: &Sessions, credentials: &[Credential<'_>]) {
        for credential in credentials {
            let mark = Mark::Credential(self.shared.prints.print(credential.secret()));
            if !self.marks.contains(&mark) {
                self.marks.push(mark);
                self.keys.push(self.shared.prints.key(&[*credential]));
            }
        }
        let known = credentials.iter().take(MAX_RESOLVED).map(|credential| resolve(sessions, *credential));
        for session in join_all(known).await.into_iter().flatten() {
            self.marks.push(Mark::Session(session.id));
            if self.ending == Ending::Identity {
                self.marks.push(Mark::Identity(session.identity));
            }
        }
    }
}

impl Drop for PendingEnding {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The session of one credential. If that cannot be found out, the value alone is forgotten.
async fn resolve(sessions: &Sessions, credential: Credential<'_>) -> Option<Arc<Session>> {
    sessions.resolve(&Credentials::from(credential), None, false).await.answer.caller.session().cloned()
}
