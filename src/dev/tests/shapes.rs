//! Compares our JSON with JSON of a real Kratos: the same keys, the same kinds of values, the same labels.

use serde_json::Value;
use serde_json::json;

use super::client::Client;
use super::client::PASSWORD;
use super::client::node;
use super::client::server;
use super::client::server_with;
use crate::dev::Aal;
use crate::dev::TOTP_ACCOUNT;
use crate::dev::flow::Kind;
use crate::dev::text;

macro_rules! authentic {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../../tests/data/kratos/", $name, ".json"))).unwrap()
    };
}

/// Objects have the same keys, lists the same shape of their first items, scalars the same type.
#[track_caller]
fn assert_same_shape(theirs: &Value, ours: &Value, at: &str) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys = |fields: &serde_json::Map<String, Value>| {
                let mut keys: Vec<String> = fields.keys().cloned().collect();
                keys.sort();
                keys
            };
            assert_eq!(keys(theirs), keys(ours), "at {at}");
            for (key, value) in theirs {
                assert_same_shape(value, &ours[key], &format!("{at}/{key}"));
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            assert_eq!(theirs.is_empty(), ours.is_empty(), "at {at}");
            for (theirs, ours) in theirs.iter().zip(ours).take(1) {
                assert_same_shape(theirs, ours, &format!("{at}/0"));
            }
        }
        _ => {
            let same = std::mem::discriminant(theirs) == std::mem::discriminant(ours);
            assert!(same, "{theirs} and {ours} at {at}");
        }
    }
}

/// Every authentic node has one of ours of the same name, type and value, with the same keys and label.
#[track_caller]
fn assert_same_nodes(theirs: &Value, ours: &Value) {
    let key = |node: &Value| {
        let attributes = &node["attributes"];
        let value = if attributes["type"] == "submit" && attributes["name"] == "method" {
            attributes["value"].clone()
        } else {
            Value::Null
        };
        json!([node["group"], attributes["name"], attributes["type"], value])
    };
    let ours = ours.as_array().unwrap();
    for theirs in theirs.as_array().unwrap() {
        let wanted = key(theirs);
        let ours = ours.iter().find(|node| key(node) == wanted).unwrap_or_else(|| panic!("no {wanted} in {ours:#?}"));
        let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
        for node in [&mut theirs, &mut ours] {
            // Snapshots leave values out.
            node["attributes"].as_object_mut().unwrap().remove("value");
        }
        assert_eq!(theirs, ours);
    }
}

#[tokio::test]
async fn sessions_have_the_shape_of_real_ones() {
    let server = server().await;
    let mut client = Client::native(&server);
    let flow = client.flow("registration", "").await;
    let fields = [
        ("method", "password"),
        ("traits.email", "foo@ory.com"),
        ("traits.name.first", "Foo"),
        ("traits.name.last", "Bar"),
        ("password", PASSWORD),
    ];
    let registered = client.submit(&flow, &fields).await.expect(200);
    let identity = registered["identity"]["id"].as_str().unwrap().parse().unwrap();
    server.switches().set_verified(identity, true);
    let token = registered["session_token"].as_str().unwrap();
    let session = Client::native(&server).with_header("x-session-token", token).whoami().await.expect(200);
    assert_same_shape(&authentic!("session-active-aal1"), &session, "");
}

#[tokio::test]
async fn flows_have_the_shape_of_real_ones() {
    let server = server().await;
    let mut client = Client::native(&server);
    for (theirs, ours) in [
        (authentic!("login-flow-api"), client.flow("login", "").await),
        (authentic!("registration-flow-api"), client.flow("registration", "").await),
    ] {
        let (mut theirs_bare, mut ours_bare) = (theirs.clone(), ours.clone());
        theirs_bare["ui"]["nodes"] = json!([]);
        ours_bare["ui"]["nodes"] = json!([]);
        assert_same_shape(&theirs_bare, &ours_bare, "");
        let mut nodes = theirs["ui"]["nodes"].clone();
        // The authentic registration is the two-step kind; ours is one step, with a password.
        nodes.as_array_mut().unwrap().retain(|node| node["attributes"]["value"] != "profile");
        assert_same_nodes(&nodes, &ours["ui"]["nodes"]);
    }
}

