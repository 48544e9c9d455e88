//! The configuration of ours that the import writes, and its compilation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::handlers::{Access, Handled};
use super::listeners::Listeners;
use super::matching::PathText;
use super::mechanism::Kratos;
use super::overlap::Share;
use super::selfservice::SelfService;
use super::yaml::{comment, list, scalar, value};
use super::{Notes, Verdict};
use crate::config::{Faults, Files, Options, compile};
use crate::decision::policy::Policy;

/// What a Kratos is called that no rule names.
const NO_KRATOS: &str = "http://127.0.0.1:4433";

/// All that is written.
pub(super) struct Gateway {
    pub(super) listeners: Listeners,
    pub(super) kratos: Kratos,
    pub(super) selfservice: SelfService,
    /// Where browsers may be sent; the first is written, and the next where that one is no good.
    pub(super) logins: Vec<String>,
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
    pub(super) upstream: Option<String>,
}

impl Gateway {
    /// The logins that rules redirect to, the most frequent first, and such as are there anyway.
    pub(super) fn find_logins(&mut self) {
        if !self.rules.iter().any(|rule| rule.handled.access == Access::Session) {
            return;
        }
        let mut counts = BTreeMap::<&str, usize>::new();
        for to in self.rules.iter().filter_map(|rule| rule.handled.redirect.as_deref()) {
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
        for number in self.rules.iter().map(|rule| rule.number).collect::<BTreeSet<_>>() {
            let of_rule = self.rules.iter().find(|rule| rule.number == number);
            let to = of_rule.and_then(|rule| rule.handled.redirect.clone());
            if let (Some(to), Some(login)) = (to, self.logins.first())
                && to != *login
            {
                notes.on(
                    number,
                    Verdict::Dropped,
                    format!("it redirected to `{to}`; all rules share `login.url`, `{login}`"),
                );
            }
        }
        loop {
            let yaml = self.yaml();
            let read = |_: &Path| Ok(yaml.clone().into_bytes());
            let list = |_: &str| Ok(Vec::<PathBuf>::new());
            let files = Files { read: &read, list: &list };
            let options = Options { environment: &|_| None, ..Options::default() };
            match compile(Path::new("portcullis.yaml"), &files, &options) {
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
                _ => {
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
        Ok(())
    }

    fn rules(&self, yaml: &mut String) -> std::fmt::Result {
        writeln!(yaml, "rules:{}", if self.rules.is_empty() { " []" } else { "" })?;
        for rule in &self.rules {
            rule.write(yaml)?;
        }
        Ok(())
    }
}

impl Rule {
    fn write(&self, yaml: &mut String) -> std::fmt::Result {
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
        writeln!(yaml, "    access: {}", handled.access.word())?;
        if !handled.when.is_empty() {
            let when = match handled.when.as_slice() {
                [one] => one.clone(),
                all => all.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" && "),
            };
            writeln!(yaml, "    require:\n      when: {}", scalar(&when))?;
        }
        if !handled.headers.is_empty() {
            writeln!(yaml, "    headers:")?;
            for (name, template) in &handled.headers {
                writeln!(yaml, "      {}: {}", scalar(name), scalar(template))?;
            }
        }
        if let Some(on_refusal) = handled.on_refusal.filter(|on_refusal| *on_refusal != "auto") {
            writeln!(yaml, "    on_refusal: {on_refusal}")?;
        }
        if let Some(upstream) = &self.upstream {
            writeln!(yaml, "    upstream: {}", value(upstream))?;
        }
        Ok(())
    }
}
