//! One rule by itself, before others are looked at.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;
use url::{Position, Url};

use super::definitions::Definitions;
use super::handlers::{Access, Handled, handled};
use super::matching::{Matching, matching};
use super::mechanism::Kratos;
use super::source::{Destination, OathConfig, OathRule};
use super::{Notes, Verdict, template};
use crate::decision::pattern::Methods;

/// A rule on its way, before others are looked at.
pub(super) struct Draft {
    /// Its position in Oathkeeper's rules.
    pub(super) number: usize,
    pub(super) matching: Matching,
    pub(super) methods: BTreeSet<String>,
    pub(super) handled: Handled,
}

/// One rule by itself; nothing where it owns nothing.
pub(super) fn draft(
    number: usize,
    rule: &OathRule,
    config: &OathConfig,
    kratos: &Kratos,
    definitions: &mut Definitions,
    notes: &mut Notes,
) -> Option<Draft> {
    let Some(url) = &rule.url else {
        notes.on(number, Verdict::Dropped, "it has no `match.url`: rules for gRPC have nothing like them here yet");
        return None;
    };
    let methods = methods(number, rule, notes)?;
    let templated = rule.mutators.iter().chain(&rule.authorizer);
    let is_naming = templated.into_iter().any(|handler| {
        let config = Value::Object(handler.config.clone());
        template::captures(&config.to_string())
    });
    let matching = match matching(url, config.strategy, is_naming) {
        Ok(matching) => matching,
        Err(error) => {
            notes.on(number, Verdict::Dropped, format!("it is left out, and its requests are answered 404: {error}"));
            return None;
        }
    };
    for remark in &matching.remarks {
        notes.on(number, Verdict::Improved, *remark);
    }
    let mut handled = handled(rule, config, kratos, definitions);
    if handled.access != Access::Deny {
        handled.when.extend(matching.guard.clone());
    }
    for (name, value) in &mut handled.headers {
        if let Some(missing) = missing_capture(value, &matching) {
            let why = format!(
                "the header `{name}` is taken from every request and not set: its capture {missing} is not in the path"
            );
            notes.on(number, Verdict::Dropped, why);
            "${null}".clone_into(value);
        }
    }
    if let Some(missing) = handled.templates().iter().find_map(|text| missing_capture(text, &matching)) {
        handled.closed(format!("its capture {missing} is not in the path"));
    }
    for (verdict, remark) in &handled.remarks {
        notes.on(number, *verdict, remark.clone());
    }
    match upstream(&rule.upstream) {
        Ok(Some(upstream)) if !upstream.strip_prefix.is_empty() => notes.on(
            number,
            Verdict::Improved,
            "`strip_path` is stripped where the path begins with it; Oathkeeper cut it out wherever it came first",
        ),
        Ok(_) => {}
        Err(why) => notes.on(number, Verdict::Dropped, why),
    }
    Some(Draft { number, matching, methods, handled })
}

/// The methods as we write them. GET means HEAD too, which is said once for all rules.
fn methods(number: usize, rule: &OathRule, notes: &mut Notes) -> Option<BTreeSet<String>> {
    if rule.methods.is_empty() {
        notes.on(number, Verdict::Improved, "it lists no method, so that it never matched; it is left out");
        return None;
    }
    let mut methods = BTreeSet::new();
    for method in &rule.methods {
        let method = method.to_ascii_uppercase();
        match Methods::read(&method) {
            Ok(_) if !method.contains("${") => drop(methods.insert(method)),
            Ok(_) => notes.on(number, Verdict::Dropped, format!("`{method}` is no method")),
            Err(error) => notes.on(number, Verdict::Improved, error.to_string()),
        }
    }
    if methods.is_empty() {
        notes.on(number, Verdict::Dropped, "none of its methods can be served; it is left out");
        return None;
    }
    if methods.contains("GET") {
        methods.remove("HEAD");
    }
    Some(methods)
}

/// The first capture that a header reads and no path has.
fn missing_capture(value: &str, matching: &Matching) -> Option<String> {
    let names = value.split("request.captures.").skip(1);
    let mut names = names.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default());
    let missing = names.find(|name| {
        !matching.paths.iter().any(|path| path.parse().is_ok_and(|path| path.captures().any(|own| own == *name)))
    });
    missing.map(|name| name.trim_start_matches("cap").to_owned())
}

/// Where a rule leads, as we write it.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    pub(super) url: String,
    /// Empty, or `/…`.
    pub(super) strip_prefix: String,
    pub(super) add_prefix: String,
    pub(super) keeps_host: bool,
}

/// Where a rule leads; nothing where it leads nowhere.
pub(super) fn upstream(destination: &Destination) -> Result<Option<Upstream>, String> {
    let url = &destination.url;
    if url.is_empty() {
        return Ok(None);
    }
    let parsed = Url::parse(url)
        .map_err(|error| format!("its upstream `{url}` is no URL: {error}; it answers decisions only"))?;
    if !matches!(parsed.scheme(), "http" | "https")
        || parsed.host_str().is_none_or(str::is_empty)
        || !parsed.username().is_empty()
        || parsed.password().is_some()
        || parsed.port() == Some(0)
        || parsed.query().is_some()
        || parsed.fragment().is_some()
    {
        return Err(format!("its upstream `{url}` is no plain http URL; it answers decisions only"));
    }
    let strip = destination.strip_path.trim_matches('/');
    Ok(Some(Upstream {
        url: parsed[..Position::BeforePath].to_owned(),
        strip_prefix: if strip.is_empty() { String::new() } else { format!("/{strip}") },
        add_prefix: parsed.path().trim_end_matches('/').to_owned(),
        keeps_host: destination.preserve_host,
    }))
}

/// Our ids: plain, and each but once.
pub(super) fn ids(rules: &[OathRule]) -> Vec<String> {
    let mut taken = HashSet::from(["kratos".to_owned(), "ui".to_owned()]);
    let id = |rule: &OathRule| {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let id = rule.id.chars().take(100).map(plain).collect::<String>();
        if taken.insert(id.clone()) { id } else { free(&id, &mut taken) }
    };
    rules.iter().map(id).collect()
}

pub(super) fn free(id: &str, taken: &mut HashSet<String>) -> String {
    let mut number = 2_usize;
    loop {
        let candidate = format!("{id}-{number}");
        if taken.insert(candidate.clone()) {
            return candidate;
        }
        number += 1;
    }
}
