//! What a flow looks like as HTML.

use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};

use crate::ui::Settings;
use crate::ui::arrange;
use crate::ui::flow::{Body, Flow, Kind, Node};
use crate::ui::flow_page::{self, Around};
use crate::ui::links::Query;
use crate::ui::page::Shell;
use crate::ui::policy::ContentPolicy;
use crate::ui::tests::{authentic, csrf, flow_of, input};

fn render(kind: Kind, flow: &Value) -> String {
    let flow = Flow::parse(flow.to_string().as_bytes()).unwrap();
    let shell = Shell { brand: "Acme", prefix: "/ui", style: "0", script: "0" };
    let around = Around::new(&Settings::default(), kind, &flow, &Query::default(), None);
    let policy = ContentPolicy::of(&flow, "http://app.example", "/");
    flow_page::page(&shell, kind, &flow, &around, &policy.scripts(&flow)).into_string()
}

/// The forms of a page, each as text.
fn forms(html: &str) -> Vec<&str> {
    html.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap()).collect()
}

fn authentic_pages() -> Vec<(&'static str, Kind, Value)> {
    let bare = |name| authentic(name);
    let nodes = |name| {
        let file = authentic(name);
        flow_of(if file.is_array() { file } else { file["nodes"].clone() })
    };
    let mut recovery = bare("recovery-flow-with-ui-error");
    recovery["ui"]["action"] = json!("http://kratos.example/self-service/recovery?flow=1");
    vec![
        ("nodes-login-password", Kind::Login, nodes("nodes-login-password")),
        ("nodes-login-totp-aal2", Kind::Login, nodes("nodes-login-totp-aal2")),
        ("nodes-recovery-code-sent", Kind::Recovery, nodes("nodes-recovery-code-sent")),
        ("nodes-registration-one-step", Kind::Registration, nodes("nodes-registration-one-step")),
        ("nodes-settings-init", Kind::Settings, nodes("nodes-settings-init")),
        ("nodes-verification-code-sent", Kind::Verification, nodes("nodes-verification-code-sent")),
        ("login-flow-api", Kind::Login, bare("login-flow-api")),
        ("registration-flow-api", Kind::Registration, bare("registration-flow-api")),
        ("recovery-flow-with-ui-error", Kind::Recovery, recovery),
        ("settings-flow-success-browser-2021", Kind::Settings, bare("settings-flow-success-browser-2021")),
        ("settings-flow-envelope", Kind::Settings, bare("settings-flow-envelope")),
        ("verification-flow-envelope", Kind::Verification, bare("verification-flow-envelope")),
    ]
}

