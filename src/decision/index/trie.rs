//! The segment patterns of one table as a tree: finding the most specific one costs as much as the path is long.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::decision::path::Path;
use crate::decision::pattern::Segment;
use crate::decision::pattern::Segments;

/// Up to this many literals below one node are compared one by one, which beats hashing.
const FEW: usize = 4;

/// A tree of patterns, each with the number of what it leads to.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: Literals,
    /// Where `*` and `{name}` lead.
    any: Option<u32>,
    /// What a pattern that ends here leads to.
    here: Option<u32>,
    /// What a pattern with `**` here leads to.
    below: Option<u32>,
}

#[derive(Debug)]
enum Literals {
    Few(SmallVec<[(Box<str>, u32); 1]>),
    Many(HashMap<Box<str>, u32>),
}

impl Default for Literals {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl Literals {
    #[inline]
    fn find(&self, segment: &str) -> Option<u32> {
        match self {
            Self::Few(few) => few.iter().find(|(literal, _)| **literal == *segment).map(|(_, node)| *node),
            Self::Many(many) => many.get(segment).copied(),
        }
    }

    fn insert(&mut self, literal: &str, node: u32) {
        match self {
            Self::Few(few) if few.len() < FEW => few.push((literal.into(), node)),
            Self::Few(few) => {
                let mut many: HashMap<_, _> = few.drain(..).collect();
                many.insert(literal.into(), node);
                *self = Self::Many(many);
            }
            Self::Many(many) => {
                many.insert(literal.into(), node);
            }
        }
    }
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Trie {
    const ROOT: u32 = 0;

    /// The place for what this pattern leads to, which all patterns share that differ in capture names only.
    pub(super) fn place(&mut self, pattern: &Segments) -> &mut Option<u32> {
        let mut at = Self::ROOT;
        for segment in pattern.iter() {
            let next = u32::try_from(self.nodes.len()).expect("a configuration is far smaller than 4 GiB");
            let node = &mut self.nodes[at as usize];
            let found = match segment {
                Segment::Any | Segment::Capture(_) => node.any,
                Segment::Literal(literal) => node.literals.find(literal),
            };
            if found.is_none() {
                match segment {
                    Segment::Any | Segment::Capture(_) => node.any = Some(next),
                    Segment::Literal(literal) => node.literals.insert(literal, next),
                }
                self.nodes.push(Node::default());
            }
            at = found.unwrap_or(next);
        }
        let node = &mut self.nodes[at as usize];
        if pattern.covers_below() { &mut node.below } else { &mut node.here }
    }

    /// What the most specific pattern leads to that matches this path.
    pub(super) fn find(&self, path: &Path<'_>) -> Option<u32> {
        self.find_from(Self::ROOT, path, 0)
    }

    /// Tries the literal, then any segment, then `**`, and so meets the most specific pattern first. Each node is
    /// visited at most once, since only one way leads to it.
    fn find_from(&self, at: u32, path: &Path<'_>, depth: usize) -> Option<u32> {
        let node = &self.nodes[at as usize];
        let Some(segment) = path.segment(depth) else {
            return node.here.or(node.below);
        };
        node.literals
            .find(segment)
            .and_then(|next| self.find_from(next, path, depth + 1))
            .or_else(|| node.any.filter(|_| !segment.is_empty()).and_then(|next| self.find_from(next, path, depth + 1)))
            .or(node.below)
    }

    /// A pattern with `**` that matches every path beginning with these whole segments, and going on.
    pub(super) fn covering(&self, segments: &[&str]) -> Option<u32> {
        self.covering_from(Self::ROOT, segments)
    }

    fn covering_from(&self, at: u32, segments: &[&str]) -> Option<u32> {
        let node = &self.nodes[at as usize];
        node.below.or_else(|| {
            let (segment, rest) = segments.split_first()?;
            let literal = node.literals.find(segment).and_then(|next| self.covering_from(next, rest));
            literal.or_else(|| node.any.filter(|_| !segment.is_empty()).and_then(|next| self.covering_from(next, rest)))
        })
    }

    /// Patterns with `**` that own nothing, because more specific ones with wildcards only take all that they cover.
    pub(super) fn shadowed(&self) -> Vec<u32> {
        let is_shadowed = |node: &&Node| node.here.is_some() && node.any.is_some_and(|next| self.is_total(next));
        self.nodes.iter().filter(is_shadowed).filter_map(|node| node.below).collect()
    }

    /// Whether everything from this node on is matched by a pattern without literals.
    fn is_total(&self, at: u32) -> bool {
        let node = &self.nodes[at as usize];
        node.below.is_some() || node.here.is_some() && node.any.is_some_and(|next| self.is_total(next))
    }
}
