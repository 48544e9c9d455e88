//! Whole pages: the shell around the forms, and the pages that have none.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::ui::Settings;
use crate::ui::arrange;
use crate::ui::flow::{Flow, Kind, Script, Tone};
use crate::ui::kratos::Told;
use crate::ui::links::{self, Query};
use crate::ui::nodes::{self, Page};

/// What every page has: the name on top, and the two files it loads.
pub(super) struct Shell<'a> {
    pub(super) brand: &'a str,
    pub(super) prefix: &'a str,
    /// Hash of the style sheet.
    pub(super) style: &'a str,
    /// Hash of the script.
    pub(super) script: &'a str,
}

/// Where one can go from the page of a flow.
pub(super) struct Around {
    login: String,
    registration: String,
    recovery: String,
    /// Only where somebody is signed in.
    sign_out: Option<String>,
    account: String,
    home: String,
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
    action: "Continue",
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

impl Around {
    pub(super) fn new(settings: &Settings, kind: Kind, flow: &Flow, query: &Query, sign_out: Option<String>) -> Self {
        let mut kept = Query::default();
        for (name, in_flow) in [("return_to", &flow.return_to), ("login_challenge", &flow.login_challenge)] {
            kept = kept.or(name, in_flow.clone().or_else(|| query.first(name).map(str::to_owned)));
        }
        let begin = |kind| links::new_flow(&settings.public_path, kind, &kept);
        let sign_out = if kind == Kind::Settings { Some(format!("{}/logout", settings.path_prefix)) } else { sign_out };
        Self {
            login: begin(Kind::Login),
            registration: begin(Kind::Registration),
            recovery: begin(Kind::Recovery),
            sign_out,
            account: settings.path_prefix.clone(),
            home: flow
                .return_to
                .clone()
                .filter(|to| links::safe(to).is_some())
                .unwrap_or_else(|| settings.home.clone()),
        }
    }
}

impl Shell<'_> {
    fn page(&self, title: &str, class: &str, scripts: &[&Script], content: &Markup) -> Markup {
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

/// The page of a flow.
pub(super) fn flow(shell: &Shell<'_>, kind: Kind, flow: &Flow, around: &Around, scripts: &[&Script]) -> Markup {
    let sections = arrange::sections(kind, flow);
    let page = Page::new(flow, &sections, kind == Kind::Settings);
    let (title, lead) = heading(kind, flow);
    let wrong = flow.messages.iter().any(|message| message.tone == Tone::Error)
        || flow.nodes.iter().flat_map(|node| &node.messages).any(|message| message.tone == Tone::Error);
    // Read first by a screen reader, so that nobody has to search for what happened.
    let tab = if wrong { format!("Error: {title}") } else { title.to_owned() };
    let top = html! {
        h1 { (title) }
        @if let Some(lead) = lead {
            p.lead { (lead) }
        }
        (nodes::notes(&flow.messages))
    };
    let content = if kind == Kind::Settings {
        html! {
            (top)
            @for section in &sections {
                section.card aria-labelledby={ "group-" (section.group) } {
                    h2 id={ "group-" (section.group) } { (group(section.group)) }
                    (page.section(section))
                }
            }
            (links_below(kind, flow, around))
        }
    } else {
        html! {
            div.card {
                (top)
                @for section in &sections {
                    (page.section(section))
                }
                @if flow.state == "passed_challenge" {
                    a.button.primary href=(around.home) { "Continue" }
                }
            }
            (links_below(kind, flow, around))
        }
    };
    let class = if kind == Kind::Settings { "wide" } else { "narrow" };
    shell.page(&tab, class, scripts, &content)
}

fn heading(kind: Kind, flow: &Flow) -> (&'static str, Option<&'static str>) {
    match (kind, flow.state.as_str()) {
        (Kind::Login, _) if flow.second_factor => ("Two-step verification", None),
        (Kind::Login, _) if flow.refresh => ("Confirm it is you", None),
        (Kind::Login, "sent_email") => ("Enter your code", None),
        (Kind::Login, _) => ("Sign in", None),
        (Kind::Registration, "sent_email") => ("Enter your code", None),
        (Kind::Registration, _) => ("Create your account", None),
        (Kind::Settings, _) => ("Account settings", None),
        (Kind::Recovery, "sent_email") => ("Check your messages", None),
        (Kind::Recovery, _) => ("Recover your account", Some("Tell us your address and we will help you back in.")),
        (Kind::Verification, "sent_email") => ("Check your messages", None),
        (Kind::Verification, "passed_challenge") => ("You are verified", None),
        (Kind::Verification, _) => ("Verify your address", Some("We will send a message to prove that it is yours.")),
    }
}

fn links_below(kind: Kind, flow: &Flow, around: &Around) -> Markup {
    html! {
        nav.below aria-label="Other ways" {
            @if let Some(sign_out) = &around.sign_out {
                @if kind == Kind::Settings {
                    p { a href=(around.account) { "Your account" } }
                    p { a href=(sign_out) { "Sign out" } }
                } @else {
                    p { "Not you, or cannot continue? " a href=(sign_out) { "Sign out" } }
                }
            } @else if kind == Kind::Login {
                p { "New here? " a href=(around.registration) { "Create an account" } }
                p { a href=(around.recovery) { "Forgot your password?" } }
            } @else if kind == Kind::Registration {
                p { "Already have an account? " a href=(around.login) { "Sign in" } }
            } @else if flow.state != "passed_challenge" {
                p { a href=(around.login) { "Back to sign in" } }
            }
        }
    }
}

/// What a group of settings is called.
fn group(name: &str) -> String {
    match name {
        "profile" => "Profile",
        "password" => "Password",
        "oidc" => "Connected accounts",
        "saml" => "Organisation sign-in",
        "totp" => "Authenticator app",
        "lookup_secret" => "Backup recovery codes",
        "webauthn" => "Security keys",
        "passkey" => "Passkeys",
        "deviceauthn" => "Devices",
        "default" => "General",
        other => return nodes::words(other),
    }
    .to_owned()
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
        @if let (Some(_), Some(message)) = (&error.reason, &error.message) {
            p.lead { (message) }
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
    let title = name.as_deref().or(address).or(at("/identity/id")).unwrap_or("Signed in");
    let methods =
        session.get("authentication_methods").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let methods: Vec<String> =
        methods.iter().filter_map(|method| method.get("method")?.as_str()).map(nodes::words).collect();
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
