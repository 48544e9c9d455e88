//! A client that sends exactly what it is told, byte for byte, and reads answers strictly.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request, put together as a sentence.
pub struct Client {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        let headers = vec![("host".to_owned(), address.to_string())];
        Self { address, method: method.to_owned(), target: target.to_owned(), headers, body: None }
    }

    /// Adds a header; a second Host replaces the one that is sent anyway.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if name.eq_ignore_ascii_case("host") {
            self.headers.retain(|(known, _)| known != "host");
        }
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie)
    }

    pub fn token(self, token: &str) -> Self {
        self.header("x-session-token", token)
    }

    /// Asks as a browser does that follows a link.
    pub fn browser(self) -> Self {
        self.header("sec-fetch-mode", "navigate").header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.headers.push(("content-length".to_owned(), body.len().to_string()));
        self.body = Some(body);
        self
    }

    pub fn send(self) -> Reply {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(self.body.unwrap_or_default());
        let reply = exchange(self.address, &bytes, self.method == "HEAD");
        reply.police();
        reply
    }
}

impl Reply {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The id of the error that the body tells of.
    #[track_caller]
    pub fn error_id(&self) -> String {
        self.json()["error"]["id"].as_str().unwrap_or_default().to_owned()
    }

    /// What holds for every answer: it can be traced, and says nothing of what it was made with.
    #[track_caller]
    fn police(&self) {
        for name in ["server", "x-powered-by", "keep-alive", "proxy-authenticate"] {
            assert_eq!(self.header(name), None, "{self:?}");
        }
        if self.status != 400 {
            assert!(self.header("x-request-id").is_some(), "no X-Request-ID: {self:?}");
        }
    }
}

/// Sends `bytes` on a connection of its own and reads one answer.
#[track_caller]
pub fn exchange(address: SocketAddr, bytes: &[u8], is_head: bool) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that refuses early may close before all is sent.
    let _ = stream.write_all(bytes);
    read_reply(&mut stream, is_head)
}

/// Reads one answer, interim ones left out, and leaves the connection as it is.
#[track_caller]
pub fn read_reply(stream: &mut TcpStream, is_head: bool) -> Reply {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let read = stream.read(&mut byte).expect("no answer in time");
            assert_eq!(read, 1, "the connection ended within a head: {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse::<u16>().unwrap();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect::<Vec<_>>();
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        if !is_head && status != 204 && status != 304 && status != 101 {
            reply.body = read_body(stream, &reply);
        }
        return reply;
    }
}

fn read_body(stream: &mut TcpStream, reply: &Reply) -> Vec<u8> {
    let mut body = Vec::new();
    if reply.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let length = usize::from_str_radix(read_line(stream).trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk).unwrap();
            if length == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    match reply.header("content-length") {
        Some(length) => {
            body.resize(length.parse().unwrap(), 0);
            stream.read_exact(&mut body).unwrap();
        }
        None => {
            stream.read_to_end(&mut body).unwrap();
        }
    }
    body
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}
