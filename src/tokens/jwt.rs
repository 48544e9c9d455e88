//! Signed tokens: what must be true of one before anything that it says is believed.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::decision::authenticate::{Algorithm, Jwt};
use crate::tokens::claims::{Conditions, Unfit, check};
use crate::tokens::document;

/// Longer tokens are refused unread, in bytes.
pub(crate) const LONGEST: usize = 16 * 1024;
/// So many keys are tried for a token that does not say which it was signed with.
const MAX_TRIED: usize = 8;

/// What a token that says who asks may call itself. Another one, such as a logout token, was made for something else.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// A key that signatures are checked with, and what it is good for.
pub(crate) struct VerifyingKey {
    jwk: Jwk,
    key: DecodingKey,
}

/// Why a token is not believed. For operators; clients learn only that it is not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("it is no signed token")]
    Malformed,
    #[error("its algorithm is not one of `algorithms`")]
    Algorithm,
    #[error("it was made for something else (`typ`)")]
    Type,
    #[error("it demands what is not understood (`crit`)")]
    Critical,
    #[error("no key is known by the id that it names")]
    UnknownKey,
    #[error("no key that fits made its signature")]
    Signature,
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// What the header says that matters here. Keys that it brings along or points to are not looked at: they come from the
/// configuration alone.
#[derive(Deserialize)]
pub(crate) struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

impl VerifyingKey {
    /// Takes a key of a JWKS; nothing where it is of a kind that nobody can check signatures with.
    pub(crate) fn new(jwk: Jwk) -> Option<Self> {
        if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
            return None;
        }
        let for_signatures = match &jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => true,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => false,
        };
        let verifies =
            jwk.common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (for_signatures && verifies).then_some(Self { jwk, key })
    }

    fn is_called(&self, id: &str) -> bool {
        self.jwk.common.key_id.as_deref() == Some(id)
    }

    /// Whether it is of the kind that `algorithm` needs, and says nothing else of itself.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let is_kind = match (algorithm, &self.jwk.algorithm) {
            (Algorithm::Es256, AlgorithmParameters::EllipticCurve(curve)) => curve.curve == EllipticCurve::P256,
            (Algorithm::Es384, AlgorithmParameters::EllipticCurve(curve)) => curve.curve == EllipticCurve::P384,
            (Algorithm::EdDsa, AlgorithmParameters::OctetKeyPair(_)) => true,
            (
                Algorithm::Rs256
                | Algorithm::Rs384
                | Algorithm::Rs512
                | Algorithm::Ps256
                | Algorithm::Ps384
                | Algorithm::Ps512,
                AlgorithmParameters::RSA(_),
            ) => true,
            (_, _) => false,
        };
        is_kind && self.jwk.common.key_algorithm.is_none_or(|own| own.to_string() == algorithm.as_str())
    }
}

/// Reads the header, or says why it cannot be trusted with anything.
pub(crate) fn head(token: &[u8], jwt: &Jwt) -> Result<(Head, Algorithm), Invalid> {
    if token.len() > LONGEST {
        return Err(Invalid::Malformed);
    }
    let part = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Malformed)?;
    let head = document::object(&json).ok_or(Invalid::Malformed)?;
    // Written at all, with `null` as well.
    if head.contains_key("crit") {
        return Err(Invalid::Critical);
    }
    let head = Head::deserialize(Value::Object(head)).map_err(|_| Invalid::Malformed)?;
    if head.typ.as_deref().is_some_and(|kind| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind))) {
        return Err(Invalid::Type);
    }
    let algorithm = Algorithm::parse(&head.alg).filter(|algorithm| jwt.algorithms.contains(algorithm));
    algorithm.map(|algorithm| (head, algorithm)).ok_or(Invalid::Algorithm)
}

/// What a token says, once its signature and all that `jwt` demands of it are found right at `now`.
pub(crate) fn verify<'k>(
    token: &[u8],
    head: &Head,
    algorithm: Algorithm,
    keys: impl Iterator<Item = &'k VerifyingKey>,
    jwt: &Jwt,
    now: SystemTime,
) -> Result<Map<String, Value>, Invalid> {
    let known = keys.filter(|key| head.kid.as_deref().is_none_or(|id| key.is_called(id))).collect::<Vec<_>>();
    if known.is_empty() {
        return Err(Invalid::UnknownKey);
    }
    let mut validation = Validation::new(algorithm.into());
    // The claims are checked below, where each has its reason.
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    let fitting = known.into_iter().filter(|key| key.fits(algorithm)).take(MAX_TRIED);
    let is_signed = |key: &VerifyingKey| jsonwebtoken::decode::<IgnoredAny>(token, &key.key, &validation).is_ok();
    if !fitting.into_iter().any(is_signed) {
        return Err(Invalid::Signature);
    }
    let payload = token.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Invalid::Malformed)?;
    let claims = document::object(&payload).ok_or(Invalid::Malformed)?;
    let conditions = Conditions { issuers: &jwt.issuers, audience: &jwt.audience, leeway: jwt.leeway, must_end: true };
    check(&claims, &conditions, now)?;
    Ok(claims)
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::EdDSA,
            Algorithm::Es256 => Self::ES256,
            Algorithm::Es384 => Self::ES384,
            Algorithm::Ps256 => Self::PS256,
            Algorithm::Ps384 => Self::PS384,
            Algorithm::Ps512 => Self::PS512,
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Rs384 => Self::RS384,
            Algorithm::Rs512 => Self::RS512,
        }
    }
}

#[cfg(test)]
mod tests;
