//! Regexes that stand for a few texts only, and regexes that stay clear of some.

use std::collections::BTreeMap;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// The most texts that one regex is unrolled to.
const MOST: usize = 64;

/// A text that a regex matches. `ends`: nothing may follow it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) ends: bool,
}

/// Every text that a regex matches, where those are few.
pub(super) fn texts(regex: &str) -> Option<Vec<String>> {
    let words = words(regex)?;
    words.into_iter().map(|word| (!word.ends).then_some(word.text)).collect()
}

/// As [`texts`], for a regex that may end in `$`.
pub(super) fn words(regex: &str) -> Option<Vec<Word>> {
    let mut words = unrolled(&regex_syntax::parse(regex).ok()?)?;
    let mut seen = Vec::new();
    words.retain(|word| {
        let is_new = !seen.contains(word);
        seen.push(word.clone());
        is_new
    });
    Some(words)
}

fn unrolled(hir: &Hir) -> Option<Vec<Word>> {
    let word = |text: &str| Word { text: text.to_owned(), ends: false };
    let found = match hir.kind() {
        HirKind::Empty => vec![word("")],
        HirKind::Literal(literal) => vec![word(std::str::from_utf8(&literal.0).ok()?)],
        HirKind::Look(Look::End) => vec![Word { text: String::new(), ends: true }],
        HirKind::Look(_) => return None,
        HirKind::Class(Class::Unicode(class)) => {
            let size = class.iter().map(|range| range.end() as usize - range.start() as usize + 1).sum::<usize>();
            if size > 16 {
                return None;
            }
            class.iter().flat_map(|range| range.start()..=range.end()).map(|c| word(&c.to_string())).collect()
        }
        HirKind::Class(Class::Bytes(_)) => return None,
        HirKind::Capture(capture) => unrolled(&capture.sub)?,
        HirKind::Alternation(parts) => {
            let parts = parts.iter().map(unrolled).collect::<Option<Vec<_>>>()?;
            parts.into_iter().flatten().collect()
        }
        HirKind::Concat(parts) => {
            parts.iter().try_fold(vec![word("")], |words, part| follow(&words, &unrolled(part)?))?
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.filter(|max| *max <= 4)?;
            let once = unrolled(&repetition.sub)?;
            let mut run = vec![word("")];
            let mut all = if repetition.min == 0 { run.clone() } else { Vec::new() };
            for count in 1..=most {
                run = follow(&run, &once)?;
                if count >= repetition.min {
                    all.extend(run.clone());
                }
            }
            all
        }
    };
    (found.len() <= MOST).then_some(found)
}

fn follow(before: &[Word], after: &[Word]) -> Option<Vec<Word>> {
    let mut all = Vec::new();
    for one in before {
        for two in after {
            if one.ends && !two.text.is_empty() {
                // Nothing follows an end, so that this way matches nothing.
                continue;
            }
            all.push(Word { text: format!("{}{}", one.text, two.text), ends: one.ends || two.ends });
        }
    }
    (all.len() <= MOST).then_some(all)
}

/// What may follow a place that some texts must not begin at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tail {
    /// `.*`, or `.+` where it must not be empty.
    Any { empty: bool },
    /// `[^/]*` or `[^/]+`.
    Segment { empty: bool },
}

impl Tail {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            ".*" => Some(Self::Any { empty: true }),
            ".+" => Some(Self::Any { empty: false }),
            "[^/]*" => Some(Self::Segment { empty: true }),
            "[^/]+" => Some(Self::Segment { empty: false }),
            _ => None,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Any { .. } => "",
            Self::Segment { .. } => "/",
        }
    }

    fn rest(self) -> &'static str {
        match self {
            Self::Any { .. } => ".*",
            Self::Segment { .. } => "[^/]*",
        }
    }
}

/// The forbidden words as a tree of their characters.
#[derive(Default)]
struct Tree {
    children: BTreeMap<char, Self>,
    /// Whatever goes on from here is forbidden.
    forbidden: bool,
    /// Only ending here is.
    ends: bool,
}

