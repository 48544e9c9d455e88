//! Compares our JSON with JSON of a real Kratos: the same keys, the same kinds of values, the same labels.

use serde_json::Value;
use serde_json::json;

use super::client::Client;
use super::client::PASSWORD;
use super::client::node;
use super::client::server;

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
