//! What the gateway costs beside a bare proxy of the same engine, in one run: `cargo bench --bench proxy`.
//!
//! This program plays every part but the gateway's: the service, Kratos' whoami, the bare proxy, and the clients. Each
//! is a process of its own, on loopback, and sessions are kept for minutes, so that what is measured is a request whose
//! session is known; proxies share one CPU, everyone else the other. In each of five rounds every
//! case is measured for three seconds; medians are printed, and each case's CPU time per request as a ratio to the bare
//! proxy's. Figures of different runs do not compare; ratios within one do.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may panic, and prints what it found")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::listeners::Listeners;
use pingora::prelude::{HttpPeer, Result};
use pingora::proxy::{ProxyHttp, Session, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The gateway's own allocator, for the bare proxy too: the engine's cost is what is compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(3);
const SESSIONS: usize = 1000;

/// Which part this process plays; unset: it directs.
const PART: &str = "PORTCULLIS_BENCH_PART";
const UPSTREAM: &str = "PORTCULLIS_BENCH_UPSTREAM";

fn main() {
    match std::env::var(PART).as_deref() {
        Ok("service") => answer_forever(|_| reply(&"x".repeat(1024))),
        Ok("kratos") => answer_forever(|head| reply(&session(head))),
        Ok("bare") => bare(),
        Ok(other) => panic!("no such part: {other}"),
        Err(_) => direct(),
    }
}

fn direct() {
    let service = Part::play("service", 1, &[]);
    let kratos = Part::play("kratos", 1, &[]);
    let bare = Part::play("bare", 0, &[(UPSTREAM, service.address.to_string())]);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("portcullis.yaml");
    let yaml = format!(
        "listen: {{ address: '127.0.0.1:0', threads: 1 }}
ops: 127.0.0.1:0
kratos: http://{kratos}
sessions: {{ ttl: 5m }}
upstreams: {{ app: http://{service} }}
rules:
  - {{ id: open, match: {{ paths: [/open] }}, access: public, upstream: app }}
  - {{ id: mine, match: {{ paths: [/mine] }}, access: session, upstream: app }}
",
        kratos = kratos.address,
        service = service.address
    );
    std::fs::write(&config, yaml).unwrap();
    let gateway = Part::gateway(&config);

    let anonymous = |path: &str| vec![format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n")];
    let signed_in = (0..SESSIONS)
        .map(|number| {
            format!("GET /mine HTTP/1.1\r\nhost: a.example\r\ncookie: a=b; ory_kratos_session=session{number}\r\n\r\n")
        })
        .collect::<Vec<_>>();
    let cases = [
        ("bare pingora proxy", &bare, anonymous("/open"), 200),
        ("serve, public rule", &gateway, anonymous("/open"), 200),
        ("serve, session rule, 1,000 sessions", &gateway, signed_in, 200),
        ("serve, no session: 401", &gateway, anonymous("/mine"), 401),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut results = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for (case, results) in cases.iter().zip(&mut results) {
            let (_, part, requests, status) = case;
            results.push(runtime.block_on(measure(part, requests, *status)));
        }
    }
    println!("{:<38} {:>10} {:>12} {:>10}", "case", "requests/s", "CPU us/req", "x bare");
    let bare_cost = median(results[0].iter().map(|(_, cost)| *cost));
    for ((name, ..), results) in cases.iter().zip(&results) {
        let rate = median(results.iter().map(|(rate, _)| *rate));
        let cost = median(results.iter().map(|(_, cost)| *cost));
        println!("{name:<38} {rate:>10.0} {cost:>12.1} {:>10.2}", cost / bare_cost);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values = values.collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Requests a second, and microseconds of CPU time of the part for each.
async fn measure(part: &Part, requests: &[String], status: u16) -> (f64, f64) {
    let done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let requests: Arc<[String]> = requests.into();
    let clients = (0..CONNECTIONS)
        .map(|number| {
            let (done, stop, requests) = (Arc::clone(&done), Arc::clone(&stop), Arc::clone(&requests));
            let address = part.address;
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = vec![0; 16 * 1024];
                let mut at = number * requests.len() / CONNECTIONS;
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(requests[at % requests.len()].as_bytes()).await.unwrap();
                    assert_eq!(read_reply(&mut stream, &mut buffer).await, status);
                    done.fetch_add(1, Ordering::Relaxed);
                    at += 1;
                }
            })
        })
        .collect::<Vec<_>>();
    tokio::time::sleep(WARM_UP).await;
    let (before, spent_before, started) = (done.load(Ordering::Relaxed), part.cpu(), Instant::now());
    tokio::time::sleep(MEASURE).await;
    let (count, spent) = (done.load(Ordering::Relaxed) - before, part.cpu() - spent_before);
    let elapsed = started.elapsed();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    (count as f64 / elapsed.as_secs_f64(), spent.as_secs_f64() * 1e6 / count as f64)
}

/// Reads one answer with a Content-Length and returns its status.
async fn read_reply(stream: &mut TcpStream, buffer: &mut [u8]) -> u16 {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "the connection was closed");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).unwrap();
        let length = text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|l| l.trim().to_owned()))
            .map_or(0, |length| length.parse::<usize>().unwrap());
        if filled >= head + 4 + length {
            return text[9..12].parse().unwrap();
        }
    }
}

