//! What is known of the one who asks: a session that Kratos vouched for, or why there is none.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use uuid::Uuid;

use crate::decision::expression::Facts;
use crate::decision::token::Token;

/// How strongly a session was authenticated. Kratos never gives more than two factors.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Aal {
    /// No factor that counts.
    #[default]
    Aal0,
    /// One factor.
    Aal1,
    /// Two factors.
    Aal2,
    /// Reserved by Kratos' schema; stronger than two factors.
    Aal3,
}

impl Aal {
    /// Reads Kratos' spelling, `aal0` to `aal3`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "aal0" => Some(Self::Aal0),
            "aal1" => Some(Self::Aal1),
            "aal2" => Some(Self::Aal2),
            "aal3" => Some(Self::Aal3),
            _ => None,
        }
    }
}

/// An active session, as whoami described it.
///
/// It was active and not expired when it was made: whoever builds one has checked that.
pub struct Session {
    pub id: Uuid,
    pub identity: Uuid,
    pub expires_at: SystemTime,
    pub authenticated_at: SystemTime,
    pub aal: Aal,
    /// Whether the identity has a verified address.
    pub verified: bool,
    /// The identity's id, ready to be stamped on a request.
    pub stamp: HeaderValue,
    /// The session as a signed token of Kratos', where it was asked for one.
    pub tokenized: Option<Tokenized>,
    /// All that expressions can read. Absent where no rule of the policy reads any, to save its memory.
    pub facts: Option<Facts>,
}

/// A session as a signed token.
#[derive(Clone)]
pub struct Tokenized {
    /// `Bearer …`, ready to be stamped on a request; sensitive.
    pub stamp: HeaderValue,
    /// When it must not be handed on any more.
    pub ends_at: SystemTime,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("identity", &self.identity).field("aal", &self.aal).finish_non_exhaustive()
    }
}

/// Who asks.
///
/// Six cases, and not an `Option`: "no credential", "refused" and "could not be asked" must never be mixed up.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The request carries no credential.
    Anonymous,
    /// Kratos vouched for this session.
    Known(Arc<Session>),
    /// An issuer vouched for this token.
    Token(Arc<Token>),
    /// Kratos refused the credential.
    Rejected,
    /// Kratos knows the session and demands a second factor before it says more.
    StepUpNeeded,
    /// Whoever must be asked could not be.
    Unknown(Outage),
}

impl Caller {
    /// The session, where Kratos vouched for one.
    pub fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Known(session) => Some(session),
            Self::Anonymous | Self::Rejected | Self::StepUpNeeded | Self::Token(_) | Self::Unknown(_) => None,
        }
    }
}

/// Why nobody could be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outage {
    /// The issuer of a token is away, or its keys are.
    Issuer,
    /// Kratos is away, too slow, or answers nonsense.
    Away,
    /// Kratos asks for patience; its `Retry-After` as it came.
    Throttled(Option<HeaderValue>),
}

/// A caller, and how long ago somebody vouched for it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub caller: Caller,
    pub age: Duration,
}

impl Answer {
    /// An answer given this very moment.
    pub fn fresh(caller: Caller) -> Self {
        Self { caller, age: Duration::ZERO }
    }
}
