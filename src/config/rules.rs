//! Rules: which requests they own, what they demand, and where they lead.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::authenticators;
use crate::config::authenticators::Authenticators;
use crate::config::cors;
use crate::config::decode::{Decoder, Fields, items};
use crate::config::headers::{characters, headers};
use crate::config::id_token::{KEYS, Signing};
use crate::config::keys;
use crate::config::keys::{AccessWord, AllowWord};
use crate::config::kratos;
use crate::config::kratos::host;
use crate::config::node::{Kind, Mark, Node};
use crate::config::refusals;
use crate::config::services::Services;
use crate::config::shaping;
use crate::config::units::Misread;
use crate::config::upstreams::{NAME, Upstreams, is_name};
use crate::decision::expression::Expression;
use crate::decision::index::Entry;
use crate::decision::path::Allow;
use crate::decision::pattern::{Methods, PathPattern, Schemes};
use crate::decision::rule::{Access, Demands, OnOutage, Rule, Target};

/// A rule, and where in the files it stands.
pub(crate) struct Draft {
    /// Of the id, or of the whole rule where it has none.
    pub(crate) mark: Mark,
    pub(crate) entry: Entry,
    /// Of each path of the entry; empty where none is written.
    pub(crate) path_marks: Vec<Mark>,
    /// Of each host of the entry.
    pub(crate) host_marks: Vec<Mark>,
    pub(crate) rule: Rule,
}

/// What rules use by its name.
#[derive(Default)]
pub(crate) struct Named {
    pub(crate) upstreams: Upstreams,
    pub(crate) signing: Signing,
    pub(crate) services: Services,
    pub(crate) authenticators: Authenticators,
    pub(crate) session_cookies: Vec<Box<str>>,
}

/// All rules so far, over all files.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) drafts: Vec<Draft>,
    ids: HashMap<Box<str>, Mark>,
}

impl Rules {
    /// Reads one list of rules; a single mapping stands for a list of one.
    pub(crate) fn decode(&mut self, decoder: &mut Decoder<'_>, node: &Node, named: &mut Named) {
        for node in items(node) {
            if let Some(draft) = self.rule(decoder, node, named) {
                self.drafts.push(draft);
            }
        }
    }

    fn rule(&mut self, decoder: &mut Decoder<'_>, node: &Node, named: &mut Named) -> Option<Draft> {
        let fields = decoder.fields(node, keys::RULE)?;
        let (id, mark) = self.id(decoder, &fields);
        let mut draft = Draft {
            mark,
            entry: Entry {
                hosts: Vec::new(),
                paths: Vec::new(),
                methods: Methods::any(),
                schemes: Schemes::any(),
                allow: Allow::default(),
            },
            path_marks: Vec::new(),
            host_marks: Vec::new(),
            rule: Rule {
                headers: fields.get("headers").map(|node| headers(decoder, node)).unwrap_or_default(),
                ..Rule::new(&id, Access::Deny)
            },
        };
        let faults = decoder.report.count();
        if let Some(node) = fields.get("match") {
            draft.matching(decoder, node);
        }
        let is_whole = decoder.report.count() == faults;
        if draft.entry.paths.is_empty() {
            // Without paths a rule is for all of them.
            draft.entry.paths.extend(PathPattern::parse("/**"));
        }
        if let Some(node) = fields.get("authenticate") {
            draft.rule.authenticate = named.authenticators.of_rule(decoder, node);
        }
        draft.access(decoder, &fields);
        authenticators::check(decoder, &fields, &draft.rule);
        if let Some(node) = fields.get("enrich") {
            draft.rule.enrich = named.services.enrichments(decoder, node);
        }
        if let Some(node) = fields.get("authorize") {
            draft.rule.authorize = named.services.checks(decoder, node);
        }
        let rule = &mut draft.rule;
        if let Some(node) = fields.get("on_refusal") {
            rule.on_refusal = refusals::dresses(decoder, node);
        }
        if let Some(forward) = fields.get("forward_credentials").and_then(|node| decoder.boolean(node)) {
            rule.forward_credentials = forward;
        }
        if let Some(node) = fields.get("id_token") {
            rule.id_token = named.signing.of_rule(decoder, node);
            if rule.forward_credentials && rule.id_token.as_ref().is_some_and(|token| token.carrier.is_bearer()) {
                decoder.report.fault(
                    fields.key_mark("id_token"),
                    "with `forward_credentials` the client's own `Authorization` goes there; name another `header`",
                );
            }
        }
        if let Some(node) = fields.get("cors") {
            rule.cors = cors::decode(decoder, node, &draft.entry.methods);
        }
        shaping::shape(decoder, &fields, &draft.entry, rule, &named.session_cookies);
        shaping::check_cookies(decoder, &fields, rule);
        if let Some(node) = fields.get("redirect") {
            rule.target = shaping::redirect(decoder, node).map(|redirect| Target::Redirect(Arc::new(redirect)));
            if fields.mentions("upstream") {
                decoder.report.fault(fields.key_mark("redirect"), "a rule has either a `redirect` or an `upstream`");
            }
        } else if let Some(node) = fields.get("upstream") {
            rule.target = named.upstreams.of_rule(decoder, &rule.id, node).map(Target::Service);
        }
        shaping::check_service(decoder, &fields, rule);
        check_questions(decoder, &fields, rule);
        // What a faulty rule would own is a guess, and its conflicts with others would be noise.
        is_whole.then_some(draft)
    }

