//! Nodes as HTML: every value escaped, every field with its label, every message beside what it speaks of.

use maud::{Markup, html};

use crate::ui::arrange::{self, BACK, Form, Part, Section};
use crate::ui::flow::{Body, Flow, Input, InputKind, Message, Node, Tone, Trigger};
use crate::ui::links;

/// What the nodes of one page have in common.
pub(super) struct Page<'a> {
    flow: &'a Flow,
    /// Whether each section is a task of its own, as on the settings page.
    tasks: bool,
    /// The field that has the cursor when the page opens.
    focus: Option<usize>,
}

/// How much a button asks for attention.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Primary,
    Secondary,
    Danger,
    Quiet,
}

impl<'a> Page<'a> {
    pub(super) fn new(flow: &'a Flow, sections: &[Section<'_>], tasks: bool) -> Self {
        let parts = sections.iter().flat_map(|section| &section.forms).flat_map(|form| &form.parts);
        let mut fields = parts.flat_map(|part| &part.fields).filter(|node| {
            node.input().is_some_and(|input| !input.disabled && input.kind != InputKind::Checkbox) && !node.is_hidden()
        });
        let focus = if tasks { None } else { fields.next().map(|node| node.index) };
        Self { flow, tasks, focus }
    }

    /// The forms of a section, with a separator between one way and the next.
    pub(super) fn section(&self, section: &Section<'_>) -> Markup {
        let mut before = None;
        html! {
            @for form in &section.forms {
                (self.form(form, &mut before))
            }
        }
    }

    fn form<'p>(&self, form: &'p Form<'p>, before: &mut Option<&'p Part<'p>>) -> Markup {
        let method = if self.flow.by_get { "get" } else { "post" };
        html! {
            form method=(method) action=(self.flow.action) {
                @for node in &form.shared {
                    (self.field(node))
                }
                @for part in &form.parts {
                    (self.part(part, before))
                }
            }
        }
    }

    fn part<'p>(&self, part: &'p Part<'p>, before: &mut Option<&'p Part<'p>>) -> Markup {
        let first = before.is_none();
        let apart = !self.tasks
            && part.is_visible()
            && part.group != BACK
            && before.is_some_and(|before| before.asks() || part.asks());
        if part.is_visible() {
            *before = Some(part);
        }
        let plain = |node: &&&Node| !arrange::removes(node) && part.group != BACK;
        let leads = part.asks() || (first && !self.tasks && !matches!(part.group, "oidc" | "saml"));
        let primary = part.buttons.iter().find(plain).filter(|_| leads).map(|node| node.index);
        let scripted = part.buttons.iter().any(|node| node.input().is_some_and(|input| input.on_click.is_some()));
        html! {
            @if apart {
                div.or role="separator" { span { "or" } }
            }
            @for node in &part.fields {
                (self.field(node))
            }
            @if !part.buttons.is_empty() {
                div.buttons {
                    @for node in &part.buttons {
                        (self.button(node, weight(node, part, primary)))
                    }
                }
            }
            @if scripted {
                noscript { p.hint { "Passkeys and security keys need JavaScript." } }
            }
        }
    }

    fn field(&self, node: &Node) -> Markup {
        match &node.body {
            Body::Input(input) => match input.kind {
                InputKind::Hidden => hidden(node, input),
                InputKind::Submit | InputKind::Button => self.button(node, Weight::Secondary),
                InputKind::Checkbox => self.checkbox(node, input),
                InputKind::Text
                | InputKind::Password
                | InputKind::Number
                | InputKind::Email
                | InputKind::Tel
                | InputKind::DateTime
                | InputKind::Date
                | InputKind::Url => self.entry(node, input),
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
            Body::Division { id, class, data } => division(id, class, data),
            Body::Script(_) | Body::Unknown => messages(node),
        }
    }

    fn entry(&self, node: &Node, input: &Input) -> Markup {
        let id = element(node);
        let described = (!node.messages.is_empty()).then(|| format!("{id}-messages"));
        let wrong = node.messages.iter().any(|message| message.tone == Tone::Error).then_some("true");
        let focus = self.focus == Some(node.index);
        let known = known(input);
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
                        aria-invalid=[wrong] aria-describedby=[described];
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

    fn checkbox(&self, node: &Node, input: &Input) -> Markup {
        let id = element(node);
        let described = (!node.messages.is_empty()).then(|| format!("{id}-messages"));
        let wrong = node.messages.iter().any(|message| message.tone == Tone::Error).then_some("true");
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

    fn button(&self, node: &Node, weight: Weight) -> Markup {
        let Some(input) = node.input() else { return html! {} };
        let kind = if input.kind == InputKind::Submit { "submit" } else { "button" };
        let class = match weight {
            Weight::Primary => "primary",
            Weight::Secondary => "secondary",
            Weight::Danger => "danger",
            Weight::Quiet => "quiet",
        };
        // Only the button that sends the fields waits for them; "resend" or "another way" must work without.
        let unchecked = input.kind == InputKind::Submit && weight != Weight::Primary;
        let (click, options) = trigger(input.on_click.as_ref());
        let (load, load_options) = trigger(input.on_load.as_ref());
        html! {
            button.button.(class) type=(kind) name=(input.name) value=[input.value.as_deref()] disabled[input.disabled]
                formnovalidate[unchecked] data-click=[click] data-click-options=[options]
                data-load=[load] data-load-options=[load_options] {
                @if matches!(node.group.as_str(), "oidc" | "saml") && weight != Weight::Danger {
                    span.mark aria-hidden="true" { (initial(input.value.as_deref().unwrap_or_default())) }
                }
                span { (label(node, input)) }
            }
            (messages(node))
        }
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
        @for message in &node.messages {
            p.note.(tone(message.tone)) role=(if message.tone == Tone::Error { "alert" } else { "status" }) { (message.text) }
        }
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
    let mut attributes = String::new();
    for (name, value) in data.iter().filter(|(name, _)| plain(name)) {
        let value = html! { (value) }.into_string().replace('"', "&quot;");
        attributes.push_str(&format!(" data-{}=\"{value}\"", name.to_ascii_lowercase()));
    }
    let id = html! { (id) }.into_string();
    let class = html! { (class) }.into_string();
    maud::PreEscaped(format!("<div id=\"{id}\" class=\"{class}\"{attributes}></div>"))
}

fn weight(node: &Node, part: &Part<'_>, primary: Option<usize>) -> Weight {
    match () {
        () if arrange::removes(node) => Weight::Danger,
        () if part.group == BACK => Weight::Quiet,
        () if primary == Some(node.index) => Weight::Primary,
        () if part.asks() => Weight::Quiet,
        () => Weight::Secondary,
    }
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

fn initial(name: &str) -> String {
    name.chars()
        .find(|letter| letter.is_alphanumeric())
        .map(|letter| letter.to_uppercase().to_string())
        .unwrap_or_default()
}
