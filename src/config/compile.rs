//! From files to a configuration: everything is read, then what only shows in the whole is checked.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::authenticators::Authenticators;
use crate::config::decode::{Decoder, items};
use crate::config::fault::{Fault, Faults, Report};
use crate::config::id_token::Signing;
use crate::config::keys;
use crate::config::kratos::{Kratos, identity_header, sessions};
use crate::config::listen::{Listen, decisions, listen, ops};
use crate::config::loops;
use crate::config::node;
use crate::config::node::{Mark, Node};
use crate::config::pages::{login, ui};
use crate::config::rules::{Draft, Named, Rules};
use crate::config::services::Services;
use crate::config::source::{Contents, Files, Source};
use crate::config::upstreams::Upstreams;
use crate::config::{Config, Options, Settings};
use crate::decision::authenticate::{Authenticator, Carried};
use crate::decision::edits::Owned;
use crate::decision::index::{Conflict, Index, Owner};
use crate::decision::names::{FoldedNames, forwarding};
use crate::decision::policy::{Login, Policy};
use crate::decision::rule::Rule;
use crate::ops;
use crate::signing;

/// Compiles the configuration at `path`, reading it and all that it names through `files`.
///
/// # Errors
/// Every fault of every file.
pub fn compile(path: &Path, files: &Files<'_>, options: &Options<'_>) -> Result<Config, Faults> {
    let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let decoder = Decoder {
        environment: options.environment,
        files,
        folder,
        names: Vec::new(),
        contents: Contents::default(),
        report: Report::default(),
    };
    let mut compilation = Compilation { decoder, sources: Vec::new(), next_node: 0, patterns: Vec::new() };
    let compiled = compilation.read(path, "").and_then(|root| compilation.root(&root, options));
    let Compilation { decoder, sources, patterns, .. } = compilation;
    let (faults, warnings) = decoder.report.finish(&sources);
    match (compiled, faults) {
        (Some((policy, settings, signing)), None) => {
            let fingerprint = decoder.contents.fingerprint();
            Ok(Config {
                policy,
                settings,
                signing,
                warnings,
                files: decoder.contents.into_paths(),
                patterns,
                fingerprint,
            })
        }
        (_, Some(faults)) => Err(faults),
        // Nothing is left out without a fault; were it so, an empty configuration must not pass for a good one.
        (None, None) => Err(Faults::of(Fault::whole(path, "the configuration cannot be compiled"))),
    }
}

struct Compilation<'o> {
    decoder: Decoder<'o>,
    sources: Vec<Source>,
    next_node: u32,
    patterns: Vec<String>,
}

