//! The shell of every page, and the pages that show no flow.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::ui::Settings;
use crate::ui::flow::{Kind, Script};
use crate::ui::kratos::Told;
use crate::ui::links::{self, Query};
use crate::ui::nodes;

/// What every page has: the name on top, and the two files it loads.
pub(super) struct Shell<'a> {
    pub(super) brand: &'a str,
    pub(super) prefix: &'a str,
    /// Hash of the style sheet.
    pub(super) style: &'a str,
    /// Hash of the script.
    pub(super) script: &'a str,
}

/// A page that says one thing.
pub(super) struct Notice {
    title: &'static str,
    text: &'static str,
    action: &'static str,
}

pub(super) const AWAY: Notice = Notice {
    title: "We will be right back",
    text: "Signing in is not possible at the moment. Please try again in a few seconds.",
    action: "Try again",
};
pub(super) const TOO_MANY: Notice = Notice {
    title: "Too many attempts",
    text: "There were too many requests in a short time. Please wait a little and try again.",
    action: "Continue",
};
pub(super) const GARBAGE: Notice = Notice {
    title: "Something went wrong",
    text: "The identity server gave an answer that makes no sense here. Please try again.",
    action: "Start again",
};
pub(super) const NO_PAGE: Notice =
    Notice { title: "Page not found", text: "There is nothing at this address.", action: "Continue" };
pub(super) const NO_ERROR: Notice = Notice {
    title: "Nothing to show",
    text: "There is no such error, or it is no longer kept. You can carry on.",
    action: "Continue",
};
pub(super) const WRONG_METHOD: Notice =
    Notice { title: "Not possible here", text: "This address only shows a page.", action: "Continue" };
pub(super) const NOT_YOURS: Notice = Notice {
    title: "Let us start over",
    text: "This page belongs to another browser, or your browser does not accept our cookies. \
           Allow cookies for this site, then start again.",
    action: "Start again",
};

impl Shell<'_> {
    pub(super) fn page(&self, title: &str, class: &str, scripts: &[&Script], content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title { (title) " · " (self.brand) }
                    link rel="icon" href="data:,";
                    link rel="stylesheet" href={ (self.prefix) "/assets/style.css?v=" (self.style) };
                    script defer src={ (self.prefix) "/assets/pages.js?v=" (self.script) } {}
                    @for script in scripts {
                        script async src=(script.src) integrity=[some(&script.integrity)]
                            crossorigin=[some(&script.crossorigin)] referrerpolicy=[some(&script.referrerpolicy)] {}
                    }
                }
                body class=(class) {
                    header.brand {
                        span.mark aria-hidden="true" { (self.brand.chars().next().unwrap_or('·')) }
                        span { (self.brand) }
                    }
                    main { (content) }
                }
            }
        }
    }

    fn card(&self, title: &str, content: &Markup) -> Markup {
        let card = html! {
            div.card {
                h1 { (title) }
                (content)
            }
        };
        self.page(title, "narrow", &[], &card)
    }
}

pub(super) fn notice(shell: &Shell<'_>, notice: &Notice, onward: &str) -> Markup {
    let content = html! {
        p.lead { (notice.text) }
        a.button.secondary href=(onward) { (notice.action) }
    };
    shell.card(notice.title, &content)
}

/// What Kratos says went wrong, in its words.
pub(super) fn error(shell: &Shell<'_>, error: &Told, onward: &str) -> Markup {
    let content = html! {
        p.note.bad role="alert" {
            (error.reason.as_deref().or(error.message.as_deref()).unwrap_or("No more is known."))
        }
        @if error.code.is_some() || error.id.is_some() {
            p.hint {
                @if let Some(code) = error.code { "Error " (code) }
                @if let Some(id) = &error.id { " " code { (id) } }
            }
        }
        a.button.secondary href=(onward) { "Continue" }
    };
    shell.card("Something went wrong", &content)
}

