//! Oathkeeper's two dialects of patterns, rewritten for an engine of linear time.

use super::words::{Tail, Word, avoiding, words};

/// Why a pattern cannot be said here.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Untranslatable {
    #[error("`{0}` refers back to what it matched before, which takes more than linear time")]
    BackReference(String),
    #[error("`<` and `>` do not balance in `{0}`, so that Oathkeeper cannot read it either")]
    Delimiters(String),
    #[error("`{0}` looks ahead or behind in a way that cannot be rewritten")]
    Look(String),
    #[error("`{text}` is no pattern: {reason}")]
    Malformed { text: String, reason: String },
}

/// Which of the two dialects the rules are written in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Strategy {
    Glob,
    #[default]
    Regexp,
}

/// A part of a rule's URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// What stood between `<` and `>`, as a regex of ours; where captures are asked for, it is a named group.
    Dynamic(String),
    Literal(String),
}

/// The pieces of a rule's URL. With `naming`, the group that Oathkeeper counts as N is called `capN`.
pub(super) fn pieces(url: &str, strategy: Strategy, naming: bool) -> Result<Vec<Piece>, Untranslatable> {
    let mut pieces = Vec::new();
    let (mut depth, mut start, mut groups) = (0_usize, 0, 0);
    for (at, c) in url.char_indices() {
        match c {
            '<' => {
                depth += 1;
                if depth == 1 {
                    if at > start {
                        pieces.push(Piece::Literal(url[start..at].to_owned()));
                    }
                    start = at + 1;
                }
            }
            '>' => {
                depth = depth.checked_sub(1).ok_or_else(|| Untranslatable::Delimiters(url.to_owned()))?;
                if depth == 0 {
                    let text = &url[start..at];
                    let is_last = at + 1 == url.len();
                    pieces.push(Piece::Dynamic(match strategy {
                        Strategy::Glob => glob(text)?,
                        Strategy::Regexp => {
                            let own = groups;
                            groups += 1;
                            let regex = regexp(text, is_last, naming.then_some(&mut groups))?;
                            if naming { format!("(?P<cap{own}>{regex})") } else { regex }
                        }
                    }));
                    start = at + 1;
                }
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(Untranslatable::Delimiters(url.to_owned()));
    }
    if start < url.len() {
        pieces.push(Piece::Literal(url[start..].to_owned()));
    }
    Ok(pieces)
}

/// A literal text as a regex. The dot and the like only: `-` needs no backslash outside of brackets.
pub(super) fn escaped(text: &str) -> String {
    let mut regex = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            regex.push('\\');
        }
        regex.push(c);
    }
    regex
}

/// Rewrites a glob whose separators are `.` and `/`.
fn glob(text: &str) -> Result<String, Untranslatable> {
    let malformed = |reason: &str| Untranslatable::Malformed { text: text.to_owned(), reason: reason.to_owned() };
    let mut regex = String::new();
    let mut depth = 0_usize;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => regex.push_str(".*"),
            '*' => regex.push_str("[^./]*"),
            '?' => regex.push_str("[^./]"),
            '{' => {
                depth += 1;
                regex.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                regex.push(')');
            }
            ',' if depth > 0 => regex.push('|'),
            '[' => {
                regex.push('[');
                if rest.next_if_eq(&'!').is_some() {
                    regex.push('^');
                }
                loop {
                    match rest.next().ok_or_else(|| malformed("`[` is not closed"))? {
                        ']' => break,
                        '\\' => {
                            let c = rest.next().ok_or_else(|| malformed("it ends in a backslash"))?;
                            regex.extend(['\\', c].iter().filter(|c| !c.is_ascii_alphanumeric()));
                        }
                        c @ ('[' | '^' | '&' | '~') => regex.extend(['\\', c]),
                        c => regex.push(c),
                    }
                }
                regex.push(']');
            }
            '\\' => {
                let c = rest.next().ok_or_else(|| malformed("it ends in a backslash"))?;
                regex.push_str(&escaped(&c.to_string()));
            }
            c => regex.push_str(&escaped(&c.to_string())),
        }
    }
    if depth > 0 {
        return Err(malformed("`{` is not closed"));
    }
    check(text, &regex)?;
    Ok(regex)
}