impl Compilation<'_> {
    fn read(&mut self, path: &Path, prefix: &'static str) -> Option<Arc<Node>> {
        let bytes = self.decoder.read(path);
        self.parse(path, bytes, prefix)
    }

    /// Makes a tree of what a file says; `prefix` is what its keys belong to.
    fn parse(&mut self, path: &Path, bytes: io::Result<Vec<u8>>, prefix: &'static str) -> Option<Arc<Node>> {
        let file = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let mut source = Source { name: path.to_owned(), text: String::new(), root: None, prefix };
        self.decoder.names.push(path.to_owned());
        match bytes.map(String::from_utf8) {
            Err(error) => self.decoder.report.fault(Mark::whole(file), format!("the file cannot be read: {error}")),
            Ok(Err(_)) => self.decoder.report.fault(Mark::whole(file), "the file is not UTF-8"),
            Ok(Ok(text)) => {
                source.text = text;
                let root = node::parse(&source.text, file, &mut self.next_node, &mut self.decoder.report);
                source.root = root.map(Arc::new);
            }
        }
        let root = source.root.clone();
        self.sources.push(source);
        root
    }

    fn root(&mut self, root: &Node, options: &Options<'_>) -> Option<(Policy, Settings, signing::Settings)> {
        let decoder = &mut self.decoder;
        if matches!(root.kind, node::Kind::Empty) {
            decoder.report.fault(root.mark, "the configuration is empty; it needs at least `kratos`");
            return None;
        }
        let fields = decoder.sections(root, keys::ROOT)?;
        let Listen { settings: listen, trusted_proxies, public_url } =
            fields.get("listen").map(|node| listen(decoder, node)).unwrap_or_default();
        let ops: ops::settings::Settings = fields.get("ops").map(|node| ops(decoder, node)).unwrap_or_default();
        let decisions = fields.get("decisions").map(|node| decisions(decoder, node, &trusted_proxies));
        let decisions = decisions.unwrap_or_else(|| ops::settings::Decisions::trusting(&trusted_proxies));
        let kratos = match fields.get("kratos") {
            Some(node) => Kratos::decode(decoder, node, &options.embedded_kratos),
            None => {
                let why = "`kratos` is missing: the URL of Kratos' public API";
                decoder.report.fault_with(fields.mark, why, Some("kratos: http://127.0.0.1:4433".to_owned()));
                Kratos::new(options.embedded_kratos.clone())
            }
        };
        let sessions = sessions(decoder, fields.get("sessions"), &kratos);
        let (login_url, login_mark) = login(decoder, fields.get("login"), &kratos);
        let identity_header = identity_header(decoder, fields.get("identity_header"));
        let ui = fields.get("ui").and_then(|node| ui(decoder, node, &kratos));
        let mut named = Named {
            upstreams: fields.get("upstreams").map(|node| Upstreams::decode(decoder, node)).unwrap_or_default(),
            services: Services::default(),
            session_cookies: kratos.sources.cookies.clone(),
            authenticators: fields
                .get("authenticators")
                .map(|node| Authenticators::decode(decoder, node, &kratos.sources.cookies))
                .unwrap_or_default(),
            signing: fields.get("id_token").map(|node| Signing::decode(decoder, node)).unwrap_or_default(),
        };
        if let Some(node) = fields.get("authorizers") {
            named.services.authorizers(decoder, node);
        }
        if let Some(node) = fields.get("enrichers") {
            named.services.enrichers(decoder, node);
        }
        let mut rules = Rules::default();
        if let Some(node) = fields.get("rules") {
            rules.decode(decoder, node, &mut named);
        }
        let end = fields.get("rule_files").map_or(root.mark, |node| node.mark);
        if let Some(node) = fields.get("rule_files") {
            self.rule_files(node, &mut rules, &mut named);
        }
        let decoder = &mut self.decoder;
        named.upstreams.warn_of_unused(decoder);
        named.authenticators.warn_of_unused(decoder);
        named.services.warn_of_unused(decoder);
        named.signing.warn_if_unused(decoder, &rules.drafts);
        if rules.drafts.is_empty() && decoder.report.count() == 0 {
            decoder.report.warn(end, "there are no rules: every request but Kratos' own is answered 404", None);
        }

        let mut reserved = kratos.reserved(ui.as_ref());
        reserved.extend(named.signing.reserved(&kratos.hosts));
        let index = self.index(&rules.drafts, &reserved);
        let owned = owned(&mut self.decoder, &identity_header.spelling, &identity_header.name, &rules.drafts);
        let drafts = rules.drafts;
        let policy = Policy {
            generation: options.generation,
            index: index?,
            reserved: into_rules(reserved),
            owned,
            forwarding: forwarding(),
            identity_header,
            sources: kratos.sources.clone(),
            trusted_proxies,
            login: Login { url: login_url.into() },
            public_url,
            kratos_prefix: kratos.path_prefix.clone().into(),
            tokenizes: kratos.tokenize_as.is_some(),
            rules: Vec::new(),
        };
        loops::check_redirects(&mut self.decoder, &policy, &drafts);
        loops::check_login(&mut self.decoder, &policy, &drafts, login_mark.unwrap_or(root.mark));
        self.warn_of_unreachable(&policy.index, &drafts);
        let policy = Policy { rules: into_rules(drafts), ..policy };
        let settings =
            Settings { listen, ops, decisions, sessions, serve_kratos: kratos.serve, embedded: kratos.embedded, ui };
        Some((policy, settings, named.signing.settings))
    }

    /// Reads the files of rules, in the order listed and sorted by bytes within a pattern.
    fn rule_files(&mut self, node: &Node, rules: &mut Rules, named: &mut Named) {
        for node in items(node) {
            let Some(pattern) = self.decoder.text(node) else { continue };
            let is_pattern = pattern.contains(['*', '?', '[']);
            let paths =
                if is_pattern { self.matching(node, &pattern) } else { vec![self.decoder.folder.join(&pattern)] };
            for path in paths {
                if self.sources.iter().any(|source| source.name == path) {
                    self.decoder.report.fault(node.mark, format!("`{}` is listed twice", path.display()));
                    continue;
                }
                let bytes = self.decoder.read(&path);
                if let (false, Err(error)) = (is_pattern, &bytes) {
                    self.decoder.report.fault(node.mark, format!("`{}` cannot be read: {error}", path.display()));
                    continue;
                }
                let Some(root) = self.parse(&path, bytes, "rules") else { continue };
                match root.kind {
                    node::Kind::Empty => {}
                    node::Kind::List(_) => rules.decode(&mut self.decoder, &root, named),
                    node::Kind::Map(_) | node::Kind::Scalar(_) => {
                        self.decoder
                            .report
                            .fault(root.mark, format!("a file of rules is one list of rules, not {}", root.describe()));
                    }
                }
            }
        }
    }

    fn matching(&mut self, node: &Node, pattern: &str) -> Vec<std::path::PathBuf> {
        let folder = glob::Pattern::escape(&self.decoder.folder.to_string_lossy());
        let whole = Path::new(&folder).join(pattern).to_string_lossy().into_owned();
        match (self.decoder.files.list)(&whole) {
            Ok(mut paths) => {
                if paths.is_empty() {
                    self.decoder.report.warn(node.mark, format!("no file matches `{pattern}`"), None);
                }
                paths.sort_by(|one, two| one.as_os_str().as_encoded_bytes().cmp(two.as_os_str().as_encoded_bytes()));
                self.patterns.push(whole);
                paths
            }
            Err(error) => {
                self.decoder.report.fault(node.mark, format!("`{pattern}` cannot be searched: {error}"));
                Vec::new()
            }
        }
    }

    /// Builds the index; its conflicts are named by rules and places.
    fn index(&mut self, drafts: &[Draft], reserved: &[Draft]) -> Option<Index> {
        let entries = |drafts: &[Draft]| drafts.iter().map(|draft| draft.entry.clone()).collect::<Vec<_>>();
        match Index::build(&entries(drafts), &entries(reserved)) {
            Ok(index) => Some(index),
            Err(conflicts) => {
                for conflict in conflicts {
                    let (mark, message) = self.describe(&conflict, drafts);
                    self.decoder.report.fault(mark, message);
                }
                None
            }
        }
    }

    fn describe(&self, conflict: &Conflict, drafts: &[Draft]) -> (Mark, String) {
        let id = |number: u32| drafts.get(number as usize).map_or("", |draft| &draft.rule.id);
        let place = |number: u32, pattern: &str| {
            drafts.get(number as usize).map_or(Mark::NOWHERE, |draft| draft.place_of(pattern))
        };
        match conflict {
            Conflict::TwoOwners { first, second, pattern, .. } if first == second => {
                let draft = drafts.get(*first as usize);
                let mark = draft.map_or(Mark::NOWHERE, |draft| draft.last_place_of(pattern));
                (mark, format!("`{pattern}` is listed twice"))
            }
            Conflict::TwoOwners { first, second, host, pattern } => {
                let (own, other) = (place(*second, pattern), place(*first, pattern));
                let message = format!(
                    "the rules `{}` and `{}` both own `{pattern}` on host `{host}` for a method and scheme that both list; \
                     the other stands {}",
                    id(*first),
                    id(*second),
                    self.decoder.place(other, own),
                );
                (own, message)
            }
            Conflict::RegexNeverReached { rule, regex, host, covering, by } => {
                let by = match by {
                    Owner::Reserved(_) => "the gateway's own rules".to_owned(),
                    Owner::Rule(number) => format!("rule `{}`", id(*number)),
                };
                let message =
                    format!("this regex is never reached on host `{host}`: `{covering}` of {by} takes every such path");
                (place(*rule, regex), message)
            }
            Conflict::Reserved { rule, pattern, reserved } => {
                let message = format!("`{pattern}` lies within `{reserved}`, which the gateway serves itself");
                (place(*rule, pattern), message)
            }
            Conflict::Regexes { host, .. } => {
                let with_regex = drafts.iter().find(|draft| {
                    (draft.entry.hosts.is_empty() || draft.entry.hosts.contains(host)) && draft.has_regex()
                });
                (with_regex.map_or(Mark::NOWHERE, |draft| draft.mark), conflict.to_string())
            }
        }
    }

    fn warn_of_unreachable(&mut self, index: &Index, drafts: &[Draft]) {
        use crate::decision::index::Why;
        for unreachable in index.unreachable() {
            let Some(draft) = drafts.get(unreachable.rule as usize) else { continue };
            let mark = match &unreachable.why {
                Why::Impossible { pattern } | Why::Shadowed { pattern, .. } => draft.place_of(pattern),
                Why::NoMethod | Why::NoPath | Why::NoScheme => draft.mark,
            };
            self.decoder.report.warn(mark, format!("rule `{}`: {}", draft.rule.id, unreachable.why), None);
        }
    }
}

