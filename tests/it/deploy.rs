//! What `deploy/` ships holds together: its configurations compile, and what surrounds them agrees with them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::config::{Config, Files, Options, compile};

#[test]
fn every_file_says_first_what_it_is_for() {
    for path in shipped() {
        let text = read(&path);
        let first = text.lines().next().unwrap_or_default();
        let sentence = ["# ", "// ", "-- "].iter().find_map(|comment| first.strip_prefix(comment));
        let says = sentence.is_some_and(|sentence| sentence.len() > 30 && sentence.starts_with(char::is_uppercase));
        assert!(says, "{path} begins with {first:?}");
    }
}

#[test]
fn every_shipped_configuration_compiles_without_a_warning() {
    let paths = shipped();
    let configured = paths.iter().filter(|path| configuration(path).is_some()).collect::<Vec<_>>();
    assert_eq!(configured.len(), 3, "the edge, the sidecar and the unit have one: {configured:?}");
    for path in configured {
        let config = compiled(path);
        assert!(!config.policy.rules.is_empty(), "{path} lets nobody anywhere");
        let warnings = config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(warnings.is_empty(), "{path}: {warnings:?}");
    }
}

#[test]
fn nobody_kills_a_gateway_that_still_drains() {
    for (path, key) in [
        ("deploy/kubernetes/edge.yaml", "terminationGracePeriodSeconds: "),
        ("deploy/kubernetes/sidecar.yaml", "terminationGracePeriodSeconds: "),
        ("deploy/systemd/portcullis.service", "TimeoutStopSec="),
    ] {
        let listen = compiled(&path.replace(".service", ".yaml")).settings.listen;
        let patience = Duration::from_secs(number_after(&read(path), key));
        let needed = listen.shutdown_delay + listen.shutdown_timeout;
        assert!(patience > needed, "{path} waits for {patience:?}, the gateway needs up to {needed:?}");
    }
}

#[test]
fn a_service_behind_a_sidecar_outlives_its_gate() {
    let path = "deploy/kubernetes/sidecar.yaml";
    let listen = compiled(path).settings.listen;
    let lives = Duration::from_secs(number_after(&read(path), "sleep: { seconds: "));
    assert!(lives >= listen.shutdown_delay + listen.shutdown_timeout, "{lives:?}");
}

#[test]
fn probes_and_ports_are_those_of_the_configuration() {
    for path in ["deploy/kubernetes/edge.yaml", "deploy/kubernetes/sidecar.yaml"] {
        let (text, settings) = (read(path), compiled(path).settings);
        for (name, address) in [("http", settings.listen.address), ("ops", settings.ops.address)] {
            assert!(address.ip().is_unspecified(), "{path}: {name} is out of reach at {address}");
            let port = format!("{{ name: {name}, containerPort: {} }}", address.port());
            assert!(text.contains(&port), "{path} does not say {port}");
        }
        for probe in ["/health/ready, port: ops", "/health/alive, port: ops"] {
            assert!(text.contains(probe), "{path} does not probe {probe}");
        }
        assert!(settings.ops.token.is_some(), "{path} leaves operators' doors open");
    }
}

#[test]
fn versions_are_those_of_this_package() {
    let image = format!("/portcullis:{}\n", env!("CARGO_PKG_VERSION"));
    for path in ["deploy/kubernetes/edge.yaml", "deploy/kubernetes/sidecar.yaml"] {
        assert!(read(path).contains(&image), "{path} runs another version than {image}");
    }
    let builder = format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(read("deploy/docker/Dockerfile").contains(&builder), "the image is not built by {builder}");
}

/// The configuration in the file at `path`, compiled with what its surroundings would give it.
#[track_caller]
pub(crate) fn compiled(path: &str) -> Config {
    let text = configuration(path).unwrap_or_else(|| panic!("{path} holds no configuration"));
    compiled_text(path, &text)
}

/// `text` compiled as if it lay at `path`.
#[track_caller]
pub(crate) fn compiled_text(path: &str, text: &str) -> Config {
    let files = Files {
        read: &|asked: &Path| match asked.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") if asked == Path::new(path) => Ok(text.as_bytes().to_vec()),
            Some("crt" | "pem") => Ok(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
            Some("key") => Ok(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec()),
            Some(_) | None => Err(io::ErrorKind::NotFound.into()),
        },
        list: &|_: &str| Ok(Vec::new()),
    };
    let environment = |name: &str| match name {
        "OPS_TOKEN" => Some("a-token-of-operators".to_owned()),
        "CREDENTIALS_DIRECTORY" => Some("/run/credentials/portcullis.service".to_owned()),
        _ => None,
    };
    let options = Options { environment: &environment, ..Options::default() };
    compile(Path::new(path), &files, &options).unwrap_or_else(|faults| panic!("{path}:\n{faults}"))
}

/// The configuration in the file at `path`: all of it, or what a ConfigMap holds as `portcullis.yaml`.
fn configuration(path: &str) -> Option<String> {
    let text = read(path);
    if path.ends_with("/portcullis.yaml") || path.starts_with("config/") {
        return Some(text);
    }
    let mut lines = text.lines().skip_while(|line| *line != "  portcullis.yaml: |").skip(1).peekable();
    lines.peek()?;
    let block = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    Some(block.map(|line| format!("{}\n", line.get(4..).unwrap_or_default())).collect())
}

/// The number that follows `key`, wherever that is said first.
fn number_after(text: &str, key: &str) -> u64 {
    let (_, after) = text.split_once(key).unwrap_or_else(|| panic!("nothing says {key}"));
    let digits = after.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("no number after {key}"))
}

/// Every file in `deploy/`, by its path below the root of the repository.
fn shipped() -> Vec<String> {
    let mut folders = vec![root().join("deploy")];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be listed") {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                paths.push(path.strip_prefix(root()).expect("it was found below").display().to_string());
            }
        }
    }
    paths.sort();
    paths
}

/// The text of a file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
