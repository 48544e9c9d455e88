//! The gateway under test, in this process, with a configuration written as people write it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis::config::{self, Config, Faults, Files, Options};
use portcullis::server::{self, Running};

use super::client::Client;

pub struct Gateway {
    running: Option<Running>,
    address: SocketAddr,
    ops: SocketAddr,
    generation: u64,
}

/// What the configuration is called in faults.
const NAME: &str = "test.yaml";

/// Compiles `yaml`, with listeners on free ports unless it names some.
pub fn compile(yaml: &str, generation: u64) -> Result<Config, Faults> {
    let mut text = yaml.to_owned();
    if !text.contains("listen:") {
        text.insert_str(0, "listen: 127.0.0.1:0\n");
    }
    if !text.contains("ops:") {
        text.insert_str(0, "ops: 127.0.0.1:0\n");
    }
    let read = |path: &Path| if path == Path::new(NAME) { Ok(text.clone().into_bytes()) } else { std::fs::read(path) };
    let files = Files { read: &read, list: &|_: &str| Ok(Vec::new()) };
    config::compile(Path::new(NAME), &files, &Options { generation, ..Options::default() })
}

impl Gateway {
    /// Starts a gateway with this configuration.
    #[track_caller]
    pub fn start(yaml: &str) -> Self {
        let config = compile(yaml, 1).unwrap_or_else(|faults| panic!("{faults}"));
        let running = server::start(config).unwrap();
        Self { address: running.address(), ops: running.ops_address(), running: Some(running), generation: 1 }
    }

    /// Puts another configuration in force.
    #[track_caller]
    pub fn reload(&mut self, yaml: &str) {
        self.generation += 1;
        let config = compile(yaml, self.generation).unwrap_or_else(|faults| panic!("{faults}"));
        self.running().control().reload(config).unwrap();
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn request(&self, method: &str, target: &str) -> Client {
        Client::new(self.address, method, target)
    }

    pub fn get(&self, target: &str) -> Client {
        self.request("GET", target)
    }

    /// A request to the operators' listener.
    pub fn ops(&self, method: &str, target: &str) -> OpsReply {
        self.ops_with(method, target, &[], "")
    }

    pub fn ops_with(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> OpsReply {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let reply = super::client::exchange(self.ops, request.as_bytes(), method == "HEAD");
        OpsReply { status: reply.status, body: reply.text() }
    }

    /// The sum of all samples whose name and labels begin with `series`.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.ops("GET", "/metrics").body;
        text.lines()
            .filter(|line| line.starts_with(series))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Stops it as a signal would, and says how long that took.
    pub fn stop(mut self) -> Duration {
        let started = Instant::now();
        self.running.take().expect("it runs").stop();
        started.elapsed()
    }
}

/// An answer of the operators' listener.
#[derive(Debug)]
pub struct OpsReply {
    pub status: u16,
    pub body: String,
}

/// Waits until `condition` holds, which something under way is about to bring about.
#[track_caller]
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "it never came about that {what}");
        std::thread::yield_now();
    }
}