impl Draft {
    /// Where a pattern of the rule stands.
    fn place_of(&self, pattern: &str) -> Mark {
        let position = self.entry.paths.iter().position(|path| path.to_string() == pattern);
        position.map_or_else(|| self.last_place_of(pattern), |position| self.path_mark(position))
    }

    fn path_mark(&self, position: usize) -> Mark {
        self.path_marks.get(position).copied().unwrap_or(self.mark)
    }

    /// Where a pattern stands that the rule lists more than once, perhaps with other names for its captures.
    fn last_place_of(&self, pattern: &str) -> Mark {
        let plain = |text: &str| {
            text.split('/').map(|part| if part.starts_with('{') { "*" } else { part }).collect::<Vec<_>>().join("/")
        };
        let pattern = plain(pattern);
        let position = self.entry.paths.iter().rposition(|path| plain(&path.to_string()) == pattern);
        position.map_or(self.mark, |position| self.path_mark(position))
    }

    fn has_regex(&self) -> bool {
        self.entry.paths.iter().any(|path| matches!(path, crate::decision::pattern::PathPattern::Regex(_)))
    }
}

fn into_rules(drafts: Vec<Draft>) -> Vec<Arc<Rule>> {
    drafts.into_iter().map(|draft| Arc::new(draft.rule)).collect()
}

