//! The assembled server, on ports of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tempfile::TempDir;

use super::*;
use crate::config::{Options, load};

/// A configuration with these rules, listening on `address`.
fn config(address: &str, rules: &str, generation: u64) -> Config {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("portcullis.yaml");
    let text = format!(
        "listen: {address}\nops: 127.0.0.1:0\nkratos: http://127.0.0.1:9\nrules:\n  - {{ id: a, match: {{ paths: {rules} }}, access: deny }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let options = Options { generation, ..Options::default() };
    load(&file, &options).unwrap_or_else(|faults| panic!("{faults}"))
}

fn status(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn it_answers_as_soon_as_it_started_and_not_after_it_stopped() {
    let running = start(config("127.0.0.1:0", "/a", 1)).unwrap();
    let (address, ops_address) = (running.address(), running.ops_address());
    assert_eq!(status(address, "/a"), "403");
    assert_eq!(status(ops_address, "/health/alive"), "200");
    running.stop();
    assert!(TcpStream::connect(address).is_err());
    assert!(TcpStream::connect(ops_address).is_err());
}

#[test]
fn a_taken_port_is_an_error_at_once() {
    let running = start(config("127.0.0.1:0", "/a", 1)).unwrap();
    let second = start(config(&running.address().to_string(), "/a", 1));
    assert!(matches!(second, Err(StartError::Listen { address, .. }) if address == running.address()));
}

#[test]
fn a_reload_is_in_force_for_the_next_request() {
    let running = start(config("127.0.0.1:0", "/a", 1)).unwrap();
    assert_eq!(status(running.address(), "/b"), "404");
    running.control().reload(config("127.0.0.1:0", "/b", 2)).unwrap();
    assert_eq!(running.control().generation(), 2);
    assert_eq!(status(running.address(), "/b"), "403");
    assert_eq!(status(running.address(), "/a"), "404");
}
