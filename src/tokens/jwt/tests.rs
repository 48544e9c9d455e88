//! Tokens that are believed, and all the ways in which one is not.

use std::sync::LazyLock;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::decision::authenticate::KeySource;
use crate::signing::keys::{KeyKind, SigningKey, generate, published};

/// 2027-01-15.
const NOW: u64 = 1_800_000_000;

struct Pair {
    pem: String,
    id: String,
    algorithm: jsonwebtoken::Algorithm,
}

static RSA: LazyLock<Pair> = LazyLock::new(|| pair(KeyKind::Rs256));
static EC: LazyLock<Pair> = LazyLock::new(|| pair(KeyKind::Es256));
static ED: LazyLock<Pair> = LazyLock::new(|| pair(KeyKind::EdDsa));

fn pair(kind: KeyKind) -> Pair {
    let pem = generate(kind).unwrap();
    let key = SigningKey::parse(pem.as_bytes()).unwrap();
    Pair { id: key.id().to_owned(), algorithm: key.algorithm(), pem }
}

impl Pair {
    fn private(&self) -> EncodingKey {
        let pem = self.pem.as_bytes();
        match self.algorithm {
            jsonwebtoken::Algorithm::EdDSA => EncodingKey::from_ed_pem(pem).unwrap(),
            jsonwebtoken::Algorithm::ES256 => EncodingKey::from_ec_pem(pem).unwrap(),
            _ => EncodingKey::from_rsa_pem(pem).unwrap(),
        }
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }
    }

    fn jwk(&self) -> Value {
        published([&SigningKey::parse(self.pem.as_bytes()).unwrap()])["keys"][0].clone()
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private()).unwrap()
    }
}

fn good() -> Value {
    json!({ "sub": "ann", "iss": "https://issuer", "aud": ["orders", "others"], "iat": NOW - 10, "exp": NOW + 60 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn jwt() -> Jwt {
    Jwt {
        jwks: vec![KeySource::File(Box::default())],
        algorithms: vec![Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256],
        issuers: vec!["https://issuer".into()],
        audience: vec!["orders".into()],
        leeway: Duration::from_secs(10),
        refresh_after: Duration::from_secs(300),
        timeout: Duration::from_secs(1),
        authority: None,
    }
}

fn checked_with(token: &str, keys: &[Value], jwt: &Jwt) -> Result<Map<String, Value>, Invalid> {
    let keys = keys.iter().filter_map(|key| VerifyingKey::new(serde_json::from_value(key.clone()).unwrap()));
    let keys = keys.collect::<Vec<_>>();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let (head, algorithm) = head(token.as_bytes(), jwt)?;
    verify(token.as_bytes(), &head, algorithm, keys.iter(), jwt, now)
}

fn checked(token: &str) -> Result<Map<String, Value>, Invalid> {
    checked_with(token, &[RSA.jwk(), EC.jwk(), ED.jwk()], &jwt())
}

/// A token of these parts, signed by nobody.
fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[test]
fn good_tokens_are_believed_whatever_their_algorithm() {
    for pair in [&*RSA, &*EC, &*ED] {
        let claims = checked(&pair.sign(&pair.header(), &good())).unwrap();
        assert_eq!(claims["sub"], "ann");
    }
}

#[test]
fn what_says_of_itself_that_it_is_not_signed_is_not_believed() {
    for alg in ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RSA", "ES512", "rs256"] {
        let token = unsigned(&json!({ "alg": alg, "kid": RSA.id }), &good(), "c2lnbmF0dXJl");
        assert_eq!(checked(&token), Err(Invalid::Algorithm), "{alg}");
    }
    assert_eq!(checked(&unsigned(&json!({ "kid": RSA.id }), &good(), "x")), Err(Invalid::Malformed));
    assert_eq!(checked(&unsigned(&json!({ "alg": ["RS256"] }), &good(), "x")), Err(Invalid::Malformed));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let secret = EncodingKey::from_secret(RSA.jwk()["n"].as_str().unwrap().as_bytes());
    let header = Header { kid: Some(RSA.id.clone()), ..Header::new(jsonwebtoken::Algorithm::HS256) };
    let token = jsonwebtoken::encode(&header, &good(), &secret).unwrap();
    assert_eq!(checked(&token), Err(Invalid::Algorithm));
    // A shared secret that somebody published is passed over, and so is nobody's signature checked with it.
    let shared = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "shared" });
    assert_eq!(checked_with(&token, &[shared], &jwt()), Err(Invalid::Algorithm));
}

