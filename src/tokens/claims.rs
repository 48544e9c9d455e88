//! What a token says of itself: since when, until when, by whom and for whom.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use serde_json::{Map, Value};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::decision::expression::Told;
use crate::decision::token::Token;
use crate::services::json;

/// What claims must be.
pub(crate) struct Conditions<'c> {
    pub(crate) issuers: &'c [Box<str>],
    pub(crate) audience: &'c [Box<str>],
    pub(crate) leeway: Duration,
    /// A token without an end would be good for ever.
    pub(crate) must_end: bool,
}

/// Why claims are not those of a token that is good here and now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it has no end (`exp`)")]
    Endless,
    #[error("it has ended (`exp`)")]
    Ended,
    #[error("it is not good yet (`nbf` or `iat`)")]
    Early,
    #[error("a time in it is no number")]
    Time,
    #[error("it was not issued by one of `issuers`")]
    Issuer,
    #[error("it is not meant for all of `audience`")]
    Audience,
    #[error("its subject is no text, or no identity's id where it must be one")]
    Subject,
    #[error("its claims are more than can be told")]
    Claims,
}

/// Checks the claims at `now`.
pub(crate) fn check(claims: &Map<String, Value>, conditions: &Conditions<'_>, now: SystemTime) -> Result<(), Unfit> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|time| time.is_finite()).map(Some).ok_or(Unfit::Time),
    };
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let leeway = conditions.leeway.as_secs_f64();
    match time("exp")? {
        None if conditions.must_end => return Err(Unfit::Endless),
        Some(exp) if exp + leeway <= now => return Err(Unfit::Ended),
        Some(_) | None => {}
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|time| time - leeway > now) {
            return Err(Unfit::Early);
        }
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if !conditions.issuers.is_empty() && !conditions.issuers.iter().any(|known| issuer == Some(known)) {
        return Err(Unfit::Issuer);
    }
    let meant_for = texts(claims.get("aud"));
    if !conditions.audience.iter().all(|audience| meant_for.contains(&&**audience)) {
        return Err(Unfit::Audience);
    }
    Ok(())
}

/// Makes a token of claims that were found right.
pub(crate) fn token(claims: Map<String, Value>, subject: &str, is_identity: bool) -> Result<Token, Unfit> {
    let subject = match claims.get(subject) {
        None | Some(Value::Null) => None,
        Some(Value::String(subject)) if !subject.is_empty() => Some(Box::<str>::from(subject.as_str())),
        Some(_) => return Err(Unfit::Subject),
    };
    let stamp = if is_identity {
        let identity = subject.as_deref().and_then(identity).ok_or(Unfit::Subject)?;
        // In Kratos' own spelling, whatever the token's.
        Some(HeaderValue::try_from(identity.to_string()).map_err(|_| Unfit::Subject)?)
    } else {
        None
    };
    let scopes = ["scope", "scp", "scopes"].into_iter().flat_map(|name| texts(claims.get(name)));
    let scopes = scopes.flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty()).map(Box::from).collect();
    let expires_at = claims
        .get("exp")
        .and_then(Value::as_f64)
        .and_then(|exp| SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(exp.max(0.0)).ok()?));
    let claims = Told::new(json::value(&Value::Object(claims))).ok_or(Unfit::Claims)?;
    Ok(Token { subject, stamp, scopes, expires_at, claims })
}

/// The id of an identity: as Kratos writes it but for the case. The nil one is nobody's.
fn identity(subject: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(subject).ok()?;
    (subject.len() == Hyphenated::LENGTH && !id.is_nil()).then_some(id)
}

/// A list of texts, or a single one.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_named_as_kratos_names_it() {
        let id = "3b6d5c8e-0a1b-4c2d-8e3f-0123456789ab";
        assert_eq!(identity(id).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(identity(&id.to_uppercase()).map(|id| id.to_string()).as_deref(), Some(id));
        for other in [
            "",
            "ann",
            &id.replace('-', ""),
            &format!("{{{id}}}"),
            &format!("urn:uuid:{id}"),
            &format!(" {id}"),
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(identity(other), None, "{other}");
        }
    }
}
