//! The page of a flow: its heading, its messages, its forms, and the ways out of it.

use maud::{Markup, html};

use crate::ui::Settings;
use crate::ui::arrange::{self, Form};
use crate::ui::flow::{Flow, Kind, Script, Tone};
use crate::ui::forms::Forms;
use crate::ui::links::{self, Query};
use crate::ui::nodes;
use crate::ui::page::Shell;

/// Where one can go from the page of a flow.
pub(super) struct Around {
    login: String,
    registration: String,
    recovery: String,
    settings: String,
    /// Only where somebody is signed in.
    sign_out: Option<String>,
    account: String,
    home: String,
}

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
            settings: begin(Kind::Settings),
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

/// The page of a flow.
pub(super) fn page(shell: &Shell<'_>, kind: Kind, flow: &Flow, around: &Around, scripts: &[&Script]) -> Markup {
    let sections = arrange::sections(kind, flow);
    let forms = Forms::new(flow, &sections, kind == Kind::Settings);
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
            @for (place, section) in sections.iter().enumerate() {
                section.card aria-labelledby={ "group-" (place) } {
                    h2 id={ "group-" (place) } { (group(section.group)) }
                    (forms.section(section))
                }
            }
            (links_below(kind, flow, around))
        }
    } else {
        html! {
            div.card {
                (top)
                @for section in &sections {
                    (forms.section(section))
                }
                @if flow.state == "passed_challenge" && !flow.leads_on() {
                    a.button.primary href=(around.home) { "Continue" }
                }
                // Kratos asks for a second factor of whoever has none, too: a page with nothing to fill in.
                @if flow.second_factor && !sections.iter().flat_map(|section| &section.forms).any(Form::can_be_sent) {
                    p { "Your account has no second factor yet." }
                    a.button.primary href=(around.settings) { "Set up a second factor" }
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
    // Who is done needs no other way.
    if flow.state == "passed_challenge" && around.sign_out.is_none() {
        return html! {};
    }
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
            } @else {
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
