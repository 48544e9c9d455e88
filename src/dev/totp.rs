//! Authenticator apps: secrets, their QR codes, and whether a code is right.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qrcode::Color;
use qrcode::QrCode;
use totp_rs::Builder;
use totp_rs::Secret;
use url::form_urlencoded;

const ISSUER: &str = "Portcullis";
/// Pixels per side.
pub(super) const QR_SIDE: u32 = 256;
/// Modules of white around the code, as the standard demands.
const QUIET: usize = 4;

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
    let image = QrCode::new(url.as_bytes()).map(|code| svg(&code)).unwrap_or_default();
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(image))
}

/// One bar per run of dark modules: a tenth of the size of one square per module.
fn svg(code: &QrCode) -> String {
    let width = code.width();
    let mut bars = String::new();
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|left, right| left == right) {
            if run.first() == Some(&Color::Dark) {
                let _ = write!(bars, "M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len());
            }
            x += run.len();
        }
    }
    let side = width + 2 * QUIET;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{bars}\"/></svg>"
    )
}

/// The code of this half minute, for tests.
#[cfg(test)]
pub(super) fn current_code(secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret).build_noncompliant().generate_current().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_every_module() {
        let code = QrCode::new("otpauth://totp/x").unwrap();
        let dark = code.to_colors().iter().filter(|color| **color == Color::Dark).count();
        let drawn = svg(&code);
        let bars = regex::Regex::new(r"h(\d+)v1").unwrap();
        let covered: usize = bars.captures_iter(&drawn).map(|bar| bar[1].parse::<usize>().unwrap()).sum();
        assert_eq!(covered, dark);
    }

    #[test]
    fn a_code_is_right_for_its_secret_only() {
        let (ours, theirs) = (new_secret(), new_secret());
        assert!(accepts(&ours, &current_code(&ours)));
        assert!(!accepts(&ours, "000"));
        assert!(!accepts("not base32!", "000000"));
        assert_ne!(ours, theirs);
    }
}
