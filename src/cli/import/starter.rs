//! A first file of rule tests: one request for each imported rule, and what becomes of it without a session.

use futures_util::FutureExt as _;
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::gateway::{Gateway, Rule};
use super::matching::PathText;
use super::sample::samples;
use super::yaml::{comment, scalar};
use crate::decision::policy::Policy;
use crate::ops::explain::{Supposed, explain};

/// What a path may not hold as it is.
const ODD: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'\\');

/// The tests, each with what the gateway answers today.
pub(super) fn tests(gateway: &Gateway, policy: &Policy) -> String {
    let mut yaml = String::from(
        "# One test for each imported rule; run them with `portcullis test` on this file.\n\
         config: portcullis.yaml\n",
    );
    let tests = gateway.rules.iter().map(|rule| test(rule, policy)).collect::<String>();
    yaml.push_str(if tests.is_empty() { "tests: []\n" } else { "tests:\n" });
    yaml + &tests
}

fn test(rule: &Rule, policy: &Policy) -> String {
    let found = requests(rule).into_iter().find_map(|(method, url)| {
        let supposed = Supposed::parse("none");
        let parsed = Method::from_bytes(method.as_bytes()).ok()?;
        // Nobody is asked, so that there is nothing to wait for.
        let explanation = explain(policy, &parsed, &url, HeaderMap::new(), supposed).now_or_never()?;
        (explanation.rule() == Some(&rule.id)).then_some((method, url, serde_json::to_value(&explanation).ok()?))
    });
    let Some((method, url, explained)) = found else {
        return format!("  # {}: no example of its requests was found.\n", comment(&rule.id));
    };
    let outcome = explained.get("outcome").and_then(Value::as_str).unwrap_or_default();
    let status = explained.get("status").and_then(Value::as_u64).unwrap_or_default();
    let refusal = explained.get("refusal").and_then(Value::as_str);
    let refusal = refusal.map(|refusal| format!(", refusal: {refusal}")).unwrap_or_default();
    format!(
        "  - name: {} without a session\n    request: {{ method: {}, url: {} }}\n    session: none\n    \
         expect: {{ rule: {}, outcome: {outcome}, status: {status}{refusal} }}\n",
        rule.id,
        quoted(&method),
        quoted(&url),
        quoted(&rule.id),
    )
}

/// A text as it may stand within braces.
fn quoted(text: &str) -> String {
    let text = scalar(text);
    if text.contains(':') && !text.starts_with(['\'', '"']) { format!("'{text}'") } else { text }
}

/// Requests that the rule may own, the plainest first.
fn requests(rule: &Rule) -> Vec<(String, String)> {
    let share = &rule.share;
    let scheme = if share.http { "http" } else { "https" };
    let host = share.hosts.first().map_or_else(|| "any.test".to_owned(), |host| host.replacen('*', "any", 1));
    let method = share.methods.iter().next().cloned().unwrap_or_default();
    let paths = share.paths.iter().flat_map(|path| match path {
        PathText::Pattern(text) => vec![example(text)],
        PathText::Regex(text) => samples(text).iter().map(|path| utf8_percent_encode(path, ODD).to_string()).collect(),
    });
    paths.map(|path| (method.clone(), format!("{scheme}://{host}{path}"))).collect()
}

/// An example of what a pattern matches, escapes kept as they are.
fn example(pattern: &str) -> String {
    let segments = pattern.split('/').map(|segment| match segment {
        "*" | "**" => "x".to_owned(),
        capture if capture.starts_with('{') => "x".to_owned(),
        literal => literal.to_owned(),
    });
    let path = segments.collect::<Vec<_>>().join("/");
    path.chars()
        .map(|c| {
            if matches!(c, ' ' | '"' | '<' | '>') || !c.is_ascii() {
                utf8_percent_encode(&c.to_string(), ODD).to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}
