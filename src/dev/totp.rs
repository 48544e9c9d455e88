//! Authenticator apps: secrets, their QR codes, and whether a code is right.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qrcode::QrCode;
use qrcode::render::svg;
use totp_rs::Builder;
use totp_rs::Secret;
use url::form_urlencoded;

const ISSUER: &str = "Portcullis";
/// Pixels per side.
pub(super) const QR_SIDE: u32 = 256;

/// A new secret, in base32.
pub(super) fn new_secret() -> String {
    Secret::new_stack(rand::random()).to_base32()
}

/// Whether `code` is what an app with `secret` shows now, or did or will half a minute from now.
pub(super) fn accepts(secret: &str, code: &str) -> bool {
    match Secret::try_from_base32(secret) {
        Ok(secret) => Builder::new().with_secret(secret).build_noncompliant().check_current(code.trim()).is_some(),
        Err(_) => false,
    }
}

/// A QR code that apps read, as a `data:` URL.
pub(super) fn qr_code(secret: &str, account: &str) -> String {
    let account: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
    let url =
        format!("otpauth://totp/{ISSUER}:{account}?secret={secret}&issuer={ISSUER}&algorithm=SHA1&digits=6&period=30");
    let image = QrCode::new(url.as_bytes())
        .map(|code| code.render::<svg::Color<'_>>().min_dimensions(QR_SIDE, QR_SIDE).build())
        .unwrap_or_default();
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(image))
}

/// The code of this half minute, for tests.
#[cfg(test)]
pub(super) fn current_code(secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret).build_noncompliant().generate_current().to_string()
}