    /// The id and its place. A rule without a good one gets none; the fault is noted.
    fn id(&mut self, decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> (Box<str>, Mark) {
        let Some(node) = decoder.required(fields, "id") else { return ("".into(), fields.mark) };
        let id = decoder.parsed(node, |text| match text {
            KEYS | kratos::KRATOS | kratos::PAGES => Err(Misread::new("is the id of a rule of the gateway's own")),
            _ if is_name(text) => Ok(Box::<str>::from(text)),
            _ => Err(Misread::new(format!("is no id: {NAME}"))),
        });
        let Some(id) = id else { return ("".into(), node.mark) };
        if let Some(first) = self.ids.get(&id) {
            let place = decoder.place(*first, node.mark);
            decoder.report.fault(node.mark, format!("another rule is called `{id}`, {place}"));
        } else {
            self.ids.insert(id.clone(), node.mark);
        }
        (id, node.mark)
    }
}

/// What a rule reads and asks must fit together.
fn check_questions(decoder: &mut Decoder<'_>, fields: &Fields<'_>, rule: &Rule) {
    for key in ["enrich", "authorize"].into_iter().filter(|key| fields.mentions(key)) {
        if fields.get("access").is_some() && matches!(rule.access, Access::Deny) {
            let why = format!("a rule with `access: deny` lets nobody pass, whatever `{key}` says");
            decoder.report.warn(fields.key_mark(key), why, None);
        }
    }
    if !rule.enrich.is_empty() || fields.mentions("enrich") {
        if matches!(rule.access, Access::Public) {
            decoder.report.fault(fields.key_mark("enrich"), "with `access: public` nobody is known of whom to ask");
        }
        return;
    }
    for (key, reads) in rule.reads() {
        if reads.context {
            let why = format!("`{key}` reads `context`, and the rule has no `enrich` that would fill it");
            decoder.report.fault(fields.key_mark(key), why);
        }
    }
}

fn choice<T: Copy>(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
    fields.get(key).and_then(|node| decoder.choice(node, words))
}

impl Draft {
    fn matching(&mut self, decoder: &mut Decoder<'_>, node: &Node) {
        let Some(fields) = decoder.fields(node, keys::MATCH) else { return };
        for node in list(decoder, &fields, "hosts") {
            if let Some(host) = host(decoder, node) {
                self.entry.hosts.push(host);
                self.host_marks.push(node.mark);
            }
        }
        let schemes = list(decoder, &fields, "schemes");
        if !schemes.is_empty() {
            self.entry.schemes =
                Schemes::of(schemes.iter().filter_map(|node| decoder.choice(node, keys::SCHEMES)).collect::<Vec<_>>());
        }
        let methods = list(decoder, &fields, "methods");
        if !methods.is_empty() {
            let read = methods.iter().filter_map(|node| method(decoder, node)).collect::<Vec<_>>();
            self.entry.methods = Methods::of(read);
        }
        for node in list(decoder, &fields, "paths") {
            if let Some(path) = path(decoder, node) {
                self.entry.paths.push(path);
                self.path_marks.push(node.mark);
            }
        }
        for node in list(decoder, &fields, "allow") {
            match decoder.choice(node, keys::ALLOW) {
                Some(AllowWord::EmptySegment) => self.entry.allow.empty_segment = true,
                Some(AllowWord::EncodedSlash) => self.entry.allow.encoded_slash = true,
                Some(AllowWord::Parameters) => self.entry.allow.parameters = true,
                None => {}
            }
        }
    }

