//! Paths that are compared: which of them certainly holds another.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::dialect::escaped;
use super::matching::PathText;
use super::sample::samples;
use crate::decision::pattern::{PathPattern, Segment, Segments};

/// What is known of a path for comparing it.
#[derive(Clone)]
pub(super) enum Shape {
    Regex {
        regex: regex::Regex,
        /// Whole literal segments that every match begins with.
        prefix: Vec<String>,
        samples: Vec<String>,
        /// Behind the prefix there is but one segment.
        is_one_more: bool,
    },
    Segments(Segments),
    /// Segments that had to become a regex.
    WasSegments(Segments),
}

pub(super) fn shape(path: &PathText) -> Option<Shape> {
    match (path.parse().ok()?, path) {
        (PathPattern::Segments(segments), _) => Some(Shape::Segments(segments)),
        (PathPattern::Regex(_), PathText::Regex(text) | PathText::Pattern(text)) => Some(Shape::Regex {
            regex: regex::Regex::new(&format!(r"\A(?:{text})\z")).ok()?,
            is_one_more: is_one_more(text),
            prefix: prefix(text),
            samples: samples(text),
        }),
    }
}

/// The whole literal segments that every match of a regex begins with.
pub(super) fn prefix(regex: &str) -> Vec<String> {
    let Ok(hir) = regex_syntax::parse(regex) else { return Vec::new() };
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(&hir),
    };
    let mut text = String::new();
    for part in parts {
        match part.kind() {
            HirKind::Look(_) => {}
            HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
            _ => break,
        }
    }
    let mut segments = text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
    segments.pop();
    segments
}

/// The regex that says the same as a pattern.
pub(super) fn regex_of(segments: &Segments) -> String {
    let mut regex = String::from("^");
    for segment in segments.iter() {
        regex.push('/');
        match segment {
            Segment::Any => regex.push_str("[^/]+"),
            Segment::Capture(name) => regex.push_str(&format!("(?P<{name}>[^/]+)")),
            Segment::Literal(text) => regex.push_str(&escaped(text)),
        }
    }
    regex.push_str(match (segments.covers_below(), segments.iter().next()) {
        (true, None) => "/.*$",
        (true, Some(_)) => "(?:/.*)?$",
        (false, None) => "/$",
        (false, Some(_)) => "/?$",
    });
    regex
}

/// Whether every path of `inner` certainly is one of `outer`.
pub(super) fn covers(outer: &Shape, inner: &Shape) -> bool {
    match (outer, inner) {
        (Shape::Segments(outer) | Shape::WasSegments(outer), Shape::Segments(inner) | Shape::WasSegments(inner)) => {
            outer.covers(inner)
        }
        (Shape::Segments(outer) | Shape::WasSegments(outer), Shape::Regex { regex, prefix, is_one_more, .. }) => {
            let before = prefix.iter().map(|segment| format!("/{segment}")).collect::<String>();
            // Neither the bare prefix nor its slash match: there is one more segment at least.
            let has_more = !regex.is_match(&before) && !regex.is_match(&format!("{before}/"));
            let certain = prefix.iter().map(Some).chain(has_more.then_some(None));
            let needed = outer.iter().count();
            let is_as_long = *is_one_more && has_more && needed == prefix.len() + 1;
            (is_as_long || outer.covers_below())
                && needed <= prefix.len() + usize::from(has_more)
                && outer.iter().zip(certain).all(|(wanted, known)| match (wanted, known) {
                    (Segment::Literal(wanted), Some(known)) => **wanted == **known,
                    (Segment::Literal(_), None) => false,
                    (Segment::Any | Segment::Capture(_), _) => true,
                })
        }
        (Shape::Regex { regex, .. }, Shape::Segments(inner) | Shape::WasSegments(inner)) => {
            let mut text = String::new();
            let is_literal = inner.iter().all(|segment| match segment {
                Segment::Literal(literal) => {
                    text.push('/');
                    text.push_str(literal);
                    true
                }
                Segment::Any | Segment::Capture(_) => false,
            });
            let text = if text.is_empty() { "/" } else { &text };
            is_literal && !inner.covers_below() && regex.is_match(text)
        }
        (Shape::Regex { regex: outer, .. }, Shape::Regex { regex: inner, .. }) => outer.as_str() == inner.as_str(),
    }
}

/// Whether no match of a regex reaches beyond one segment behind its prefix.
fn is_one_more(regex: &str) -> bool {
    let before = prefix(regex).iter().map(|segment| format!("/{}", escaped(segment))).collect::<String>();
    let rest = regex.strip_prefix('^').and_then(|rest| rest.strip_prefix(&before)?.strip_prefix('/'));
    let rest = rest.and_then(|rest| rest.strip_suffix("/?$"));
    rest.and_then(|rest| regex_syntax::parse(rest).ok()).is_some_and(|hir| !may_have_slash(&hir))
}

fn may_have_slash(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.contains(&b'/'),
        HirKind::Class(Class::Unicode(class)) => class.iter().any(|range| (range.start()..=range.end()).contains(&'/')),
        HirKind::Class(Class::Bytes(_)) => true,
        HirKind::Repetition(repetition) => may_have_slash(&repetition.sub),
        HirKind::Capture(capture) => may_have_slash(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(may_have_slash),
    }
}
