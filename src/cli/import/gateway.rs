//! The configuration of ours that the import writes, and its compilation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};

use super::definitions::{Definitions, KEY};
use super::drafts::Upstream;
use super::handlers::{Access, Handled};
use super::listeners::Listeners;
use super::matching::PathText;
use super::mechanism::Kratos;
use super::overlap::Share;
use super::selfservice::SelfService;
use super::tokens::plain;
use super::yaml::{block, comment, list, scalar, value};
use super::{Notes, Verdict};
use crate::config::{Fault, Faults, Files, Options, compile};
use crate::decision::policy::Policy;
use crate::signing::keys::{KeyKind, SigningKey, generate, published};

/// What a Kratos is called that no rule names.
const NO_KRATOS: &str = "http://127.0.0.1:4433";

/// What the configuration is called while it is tried.
const CONFIG: &str = "portcullis.yaml";

/// All that is written.
pub(super) struct Gateway {
    pub(super) listeners: Listeners,
    pub(super) kratos: Kratos,
    pub(super) selfservice: SelfService,
    /// Where browsers may be sent; the first is written, and the next where that one is no good.
    pub(super) logins: Vec<String>,
    pub(super) definitions: Definitions,
    pub(super) rules: Vec<Rule>,
}

/// One rule of ours.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The position of Oathkeeper's rule that it was.
    pub(super) number: usize,
    pub(super) id: String,
    /// Its id in Oathkeeper.
    pub(super) called: String,
    pub(super) share: Share,
    pub(super) handled: Handled,
    pub(super) upstream: Option<Upstream>,
}

impl Gateway {
    /// The logins that rules redirect to, the most frequent first, and such as are there anyway.
    pub(super) fn find_logins(&mut self) {
        if !self.rules.iter().any(|rule| rule.handled.access == Access::Session) {
            return;
        }
        let mut counts = BTreeMap::<&str, usize>::new();
        for to in self.rules.iter().filter_map(|rule| rule.handled.login()) {
            *counts.entry(to).or_default() += 1;
        }
        let mut found = counts.into_iter().collect::<Vec<_>>();
        found.sort_by_key(|(to, count)| (std::cmp::Reverse(*count), *to));
        let mut logins = found.first().map(|(to, _)| (*to).to_owned()).into_iter().collect::<Vec<_>>();
        if let Some(prefix) = &self.selfservice.path_prefix {
            logins.push(format!("{prefix}/self-service/login/browser"));
        }
        if let Some(origin) = &self.kratos.origin {
            logins.push(format!("{origin}/self-service/login/browser"));
        }
        // Nobody is there, but nobody is sent in circles either.
        logins.push("https://login.invalid/".to_owned());
        self.logins = logins;
    }

    /// The text, once it compiles. What does not compile is taken out, and said.
    pub(super) fn compiled(&mut self, notes: &mut Notes) -> Result<(String, Policy), Faults> {
        let key = generate(KeyKind::Es256).unwrap_or_default();
        let keys = SigningKey::parse(key.as_bytes()).map(|key| published([&key]).to_string()).unwrap_or_default();
        loop {
            let yaml = self.yaml();
            // Keys are not ours to bring over: any will do to see whether the rest compiles.
            let read = |path: &Path| match path.to_str() {
                Some(CONFIG) => Ok(yaml.clone().into_bytes()),
                Some(KEY) => Ok(key.clone().into_bytes()),
                _ => Ok(keys.clone().into_bytes()),
            };
            let list = |_: &str| Ok(Vec::<PathBuf>::new());
            let files = Files { read: &read, list: &list };
            let options = Options { environment: &|_| None, ..Options::default() };
            match compile(Path::new(CONFIG), &files, &options) {
                Ok(config) => return Ok((yaml, config.policy)),
                Err(faults) => {
                    if !self.mend(&faults, notes) {
                        return Err(faults);
                    }
                }
            }
        }
    }

