//! Pieces of a rule's URL: cutting them, unrolling them, and putting them together as a regex.

use regex::Regex;

use super::dialect::{Piece, Scan, escaped};
use super::words::texts;

/// The most texts that pieces are unrolled to.
pub(super) const MOST: usize = 64;

/// Divides at the first `at` that stands in a literal, or in a dynamic piece outside of brackets and alternatives.
pub(super) fn cut(pieces: &[Piece], at: &str) -> Option<(Vec<Piece>, Vec<Piece>)> {
    for (number, piece) in pieces.iter().enumerate() {
        let (before, after) = match piece {
            Piece::Literal(text) => {
                let Some((before, after)) = text.split_once(at) else { continue };
                (Piece::Literal(before.to_owned()), Piece::Literal(after.to_owned()))
            }
            Piece::Dynamic(regex) => match cut_regex(regex, at) {
                Some((before, after)) => (Piece::Dynamic(before), Piece::Dynamic(after)),
                None => continue,
            },
        };
        let is_something =
            |piece: &Piece| !matches!(piece, Piece::Dynamic(text) | Piece::Literal(text) if text.is_empty());
        let before = pieces[..number].iter().cloned().chain([before]).filter(is_something).collect();
        let after = [after].into_iter().chain(pieces[number + 1..].iter().cloned()).filter(is_something).collect();
        return Some((before, after));
    }
    None
}

fn cut_regex(regex: &str, at: &str) -> Option<(String, String)> {
    let mut scan = Scan::default();
    let mut found = None;
    for (position, c) in regex.char_indices() {
        let is_free = scan.step(c) && scan.depth == 0;
        if is_free && c == '|' {
            return None;
        }
        if is_free && found.is_none() && regex[position..].starts_with(at) {
            found = Some(position);
        }
    }
    // A repetition behind it would be torn off what it repeats.
    let (before, after) = (&regex[..found?], &regex[found? + at.len()..]);
    (!after.starts_with(['*', '+', '?', '{'])).then(|| (before.to_owned(), after.to_owned()))
}

pub(super) fn is_everything(piece: &Piece) -> bool {
    matches!(piece, Piece::Dynamic(regex) if matches!(unnamed(regex).as_str(), ".*" | ".+"))
}

/// Whether a wildcard covers any labels, so that `*.` says as much.
pub(super) fn is_label(piece: &Piece) -> bool {
    matches!(piece, Piece::Dynamic(regex) if matches!(unnamed(regex).as_str(), ".*" | ".+" | "[^/]+" | "[^/]*"))
}

pub(super) fn crosses(piece: &Piece) -> bool {
    whole(std::slice::from_ref(piece)).is_some_and(|regex| regex.is_match("x/x") || regex.is_match("/"))
}

/// A regex without the names that captures were given.
pub(super) fn unnamed(regex: &str) -> String {
    let Some(inner) = regex.strip_prefix("(?P<cap").and_then(|rest| rest.split_once('>')).map(|(_, rest)| rest) else {
        return regex.to_owned();
    };
    // Only a group around the whole of it is taken away; those within may keep theirs.
    let mut scan = Scan::default();
    let end = inner.char_indices().find(|(_, c)| scan.step(*c) && *c == ')' && scan.depth < 0).map(|(at, _)| at);
    if end.is_some_and(|end| end + 1 == inner.len()) { inner[..inner.len() - 1].to_owned() } else { regex.to_owned() }
}

/// All pieces as one regex that matches the whole text.
pub(super) fn whole(pieces: &[Piece]) -> Option<Regex> {
    Regex::new(&format!(r"\A(?:{})\z", rendered(pieces))).ok()
}

pub(super) fn rendered(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => escaped(text),
            Piece::Dynamic(regex) if has_alternatives(regex) => format!("(?:{regex})"),
            Piece::Dynamic(regex) => regex.clone(),
        })
        .collect()
}

fn has_alternatives(regex: &str) -> bool {
    alternatives(regex).len() > 1 || regex.starts_with("(?i") || regex.starts_with("(?s") || regex.starts_with("(?m")
}

/// The alternatives of a regex, a group around all of them taken away.
pub(super) fn alternatives(regex: &str) -> Vec<&str> {
    let mut scan = Scan::default();
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c) in regex.char_indices() {
        if scan.step(c) && c == '|' && scan.depth == 0 {
            parts.push(&regex[start..at]);
            start = at + 1;
        }
    }
    parts.push(&regex[start..]);
    parts
}

/// Every text that the pieces stand for, where those are few.
pub(super) fn unrolled(pieces: &[Piece]) -> Option<Vec<String>> {
    pieces.iter().try_fold(vec![String::new()], |all, piece| {
        let own = match piece {
            Piece::Literal(text) => vec![text.clone()],
            Piece::Dynamic(regex) => texts(regex)?,
        };
        let all: Vec<String> = all.iter().flat_map(|one| own.iter().map(move |two| format!("{one}{two}"))).collect();
        (all.len() <= MOST).then_some(all)
    })
}