#[test]
fn a_key_is_used_for_what_it_is_for() {
    // One kind of key does not check another kind of signature, whatever the token says.
    let confused = Header { kid: Some(RSA.id.clone()), ..Header::new(EC.algorithm) };
    assert_eq!(checked(&EC.sign(&confused, &good())), Err(Invalid::Signature));
    let token = RSA.sign(&RSA.header(), &good());
    let but = |name: &str, value: Value| {
        let mut key = RSA.jwk();
        key[name] = value;
        key
    };
    for (key, expected) in [
        (but("alg", json!("RS512")), Invalid::Signature),
        (but("alg", json!("RSA-OAEP")), Invalid::Signature),
        (but("use", json!("enc")), Invalid::UnknownKey),
        (but("key_ops", json!(["sign"])), Invalid::UnknownKey),
        (but("kid", json!("another")), Invalid::UnknownKey),
    ] {
        assert_eq!(checked_with(&token, std::slice::from_ref(&key), &jwt()), Err(expected), "{key}");
    }
    assert!(checked_with(&token, &[but("key_ops", json!(["verify"]))], &jwt()).is_ok());
    let only_es = Jwt { algorithms: vec![Algorithm::Es256], ..jwt() };
    assert_eq!(checked_with(&token, &[RSA.jwk()], &only_es), Err(Invalid::Algorithm));
}

#[test]
fn keys_come_from_the_configuration_alone() {
    let other = pair(KeyKind::Es256);
    let mut header = other.header();
    header.jwk = Some(serde_json::from_value(other.jwk()).unwrap());
    header.jku = Some("https://evil.example/jwks.json".to_owned());
    header.x5u = Some("https://evil.example/cert.pem".to_owned());
    assert_eq!(checked(&other.sign(&header, &good())), Err(Invalid::UnknownKey));
    header.kid = Some(EC.id.clone());
    assert_eq!(checked(&other.sign(&header, &good())), Err(Invalid::Signature));
    header.kid = None;
    assert_eq!(checked(&other.sign(&header, &good())), Err(Invalid::Signature));
}

#[test]
fn a_token_that_names_no_key_is_tried_with_those_that_fit() {
    assert!(checked(&EC.sign(&Header::new(EC.algorithm), &good())).is_ok());
    let mut crowd = (0..MAX_TRIED).map(|_| pair(KeyKind::Es256).jwk()).collect::<Vec<_>>();
    crowd.push(EC.jwk());
    let token = EC.sign(&Header::new(EC.algorithm), &good());
    assert_eq!(checked_with(&token, &crowd, &jwt()), Err(Invalid::Signature), "not with any number of them");
}

#[test]
fn what_must_be_understood_and_is_not_is_refused() {
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..EC.header() };
    assert_eq!(checked(&EC.sign(&header, &good())), Err(Invalid::Critical));
}

#[test]
fn claims_are_held_to_their_time_their_issuer_and_their_audience() {
    let mut endless = good();
    endless.as_object_mut().unwrap().remove("exp");
    for (claims, expected) in [
        (good(), None),
        (with("exp", json!(NOW - 9)), None),
        (with("exp", json!(NOW - 10)), Some(Unfit::Ended)),
        (with("exp", json!(NOW as f64 + 0.5)), None),
        (with("exp", json!(0)), Some(Unfit::Ended)),
        (with("exp", json!(-1)), Some(Unfit::Ended)),
        (endless, Some(Unfit::Endless)),
        (with("exp", json!("never")), Some(Unfit::Time)),
        (with("exp", json!(null)), Some(Unfit::Time)),
        (with("nbf", json!(NOW + 10)), None),
        (with("nbf", json!(NOW + 11)), Some(Unfit::Early)),
        (with("iat", json!(NOW + 3600)), Some(Unfit::Early)),
        (with("nbf", json!([])), Some(Unfit::Time)),
        (with("iss", json!("https://issuer/")), Some(Unfit::Issuer)),
        (with("iss", json!(["https://issuer"])), Some(Unfit::Issuer)),
        (with("iss", json!(null)), Some(Unfit::Issuer)),
        (with("aud", json!("orders")), None),
        (with("aud", json!("others")), Some(Unfit::Audience)),
        (with("aud", json!([["orders"]])), Some(Unfit::Audience)),
        (with("aud", json!(null)), Some(Unfit::Audience)),
    ] {
        let result = checked(&EC.sign(&EC.header(), &claims));
        assert_eq!(result.err(), expected.map(Invalid::Unfit), "{claims}");
    }
    let both = Jwt { audience: vec!["orders".into(), "others".into()], ..jwt() };
    let token = EC.sign(&EC.header(), &with("aud", json!("orders")));
    assert_eq!(checked_with(&token, &[EC.jwk()], &both), Err(Invalid::Unfit(Unfit::Audience)), "it takes all of them");
}