/// What every page must be, whatever the flow.
fn check_page(name: &str, html: &str) {
    assert_eq!(html.matches("<h1").count(), 1, "{name}: one main heading");
    assert!(html.contains("<html lang=\"en\">"), "{name}");
    assert!(html.matches(" autofocus").count() <= 1, "{name}: one cursor");
    let inline = Regex::new(r#"<[^>]*\s(on\w+|style)\s*="#).unwrap();
    assert!(!inline.is_match(html), "{name}: no inline handler or style");
    assert!(!html.contains("javascript:"), "{name}");

    let own_id = Regex::new(r#" id="([^"]+)""#).unwrap();
    let described_by = Regex::new(r#"aria-describedby="([^"]+)""#).unwrap();
    let ids: Vec<&str> =
        Regex::new(r#"\sid="([^"]+)""#).unwrap().captures_iter(html).map(|id| id.extract::<1>().1[0]).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{name}: ids are unique");

    for field in Regex::new(r"<(input|select)[^>]*>").unwrap().find_iter(html).map(|field| field.as_str()) {
        if field.contains("type=\"hidden\"") {
            continue;
        }
        let id = own_id.captures(field).unwrap_or_else(|| panic!("{name}: {field}"));
        assert!(html.contains(&format!("<label for=\"{}\">", &id[1])), "{name}: {field} has a label");
        if let Some(described) = described_by.captures(field) {
            assert!(ids.contains(&&described[1]), "{name}: {field} is described by something that exists");
        }
    }
}

#[test]
fn every_authentic_flow_becomes_a_sound_page() {
    for (name, kind, flow) in authentic_pages() {
        let html = render(kind, &flow);
        check_page(name, &html);
        let nodes = flow["ui"]["nodes"].as_array().cloned().unwrap_or_default();
        for form in forms(&html) {
            assert_eq!(form.matches("name=\"csrf_token\"").count(), 1, "{name}: {form}");
            assert!(form.contains("method=\"post\""), "{name}");
        }
        for node in &nodes {
            let attributes = &node["attributes"];
            let written = attributes["name"].as_str().unwrap();
            assert!(html.contains(&format!("name=\"{written}\"")), "{name}: {written} is on the page");
            if let Some(label) = node["meta"]["label"]["text"].as_str() {
                assert!(html.contains(label), "{name}: {label}");
            }
            if attributes["type"] == "submit" {
                let value = attributes["value"].as_str().unwrap();
                assert!(
                    html.contains(&format!("type=\"submit\" name=\"{written}\" value=\"{value}\"")),
                    "{name}: {value}"
                );
            }
        }
        for message in flow["ui"]["messages"].as_array().into_iter().flatten() {
            assert!(html.contains(message["text"].as_str().unwrap()), "{name}: its message");
        }
    }
}

#[test]
fn settings_have_a_form_for_each_group() {
    let html = render(Kind::Settings, &flow_of(authentic("nodes-settings-init")));
    let forms = forms(&html);
    assert_eq!(forms.len(), 2);
    assert!(forms[0].contains("traits.email") && forms[0].contains("value=\"profile\""));
    assert!(!forms[0].contains("name=\"password\""), "saving the profile never sends a password");
    assert!(forms[1].contains("name=\"password\"") && forms[1].contains("value=\"password\""));
}

#[test]
fn a_message_stands_at_its_node_and_names_it() {
    let mut nodes = authentic("nodes-login-password");
    nodes[2]["messages"] = json!([{ "id": 4_000_032, "text": "The password is too <short>.", "type": "error" }]);
    let html = render(Kind::Login, &flow_of(nodes));
    let field = html.split("<div class=\"field\">").find(|field| field.contains("name=\"password\"")).unwrap();
    assert!(field.contains("aria-invalid=\"true\" aria-describedby=\"node-2-messages\""), "{field}");
    assert!(field.contains("<p class=\"bad\" role=\"alert\">The password is too &lt;short&gt;.</p>"), "{field}");
    assert!(html.contains("<title>Error: Sign in"), "the title says it first");
}

/// The tag of the field that has the cursor when the page opens.
fn cursor(html: &str) -> &str {
    let place = html.find(" autofocus").expect("a cursor");
    &html[html[..place].rfind('<').unwrap()..place]
}

#[test]
fn the_cursor_waits_where_something_is_wrong_or_missing() {
    let field = |name: &str, kind: &str, value: &str, required: bool| {
        input("password", json!({ "name": name, "type": kind, "value": value, "required": required }), name)
    };
    let form = |address: &str, nickname: Value| {
        let nodes = json!([field("email", "email", address, true), nickname, field("password", "password", "", true)]);
        render(Kind::Registration, &flow_of(nodes))
    };
    let nickname = field("nickname", "text", "", false);
    assert!(cursor(&form("", nickname.clone())).contains("name=\"email\""), "first what is missing");
    assert!(cursor(&form("ann@example.com", nickname.clone())).contains("name=\"password\""), "the rest is filled in");
    let mut taken = nickname;
    taken["messages"] = json!([{ "id": 1, "text": "Taken.", "type": "error" }]);
    assert!(cursor(&form("ann@example.com", taken)).contains("name=\"nickname\""), "before all else what is wrong");
}

#[test]
fn whoever_has_no_second_factor_is_shown_where_to_get_one() {
    let mut flow = flow_of(json!([csrf()]));
    flow["requested_aal"] = json!("aal2");
    flow["return_to"] = json!("http://app.example/vault");
    let set_up = "href=\"/self-service/settings/browser?return_to=http%3A%2F%2Fapp.example%2Fvault\"";
    assert!(render(Kind::Login, &flow).contains(set_up));
    flow["ui"]["nodes"] = authentic("nodes-login-totp-aal2");
    assert!(!render(Kind::Login, &flow).contains("/self-service/settings/"));
}

#[test]
fn a_page_leads_on_by_one_link() {
    let mut flow = flow_of(json!([]));
    flow["state"] = json!("passed_challenge");
    let onward = |flow: &Value| render(Kind::Verification, flow).matches("Continue</a>").count();
    assert_eq!(onward(&flow), 1);
    flow["ui"]["nodes"] = json!([{
        "type": "a", "group": "code", "messages": [], "meta": {},
        "attributes": {
            "node_type": "a", "id": "continue", "href": "http://app.example/",
            "title": { "id": 1_070_009, "text": "Continue", "type": "info" },
        },
    }]);
    assert_eq!(onward(&flow), 1);
}

#[test]
fn a_message_at_a_hidden_node_is_shown_all_the_same() {
    let mut token = csrf();
    token["messages"] = json!([{ "id": 1, "text": "Look here.", "type": "error" }]);
    let html = render(
        Kind::Login,
        &flow_of(json!([token, input("password", json!({ "name": "password", "type": "password" }), "Password")])),
    );
    assert!(html.contains("role=\"alert\">Look here.</p>"));
}

#[test]
fn the_ways_to_sign_in_come_in_order_and_others_leave_the_form_alone() {
    let nodes = json!([
        input("oidc", json!({ "name": "provider", "type": "submit", "value": "google" }), "Sign in with Google"),
        input("code", json!({ "name": "method", "type": "submit", "value": "code" }), "Send sign in code"),
        csrf(),
        input("default", json!({ "name": "identifier", "type": "text", "required": true }), "E-Mail"),
        input("password", json!({ "name": "password", "type": "password", "required": true }), "Password"),
        input("password", json!({ "name": "method", "type": "submit", "value": "password" }), "Sign in"),
    ]);
    let html = render(Kind::Login, &flow_of(nodes));
    let forms = forms(&html);
    assert_eq!(forms.len(), 2, "a service elsewhere does not ask for the password here");
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}"));
    let order =
        ["name=\"identifier\"", "name=\"password\"", "value=\"password\"", "value=\"code\"", "value=\"google\""];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])));
    let code = html.split("<button").find(|button| button.contains("value=\"code\"")).unwrap();
    assert!(code.contains("formnovalidate"), "asking for a code needs no password");
    let password = html.split("<button").find(|button| button.contains("value=\"password\"")).unwrap();
    assert!(password.contains("class=\"button primary\"") && !password.contains("formnovalidate"));
    assert_eq!(html.matches("class=\"or\"").count(), 1);
}

