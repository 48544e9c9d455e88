//! Reading nodes as what their keys hold. Nothing stops at a fault: it is noted, and reading goes on.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;

use crate::config::fault::Report;
use crate::config::node::{Entry, Kind, Mark, Node, Scalar};
use crate::config::source::{Contents, Files};
use crate::config::units;
use crate::config::units::{Misread, nearest};

/// What all readers of nodes share.
pub(crate) struct Decoder<'o> {
    pub(crate) environment: &'o dyn Fn(&str) -> Option<String>,
    pub(crate) files: &'o Files<'o>,
    /// The folder of the configuration: other files are named relative to it.
    pub(crate) folder: PathBuf,
    /// The files of the configuration in the order of their marks.
    pub(crate) names: Vec<PathBuf>,
    /// Every file that was read or should have been, to be watched.
    pub(crate) contents: Contents,
    pub(crate) report: Report,
}

/// The known keys of a mapping.
pub(crate) struct Fields<'n> {
    /// The mapping's own place.
    pub(crate) mark: Mark,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The value of a key, unless it is absent or holds nothing.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        Some(&entry.value).filter(|value| !matches!(value.kind, Kind::Empty))
    }

    /// Whether the key is written at all.
    pub(crate) fn mentions(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| &*entry.key == key)
    }

    /// Where the key itself stands.
    pub(crate) fn key_mark(&self, key: &str) -> Mark {
        self.entries.iter().find(|entry| &*entry.key == key).map_or(self.mark, |entry| entry.mark)
    }
}

