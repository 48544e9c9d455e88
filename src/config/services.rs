//! Services that are asked while a request is decided, by name, and what a rule asks them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};

use crate::config::decode::{Decoder, Fields, items};
use crate::config::headers::{is_framing, own_header};
use crate::config::keys;
use crate::config::listen::{authority, web_url};
use crate::config::node::{Kind, Mark, Node};
use crate::config::payload;
use crate::config::questions::{input, tuples};
use crate::config::rules::method;
use crate::config::units::{Misread, nearest};
use crate::config::upstreams::{NAME, is_name};
use crate::decision::call::{Call, Check, Enrichment, Meaning, Service};
use crate::decision::payload::{Absent, Payload};
use crate::decision::template::HeaderTemplate;
use crate::decision::url_template::UrlTemplate;

/// How long one attempt may take unless something else is said.
const TIMEOUT: Duration = Duration::from_secs(1);
/// More retries only make a failure slower.
const MAX_RETRIES: u64 = 3;

/// The named services, and which of them any rule uses.
#[derive(Default)]
pub(crate) struct Services {
    /// Without a value where it has a fault of its own.
    authorizers: HashMap<Box<str>, (Mark, Option<Authorizer>)>,
    enrichers: HashMap<Box<str>, (Mark, Option<Enricher>)>,
    used: HashSet<Box<str>>,
}

/// Somebody who must agree.
struct Authorizer {
    service: Arc<Service>,
    speaks: Speaks,
}

/// What is spoken with an authorizer.
enum Speaks {
    Http(Letter),
    Keto { check: Arc<UrlTemplate>, batch: Arc<UrlTemplate> },
    Opa(Arc<UrlTemplate>),
}

struct Enricher {
    service: Arc<Service>,
    letter: Letter,
    required: bool,
}

/// A question as it is configured for all rules.
struct Letter {
    method: Method,
    url: Arc<UrlTemplate>,
    headers: Vec<Arc<HeaderTemplate>>,
    body: Option<Arc<Payload>>,
}

impl Services {
    pub(crate) fn authorizers(&mut self, decoder: &mut Decoder<'_>, node: &Node) {
        for entry in decoder.entries(node).unwrap_or_default() {
            check_service_name(decoder, entry.mark, &entry.key);
            let authorizer = authorizer(decoder, &entry.key, &entry.value);
            self.authorizers.insert(entry.key.clone(), (entry.mark, authorizer));
        }
    }

    pub(crate) fn enrichers(&mut self, decoder: &mut Decoder<'_>, node: &Node) {
        for entry in decoder.entries(node).unwrap_or_default() {
            check_service_name(decoder, entry.mark, &entry.key);
            if let Some((mark, _)) = self.authorizers.get(&entry.key) {
                let place = decoder.place(*mark, entry.mark);
                decoder.report.fault(entry.mark, format!("an authorizer is called `{}` too, {place}", entry.key));
            }
            let enricher = enricher(decoder, &entry.key, &entry.value);
            self.enrichers.insert(entry.key.clone(), (entry.mark, enricher));
        }
    }

    /// Those who must agree to requests of a rule: names, or mappings of a name to what this rule asks.
    pub(crate) fn checks(&mut self, decoder: &mut Decoder<'_>, node: &Node) -> Vec<Check> {
        items(node).iter().filter_map(|node| self.check(decoder, node)).collect()
    }

    fn check(&mut self, decoder: &mut Decoder<'_>, node: &Node) -> Option<Check> {
        let (name, own) = use_of(decoder, node)?;
        let Some((_, authorizer)) = self.authorizers.get(&*name) else {
            unknown(decoder, node.mark, "authorizer", &name, self.authorizers.keys());
            return None;
        };
        self.used.insert(name.as_str().into());
        let Authorizer { service, speaks } = authorizer.as_ref()?;
        let call = |url: &Arc<UrlTemplate>, body, absent| Call {
            service: Arc::clone(service),
            method: Method::POST,
            url: Arc::clone(url),
            headers: Vec::new(),
            body: Some(Arc::new(body)),
            absent,
        };
        match speaks {
            Speaks::Http(letter) => letter.check(decoder, service, own),
            Speaks::Keto { check, batch } => {
                let Some(own) = own else {
                    let cure = format!("{name}: {{ namespace: …, object: …, relation: …, subject: \"${{subject}}\" }}");
                    decoder.report.fault_with(node.mark, "Keto must be told which tuple to check", Some(cure));
                    return None;
                };
                let (body, meaning) = tuples(decoder, own)?;
                let url = if meaning == Meaning::Allowed { check } else { batch };
                Some(Check { call: call(url, body, Absent::Nothing), meaning, pick: Vec::new() })
            }
            Speaks::Opa(url) => {
                let body = input(decoder, own)?;
                Some(Check { call: call(url, body, Absent::Null), meaning: Meaning::Result, pick: Vec::new() })
            }
        }
    }