#[test]
fn a_second_factor_has_one_form_for_each_method() {
    let nodes = json!([
        csrf(),
        input("totp", json!({ "name": "totp_code", "type": "text", "required": true }), "Authentication code"),
        input("totp", json!({ "name": "method", "type": "submit", "value": "totp" }), "Use Authenticator"),
        input(
            "lookup_secret",
            json!({ "name": "lookup_secret", "type": "text", "required": true }),
            "Backup recovery code"
        ),
        input(
            "lookup_secret",
            json!({ "name": "method", "type": "submit", "value": "lookup_secret" }),
            "Use backup code"
        ),
    ]);
    let html = render(Kind::Login, &flow_of(nodes));
    assert_eq!(forms(&html).len(), 2);
    assert!(forms(&html).iter().all(|form| form.contains("csrf_token")));
    assert!(html.contains("autocomplete=\"one-time-code\" inputmode=\"numeric\""));
}

#[test]
fn enter_never_presses_a_button_that_removes() {
    let nodes = json!([
        csrf(),
        input(
            "webauthn",
            json!({ "name": "webauthn_remove", "type": "submit", "value": "62" }),
            "Remove security key \"b\""
        ),
        input(
            "webauthn",
            json!({ "name": "webauthn_register_displayname", "type": "text" }),
            "Name of the security key"
        ),
        input(
            "webauthn",
            json!({ "name": "webauthn_register_trigger", "type": "button", "value": "{\"publicKey\":{}}",
            "onclick": "oryWebAuthnRegistration({\"publicKey\":{}})", "onclickTrigger": "oryWebAuthnRegistration" }),
            "Add security key"
        ),
        input("webauthn", json!({ "name": "webauthn_register", "type": "hidden", "value": "" }), ""),
    ]);
    let html = render(Kind::Settings, &flow_of(nodes));
    let forms = forms(&html);
    assert_eq!(forms.len(), 2);
    assert!(forms[1].contains("webauthn_remove") && !forms[1].contains("displayname"));
    assert!(
        forms[0].contains("name=\"webauthn_register\"") && forms[0].contains("data-click=\"oryWebAuthnRegistration\"")
    );
    check_page("security keys", &html);
}