    fn access(&mut self, decoder: &mut Decoder<'_>, fields: &Fields<'_>) {
        // Whoever forgets `access` must not have opened anything.
        let word = match fields.get("access") {
            Some(node) => decoder.choice(node, keys::ACCESS),
            None => Some(AccessWord::Session),
        };
        let demands = fields.get("require").map(|node| self.require(decoder, node, word)).unwrap_or_default();
        let on_outage = choice(decoder, fields, "on_outage", keys::ON_OUTAGE);
        // The default may be written anywhere; where a session is demanded or nothing is asked it changes nothing.
        let opens = on_outage == Some(OnOutage::Anonymous);
        if opens && word.is_some_and(|word| word != AccessWord::Optional) {
            decoder
                .report
                .fault(fields.key_mark("on_outage"), "`on_outage: anonymous` is for rules with `access: optional`");
        }
        self.rule.access = match word {
            Some(AccessWord::Public) => Access::Public,
            Some(AccessWord::Optional) => Access::Optional { on_outage: on_outage.unwrap_or(OnOutage::Refuse) },
            Some(AccessWord::Session) => Access::Session(demands),
            Some(AccessWord::Deny) | None => Access::Deny,
        };
    }

    fn require(&mut self, decoder: &mut Decoder<'_>, node: &Node, word: Option<AccessWord>) -> Demands {
        let mut demands = Demands::default();
        let Some(fields) = decoder.fields(node, keys::REQUIRE) else { return demands };
        for key in keys::REQUIRE.iter().filter(|key| **key != "when" && fields.mentions(key)) {
            if word.is_some_and(|word| word != AccessWord::Session) {
                decoder.report.fault(fields.key_mark(key), format!("`{key}` is for rules with `access: session`"));
            }
        }
        demands.aal = choice(decoder, &fields, "aal", keys::AAL).unwrap_or_default();
        demands.authenticated_within = fields.get("authenticated_within").and_then(|node| decoder.positive(node));
        demands.checked_within = fields.get("checked_within").and_then(|node| decoder.duration(node));
        demands.verified = fields.get("verified").and_then(|node| decoder.boolean(node)).unwrap_or_default();
        if let Some(node) = fields.get("when") {
            if word == Some(AccessWord::Deny) {
                decoder.report.warn(
                    fields.key_mark("when"),
                    "a rule with `access: deny` lets nobody pass, whatever `when` says",
                    None,
                );
            }
            self.rule.when = when(decoder, node);
        }
        demands
    }
}

/// The items of a list that is written; an empty one is a fault, for it may mean "any" or "none".
fn list<'n>(decoder: &mut Decoder<'_>, fields: &Fields<'n>, key: &str) -> &'n [Node] {
    let Some(node) = fields.get(key) else { return &[] };
    let items = items(node);
    if items.is_empty() && key != "allow" {
        let suggestion = format!("leave `{key}` out to match any");
        decoder.report.fault_with(node.mark, format!("`{key}` lists nothing"), Some(suggestion));
    }
    items
}

fn when(decoder: &mut Decoder<'_>, node: &Node) -> Option<Expression> {
    let scalar = decoder.scalar(node)?;
    match Expression::compile(&scalar.text) {
        Ok(expression) => {
            if expression.reads().traits {
                decoder.report.warn(
                    node.mark,
                    "this condition reads `traits`, which users may edit themselves",
                    Some(
                        "what decides about access belongs into `metadata_public`, which only administrators set"
                            .to_owned(),
                    ),
                );
            }
            Some(expression)
        }
        Err(error) => {
            let right = scalar.offset.map_or(0, |offset| offset + characters(&scalar.text, error.offset()));
            let mark = if error.offset() > 0 { node.mark.right(right) } else { node.mark };
            decoder.report.fault(mark, error.to_string());
            None
        }
    }
}

pub(crate) fn method(decoder: &mut Decoder<'_>, node: &Node) -> Option<http::Method> {
    let text = decoder.text(node)?;
    match Methods::read(&text) {
        Ok(method) => Some(method),
        Err(error) => {
            decoder.report.fault(node.mark, error.to_string());
            None
        }
    }
}

/// A pattern of segments, or `{ regex: … }`.
fn path(decoder: &mut Decoder<'_>, node: &Node) -> Option<PathPattern> {
    let (node, read) = match &node.kind {
        Kind::Map(_) => {
            let fields = decoder.fields(node, keys::PATH)?;
            let node = decoder.required(&fields, "regex")?;
            (node, PathPattern::regex(&decoder.text(node)?))
        }
        Kind::Empty | Kind::List(_) | Kind::Scalar(_) => (node, PathPattern::parse(&decoder.text(node)?)),
    };
    match read {
        Ok(path) => Some(path),
        Err(error) => {
            decoder.report.fault(node.mark, error.to_string());
            None
        }
    }
}