    /// Takes out what is faulty; whether anything could be.
    fn mend(&mut self, faults: &Faults, notes: &mut Notes) -> bool {
        let mut rules = BTreeSet::new();
        let mut mended = false;
        for fault in faults.iter() {
            let place = fault.path.strip_prefix("rules[").and_then(|rest| rest.split_once(']'));
            let Some((Ok(at), key)) = place.map(|(at, key)| (at.parse::<usize>(), key)) else {
                mended |= self.close_users(fault, notes);
                mended |= fault.path.starts_with("kratos.cors") && self.drop_cors(fault, notes);
                if fault.path.starts_with("login") && self.logins.len() > 1 && !mended {
                    let login = self.logins.remove(0);
                    let next = &self.logins[0];
                    notes.whole(
                        Verdict::Dropped,
                        format!("the login `{login}` cannot be kept: {}; browsers are sent to `{next}`", fault.message),
                    );
                    mended = true;
                }
                continue;
            };
            let Some(rule) = self.rules.get_mut(at) else { continue };
            match key.strip_prefix(".headers.") {
                Some(name) if rule.handled.headers.iter().any(|(own, _)| own == name) => {
                    notes.on(rule.number, Verdict::Dropped, format!("the header `{name}`: {}", fault.message));
                    let number = rule.number;
                    for rule in self.rules.iter_mut().filter(|rule| rule.number == number) {
                        rule.handled.headers.retain(|(own, _)| own != name);
                    }
                    mended = true;
                }
                None if key.starts_with(".on_refusal") && rule.handled.refusals.is_some() => {
                    let why = format!("how it refuses: {}; it is told as JSON", fault.message);
                    notes.on(rule.number, Verdict::Dropped, why);
                    rule.handled.refusals = None;
                    mended = true;
                }
                None if key.starts_with(".cors") && self.listeners.cors.is_some() => {
                    mended |= self.drop_cors(fault, notes);
                }
                None if key.starts_with(".rewrite") && rule.upstream.is_some() => {
                    // Without it, clients would reach other paths of the service than before.
                    let why = format!("{}; without `upstream` it answers decisions only", fault.message);
                    notes.on(rule.number, Verdict::Dropped, why);
                    rule.upstream = None;
                    mended = true;
                }
                None if rule.handled.access != Access::Deny
                    && [".authenticate", ".authorize", ".enrich", ".id_token", ".cookies"]
                        .iter()
                        .any(|part| key.starts_with(part)) =>
                {
                    rule.close(&fault.message, notes);
                    mended = true;
                }
                Some(_) | None => {
                    notes.on(rule.number, Verdict::Dropped, format!("`{}` is left out: {}", rule.id, fault.message));
                    rules.insert(at);
                }
            }
        }
        for at in rules.iter().rev() {
            self.rules.remove(*at);
        }
        mended || !rules.is_empty()
    }

    /// What pages of other origins may do cannot be said; whether it was said until now.
    fn drop_cors(&mut self, fault: &Fault, notes: &mut Notes) -> bool {
        let was_said = self.listeners.cors.take().is_some();
        if was_said {
            let why = format!("`serve.proxy.cors`: {}; say it in `cors` of the rules it is for", fault.message);
            notes.whole(Verdict::Dropped, why);
        }
        was_said
    }

    /// A definition is faulty: whoever uses it lets nobody pass.
    fn close_users(&mut self, fault: &Fault, notes: &mut Notes) -> bool {
        let mut parts = fault.path.split('.');
        let (name, users): (&str, &dyn Fn(&Handled) -> bool) = match (parts.next(), parts.next()) {
            (Some(section @ ("authenticators" | "authorizers" | "enrichers")), Some(name)) => {
                self.definitions.forget(section, name);
                (name, &move |handled| handled.uses(section, name))
            }
            (Some(section @ "id_token"), _) if self.definitions.issuer.take().is_some() => {
                (section, &|handled| handled.id_token.is_some())
            }
            _ => return false,
        };
        for rule in self.rules.iter_mut().filter(|rule| users(&rule.handled)) {
            rule.close(&format!("`{name}` cannot be said: {}", fault.message), notes);
        }
        true
    }

    fn yaml(&self) -> String {
        let mut yaml = String::from("# Brought over from Oathkeeper by `portcullis import oathkeeper`.\n");
        self.head(&mut yaml).and_then(|()| self.rules(&mut yaml)).unwrap_or(());
        yaml
    }

    fn head(&self, yaml: &mut String) -> std::fmt::Result {
        if let Some(address) = self.listeners.proxy {
            writeln!(yaml, "listen:\n  address: '{address}'")?;
        }
        if let Some(address) = self.listeners.ops {
            writeln!(yaml, "ops:\n  address: '{address}'")?;
        }
        if self.kratos.origin.is_none() {
            writeln!(yaml, "# No rule asks Kratos: this is a guess.")?;
        }
        writeln!(yaml, "kratos:\n  url: {}", value(self.kratos.origin.as_deref().unwrap_or(NO_KRATOS)))?;
        match &self.selfservice.path_prefix {
            None => writeln!(yaml, "  serve: false")?,
            Some(prefix) => {
                if !self.selfservice.hosts.is_empty() {
                    writeln!(yaml, "  hosts: {}", list(&self.selfservice.hosts))?;
                }
                if !prefix.is_empty() {
                    writeln!(yaml, "  path_prefix: {}", value(prefix))?;
                }
                if let Some(cors) = &self.listeners.cors {
                    write!(yaml, "  cors:\n{}", block(cors, 4))?;
                }
            }
        }
        if !self.kratos.cookies.is_empty() {
            let names = self.kratos.cookies.iter().collect::<Vec<_>>();
            writeln!(yaml, "  session_cookie: {}", list(&names))?;
        }
        let sources = [
            (self.kratos.session_token, "session_token"),
            (self.kratos.cookie, "cookie"),
            (self.kratos.bearer, "bearer"),
        ];
        let sources = sources.iter().filter(|(is_used, _)| *is_used).map(|(_, name)| *name).collect::<Vec<_>>();
        if !sources.is_empty() {
            writeln!(yaml, "  credentials: [{}]", sources.join(", "))?;
        }
        if let Some(login) = self.logins.first() {
            writeln!(yaml, "login:\n  url: {}", value(login))?;
        }
        for (section, definitions) in self.used().sections() {
            write!(yaml, "{section}:\n{}", block(&definitions, 2))?;
        }
        Ok(())
    }

