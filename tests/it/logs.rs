//! What operators read: every request once, and never a secret.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::harness::{Client, Kratos, Service};

#[test]
fn the_log_tells_every_request_once_and_no_secret_even_at_its_most_talkative() {
    let (kratos, service) = (Kratos::start(), Service::start());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("portcullis.yaml");
    let yaml = format!(
        "listen: 127.0.0.1:0
ops: {{ address: '127.0.0.1:0', token: hunter2-of-operators }}
kratos: {}
rules: [{{ id: mine, match: {{ paths: [/mine/**] }}, access: session, upstream: '{}' }}]\n",
        kratos.url(),
        service.url()
    );
    std::fs::write(&config, yaml).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["--log", "trace", "--log-format", "json", "serve", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it does not start: {text}");
        text.push_str(&line);
        let event = serde_json::from_str::<serde_json::Value>(&line).unwrap();
        if event["message"] == "Listening" {
            break event["address"].as_str().unwrap().parse().unwrap();
        }
    };
    let reading = std::thread::spawn(move || {
        log.lines().map_while(Result::ok).for_each(|line| {
            text.push_str(&line);
            text.push('\n');
        });
        text
    });

    let ann = kratos.sign_in("ann@example.com");
    let get = |target: &str| Client::new(address, "GET", target);
    get("/mine/x?code=hunter2-in-query").token(&ann.token).header("x-request-id", "first").send();
    get("/mine/y").cookie(&ann.cookie).header("authorization", "Bearer hunter2-bearer").send();
    get("/mine/z").cookie("ory_kratos_session=hunter2-cookie").header("x-request-id", "third").send();
    get("/self-service/login?flow=hunter2-flow").header("x-session-token", "hunter2-token").send();
    get("/mine/%zz?hunter2-odd").send();
    let body = serde_json::json!({"session_token": ann.token});
    Client::new(address, "DELETE", "/self-service/logout/api").json(&body).send();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let text = reading.join().unwrap();

    for secret in ["hunter2", &ann.token, ann.cookie.split_once('=').unwrap().1] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    let access = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|event| event["target"] == "access")
        .collect::<Vec<_>>();
    assert_eq!(access.len(), 6, "{access:#?}");
    let first = access.iter().find(|fields| fields["request_id"] == "first").unwrap();
    assert_eq!(first["path"], "/mine/x");
    assert_eq!((&first["rule"], &first["outcome"], &first["status"]), (&"mine".into(), &"permit".into(), &200.into()));
    assert_eq!(first["identity"], ann.identity_id.to_string());
    let third = access.iter().find(|fields| fields["request_id"] == "third").unwrap();
    assert_eq!((&third["outcome"], &third["refusal"]), (&"refuse".into(), &"session_inactive".into()));
}
