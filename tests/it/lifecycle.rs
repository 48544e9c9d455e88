//! Starting, reloading, stopping; and clients and services that take too long or want too much.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::harness::{Client, Gateway, Kratos, Service, compile, read_reply, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn rule(service: &Service, path: &str) -> String {
    format!("rules: [{{ id: app, match: {{ paths: [{path}] }}, access: public, upstream: '{}' }}]\n", service.url())
}

/// A service that answers when it is told to.
fn held() -> (Service, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let service = Service::answering(move |_| {
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone".to_owned()
    });
    (service, release)
}

#[test]
fn a_request_in_flight_keeps_the_policy_it_began_with() {
    let kratos = Kratos::start();
    let (service, release) = held();
    let mut gateway = Gateway::start(&format!("kratos: {}\n{}", kratos.url(), rule(&service, "/old")));
    let address = gateway.address();
    let asking = std::thread::spawn(move || Client::new(address, "GET", "/old").send());
    until("it is in flight", || gateway.metric("portcullis_requests_in_flight") >= 1.0);
    gateway.reload(&format!("kratos: {}\n{}", kratos.url(), rule(&service, "/new")));
    assert_eq!(gateway.get("/old").send().status, 404);
    release.send(()).unwrap();
    assert_eq!(
        (asking.join().unwrap().status, gateway.metric("portcullis_reloads_total{result=\"success\"}")),
        (200, 1.0)
    );
}

#[test]
fn stopping_takes_as_long_as_what_is_in_flight_and_no_longer() {
    let kratos = Kratos::start();
    let (service, release) = held();
    let gateway = Gateway::start(&format!("kratos: {}\n{}", kratos.url(), rule(&service, "/x")));
    let address = gateway.address();
    let asking = std::thread::spawn(move || Client::new(address, "GET", "/x").send());
    until("it is in flight", || gateway.metric("portcullis_requests_in_flight") >= 1.0);
    let stopping = std::thread::spawn(move || gateway.stop());
    until("it accepts no more", || TcpStream::connect(address).is_err());
    assert!(!stopping.is_finished());
    release.send(()).unwrap();
    assert_eq!(asking.join().unwrap().status, 200);
    assert!(stopping.join().unwrap() < PATIENCE);
}

#[test]
fn stopping_with_nothing_in_flight_is_immediate_and_bounded_otherwise() {
    let kratos = Kratos::start();
    let gateway = Gateway::start(&format!("kratos: {}\n", kratos.url()));
    // An idle connection is nothing to wait for.
    let _idle = TcpStream::connect(gateway.address()).unwrap();
    assert!(gateway.stop() < Duration::from_secs(5));

    let (service, _never) = held();
    let gateway = Gateway::start(&format!(
        "listen: {{ address: '127.0.0.1:0', shutdown_timeout: 200ms }}\nkratos: {}\n{}",
        kratos.url(),
        rule(&service, "/x")
    ));
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").unwrap();
    until("it is in flight", || gateway.metric("portcullis_requests_in_flight") >= 1.0);
    assert!(gateway.stop() < Duration::from_secs(10));
}

#[test]
fn a_port_in_use_is_an_error_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let yaml = format!("listen: {}\nkratos: http://127.0.0.1:1\n", taken.local_addr().unwrap());
    let config = compile(&yaml, 1).unwrap();
    let error = portcullis::server::start(config).err().expect("it started").to_string();
    assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[test]
fn readiness_says_no_while_stopping() {
    let kratos = Kratos::start();
    let gateway = Gateway::start(&format!(
        "listen: {{ address: '127.0.0.1:0', shutdown_delay: 1500ms }}\nkratos: {}\n",
        kratos.url()
    ));
    assert_eq!(gateway.ops("GET", "/health/ready").status, 200);
    gateway.running().control().stop();
    until("readiness says no", || gateway.ops("GET", "/health/ready").status == 503);
    assert_eq!(gateway.get("/nowhere").send().status, 404, "it still accepts");
    assert_eq!(gateway.ops("GET", "/health/alive").status, 200);
}

#[test]
fn a_head_must_come_in_time_however_slowly_it_drips() {
    let kratos = Kratos::start();
    let gateway = Gateway::start(&format!(
        "listen: {{ address: '127.0.0.1:0', header_timeout: 300ms, idle_timeout: 300ms }}\nkratos: {}\n",
        kratos.url()
    ));
    let drip = |first: &[u8]| {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let started = Instant::now();
        stream.write_all(first).unwrap();
        loop {
            assert!(started.elapsed() < PATIENCE, "still open");
            let mut rest = [0; 512];
            match stream.read(&mut rest) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => return,
            }
            if stream.write_all(b"a").is_err() {
                return;
            }
        }
    };
    drip(b"GET / HTTP/1.1\r\nhost: a.example\r\nx: ");
    // After an answer the next head has a deadline too.
    drip(b"GET /nowhere HTTP/1.1\r\nhost: a.example\r\n\r\nGET / HTT");
}

