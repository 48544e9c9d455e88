//! Rules that nobody would write.

use proptest::prelude::*;

use super::*;

/// URLs of rules, mostly such as could be ones.
fn urls() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,3}",
        2 => Just("/".to_owned()),
        1 => Just("://".to_owned()),
        1 => Just("https://a.test/".to_owned()),
        1 => Just("<.*>".to_owned()),
        1 => Just("<[0-9]+>".to_owned()),
        1 => Just("<(?!ab).*>".to_owned()),
        1 => Just("<a|b>".to_owned()),
        1 => Just("<**>".to_owned()),
        1 => "<[-a-c.*?(){}\\[\\]|/\\\\$^!:+]{0,8}>",
        1 => "[%{}*?#;$\\\\.:@ <>\u{e9}\u{2028}]{1,2}",
    ];
    (prop_oneof![3 => Just("http://a.test/"), 1 => Just("")], prop::collection::vec(piece, 0..6))
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is written compiles, which the import checks itself: only a defect of ours is an error.
    #[test]
    fn any_urls_are_imported_or_dropped(
        urls in prop::collection::vec((urls(), prop::sample::select(vec!["GET", "POST", "HEAD"])), 1..5),
        is_glob in any::<bool>(),
        template in "[a-z{}$. ]{0,12}",
    ) {
        let rules = urls.iter().enumerate().map(|(number, (url, method))| {
            let mut rule = rule(url, &[method]);
            rule["id"] = json!(format!("r{number}"));
            if number % 2 == 0 {
                rule["authenticators"] = json!([cookie_session()]);
                let headers = json!({ "X-A": template, "X-B": "{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}" });
                rule["mutators"] = json!([{ "handler": "header", "config": { "headers": headers } }]);
            }
            rule
        });
        let rules = rules.collect::<Vec<_>>();
        let config = enabling(if is_glob { "glob" } else { "regexp" }, &Map::new());
        let imported = imported(Some(&config), &Value::Array(rules)).unwrap();
        policy(&imported.yaml);
        prop_assert!(imported.notes.iter().filter(|note| note.rule.is_some()).count() >= urls.len());
    }
}
