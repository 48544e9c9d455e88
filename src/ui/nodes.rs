//! Nodes as HTML: every value escaped, every field with its label, every message beside what it speaks of.

use maud::{Markup, PreEscaped, html};

use crate::ui::flow::{Body, Input, InputKind, Message, Node, Tone, Trigger};
use crate::ui::links;

/// How much a button asks for attention.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Primary,
    Secondary,
    Danger,
    Quiet,
}

/// A node; `focus` gives it the cursor when the page opens.
pub(super) fn node(node: &Node, focus: bool) -> Markup {
    match &node.body {
        Body::Input(input) => match input.kind {
            InputKind::Hidden => hidden(node, input),
            InputKind::Submit | InputKind::Button => button(node, Weight::Secondary, false),
            InputKind::Checkbox => checkbox(node, input),
            InputKind::Text
            | InputKind::Password
            | InputKind::Number
            | InputKind::Email
            | InputKind::Tel
            | InputKind::DateTime
            | InputKind::Date
            | InputKind::Url => entry(node, input, focus),
        },
        Body::Text(said) => text(node, said),
        Body::Image { src, width, height } => html! {
            @if let Some(src) = links::safe_image(src) {
                figure {
                    img src=(src) width=[*width] height=[*height] alt=(node.label.as_ref().map_or("", |label| &label.text));
                }
            }
            (messages(node))
        },
        Body::Anchor { href, title } => html! {
            @if let Some(href) = links::safe(href) {
                @let label = title.as_ref().or(node.label.as_ref()).map_or("Continue", |label| &label.text);
                a.button.secondary href=(href) { (label) }
            }
            (messages(node))
        },
        Body::Division { id, class, data } => html! {
            (division(id, class, data))
            (messages(node))
        },
        Body::Script(_) | Body::Unknown => messages(node),
    }
}

fn entry(node: &Node, input: &Input, focus: bool) -> Markup {
    let id = element(node);
    let described = (!node.messages.is_empty()).then(|| format!("{id}-messages"));
    let wrong = node.is_wrong().then_some("true");
    let known = known(input);
    let (load, options) = trigger(input.on_load.as_ref());
    html! {
        div.field {
            label for=(id) { (label(node, input)) }
            @if input.options.is_empty() {
                input id=(id) name=(input.name) type=(input.kind.as_str()) value=[shown(input)]
                    autocomplete=[input.autocomplete.as_deref().or(known.autocomplete)] inputmode=[known.inputmode]
                    autocapitalize=[known.autocapitalize] spellcheck=[known.autocapitalize.map(|_| "false")]
                    pattern=[input.pattern.as_deref()] maxlength=[input.maxlength]
                    step=[(input.kind == InputKind::Number).then_some("any")]
                    required[input.required] disabled[input.disabled] autofocus[focus]
                    aria-invalid=[wrong] aria-describedby=[described] data-load=[load] data-load-options=[options];
            } @else {
                select id=(id) name=(input.name) required[input.required] disabled[input.disabled]
                    autofocus[focus] aria-invalid=[wrong] aria-describedby=[described] {
                    @if !input.options.iter().any(|option| Some(option) == input.value.as_ref()) || !input.required {
                        option value="" { "" }
                    }
                    @for option in &input.options {
                        option value=(option) selected[Some(option) == input.value.as_ref()] { (option) }
                    }
                }
            }
            (messages(node))
        }
    }
}

fn checkbox(node: &Node, input: &Input) -> Markup {
    let id = element(node);
    let described = (!node.messages.is_empty()).then(|| format!("{id}-messages"));
    let wrong = node.is_wrong().then_some("true");
    html! {
        div.field {
            // A box left empty sends nothing, which would keep the old value; the last value of a name counts.
            @if !input.disabled {
                input type="hidden" name=(input.name) value="false";
            }
            div.check {
                input id=(id) type="checkbox" name=(input.name) value="true" checked[input.checked]
                    required[input.required] disabled[input.disabled] aria-invalid=[wrong] aria-describedby=[described];
                label for=(id) { (label(node, input)) }
            }
            (messages(node))
        }
    }
}

/// A button; the `leading` one sends what its part asks for.
pub(super) fn button(node: &Node, weight: Weight, leading: bool) -> Markup {
    let Some(input) = node.input() else { return html! {} };
    let kind = if input.kind == InputKind::Submit { "submit" } else { "button" };
    let class = match weight {
        Weight::Primary => "primary",
        Weight::Secondary => "secondary",
        Weight::Danger => "danger",
        Weight::Quiet => "quiet",
    };
    // Only the button that sends the fields waits for them; "resend" or "another way" must work without.
    let unchecked = input.kind == InputKind::Submit && !leading;
    let (click, options) = trigger(input.on_click.as_ref());
    let (load, load_options) = trigger(input.on_load.as_ref());
    html! {
        button.button.(class) type=(kind) name=(input.name) value=[input.value.as_deref()] disabled[input.disabled]
            formnovalidate[unchecked] data-click=[click] data-click-options=[options]
            data-load=[load] data-load-options=[load_options] {
            (label(node, input))
        }
        (messages(node))
    }
}