#[test]
fn code_that_older_kratos_sends_is_understood_and_never_run() {
    let page = |code: &str| {
        let button =
            input("webauthn", json!({ "name": "webauthn_login_trigger", "type": "button", "onclick": code }), "Key");
        render(Kind::Login, &flow_of(json!([csrf(), button])))
    };
    let html = page("window.__oryWebAuthnLogin({\"publicKey\":{\"challenge\":\"a\\\"<b\"}})");
    assert!(html.contains("data-click=\"oryWebAuthnLogin\""));
    assert!(
        html.contains(
            "data-click-options=\"{&quot;publicKey&quot;:{&quot;challenge&quot;:&quot;a\\&quot;&lt;b&quot;}}\""
        ),
        "{html}"
    );
    for code in
        ["alert(1)", "window.__oryWebAuthnLogin(alert(1))", "oryWebAuthnLogin({}); alert(1)", "eval({})", "(", ""]
    {
        assert!(!page(code).contains("data-click"), "{code}");
    }
}

#[test]
fn only_scripts_of_kratos_are_loaded_and_each_once() {
    let script = |src: &str| {
        json!({ "type": "script", "group": "webauthn", "messages": [], "meta": {}, "attributes": {
            "src": src, "async": true, "referrerpolicy": "no-referrer", "crossorigin": "anonymous",
            "integrity": "sha512-x", "type": "text/javascript", "id": "webauthn_script", "node_type": "script" } })
    };
    let kratos = "http://kratos.example/.well-known/ory/webauthn.js";
    let flow = flow_of(json!([
        csrf(),
        script(kratos),
        script(kratos),
        script("https://evil.example/x.js"),
        script("javascript:1")
    ]));
    let html = render(Kind::Login, &flow);
    assert_eq!(html.matches("<script").count(), 2, "ours and theirs");
    assert!(html.contains(&format!("<script async src=\"{kratos}\" integrity=\"sha512-x\" crossorigin=\"anonymous\"")));
    let flow = Flow::parse(flow.to_string().as_bytes()).unwrap();
    let csp = ContentPolicy::of(&flow, "http://app.example", "/").headers()[0].1.to_str().unwrap().to_owned();
    assert!(csp.contains(&format!("script-src 'self' {kratos};")), "{csp}");
}

#[test]
fn a_group_that_shows_nothing_leaves_no_gap() {
    let script =
        json!({ "type": "script", "group": "webauthn", "messages": [], "meta": {}, "attributes": { "src": "/x.js" } });
    let waiting = input(
        "passkey",
        json!({ "name": "passkey_login", "type": "hidden", "onloadTrigger": "oryPasskeyLoginAutocompleteInit" }),
        "",
    );
    let html = render(Kind::Login, &flow_of(json!([csrf(), script, waiting])));
    assert_eq!(forms(&html).len(), 1, "a script needs no form");
    assert!(forms(&html)[0].contains(" hidden>") && html.contains("data-load=\"oryPasskeyLoginAutocompleteInit\""));
}