    /// What is asked about callers of a rule: names.
    pub(crate) fn enrichments(&mut self, decoder: &mut Decoder<'_>, node: &Node) -> Vec<Enrichment> {
        let mut enrichments = Vec::<Enrichment>::new();
        for node in items(node) {
            let Some(name) = decoder.text(node) else { continue };
            let Some((_, enricher)) = self.enrichers.get(&*name) else {
                unknown(decoder, node.mark, "enricher", &name, self.enrichers.keys());
                continue;
            };
            self.used.insert(name.as_str().into());
            if enrichments.iter().any(|known| *known.call.service.name == *name) {
                decoder.report.fault(node.mark, format!("`{name}` is listed twice"));
            } else if let Some(Enricher { service, letter, required }) = enricher {
                enrichments.push(Enrichment { call: letter.call(service), required: *required });
            }
        }
        enrichments
    }

    /// Warns of those that no rule uses.
    pub(crate) fn warn_of_unused(&self, decoder: &mut Decoder<'_>) {
        let authorizers = self.authorizers.iter().map(|(name, (mark, _))| (name, *mark, "authorizer"));
        let enrichers = self.enrichers.iter().map(|(name, (mark, _))| (name, *mark, "enricher"));
        for (name, mark, kind) in authorizers.chain(enrichers) {
            if !self.used.contains(name) {
                decoder.report.warn(mark, format!("no rule uses the {kind} `{name}`"), None);
            }
        }
    }
}

/// A name, or a mapping of one name to what is said besides.
pub(crate) fn use_of<'n>(decoder: &mut Decoder<'_>, node: &'n Node) -> Option<(String, Option<&'n Node>)> {
    if let Kind::Scalar(_) = node.kind {
        return Some((decoder.text(node)?, None));
    }
    match decoder.entries(node)? {
        [entry] => match entry.value.kind {
            Kind::Empty => Some((entry.key.to_string(), None)),
            Kind::List(_) | Kind::Map(_) | Kind::Scalar(_) => Some((entry.key.to_string(), Some(&entry.value))),
        },
        _ => {
            decoder.report.fault(node.mark, "this is a name, or a mapping of one name to what is said besides");
            None
        }
    }
}

pub(crate) fn unknown<'k>(
    decoder: &mut Decoder<'_>,
    mark: Mark,
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'k Box<str>>,
) {
    let meant = nearest(name, known.map(AsRef::as_ref)).map(|name| format!("did you mean `{name}`?"));
    decoder.report.fault_with(mark, format!("there is no {kind} `{name}`"), meant);
}

fn check_service_name(decoder: &mut Decoder<'_>, mark: Mark, name: &str) {
    if !is_name(name) {
        decoder.report.fault(mark, format!("`{name}` is no name: {NAME}"));
    }
}

fn authorizer(decoder: &mut Decoder<'_>, name: &str, node: &Node) -> Option<Authorizer> {
    let fields = decoder.fields(node, keys::AUTHORIZER)?;
    let service = service(decoder, name, &fields);
    let spoken = ["http", "keto", "opa"].into_iter().filter(|key| fields.mentions(key)).collect::<Vec<_>>();
    let [spoken] = spoken.as_slice() else {
        decoder.report.fault(node.mark, "an authorizer is exactly one of `http`, `keto` and `opa`");
        return None;
    };
    let node = fields.get(spoken)?;
    let speaks = match *spoken {
        "http" => Speaks::Http(letter(decoder, node, Method::POST)?),
        "keto" => {
            let base = base_url(decoder, node)?;
            Speaks::Keto {
                check: route(decoder, node, &base, "/relation-tuples/check/openapi")?,
                batch: route(decoder, node, &base, "/relation-tuples/batch/check")?,
            }
        }
        _ => {
            let base = base_url(decoder, node)?;
            Speaks::Opa(route(decoder, node, &base, "")?)
        }
    };
    let service = Arc::new(service?);
    if let Speaks::Http(letter) = &speaks {
        letter.check_authorization(decoder, &fields, &service);
    }
    Some(Authorizer { service, speaks })
}

fn enricher(decoder: &mut Decoder<'_>, name: &str, node: &Node) -> Option<Enricher> {
    let fields = decoder.fields(node, keys::ENRICHER)?;
    let service = service(decoder, name, &fields);
    let required = fields.get("required").and_then(|node| decoder.boolean(node)).unwrap_or(true);
    let letter = letter_of(decoder, &fields, Method::GET)?;
    let service = service?;
    letter.check_authorization(decoder, &fields, &service);
    Some(Enricher { service: Arc::new(service), letter, required })
}

/// How patient the gateway is with a service, and how it says who it is.
fn service(decoder: &mut Decoder<'_>, name: &str, fields: &Fields<'_>) -> Option<Service> {
    let timeout = fields.get("timeout").and_then(|node| decoder.positive(node)).unwrap_or(TIMEOUT);
    let retries = fields.get("retries").and_then(|node| decoder.count(node, 0..=MAX_RETRIES)).unwrap_or_default();
    let ttl = fields.get("ttl").and_then(|node| decoder.duration(node)).unwrap_or_default();
    let authorization = match fields.get("authorization") {
        Some(node) => Some(authorization(decoder, node)?),
        None => None,
    };
    Some(Service {
        name: name.into(),
        timeout,
        retries: u32::try_from(retries).unwrap_or_default(),
        ttl,
        authorization,
        authority: authority(decoder, fields),
    })
}

