//! The path of a request: cut into segments, decoded once, or refused with the exact fault that makes it ambiguous.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use crate::decision::request::Ambiguous;

/// Spellings that are refused unless a rule allows them by name, because services disagree on what they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// `%2F`, `\` or `%5C` inside a segment.
    pub encoded_slash: bool,
    /// `//`.
    pub empty_segment: bool,
    /// `;name=value` after a segment.
    pub parameters: bool,
}

impl Allow {
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether everything in `other` is allowed here too.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        (self.encoded_slash || !other.encoded_slash)
            && (self.empty_segment || !other.empty_segment)
            && (self.parameters || !other.parameters)
    }
}

/// A path with one meaning: decoded segments, and whether a slash follows the last one.
///
/// The text is one string, borrowed from the request where nothing had to be decoded. Where each segment ends is kept
/// beside it, because a decoded segment may itself hold a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    text: Cow<'a, str>,
    ends: SmallVec<[usize; 12]>,
    trailing_slash: bool,
}

/// A path as it came and, if it is oddly spelled, what a service that folds such spellings would make of it.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) path: Path<'a>,
    pub(super) odd: Option<Box<Odd>>,
}

/// What is odd about a path, and its second meaning.
#[derive(Clone, Debug)]
pub(super) struct Odd {
    pub(super) oddities: Allow,
    /// The first oddity, which is the refusal where no rule allows it.
    pub(super) fault: Ambiguous,
    /// `%2F` and `\` as separators, parameters cut, empty segments merged.
    pub(super) folded: Path<'static>,
}

impl<'a> Path<'a> {
    /// The decoded segments joined by `/`, with the trailing slash if there is one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of segments; `/` has none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    #[must_use]
    pub fn has_trailing_slash(&self) -> bool {
        self.trailing_slash
    }

    /// The decoded segment at this position, counted from zero.
    #[must_use]
    pub fn segment(&self, position: usize) -> Option<&str> {
        let end = *self.ends.get(position)?;
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]) + 1;
        Some(&self.text[start..end])
    }

    pub fn segments(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|position| self.segment(position))
    }

    /// Reads the path of a request target, whose `%` escapes are known to be well-formed.
    ///
    /// # Errors
    /// Whatever has no single meaning under any rule. Spellings that a rule may allow are in [`Reading::odd`] instead.
    pub(super) fn read(wire: &'a str) -> Result<Reading<'a>, Ambiguous> {
        let mut oddities = Oddities::default();
        let path = if wire.contains('%') {
            Self::decode(wire, &mut oddities)?
        } else {
            Self::cut(Cow::Borrowed(wire), &mut oddities)?
        };
        let odd = oddities.fault.map(|fault| {
            let folded = path.fold(&mut oddities);
            Box::new(Odd { oddities: oddities.found, fault, folded })
        });
        Ok(Reading { path, odd })
    }

    /// Cuts a text that needs no decoding.
    fn cut(text: Cow<'a, str>, oddities: &mut Oddities) -> Result<Self, Ambiguous> {
        let mut ends = SmallVec::new();
        let mut start = 1;
        for (slash, _) in text.match_indices('/').skip(1) {
            oddities.judge(&text[start..slash])?;
            ends.push(slash);
            start = slash + 1;
        }
        let trailing_slash = start == text.len();
        if !trailing_slash {
            oddities.judge(&text[start..])?;
            ends.push(text.len());
        }
        Ok(Self { text, ends, trailing_slash })
    }

    fn decode(wire: &str, oddities: &mut Oddities) -> Result<Self, Ambiguous> {
        let mut text = String::with_capacity(wire.len());
        let mut ends = SmallVec::new();
        let mut trailing_slash = false;
        let mut pieces = wire.split('/').skip(1).peekable();
        while let Some(piece) = pieces.next() {
            text.push('/');
            trailing_slash = piece.is_empty() && pieces.peek().is_none();
            if !trailing_slash {
                let segment = percent_decode_str(piece).decode_utf8().map_err(|_| Ambiguous::NotUtf8)?;
                oddities.judge(&segment)?;
                text.push_str(&segment);
                ends.push(text.len());
            }
        }
        Ok(Self { text: Cow::Owned(text), ends, trailing_slash })
    }

    /// What a service makes of this path that takes `%2F` and `\` for `/`, cuts parameters and merges slashes.
    fn fold(&self, oddities: &mut Oddities) -> Path<'static> {
        let mut text = String::with_capacity(self.text.len());
        let mut ends = SmallVec::new();
        let mut trailing_slash = false;
        let mut pieces = self.text[1..].split(['/', '\\']).peekable();
        while let Some(piece) = pieces.next() {
            let name = piece.split(';').next().unwrap_or_default();
            trailing_slash = name.is_empty() && pieces.peek().is_none();
            if trailing_slash {
                text.push('/');
            } else if name.is_empty() {
                // Also an empty segment that only folding brings forth, as in `/a/;x/b`.
                oddities.found.empty_segment = true;
            } else {
                text.push('/');
                text.push_str(name);
                ends.push(text.len());
            }
        }
        Path { text: Cow::Owned(text), ends, trailing_slash }
    }
}

