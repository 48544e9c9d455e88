//! Configurations: any text is a configuration or has faults, each with a place within it.
#![no_main]

use std::io::{Error, ErrorKind};
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use portcullis::config::{Files, Options, compile};

fuzz_target!(|data: &[u8]| {
    let read = |path: &Path| match path.to_str() {
        Some("config.yaml") => Ok(data.to_vec()),
        _ => Err(Error::from(ErrorKind::NotFound)),
    };
    let list = |_: &str| Ok(Vec::new());
    let options = Options { environment: &|_| None, ..Options::default() };
    if let Err(faults) = compile(Path::new("config.yaml"), &Files { read: &read, list: &list }, &options) {
        assert!(faults.iter().len() > 0 && !faults.to_string().is_empty());
        let lines = 1 + data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        for fault in faults.iter() {
            assert!(fault.line as usize <= lines + 1, "{fault}");
        }
    }
});