/// The value of an `Authorization` header, which is secret.
pub(crate) fn authorization(decoder: &mut Decoder<'_>, node: &Node) -> Option<HeaderValue> {
    let mut value = decoder.parsed(node, |text| {
        HeaderValue::try_from(text).map_err(|_| Misread::new("has a character that no header may carry"))
    })?;
    value.set_sensitive(true);
    Some(value)
}

/// The URL of a service, which may stand for the mapping that holds it.
fn base_url(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let (node, _) = decoder.only_or(node, keys::SERVICE_URL, "url")?;
    let url = decoder.parsed(node, |text| {
        let url = web_url(text)?;
        if url.query().is_some() || url.fragment().is_some() || text.contains("${") {
            return Err(Misread::new("has a query, a fragment or a hole"));
        }
        Ok(url)
    })?;
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn route(decoder: &mut Decoder<'_>, node: &Node, base: &str, path: &str) -> Option<Arc<UrlTemplate>> {
    match UrlTemplate::parse(&format!("{base}{path}")) {
        Ok(url) => Some(Arc::new(url)),
        Err(error) => {
            decoder.report.fault(node.mark, error.to_string());
            None
        }
    }
}

fn letter(decoder: &mut Decoder<'_>, node: &Node, method: Method) -> Option<Letter> {
    if let Kind::Scalar(_) = node.kind {
        return Some(Letter { method, url: url(decoder, node)?, headers: Vec::new(), body: None });
    }
    let fields = decoder.fields(node, keys::HTTP)?;
    letter_of(decoder, &fields, method)
}

fn letter_of(decoder: &mut Decoder<'_>, fields: &Fields<'_>, default: Method) -> Option<Letter> {
    let url = decoder.required(fields, "url").and_then(|node| url(decoder, node));
    let method = fields.get("method").and_then(|node| method(decoder, node)).unwrap_or(default);
    let headers = fields.get("headers").map(|node| letter_headers(decoder, node)).unwrap_or_default();
    let body = match fields.get("payload") {
        Some(node) => Some(Arc::new(payload::payload(decoder, node)?)),
        None => None,
    };
    Some(Letter { method, url: url?, headers, body })
}

/// A URL whose path and query may have holes; the environment is not put into it.
fn url(decoder: &mut Decoder<'_>, node: &Node) -> Option<Arc<UrlTemplate>> {
    let scalar = decoder.scalar(node)?;
    match UrlTemplate::parse(&scalar.text) {
        Ok(url) => Some(Arc::new(url)),
        Err(error) => {
            decoder.report.fault(node.mark, format!("`{}` {error}", scalar.text));
            None
        }
    }
}

fn letter_headers(decoder: &mut Decoder<'_>, node: &Node) -> Vec<Arc<HeaderTemplate>> {
    let mut headers = Vec::new();
    for entry in decoder.entries(node).unwrap_or_default() {
        let Some(scalar) = decoder.scalar(&entry.value) else { continue };
        match HeaderTemplate::parse(&entry.key, &scalar.text) {
            Ok(header) if is_framing(header.name()) => decoder
                .report
                .fault(entry.mark, format!("`{}` belongs to the connection and is not to be set", entry.key)),
            Ok(header) => headers.push(Arc::new(header)),
            Err(error) => decoder.report.fault(entry.value.mark, error.to_string()),
        }
    }
    headers
}

impl Letter {
    fn call(&self, service: &Arc<Service>) -> Call {
        Call {
            service: Arc::clone(service),
            method: self.method.clone(),
            url: Arc::clone(&self.url),
            headers: self.headers.clone(),
            body: self.body.clone(),
            absent: Absent::Null,
        }
    }

    /// The question with what a rule says in place of what is said for all.
    fn check(&self, decoder: &mut Decoder<'_>, service: &Arc<Service>, own: Option<&Node>) -> Option<Check> {
        let mut check = Check { call: self.call(service), meaning: Meaning::Status, pick: Vec::new() };
        let Some(own) = own else { return Some(check) };
        let fields = decoder.fields(own, keys::RULE_HTTP)?;
        if let Some(node) = fields.get("payload") {
            check.call.body = Some(Arc::new(payload::payload(decoder, node)?));
        }
        if let Some(node) = fields.get("headers") {
            check.call.headers = letter_headers(decoder, node);
        }
        for node in fields.get("pick").map(items).unwrap_or_default() {
            let Some((name, spelling)) = own_header(decoder, node) else { continue };
            check.pick.push((name, spelling));
        }
        Some(check)
    }

    fn check_authorization(&self, decoder: &mut Decoder<'_>, fields: &Fields<'_>, service: &Service) {
        let sets_own = self.headers.iter().any(|header| *header.name() == http::header::AUTHORIZATION);
        if sets_own && service.authorization.is_some() {
            decoder.report.fault(fields.key_mark("authorization"), "`headers` sets `Authorization` already");
        }
    }
}