/// Judges a segment as a literal of a pattern: whether some request could have it without any rule's allowance.
pub(super) fn judge_literal(segment: &str) -> Result<(), Ambiguous> {
    let mut oddities = Oddities::default();
    oddities.judge(segment)?;
    oddities.fault.map_or(Ok(()), Err)
}

#[derive(Default)]
struct Oddities {
    found: Allow,
    fault: Option<Ambiguous>,
}

impl Oddities {
    /// Judges one segment that was decoded once.
    fn judge(&mut self, segment: &str) -> Result<(), Ambiguous> {
        if segment.is_empty() {
            self.found.empty_segment = true;
            self.fault.get_or_insert(Ambiguous::EmptySegment);
            return Ok(());
        }
        let mut plain = true;
        let mut parameters = false;
        for character in segment.chars() {
            match character {
                '/' | '\\' => {
                    // A service that cuts parameters before it decodes `%2F` would see a third path.
                    if parameters {
                        return Err(Ambiguous::EncodedSlash);
                    }
                    self.found.encoded_slash = true;
                    let slash = if character == '/' { Ambiguous::EncodedSlash } else { Ambiguous::Backslash };
                    self.fault.get_or_insert(slash);
                }
                ';' => {
                    parameters = true;
                    self.found.parameters = true;
                    self.fault.get_or_insert(Ambiguous::Parameters);
                }
                '.' | '%' => plain = false,
                _ if character.is_control() => return Err(Ambiguous::ControlCharacter),
                _ => {}
            }
        }
        if plain {
            return Ok(());
        }
        refuse_dots(segment)?;
        refuse_double_encoding(segment)
    }
}

/// Refuses `.` and `..`, also between folded slashes, before parameters and among blanks.
fn refuse_dots(segment: &str) -> Result<(), Ambiguous> {
    let is_dots = |piece: &str| {
        let name = piece.split(';').next().unwrap_or_default();
        matches!(name.trim(), "." | "..")
    };
    if segment.split(['/', '\\']).any(is_dots) { Err(Ambiguous::DotSegment) } else { Ok(()) }
}

/// Refuses what only a second decoding would bring forth: no rule can allow that.
fn refuse_double_encoding(once: &str) -> Result<(), Ambiguous> {
    if !once.contains('%') {
        return Ok(());
    }
    let twice = percent_decode_str(once).decode_utf8().map_err(|_| Ambiguous::NotUtf8)?;
    let brings = |wanted: char| twice.matches(wanted).count() > once.matches(wanted).count();
    if twice.chars().any(char::is_control) {
        return Err(Ambiguous::ControlCharacter);
    }
    if brings('\\') {
        return Err(Ambiguous::Backslash);
    }
    refuse_dots(&twice)?;
    if brings('/') {
        return Err(Ambiguous::EncodedSlash);
    }
    if brings(';') { Err(Ambiguous::Parameters) } else { Ok(()) }
}