    /// What any rule uses; of a rule that was closed or left out nothing is left over.
    fn used(&self) -> Definitions {
        let is_used = |section: &str, name: &str| self.rules.iter().any(|rule| rule.handled.uses(section, name));
        let mut used = self.definitions.clone();
        used.authenticators.retain(|(name, _)| is_used("authenticators", name));
        used.authorizers.retain(|(name, _)| is_used("authorizers", name));
        used.enrichers.retain(|(name, _)| is_used("enrichers", name));
        used.issuer = used.issuer.filter(|_| self.rules.iter().any(|rule| rule.handled.id_token.is_some()));
        used
    }

    fn rules(&self, yaml: &mut String) -> std::fmt::Result {
        writeln!(yaml, "rules:{}", if self.rules.is_empty() { " []" } else { "" })?;
        for rule in &self.rules {
            rule.write(yaml, self.logins.first().map(String::as_str))?;
            if let Some(cors) = &self.listeners.cors {
                write!(yaml, "    cors:\n{}", block(cors, 6))?;
            }
        }
        Ok(())
    }
}

impl Rule {
    fn close(&mut self, why: &str, notes: &mut Notes) {
        let told = self.handled.remarks.len();
        self.handled.closed(why);
        for (verdict, remark) in self.handled.remarks.drain(told..) {
            notes.on(self.number, verdict, remark);
        }
    }

    fn write(&self, yaml: &mut String, login: Option<&str>) -> std::fmt::Result {
        if self.id != self.called {
            writeln!(yaml, "  # {}", comment(&self.called))?;
        }
        writeln!(yaml, "  - id: {}\n    match:", value(&self.id))?;
        let share = &self.share;
        if !share.hosts.is_empty() {
            writeln!(yaml, "      hosts: {}", list(&share.hosts))?;
        }
        if share.http != share.https {
            writeln!(yaml, "      schemes: [{}]", if share.https { "https" } else { "http" })?;
        }
        writeln!(yaml, "      methods: {}", list(&share.methods.iter().collect::<Vec<_>>()))?;
        writeln!(yaml, "      paths:")?;
        for path in &share.paths {
            match path {
                PathText::Pattern(text) => writeln!(yaml, "        - {}", value(text))?,
                PathText::Regex(text) => writeln!(yaml, "        - regex: {}", value(text))?,
            }
        }
        let handled = &self.handled;
        // A session alone is what is looked for anyway.
        if !matches!(handled.authenticate.as_slice(), [] | [serde_json::Value::String(_)])
            || handled.authenticate.first().is_some_and(|one| one != "session")
        {
            write!(yaml, "    authenticate:\n{}", block(&json!(handled.authenticate), 6))?;
        }
        writeln!(yaml, "    access: {}", handled.access.word())?;
        if !handled.enrich.is_empty() {
            writeln!(yaml, "    enrich: {}", list(&handled.enrich))?;
        }
        if !handled.when.is_empty() {
            let when = match handled.when.as_slice() {
                [one] => one.clone(),
                all => all.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" && "),
            };
            writeln!(yaml, "    require:\n      when: {}", scalar(&when))?;
        }
        if !handled.authorize.is_empty() {
            write!(yaml, "    authorize:\n{}", block(&json!(handled.authorize), 6))?;
        }
        for (key, entries) in [("headers", &handled.headers), ("cookies", &handled.cookies)] {
            if !entries.is_empty() {
                writeln!(yaml, "    {key}:")?;
            }
            for (name, template) in entries {
                writeln!(yaml, "      {}: {}", scalar(name), scalar(template))?;
            }
        }
        if let Some(token) = &handled.id_token {
            write!(yaml, "    id_token:\n{}", block(token, 6))?;
        }
        if handled.forward_credentials {
            writeln!(yaml, "    forward_credentials: true")?;
        }
        if let Some(refusals) = &handled.refusals {
            match (refusals.word, refusals.login.as_deref()) {
                (Some("json"), _) if handled.access == Access::Deny => {}
                (Some("auto"), to) if to == login => {}
                (Some("json"), _) => writeln!(yaml, "    on_refusal: json")?,
                _ => write!(yaml, "    on_refusal:\n{}", block(&json!(refusals.list), 6))?,
            }
        }
        if let Some(upstream) = &self.upstream {
            upstream.write(yaml)?;
        }
        Ok(())
    }
}

impl Upstream {
    fn write(&self, yaml: &mut String) -> std::fmt::Result {
        let mut rewrite = Map::new();
        for (key, prefix) in [("strip_prefix", &self.strip_prefix), ("add_prefix", &self.add_prefix)] {
            if !prefix.is_empty() {
                rewrite.insert(key.to_owned(), json!(plain(prefix)));
            }
        }
        if !self.keeps_host {
            rewrite.insert("host".to_owned(), json!("upstream"));
        }
        if !rewrite.is_empty() {
            write!(yaml, "    rewrite:\n{}", block(&json!(rewrite), 6))?;
        }
        writeln!(yaml, "    upstream: {}", value(&self.url))
    }
}
