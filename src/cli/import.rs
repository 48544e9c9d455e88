//! `import oathkeeper`: Oathkeeper's configuration and rules as ours, and what changed its meaning on the way.
//!
//! What cannot be said here never becomes more open: such a rule is written with `access: deny`, or left out, and a
//! note says so.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Faults;

mod callers;
mod definitions;
mod dialect;
mod documents;
mod drafts;
mod expression;
mod gateway;
mod handlers;
mod listeners;
mod matching;
mod mechanism;
mod notes;
mod overlap;
mod paths;
mod pieces;
mod refusals;
mod remote;
mod sample;
mod selfservice;
mod shape;
pub(crate) mod source;
mod starter;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod words;
mod yaml;

use definitions::Definitions;
use drafts::{Draft, draft, free, ids, upstream};
use gateway::{Gateway, Rule};
use mechanism::Kratos;
use notes::{Notes, customs};
use overlap::{Claim, shares};
use source::{OathConfig, OathRule, Reader};

/// What became of a rule, or of a part of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verdict {
    /// It means what it meant.
    Kept,
    /// It means something else, on purpose.
    Improved,
    /// It cannot be said here.
    Dropped,
}

/// One thing to know about the import.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Note {
    /// The id in Oathkeeper; absent for what concerns the whole.
    pub(crate) rule: Option<String>,
    /// File and line of the rule.
    pub(crate) place: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
}

/// Oathkeeper's rules, brought over.
#[derive(Debug)]
pub(crate) struct Imported {
    /// Our configuration. It compiles.
    pub(crate) yaml: String,
    /// In the order of the rules; every rule has at least one.
    pub(crate) notes: Vec<Note>,
    /// A file for `portcullis test`, with one test for each rule of ours.
    pub(crate) starter_tests: String,
}

/// Why nothing was brought over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// Oathkeeper's files cannot be read.
    #[error("{0}")]
    Faults(#[from] Faults),
    #[error(
        "there are no rules: name them with --rules, or a configuration whose `access_rules.repositories` has files"
    )]
    NoRules,
    /// A defect of ours.
    #[error("what was made of these rules is no configuration: {0}")]
    Uncompilable(Faults),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Improved => "improved on purpose",
            Self::Dropped => "dropped",
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match &self.rule {
            Some(rule) => write!(f, "rule `{rule}`: ")?,
            None => f.write_str("everywhere: ")?,
        }
        write!(f, "{}: {}", self.verdict, self.reason)
    }
}

impl Imported {
    /// 0 where everything was kept or improved on purpose, 3 where something was dropped.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.notes.iter().any(|note| note.verdict == Verdict::Dropped) { 3 } else { 0 }
    }
}

/// Brings over the rules of `rules`, or of the repositories that the configuration names.
///
/// # Errors
/// Where a file cannot be read or there is no rule in any.
pub(crate) fn import(config: Option<&Path>, rules: &[PathBuf]) -> Result<Imported, ImportError> {
    let mut reader = Reader::new();
    let config = config.map(|path| (path, reader.config(path)));
    let mut notes = Notes::default();
    let (folder, config) = match config {
        Some((path, config)) => (path.parent().unwrap_or_else(|| Path::new("")).to_owned(), config),
        None => (PathBuf::new(), OathConfig::default()),
    };
    let mut found = Vec::new();
    if rules.is_empty() {
        for repository in &config.repositories {
            found.extend(notes.repository(&mut reader, repository, &folder, &config));
        }
    } else {
        for path in rules {
            found.extend(reader.rules(path, &config));
        }
    }
    reader.finish()?;
    if found.is_empty() && notes.are_none() {
        return Err(ImportError::NoRules);
    }
    translate(&config, &found, notes)
}

fn translate(config: &OathConfig, rules: &[OathRule], mut notes: Notes) -> Result<Imported, ImportError> {
    let kratos = Kratos::of(rules, config);
    let mut definitions = Definitions::default();
    let mut drafts = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        for key in &rule.unknown {
            notes.on(
                number,
                Verdict::Improved,
                format!("Oathkeeper ignored the unknown key `{key}`, and so does this"),
            );
        }
        drafts.extend(draft(number, rule, config, &kratos, &mut definitions, &mut notes));
    }
    let selfservice = selfservice::take(&mut drafts, rules, &kratos, &mut notes);
    let ids = ids(rules);
    let claims = drafts.iter().map(|draft| claim(draft, &ids)).collect::<Vec<_>>();
    let (shares, remarks) = shares(&claims);
    for (claim, verdict, reason) in remarks {
        notes.on(drafts[claim].number, verdict, reason);
    }
    let mut taken = ids.iter().cloned().collect::<HashSet<_>>();
    let mut seen = HashSet::new();
    let written = shares.into_iter().map(|share| {
        let draft = &drafts[share.claim];
        let id = &ids[draft.number];
        let id = if seen.insert(draft.number) { id.clone() } else { free(id, &mut taken) };
        let rule = &rules[draft.number];
        let upstream = upstream(&rule.upstream).ok().flatten();
        Rule { number: draft.number, id, called: rule.id.clone(), share, handled: draft.handled.clone(), upstream }
    });
    let mut gateway = Gateway {
        listeners: listeners::listeners(&config.serve, &mut notes),
        kratos,
        selfservice,
        logins: Vec::new(),
        definitions,
        rules: written.collect(),
    };
    gateway.find_logins();
    customs(rules, &gateway, &mut notes);
    let (yaml, policy) = gateway.compiled(&mut notes).map_err(ImportError::Uncompilable)?;
    let starter_tests = starter::tests(&gateway, &policy);
    Ok(Imported { yaml, starter_tests, notes: notes.finish(rules) })
}

fn claim(draft: &Draft, ids: &[String]) -> Claim {
    Claim {
        id: ids[draft.number].clone(),
        access: draft.handled.access,
        demands: draft.handled.demands(),
        http: draft.matching.http,
        https: draft.matching.https,
        hosts: draft.matching.hosts.clone(),
        paths: draft.matching.paths.clone(),
        methods: draft.methods.clone(),
    }
}
