//! YAML as a tree in which every key and value knows where it stands.
//!
//! Scalars keep their text: what it means is for the one who reads the key to say, so `no`, `on` and `1e3` are
//! whatever that key holds and never turn into something else on the way.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::config::fault::Report;

/// How deep collections may nest.
const MAX_DEPTH: usize = 32;
/// How many nodes aliases may add to what is written.
const MAX_ALIASED: usize = 100_000;

/// A place in a file, and which key or value stands there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) file: u32,
    /// Unique over all files; 0 is no node.
    pub(crate) node: u32,
    /// From 1; 0 where the whole file is meant.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
}

impl Mark {
    /// The configuration as a whole.
    pub(crate) const NOWHERE: Self = Self::whole(0);

    /// The file as a whole.
    pub(crate) const fn whole(file: u32) -> Self {
        Self { file, node: 0, line: 0, column: 0 }
    }

    /// The same key, further right in its line.
    pub(crate) fn right(self, characters: usize) -> Self {
        Self { column: self.column.saturating_add(u32::try_from(characters).unwrap_or(u32::MAX)), ..self }
    }
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Empty,
    List(Vec<Node>),
    Map(Vec<Entry>),
    Scalar(Scalar),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) mark: Mark,
    pub(crate) key: Box<str>,
    pub(crate) value: Node,
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: Box<str>,
    /// Not quoted: it may be a number or a boolean.
    pub(crate) plain: bool,
    /// How far the text begins right of the mark, where it stands in one line as it is.
    pub(crate) offset: Option<usize>,
}

impl Node {
    /// What it is, for people.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Empty => "nothing",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Scalar(_) => "a single value",
        }
    }

    /// Puts the path of each node in `paths` that is found here, `path` being this one's.
    pub(crate) fn name_paths(&self, path: &mut String, paths: &mut HashMap<u32, String>) {
        if let Some(found) = paths.get_mut(&self.mark.node) {
            found.clone_from(path);
        }
        let length = path.len();
        match &self.kind {
            Kind::Empty | Kind::Scalar(_) => {}
            Kind::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{number}]"));
                    item.name_paths(path, paths);
                    path.truncate(length);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(&entry.key);
                    if let Some(found) = paths.get_mut(&entry.mark.node) {
                        found.clone_from(path);
                    }
                    entry.value.name_paths(path, paths);
                    path.truncate(length);
                }
            }
        }
    }

    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Empty | Kind::Scalar(_) => 0,
            Kind::List(items) => items.iter().map(Self::size).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

/// Reads `text`; nothing where it is not YAML, which `report` then says.
///
/// `next` is the number of the next node over all files.
pub(crate) fn parse(text: &str, file: u32, next: &mut u32, report: &mut Report) -> Option<Node> {
    let mut builder = Builder {
        text,
        parser: Parser::new_from_str_with_options(text, granit_parser::options! { emit_comments: false }),
        file,
        next,
        anchors: HashMap::new(),
        aliased: 0,
        report,
    };
    builder.document().ok()
}

/// The fault is in the report.
struct Reported;

struct Builder<'t, 'r> {
    text: &'t str,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    file: u32,
    next: &'r mut u32,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    report: &'r mut Report,
}