impl Decoder<'_> {
    pub(crate) fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.contents.read(self.files, path)
    }

    /// A place in words, for someone who looks at the file of `from`.
    pub(crate) fn place(&self, mark: Mark, from: Mark) -> String {
        match self.names.get(mark.file as usize) {
            Some(name) if mark.file != from.file => format!("at {}:{}", name.display(), mark.line),
            Some(_) | None => format!("in line {}", mark.line),
        }
    }

    /// The fields of a mapping that knows `keys`. A key without a value is a fault: it would silently do nothing.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, keys: &[&str]) -> Option<Fields<'n>> {
        let fields = self.sections(node, keys)?;
        for entry in fields.entries {
            if matches!(entry.value.kind, Kind::Empty) && keys.contains(&&*entry.key) {
                self.report.fault(entry.mark, format!("`{}` has no value", entry.key));
            }
        }
        Some(fields)
    }

    /// The fields of a mapping whose keys may be left empty.
    pub(crate) fn sections<'n>(&mut self, node: &'n Node, keys: &[&str]) -> Option<Fields<'n>> {
        let entries = self.entries(node)?;
        for entry in entries {
            if !keys.contains(&&*entry.key) {
                let meant = nearest(&entry.key, keys.iter().copied());
                let suggestion = match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("known here: {}", list_of(keys)),
                };
                self.report.fault_with(entry.mark, format!("unknown key `{}`", entry.key), Some(suggestion));
            }
        }
        Some(Fields { mark: node.mark, entries })
    }

    /// The entries of a mapping with keys of the user's choice.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Empty | Kind::List(_) | Kind::Scalar(_) => {
                self.report.fault(node.mark, format!("this is a mapping, not {}", node.describe()));
                None
            }
        }
    }

    /// The value of a key that must be there.
    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        if !fields.mentions(key) {
            self.report.fault(fields.mark, format!("`{key}` is missing"));
        }
        fields.get(key)
    }

    /// The value of `key`, and the mapping that holds it unless the value stands for all of it.
    pub(crate) fn only_or<'n>(
        &mut self,
        node: &'n Node,
        keys: &[&str],
        key: &str,
    ) -> Option<(&'n Node, Option<Fields<'n>>)> {
        if let Kind::Scalar(_) = node.kind {
            return Some((node, None));
        }
        let fields = self.fields(node, keys)?;
        Some((self.required(&fields, key)?, Some(fields)))
    }

    /// A scalar as it is written.
    pub(crate) fn scalar<'n>(&mut self, node: &'n Node) -> Option<&'n Scalar> {
        match &node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Empty | Kind::List(_) | Kind::Map(_) => {
                self.report.fault(node.mark, format!("this is a single value, not {}", node.describe()));
                None
            }
        }
    }

    /// A text, the environment put in.
    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        let scalar = self.scalar(node)?;
        match units::expand(&scalar.text, self.environment) {
            Ok(text) => Some(text),
            Err(misread) => {
                self.misread(node.mark, scalar, misread);
                None
            }
        }
    }

    /// What the named file says, and its path. It is watched from here on.
    pub(crate) fn file(&mut self, node: &Node) -> Option<(PathBuf, Vec<u8>)> {
        let name = self.text(node)?;
        let path = self.folder.join(name);
        match self.read(&path) {
            Ok(bytes) => Some((path, bytes)),
            Err(error) => {
                self.report.fault(node.mark, format!("`{}` cannot be read: {error}", path.display()));
                None
            }
        }
    }

    /// A text that `parse` reads. Faults show what is written, not what the environment made of it.
    pub(crate) fn parsed<T>(&mut self, node: &Node, parse: impl FnOnce(&str) -> Result<T, Misread>) -> Option<T> {
        let text = self.text(node)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(misread) => {
                let scalar = self.scalar(node)?;
                self.misread(node.mark, scalar, misread);
                None
            }
        }
    }

    /// Some names, or a single one. An empty one is nobody's: it comes of a variable that is not set.
    pub(crate) fn name_list(&mut self, node: &Node) -> Vec<Box<str>> {
        let name = |text: &str| if text.is_empty() { Err(Misread::new("is empty")) } else { Ok(Box::from(text)) };
        items(node).iter().filter_map(|node| self.parsed(node, name)).collect()
    }

    pub(crate) fn header_name(&mut self, node: &Node) -> Option<HeaderName> {
        self.parsed(node, |text| HeaderName::try_from(text).map_err(|_| Misread::new("is not a header name")))
    }

    fn misread(&mut self, mark: Mark, scalar: &Scalar, Misread { message, meant }: Misread) {
        let suggestion = meant.map(|meant| {
            // A sentence is help already; anything else is what the value should have been.
            if meant.contains(' ') { meant } else { format!("did you mean `{meant}`?") }
        });
        let written = scalar.text.chars().take(80).collect::<String>();
        let ellipsis = if written.len() < scalar.text.len() { "…" } else { "" };
        self.report.fault_with(mark, format!("`{written}{ellipsis}` {message}"), suggestion);
    }

    pub(crate) fn duration(&mut self, node: &Node) -> Option<Duration> {
        self.parsed(node, units::duration)
    }

    /// A duration that may not be zero.
    pub(crate) fn positive(&mut self, node: &Node) -> Option<Duration> {
        self.parsed(node, |text| {
            let duration = units::duration(text)?;
            if duration.is_zero() { Err(Misread::new("must be more than zero")) } else { Ok(duration) }
        })
    }

    pub(crate) fn size(&mut self, node: &Node, range: RangeInclusive<u64>) -> Option<u64> {
        self.parsed(node, |text| within(units::size(text)?, &range))
    }

    pub(crate) fn count(&mut self, node: &Node, range: RangeInclusive<u64>) -> Option<u64> {
        self.parsed(node, |text| within(text.parse().map_err(|_| Misread::new("is not a whole number"))?, &range))
    }

    /// `true` or `false`; `yes`, `on` and quoted words are strings.
    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        let scalar = self.scalar(node)?;
        let may_be = scalar.plain || scalar.text.contains("${");
        self.parsed(node, |text| match text {
            "true" if may_be => Ok(true),
            "false" if may_be => Ok(false),
            "yes" | "Yes" | "on" | "On" | "True" | "TRUE" | "true" => {
                Err(Misread::meant("is a string, not `true` or `false`", "true"))
            }
            "no" | "No" | "off" | "Off" | "False" | "FALSE" | "false" => {
                Err(Misread::meant("is a string, not `true` or `false`", "false"))
            }
            _ => Err(Misread::new("is neither `true` nor `false`")),
        })
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        self.parsed(node, |text| {
            let found = choices.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| Misread {
                message: format!("is none of {}", list_of(&words)),
                meant: nearest(text, words.iter().copied()).map(str::to_owned),
            })
        })
    }

    /// A path that begins with `/` and has neither query nor fragment, such as that of a health check.
    pub(crate) fn path(&mut self, node: &Node) -> Option<String> {
        self.parsed(node, |text| {
            if !text.starts_with('/') {
                return Err(Misread::meant("does not begin with `/`", format!("/{text}")));
            }
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\');
            if !text.bytes().all(is_plain) {
                return Err(Misread::new("has a character that no path has; write it as `%XX`"));
            }
            Ok(text.to_owned())
        })
    }

    /// Where a path is mounted: empty, or `/…` without a trailing slash.
    pub(crate) fn prefix(&mut self, node: &Node) -> Option<String> {
        self.parsed(node, |text| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
            if text.is_empty() {
                return Ok(String::new());
            }
            if !text.starts_with('/') {
                return Err(Misread::meant("does not begin with `/`", format!("/{text}")));
            }
            if text.ends_with('/') {
                return Err(Misread::meant("ends with a slash", text.trim_end_matches('/')));
            }
            if !text.bytes().all(is_plain) || text.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
                return Err(Misread::new("is not a plain path: letters, digits and `.-_~` between single slashes"));
            }
            Ok(text.to_owned())
        })
    }
}

/// A list, or a single value that stands for a list of one.
pub(crate) fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        Kind::Empty | Kind::Map(_) | Kind::Scalar(_) => std::slice::from_ref(node),
    }
}

fn within(value: u64, range: &RangeInclusive<u64>) -> Result<u64, Misread> {
    if value < *range.start() {
        Err(Misread::new(format!("is less than {}", range.start())))
    } else if value > *range.end() {
        Err(Misread::new(format!("is more than {}", range.end())))
    } else {
        Ok(value)
    }
}

/// The words in backticks, for a sentence.
pub(crate) fn list_of(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
