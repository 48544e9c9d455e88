//! The files of a configuration: how they are found and read, and what they say.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::node::Node;

/// How files are read; tests need no disk.
pub struct Files<'f> {
    pub read: &'f dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The files that match a pattern like `/etc/portcullis/rules/*.yaml`, in any order.
    pub list: &'f dyn Fn(&str) -> io::Result<Vec<PathBuf>>,
}

impl Files<'static> {
    /// The files of this machine.
    pub fn disk() -> Self {
        Files { read: &read, list: &list }
    }
}

/// The most that one file may measure: 100,000 rules take about 20 MiB.
const MAX_SIZE: u64 = 256 * 1024 * 1024;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // Devices and pipes may have no end.
    std::fs::File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(io::Error::other("the file is larger than 256 MiB"));
    }
    Ok(bytes)
}

fn list(pattern: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths =
        glob::glob(pattern).map_err(io::Error::other)?.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    paths.retain(|path| !path.is_dir());
    Ok(paths)
}

/// What files said, or that they could not be read. It only ever is compared within one process.
#[derive(Default)]
pub(crate) struct Contents(BTreeSet<(PathBuf, Option<u64>)>);

impl Contents {
    /// Reads a file and remembers what it said.
    pub(crate) fn read(&mut self, files: &Files<'_>, path: &Path) -> io::Result<Vec<u8>> {
        let read = (files.read)(path);
        let digest = read.as_ref().ok().map(|bytes| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        });
        self.0.insert((path.to_owned(), digest));
        read
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn into_paths(self) -> Vec<PathBuf> {
        let mut paths = self.0.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        paths.dedup();
        paths
    }
}

/// A file that was read.
pub(crate) struct Source {
    pub(crate) name: PathBuf,
    pub(crate) text: String,
    /// Absent where it could not be read or is no YAML.
    pub(crate) root: Option<Arc<Node>>,
    /// What the keys of the root belong to: nothing, or `rules` in a file of rules.
    pub(crate) prefix: &'static str,
}

impl Source {
    pub(crate) fn name_paths(&self, paths: &mut HashMap<u32, String>) {
        if let Some(root) = self.root.as_ref().filter(|_| !paths.is_empty()) {
            root.name_paths(&mut self.prefix.to_owned(), paths);
        }
    }
}
