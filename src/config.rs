//! The configuration compiler: text in, valid types or every fault at once out.

use std::path::{Path, PathBuf};

use url::Url;

use crate::decision::policy::Policy;
use crate::ops;
use crate::proxy;
use crate::sessions;
use crate::signing;

pub use compile::compile;
pub use fault::{Fault, Faults};
pub use schema::schema;
pub use source::Files;

mod authenticators;
mod compile;
mod cors;
pub(crate) mod decode;
pub(crate) mod fault;
mod headers;
pub(crate) mod id_token;
mod keys;
pub(crate) mod kratos;
mod listen;
mod loops;
pub(crate) mod node;
mod pages;
mod payload;
mod questions;
mod refusals;
pub mod reload;
mod rules;
mod schema;
mod services;
mod shaping;
pub(crate) mod source;
#[cfg(test)]
mod tests;
pub(crate) mod units;
mod upstreams;
mod verification;

/// A whole configuration, valid by construction.
pub struct Config {
    pub policy: Policy,
    pub settings: Settings,
    /// What the gateway signs with.
    pub signing: signing::Settings,
    /// What is not wrong but worth a look.
    pub warnings: Vec<Fault>,
    /// Every file that it was made of.
    pub files: Vec<PathBuf>,
    /// Patterns of files of rules; a new file that matches one belongs to the configuration too.
    pub patterns: Vec<String>,
    /// Of what the files said; another one says that they say something else.
    pub fingerprint: u64,
}

/// What other modules are told beyond the policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    pub listen: proxy::settings::Settings,
    pub ops: ops::settings::Settings,
    pub decisions: ops::settings::Decisions,
    pub sessions: sessions::settings::Settings,
    /// Kratos' public API is passed through on the listener.
    pub serve_kratos: bool,
    /// `kratos: embedded`: the development identity server is meant.
    pub embedded: bool,
    /// The sign-in pages; absent unless configured.
    pub ui: Option<UiSettings>,
}

/// What operators decide about the sign-in pages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UiSettings {
    /// Where they are mounted, without a trailing slash. Default `/ui`.
    pub path_prefix: String,
    /// The name on top of every page. Default `Portcullis`.
    pub brand: String,
    pub theme: UiTheme,
    /// Where people go who are done: a path, or a whole URL. Default `/`.
    pub home: String,
}

impl Default for UiSettings {
    fn default() -> Self {
        Self {
            path_prefix: "/ui".to_owned(),
            brand: "Portcullis".to_owned(),
            theme: UiTheme::default(),
            home: "/".to_owned(),
        }
    }
}

/// The colours of the sign-in pages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UiTheme {
    /// As the visitor's system says.
    #[default]
    Auto,
    Dark,
    Light,
}

/// What a compilation depends on besides the files.
#[derive(Clone)]
pub struct Options<'o> {
    /// Looks up a variable of the environment.
    pub environment: &'o (dyn Fn(&str) -> Option<String> + Send + Sync),
    /// What `kratos: embedded` stands for. Default http://127.0.0.1:4433.
    pub embedded_kratos: Url,
    /// The number of the policy to be made; a later one has a greater number.
    pub generation: u64,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            environment: &|name| std::env::var(name).ok(),
            embedded_kratos: Url::parse("http://127.0.0.1:4433").expect("a constant URL"),
            generation: 0,
        }
    }
}

/// Reads and compiles the configuration at `path`.
///
/// # Errors
/// Every fault of every file.
pub fn load(path: &Path, options: &Options<'_>) -> Result<Config, Faults> {
    compile(path, &Files::disk(), options)
}