#[test]
fn the_authenticator_app_shows_its_picture_and_secret() {
    let nodes = json!([
        csrf(),
        { "type": "img", "group": "totp", "messages": [], "attributes": { "id": "totp_qr", "node_type": "img", "width": 256,
            "height": 256, "src": "data:image/png;base64,AAAA" },
          "meta": { "label": { "id": 1_050_005, "text": "Authenticator app QR code", "type": "info" } } },
        { "type": "text", "group": "totp", "messages": [], "attributes": { "id": "totp_secret_key", "node_type": "text",
            "text": { "id": 1_050_006, "text": "JBSWY3DP", "type": "info", "context": { "secret": "JBSWY3DP" } } },
          "meta": { "label": { "id": 1_050_017, "text": "This is your authenticator app secret.", "type": "info" } } },
        input("totp", json!({ "name": "totp_code", "type": "text", "required": true }), "Verify code"),
    ]);
    let html = render(Kind::Settings, &flow_of(nodes));
    assert!(html.contains(
        "<img src=\"data:image/png;base64,AAAA\" width=\"256\" height=\"256\" alt=\"Authenticator app QR code\">"
    ));
    assert!(html.contains("<code class=\"secret\">JBSWY3DP</code>"));
}

#[test]
fn recovery_codes_are_listed_and_spent_ones_say_so() {
    let secret = |id: i64, text: &str| json!({ "id": id, "text": text, "type": "info" });
    let nodes = json!([csrf(), { "type": "text", "group": "lookup_secret", "messages": [], "meta": {}, "attributes": {
        "id": "lookup_secret_codes", "node_type": "text", "text": { "id": 1_050_015, "text": "key-0, used", "type": "info",
        "context": { "secrets": [secret(1_050_009, "key-0"), secret(1_050_014, "Secret was used at 2021")] } } } }]);
    let html = render(Kind::Settings, &flow_of(nodes));
    assert!(html.contains("<li><code>key-0</code></li><li class=\"used\">used</li>"), "{html}");
}

#[test]
fn fields_keep_what_kratos_says_of_them() {
    let nodes = json!([
        csrf(),
        input(
            "code",
            json!({ "name": "code", "type": "text", "required": true, "pattern": "[0-9]+", "maxlength": 6,
            "autocomplete": "one-time-code", "disabled": true, "value": "12" }),
            "Code"
        ),
        input(
            "profile",
            json!({ "name": "traits.plan", "type": "text", "required": true, "value": "b",
            "options": [{ "value": "a" }, { "value": "b" }, { "value": 3 }] }),
            "Plan"
        ),
        input("profile", json!({ "name": "traits.tos", "type": "checkbox", "value": true }), "Terms"),
    ]);
    let html = render(Kind::Registration, &flow_of(nodes));
    assert!(html.contains("value=\"12\" autocomplete=\"one-time-code\" inputmode=\"numeric\""), "{html}");
    assert!(html.contains("pattern=\"[0-9]+\" maxlength=\"6\" required disabled"), "{html}");
    assert!(html.contains("<option value=\"b\" selected>b</option><option value=\"3\">3</option>"), "{html}");
    assert!(html.contains("<input type=\"hidden\" name=\"traits.tos\" value=\"false\">"));
    assert!(html.contains("type=\"checkbox\" name=\"traits.tos\" value=\"true\" checked"));
    check_page("fields", &html);
}

#[test]
fn a_form_may_be_redirected_only_where_the_flow_leads() {
    let csp = |flow: &Value, home: &str| {
        let flow = Flow::parse(flow.to_string().as_bytes()).unwrap();
        ContentPolicy::of(&flow, "http://app.example", home).headers()[0].1.to_str().unwrap().to_owned()
    };
    let mut flow = flow_of(json!([csrf()]));
    assert!(csp(&flow, "/").contains("form-action 'self' http://kratos.example;"));
    flow["return_to"] = json!("https://shop.example/x; script-src *");
    assert!(
        csp(&flow, "https://home.example/")
            .contains("form-action 'self' http://kratos.example https://shop.example https://home.example;")
    );
    flow["ui"]["nodes"] = json!([input("oidc", json!({ "name": "provider", "type": "submit", "value": "g" }), "G")]);
    assert!(csp(&flow, "/").contains("https://shop.example https:;"));
}

