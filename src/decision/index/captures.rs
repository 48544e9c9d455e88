//! What the owning rule's own pattern captured of a path.

use std::fmt;

use regex::Regex;
use smallvec::SmallVec;

use crate::decision::path::Path;

/// Names and decoded values, found when they are asked for: most rules never ask.
#[derive(Clone, Copy)]
pub struct Captures<'a> {
    source: Source<'a>,
    path: &'a Path<'a>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Regex(&'a Regex),
    Segments(&'a [(Box<str>, usize)]),
}

impl<'a> Captures<'a> {
    pub(super) fn of_regex(regex: &'a Regex, path: &'a Path<'_>) -> Self {
        Self { source: Source::Regex(regex), path }
    }

    pub(super) fn of_segments(positions: &'a [(Box<str>, usize)], path: &'a Path<'_>) -> Self {
        Self { source: Source::Segments(positions), path }
    }

    /// The captures in the order of the pattern. A group of a regex that took no part is not among them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs: SmallVec<[(&'a str, &'a str); 8]> = match self.source {
            Source::Segments(positions) => {
                positions.iter().filter_map(|(name, position)| Some((&**name, self.path.segment(*position)?))).collect()
            }
            Source::Regex(regex) => {
                let groups = regex.captures(self.path.as_str());
                let names = regex.capture_names().enumerate();
                names.filter_map(|(group, name)| Some((name?, groups.as_ref()?.get(group)?.as_str()))).collect()
            }
        };
        pairs.into_iter()
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Captures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
