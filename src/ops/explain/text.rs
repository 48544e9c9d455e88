//! The explanation as people read it.

use std::fmt;

use crate::decision::authenticate::Authenticator;
use crate::decision::refusal::Refusal;
use crate::decision::rule::Access;
use crate::decision::rule::Rule;
use crate::ops::explain::Change;
use crate::ops::explain::Explanation;
use crate::ops::explain::Outcome;
use crate::ops::rules;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut label = Label::new("rule");
        match &self.rule {
            Some(rule) => {
                let upstream = rules::upstream(rule).unwrap_or("none: it answers decisions only");
                writeln!(f, "{label}{} (access {}, upstream {upstream})", rule.id, rules::access(rule))?;
                label = Label::new("asked");
                let is_preflight = matches!(self.outcome, Outcome::Preflight);
                writeln!(f, "{label}{}", if is_preflight { "nothing".to_owned() } else { asked(rule) })?;
            }
            None => writeln!(f, "{label}none")?,
        }
        label = Label::new("captures");
        for (name, value) in &self.captures {
            writeln!(f, "{label}{name} = {value}")?;
            label = Label::NONE;
        }
        label = Label::new("decision");
        match &self.outcome {
            Outcome::Ask(None) => writeln!(f, "{label}ask: it rests on who asks")?,
            Outcome::Ask(Some(service)) => writeln!(f, "{label}ask: it rests on what `{}` says", service.name)?,
            Outcome::Permit => writeln!(f, "{label}permit")?,
            Outcome::Preflight => writeln!(f, "{label}answer: 204, for a preflight goes no further")?,
            Outcome::Refuse(refusal) => {
                write!(f, "{label}refuse: {} {}", refusal.status().as_u16(), refusal.id())?;
                if let Refusal::Ambiguous(ambiguous) = refusal {
                    write!(f, " ({ambiguous})")?;
                } else if let Refusal::MethodNotListed(allow) = refusal
                    && !allow.is_empty()
                {
                    write!(f, " (allowed: {})", String::from_utf8_lossy(allow.as_bytes()))?;
                }
                writeln!(f)?;
            }
        }
        label = Label::new("edits");
        for edit in &self.edits {
            match edit {
                Change::Remove(name) => writeln!(f, "{label}remove {name}")?,
                Change::Set(name, value) => writeln!(f, "{label}set {name}: {value}")?,
            }
            label = Label::NONE;
        }
        label = Label::new("others");
        for other in &self.others {
            writeln!(f, "{label}{}: {}", other.rule, other.why)?;
            label = Label::NONE;
        }
        if self.more > 0 {
            writeln!(f, "{label}and {} more", self.more)?;
        }
        Ok(())
    }
}

/// Whom the rule would have the gateway ask.
pub(super) fn asked(rule: &Rule) -> String {
    let services = rule.services().map(|service| format!("`{}`", service.name)).collect::<Vec<_>>().join(", ");
    let mut kratos = if rule.takes_sessions() || !rule.asks_who() { asked_of_kratos(rule) } else { String::new() };
    for issuer in rule.authenticate.iter().filter_map(Authenticator::issuer).filter(|_| rule.asks_who()) {
        let separator = if kratos.is_empty() { "" } else { "; or " };
        kratos.push_str(&format!("{separator}`{}`, about a token", issuer.name));
    }
    if services.is_empty() { kratos } else { format!("{kratos}; then {services}") }
}

fn asked_of_kratos(rule: &Rule) -> String {
    match &rule.access {
        Access::Deny | Access::Public => "nothing".to_owned(),
        Access::Optional { .. } => "Kratos, where the request carries a credential".to_owned(),
        Access::Session(demands) => match demands.checked_within {
            Some(within) if within.is_zero() => "Kratos, for this very request".to_owned(),
            Some(within) => format!("Kratos, unless its last answer is younger than {within:?}"),
            None => "Kratos, unless its answer is cached".to_owned(),
        },
    }
}

/// What a line is about; the further lines about the same are indented alike.
struct Label(&'static str);

impl Label {
    const NONE: Self = Self("");

    fn new(text: &'static str) -> Self {
        Self(text)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10}", self.0)
    }
}
