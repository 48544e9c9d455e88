//! Kratos and all that hangs on it: where it is, its sessions, and the gateway's own rules.

use std::sync::Arc;

use http::HeaderName;
use url::Url;

use crate::config::UiSettings;
use crate::config::cors;
use crate::config::decode::{Decoder, items};
use crate::config::keys;
use crate::config::keys::SourceWord;
use crate::config::listen::{authority, web_url};
use crate::config::node::{Kind, Mark, Node};
use crate::config::rules::Draft;
use crate::config::units::Misread;
use crate::config::upstreams::endpoint_of;
use crate::decision::cors::Cors;
use crate::decision::credentials::Sources;
use crate::decision::index::Entry;
use crate::decision::path::Allow;
use crate::decision::pattern::{HostPattern, Methods, PathPattern, Schemes};
use crate::decision::policy::IdentityHeader;
use crate::decision::rule::{Access, Rule, Target};
use crate::decision::upstream::{Balance, EndpointScheme, Timeouts, Upstream};
use crate::sessions;

/// The whole of Kratos' public API that passes the gateway.
const PUBLIC_API: [&str; 7] = [
    "/self-service/**",
    "/sessions",
    "/sessions/**",
    "/schemas",
    "/schemas/*",
    "/.well-known/ory/**",
    "/.well-known/change-password",
];

/// The id of the built-in rule for Kratos' public API.
pub(crate) const KRATOS: &str = "kratos";
/// The id of the built-in rule for the sign-in pages.
pub(crate) const PAGES: &str = "ui";

pub(crate) const IDENTITY_HEADER: &str = "X-Kratos-Authenticated-Identity-Id";

/// What `kratos` says.
pub(crate) struct Kratos {
    pub(crate) url: Url,
    pub(crate) authority: Option<Box<[u8]>>,
    pub(crate) embedded: bool,
    pub(crate) serve: bool,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) path_prefix: String,
    pub(crate) sources: Sources,
    pub(crate) timeout: Option<std::time::Duration>,
    pub(crate) cors: Option<Cors>,
    pub(crate) tokenize_as: Option<String>,
}

impl Kratos {
    /// The defaults, for a Kratos at `url`.
    pub(crate) fn new(url: Url) -> Self {
        Self {
            url,
            authority: None,
            embedded: false,
            serve: true,
            hosts: Vec::new(),
            path_prefix: String::new(),
            sources: Sources::default(),
            timeout: None,
            cors: None,
            tokenize_as: None,
        }
    }

    /// Reads the section; `embedded` is where the embedded server listens.
    pub(crate) fn decode(decoder: &mut Decoder<'_>, node: &Node, embedded: &Url) -> Self {
        let mut kratos = Self::new(embedded.clone());
        if let Kind::Scalar(_) = node.kind {
            kratos.locate(decoder, node);
            return kratos;
        }
        let Some(fields) = decoder.fields(node, keys::KRATOS) else { return kratos };
        if let Some(node) = decoder.required(&fields, "url") {
            kratos.locate(decoder, node);
        }
        if fields.mentions("ca") {
            kratos.authority = authority(decoder, &fields);
            if kratos.url.scheme() != "https" {
                decoder.report.fault(fields.key_mark("ca"), "`ca` is for https, and `kratos.url` is not");
            }
        }
        if let Some(serve) = fields.get("serve").and_then(|node| decoder.boolean(node)) {
            kratos.serve = serve;
        }
        if let Some(node) = fields.get("hosts") {
            kratos.hosts = items(node).iter().filter_map(|node| host(decoder, node)).collect();
        }
        kratos.path_prefix = fields.get("path_prefix").and_then(|node| decoder.prefix(node)).unwrap_or_default();
        kratos.timeout = fields.get("timeout").and_then(|node| decoder.positive(node));
        kratos.cors = fields.get("cors").and_then(|node| cors::decode(decoder, node, &Methods::any()));
        kratos.tokenize_as = fields.get("tokenize_as").and_then(|node| {
            decoder.parsed(node, |text| {
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
                let is_one = !text.is_empty() && text.chars().all(is_name);
                if is_one { Ok(text.to_owned()) } else { Err(Misread::new("is no name of a template of Kratos'")) }
            })
        });
        if let Some(node) = fields.get("session_cookie") {
            kratos.sources.cookies = items(node).iter().filter_map(|node| cookie_name(decoder, node)).collect();
            if items(node).is_empty() {
                decoder.report.fault_with(
                    node.mark,
                    "no cookie is named",
                    Some("leave `cookie` out of `kratos.credentials` where cookies do not count".to_owned()),
                );
            }
        }
        if let Some(node) = fields.get("credentials") {
            kratos.narrow_sources(decoder, node);
        }
        kratos
    }

    fn locate(&mut self, decoder: &mut Decoder<'_>, node: &Node) {
        let url = decoder.parsed(node, |text| if text == "embedded" { Ok(None) } else { kratos_url(text).map(Some) });
        match url {
            Some(Some(url)) => self.url = url,
            Some(None) => self.embedded = true,
            None => {}
        }
    }

    fn narrow_sources(&mut self, decoder: &mut Decoder<'_>, node: &Node) {
        let words = items(node);
        if words.is_empty() {
            decoder.report.fault(node.mark, "without any credential nobody can have a session");
        }
        let found = words.iter().filter_map(|node| decoder.choice(node, keys::CREDENTIALS)).collect::<Vec<_>>();
        self.sources.session_token = found.contains(&SourceWord::SessionToken);
        self.sources.bearer = found.contains(&SourceWord::Bearer);
        if !found.contains(&SourceWord::Cookie) {
            self.sources.cookies.clear();
        }
    }

