//! The keys that the gateway signs with: read from PEM files, made anew, and published as JWKS.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// The shortest modulus of an RSA key, in base64url characters: 2048 bits.
const SHORTEST_MODULUS: usize = 342;

/// A private key, and what others check its signatures with.
pub struct SigningKey {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Jwk,
    id: String,
}

/// Why a text holds no key to sign with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "holds no private key: a PEM section `PRIVATE KEY` of RSA, P-256 or Ed25519, as `portcullis keys` makes them"
    )]
    Unknown,
    #[error("holds an RSA key of less than 2048 bits")]
    TooShort,
}

/// What keys are made for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    EdDsa,
    Es256,
    Rs256,
}

/// No key could be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no randomness for a key")]
pub struct GenerateError;

type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

impl SigningKey {
    /// Reads a private key in PEM. Its algorithm is that of its kind: RS256, ES256 or EdDSA; its id is its thumbprint
    /// (RFC 7638), so that every gateway with the same key publishes it alike.
    ///
    /// # Errors
    /// Where there is none, or one that is too weak.
    pub fn parse(pem: &[u8]) -> Result<Self, KeyError> {
        let readers: [(Algorithm, Read); 3] = [
            (Algorithm::EdDSA, EncodingKey::from_ed_pem),
            (Algorithm::ES256, EncodingKey::from_ec_pem),
            (Algorithm::RS256, EncodingKey::from_rsa_pem),
        ];
        let read = readers.into_iter().find_map(|(algorithm, read)| {
            let private = read(pem).ok()?;
            let public = Jwk::from_encoding_key(&private, algorithm).ok()?;
            Some((algorithm, private, public))
        });
        let (algorithm, private, mut public) = read.ok_or(KeyError::Unknown)?;
        if matches!(&public.algorithm, AlgorithmParameters::RSA(rsa) if rsa.n.len() < SHORTEST_MODULUS) {
            return Err(KeyError::TooShort);
        }
        let id = public.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::Unknown)?;
        public.common.key_id = Some(id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { algorithm, private, public, id })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn private(&self) -> &EncodingKey {
        &self.private
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The public halves of `keys`, as those who check signatures fetch them.
pub fn published<'k>(keys: impl IntoIterator<Item = &'k SigningKey>) -> Value {
    json!({ "keys": keys.into_iter().map(|key| &key.public).collect::<Vec<_>>() })
}

/// Makes a new private key, in PEM.
///
/// # Errors
/// Where the system gives no randomness.
pub fn generate(kind: KeyKind) -> Result<String, GenerateError> {
    let random = SystemRandom::new();
    let der = match kind {
        KeyKind::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random).map(|document| document.as_ref().to_vec()),
        KeyKind::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map(|document| document.as_ref().to_vec()),
        KeyKind::Rs256 => rsa::KeyPair::generate(KeySize::Rsa3072)
            .and_then(|pair| pair.as_der())
            .map(|document| document.as_ref().to_vec()),
    };
    der.map(|der| pem::encode(&pem::Pem::new("PRIVATE KEY", der))).map_err(|_| GenerateError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_that_is_made_can_be_read_and_keeps_its_id() {
        for (kind, algorithm) in
            [(KeyKind::EdDsa, Algorithm::EdDSA), (KeyKind::Es256, Algorithm::ES256), (KeyKind::Rs256, Algorithm::RS256)]
        {
            let pem = generate(kind).unwrap();
            let (key, again) = (SigningKey::parse(pem.as_bytes()).unwrap(), SigningKey::parse(pem.as_bytes()).unwrap());
            assert_eq!((key.algorithm(), key.id()), (algorithm, again.id()));
            assert_ne!(key.id(), SigningKey::parse(generate(kind).unwrap().as_bytes()).unwrap().id());
        }
    }

    #[test]
    fn nothing_private_is_published_or_printed() {
        for kind in [KeyKind::EdDsa, KeyKind::Es256, KeyKind::Rs256] {
            let pem = generate(kind).unwrap();
            let key = SigningKey::parse(pem.as_bytes()).unwrap();
            let published = published([&key]);
            let fields = published["keys"][0].as_object().unwrap();
            for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
                assert!(!fields.contains_key(private), "{fields:?}");
            }
            assert_eq!(fields["kid"], key.id());
            assert_eq!(fields["use"], "sig");
            let secret = pem.lines().nth(1).unwrap();
            assert!(!format!("{key:?}").contains(secret));
        }
    }

    #[test]
    fn what_is_no_key_to_sign_with_is_refused() {
        let certificate = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        for text in ["", "no key", &certificate.cert.pem(), &p384.serialize_pem(), &p384.public_key_pem()] {
            assert_eq!(SigningKey::parse(text.as_bytes()).unwrap_err(), KeyError::Unknown, "{text}");
        }
    }
}