#[test]
fn a_widget_gets_its_place_and_no_attribute_of_its_own_making() {
    let division = json!({ "type": "div", "group": "captcha", "messages": [{ "text": "Prove it.", "type": "error" }], "meta": {},
        "attributes": { "id": "widget", "class": "a\"b", "data": { "site-key": "k\"<", "x onload": "1", "a=b": "2" } } });
    let html = render(Kind::Login, &flow_of(json!([csrf(), division])));
    assert!(html.contains("<div id=\"widget\" class=\"a&quot;b\" data-site-key=\"k&quot;&lt;\"></div>"), "{html}");
    assert!(html.contains("Prove it."));
}

/// Any JSON, with the words of a node often enough in the right places.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("input".to_owned()),
        Just("text".to_owned()),
        Just("img".to_owned()),
        Just("a".to_owned()),
        Just("div".to_owned()),
        Just("script".to_owned()),
        Just("submit".to_owned()),
        Just("hidden".to_owned()),
        Just("checkbox".to_owned()),
        Just("default".to_owned()),
        Just("oidc".to_owned()),
        Just("\"><script>alert(1)</script>".to_owned()),
        Just("javascript:alert(1)".to_owned()),
        Just("window.__oryPasskeyLogin()</script><script>".to_owned()),
        "\\PC{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "type",
        "group",
        "attributes",
        "messages",
        "meta",
        "label",
        "text",
        "name",
        "value",
        "id",
        "src",
        "href",
        "title",
        "node_type",
        "onclick",
        "onclickTrigger",
        "onload",
        "options",
        "context",
        "secrets",
        "data",
        "class",
        "pattern",
        "maxlength",
        "required",
        "x\"><script>",
    ]);
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..9)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn no_flow_can_break_a_page_or_out_of_it(nodes in prop::collection::vec(any_json(), 0..8), messages in any_json()) {
        for kind in [Kind::Login, Kind::Settings] {
            let flow = json!({ "ui": { "action": "/x", "method": "POST", "nodes": nodes, "messages": messages } });
            let html = render(kind, &flow);
            let ours = html.matches("<script defer src=\"/ui/assets/pages.js").count() + html.matches("<script async src=\"/").count();
            prop_assert_eq!(html.matches("<script").count(), ours, "{}", html);
            prop_assert!(!html.contains("href=\"javascript:") && !html.contains("src=\"javascript:"));
        }
    }

    #[test]
    fn no_node_is_lost_or_doubled(nodes in prop::collection::vec(any_json(), 0..12)) {
        let flow = json!({ "ui": { "action": "/x", "nodes": nodes } });
        let flow = Flow::parse(flow.to_string().as_bytes()).unwrap();
        let script = |node: &&Node| matches!(node.body, Body::Script(_));
        for kind in [Kind::Login, Kind::Settings] {
            let sections = arrange::sections(kind, &flow);
            let forms = || sections.iter().flat_map(|section| &section.forms);
            let parts = forms().flat_map(|form| &form.parts).flat_map(|part| part.fields.iter().chain(&part.buttons));
            let mut placed: Vec<usize> = parts.map(|node| node.index).collect();
            if let Some(form) = forms().next() {
                placed.extend(form.shared.iter().filter(|node| !script(node)).map(|node| node.index));
                let shared = forms().all(|other| other.shared.len() == form.shared.len());
                prop_assert!(shared, "what every form needs, every form has");
                placed.sort_unstable();
                let all: Vec<usize> = flow.nodes.iter().filter(|node| !script(node)).map(|node| node.index).collect();
                prop_assert_eq!(placed, all);
            }
        }
    }

    #[test]
    fn no_bytes_can_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Flow::parse(&bytes).is_none_or(|flow| flow.action.len() <= bytes.len()));
    }
}
