//! Second factors: setting them up, being asked for them, and proving them; and privileged sessions.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::client::Client;
use super::client::PASSWORD;
use super::client::Taste;
use super::client::messages;
use super::client::node;
use super::client::server;
use super::client::server_with;
use crate::dev::RequiredAal;
use crate::dev::Server;
use crate::dev::TOTP_ACCOUNT;
use crate::dev::totp;

/// Registers somebody and sets an authenticator up; returns its secret.
async fn with_totp(client: &mut Client) -> String {
    client.register("ann@example.com").await;
    let flow = client.flow("settings", "").await;
    let secret = node(&flow, "totp_secret_key")["attributes"]["text"]["text"].as_str().unwrap().to_owned();
    assert!(node(&flow, "totp_qr")["attributes"]["src"].as_str().unwrap().starts_with("data:image/svg+xml;base64,"));
    let wrong = client.submit(&flow, &[("method", "totp"), ("totp_code", "000000x")]).await.expect(400);
    assert_eq!(messages(&wrong), ["totp_code/4000008"]);
    let code = totp::current_code(&secret);
    let saved = client.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await.expect(200);
    assert_eq!((&saved["state"], messages(&saved)), (&json!("success"), vec!["1050001".to_owned()]));
    node(&saved, "totp_unlink");
    secret
}

#[tokio::test]
async fn who_sets_an_authenticator_up_has_shown_it() {
    let server = server().await;
    let mut client = Client::spa(&server);
    with_totp(&mut client).await;
    let session = client.whoami().await.expect(200);
    assert_eq!(session["authenticator_assurance_level"], "aal2");
    assert_eq!(session["authentication_methods"][1]["method"], "totp");
    client.get("/sessions").await.expect(200);
}

#[tokio::test]
async fn an_app_is_asked_for_its_second_factor_and_keeps_its_session() {
    let server = server().await;
    let mut client = Client::spa(&server);
    let secret = with_totp(&mut client).await;
    let mut client = Client::spa(&server);
    client.sign_in("ann@example.com", "").await.expect(422);
    let first = client.whoami().await.expect(403);
    assert_eq!(first["error"]["id"], "session_aal2_required");
    client.get("/sessions").await.expect(403);
    let settings = client.get("/self-service/settings/browser").await.expect(403);
    assert!(settings["redirect_browser_to"].as_str().unwrap().contains("aal=aal2&return_to="));

    let flow = client.flow("login", "?aal=aal2").await;
    assert_eq!((flow["requested_aal"].as_str(), messages(&flow)), (Some("aal2"), vec!["1010004".to_owned()]));
    let wrong = client.submit(&flow, &[("method", "totp"), ("totp_code", "1")]).await.expect(400);
    assert_eq!(messages(&wrong), ["totp_code/4000008"]);
    let none = client.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", "1")]).await.expect(400);
    assert_eq!(messages(&none), ["4000014"]);
    let password = client.submit(&flow, &[("method", "password"), ("password", PASSWORD)]).await.expect(400);
    assert_eq!(messages(&password), ["4010002"]);
    let old_cookie = client.cookies["ory_kratos_session"].clone();
    let code = totp::current_code(&secret);
    let done = client.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await.expect(200);
    assert_ne!(client.cookies["ory_kratos_session"], old_cookie);
    let session = client.whoami().await.expect(200);
    assert_eq!(session["id"], done["session"]["id"]);
    assert_eq!(session["authenticator_assurance_level"], "aal2");
    client.cookies.insert("ory_kratos_session".to_owned(), old_cookie);
    assert_eq!(client.whoami().await.expect(200)["id"], session["id"]);
    let again = client.get("/self-service/login/browser?aal=aal2").await.expect(400);
    assert_eq!(again["error"]["id"], "session_already_available");
}