#[tokio::test]
async fn mailed_codes_are_asked_for_with_real_nodes() {
    let server = server().await;
    server.switches().sign_in("test@ory.sh");
    let mut client = Client::native(&server);
    for (kind, theirs) in [
        ("recovery", authentic!("nodes-recovery-code-sent")),
        ("verification", authentic!("nodes-verification-code-sent")),
    ] {
        let flow = client.flow(kind, "").await;
        let sent = client.submit(&flow, &[("method", "code"), ("email", "test@ory.sh")]).await.expect(200);
        assert_eq!(sent["state"], "sent_email");
        assert_same_nodes(&theirs, &sent["ui"]["nodes"]);
        assert_eq!(node(&sent, "email")["attributes"]["value"], "test@ory.sh");
    }
}

#[tokio::test]
async fn settings_and_second_factors_are_asked_for_with_real_nodes() {
    let server = server_with(|options| options.seed_demo_accounts = true).await;
    let signed_in = server.switches().sign_in(TOTP_ACCOUNT.email);
    let mut client = Client::native(&server).with_header("x-session-token", &signed_in.token);
    let flow = client.flow("login", "?aal=aal2").await;
    assert_same_nodes(&authentic!("nodes-login-totp-aal2"), &flow["ui"]["nodes"]);
    server.switches().set_session_aal(signed_in.session_id, Aal::Two);
    let flow = client.flow("settings", "").await;
    let mut theirs = authentic!("nodes-settings-init");
    // Their traits are of another identity schema.
    theirs.as_array_mut().unwrap().retain(|node| !node["attributes"]["name"].to_string().contains("traits."));
    assert_same_nodes(&theirs, &flow["ui"]["nodes"]);
}

