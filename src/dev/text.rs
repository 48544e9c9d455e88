//! Kratos' messages and labels. The ids are a contract, the texts are asserted against its message table.

use chrono::DateTime;
use chrono::Utc;
use serde_json::Value;
use serde_json::json;

use super::flow::Kind;
use super::identity::stamp;

pub(super) fn info(id: u32, text: &str) -> Value {
    json!({ "id": id, "text": text, "type": "info" })
}

pub(super) fn success(id: u32, text: &str) -> Value {
    json!({ "id": id, "text": text, "type": "success" })
}

pub(super) fn error(id: u32, text: &str) -> Value {
    json!({ "id": id, "text": text, "type": "error" })
}

fn with_context(mut message: Value, context: Value) -> Value {
    message["context"] = context;
    message
}

pub(super) fn generic(reason: &str) -> Value {
    with_context(error(4_000_001, reason), json!({ "reason": reason }))
}

pub(super) fn missing(property: &str) -> Value {
    with_context(error(4_000_002, &format!("Property {property} is missing.")), json!({ "property": property }))
}

pub(super) fn wrong_type(expected: &str, actual: &str) -> Value {
    let context = json!({ "allowed_types": [expected], "actual_type": actual });
    with_context(error(4_000_026, &format!("expected {expected}, but got {actual}")), context)
}

pub(super) fn wrong_credentials() -> Value {
    let text = "The provided credentials are invalid, check for spelling mistakes in your password or username, \
                email address, or phone number.";
    error(4_000_006, text)
}

pub(super) fn account_exists() -> Value {
    error(4_000_007, "An account with the same identifier (email, phone, username, ...) exists already.")
}

pub(super) fn wrong_totp_code() -> Value {
    error(4_000_008, "The provided authentication code is invalid, please try again.")
}

pub(super) fn no_totp() -> Value {
    error(4_000_011, "You have no TOTP device set up.")
}

pub(super) fn backup_code_used() -> Value {
    error(4_000_012, "This backup recovery code has already been used.")
}

pub(super) fn no_backup_codes() -> Value {
    error(4_000_014, "You have no backup recovery codes set up.")
}

pub(super) fn wrong_backup_code() -> Value {
    error(4_000_016, "The backup recovery code is not valid.")
}

pub(super) fn password_too_similar() -> Value {
    error(4_000_031, "The password can not be used because it is too similar to the identifier.")
}

pub(super) fn password_too_short(min: usize, actual: usize) -> Value {
    let text = format!("The password must be at least {min} characters long, but got {actual}.");
    with_context(error(4_000_032, &text), json!({ "min_length": min, "actual_length": actual }))
}

pub(super) fn no_code_login() -> Value {
    error(4_000_035, "This account does not exist or has not setup sign in with code.")
}

pub(super) fn bad_email(value: &str) -> Value {
    with_context(error(4_000_040, "Enter a valid email address"), json!({ "value": value }))
}

pub(super) fn account_disabled() -> Value {
    error(4_010_011, "This account has been disabled. Please contact support for assistance.")
}

pub(super) fn submitted_too_often() -> Value {
    generic("The request was submitted too often. Please request another code.")
}

pub(super) fn no_strategy(kind: Kind) -> Value {
    let (id, purpose) = match kind {
        Kind::Login => (4_010_002, "log you in with"),
        Kind::Registration => (4_010_003, "sign you up with"),
        Kind::Settings => (4_010_004, "update your settings"),
        Kind::Recovery => (4_010_005, "recover your account with"),
        Kind::Verification => (4_010_006, "verify your account with"),
    };
    error(id, &format!("Could not find a strategy to {purpose}. Did you fill out the form correctly?"))
}

