//! The segment patterns of one table as a tree: finding the most specific one costs as much as the path is long.
//!
//! Among many rules it is memory that takes the time, not work. So the tree is drafted with maps, and then laid out
//! depth first in three arrays: what one path visits lies together.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;

use crate::decision::path::Path;
use crate::decision::pattern::Segment;
use crate::decision::pattern::Segments;

/// Up to this many literals below one node are compared one by one, which beats hashing.
const FEW: usize = 8;

/// A tree of patterns, each with the number of what it leads to.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// Those of nodes with few literals, side by side.
    edges: Vec<Edge>,
    /// Those of nodes with many literals, all nodes together.
    many: HashTable<Edge>,
    hasher: DefaultHashBuilder,
    /// All literals.
    text: String,
}

#[derive(Debug)]
struct Node {
    first_edge: u32,
    edges: u32,
    /// Where `*` and `{name}` lead.
    any: Option<u32>,
    /// What a pattern that ends here leads to.
    here: Option<u32>,
    /// What a pattern with `**` here leads to.
    below: Option<u32>,
}

/// From one node by a literal, which is a piece of the text, to another.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: u32,
    start: u32,
    length: u32,
    to: u32,
}

/// The tree while patterns are still added.
#[derive(Debug)]
pub(super) struct Draft {
    nodes: Vec<DraftNode>,
}

#[derive(Debug, Default)]
struct DraftNode {
    literals: BTreeMap<Box<str>, usize>,
    any: Option<usize>,
    here: Option<u32>,
    below: Option<u32>,
}

impl Default for Draft {
    fn default() -> Self {
        Self { nodes: vec![DraftNode::default()] }
    }
}

impl Draft {
    /// The place for what this pattern leads to, which all patterns share that differ in capture names only.
    pub(super) fn place(&mut self, pattern: &Segments) -> &mut Option<u32> {
        let mut at = 0;
        for segment in pattern.iter() {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match segment {
                Segment::Any | Segment::Capture(_) => *node.any.get_or_insert(next),
                Segment::Literal(literal) => *node.literals.entry(literal.clone()).or_insert(next),
            };
            if at == next {
                self.nodes.push(DraftNode::default());
            }
        }
        let node = &mut self.nodes[at];
        if pattern.covers_below() { &mut node.below } else { &mut node.here }
    }

    pub(super) fn lay_out(self) -> Trie {
        let mut trie = Trie::default();
        trie.lay_out(&self, 0);
        trie
    }
}

impl Trie {
    const ROOT: u32 = 0;

    /// Lays out a node and everything below it.
    fn lay_out(&mut self, draft: &Draft, at: usize) -> u32 {
        let DraftNode { literals, any, here, below } = &draft.nodes[at];
        let number = count(self.nodes.len());
        let first_edge = self.edges.len();
        let edges = count(literals.len());
        self.nodes.push(Node { first_edge: count(first_edge), edges, any: None, here: *here, below: *below });
        if literals.len() <= FEW {
            for literal in literals.keys() {
                let edge = self.edge(number, literal);
                self.edges.push(edge);
            }
            for (edge, next) in (first_edge..).zip(literals.values()) {
                self.edges[edge].to = self.lay_out(draft, *next);
            }
        } else {
            for (literal, next) in literals {
                let mut edge = self.edge(number, literal);
                edge.to = self.lay_out(draft, *next);
                let hash = |edge: &Edge| self.hasher.hash_one((edge.from, piece(&self.text, edge)));
                self.many.insert_unique(hash(&edge), edge, hash);
            }
        }
        let any = any.map(|next| self.lay_out(draft, next));
        self.nodes[number as usize].any = any;
        number
    }

    fn edge(&mut self, from: u32, literal: &str) -> Edge {
        let start = count(self.text.len());
        self.text.push_str(literal);
        Edge { from, start, length: count(literal.len()), to: Self::ROOT }
    }

    /// Where a literal leads from a node.
    fn literal(&self, from: u32, segment: &str) -> Option<u32> {
        let node = &self.nodes[from as usize];
        let is_it = |edge: &Edge| edge.length as usize == segment.len() && piece(&self.text, edge) == segment;
        let edge = if node.edges as usize <= FEW {
            let first = node.first_edge as usize;
            self.edges[first..first + node.edges as usize].iter().find(|edge| is_it(edge))
        } else {
            self.many.find(self.hasher.hash_one((from, segment)), |edge| edge.from == from && is_it(edge))
        };
        edge.map(|edge| edge.to)
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
        self.literal(at, segment)
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
            let literal = self.literal(at, segment).and_then(|next| self.covering_from(next, rest));
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

fn piece<'t>(text: &'t str, edge: &Edge) -> &'t str {
    &text[edge.start as usize..(edge.start + edge.length) as usize]
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("a configuration is far smaller than 4 GiB")
}