/// The names that no client may send: the identity header and whatever any rule sets.
fn owned(decoder: &mut Decoder<'_>, identity: &str, name: &http::HeaderName, drafts: &[Draft]) -> Owned {
    let mut owned = Owned::default();
    owned.insert(identity);
    let mut identity_header = FoldedNames::default();
    identity_header.insert(identity);
    let tokens = token_headers(drafts);
    for draft in drafts {
        if draft.rule.remove_headers.contains(name) {
            let message = format!(
                "rule `{}` removes `{name}`, the identity header, which every client's own is removed from anyway",
                draft.rule.id
            );
            decoder.report.fault(draft.mark, message);
        }
        owned.cookies.extend(draft.rule.cookies.iter().map(|cookie| cookie.name.clone()));
        let mut set = FoldedNames::default();
        for (number, (own, spelling)) in draft.rule.sets().enumerate() {
            if identity_header.contains(&own) {
                let message = format!(
                    "rule `{}` sets `{name}`, which is the identity header and not for a rule to set",
                    draft.rule.id
                );
                decoder.report.fault(draft.mark, message);
            } else if set.contains(&own) && number >= draft.rule.headers.len() {
                let message = format!("rule `{}` sets `{spelling}` twice: in `headers` and elsewhere", draft.rule.id);
                decoder.report.fault(draft.mark, message);
            }
            if tokens.contains(&own) {
                let message = format!("rule `{}` sets `{spelling}`, where clients send tokens", draft.rule.id);
                decoder.report.fault(draft.mark, message);
            }
            set.insert(spelling);
            owned.insert(spelling);
        }
    }
    owned
}

/// The headers in which some rule believes tokens: whoever sets one would take them from every request.
fn token_headers(drafts: &[Draft]) -> FoldedNames {
    let mut names = FoldedNames::default();
    let issuers = drafts.iter().flat_map(|draft| &draft.rule.authenticate).filter_map(Authenticator::issuer);
    for issuer in issuers {
        match &issuer.carried {
            Carried::Bearer | Carried::Cookie(_) => {}
            Carried::Header(name) => names.insert(name.as_str()),
        }
    }
    names
}
