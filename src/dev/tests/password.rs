//! Registration, login and logout with passwords, for browsers, single-page apps and native clients.

use serde_json::Value;
use serde_json::json;

use super::client::Client;
use super::client::PASSWORD;
use super::client::messages;
use super::client::node;
use super::client::server;
use super::client::server_with;

#[tokio::test]
async fn a_native_client_registers_signs_in_and_out() {
    let server = server().await;
    let mut client = Client::native(&server);
    let registered = client.register("ann@example.com").await.expect(200);
    assert!(registered["session_token"].as_str().unwrap().starts_with("ory_st_"));
    assert_eq!(registered["continue_with"][0]["action"], "show_verification_ui");
    assert_eq!(registered["continue_with"][1]["ory_session_token"], registered["session_token"]);

    let signed_in = client.sign_in("Ann@Example.com", "").await.expect(200);
    let token = signed_in["session_token"].as_str().unwrap().to_owned();
    assert_eq!(signed_in["continue_with"], Value::Null);
    let mut holder = Client::native(&server).with_header("x-session-token", &token);
    let reply = holder.whoami().await;
    let session = reply.expect(200);
    assert_eq!(session["id"], signed_in["session"]["id"]);
    assert_eq!(session["identity"]["metadata_public"], Value::Null);
    assert_eq!(reply.header("x-kratos-authenticated-identity-id"), session["identity"]["id"].as_str().unwrap());
    assert_eq!(reply.header("vary"), "Cookie");
    assert_eq!(reply.header("cache-control"), "private, no-cache, no-store, must-revalidate");
    assert!(!reply.headers.contains_key("set-cookie"));

    for _ in 0..2 {
        client.delete_with("/self-service/logout/api", json!({ "session_token": token })).await.expect(204);
    }
    holder.whoami().await.expect(401);
    client.delete_with("/self-service/logout/api", json!({ "session_token": "ory_st_x" })).await.expect(403);
    client.delete_with("/self-service/logout/api", json!({})).await.expect(400);
    client.delete("/self-service/logout/api").await.expect(400);
}

#[tokio::test]
async fn a_single_page_app_registers_signs_in_and_out() {
    let server = server().await;
    let mut client = Client::spa(&server);
    let registered = client.register("ann@example.com").await.expect(200);
    assert_eq!(registered.get("session_token"), None);
    client.whoami().await.expect(200);
    let first_cookie = client.cookies["ory_kratos_session"].clone();

    let logout = client.get("/self-service/logout/browser").await.expect(200);
    assert!(logout["logout_token"].as_str().unwrap().starts_with("ory_lo_"));
    client.get("/self-service/logout").await.expect(400);
    let wrong = client.get("/self-service/logout?token=wrong").await.expect(403);
    assert!(wrong["error"]["reason"].as_str().unwrap().contains("does not match"));
    client.get(logout["logout_url"].as_str().unwrap()).await.expect(204);
    assert!(!client.cookies.contains_key("ory_kratos_session"));
    client.cookies.insert("ory_kratos_session".to_owned(), first_cookie);
    client.whoami().await.expect(401);
    client.get("/self-service/logout?token=x").await.expect(401);
    assert_eq!(client.get("/self-service/logout/browser").await.expect(401)["error"]["id"], "session_inactive");

    let signed_in = client.sign_in("ann@example.com", "").await.expect(200);
    assert_eq!(signed_in["session"]["identity"]["traits"]["email"], "ann@example.com");
    let again = client.get("/self-service/login/browser").await.expect(400);
    assert_eq!(again["error"]["id"], "session_already_available");
    let again = client.get("/self-service/registration/browser").await.expect(400);
    assert_eq!(again["error"]["id"], "session_already_available");
}

#[tokio::test]
async fn a_browser_registers_signs_in_and_out() {
    let server = server().await;
    let home = format!("{}/", server.url());
    let mut client = Client::browser(&server);
    assert_eq!(client.register("ann@example.com").await.expect_redirect(303), home);
    let page = client.whoami().await.expect(200);
    assert_eq!(page["active"], true);

    client.taste = super::client::Taste::Json;
    let logout = client.get("/self-service/logout/browser?return_to=/bye").await.expect(200);
    client.taste = super::client::Taste::Html;
    let bye = client.get(logout["logout_url"].as_str().unwrap()).await;
    assert_eq!(bye.expect_redirect(303), format!("{home}bye"));
    let wish = format!("?return_to={home}private%3Fa%3D1");
    let reply = client.sign_in("ann@example.com", &wish).await;
    assert_eq!(reply.expect_redirect(303), format!("{home}private?a=1"));
    let cookie = reply
        .headers
        .get_all("set-cookie")
        .iter()
        .find(|cookie| cookie.to_str().unwrap().starts_with("ory_kratos_session="));
    let cookie = cookie.unwrap().to_str().unwrap();
    for attribute in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Max-Age=8"] {
        assert!(cookie.contains(attribute), "{attribute} in {cookie}");
    }
    assert_eq!(client.get("/self-service/login/browser").await.expect_redirect(303), home);
    let refresh = client.flow("login", "?refresh=true").await;
    assert_eq!((refresh["refresh"].clone(), messages(&refresh)), (json!(true), vec!["1010003".to_owned()]));
    assert_eq!(node(&refresh, "identifier")["attributes"]["value"], "ann@example.com");
}