#[test]
fn a_connection_may_be_used_again_and_idles_no_longer_than_allowed() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = Gateway::start(&format!(
        "listen: {{ address: '127.0.0.1:0', idle_timeout: 1s }}\nkratos: {}\n{}",
        kratos.url(),
        rule(&service, "/x")
    ));
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").unwrap();
        assert_eq!(read_reply(&mut stream, false).status, 200);
    }
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "closed when idle");
}

#[test]
fn heads_and_bodies_have_bounds() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let gateway = Gateway::start(&format!(
        "listen: {{ address: '127.0.0.1:0', max_header_size: 8KiB, max_body_size: 1KiB }}\nkratos: {}\n{}",
        kratos.url(),
        rule(&service, "/x")
    ));
    assert_eq!(gateway.get("/x").header("x-long", "a".repeat(9000)).send().status, 431);
    assert_eq!(gateway.request("POST", "/x").body("a".repeat(1024)).send().status, 200);
    assert_eq!(gateway.request("POST", "/x").body("a".repeat(1025)).send().status, 413);
    let chunked = format!(
        "POST /x HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n",
        "a".repeat(2048)
    );
    assert_eq!(crate::harness::exchange(gateway.address(), chunked.as_bytes(), false).status, 413);
}

#[test]
fn bodies_are_streamed_both_ways() {
    let kratos = Kratos::start();
    let service = Service::answering(|seen| {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", seen.body.len(), String::from_utf8_lossy(&seen.body))
    });
    let gateway = Gateway::start(&format!("kratos: {}\n{}", kratos.url(), rule(&service, "/x")));
    let body = "0123456789abcdef".repeat(64 * 1024);
    let reply = gateway.request("POST", "/x").body(body.clone()).send();
    assert_eq!((reply.status, reply.body.len()), (200, body.len()));
    assert!(reply.body == body.as_bytes());
}

#[test]
fn requests_go_round_the_endpoints_and_pass_one_that_is_gone() {
    let kratos = Kratos::start();
    let (one, two) = (Service::start(), Service::start());
    let gateway = Gateway::start(&format!(
        "kratos: {}\nupstreams: {{ app: {{ endpoints: ['{}', '{}', 'http://127.0.0.1:1'] }} }}
rules: [{{ id: app, match: {{ paths: [/x] }}, access: public, upstream: app }}]\n",
        kratos.url(),
        one.url(),
        two.url()
    ));
    for _ in 0..12 {
        assert_eq!(gateway.get("/x").send().status, 200);
    }
    assert!(one.seen().len() >= 4 && two.seen().len() >= 4, "{} {}", one.seen().len(), two.seen().len());
}

/// The real binary, with its listeners' addresses read from its log.
struct Binary {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Binary {
    fn serve(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["--log", "info", "serve", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let log = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The next line of the log that holds `words`.
    #[track_caller]
    fn line(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("the log never says: {words}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    fn address(&self) -> SocketAddr {
        let line = self.line("Listening");
        line.split("address=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_binary_takes_changed_files_keeps_good_ones_and_ends_on_a_signal() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let folder = tempfile::tempdir().unwrap();
    // As Kubernetes mounts a ConfigMap: a link to a link to a folder, swapped whole.
    let version = |number: u32, rules: &str| {
        let data = folder.path().join(format!("..v{number}"));
        std::fs::create_dir(&data).unwrap();
        let yaml = format!("listen: 127.0.0.1:0\nops: 127.0.0.1:0\nkratos: {}\n{rules}", kratos.url());
        std::fs::write(data.join("portcullis.yaml"), yaml).unwrap();
        let link = folder.path().join("..next");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        std::fs::rename(&link, folder.path().join("..data")).unwrap();
    };
    version(1, &rule(&service, "/one"));
    let config = folder.path().join("portcullis.yaml");
    std::os::unix::fs::symlink("..data/portcullis.yaml", &config).unwrap();

    let mut binary = Binary::serve(&config);
    let address = binary.address();
    let status = |target: &str| Client::new(address, "GET", target).send().status;
    assert_eq!((status("/one"), status("/two")), (200, 404));

    version(2, &rule(&service, "/two"));
    binary.line("Configuration taken");
    assert_eq!((status("/one"), status("/two")), (404, 200));

    version(3, "rules: [{ id: broken, access: nobody }]\n");
    binary.line("Configuration not taken");
    assert_eq!(status("/two"), 200);

    version(4, &rule(&service, "/four"));
    binary.line("Configuration taken");
    assert_eq!(status("/four"), 200);
    binary.signal("-HUP");
    binary.line("Configuration taken");

    binary.signal("-TERM");
    binary.line("Stopped");
    assert!(binary.child.wait().unwrap().success());
}
