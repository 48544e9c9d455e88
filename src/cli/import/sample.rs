//! Texts that a regex matches, as examples.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The most examples of one regex.
const MOST: usize = 6;

/// Characters that are good to read in an example.
const NICE: [char; 5] = ['x', '1', 'X', '-', '.'];

/// A few texts that `regex` matches, the plainest one first.
pub(super) fn samples(regex: &str) -> Vec<String> {
    let (Ok(hir), Ok(compiled)) = (regex_syntax::parse(regex), regex::Regex::new(regex)) else { return Vec::new() };
    let mut samples = (0..MOST).map(|turn| sample(&hir, turn)).collect::<Vec<_>>();
    samples.dedup();
    samples.retain(|text| compiled.is_match(text));
    samples
}

fn sample(hir: &Hir, turn: usize) -> String {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => String::new(),
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).into_owned(),
        HirKind::Class(Class::Unicode(class)) => {
            let has = |c: &char| class.iter().any(|range| (range.start()..=range.end()).contains(c));
            let letters = 'a'..='z';
            let nice = NICE.into_iter().chain(letters).filter(has).collect::<Vec<_>>();
            let nice = nice.get(turn % nice.len().max(1)).copied();
            nice.or_else(|| class.iter().next().map(|range| range.start())).map(String::from).unwrap_or_default()
        }
        HirKind::Class(Class::Bytes(_)) => String::new(),
        HirKind::Capture(capture) => sample(&capture.sub, turn),
        HirKind::Concat(parts) => parts.iter().map(|part| sample(part, turn)).collect(),
        HirKind::Alternation(parts) => parts.get(turn % parts.len()).map(|part| sample(part, turn)).unwrap_or_default(),
        HirKind::Repetition(repetition) => {
            // Once where it may be left out, as wildcards are; a slash that may be there is left out.
            let once = sample(&repetition.sub, turn);
            let least = if repetition.min == 0 && once == "/" { 0 } else { repetition.min.max(1) };
            once.repeat(usize::try_from(least.min(64)).unwrap_or(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_matched_by_their_regex() {
        for (regex, first) in [
            ("^/users/[0-9]+/?$", Some("/users/1")),
            ("^/(?:a|b)/x$", Some("/a/x")),
            ("^/.*$", Some("/x")),
            ("^/[a-z]{3}$", Some("/xxx")),
            ("^[^\\s\\S]$", None),
        ] {
            assert_eq!(samples(regex).first().map(String::as_str), first, "{regex}");
        }
    }
}