#[tokio::test]
async fn wrong_submits_come_back_with_kratos_messages() {
    let server = server().await;
    let mut client = Client::native(&server);
    client.register("ann@example.com").await.expect(200);
    let login = client.flow("login", "").await;
    let registration = client.flow("registration", "").await;
    for (flow, fields, expected) in [
        (&login, vec![("method", "password")], vec!["identifier/4000002", "password/4000002"]),
        (&login, vec![("method", "password"), ("identifier", "ann@example.com"), ("password", "no")], vec!["4000006"]),
        (&login, vec![("method", "password"), ("identifier", "eve"), ("password", PASSWORD)], vec!["4000006"]),
        (&login, vec![], vec!["4010002"]),
        (&login, vec![("method", "totp"), ("totp_code", "123456")], vec!["4010002"]),
        (&registration, vec![], vec!["4010003"]),
        (&registration, vec![("method", "password")], vec!["traits.email/4000002", "password/4000002"]),
        (
            &registration,
            vec![("method", "password"), ("traits.email", "nobody"), ("password", "short")],
            vec!["traits.email/4000040", "password/4000032"],
        ),
        (
            &registration,
            vec![("method", "password"), ("traits.email", "bob@example.com"), ("password", "bob@example.com")],
            vec!["password/4000031"],
        ),
        (
            &registration,
            vec![("method", "password"), ("traits.email", "ANN@example.com"), ("password", PASSWORD)],
            vec!["4000007"],
        ),
    ] {
        let reply = client.submit(flow, &fields).await.expect(400);
        assert_eq!(messages(&reply), expected, "{fields:?}");
        assert_eq!(reply["id"], flow["id"]);
    }
    let path = format!("/self-service/login?flow={}", login["id"].as_str().unwrap());
    let broken = client.send(http::Method::POST, &path, "application/json", b"{\"a".to_vec()).await.expect(400);
    assert_eq!(messages(&broken), ["4000001"]);
    let other = client.send(http::Method::POST, &path, "text/plain", b"a=b".to_vec()).await.expect(400);
    assert_eq!(messages(&other), ["4000001"]);
    client.post("/self-service/login", json!({})).await.expect(400);
    let unknown = client.post(&format!("/self-service/login?flow={}", uuid::Uuid::new_v4()), json!({})).await;
    assert_eq!(unknown.expect(404)["error"]["message"], "Unable to locate the resource");
}

#[tokio::test]
async fn an_expired_flow_is_replaced() {
    let server = server_with(|options| options.flow_lifespan = std::time::Duration::ZERO).await;
    let mut spa = Client::spa(&server);
    let old = spa.get("/self-service/login/browser").await.expect(200);
    let gone = spa.get(&format!("/self-service/login/flows?id={}", old["id"].as_str().unwrap())).await.expect(410);
    assert_eq!(gone["error"]["id"], "self_service_flow_expired");
    assert!(gone["error"]["details"]["redirect_to"].as_str().unwrap().ends_with("/self-service/login/browser"));
    let late = spa.submit(&old, &[("method", "password")]).await.expect(410);
    assert_eq!(late["error"]["id"], "self_service_flow_expired");
    assert!(late["since"].is_u64() && late["expired_at"].is_string());
    assert_ne!(late["use_flow_id"], old["id"]);
    let recovery = spa.get("/self-service/recovery/browser").await.expect(200);
    let late = spa.submit(&recovery, &[("method", "code")]).await;
    assert!(late.expect_redirect(303).contains("/self-service/recovery/flows?id="));
    spa.taste = super::client::Taste::Html;
    let late = spa.submit(&old, &[("method", "password")]).await;
    assert!(late.expect_redirect(303).contains("/ui/login?flow="));
}