pub(super) fn expired(kind: Kind, expired_at: DateTime<Utc>, now: DateTime<Utc>) -> Value {
    let id = match kind {
        Kind::Login => 4_010_001,
        Kind::Registration => 4_040_001,
        Kind::Settings => 4_050_001,
        Kind::Recovery => 4_060_005,
        Kind::Verification => 4_070_005,
    };
    let text =
        format!("The {} flow expired {:.2} minutes ago, please try again.", kind.name(), minutes(now - expired_at));
    with_context(
        error(id, &text),
        json!({ "expired_at": stamp(expired_at), "expired_at_unix": expired_at.timestamp() }),
    )
}

pub(super) fn minutes(duration: chrono::Duration) -> f64 {
    duration.as_seconds_f64() / 60.0
}

pub(super) fn invalid_code(kind: Kind) -> Value {
    let id = match kind {
        Kind::Login => 4_010_008,
        Kind::Registration => 4_040_003,
        Kind::Recovery => 4_060_006,
        Kind::Verification | Kind::Settings => 4_070_006,
    };
    error(id, &format!("The {} code is invalid or has already been used. Please try again.", kind.name()))
}

pub(super) fn invalid_link(kind: Kind) -> Value {
    let id = if kind == Kind::Recovery { 4_060_004 } else { 4_070_001 };
    error(id, &format!("The {} token is invalid or has already been used. Please retry the flow.", kind.name()))
}

pub(super) fn already_completed(kind: Kind) -> Value {
    let id = match kind {
        Kind::Login | Kind::Settings => 4_010_007,
        Kind::Registration => 4_040_002,
        Kind::Recovery => 4_060_001,
        Kind::Verification => 4_070_002,
    };
    error(id, "The request was already completed successfully and can not be retried.")
}

pub(super) fn mail_sent(kind: Kind, what: &str) -> Value {
    let id = match (kind, what) {
        (Kind::Recovery, "link") => 1_060_002,
        (Kind::Recovery, _) => 1_060_003,
        (_, "link") => 1_080_001,
        _ => 1_080_003,
    };
    let name = kind.name();
    info(
        id,
        &format!(
            "An email containing a {name} {what} has been sent to the email address you provided. If you have not \
             received an email, check the spelling of the address and make sure to use the address you registered with."
        ),
    )
}

pub(super) fn login_code_sent() -> Value {
    let text = "A code was sent to the address you provided. If you didn't receive it, please check the spelling of \
                the address and try again.";
    info(1_010_014, text)
}

pub(super) fn recovered(until: DateTime<Utc>, now: DateTime<Utc>) -> Value {
    let text = format!(
        "You successfully recovered your account. Please change your password or set up an alternative login method \
         (e.g. social sign in) within the next {:.2} minutes.",
        minutes(until - now)
    );
    let context = json!({
        "privilegedSessionExpiresAt": stamp(until),
        "privileged_session_expires_at": stamp(until),
        "privileged_session_expires_at_unix": until.timestamp(),
    });
    with_context(success(1_060_001, &text), context)
}

pub(super) fn titled(name: &str, title: &str) -> Value {
    with_context(info(1_070_002, title), json!({ "name": name, "title": title }))
}

pub(super) fn backup_code(code: &str, used_at: Option<DateTime<Utc>>) -> Value {
    match used_at {
        None => with_context(info(1_050_009, code), json!({ "secret": code })),
        Some(at) => {
            let text = format!("Secret was used at {}", at.format("%Y-%m-%d %H:%M:%S +0000 UTC"));
            with_context(info(1_050_014, &text), json!({ "used_at": stamp(at), "used_at_unix": at.timestamp() }))
        }
    }
}

pub(super) fn backup_codes(codes: &[Value]) -> Value {
    let text: Vec<&str> = codes.iter().filter_map(|code| code["text"].as_str()).collect();
    with_context(info(1_050_015, &text.join(", ")), json!({ "secrets": codes }))
}

pub(super) fn totp_secret(secret: &str) -> Value {
    with_context(info(1_050_006, secret), json!({ "secret": secret }))
}
