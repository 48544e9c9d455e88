//! Codes and links by mail: login without a password, recovery and verification.

use std::time::Duration;

use super::client::Client;
use super::client::PASSWORD;
use super::client::Taste;
use super::client::messages;
use super::client::node;
use super::client::server;
use super::client::server_with;

fn code_of(mail: &serde_json::Value) -> String {
    mail["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_mailed_code_signs_in() {
    let server = server().await;
    server.switches().sign_in("ann@example.com");
    for mut client in [Client::native(&server), Client::spa(&server)] {
        let flow = client.flow("login", "").await;
        let unknown = client.submit(&flow, &[("method", "code"), ("identifier", "eve@example.com")]).await;
        assert_eq!(messages(&unknown.expect(400)), ["4000035"]);
        let sent = client.submit(&flow, &[("method", "code"), ("identifier", "ann@example.com")]).await.expect(400);
        assert_eq!((sent["state"].as_str(), messages(&sent)), (Some("sent_email"), vec!["1010014".to_owned()]));
        let wrong = client.submit(&flow, &[("method", "code"), ("code", "x")]).await.expect(400);
        assert_eq!(messages(&wrong), ["4010008"]);
        let code = code_of(&client.mail("login_code_valid").await);
        let done = client.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(200);
        assert_eq!(done["session"]["authentication_methods"][0]["method"], "code");
        assert_eq!(done["session"]["identity"]["verifiable_addresses"][0]["verified"], true);
    }
}

#[tokio::test]
async fn a_code_cannot_be_guessed_replayed_or_kept() {
    let server = server().await;
    server.switches().sign_in("ann@example.com");
    let mut client = Client::native(&server);
    let flow = client.flow("login", "").await;
    client.submit(&flow, &[("method", "code"), ("identifier", "ann@example.com")]).await.expect(400);
    for _ in 0..5 {
        client.submit(&flow, &[("method", "code"), ("code", "guess")]).await.expect(400);
    }
    let code = code_of(&client.mail("login_code_valid").await);
    let late = client.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(400);
    assert_eq!(messages(&late), ["4000001"]);

    client.submit(&flow, &[("method", "code"), ("resend", "code")]).await.expect(400);
    let code = code_of(&client.mail("login_code_valid").await);
    client.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(200);
    let replay = client.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(400);
    assert_eq!(messages(&replay), ["4010008"]);

    let server = server_with(|options| options.code_lifespan = Duration::ZERO).await;
    server.switches().sign_in("ann@example.com");
    let mut client = Client::native(&server);
    let flow = client.flow("login", "").await;
    client.submit(&flow, &[("method", "code"), ("identifier", "ann@example.com")]).await.expect(400);
    let code = code_of(&client.mail("login_code_valid").await);
    let late = client.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(400);
    assert_eq!(messages(&late), ["4010008"]);
}

#[tokio::test]
async fn recovery_signs_in_and_shows_the_settings() {
    let server = server().await;
    server.switches().sign_in("ann@example.com");

    let mut native = Client::native(&server);
    let flow = native.flow("recovery", "").await;
    assert_eq!(messages(&native.submit(&flow, &[]).await.expect(400)), ["4010005"]);
    assert_eq!(messages(&native.submit(&flow, &[("method", "code")]).await.expect(400)), ["email/4000002"]);
    let sent = native.submit(&flow, &[("method", "code"), ("email", "ann@example.com")]).await.expect(200);
    assert_eq!((sent["state"].as_str(), messages(&sent)), (Some("sent_email"), vec!["1060003".to_owned()]));
    let wrong = native.submit(&flow, &[("method", "code"), ("code", "000")]).await.expect(200);
    assert_eq!(messages(&wrong), ["4060006"]);
    let code = code_of(&native.mail("recovery_code_valid").await);
    let done = native.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(200);
    assert_eq!(done["state"], "passed_challenge");
    let token = done["continue_with"][0]["ory_session_token"].as_str().unwrap();
    assert_eq!(done["continue_with"][1]["action"], "show_settings_ui");
    let settings = done["continue_with"][1]["flow"]["id"].as_str().unwrap();
    let read = native.get(&format!("/self-service/recovery/flows?id={}", flow["id"].as_str().unwrap())).await;
    assert_eq!(read.expect(200).get("continue_with"), None);
    let replay = native.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(200);
    assert_eq!(messages(&replay), ["4060001"]);
    let mut native = Client::native(&server).with_header("x-session-token", token);
    let settings = native.get(&format!("/self-service/settings/flows?id={settings}")).await.expect(200);
    assert_eq!(messages(&settings), ["1060001"]);
    native.submit(&settings, &[("method", "password"), ("password", PASSWORD)]).await.expect(200);
    Client::native(&server).sign_in("ann@example.com", "").await.expect(200);

    let mut spa = Client::spa(&server);
    let flow = spa.flow("recovery", "").await;
    spa.submit(&flow, &[("method", "code"), ("email", "ann@example.com")]).await.expect(200);
    let code = code_of(&spa.mail("recovery_code_valid").await);
    let moved = spa.submit(&flow, &[("method", "code"), ("code", &code)]).await.expect(422);
    let page = moved["redirect_browser_to"].as_str().unwrap().to_owned();
    assert_eq!(messages(&spa.read_flow("settings", &page).await), ["1060001"]);
    assert_eq!(spa.whoami().await.expect(200)["authentication_methods"][0]["method"], "code_recovery");
    spa.get("/self-service/recovery/browser").await.expect(400);
}

#[tokio::test]
async fn a_recovery_link_signs_in_once() {
    let server = server().await;
    server.switches().sign_in("ann@example.com");
    let mut browser = Client::browser(&server);
    let flow = browser.flow("recovery", "").await;
    let page = browser.submit(&flow, &[("method", "link"), ("email", "ann@example.com")]).await;
    let sent = browser.read_flow("recovery", page.expect_redirect(303)).await;
    assert_eq!(messages(&sent), ["1060002"]);
    let link = browser.mail("recovery_valid").await["link"].as_str().unwrap().to_owned();
    // The mail may be opened in another browser.
    let mut other = Client::browser(&server);
    let page = other.get(&link).await.expect_redirect(303).to_owned();
    assert!(page.contains("/ui/settings?flow="));
    other.read_flow("settings", &page).await;
    other.whoami().await.expect(200);
    let mut third = Client::browser(&server);
    let again = third.get(&link).await;
    assert!(again.expect_redirect(303).contains("/ui/recovery?flow="));
    third.whoami().await.expect(401);
}

#[tokio::test]
async fn nobody_learns_from_recovery_who_has_an_account() {
    let server = server().await;
    server.switches().sign_in("ann@example.com");
    let mut client = Client::native(&server);
    let mut seen = Vec::new();
    for address in ["ann@example.com", "eve@example.com"] {
        for kind in ["recovery", "verification"] {
            let flow = client.flow(kind, "").await;
            let sent = client.submit(&flow, &[("method", "code"), ("email", address)]).await.expect(200);
            let wrong = client.submit(&flow, &[("method", "code"), ("code", "000000")]).await.expect(200);
            seen.push((kind, messages(&sent), messages(&wrong)));
        }
    }
    assert_eq!(seen[..2], seen[2..]);
}

#[tokio::test]
async fn verification_takes_codes_and_links() {
    let server = server().await;
    let mut client = Client::spa(&server);
    let registered = client.register("ann@example.com").await.expect(200);
    assert_eq!(registered["identity"]["verifiable_addresses"][0]["status"], "sent");
    let shown = &registered["continue_with"][0]["flow"];
    let flow = client.read_flow("verification", shown["url"].as_str().unwrap()).await;
    assert_eq!((flow["state"].as_str(), messages(&flow)), (Some("sent_email"), vec!["1080003".to_owned()]));
    let wrong = client.submit(&flow, &[("method", "code"), ("code", "000")]).await.expect(200);
    assert_eq!(messages(&wrong), ["4070006"]);
    let mail = client.mail("verification_code_valid").await;
    client.taste = Taste::Html;
    let page = client.get(mail["link"].as_str().unwrap()).await.expect_redirect(303).to_owned();
    let filled = client.read_flow("verification", &page).await;
    assert_eq!(node(&filled, "code")["attributes"]["value"], mail["code"]);
    client.taste = Taste::Json;
    let done = client.submit(&filled, &[("method", "code"), ("code", &code_of(&mail))]).await.expect(200);
    assert_eq!((done["state"].as_str(), messages(&done)), (Some("passed_challenge"), vec!["1080002".to_owned()]));
    node(&done, "continue");
    let address = client.whoami().await.expect(200)["identity"]["verifiable_addresses"][0].clone();
    assert_eq!((address["verified"].as_bool(), address["status"].as_str()), (Some(true), Some("completed")));

    server.switches().sign_in("bob@example.com");
    let flow = client.flow("verification", "").await;
    let sent = client.submit(&flow, &[("method", "link"), ("email", "bob@example.com")]).await.expect(200);
    assert_eq!(messages(&sent), ["1080001"]);
    let link = client.mail("verification_valid").await["link"].as_str().unwrap().to_owned();
    assert_eq!(messages(&client.get(&format!("{link}x")).await.expect(200)), ["4070001"]);
    assert_eq!(client.get(&link).await.expect(200)["state"], "passed_challenge");
    assert_eq!(messages(&client.get(&link).await.expect(200)), ["4070001"]);
}

#[tokio::test]
async fn the_mailbox_is_a_page_that_escapes_what_it_shows() {
    let server = server().await;
    server.switches().sign_in("<script>@example.com");
    let mut client = Client::native(&server);
    let flow = client.flow("recovery", "").await;
    client.submit(&flow, &[("method", "code"), ("email", "<script>@example.com")]).await.expect(200);
    let page = client.get("/dev/mailbox").await;
    assert!(page.text.contains("&lt;script&gt;@example.com") && !page.text.contains("<script>"));
}