/// A regex for what `tail` matches, but for texts that begin with one of `words`, or are one that `ends`.
///
/// This is `(?!words)tail` for an engine that does not look ahead. Nothing where every text is forbidden.
pub(super) fn avoiding(words: &[Word], tail: Tail) -> Option<String> {
    let mut tree = Tree::default();
    for word in words {
        let mut at = &mut tree;
        for c in word.text.chars() {
            at = at.children.entry(c).or_default();
        }
        if word.ends {
            at.ends = true;
            // The other gateway had cut the trailing slash that this one still sees.
            if matches!(tail, Tail::Any { .. }) {
                at.children.entry('/').or_default().ends = true;
            }
        } else {
            at.forbidden = true;
        }
    }
    let may_be_empty = match tail {
        Tail::Any { empty } | Tail::Segment { empty } => empty,
    };
    tree.ends |= !may_be_empty;
    tree.regex(tail)
}

impl Tree {
    fn regex(&self, tail: Tail) -> Option<String> {
        if self.forbidden {
            return None;
        }
        if self.children.is_empty() && !self.ends {
            return Some(tail.rest().to_owned());
        }
        let others = self.children.keys().map(|c| escaped_in_class(*c)).collect::<String>() + tail.class();
        let other = if others.is_empty() { ".".to_owned() } else { format!("[^{others}]") };
        let mut ways = vec![format!("{other}{}", tail.rest())];
        for (c, child) in &self.children {
            if let Some(rest) = child.regex(tail) {
                ways.push(format!("{}{rest}", super::dialect::escaped(&c.to_string())));
            }
        }
        let ways = ways.join("|");
        Some(if self.ends { format!("(?:{ways})") } else { format!("(?:{ways})?") })
    }
}

fn escaped_in_class(c: char) -> String {
    if matches!(c, '\\' | '[' | ']' | '^' | '-' | '&' | '~') { format!("\\{c}") } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_of_few_texts_is_unrolled() {
        for (regex, expected) in [
            ("baz|bar", Some(vec!["baz", "bar"])),
            ("https?", Some(vec!["http", "https"])),
            ("6660|6661", Some(vec!["6660", "6661"])),
            ("(a|b)c", Some(vec!["ac", "bc"])),
            (".*", None),
            ("[0-9]+", None),
            ("x$", None),
        ] {
            let mut found = texts(regex);
            let mut expected = expected.map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>());
            found.iter_mut().chain(&mut expected).for_each(|texts| texts.sort());
            assert_eq!(found, expected, "{regex}");
        }
    }

    #[test]
    fn what_avoids_words_matches_exactly_the_rest() {
        let avoid = |words_of: &str, tail: &str| {
            let regex = avoiding(&words(words_of).unwrap(), Tail::parse(tail).unwrap()).unwrap();
            regex::Regex::new(&format!(r"\A(?:{regex})\z")).unwrap()
        };
        for (words, tail, text, expected) in [
            ("admin", ".*", "admin", false),
            ("admin", ".*", "administrator-guide", false),
            ("admin", ".*", "admi", true),
            ("admin", ".*", "", true),
            ("admin", ".+", "", false),
            ("admin", ".*", "adm/in", true),
            ("admin", "[^/]+", "a/b", false),
            ("admin", "[^/]+", "adx", true),
            ("admin|login", ".*", "login/x", false),
            ("admin|login", ".*", "lodge", true),
            ("admin(/|$)", ".*", "admin", false),
            ("admin(/|$)", ".*", "admin/", false),
            ("admin(/|$)", ".*", "admin/x", false),
            ("admin(/|$)", ".*", "administrator", true),
            ("admin$", ".*", "admin/", false),
            ("admin$", ".*", "admin/x", true),
        ] {
            assert_eq!(avoid(words, tail).is_match(text), expected, "(?!{words}){tail} on {text:?}");
        }
    }
}