pub(super) fn logout(shell: &Shell<'_>, url: &str, home: &str) -> Markup {
    let content = html! {
        p.lead { "You will have to sign in again to come back." }
        div.buttons {
            a.button.primary href=(url) { "Sign out" }
            a.button.quiet href=(home) { "Stay signed in" }
        }
    };
    shell.card("Sign out?", &content)
}

pub(super) fn signed_out(shell: &Shell<'_>, login: &str) -> Markup {
    let content = html! {
        p.lead { "Nobody is signed in with this browser." }
        a.button.primary href=(login) { "Sign in" }
    };
    shell.card("You are signed out", &content)
}

pub(super) fn welcome(shell: &Shell<'_>, settings: &Settings) -> Markup {
    let begin = |kind| links::new_flow(&settings.public_path, kind, &Query::default());
    let content = html! {
        p.lead { "Sign in, or create an account if you are new here." }
        div.buttons {
            a.button.primary href=(begin(Kind::Login)) { "Sign in" }
            a.button.secondary href=(begin(Kind::Registration)) { "Create an account" }
        }
    };
    shell.card("Welcome", &content)
}

/// Signed in with one factor where two are asked for.
pub(super) fn half_signed_in(shell: &Shell<'_>, step_up: &str, settings: &Settings) -> Markup {
    let content = html! {
        p.lead { "Your account is protected by a second factor." }
        div.buttons {
            a.button.primary href=(step_up) { "Continue with the second factor" }
            a.button.quiet href={ (settings.path_prefix) "/logout" } { "Sign out" }
        }
    };
    shell.card("One more step", &content)
}

/// Who Kratos says is signed in.
pub(super) fn signed_in(shell: &Shell<'_>, session: &Value, settings: &Settings) -> Markup {
    let at = |pointer: &str| session.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = match (at("/identity/traits/name/first"), at("/identity/traits/name/last")) {
        (None, None) => at("/identity/traits/name").map(str::to_owned),
        (first, last) => Some([first, last].into_iter().flatten().collect::<Vec<_>>().join(" ")),
    };
    let address = ["email", "username", "phone"].iter().find_map(|key| at(&format!("/identity/traits/{key}")));
    let title = name.as_deref().or(address).or_else(|| at("/identity/id")).unwrap_or("Signed in");
    let methods =
        session.get("authentication_methods").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let methods: Vec<String> = methods.iter().filter_map(|method| method.get("method")?.as_str()).map(method).collect();
    let factors = if at("/authenticator_assurance_level") == Some("aal2") { "Two factors" } else { "One factor" };
    let settings_page = links::new_flow(&settings.public_path, Kind::Settings, &Query::default());
    let content = html! {
        p.lead { "You are signed in." }
        dl {
            @if let Some(address) = address { dt { "Account" } dd { (address) } }
            @if !methods.is_empty() { dt { "Signed in with" } dd { (methods.join(", ")) } }
            dt { "Assurance" } dd { (factors) }
            @if let Some(until) = at("/expires_at") { dt { "Until" } dd { time datetime=(until) { (minute(until)) } } }
        }
        div.buttons {
            a.button.primary href=(settings.home) { "Continue" }
            a.button.secondary href=(settings_page) { "Account settings" }
            a.button.quiet href={ (settings.path_prefix) "/logout" } { "Sign out" }
        }
    };
    shell.card(title, &content)
}

/// What people call a way to sign in.
fn method(name: &str) -> String {
    match name {
        "totp" => "authenticator app",
        "lookup_secret" => "backup code",
        "webauthn" => "security key",
        "oidc" | "saml" => "another service",
        other => return nodes::words(other).to_lowercase(),
    }
    .to_owned()
}

/// `2026-04-28T16:05:13.01Z` without the part nobody reads.
fn minute(instant: &str) -> String {
    match instant.split_once('T') {
        Some((day, time)) if instant.ends_with('Z') => {
            format!("{day}, {} UTC", time.chars().take(5).collect::<String>())
        }
        _ => instant.to_owned(),
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