#[tokio::test]
async fn login_with_a_second_factor_goes_on_to_it() {
    let server = server_with(|options| options.seed_demo_accounts = true).await;
    let fields = [("method", "password"), ("identifier", TOTP_ACCOUNT.email), ("password", TOTP_ACCOUNT.password)];
    let mut spa = Client::spa(&server);
    let flow = spa.flow("login", "").await;
    let moved = spa.submit(&flow, &fields).await.expect(422);
    assert_eq!(moved["error"]["id"], "browser_location_change_required");
    assert!(moved["redirect_browser_to"].as_str().unwrap().ends_with("/self-service/login/browser?aal=aal2"));

    let mut browser = Client::browser(&server);
    let flow = browser.flow("login", "").await;
    let step_up = browser.submit(&flow, &fields).await.expect_redirect(303).to_owned();
    let page = browser.get(&step_up).await.expect_redirect(303).to_owned();
    let flow = browser.read_flow("login", &page).await;
    let code = totp::current_code(TOTP_ACCOUNT.totp_secret.unwrap());
    let done = browser.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await;
    assert_eq!(done.expect_redirect(303), format!("{}/", server.url()));
    browser.whoami().await.expect(200);

    let mut native = Client::native(&server);
    let flow = native.flow("login", "").await;
    let half = native.submit(&flow, &fields).await.expect(200);
    assert_eq!(half["session"]["identity"], Value::Null);
    let token = half["session_token"].as_str().unwrap();
    let mut native = Client::native(&server).with_header("x-session-token", token);
    let flow = native.flow("login", "?aal=aal2").await;
    let done = native.submit(&flow, &[("method", "totp"), ("totp_code", &code)]).await.expect(200);
    assert_eq!(done["session_token"], token);
    native.whoami().await.expect(200);
}

#[tokio::test]
async fn backup_codes_work_once_each() {
    let server = server().await;
    let mut client = Client::spa(&server);
    client.register("ann@example.com").await.expect(200);
    let flow = client.flow("settings", "").await;
    let shown = client.submit(&flow, &[("lookup_secret_regenerate", "true")]).await.expect(200);
    let codes = node(&shown, "lookup_secret_codes")["attributes"]["text"]["context"]["secrets"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 12);
    client.submit(&flow, &[("lookup_secret_confirm", "true")]).await.expect(200);
    assert_eq!(client.whoami().await.expect(200)["authenticator_assurance_level"], "aal2");
    let mut client = Client::spa(&server);
    client.sign_in("ann@example.com", "").await.expect(422);
    client.whoami().await.expect(403);
    let code = codes[0]["context"]["secret"].as_str().unwrap();
    for (given, outcome) in [("nonsense", Err("4000016")), (code, Ok(())), (code, Err("4000012"))] {
        let query = if client.whoami().await.status == 200 { "?aal=aal2&refresh=true" } else { "?aal=aal2" };
        let flow = client.flow("login", query).await;
        let reply = client.submit(&flow, &[("method", "lookup_secret"), ("lookup_secret", given)]).await;
        match outcome {
            Ok(()) => drop(reply.expect(200)),
            Err(id) => assert_eq!(messages(&reply.expect(400)), [id]),
        }
    }
    let flow = client.flow("settings", "").await;
    let shown = client.submit(&flow, &[("lookup_secret_reveal", "true")]).await.expect(200);
    let first = &node(&shown, "lookup_secret_codes")["attributes"]["text"]["context"]["secrets"][0];
    assert_eq!(first["id"], 1_050_014);
    client.submit(&flow, &[("lookup_secret_disable", "true")]).await.expect(200);
    assert_eq!(client.whoami().await.expect(200)["active"], true);
}

async fn signed_in_long_ago(server: &Server) -> (Client, uuid::Uuid) {
    let mut client = Client::spa(server);
    let registered = client.register("ann@example.com").await.expect(200);
    let session = registered["session"]["id"].as_str().unwrap().parse().unwrap();
    server.switches().set_authenticated(session, Duration::from_secs(2 * 60 * 60));
    (client, session)
}

