//! All thirty operations, and those on sessions in detail.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::ED25519;
use ring::signature::UnparsedPublicKey;
use serde_json::Value;
use serde_json::json;

use super::client::Client;
use super::client::server;
use super::conformance;

#[tokio::test]
async fn every_operation_answers_and_its_answers_conform() {
    let server = server().await;
    let mut spa = Client::spa(&server);
    let mut native = Client::native(&server);
    for kind in ["login", "registration", "recovery", "verification"] {
        for client in [&mut spa, &mut native] {
            let flow = client.flow(kind, "").await;
            client.get(&format!("/self-service/{kind}/flows?id={}", flow["id"].as_str().unwrap())).await.expect(200);
            client.submit(&flow, &[]).await.expect(400);
        }
    }
    spa.register("ann@example.com").await.expect(200);
    let token = native.sign_in("ann@example.com", "").await.expect(200)["session_token"].as_str().unwrap().to_owned();
    let mut ann = Client::native(&server).with_header("x-session-token", &token);
    for client in [&mut spa, &mut ann] {
        let flow = client.flow("settings", "").await;
        client.get(&format!("/self-service/settings/flows?id={}", flow["id"].as_str().unwrap())).await.expect(200);
        client.submit(&flow, &[("method", "profile"), ("traits.email", "ann@example.com")]).await.expect(200);
    }
    ann.whoami().await.expect(200);
    ann.get("/sessions").await.expect(200);
    ann.delete(&format!("/sessions/{}", uuid::Uuid::new_v4())).await.expect(204);
    ann.delete("/sessions").await.expect(200);
    native.delete_with("/self-service/logout/api", json!({ "session_token": token })).await.expect(204);
    spa.whoami().await.expect(401);
    spa.sign_in("ann@example.com", "").await.expect(200);
    let logout = spa.get("/self-service/logout/browser").await.expect(200);
    spa.get(logout["logout_url"].as_str().unwrap()).await.expect(204);
    native.get("/sessions/token-exchange").await.expect(400);
    assert_eq!(native.get("/self-service/errors?id=stub:500").await.expect(200)["error"]["code"], 500);
    native.get("/self-service/errors?id=nope").await.expect(404);
    let script = native.get("/.well-known/ory/webauthn.js").await;
    assert_eq!((script.status.as_u16(), script.header("content-type")), (200, "text/javascript; charset=UTF-8"));

    let seen: BTreeSet<String> =
        [&spa, &native, &ann].into_iter().flat_map(|client| client.operations.clone()).collect();
    assert_eq!(seen, conformance::operation_ids().into_iter().collect());
    assert_eq!(seen.len(), 30);
}

#[tokio::test]
async fn other_sessions_are_listed_page_by_page_and_ended() {
    let server = server().await;
    let switches = server.switches();
    let ann = switches.sign_in("ann@example.com");
    let others: Vec<_> = (0..5).map(|_| switches.sign_in("ann@example.com")).collect();
    let bob = switches.sign_in("bob@example.com");
    let mut client = Client::native(&server).with_header("x-session-token", &ann.token);
    let reply = client.get("/sessions?page_size=2&page_token=1").await;
    assert_eq!(reply.expect(200).as_array().unwrap().len(), 2);
    assert_eq!(reply.header("x-total-count"), "5");
    let links = reply.header("link");
    for relation in ["first", "prev", "next", "last"] {
        assert!(links.contains(&format!("rel=\"{relation}\"")), "{links}");
    }
    assert!(links.contains("</sessions?page=2&page_size=2&page_token=2&per_page=2>; rel=\"next\""), "{links}");
    let last = client.get("/sessions?per_page=2&page=2").await;
    assert_eq!(last.expect(200).as_array().unwrap().len(), 1);
    assert!(!last.header("link").contains("next"));
    let odd = client.get("/sessions?page_size=0&page=99999999999999999999").await;
    assert_eq!(odd.expect(200).as_array().unwrap().len(), 1);

    client.delete(&format!("/sessions/{}", others[0].session_id)).await.expect(204);
    client.delete(&format!("/sessions/{}", bob.session_id)).await.expect(204);
    client.delete("/sessions/nonsense").await.expect(400);
    assert_eq!(client.delete("/sessions").await.expect(200)["count"], 4);
    client.whoami().await.expect(200);
    let whoami = |token: String| {
        let mut client = Client::native(&server).with_header("x-session-token", &token);
        async move { client.whoami().await.status.as_u16() }
    };
    assert_eq!(whoami(others[0].token.clone()).await, 401);
    assert_eq!(whoami(others[1].token.clone()).await, 401);
    assert_eq!(whoami(bob.token).await, 200);
    let mut nobody = Client::native(&server);
    nobody.delete("/sessions").await.expect(401);
    nobody.delete(&format!("/sessions/{}", ann.session_id)).await.expect(401);
}

#[tokio::test]
async fn a_session_becomes_a_token_that_our_key_signed() {
    let server = server().await;
    let ann = server.switches().sign_in("ann@example.com");
    let mut client = Client::native(&server).with_header("x-session-token", &ann.token);
    let session = client.get("/sessions/whoami?tokenize_as=dev").await.expect(200);
    let token = session["tokenized"].as_str().unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (header, claims) = (decode(header), decode(claims));
    let key = client.get("/dev/jwks.json").await.expect(200)["keys"][0].clone();
    assert_eq!(header["kid"], key["kid"]);
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature).unwrap();
    assert_eq!((&claims["sub"], &claims["sid"]), (&json!(ann.identity_id), &json!(ann.session_id)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert_eq!(claims["iss"], format!("{}/", server.url()));
    Client::native(&server).with_header("x-session-token", token).whoami().await.expect(401);
}

#[tokio::test]
async fn a_session_token_is_exchanged_once_by_who_holds_both_codes() {
    let server = server().await;
    let mut client = Client::native(&server);
    client.register("ann@example.com").await.expect(200);
    let query = format!("?return_session_token_exchange_code=true&return_to={}/native", server.url());
    let flow = client.flow("login", &query).await;
    let init_code = flow["session_token_exchange_code"].as_str().unwrap();
    let early = format!("/sessions/token-exchange?init_code={init_code}&return_to_code=x");
    client.get(&early).await.expect(404);
    let fields = [("method", "password"), ("identifier", "ann@example.com"), ("password", super::client::PASSWORD)];
    let done = client.submit(&flow, &fields).await.expect(200);
    let action = &done["continue_with"][0];
    assert_eq!(action["action"], "redirect_browser_to");
    let code = action["redirect_browser_to"].as_str().unwrap().split_once("?code=").unwrap().1;
    client.get(&early).await.expect(404);
    client.get(&format!("/sessions/token-exchange?init_code={init_code}")).await.expect(400);
    let path = format!("/sessions/token-exchange?init_code={init_code}&return_to_code={code}");
    let exchanged = client.get(&path).await.expect(200);
    assert_eq!(exchanged["session_token"], done["session_token"]);
    client.get(&path).await.expect(404);
}

#[tokio::test]
async fn schemas_and_well_known_paths_are_served() {
    let server = server().await;
    let mut client = Client::native(&server);
    let all = client.get("/schemas").await.expect(200);
    let one = client.get("/schemas/default").await.expect(200);
    assert_eq!(all[0]["schema"], one);
    assert_eq!(client.get("/schemas/ZGVmYXVsdA").await.expect(200), one);
    client.get("/schemas/other").await.expect(404);
    assert!(client.get("/.well-known/change-password").await.expect_redirect(302).ends_with("/ui/settings"));
    client.get("/nowhere").await.expect(404);
}