#[test]
fn messages_are_those_of_the_table() {
    let table = authentic!("ui-messages");
    let table = table.as_array().unwrap();
    let sources = [
        include_str!("../text.rs"),
        include_str!("../login.rs"),
        include_str!("../settings.rs"),
        include_str!("../registration.rs"),
        include_str!("../recovery.rs"),
        include_str!("../verification.rs"),
        include_str!("../node.rs"),
    ];
    // `info(1_010_006, "Authentication code")`, where the text has no gaps to fill.
    let call = regex::Regex::new(r#"(info|success|error)\(\s*([0-9_]{9}),\s*"([^"{]*)"\s*,?\s*\)"#).unwrap();
    let mut seen = 0;
    for found in sources.iter().flat_map(|source| call.captures_iter(source)) {
        let id: u64 = found[2].replace('_', "").parse().unwrap();
        let message = table.iter().find(|message| message["id"] == id).unwrap_or_else(|| panic!("no {id}"));
        assert_eq!((message["type"].as_str(), message["text"].as_str()), (Some(&found[1]), Some(&found[3])), "{id}");
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
}

#[test]
fn messages_with_gaps_are_filled_as_in_the_table() {
    let table = authentic!("ui-messages");
    let at = |text: &str| text.parse().unwrap();
    let (minute_ago, now) = (at("2020-01-01T00:59:59Z"), at("2020-01-01T01:00:59Z"));
    for ours in [
        text::generic("{reason}"),
        text::missing("{property}"),
        text::wrong_credentials(),
        text::account_exists(),
        text::password_too_short(6, 5),
        text::bad_email("{value}"),
        text::expired(Kind::Login, minute_ago, now),
        text::expired(Kind::Registration, minute_ago, now),
        text::expired(Kind::Settings, minute_ago, now),
        text::expired(Kind::Recovery, minute_ago, now),
        text::expired(Kind::Verification, minute_ago, now),
        text::no_strategy(Kind::Login),
        text::no_strategy(Kind::Registration),
        text::no_strategy(Kind::Settings),
        text::no_strategy(Kind::Recovery),
        text::no_strategy(Kind::Verification),
        text::invalid_code(Kind::Login),
        text::invalid_code(Kind::Recovery),
        text::invalid_code(Kind::Verification),
        text::invalid_link(Kind::Recovery),
        text::invalid_link(Kind::Verification),
        text::already_completed(Kind::Registration),
        text::already_completed(Kind::Recovery),
        text::already_completed(Kind::Verification),
        text::mail_sent(Kind::Recovery, "link"),
        text::mail_sent(Kind::Recovery, "code"),
        text::mail_sent(Kind::Verification, "link"),
        text::mail_sent(Kind::Verification, "code"),
        text::login_code_sent(),
        text::recovered(at("2020-01-01T01:01:00Z"), at("2020-01-01T01:00:00Z")),
        text::titled("{name}", "{title}"),
        text::backup_code("{secret}", None),
        text::backup_code("", Some(minute_ago)),
        text::totp_secret("{secret}"),
    ] {
        let theirs = table.as_array().unwrap().iter().find(|message| message["id"] == ours["id"]);
        assert_eq!(theirs, Some(&ours));
    }
}

#[tokio::test]
async fn errors_have_the_bodies_of_real_ones() {
    let server = server().await;
    let theirs = authentic!("errors-derived");
    let mut asker = Client::native(&server).with_header("x-request-id", "d7ef54b1-ec15-46e6-bccb-524b82c035e6");
    let reply = asker.whoami().await;
    assert_eq!(reply.expect(401), theirs["whoami_401_any_cause"]["body"]);
    assert_eq!(reply.headers.get("ory-error-id").map(|id| id.as_bytes()), Some(&b""[..]));
    let mut client = Client::spa(&server);
    for (path, status, name) in [
        ("/sessions", 401, "sessions_collection_401"),
        ("/self-service/logout/browser", 401, "logout_browser_401"),
        ("/self-service/logout", 400, "logout_400_token_missing"),
        ("/self-service/settings/browser", 401, "settings_browser_401_json"),
        ("/self-service/login/browser?aal=aal2", 401, "login_init_401_aal1_required"),
        ("/self-service/login/browser?return_to=https://evil.example/", 400, "return_to_400"),
        ("/self-service/login/flows?id=5caccb0b-c3b5-4e9d-9944-213dccb3c8d0", 404, "flow_404"),
    ] {
        assert_eq!(client.get(path).await.expect(status), theirs[name]["body"], "{name}");
    }
    let unknown = client.delete_with("/self-service/logout/api", json!({ "session_token": "x" })).await;
    assert_eq!(unknown.expect(403), theirs["logout_api_403_unknown_token"]["body"]);

    let ann = server.switches().sign_in("ann@example.com");
    let mut ann_client = Client::native(&server).with_header("x-session-token", &ann.token);
    let current = ann_client.delete(&format!("/sessions/{}", ann.session_id)).await;
    assert_eq!(current.expect(400), theirs["disable_current_session_400"]["body"]);
    let nope = ann_client.get("/sessions/whoami?tokenize_as=nope").await;
    assert_eq!(nope.expect(400), theirs["whoami_400_unknown_template"]["body"]);
    server.switches().set_second_factor(ann.identity_id, true);
    let reply = ann_client.whoami().await;
    let own = server.url();
    let body = theirs["whoami_403_aal2_required"]["body"].to_string().replace("http://127.0.0.1:4433", &own);
    assert_eq!(reply.expect(403), serde_json::from_str::<Value>(&body).unwrap());
    assert_eq!(reply.header("ory-error-id"), "session_aal2_required");
}
