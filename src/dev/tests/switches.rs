//! The switches, the file of accounts, and starting and stopping.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::client::Client;
use super::client::server;
use super::client::server_with;
use crate::dev::Aal;
use crate::dev::Options;
use crate::dev::Server;
use crate::dev::StartError;

#[tokio::test]
async fn somebody_signed_in_by_switch_is_known_by_header_bearer_and_cookie() {
    let server = server().await;
    let ann = server.switches().sign_in("ann@example.com");
    let other = server.switches().another_cookie(ann.session_id).unwrap();
    assert_ne!(other, ann.cookie);
    let bearer = format!("bearer {}", ann.token);
    for (name, value) in [
        ("x-session-token", ann.token.as_str()),
        ("authorization", &bearer),
        ("cookie", &ann.cookie),
        ("cookie", &other),
        ("cookie", &format!("ory_kratos_session=broken; {other}")),
    ] {
        let session = Client::native(&server).with_header(name, value).whoami().await.expect(200);
        assert_eq!(session["id"], json!(ann.session_id), "{name}");
    }
    let mut mixed = Client::native(&server).with_header("x-session-token", "wrong").with_header("cookie", &ann.cookie);
    mixed.whoami().await.expect(401);
    let mut broken =
        Client::native(&server).with_header("cookie", "ory_kratos_session=x").with_header("authorization", &bearer);
    broken.whoami().await.expect(200);
    let mut two = Client::native(&server).with_header("authorization", &format!("{bearer} x"));
    two.whoami().await.expect(401);
    for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        let mut client = Client::native(&server).with_header("x-session-token", &ann.token);
        assert_eq!(client.send(method, "/sessions/whoami", "", Vec::new()).await.status, 200);
    }
}

#[tokio::test]
async fn whoami_misbehaves_as_told() {
    let server = server().await;
    let switches = server.switches();
    let ann = switches.sign_in("ann@example.com");
    let mut client = Client::native(&server).with_header("x-session-token", &ann.token).with_header("x-a", "b");
    switches.reset_count();
    client.whoami().await.expect(200);
    assert_eq!(switches.whoami_count(), 1);
    assert_eq!(switches.last_whoami().unwrap()["x-a"], "b");
    switches.fail(true);
    client.whoami().await.expect(500);
    switches.fail(false);
    switches.ready(false);
    client.get("/health/ready").await.expect(503);
    switches.behave();
    client.get("/health/ready").await.expect(200);
    client.get("/health/alive").await.expect(200);
}

/// Sends a whoami without looking at what comes.
async fn raw_whoami(server: &Server, token: &str) -> Result<reqwest::Response, reqwest::Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    client.get(format!("{}/sessions/whoami", server.url())).header("x-session-token", token).send().await
}

#[tokio::test]
async fn a_peer_can_vanish_talk_nonsense_or_limit() {
    let server = server().await;
    let switches = server.switches();
    let ann = switches.sign_in("ann@example.com");
    switches.cut(true);
    assert!(raw_whoami(&server, &ann.token).await.is_err());
    switches.behave();
    switches.garbage(true);
    let garbage = raw_whoami(&server, &ann.token).await.unwrap();
    assert!(garbage.json::<serde_json::Value>().await.is_err());
    switches.behave();
    switches.answer_whoami(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "7")], "{}");
    let limited = raw_whoami(&server, &ann.token).await.unwrap();
    assert_eq!(
        (limited.status(), &limited.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"7".parse().unwrap())
    );
    switches.behave();
    assert_eq!(raw_whoami(&server, &ann.token).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn held_whoamis_see_the_world_of_their_release() {
    let server = server().await;
    let switches = server.switches().clone();
    let ann = switches.sign_in("ann@example.com");
    switches.hold();
    let asked = async {
        switches.whoami_reached(1).await;
        switches.end_session(ann.session_id);
        switches.release();
    };
    let (reply, ()) = tokio::join!(raw_whoami(&server, &ann.token), asked);
    assert_eq!(reply.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn identities_and_sessions_change_behind_everybodys_back() {
    let server = server().await;
    let switches = server.switches();
    let ann = switches.sign_in("ann@example.com");
    let second = switches.sign_in("ann@example.com");
    assert_eq!(ann.identity_id, second.identity_id);
    let mut client = Client::native(&server).with_header("cookie", &ann.cookie);
    switches.set_metadata_public(ann.identity_id, json!({ "role": "admin" }));
    switches.set_traits(ann.identity_id, &json!({ "email": "anna@example.com" }));
    switches.set_verified(ann.identity_id, true);
    let session = client.whoami().await.expect(200);
    assert_eq!(session["identity"]["metadata_public"]["role"], "admin");
    assert_eq!(session["identity"]["traits"]["email"], "anna@example.com");
    switches.set_second_factor(ann.identity_id, true);
    client.whoami().await.expect(403);
    switches.set_session_aal(ann.session_id, Aal::Two);
    assert_eq!(client.whoami().await.expect(200)["authenticator_assurance_level"], "aal2");
    switches.expire_session(ann.session_id, Duration::from_secs(60));
    let refreshed = client.whoami().await;
    assert!(refreshed.header("set-cookie").starts_with("ory_kratos_session="));
    switches.set_active(ann.identity_id, false);
    client.whoami().await.expect(401);
    switches.set_active(ann.identity_id, true);
    client.whoami().await.expect(200);
    switches.end_sessions(ann.identity_id);
    client.whoami().await.expect(401);
}

#[tokio::test]
async fn accounts_survive_a_restart_and_sessions_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.sqlite");
    let change = |options: &mut Options| {
        options.data = Some(file.clone());
        options.seed_demo_accounts = true;
    };
    let server = server_with(change).await;
    let registered = Client::native(&server).register("ann@example.com").await.expect(200);
    let token = registered["session_token"].as_str().unwrap().to_owned();
    server.stop().await;
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let server = server_with(change).await;
    let signed_in = Client::native(&server).sign_in("ann@example.com", "").await.expect(200);
    assert_eq!(signed_in["session"]["identity"]["id"], registered["identity"]["id"]);
    Client::native(&server).with_header("x-session-token", &token).whoami().await.expect(401);
    let mut client = Client::native(&server);
    let flow = client.flow("login", "").await;
    let fields = [("method", "password"), ("identifier", "admin@example.com"), ("password", "portcullis-demo")];
    let admin = client.submit(&flow, &fields).await.expect(200);
    assert_eq!(admin["session"]["identity"]["metadata_public"]["role"], "admin");
}

#[tokio::test]
async fn only_loopback_addresses_are_listened_on() {
    let options = Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::default() };
    assert!(matches!(Server::start(options).await, Err(StartError::NotLoopback(_))));
    let server = server().await;
    let options = Options { listen: server.address(), ..Options::default() };
    assert!(matches!(Server::start(options).await, Err(StartError::Listen(..))));
    let address = server.address();
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
