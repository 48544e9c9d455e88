//! The path of a rule's URL, as patterns where those say the same, else as regexes.

use super::dialect::{Piece, Scan};
use super::matching::PathText;
use super::pieces::{MOST, alternatives, rendered, unnamed, whole};
use super::words::texts;

/// The ways through alternatives, each a path of its own, so that as few as possible need a regex.
pub(super) fn ways(pieces: &[Piece]) -> Vec<Vec<Piece>> {
    let mut ways: Vec<Vec<Piece>> = vec![Vec::new()];
    for piece in pieces {
        let options = match piece {
            Piece::Literal(_) => vec![piece.clone()],
            // What is captured stays in one piece.
            Piece::Dynamic(regex) if regex.starts_with("(?P<cap") => vec![piece.clone()],
            Piece::Dynamic(regex) => options(regex),
        };
        let next = ways.iter().flat_map(|way| options.iter().map(move |one| joined(way, one))).collect::<Vec<_>>();
        if next.len() > MOST {
            return vec![pieces.to_vec()];
        }
        ways = next;
    }
    ways
}

fn options(regex: &str) -> Vec<Piece> {
    if let Some(texts) = texts(regex) {
        return texts.into_iter().map(Piece::Literal).collect();
    }
    // Everything below a path, and the path itself.
    if matches!(regex, "(/.*)?" | "(?:/.*)?" | "(|/.*)" | "(/.*|)") {
        return vec![Piece::Literal(String::new()), Piece::Dynamic("/.*".to_owned())];
    }
    let inner = regex.strip_prefix("(?:").or_else(|| regex.strip_prefix('(').filter(|rest| !rest.starts_with('?')));
    let inner = inner.and_then(|inner| inner.strip_suffix(')')).filter(|inner| is_balanced(inner)).unwrap_or(regex);
    match alternatives(inner).as_slice() {
        [one] if *one == regex => vec![Piece::Dynamic(regex.to_owned())],
        [_] if inner == regex => vec![Piece::Dynamic(regex.to_owned())],
        parts => parts.iter().flat_map(|part| options(part)).collect(),
    }
}

fn is_balanced(regex: &str) -> bool {
    let mut scan = Scan::default();
    regex.chars().all(|c| {
        scan.step(c);
        scan.depth >= 0
    }) && scan.depth == 0
}

fn joined(way: &[Piece], piece: &Piece) -> Vec<Piece> {
    let mut way = way.to_vec();
    match (way.last_mut(), piece) {
        (_, Piece::Literal(text)) if text.is_empty() => {}
        (Some(Piece::Literal(before)), Piece::Literal(text)) => before.push_str(text),
        // What begins with a slash is easier to read with the slash apart.
        (_, Piece::Dynamic(regex)) if regex == "/.*" => {
            return joined(&joined(&way, &Piece::Literal("/".to_owned())), &Piece::Dynamic(".*".to_owned()));
        }
        _ => way.push(piece.clone()),
    }
    way
}

/// One way as patterns if they say the same, else as a regex.
///
/// The other gateway had cut the trailing slash of every request but `/`, so that `.*` behind a slash stood for at
/// least one segment.
pub(super) fn path(way: &[Piece]) -> Vec<PathText> {
    let mut way = way.to_vec();
    let is_root = matches!(way.as_slice(), [Piece::Literal(text)] if text == "/");
    if let Some(Piece::Literal(text)) = way.last_mut().filter(|_| !is_root) {
        text.truncate(text.trim_end_matches('/').len());
        if text.is_empty() {
            way.pop();
        }
    }
    if way.is_empty() {
        return vec![PathText::Pattern("/".to_owned())];
    }
    segments(&way).unwrap_or_else(|| regexes(&way))
}

fn segments(way: &[Piece]) -> Option<Vec<PathText>> {
    let mut pattern = String::new();
    for (number, piece) in way.iter().enumerate() {
        let is_last = number + 1 == way.len();
        match piece {
            Piece::Literal(text) => {
                // A wildcard before it must have been a whole segment.
                if number > 0 && !text.starts_with('/') {
                    return None;
                }
                pattern.push_str(&literal(text));
            }
            Piece::Dynamic(regex) => {
                let plain = unnamed(regex);
                let name = regex.strip_prefix("(?P<").filter(|_| plain != *regex).and_then(|rest| rest.split_once('>'));
                let is_root = pattern == "/";
                // Right behind the host: whatever path there is.
                if plain == ".*" && name.is_none() && way.len() == 1 {
                    return pattern_of("/**");
                }
                if !pattern.ends_with('/') {
                    return None;
                }
                match (plain.as_str(), name) {
                    (".*", None) if is_last && is_root => return pattern_of("/**"),
                    (".*" | ".+", None) if is_last => return pattern_of(&format!("{pattern}*/**")),
                    ("[^/]*", None) if is_last && is_root => {
                        return Some(vec![PathText::Pattern("/".to_owned()), PathText::Pattern("/*".to_owned())]);
                    }
                    ("[^/]+", None) => pattern.push('*'),
                    ("[^/]*", None) if !is_root => pattern.push('*'),
                    ("[^/]+", Some((name, _))) => pattern.push_str(&format!("{{{name}}}")),
                    _ => return None,
                }
            }
        }
    }
    pattern_of(&pattern).filter(|_| pattern.starts_with('/'))
}

fn pattern_of(pattern: &str) -> Option<Vec<PathText>> {
    Some(vec![PathText::Pattern(pattern.to_owned())])
}

/// A decoded text as it stands in a pattern.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' | '*' | '{' | '}' | '?' | '#' => literal.push_str(&format!("%{:02X}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal
}

fn regexes(way: &[Piece]) -> Vec<PathText> {
    let mut way = way.to_vec();
    let before = way.len().checked_sub(2).map(|at| way[at].clone());
    let mut open_ended = false;
    if let Some(Piece::Dynamic(regex)) = way.last_mut() {
        let is_captured = regex.starts_with("(?P<cap");
        if is_captured && (regex.ends_with(".*)") || regex.ends_with(".+)")) {
            // What is captured must not have the trailing slash, as it had none over there.
            let needs_one = regex.ends_with(">.*)") && !matches!(&before, Some(Piece::Literal(text)) if text == "/");
            let slash = matches!(&before, Some(Piece::Literal(text)) if text.ends_with('/'));
            let cut = if needs_one && slash {
                format!("{}+", &regex[..regex.len() - 2])
            } else {
                regex[..regex.len() - 1].to_owned()
            };
            *regex = format!("{cut}?)");
        } else {
            open_ended = regex.ends_with(".*") && !regex.ends_with(r"\.*");
        }
    }
    let end = if open_ended { "" } else { "/?" };
    let mut paths = vec![PathText::Regex(format!("^{}{end}$", rendered(&way)))];
    if !matches!(way.first(), Some(Piece::Literal(_))) && whole(&way).is_some_and(|regex| regex.is_match("")) {
        paths.push(PathText::Pattern("/".to_owned()));
    }
    paths
}