/// A process that plays a part, and ends with this one.
struct Part {
    child: Child,
    address: SocketAddr,
}

impl Part {
    /// This program again, in another role; it prints its address.
    fn play(part: &str, cpu: usize, environment: &[(&str, String)]) -> Self {
        let mut command = pinned(cpu, std::env::current_exe().unwrap().as_os_str());
        command.env(PART, part).envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().unwrap(), child }
    }

    fn gateway(config: &std::path::Path) -> Self {
        let mut command = pinned(0, env!("CARGO_BIN_EXE_portcullis").as_ref());
        command.args(["--log", "info,access=off", "serve", "--config"]).arg(config);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the gateway did not start");
            if let Some(rest) = line.split("Listening").nth(1) {
                let address = rest.split("address=").nth(1).unwrap();
                break address.split(' ').next().unwrap().parse().unwrap();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    /// User and system time so far. The kernel counts in hundredths of a second.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect::<Vec<_>>();
        let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `taskset` comes with every Debian; the program replaces it, so the process is the part itself.
fn pinned(cpu: usize, program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string()]).arg(program);
    command
}

fn reply(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The session of the number in the cookie, as long as Kratos' own answers are.
fn session(head: &str) -> String {
    let number = head.split("ory_kratos_session=session").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("0");
    let number = number.trim().parse::<u32>().unwrap_or(0);
    let padding = "x".repeat(1200);
    format!(
        r#"{{"id":"00000000-0000-4000-8000-{number:012}","active":true,"expires_at":"2999-01-01T00:00:00Z","authenticated_at":"2026-01-01T00:00:00Z","authenticator_assurance_level":"aal1","identity":{{"id":"00000000-0000-4000-9000-{number:012}","traits":{{"padding":"{padding}"}}}}}}"#
    )
}

/// A server that reads a head and answers it.
fn answer_forever(answer: fn(&str) -> String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let mut buffer = Vec::with_capacity(4096);
                loop {
                    while !buffer.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let reply = answer(&String::from_utf8_lossy(&buffer));
                    buffer.clear();
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// The least that a proxy of this engine can do.
struct Bare(SocketAddr);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn bare() {
    let upstream = std::env::var(UPSTREAM).unwrap().parse().unwrap();
    // The engine cannot say which port it got; one that was free a moment ago will do.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let conf = Arc::new(ServerConf { threads: 1, ..ServerConf::default() });
    let mut server =
        pingora::server::Server::new_with_opt_and_conf(None, ServerConf { threads: 1, ..ServerConf::default() });
    server.bootstrap();
    let proxy = http_proxy(&conf, Bare(upstream));
    server.add_service(Service::with_listeners("bare".to_owned(), Listeners::tcp(&address.to_string()), proxy));
    std::thread::spawn(move || {
        while std::net::TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        println!("{address}");
    });
    server.run_forever();
}
