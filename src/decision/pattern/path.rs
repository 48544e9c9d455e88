//! Patterns of paths: segments, or a regular expression that runs in linear time.

use std::fmt;

use percent_encoding::percent_decode_str;
use regex::Regex;
use regex::RegexBuilder;

use crate::decision::path::Path;
use crate::decision::path::judge_literal;
use crate::decision::request::Ambiguous;

/// The compiled size of one regex, in bytes: thousands of states, more than any path needs.
pub(crate) const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// Which paths a rule names.
#[derive(Clone, Debug)]
pub enum PathPattern {
    Regex(RegexPattern),
    Segments(Segments),
}

/// A pattern of whole segments, as in `/api/{service}/**`.
#[derive(Clone, Debug)]
pub struct Segments {
    text: Box<str>,
    segments: Box<[Segment]>,
    below: bool,
}

/// What a pattern says of one segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// `*`: any segment that is not empty.
    Any,
    /// `{name}`: the same, and what it matched has a name.
    Capture(Box<str>),
    /// This very segment, decoded.
    Literal(Box<str>),
}

/// A regular expression that has to match the whole decoded path.
#[derive(Clone, Debug)]
pub struct RegexPattern {
    text: Box<str>,
    regex: Regex,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    #[error("`{pattern}`: no request can have the segment `{segment}`, it is refused as {fault}")]
    BadSegment { pattern: String, segment: String, fault: Ambiguous },
    #[error(
        "`{pattern}`: `{segment}` is no capture: write `{{name}}`, with letters, digits and `_`, as a whole segment"
    )]
    Capture { pattern: String, segment: String },
    #[error("`{pattern}`: the capture `{name}` appears twice")]
    CaptureTwice { pattern: String, name: String },
    #[error("`{0}`: `**` covers everything below and can only come last")]
    DeepNotLast(String),
    #[error("`{0}` does not begin with `/`")]
    NoSlash(String),
    #[error("`{0}`: a `%` needs two hexadecimal digits after it; write `%25` for the character itself")]
    Percent(String),
    #[error(
        "`{0}`: a pattern is a path without query or fragment; write `%3F` and `%23` for the characters themselves"
    )]
    Query(String),
    #[error("the regex `{pattern}` cannot be used: {reason}")]
    Regex { pattern: String, reason: String },
    #[error(
        "`{pattern}`: in `{segment}` the `*` stands beside other characters, but it stands for a whole segment; \
         use a regex, or write `%2A` for the character itself"
    )]
    Star { pattern: String, segment: String },
}

impl PathPattern {
    /// Reads a pattern of segments.
    ///
    /// # Errors
    /// What has no meaning, and what no request could ever match.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        Segments::parse(text).map(Self::Segments)
    }

    /// Reads a regular expression.
    ///
    /// # Errors
    /// What the regex engine does not understand (look-around and back-references among it), or finds too large.
    pub fn regex(text: &str) -> Result<Self, PathPatternError> {
        RegexPattern::parse(text).map(Self::Regex)
    }

    /// The names of the captures, in order.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        let (segments, regex) = match self {
            Self::Regex(pattern) => (None, Some(pattern.captures())),
            Self::Segments(pattern) => (Some(pattern.captures().map(|(name, _)| name)), None),
        };
        segments.into_iter().flatten().chain(regex.into_iter().flatten())
    }

    #[must_use]
    pub fn matches(&self, path: &Path<'_>) -> bool {
        match self {
            Self::Regex(pattern) => pattern.regex.is_match(path.as_str()),
            Self::Segments(pattern) => pattern.matches(path),
        }
    }
}