#[test]
fn huge_nested_and_broken_tokens_are_refused() {
    let token = EC.sign(&EC.header(), &good());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let nested = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    let nested = format!("{{\"exp\":{},\"x\":{nested}}}", NOW + 60);
    let (head, _) = signed.split_once('.').unwrap();
    let body = format!("{head}.{}", URL_SAFE_NO_PAD.encode(nested));
    let signature_of = jsonwebtoken::crypto::sign(body.as_bytes(), &EC.private(), EC.algorithm).unwrap();
    assert_eq!(checked(&format!("{body}.{signature_of}")), Err(Invalid::Malformed), "too deep, though well signed");
    assert_eq!(checked(&EC.sign(&EC.header(), &with("x", json!("x".repeat(LONGEST))))), Err(Invalid::Malformed));
    let flipped = format!("{signed}.{}A", &signature[..signature.len() - 1]);
    for broken in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        signed.to_owned(),
        format!("{signed}."),
        format!("{token}.x"),
        format!("{signed}.{}", &signature[2..]),
        format!("{signed}.{signature}{signature}"),
        token.replace('.', ".."),
        format!("a{token}"),
        flipped,
    ] {
        assert!(broken == token || checked(&broken).is_err(), "{broken}");
    }
}

#[test]
fn claims_become_a_caller() {
    let token = |claims: Value, subject: &str, is_identity| {
        let Value::Object(claims) = claims else { unreachable!() };
        crate::tokens::claims::token(claims, subject, is_identity)
    };
    let ann = "5BA5FF9E-0b5a-4b4c-8e0f-9e7f6c1a1d11";
    let known = token(json!({ "sub": ann, "scope": "a b", "scp": ["c d", 7] }), "sub", true).unwrap();
    assert_eq!(known.stamp.unwrap(), ann.to_ascii_lowercase());
    assert_eq!(known.scopes, ["a", "b", "c", "d"].map(Into::into));
    let service = token(json!({ "client_id": "robot" }), "client_id", false).unwrap();
    assert_eq!((service.subject.as_deref(), service.stamp), (Some("robot"), None));
    assert_eq!(token(json!({}), "sub", false).unwrap().subject, None);
    for odd in [json!(7), json!(["ann"]), json!(""), json!({})] {
        assert_eq!(token(json!({ "sub": odd }), "sub", false).unwrap_err(), Unfit::Subject);
    }
    for nobody in [json!({}), json!({ "sub": "ann" }), json!({ "sub": "ann\r\nx-admin: 1" })] {
        assert_eq!(token(nobody, "sub", true).unwrap_err(), Unfit::Subject);
    }
}

proptest! {
    /// Whatever is made of a good token, nothing but the token itself is believed.
    #[test]
    fn no_other_bytes_are_believed(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
        static TOKEN: LazyLock<String> = LazyLock::new(|| EC.sign(&EC.header(), &good()));
        let mut bytes = TOKEN.as_bytes().to_vec();
        let place = at % bytes.len();
        let is_other = bytes[place] != byte;
        bytes[place] = byte;
        if is_other {
            // The last characters of base64 have bits that mean nothing, which the decoder does not let pass either.
            prop_assert!(checked_bytes(&bytes).is_err(), "{}", String::from_utf8_lossy(&bytes));
        }
        bytes.truncate(cut % bytes.len());
        prop_assert!(checked_bytes(&bytes).is_err());
    }
}

fn checked_bytes(token: &[u8]) -> Result<Map<String, Value>, Invalid> {
    let key = VerifyingKey::new(serde_json::from_value(EC.jwk()).unwrap()).unwrap();
    let (head, algorithm) = head(token, &jwt())?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    verify(token, &head, algorithm, std::iter::once(&key), &jwt(), now)
}
