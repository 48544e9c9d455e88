//! Forms as HTML: which fields and buttons they hold, how one follows another, and which button stands out.

use maud::{Markup, html};

use crate::ui::arrange::{self, BACK, Form, Part, Section};
use crate::ui::flow::{Flow, Input, InputKind, Node};
use crate::ui::nodes::{self, Weight};

/// What the nodes of one page have in common.
pub(super) struct Forms<'a> {
    flow: &'a Flow,
    /// Whether each section is a task of its own, as on the settings page.
    tasks: bool,
    /// The field that has the cursor when the page opens.
    focus: Option<usize>,
}

/// How a part follows the one before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    First,
    /// A task of its own.
    Apart,
    /// Another way to the same end, which says so.
    Or,
    /// One more button of the same kind.
    More,
}

impl<'a> Forms<'a> {
    pub(super) fn new(flow: &'a Flow, sections: &[Section<'_>], tasks: bool) -> Self {
        let parts = sections.iter().flat_map(|section| &section.forms).flat_map(|form| &form.parts);
        let fields = parts.flat_map(|part| &part.fields).copied().filter(|node| {
            node.input().is_some_and(|input| !input.disabled && input.kind != InputKind::Checkbox) && !node.is_hidden()
        });
        // Where a person has to type next: what is wrong, then what is missing. A password is never filled in.
        let is_empty =
            |input: &Input| input.kind == InputKind::Password || input.value.as_deref().is_none_or(str::is_empty);
        let field = fields.min_by_key(|node| match node.input() {
            _ if node.is_wrong() => 0,
            Some(input) if input.required && is_empty(input) => 1,
            _ => 2,
        });
        Self { flow, tasks, focus: field.filter(|_| !tasks).map(|node| node.index) }
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
        let more =
            form.parts.iter().find(|part| part.is_visible()).is_some_and(|part| self.step(part, *before) == Step::More);
        html! {
            form.more[more] method=(method) action=(self.flow.action) hidden[form.is_hidden()] {
                @for node in &form.shared {
                    (nodes::node(node, self.focus == Some(node.index)))
                }
                @for part in &form.parts {
                    (self.part(part, before))
                }
            }
        }
    }

    fn part<'p>(&self, part: &'p Part<'p>, before: &mut Option<&'p Part<'p>>) -> Markup {
        let step = self.step(part, *before);
        if part.is_visible() {
            *before = Some(part);
        }
        let plain = |node: &&&Node| !arrange::removes(node) && part.group != BACK;
        let leads = part.asks() || (step == Step::First && !self.tasks && !matches!(part.group, "oidc" | "saml"));
        let leading = part.buttons.iter().find(plain).filter(|_| leads).map(|node| node.index);
        // One button of a page stands out, unless the page is a list of tasks.
        let loud = self.tasks || step == Step::First;
        let scripted = part.buttons.iter().any(|node| node.input().is_some_and(|input| input.on_click.is_some()));
        html! {
            @if step == Step::Or {
                div.or role="separator" { span { "or" } }
            }
            @for node in &part.fields {
                (nodes::node(node, self.focus == Some(node.index)))
            }
            @if !part.buttons.is_empty() {
                div.buttons.more[step == Step::More] {
                    @for node in &part.buttons {
                        (nodes::button(node, weight(node, part, leading == Some(node.index), loud), leading == Some(node.index)))
                    }
                }
            }
            @if scripted {
                noscript { p.hint { "Passkeys and security keys need JavaScript." } }
            }
        }
    }

    fn step(&self, part: &Part<'_>, before: Option<&Part<'_>>) -> Step {
        match before {
            None => Step::First,
            Some(_) if self.tasks => Step::Apart,
            Some(before) if part.is_visible() && part.group != BACK && (before.asks() || part.asks()) => Step::Or,
            Some(_) => Step::More,
        }
    }
}

fn weight(node: &Node, part: &Part<'_>, leading: bool, loud: bool) -> Weight {
    match () {
        () if arrange::removes(node) => Weight::Danger,
        () if part.group == BACK => Weight::Quiet,
        () if leading && loud => Weight::Primary,
        () if part.asks() && !leading => Weight::Quiet,
        () => Weight::Secondary,
    }
}