/// Messages that speak of the whole flow. Errors interrupt a screen reader, the rest waits for its turn.
pub(super) fn notes(messages: &[Message]) -> Markup {
    html! {
        @for message in messages {
            p.note.(tone(message.tone)) role=(if message.tone == Tone::Error { "alert" } else { "status" }) { (message.text) }
        }
    }
}

fn messages(node: &Node) -> Markup {
    html! {
        @if !node.messages.is_empty() {
            div.messages id={ (element(node)) "-messages" } {
                @for message in &node.messages {
                    p.(tone(message.tone)) role=(if message.tone == Tone::Error { "alert" } else { "status" }) { (message.text) }
                }
            }
        }
    }
}

fn hidden(node: &Node, input: &Input) -> Markup {
    let (load, options) = trigger(input.on_load.as_ref());
    html! {
        input type="hidden" name=(input.name) value=(input.value.as_deref().unwrap_or_default()) disabled[input.disabled]
            data-load=[load] data-load-options=[options];
        (notes(&node.messages))
    }
}

fn text(node: &Node, said: &Message) -> Markup {
    /// A secret to be copied, and lists of them.
    const SECRETS: [i64; 3] = [1_050_006, 1_050_009, 1_050_015];
    /// A recovery code that was spent.
    const USED: i64 = 1_050_014;
    html! {
        div.said {
            @if let Some(label) = &node.label {
                p.hint { (label.text) }
            }
            @if !said.secrets.is_empty() {
                ul.codes {
                    @for secret in &said.secrets {
                        @if secret.id == USED {
                            li.used { "used" }
                        } @else {
                            li { code { (secret.text) } }
                        }
                    }
                }
            } @else if SECRETS.contains(&said.id) {
                @if !said.text.is_empty() {
                    code.secret { (said.text) }
                }
            } @else if !said.text.is_empty() {
                p { (said.text) }
            }
            (messages(node))
        }
    }
}

/// A place for a widget. Attribute names come from the flow here, so they are spelled from a small alphabet.
fn division(id: &str, class: &str, data: &[(String, String)]) -> Markup {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let named = [("id", id), ("class", class)].map(|(name, value)| (name.to_owned(), value));
    let data =
        data.iter().filter(|(name, _)| plain(name)).map(|(name, value)| (format!("data-{name}"), value.as_str()));
    let mut tag = "<div".to_owned();
    for (name, value) in named.into_iter().chain(data).filter(|(_, value)| !value.is_empty()) {
        tag.push_str(&format!(" {name}=\"{}\"", html! { (value) }.into_string()));
    }
    PreEscaped(tag + "></div>")
}

fn trigger(trigger: Option<&Trigger>) -> (Option<&'static str>, Option<&str>) {
    (trigger.map(|trigger| trigger.function), trigger.and_then(|trigger| trigger.options.as_deref()))
}

fn element(node: &Node) -> String {
    format!("node-{}", node.index)
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Info => "info",
        Tone::Success => "good",
        Tone::Error => "bad",
    }
}

/// What browsers and password managers may know of the fields that Kratos leaves bare.
#[derive(Default)]
struct Known {
    autocomplete: Option<&'static str>,
    inputmode: Option<&'static str>,
    autocapitalize: Option<&'static str>,
}

fn known(input: &Input) -> Known {
    let one_time = input.autocomplete.as_deref() == Some("one-time-code") || input.name == "totp_code";
    let digits = one_time && input.pattern.as_deref().is_none_or(|pattern| pattern.contains("0-9"));
    Known {
        autocomplete: match input.name.as_str() {
            "totp_code" => Some("one-time-code"),
            "lookup_secret" => Some("off"),
            "identifier" => Some("username"),
            _ if input.kind == InputKind::Email => Some("email"),
            _ if input.kind == InputKind::Tel => Some("tel"),
            _ => None,
        },
        inputmode: digits.then_some("numeric"),
        autocapitalize: (one_time || matches!(input.name.as_str(), "identifier" | "lookup_secret")).then_some("none"),
    }
}

/// The value a field opens with; a password is typed anew each time.
fn shown(input: &Input) -> Option<&str> {
    if input.kind == InputKind::Password { None } else { input.value.as_deref() }
}

fn label(node: &Node, input: &Input) -> String {
    match &node.label {
        Some(label) => label.text.clone(),
        None => words(input.name.rsplit('.').next().unwrap_or_default()),
    }
}

/// `should_big_number` as a person would write it.
pub(super) fn words(name: &str) -> String {
    let mut words = name.replace(['_', '-'], " ");
    if let Some(first) = words.chars().next() {
        words.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    if words.is_empty() { "Continue".to_owned() } else { words }
}