/// Rewrites a regex of regexp2. `groups` counts and names the groups that capture.
fn regexp(text: &str, is_last: bool, groups: Option<&mut usize>) -> Result<String, Untranslatable> {
    let grouped = text.strip_prefix('(').filter(|inner| inner.starts_with("(?!"));
    let inner = grouped.and_then(|inner| inner.strip_suffix(')').filter(|body| closing(inner) == Some(body.len())));
    let regex = match (inner, groups) {
        (Some(inner), None) => format!("({})", looking_ahead(inner, is_last)?),
        (Some(inner), Some(groups)) => {
            let own = *groups;
            *groups += 1;
            format!("(?P<cap{own}>{})", looking_ahead(inner, is_last)?)
        }
        (None, _) if text.starts_with("(?!") => looking_ahead(text, is_last)?,
        (None, groups) => plain(text, groups)?,
    };
    check(text, &regex)?;
    Ok(regex)
}

fn check(text: &str, regex: &str) -> Result<(), Untranslatable> {
    let parsed = regex_syntax::parse(regex);
    parsed.map(drop).map_err(|error| {
        // The parser draws an arrow over several lines; its last one is the reason.
        let reason = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Untranslatable::Malformed { text: text.to_owned(), reason }
    })
}

/// `(?!word)…tail`: whatever `tail` matches but for what begins with a word.
fn looking_ahead(text: &str, is_last: bool) -> Result<String, Untranslatable> {
    let look = || Untranslatable::Look(text.to_owned());
    let mut forbidden = Vec::<Word>::new();
    let mut rest = text;
    while let Some(after) = rest.strip_prefix("(?!") {
        let end = closing(after).ok_or_else(look)?;
        let body = plain(&after[..end], None)?;
        let body = body.strip_suffix(".*").unwrap_or(&body);
        forbidden.extend(words(body).ok_or_else(look)?);
        rest = &after[end + 1..];
    }
    let tail = Tail::parse(rest).ok_or_else(look)?;
    if !is_last {
        // Something follows that the look reaches into. It begins with a slash if it is a next segment, and then words
        // within one segment are not touched by it.
        forbidden.retain(|word| !word.ends);
        if !matches!(tail, Tail::Segment { .. }) || forbidden.iter().any(|word| word.text.contains('/')) {
            return Err(look());
        }
    } else if matches!(tail, Tail::Segment { .. }) {
        forbidden.retain(|word| !word.text.contains('/'));
    }
    avoiding(&forbidden, tail).ok_or_else(look)
}

/// Where the group ends whose opening was before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut scan = Scan::default();
    text.char_indices().find(|(_, c)| scan.step(*c) && *c == ')' && scan.depth < 0).map(|(at, _)| at)
}

/// A walk over a regex that knows what is escaped, in brackets, or in groups.
#[derive(Default)]
pub(super) struct Scan {
    escaped: bool,
    in_class: bool,
    pub(super) depth: i32,
}

impl Scan {
    /// Takes one character; whether it has its own meaning: neither escaped nor in brackets.
    pub(super) fn step(&mut self, c: char) -> bool {
        if std::mem::take(&mut self.escaped) {
            return false;
        }
        match c {
            '\\' => self.escaped = true,
            ']' if self.in_class => self.in_class = false,
            _ if self.in_class => return false,
            '[' => self.in_class = true,
            '(' => self.depth += 1,
            ')' => self.depth -= 1,
            _ => {}
        }
        true
    }
}

/// Rewrites what has another meaning in our engine, and refuses what has none.
fn plain(text: &str, mut groups: Option<&mut usize>) -> Result<String, Untranslatable> {
    let mut regex = String::with_capacity(text.len());
    let mut in_class = false;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let next = rest[c.len_utf8()..].chars().next();
        let mut taken = c.len_utf8();
        match c {
            '\\' => {
                let Some(next) = next else {
                    let reason = "it ends in a backslash".to_owned();
                    return Err(Untranslatable::Malformed { text: text.to_owned(), reason });
                };
                taken += next.len_utf8();
                match next {
                    '1'..='9' | 'k' if !in_class => return Err(Untranslatable::BackReference(text.to_owned())),
                    // Theirs mean ASCII.
                    'd' | 'w' | 's' => regex.push_str(&ascii_class(next, in_class)),
                    'D' | 'W' | 'S' if !in_class => regex.push_str(&ascii_class(next, in_class)),
                    // They take a newline at the end for the end, but no path has one here.
                    'Z' if !in_class => regex.push_str(r"\z"),
                    // Needless backslashes are errors here.
                    _ if !next.is_ascii_punctuation() && !next.is_ascii_alphanumeric() => regex.push(next),
                    '/' | '_' | '\'' | '"' | ',' | ':' | ';' | '=' | '@' | '!' | '%' | '`' => regex.push(next),
                    _ => regex.extend([c, next]),
                }
            }
            '[' if in_class => {
                if let Some(end) = rest.strip_prefix("[:").and_then(|name| name.find(":]")) {
                    taken = end + 4;
                    regex.push_str(&rest[..taken]);
                } else {
                    regex.push_str(r"\[");
                }
            }
            '[' => {
                in_class = true;
                regex.push('[');
                let negated = rest.starts_with("[^");
                if negated {
                    regex.push('^');
                    taken += 1;
                }
                // A bracket that comes first is one of the characters.
                if rest[taken..].starts_with(']') {
                    regex.push_str(r"\]");
                    taken += 1;
                }
            }
            ']' if in_class => {
                in_class = false;
                regex.push(']');
            }
            // Sets have operators here that they do not have there.
            '&' | '~' if in_class => regex.extend(['\\', c]),
            '-' if in_class && next == Some('-') => regex.push_str(r"\-"),
            '(' if !in_class => {
                let opening = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "(?("];
                if opening.iter().any(|opening| rest.starts_with(opening)) {
                    return Err(Untranslatable::Look(text.to_owned()));
                }
                if let (Some(groups), false) = (&mut groups, next == Some('?')) {
                    regex.push_str(&format!("(?P<cap{groups}>"));
                    **groups += 1;
                } else {
                    regex.push('(');
                }
            }
            c => regex.push(c),
        }
        at += taken;
    }
    Ok(regex)
}

