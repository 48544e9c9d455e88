//! The files as a whole: listeners, repositories, and what is malformed.

use super::*;

#[test]
fn pages_of_other_origins_may_do_what_they_did() {
    let cors = |credentials: bool, origins: Value| {
        let cors = json!({ "enabled": true, "allowed_origins": origins, "allowed_methods": ["GET"], "allow_credentials": credentials, "max_age": 60 });
        let mut config = enabling("regexp", &Map::new());
        config["serve"] = json!({ "proxy": { "cors": cors } });
        imported(Some(&config), &json!([rule("http://a.test/x", &["GET"])])).unwrap()
    };
    let kept = cors(true, json!(["https://app.test", "https://*.app.test"]));
    assert!(
        kept.yaml.contains("    cors:\n      credentials: true\n      max_age: 60s\n      methods: [GET]\n"),
        "{}",
        kept.yaml
    );
    assert_eq!(kept.exit_code(), 0);
    for odd in [cors(true, json!(["*"])), cors(false, json!(["no origin"]))] {
        assert!(!odd.yaml.contains("cors"), "{}", odd.yaml);
        assert_eq!(odd.exit_code(), 3);
    }
}

#[test]
fn repositories_are_read_unless_rules_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("oathkeeper.yml");
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, "- id: one\n  match: { url: 'http://a/<[a-z]+>', methods: [GET] }\n").unwrap();
    let text =
        format!("access_rules:\n  repositories: ['file://{}', 'https://elsewhere/rules.json']\n", rules.display());
    fs::write(&config, text).unwrap();
    let found = import(Some(&config), &[]).unwrap();
    assert!(found.yaml.contains("id: one"), "{}", found.yaml);
    assert!(found.notes.iter().any(|note| note.rule.is_none() && note.reason.contains("https://elsewhere")));
}

#[test]
fn malformed_files_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("- id: [", "rules.yaml:1:"),
        ("just text", "rules.yaml:1:1: a file of rules is a list of rules, or one rule"),
        ("- id: a\n  authenticators:\n    - config: {}\n", "this handler has no name"),
        ("- 7\n", "a rule is a mapping, not a single value"),
        ("", "there are no rules"),
    ] {
        let file = folder.path().join("rules.yaml");
        fs::write(&file, text).unwrap();
        let error = import(None, &[file]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let missing = folder.path().join("missing.yaml");
    assert!(import(None, &[missing]).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn what_kratos_serves_itself_keeps_its_cors() {
    let mut public = rule("http://a.test/<.*>", &["GET", "POST"]);
    public["upstream"] = json!({ "url": "http://kratos:4433", "preserve_host": true });
    let mut mine = rule("http://b.test/x", &["GET"]);
    mine["authenticators"] = json!([cookie_session()]);
    let mut config = enabling("regexp", &Map::new());
    config["serve"] = json!({ "proxy": { "cors": { "enabled": true, "allowed_origins": ["https://app.test"] } } });
    let imported = imported(Some(&config), &json!([public, mine])).unwrap();
    let kratos = imported.yaml.split_once("kratos:").unwrap().1.split_once("rules:").unwrap().0;
    assert!(kratos.contains("  cors:\n    origins: ['https://app.test']\n"), "{}", imported.yaml);
}

#[test]
fn listeners_of_operators_are_told_of_without_a_proxy_too() {
    let mut config = enabling("regexp", &Map::new());
    config["serve"] = json!({ "api": { "host": "0.0.0.0", "port": 9456 }, "prometheus": { "port": 9000 } });
    let imported = imported(Some(&config), &json!([rule("http://a.test/x", &["GET"])])).unwrap();
    assert!(imported.yaml.contains("ops:\n  address: '0.0.0.0:9456'"), "{}", imported.yaml);
    let told = imported.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("guard it with `ops.token`") && told.contains("metrics are at /metrics"), "{told}");
}
