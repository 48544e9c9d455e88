//! Who is asking, by a token: signatures are checked here, opaque tokens where they were issued.

mod claims;
mod document;
mod introspection;
pub(crate) mod jwks;
pub(crate) mod jwt;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::decision::authenticate::{Authenticator, Introspection, Issuer, Jwt, Verification};
use crate::decision::policy::Policy;
use crate::decision::session::{Answer, Caller, Outage};
use crate::decision::token::Token;
use crate::services::peer::Peer;
use crate::services::roster::Roster;
use crate::telemetry::{Metrics, TokenCheck};
use crate::tokens::introspection::Introspections;
use crate::tokens::jwks::{Need, Source};
use crate::tokens::jwt::{Invalid, head, verify};

/// The issuers of tokens, and what is known of their keys and tokens. A clone is the same.
#[derive(Clone)]
pub struct Tokens {
    shared: Arc<Shared>,
}

struct Shared {
    known: Roster<Known>,
    introspections: Introspections,
    metrics: Arc<Metrics>,
}

/// What is known of one issuer.
pub(crate) struct Known {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) peer: Peer,
    sources: Vec<Arc<Source>>,
}

/// What became of a token.
pub(crate) enum Checked {
    /// It is good, and how long ago that was said.
    Good(Arc<Token>, Duration),
    Invalid(String),
    /// Nobody could say; and why, for operators.
    Unknown(String),
}

impl Tokens {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let shared = Shared { known: Roster::default(), introspections: Introspections::default(), metrics };
        Self { shared: Arc::new(shared) }
    }

    /// Makes ready what rules of `policy` will need. An issuer whose settings did not change keeps its keys.
    pub fn prepare(&self, policy: &Policy) {
        let issuers = policy.rules.iter().flat_map(|rule| &rule.authenticate).filter_map(Authenticator::issuer);
        let issuers = issuers.map(|issuer| (&*issuer.name, issuer));
        let is_same = |known: &Known, issuer: &&Arc<Issuer>| *known.issuer == ***issuer;
        let names = self.shared.known.replace(issuers, is_same, |issuer| Known::meet(issuer));
        self.shared.metrics.issuers(&names);
    }

    /// No introspection that began until now counts from here on. Keys are kept.
    pub fn forget(&self) {
        self.shared.introspections.forget();
    }

    /// Who is behind `token`, by an answer younger than `within`. Never fails: that nobody could say is an answer.
    pub async fn resolve(&self, issuer: &Arc<Issuer>, token: &[u8], within: Option<Duration>) -> Answer {
        let shared = &self.shared;
        let Some(known) = shared.known(issuer) else {
            // Two reloads took it away; the request still has the policy that it began with.
            return Answer::fresh(Caller::Unknown(Outage::Issuer));
        };
        let checked = match &known.issuer.verification {
            Verification::Introspection(introspection) => {
                shared.introspections.check(&known, introspection, token, within).await
            }
            Verification::Jwt(jwt) => known.check(jwt, token).await,
        };
        let name = &*issuer.name;
        let (result, answer) = match checked {
            Checked::Good(token, age) => {
                let result = if age.is_zero() { TokenCheck::Valid } else { TokenCheck::Cached };
                (result, Answer { caller: Caller::Token(token), age })
            }
            Checked::Invalid(why) => {
                tracing::debug!(issuer = name, %why, "A token is not believed");
                (TokenCheck::Invalid, Answer::fresh(Caller::Rejected))
            }
            Checked::Unknown(cause) => {
                if let Some(withheld) = known.peer.warnings.take(Instant::now()) {
                    tracing::warn!(issuer = name, %cause, withheld, "Tokens cannot be checked");
                }
                (TokenCheck::Unavailable, Answer::fresh(Caller::Unknown(Outage::Issuer)))
            }
        };
        shared.metrics.token_checked(name, result);
        answer
    }
}

/// A token that says this, taken for good: for `explain`, which supposes one.
pub fn supposed(claims: serde_json::Map<String, serde_json::Value>) -> Option<Token> {
    claims::token(claims, "sub", false).ok()
}

/// Reads of a token what can be read before its signature is looked at: for `fuzz/`.
#[cfg(feature = "fuzzing")]
pub fn read_unverified(token: &[u8]) {
    use crate::decision::authenticate::Algorithm;
    let jwt = Jwt {
        jwks: Vec::new(),
        algorithms: Algorithm::ALL.to_vec(),
        issuers: Vec::new(),
        audience: Vec::new(),
        leeway: Duration::ZERO,
        refresh_after: Duration::ZERO,
        timeout: Duration::ZERO,
        authority: None,
    };
    let _ = head(token, &jwt);
    jwks::Contents::of(token);
    if let Some(claims) = document::object(token) {
        // Read strictly, it says to everybody what it said to us.
        let again = serde_json::from_slice::<serde_json::Value>(token).ok();
        assert_eq!(again, Some(serde_json::Value::Object(claims.clone())));
        let _ = claims::token(claims, "sub", true);
    }
}

impl Shared {
    fn known(&self, issuer: &Arc<Issuer>) -> Option<Arc<Known>> {
        let is_same = |known: &Known| Arc::ptr_eq(&known.issuer, issuer) || known.issuer == *issuer;
        self.known.get(&issuer.name, is_same)
    }
}

impl Known {
    fn meet(issuer: &Arc<Issuer>) -> Self {
        let (sources, authority) = match &issuer.verification {
            Verification::Introspection(Introspection { authority, .. }) => (Vec::new(), authority),
            Verification::Jwt(Jwt { jwks, authority, .. }) => {
                (jwks.iter().map(|source| Arc::new(Source::new(source))).collect(), authority)
            }
        };
        Self { issuer: Arc::clone(issuer), peer: Peer::new(&issuer.name, authority.as_deref()), sources }
    }

    async fn check(&self, jwt: &Jwt, token: &[u8]) -> Checked {
        let (head, algorithm) = match head(token, jwt) {
            Ok(head) => head,
            Err(why) => return Checked::Invalid(why.to_string()),
        };
        let client = match self.peer.client() {
            Ok(client) => client,
            Err(unasked) => return Checked::Unknown(unasked.to_string()),
        };
        for need in [Need::Usual, Need::Newer] {
            let mut keys = Vec::new();
            for source in &self.sources {
                keys.push(source.keys(client, need, jwt.refresh_after, jwt.timeout).await);
            }
            let found = keys.iter().flatten().flat_map(|keys| &keys.all);
            match verify(token, &head, algorithm, found, jwt, SystemTime::now()) {
                Ok(found) => {
                    return match claims::token(found, &self.issuer.subject, self.issuer.subject_is_identity) {
                        Ok(token) => Checked::Good(Arc::new(token), Duration::ZERO),
                        Err(why) => Checked::Invalid(why.to_string()),
                    };
                }
                // The key may have been published since. Among keys that could not be fetched it may be as well.
                Err(Invalid::UnknownKey | Invalid::Signature) if need == Need::Usual => {}
                Err(Invalid::UnknownKey | Invalid::Signature) if keys.iter().any(Option::is_none) => {
                    return Checked::Unknown("not all of its keys can be fetched".to_owned());
                }
                Err(why) => return Checked::Invalid(why.to_string()),
            }
        }
        Checked::Unknown("its keys change faster than they can be fetched".to_owned())
    }
}