fn ascii_class(c: char, in_class: bool) -> String {
    let body = match c.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        _ => r"\t\n\f\r ",
    };
    match (in_class, c.is_ascii_uppercase()) {
        (true, _) => body.to_owned(),
        (false, false) => format!("[{body}]"),
        (false, true) => format!("[^{body}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(strategy: Strategy, pattern: &str, text: &str) -> bool {
        let regex = pieces(pattern, strategy, false).unwrap().into_iter().map(|piece| match piece {
            Piece::Dynamic(regex) => format!("(?:{regex})"),
            Piece::Literal(text) => escaped(&text),
        });
        regex::Regex::new(&format!(r"\A{}\z", regex.collect::<String>())).unwrap().is_match(text)
    }

    #[test]
    fn globs_stop_at_dots_and_slashes() {
        for (pattern, text, expected) in [
            ("/<*>", "/file", true),
            ("/<*>", "/file.txt", false),
            ("/<*>", "/x/y", false),
            ("/<**>", "/x/y.z", true),
            ("/<m?n>", "/man", true),
            ("/<m?n>", "/m.n", false),
            ("/<[0-9]*>", "/1234", true),
            ("/<[!a]>", "/a", false),
            ("/<{foo*,bar*}>", "/barn", true),
            ("/<{a,b/{c,d}}>", "/b/d", true),
            ("/<http|https>", "/http", false),
            (r"/<\*>", "/*", true),
        ] {
            assert_eq!(is_match(Strategy::Glob, pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn regexes_keep_their_meaning() {
        for (pattern, text, expected) in [
            ("/<[[:digit:]]+>", "/42", true),
            (r"/<\d+>", "/٣", false),
            (r"/<[\w-]+>", "/a-b", true),
            ("/<[[a]>", "/[", true),
            ("/<[]a]>", "/]", true),
            ("/<[a&&b]+>", "/a&b", true),
            (r"/<a\/b>", "/a/b", true),
            ("/<(?i)ABC>", "/abc", true),
            ("/<(?!admin).*>", "/administrator-guide", false),
            ("/<(?!admin)[^/]+>/x", "/adm/x", true),
            ("/<(?P<name>x)>", "/x", true),
        ] {
            assert_eq!(is_match(Strategy::Regexp, pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_cannot_be_said_in_linear_time_is_refused() {
        for pattern in [r"/<(a)\1>", "/<(?=a).*>", "/<a(?!b)>", "/<(?<=a)b>", "/<(?!admin).*>/x", "/<a", "/a>", "/<(>"]
        {
            assert!(pieces(pattern, Strategy::Regexp, false).is_err(), "{pattern}");
        }
        for pattern in ["/<[a>", "/<{a>", r"/<\>"] {
            assert!(pieces(pattern, Strategy::Glob, false).is_err(), "{pattern}");
        }
    }

    #[test]
    fn groups_are_counted_as_oathkeeper_counts_them() {
        let pieces = pieces("<(https|http)>://a/<[a-z]+>", Strategy::Regexp, true).unwrap();
        let texts = pieces.iter().filter_map(|piece| match piece {
            Piece::Dynamic(regex) => Some(regex.as_str()),
            Piece::Literal(_) => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), ["(?P<cap0>(?P<cap1>https|http))", "(?P<cap2>[a-z]+)"]);
    }
}
