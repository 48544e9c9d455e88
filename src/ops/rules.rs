//! The rules in force, as the configuration wrote them.

use axum::Json;
use axum::extract::Path;
use axum::extract::RawQuery;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use crate::decision::index::Entry;
use crate::decision::index::Owner;
use crate::decision::policy::Policy;
use crate::decision::request::Scheme;
use crate::decision::rule::Access;
use crate::decision::rule::Rule;
use crate::decision::rule::Target;
use crate::ops::OpsState;
use crate::ops::complaint::Complaint;
use crate::ops::page::is_for_people;

mod page;

/// One rule, for operators.
#[derive(Serialize)]
pub(super) struct Listed {
    id: Box<str>,
    /// From 0, in the order of the files; among the built-in ones for a built-in rule.
    position: u32,
    /// Whether the gateway brought the rule itself.
    built_in: bool,
    access: &'static str,
    #[serde(rename = "match")]
    matches: Match,
    upstream: Option<Box<str>>,
}

/// An empty list stands for any, as in the configuration.
#[derive(Serialize)]
struct Match {
    hosts: Vec<String>,
    schemes: Vec<&'static str>,
    methods: Vec<String>,
    paths: Vec<String>,
}

/// `GET /rules`. Browsers get a page.
pub(super) async fn list(State(state): State<OpsState>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    if is_for_people(&headers) {
        return page::show(&state, &query.unwrap_or_default());
    }
    let policy = state.policy.load();
    Json(owners(&policy).map(|owner| describe(&policy, owner)).collect::<Vec<_>>()).into_response()
}

pub(super) async fn one(State(state): State<OpsState>, Path(id): Path<String>) -> Result<Json<Listed>, Complaint> {
    let policy = state.policy.load();
    let owner = owners(&policy).find(|owner| *policy.rule(*owner).id == *id).ok_or(Complaint::UNKNOWN_RULE)?;
    Ok(Json(describe(&policy, owner)))
}

/// The rules of the configuration in their order, then the built-in ones.
fn owners(policy: &Policy) -> impl Iterator<Item = Owner> + use<> {
    let numbers = |rules: usize| (0..).take(rules);
    numbers(policy.rules.len()).map(Owner::Rule).chain(numbers(policy.reserved.len()).map(Owner::Reserved))
}

fn describe(policy: &Policy, owner: Owner) -> Listed {
    let rule = policy.rule(owner);
    let (position, built_in) = match owner {
        Owner::Reserved(number) => (number, true),
        Owner::Rule(number) => (number, false),
    };
    Listed {
        id: rule.id.clone(),
        position,
        built_in,
        access: access(rule),
        matches: matches(policy.index.entry(owner)),
        upstream: upstream(rule).map(Box::from),
    }
}

fn matches(entry: &Entry) -> Match {
    let schemes = [Scheme::Http, Scheme::Https].into_iter().filter(|scheme| entry.schemes.contains(*scheme));
    let schemes = schemes.map(Scheme::as_str).collect::<Vec<_>>();
    Match {
        hosts: entry.hosts.iter().map(ToString::to_string).collect(),
        schemes: if schemes.len() == 2 { Vec::new() } else { schemes },
        methods: entry.methods.iter().map(ToString::to_string).collect(),
        paths: entry.paths.iter().map(ToString::to_string).collect(),
    }
}

/// The access of a rule, as the configuration spells it.
pub(super) fn access(rule: &Rule) -> &'static str {
    match rule.access {
        Access::Deny => "deny",
        Access::Optional { .. } => "optional",
        Access::Public => "public",
        Access::Session(_) => "session",
    }
}

/// Where requests of a rule go; nothing where it answers decisions only.
pub(super) fn upstream(rule: &Rule) -> Option<&str> {
    rule.target.as_ref().map(|target| match target {
        Target::Kratos(upstream) | Target::Service(upstream) => &*upstream.name,
        Target::Keys => "keys",
        Target::Pages => "pages",
        Target::Redirect(_) => "redirect",
    })
}
