//! Which nodes stand together: sections of a page, forms of a section, parts of a form.
//!
//! A person sees one way to sign in at a time. What all ways need (the default group) comes first, then the methods
//! in a fixed order, each with its own button; other people's sign-in services and the way back come last. On the
//! settings page every group is a form of its own, so that saving one thing never sends another.

use crate::ui::flow::{Body, Flow, Kind, Node};

/// A card of the page; `group` is empty where a page is one card.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) group: &'a str,
    pub(super) forms: Vec<Form<'a>>,
}

/// What is sent together. `shared` are the hidden nodes, the CSRF token first among them, that every form needs.
#[derive(Debug, Default)]
pub(super) struct Form<'a> {
    pub(super) shared: Vec<&'a Node>,
    pub(super) parts: Vec<Part<'a>>,
}

/// One method: its fields, then its buttons.
#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) group: &'a str,
    pub(super) fields: Vec<&'a Node>,
    pub(super) buttons: Vec<&'a Node>,
}

const ORDER: [&str; 13] = [
    "profile",
    "identifier_first",
    "password",
    "code",
    "link",
    "totp",
    "lookup_secret",
    "webauthn",
    "passkey",
    "deviceauthn",
    // Unknown groups stand here.
    "oidc",
    "saml",
    BACK,
];
const UNKNOWN: usize = 10;
const SETTINGS_ORDER: [&str; 9] =
    ["profile", "password", "oidc", "saml", "totp", "lookup_secret", "webauthn", "passkey", "deviceauthn"];

/// The group of buttons that lead to the previous screen, whatever group Kratos gives them.
pub(super) const BACK: &str = "back";

impl Form<'_> {
    /// Whether it only carries values for scripts.
    pub(super) fn is_hidden(&self) -> bool {
        let mut nodes = self.shared.iter().chain(self.parts.iter().flat_map(|part| &part.fields));
        !self.parts.iter().any(Part::is_visible) && nodes.all(|node| node.messages.is_empty())
    }

    /// Whether it has a button.
    pub(super) fn can_be_sent(&self) -> bool {
        self.parts.iter().any(|part| !part.buttons.is_empty())
    }
}

impl<'a> Part<'a> {
    fn of(group: &'a str, nodes: &[&'a Node]) -> Self {
        let visible = nodes.iter().copied();
        let (buttons, fields) = visible.partition(|node| node.is_button());
        Self { group, fields, buttons }
    }

    /// Whether anything of it can be seen.
    pub(super) fn is_visible(&self) -> bool {
        !self.buttons.is_empty() || self.fields.iter().any(|node| !node.is_hidden())
    }

    /// Whether it asks for something, rather than only offering a button.
    pub(super) fn asks(&self) -> bool {
        self.fields.iter().any(|node| node.input().is_some() && !node.is_hidden())
    }
}

/// Arranges the nodes of a flow. None is lost but scripts, which belong to the page.
pub(super) fn sections<'a>(kind: Kind, flow: &'a Flow) -> Vec<Section<'a>> {
    let (common, own): (Vec<&Node>, Vec<&Node>) =
        flow.nodes.iter().partition(|node| matches!(node.group.as_str(), "default" | "captcha" | ""));
    let (shared, asked): (Vec<&Node>, Vec<&Node>) = common.into_iter().partition(|node| node.is_hidden());
    let groups = grouped(kind, own.into_iter().filter(|node| !matches!(node.body, Body::Script(_))));
    if kind == Kind::Settings { settings(shared, asked, groups) } else { steps(shared, asked, groups) }
}

/// Nodes by group, groups in order; nodes of one group keep Kratos' order.
fn grouped<'a>(kind: Kind, nodes: impl Iterator<Item = &'a Node>) -> Vec<(&'a str, Vec<&'a Node>)> {
    let mut groups: Vec<(&str, Vec<&Node>)> = Vec::new();
    for node in nodes {
        let group = if leads_back(node) { BACK } else { node.group.as_str() };
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, members)) => members.push(node),
            None => groups.push((group, vec![node])),
        }
    }
    let order: &[&str] = if kind == Kind::Settings { &SETTINGS_ORDER } else { &ORDER };
    groups.sort_by_key(|(name, _)| order.iter().position(|known| known == name).unwrap_or(UNKNOWN));
    groups
}

fn settings<'a>(
    shared: Vec<&'a Node>,
    asked: Vec<&'a Node>,
    groups: Vec<(&'a str, Vec<&'a Node>)>,
) -> Vec<Section<'a>> {
    let mut sections = Vec::new();
    if !asked.is_empty() {
        let form = Form { shared: shared.clone(), parts: vec![Part::of("default", &asked)] };
        sections.push(Section { group: "default", forms: vec![form] });
    }
    for (group, nodes) in groups {
        // What takes something away is a form of its own: Enter in a field must never press "Remove".
        let (removals, rest): (Vec<&Node>, Vec<&Node>) = nodes.into_iter().partition(|node| removes(node));
        let forms = [rest, removals]
            .iter()
            .filter(|nodes| !nodes.is_empty())
            .map(|nodes| Form { shared: shared.clone(), parts: vec![Part::of(group, nodes)] })
            .collect();
        sections.push(Section { group, forms });
    }
    sections
}

fn steps<'a>(shared: Vec<&'a Node>, asked: Vec<&'a Node>, groups: Vec<(&'a str, Vec<&'a Node>)>) -> Vec<Section<'a>> {
    let new_form = || Form { shared: shared.clone(), parts: Vec::new() };
    let mut forms: Vec<Form<'a>> = Vec::new();
    if asked.is_empty() {
        for (group, nodes) in groups {
            forms.push(Form { parts: vec![Part::of(group, &nodes)], ..new_form() });
        }
    } else {
        // What everybody is asked, an address or a user name, goes with whichever method is then chosen.
        let mut main = new_form();
        let mut apart = Vec::new();
        for (group, nodes) in groups {
            let part = Part::of(group, &nodes);
            if is_elsewhere(group) {
                apart.push(Form { parts: vec![part], ..new_form() });
            } else {
                main.parts.push(part);
            }
        }
        let asked = Part::of("default", &asked);
        match main.parts.iter_mut().find(|part| part.is_visible()) {
            Some(first) => {
                first.fields.splice(0..0, asked.fields);
                first.buttons.splice(0..0, asked.buttons);
            }
            None => main.parts.insert(0, asked),
        }
        forms.push(main);
        forms.append(&mut apart);
    }
    vec![Section { group: "", forms }]
}

/// Buttons that leave for another service must not first demand a filled-in form.
fn is_elsewhere(group: &str) -> bool {
    matches!(group, "oidc" | "saml")
}

fn leads_back(node: &Node) -> bool {
    node.input().is_some_and(|input| input.name == "screen" && input.value.as_deref() == Some("previous"))
}

/// Whether a button takes something away from the account.
pub(super) fn removes(node: &Node) -> bool {
    let named = |name: &str| name.ends_with("_remove") || name.ends_with("_unlink") || name.ends_with("_disable");
    node.is_button() && node.input().is_some_and(|input| input.name == "unlink" || named(&input.name))
}