#[tokio::test]
async fn credentials_change_only_soon_after_login() {
    let server = server().await;
    let (mut client, _) = signed_in_long_ago(&server).await;
    let flow = client.flow("settings", "").await;
    let new = [("method", "password"), ("password", "another fine password")];
    let named = [("method", "profile"), ("traits.email", "ann@example.com"), ("traits.name.first", "Ann")];
    let saved = client.submit(&flow, &named).await.expect(200);
    assert_eq!(saved["identity"]["traits"]["name"]["first"], "Ann");
    for fields in [
        &new[..],
        &[("method", "profile"), ("traits.email", "new@example.com")],
        &[("lookup_secret_regenerate", "true")],
        &[("totp_unlink", "true")],
    ] {
        let old = client.submit(&flow, fields).await.expect(403);
        assert_eq!(old["error"]["id"], "session_refresh_required", "{fields:?}");
        assert!(old["redirect_browser_to"].as_str().unwrap().contains("/login/browser?refresh=true&return_to="));
    }
    client.taste = Taste::Html;
    let refresh = client.submit(&flow, &new).await.expect_redirect(303).to_owned();
    let page = client.get(&refresh).await.expect_redirect(303).to_owned();
    let login = client.read_flow("login", &page).await;
    let fields = [("method", "password"), ("identifier", "ann@example.com"), ("password", PASSWORD)];
    let back = client.submit(&login, &fields).await.expect_redirect(303).to_owned();
    let page = client.get(&back).await.expect_redirect(303).to_owned();
    assert!(page.ends_with(&format!("/ui/settings?flow={}", flow["id"].as_str().unwrap())));
    let page = client.submit(&flow, &new).await.expect_redirect(303).to_owned();
    assert_eq!(client.read_flow("settings", &page).await["state"], "success");
    let mut other = Client::spa(&server);
    other.sign_in("ann@example.com", "").await.expect(400);
}

#[tokio::test]
async fn a_new_address_is_to_be_verified() {
    let server = server().await;
    let mut client = Client::spa(&server);
    client.register("ann@example.com").await.expect(200);
    server.switches().sign_in("bob@example.com");
    let flow = client.flow("settings", "").await;
    let cookie = client.cookies["ory_kratos_session"].clone();
    let taken = client.submit(&flow, &[("method", "profile"), ("traits.email", "bob@example.com")]).await;
    assert_eq!(messages(&taken.expect(400)), ["4000007"]);
    let saved = client.submit(&flow, &[("method", "profile"), ("traits.email", "new@example.com")]).await.expect(200);
    assert_eq!(saved["continue_with"][0]["flow"]["verifiable_address"], "new@example.com");
    assert_eq!(saved["identity"]["verifiable_addresses"][0]["verified"], false);
    assert_ne!(client.cookies["ory_kratos_session"], cookie);
    let wrong = client.submit(&flow, &[("method", "password"), ("password", "short")]).await;
    assert_eq!(messages(&wrong.expect(400)), ["password/4000032"]);
    assert_eq!(messages(&client.submit(&flow, &[]).await.expect(400)), ["4010004"]);
}

#[tokio::test]
async fn settings_belong_to_one_person() {
    let server = server().await;
    let mut ann = Client::spa(&server);
    ann.register("ann@example.com").await.expect(200);
    let flow = ann.flow("settings", "").await;
    let path = format!("/self-service/settings/flows?id={}", flow["id"].as_str().unwrap());
    let bob = server.switches().sign_in("bob@example.com");
    let anns = ann.cookies.insert("ory_kratos_session".to_owned(), bob.cookie.split_once('=').unwrap().1.to_owned());
    assert_eq!(ann.get(&path).await.expect(403)["error"]["id"], "security_identity_mismatch");
    ann.submit(&flow, &[("method", "profile")]).await.expect(403);
    ann.cookies.remove("ory_kratos_session");
    ann.get(&path).await.expect(401);
    ann.submit(&flow, &[("method", "profile")]).await.expect(401);
    ann.taste = Taste::Html;
    assert!(ann.get(&path).await.expect_redirect(302).ends_with("/ui/login"));
    let init = ann.get("/self-service/settings/browser").await;
    assert!(init.expect_redirect(303).contains("/self-service/login/browser?return_to="));
    ann.cookies.insert("ory_kratos_session".to_owned(), anns.unwrap());
    ann.get(&path).await.expect(200);
}

#[tokio::test]
async fn aal1_may_be_enough() {
    let server = server_with(|options| options.required_aal = RequiredAal::One).await;
    let mut client = Client::spa(&server);
    with_totp(&mut client).await;
    client.whoami().await.expect(200);
}
