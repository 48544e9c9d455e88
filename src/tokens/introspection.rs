//! Opaque tokens: whoever issued one is asked about it (RFC 7662), and only a yes is kept.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use url::form_urlencoded;

use crate::decision::authenticate::{Introspection, Verification};
use crate::decision::token::Token;
use crate::services::answers::{Answers, Key};
use crate::services::client::send;
use crate::services::flights::Flights;
use crate::services::peer::Unasked;
use crate::tokens::claims::{self, Conditions};
use crate::tokens::document;
use crate::tokens::jwt::LONGEST;
use crate::tokens::{Checked, Known};

/// What was said about tokens, and is being asked.
#[derive(Default)]
pub(crate) struct Introspections {
    answers: Arc<Answers<Arc<Token>>>,
    flights: Arc<Flights<Key, Result<Arc<Token>, Refused>>>,
}

#[derive(Clone)]
enum Refused {
    Invalid(String),
    Unknown(String),
}

impl From<Unasked> for Refused {
    fn from(unasked: Unasked) -> Self {
        Self::Unknown(unasked.to_string())
    }
}

/// A token that is good, the length of the answer that said so, and when it was asked for.
struct Introspected {
    token: Arc<Token>,
    length: usize,
    asked_at: Instant,
}

impl Introspections {
    pub(crate) async fn check(
        &self,
        known: &Arc<Known>,
        settings: &Introspection,
        token: &[u8],
        within: Option<Duration>,
    ) -> Checked {
        if token.len() > LONGEST {
            return Checked::Invalid("it is too long".to_owned());
        }
        let key = self.answers.key(|parts| {
            parts.add_number(known.peer.generation);
            parts.add(token);
        });
        let ttl = settings.ttl;
        let is_over = |token: &Token| token.expires_at.is_some_and(|end| end <= SystemTime::now());
        if let Some((token, age)) = self.answers.get(key, ttl, within).filter(|(token, _)| !is_over(token)) {
            return Checked::Good(token, age);
        }
        let question = {
            let (known, token, answers) = (Arc::clone(known), token.to_vec(), Arc::clone(&self.answers));
            async move {
                let introspected = ask(&known, &token).await;
                match &introspected {
                    Ok(Introspected { token, length, asked_at }) if !ttl.is_zero() => {
                        answers.keep(key, Arc::clone(token), *length, *asked_at);
                    }
                    Err(Refused::Invalid(_)) => answers.refuse(key),
                    Ok(_) | Err(Refused::Unknown(_)) => {}
                }
                introspected.map(|introspected| introspected.token)
            }
        };
        // Whoever needs a new answer must not take one to a question that was asked before.
        let oldest = within.map_or(ttl, |within| within.min(ttl));
        match self.flights.share(key, oldest, question).await {
            Some(Ok(token)) => Checked::Good(token, Duration::ZERO),
            Some(Err(Refused::Invalid(why))) => Checked::Invalid(why),
            Some(Err(Refused::Unknown(cause))) => Checked::Unknown(cause),
            None => Checked::Unknown("the question came to a bad end".to_owned()),
        }
    }

    /// All that was kept, and all that was asked until now.
    pub(crate) fn forget(&self) {
        self.answers.forget();
    }
}

async fn ask(known: &Known, token: &[u8]) -> Result<Introspected, Refused> {
    let unknown = |cause: String| Refused::Unknown(cause);
    let Verification::Introspection(settings) = &known.issuer.verification else {
        return Err(unknown("it judges no opaque tokens".to_owned()));
    };
    let Ok(token) = std::str::from_utf8(token) else { return Err(Refused::Invalid("it is no text".to_owned())) };
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("token_type_hint", "access_token")
        .finish();
    let mut request = known
        .peer
        .client()?
        .post(settings.url.clone())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(form);
    if let Some(authorization) = &settings.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if !known.peer.circuit.admits(Instant::now()) {
        return Err(unknown("it was away a moment ago".to_owned()));
    }
    let _slot = known.peer.slot(settings.timeout).await?;
    let asked_at = Instant::now();
    let answer = send(request, settings.timeout).await.map_err(|cause| {
        known.peer.circuit.failed(Instant::now());
        unknown(cause.to_string())
    })?;
    known.peer.circuit.succeeded();
    if answer.status != StatusCode::OK {
        return Err(unknown(format!("introspection answers {}", answer.status)));
    }
    let claims = document::object(&answer.body)
        .ok_or_else(|| unknown("introspection answers no JSON object, or one that says something twice".to_owned()))?;
    match claims.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(Refused::Invalid("its issuer says that it is not active".to_owned())),
        Some(_) | None => return Err(unknown("introspection does not say whether it is active".to_owned())),
    }
    // Issuers look up refresh tokens, too, and Hydra says which it was: those are for the issuer alone.
    match claims.get("token_use") {
        None | Some(Value::Null) => {}
        Some(Value::String(used_as)) if used_as.is_empty() || used_as == "access_token" => {}
        Some(_) => return Err(Refused::Invalid("it is no access token".to_owned())),
    }
    let conditions = Conditions {
        issuers: &settings.issuers,
        audience: &settings.audience,
        leeway: settings.leeway,
        must_end: false,
    };
    let invalid = |why: claims::Unfit| Refused::Invalid(why.to_string());
    claims::check(&claims, &conditions, SystemTime::now()).map_err(invalid)?;
    let token = claims::token(claims, &known.issuer.subject, known.issuer.subject_is_identity).map_err(invalid)?;
    Ok(Introspected { token: Arc::new(token), length: answer.body.len(), asked_at })
}
