//! How every match of a regex begins, to find regexes that no request can reach.

use regex_syntax::hir::literal::Extractor;

use crate::decision::path::Path;
use crate::decision::pattern::RegexPattern;

/// One of these begins every match of a regex.
pub(super) struct Prefixes(Vec<Literal>);

struct Literal {
    text: Vec<u8>,
    /// Whether the whole match is this text.
    is_whole: bool,
}

/// What is known of the paths that begin in one way.
pub(super) enum Prefix<'a> {
    /// They have these segments, and something after the slash behind them.
    Begins(&'a [&'a str]),
    /// There is but one.
    Is(&'a Path<'a>),
}

impl Prefixes {
    pub(super) fn of(regex: &RegexPattern) -> Self {
        let literals = regex_syntax::parse(regex.as_str()).ok().and_then(|hir| {
            let sequence = Extractor::new().extract(&hir);
            let literals = sequence.literals()?.iter();
            Some(literals.map(|one| Literal { text: one.as_bytes().to_vec(), is_whole: one.is_exact() }).collect())
        });
        Self(literals.unwrap_or_else(|| vec![Literal { text: Vec::new(), is_whole: false }]))
    }

    /// Whether no path can begin like this.
    pub(super) fn are_impossible(&self) -> bool {
        self.0.iter().all(|literal| literal.is_impossible())
    }

    /// The first thing that covers the paths, if each way to begin is covered.
    pub(super) fn covered_by<T>(&self, mut covers: impl FnMut(Prefix<'_>) -> Option<T>) -> Option<T> {
        let mut first = None;
        for literal in self.0.iter().filter(|literal| !literal.is_impossible()) {
            let by = literal.covered_by(&mut covers)?;
            first = first.or(Some(by));
        }
        first
    }
}

impl Literal {
    fn is_impossible(&self) -> bool {
        self.text.first().map_or(self.is_whole, |first| *first != b'/')
    }

    fn covered_by<T>(&self, covers: &mut impl FnMut(Prefix<'_>) -> Option<T>) -> Option<T> {
        // A prefix may end within a character; only whole segments count, so that nothing is lost.
        let text = match std::str::from_utf8(&self.text) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&self.text[..error.valid_up_to()]).unwrap_or_default(),
        };
        if self.is_whole {
            // The regex sees decoded paths, so that a `%` is nothing but itself.
            let text = text.replace('%', "%25");
            let reading = Path::read(&text).ok().filter(|reading| reading.odd.is_none())?;
            return covers(Prefix::Is(&reading.path));
        }
        let mut segments: Vec<&str> = text.split('/').skip(1).collect();
        segments.pop();
        covers(Prefix::Begins(&segments))
    }
}