impl<'t> Builder<'t, '_> {
    fn event(&mut self) -> Result<Option<(Event<'t>, Span)>, Reported> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let at = *error.marker();
                let mark = Mark {
                    file: self.file,
                    node: 0,
                    line: u32::try_from(at.line()).unwrap_or(u32::MAX),
                    column: u32::try_from(at.col() + 1).unwrap_or(u32::MAX),
                };
                self.report.fault(mark, format!("not YAML: {}", error.info()));
                Err(Reported)
            }
        }
    }

    fn mark(&mut self, span: &Span) -> Mark {
        *self.next = self.next.saturating_add(1);
        Mark {
            file: self.file,
            node: *self.next,
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn document(&mut self) -> Result<Node, Reported> {
        let mut root = None;
        while let Some((event, span)) = self.event()? {
            match event {
                Event::DocumentStart(..) if root.is_some() => {
                    let mark = self.mark(&span);
                    self.report.fault(mark, "a second document; a file holds one");
                    return Err(Reported);
                }
                Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(..)
                | Event::DocumentEnd
                | Event::Anchor(..) => {}
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { mark: Mark { file: self.file, node: 0, line: 1, column: 1 }, kind: Kind::Empty }))
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Reported> {
        let mark = self.mark(span);
        if depth > MAX_DEPTH {
            self.report.fault(mark, format!("nested more than {MAX_DEPTH} levels deep"));
            return Err(Reported);
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_string = self.is_string(tag.as_deref(), mark);
                let plain = style == ScalarStyle::Plain && !is_string;
                let kind = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Kind::Empty
                } else {
                    let offset = self.offset(&text, span);
                    Kind::Scalar(Scalar { text: text.into(), plain, offset })
                };
                (kind, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.is_string(tag.as_deref(), mark);
                (Kind::List(self.items(depth)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.is_string(tag.as_deref(), mark);
                (Kind::Map(self.entries(depth)?), anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, mark),
            Event::UnresolvedAlias(name) => {
                self.report.fault(mark, format!("the alias `*{name}` has no anchor"));
                return Err(Reported);
            }
            // Ends of things that did not begin, and what later versions of the parser may tell.
            _ => {
                self.report.fault(mark, "not YAML: a value is missing");
                return Err(Reported);
            }
        };
        let node = Node { mark, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Reported> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.event()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
        Ok(items)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Reported> {
        let mut entries = Vec::new();
        let mut seen = HashSet::<Box<str>>::new();
        while let Some((event, span)) = self.event()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, &span, depth + 1)?;
            let Some((event, span)) = self.event()? else { break };
            let value = self.node(event, &span, depth + 1)?;
            let text = match key.kind {
                Kind::Scalar(scalar) => scalar.text,
                Kind::Empty => "null".into(),
                Kind::List(_) | Kind::Map(_) => {
                    self.report.fault(key.mark, "a key is a single value");
                    continue;
                }
            };
            if text.as_ref() == "<<" {
                self.report.fault(key.mark, "merge keys (`<<`) are not part of YAML 1.2");
            } else if seen.insert(text.clone()) {
                entries.push(Entry { mark: key.mark, key: text, value });
            } else {
                self.report.fault(key.mark, format!("`{text}` is given twice"));
            }
        }
        Ok(entries)
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<Node, Reported> {
        let Some(node) = self.anchors.get(&anchor) else {
            self.report.fault(mark, "an alias cannot stand within what it names");
            return Err(Reported);
        };
        self.aliased += node.size();
        if self.aliased > MAX_ALIASED {
            self.report.fault(mark, format!("aliases stand for more than {MAX_ALIASED} values"));
            return Err(Reported);
        }
        Ok(node.clone())
    }

    /// Whether the tag says that the value is a string; tags beyond YAML's own are faults.
    fn is_string(&mut self, tag: Option<&Tag>, mark: Mark) -> bool {
        match tag {
            None => false,
            Some(tag) if tag.is_yaml_core_schema() => tag.is_yaml_core_schema_tag("str"),
            Some(tag) => {
                self.report.fault(mark, format!("the tag `{}` has no meaning here", tag.original()));
                false
            }
        }
    }

    /// Where the text of a scalar begins, if it stands in the file just as it is.
    fn offset(&self, text: &str, span: &Span) -> Option<usize> {
        let written = span.slice(self.text)?;
        if written.starts_with(text) && !text.is_empty() {
            return Some(0);
        }
        let inner = written.strip_prefix(['"', '\''])?;
        inner.strip_suffix(['"', '\'']).filter(|inner| *inner == text).map(|_| 1)
    }
}
