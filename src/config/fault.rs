//! What is wrong with a configuration, told so that it can be mended: place, key, snippet and a suggestion.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::config::node::Mark;
use crate::config::source::Source;

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    pub file: PathBuf,
    /// From 1; 0 where the fault is the whole file's.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The key, like `rules[2].match.paths[0]`; empty where the fault is the whole file's.
    pub path: String,
    pub message: String,
    pub suggestion: Option<String>,
    /// The line of the file, secrets masked.
    pub snippet: Option<String>,
}

impl Fault {
    /// A fault of a whole file.
    pub(crate) fn whole(file: &Path, message: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message: message.to_owned(),
            suggestion: None,
            snippet: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)?;
        if let Some(snippet) = &self.snippet {
            let number = self.line.to_string();
            let margin = " ".repeat(number.len());
            let (shown, indent) = excerpt(snippet, self.column);
            write!(f, "\n  {number} | {shown}\n  {margin} | {}^", " ".repeat(indent))?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  help: {suggestion}")?;
        }
        Ok(())
    }
}

/// The most of a line that is shown: minified files have lines of megabytes.
const EXCERPT: usize = 160;

/// The part of `line` around `column`, and how far into it the caret stands. Tabs are shown as one space each.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let at = column.saturating_sub(1);
    let from = if at < EXCERPT { 0 } else { at - EXCERPT / 2 };
    let shown = line.chars().skip(from).take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (shown, at - from)
}

/// All that is wrong, in the order of the files; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Nothing where there is no fault.
    pub fn new(faults: Vec<Fault>) -> Option<Self> {
        (!faults.is_empty()).then_some(Self(faults))
    }

    pub(crate) fn of(fault: Fault) -> Self {
        Self(vec![fault])
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }

    /// Where the faults are, and nothing of what is written there: it may hold secrets.
    pub fn places(&self) -> String {
        let places = self.0.iter().map(|fault| {
            let file = fault.file.display();
            format!("{file}:{}:{} {}", fault.line, fault.column, fault.path)
        });
        places.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 fault"),
            count => write!(f, "{count} faults"),
        }
    }
}

impl std::error::Error for Faults {}

/// What a compilation found so far.
#[derive(Default)]
pub(crate) struct Report {
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
}

struct Finding {
    mark: Mark,
    message: String,
    suggestion: Option<String>,
}

impl Report {
    pub(crate) fn fault(&mut self, mark: Mark, message: impl Into<String>) {
        self.faults.push(Finding { mark, message: message.into(), suggestion: None });
    }

    pub(crate) fn fault_with(&mut self, mark: Mark, message: impl Into<String>, suggestion: Option<String>) {
        self.faults.push(Finding { mark, message: message.into(), suggestion });
    }

    pub(crate) fn warn(&mut self, mark: Mark, message: impl Into<String>, suggestion: Option<String>) {
        self.warnings.push(Finding { mark, message: message.into(), suggestion });
    }

    /// How many faults there are so far.
    pub(crate) fn count(&self) -> usize {
        self.faults.len()
    }

    /// Takes over what another report found.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.warnings.extend(other.warnings);
    }

    /// Faults and warnings in the order of the files, with everything a person needs to find them.
    pub(crate) fn finish(self, sources: &[Source]) -> (Option<Faults>, Vec<Fault>) {
        let wanted = self.faults.iter().chain(&self.warnings).map(|finding| finding.mark.node);
        let mut paths = wanted.map(|node| (node, String::new())).collect::<HashMap<_, _>>();
        for source in sources {
            source.name_paths(&mut paths);
        }
        let any = !self.faults.is_empty() || !self.warnings.is_empty();
        let sources_told = if any { sources } else { &[] };
        let lines = sources_told.iter().map(|source| source.text.lines().collect()).collect::<Vec<Vec<&str>>>();
        let describe = |mut findings: Vec<Finding>| {
            findings.sort_by_key(|finding| (finding.mark.file, finding.mark.line, finding.mark.column));
            findings.into_iter().map(|finding| describe(finding, sources, &lines, &paths)).collect::<Vec<_>>()
        };
        (Faults::new(describe(self.faults)), describe(self.warnings))
    }
}

fn describe(finding: Finding, sources: &[Source], lines: &[Vec<&str>], paths: &HashMap<u32, String>) -> Fault {
    let Finding { mark, message, suggestion } = finding;
    let source = sources.get(mark.file as usize);
    let line = (mark.line as usize).checked_sub(1).and_then(|above| lines.get(mark.file as usize)?.get(above));
    Fault {
        file: source.map(|source| source.name.clone()).unwrap_or_default(),
        line: mark.line as usize,
        column: mark.column as usize,
        path: paths.get(&mark.node).cloned().unwrap_or_default(),
        message: mask(&message),
        suggestion,
        snippet: line.map(|line| mask(line)),
    }
}

/// Hides what follows `token:`, `password:` and `authorization:`, and the user information of URLs, character by character
/// so that carets stay in place.
/// What is taken from the environment is not in the text and stays readable.
fn mask(text: &str) -> String {
    static SECRET: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?:\b(?:token|password|[Aa]uthorization)["']?\s*:\s*)(?<token>["']?(?:[^\s"'$]|\$[^{])[^\n]*)|://(?<user>[^/\s@"'`]+)@"#)
            .expect("the expression is constant and tested")
    });
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for captures in SECRET.captures_iter(text) {
        if let Some(secret) = captures.name("token").or_else(|| captures.name("user")) {
            masked.push_str(&text[from..secret.start()]);
            masked.extend(secret.as_str().chars().map(|_| '*'));
            from = secret.end();
        }
    }
    masked.push_str(&text[from..]);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_line_are_masked_in_place() {
        for (line, masked) in [
            ("token: hunter2", "token: *******"),
            ("ops: { token: 'hunter2', address: x }", "ops: { token: ***********************"),
            ("ops: {\"token\": \"hunter2\"}", "ops: {\"token\": **********"),
            ("token: \"${OPS_TOKEN:-}\"", "token: \"${OPS_TOKEN:-}\""),
            ("token: ${OPS_TOKEN}", "token: ${OPS_TOKEN}"),
            ("token: $ecret", "token: ******"),
            ("token: \"$ecret\"", "token: ********"),
            ("url: http://me:pass@kratos/", "url: http://*******@kratos/"),
            ("session_token: x", "session_token: x"),
            ("password: hunter2 }", "password: *********"),
            ("authorization: Bearer ${TOKEN}", "authorization: ***************"),
            ("authorization: ${TOKEN}", "authorization: ${TOKEN}"),
        ] {
            assert_eq!(mask(line), masked);
        }
    }

    #[test]
    fn a_long_line_is_shown_around_the_caret() {
        let line = format!("{}x{}", "a".repeat(1000), "b".repeat(1000));
        let (shown, indent) = excerpt(&line, 1001);
        assert_eq!(shown.chars().nth(indent), Some('x'));
        assert_eq!(shown.len(), EXCERPT);
    }
}