    /// Kratos as a service behind the gateway.
    fn upstream(&self) -> Option<Arc<Upstream>> {
        let scheme = if self.url.scheme() == "https" { EndpointScheme::Https } else { EndpointScheme::Http };
        Some(Arc::new(Upstream {
            name: KRATOS.into(),
            endpoints: vec![endpoint_of(&self.url, scheme)?],
            balance: Balance::default(),
            timeouts: Timeouts::default(),
            health_check: None,
            authority: self.authority.clone(),
        }))
    }

    /// Whether a path is one of its public API.
    pub(crate) fn owns(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(&self.path_prefix) else { return false };
        let roots = PUBLIC_API.iter().map(|pattern| pattern.trim_end_matches("/**").trim_end_matches("/*"));
        roots
            .into_iter()
            .any(|root| rest.strip_prefix(root).is_some_and(|below| below.is_empty() || below.starts_with('/')))
    }

    /// The gateway's own rules: Kratos' public API, where it is served, and the sign-in pages, where they are.
    pub(crate) fn reserved(&self, ui: Option<&UiSettings>) -> Vec<Draft> {
        let mut drafts = Vec::new();
        if let Some(upstream) = self.upstream().filter(|_| self.serve) {
            let paths = PUBLIC_API.map(|path| format!("{}{path}", self.path_prefix));
            let draft = built_in(KRATOS, &self.hosts, &paths, Target::Kratos(upstream));
            drafts.extend(draft.map(|draft| Draft { rule: Rule { cors: self.cors.clone(), ..draft.rule }, ..draft }));
        }
        if let Some(ui) = ui {
            drafts.extend(built_in(PAGES, &self.hosts, &[format!("{}/**", ui.path_prefix)], Target::Pages));
        }
        drafts
    }
}

/// A public rule for these paths; nothing if a pattern were none, which prefixes are checked against.
pub(crate) fn built_in(id: &str, hosts: &[HostPattern], paths: &[String], target: Target) -> Option<Draft> {
    let paths = paths.iter().map(|path| PathPattern::parse(path)).collect::<Result<Vec<_>, _>>().ok()?;
    Some(Draft {
        mark: Mark::NOWHERE,
        entry: Entry {
            hosts: hosts.to_vec(),
            paths,
            methods: Methods::any(),
            schemes: Schemes::any(),
            allow: Allow::default(),
        },
        path_marks: Vec::new(),
        host_marks: Vec::new(),
        rule: Rule { target: Some(target), ..Rule::new(id, Access::Public) },
    })
}

fn kratos_url(text: &str) -> Result<Url, Misread> {
    let url = web_url(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let root = url.origin().ascii_serialization();
        return Err(Misread::meant("has a path or a query; Kratos' public API stands at the root of its host", root));
    }
    Ok(url)
}

/// A host pattern, as in `match.hosts` and `kratos.hosts`.
pub(crate) fn host(decoder: &mut Decoder<'_>, node: &Node) -> Option<HostPattern> {
    let text = decoder.text(node)?;
    match HostPattern::parse(&text) {
        Ok(host) => Some(host),
        Err(error) => {
            decoder.report.fault(node.mark, error.to_string());
            None
        }
    }
}

/// Cookie names are tokens, as header names are.
pub(crate) fn is_cookie_name(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

pub(crate) fn cookie_name(decoder: &mut Decoder<'_>, node: &Node) -> Option<Box<str>> {
    decoder.parsed(node, |text| {
        if is_cookie_name(text) { Ok(text.into()) } else { Err(Misread::new("is no name of a cookie")) }
    })
}

/// The sessions' settings, Kratos' own included.
pub(crate) fn sessions(
    decoder: &mut Decoder<'_>,
    node: Option<&Node>,
    kratos: &Kratos,
) -> sessions::settings::Settings {
    let mut settings = sessions::settings::Settings::new(kratos.url.clone());
    settings.authority.clone_from(&kratos.authority);
    settings.tokenize_as.clone_from(&kratos.tokenize_as);
    settings.timeout = kratos.timeout.unwrap_or(settings.timeout);
    let Some(fields) = node.and_then(|node| decoder.fields(node, keys::SESSIONS)) else { return settings };
    settings.ttl = fields.get("ttl").and_then(|node| decoder.positive(node)).unwrap_or(settings.ttl);
    let refresh_after = fields.get("refresh_after").and_then(|node| decoder.positive(node));
    settings.refresh_after = refresh_after.unwrap_or(settings.ttl * 2 / 3);
    let stale = fields.get("stale_if_error").and_then(|node| decoder.duration(node));
    settings.stale_if_error = stale.unwrap_or(settings.stale_if_error);
    let entries = fields.get("max_entries").and_then(|node| decoder.count(node, 1..=100_000_000));
    settings.max_entries = entries.unwrap_or(settings.max_entries);
    settings
}

/// The header that tells services who asks.
pub(crate) fn identity_header(decoder: &mut Decoder<'_>, node: Option<&Node>) -> IdentityHeader {
    let default = || IdentityHeader {
        name: HeaderName::from_static("x-kratos-authenticated-identity-id"),
        spelling: IDENTITY_HEADER.into(),
    };
    let Some(node) = node else { return default() };
    let read = decoder.parsed(node, |text| {
        let name = HeaderName::try_from(text).map_err(|_| Misread::new("is not a header name"))?;
        Ok(IdentityHeader { name, spelling: text.into() })
    });
    if let Some(header) = &read {
        crate::config::headers::check_name(decoder, node.mark, &header.spelling, &header.name);
    }
    read.unwrap_or_else(default)
}
