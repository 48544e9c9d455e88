//! Notices that the files of a configuration changed, and compiles it anew: all of it or nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use url::Url;

use crate::config::source::Contents;
use crate::config::{Config, Faults, Files, Options, load};

/// How long changes must have ceased before the files are read: editors and ConfigMaps write in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// The stack of the thread that compiles, in bytes.
const STACK: usize = 8 * 1024 * 1024;

/// What is watched, and what it is compiled with.
#[derive(Clone, Debug)]
pub struct Watched {
    pub config: PathBuf,
    pub embedded_kratos: Url,
    /// The generation that was compiled last.
    pub generation: u64,
}

/// Compiles the configuration once more, under the next generation. A hang-up signal does this, changed or not.
///
/// # Errors
/// Every fault of every file; the generation is then not used up.
pub fn reload(watched: &mut Watched) -> Result<Config, Faults> {
    let options = Options {
        embedded_kratos: watched.embedded_kratos.clone(),
        generation: watched.generation + 1,
        ..Options::default()
    };
    let config = load(&watched.config, &options)?;
    watched.generation = options.generation;
    Ok(config)
}

/// Asks a watch for a reload, or ends it when dropped.
#[derive(Debug)]
pub struct Watch {
    signals: mpsc::Sender<Signal>,
}

impl Watch {
    /// Has the files read and compiled now, whether they changed or not.
    pub fn reload(&self) {
        // A watch that has ended has nothing left to reload.
        let _ = self.signals.send(Signal::Reload);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.signals.send(Signal::End);
    }
}

enum Signal {
    /// Something happened in one of the folders.
    Touched,
    End,
    Reload,
}

/// Watches the files of `current` on a thread of its own and hands `on_change` every new configuration, or its faults.
///
/// The folders are watched, not the files: editors replace files, and Kubernetes swaps a link beside them.
///
/// # Errors
/// Where the system gives no more watches or threads.
pub fn watch(
    mut watched: Watched,
    current: &Config,
    mut on_change: impl FnMut(Result<Config, Faults>) + Send + 'static,
) -> std::io::Result<Watch> {
    let (signals, received) = mpsc::channel();
    let touched = signals.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is an event too, and our own would never end.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = touched.send(Signal::Touched);
        }
    });
    let folders = Folders { watcher: watcher.map_err(std::io::Error::other)?, watched: BTreeSet::new() };
    let mut follower = Follower {
        folders,
        inputs: Inputs { files: current.files.clone(), patterns: current.patterns.clone() },
        seen: current.fingerprint,
        faults: None,
    };
    follower.folders.follow(&follower.inputs);
    // What changed between the first compilation and this moment gave no event.
    let _ = signals.send(Signal::Touched);
    let watch = Watch { signals };
    // Parsers recurse; a thread's usual stack is a quarter of what the main thread has.
    let thread = thread::Builder::new().name("config-watch".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        while let Ok(signal) = received.recv() {
            let forced = match signal {
                Signal::End => break,
                Signal::Reload => true,
                Signal::Touched => match settle(&received) {
                    Settled::End => break,
                    Settled::Quiet { forced } => forced,
                },
            };
            if let Some(change) = follower.look(&mut watched, forced) {
                on_change(change);
            }
        }
    })?;
    Ok(watch)
}

/// What is known of the files.
struct Follower {
    folders: Folders,
    inputs: Inputs,
    /// What the files said when they were compiled last.
    seen: u64,
    /// What was wrong with them then.
    faults: Option<Faults>,
}

impl Follower {
    /// Compiles the files if they say something else than before, or if they were faulty: what was missing may be
    /// there now, in a place that is not yet known. The same faults are not told twice, unless asked for.
    fn look(&mut self, watched: &mut Watched, forced: bool) -> Option<Result<Config, Faults>> {
        if !forced && self.faults.is_none() && self.inputs.fingerprint() == self.seen {
            // A folder may have been replaced by one that is not watched yet.
            self.folders.follow(&self.inputs);
            return None;
        }
        let result = reload(watched);
        match &result {
            Ok(config) => {
                self.inputs = Inputs { files: config.files.clone(), patterns: config.patterns.clone() };
                self.seen = config.fingerprint;
                self.faults = None;
            }
            Err(faults) if !forced && self.faults.as_ref() == Some(faults) => return None,
            Err(faults) => self.faults = Some(faults.clone()),
        }
        self.folders.follow(&self.inputs);
        Some(result)
    }
}

enum Settled {
    End,
    Quiet { forced: bool },
}

/// Waits until nothing has happened for a while.
fn settle(received: &mpsc::Receiver<Signal>) -> Settled {
    let mut forced = false;
    loop {
        match received.recv_timeout(QUIET) {
            Ok(Signal::Touched) => {}
            Ok(Signal::Reload) => forced = true,
            Ok(Signal::End) | Err(RecvTimeoutError::Disconnected) => return Settled::End,
            Err(RecvTimeoutError::Timeout) => return Settled::Quiet { forced },
        }
    }
}

/// What a configuration is made of.
struct Inputs {
    files: Vec<PathBuf>,
    patterns: Vec<String>,
}

impl Inputs {
    /// Changes when any file says something else, appears or disappears. Which link leads to it does not matter.
    fn fingerprint(&self) -> u64 {
        let files = Files::disk();
        let mut all = self.files.iter().cloned().collect::<BTreeSet<_>>();
        for pattern in &self.patterns {
            all.extend((files.list)(pattern).unwrap_or_default());
        }
        let mut contents = Contents::default();
        for path in all {
            let _ = contents.read(&files, &path);
        }
        contents.fingerprint()
    }
}

/// The folders that are watched.
struct Folders {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    /// Watches the folder of every file and pattern, or the nearest one that exists.
    fn follow(&mut self, inputs: &Inputs) {
        let mut wanted = BTreeSet::new();
        for file in &inputs.files {
            wanted.extend(nearest_folder(file));
            // A file behind a link changes where it really is.
            wanted.extend(std::fs::canonicalize(file).ok().and_then(|target| nearest_folder(&target)));
        }
        for pattern in &inputs.patterns {
            let fixed = pattern.split(['*', '?']).next().unwrap_or_default();
            wanted.extend(nearest_folder(Path::new(fixed)));
        }
        for gone in self.watched.difference(&wanted) {
            let _ = self.watcher.unwatch(gone);
        }
        // Also those that are watched already: a folder that was replaced needs a new watch.
        for folder in &wanted {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "A folder of the configuration cannot be watched");
            }
        }
        self.watched = wanted;
    }
}

fn nearest_folder(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned)
}