impl Segments {
    fn parse(text: &str) -> Result<Self, PathPatternError> {
        let rest = text.strip_prefix('/').ok_or_else(|| PathPatternError::NoSlash(text.to_owned()))?;
        if text.contains(['?', '#']) {
            return Err(PathPatternError::Query(text.to_owned()));
        }
        // One trailing slash means nothing, on either side.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (rest, below) = match rest.strip_suffix("**") {
            Some("") if !text.ends_with('/') => ("", true),
            Some(before) if before.ends_with('/') && !text.ends_with('/') => (&before[..before.len() - 1], true),
            _ => (rest, false),
        };
        let mut segments = Vec::new();
        if !rest.is_empty() || text.starts_with("//") {
            for piece in rest.split('/') {
                segments.push(Segment::parse(text, piece)?);
            }
        }
        let pattern = Self { text: text.into(), segments: segments.into(), below };
        let mut names: Vec<&str> = pattern.captures().map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(PathPatternError::CaptureTwice { pattern: text.to_owned(), name: twice[0].to_owned() });
        }
        Ok(pattern)
    }

    /// The segments before `**`.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Whether the pattern ends in `**`.
    #[must_use]
    pub fn covers_below(&self) -> bool {
        self.below
    }

    /// The names of the captures, each with the position of its segment.
    pub fn captures(&self) -> impl Iterator<Item = (&str, usize)> {
        self.segments.iter().enumerate().filter_map(|(position, segment)| match segment {
            Segment::Capture(name) => Some((&**name, position)),
            Segment::Any | Segment::Literal(_) => None,
        })
    }

    #[must_use]
    pub fn matches(&self, path: &Path<'_>) -> bool {
        (self.segments.len() == path.len() || self.below && self.segments.len() < path.len())
            && self.segments.iter().zip(path.segments()).all(|(segment, actual)| match segment {
                Segment::Any | Segment::Capture(_) => !actual.is_empty(),
                Segment::Literal(literal) => **literal == *actual,
            })
    }

    /// Whether every path that `other` matches is matched here too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let same_depth = self.segments.len() == other.segments.len() && !other.below;
        (same_depth || self.below && self.segments.len() <= other.segments.len())
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Literal(one), Segment::Literal(two)) => one == two,
                (Segment::Literal(_), Segment::Any | Segment::Capture(_)) => false,
                (Segment::Any | Segment::Capture(_), _) => true,
            })
    }
}

impl Segment {
    fn parse(pattern: &str, piece: &str) -> Result<Self, PathPatternError> {
        let (pattern, segment) = (|| pattern.to_owned(), || piece.to_owned());
        match piece {
            "*" => return Ok(Self::Any),
            "**" => return Err(PathPatternError::DeepNotLast(pattern())),
            _ if piece.contains('*') => {
                return Err(PathPatternError::Star { pattern: pattern(), segment: segment() });
            }
            _ if piece.contains(['{', '}']) => {
                return piece
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'))
                    .filter(|name| is_identifier(name))
                    .map(|name| Self::Capture(name.into()))
                    .ok_or_else(|| PathPatternError::Capture { pattern: pattern(), segment: segment() });
            }
            _ => {}
        }
        let is_escape =
            |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if !piece.split('%').skip(1).all(is_escape) {
            return Err(PathPatternError::Percent(pattern()));
        }
        let judged = percent_decode_str(piece).decode_utf8().map_err(|_| Ambiguous::NotUtf8).and_then(|literal| {
            judge_literal(&literal)?;
            Ok(literal)
        });
        match judged {
            Ok(literal) => Ok(Self::Literal(literal.into())),
            Err(fault) => Err(PathPatternError::BadSegment { pattern: pattern(), segment: segment(), fault }),
        }
    }
}

impl RegexPattern {
    fn parse(text: &str) -> Result<Self, PathPatternError> {
        let compile = |text: &str| RegexBuilder::new(text).size_limit(REGEX_SIZE_LIMIT).build();
        // Alone first, so that a stray `)` cannot step out of the anchored group.
        let regex = compile(text).and_then(|_| compile(&anchored(text))).map_err(|error| PathPatternError::Regex {
            pattern: text.to_owned(),
            reason: match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                error => error.to_string(),
            },
        })?;
        Ok(Self { text: text.into(), regex })
    }

    /// As the rule has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// With the anchors that it always has.
    pub(crate) fn regex(&self) -> &Regex {
        &self.regex
    }

    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regex(pattern) => &pattern.text,
            Self::Segments(pattern) => &pattern.text,
        })
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn anchored(text: &str) -> String {
    format!(r"\A(?:{text})\z")
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
