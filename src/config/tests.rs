//! The compiler as a whole: text in, configuration or faults out, without a disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, Faults, Files, Options, compile};

mod accepted;
mod faults;
mod reload;
mod reports;
mod robust;
mod schema;

/// What the environment of the tests holds.
fn environment(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "KRATOS" => Some("http://kratos:4433".to_owned()),
        "SECRET" => Some("s3cr3t".to_owned()),
        "TTL" => Some("45s".to_owned()),
        _ => None,
    }
}

/// Compiles the first of some files.
fn compile_files(files: &[(&str, &str)]) -> Result<Config, Faults> {
    let disk = files.iter().map(|(name, text)| (PathBuf::from(name), *text)).collect::<BTreeMap<_, _>>();
    let read = |path: &Path| match disk.get(path) {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let list = |pattern: &str| {
        let pattern = glob::Pattern::new(pattern).map_err(io::Error::other)?;
        // In an order that nobody should rely on.
        Ok(disk.keys().rev().filter(|path| pattern.matches_path(path)).cloned().collect())
    };
    let options = Options { environment: &environment, generation: 7, ..Options::default() };
    compile(Path::new(files[0].0), &Files { read: &read, list: &list }, &options)
}

/// Compiles one file; where it says nothing of Kratos, that is added at its end.
fn compile_text(text: &str) -> Result<Config, Faults> {
    let kratos = if text.contains("kratos") { "" } else { "\nkratos: http://k\n" };
    compile_files(&[("config.yaml", &format!("{text}{kratos}"))])
}

#[track_caller]
fn good(text: &str) -> Config {
    match compile_text(text) {
        Ok(config) => config,
        Err(faults) => panic!("{text}\n{faults}"),
    }
}

/// A certificate that any PEM reader takes, with its key.
fn certificate() -> (String, String) {
    let certified = rcgen::generate_simple_self_signed(["kratos".to_owned()]).unwrap();
    (certified.cert.pem(), certified.signing_key.serialize_pem())
}
