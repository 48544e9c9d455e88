//! The rules as a page, with what became of their requests so far.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use url::form_urlencoded;

use crate::ops::OpsState;
use crate::ops::page::Place;
use crate::ops::page::page;
use crate::ops::rules::Listed;
use crate::ops::rules::describe;
use crate::ops::rules::owners;
use crate::telemetry::Outcome;

/// The most rules on one page.
const MOST: usize = 500;

/// `GET /rules` for people; `?filter=` shows those whose id, hosts or paths hold the text.
pub(super) fn show(state: &OpsState, query: &str) -> Response {
    let filter = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "filter");
    let filter = filter.map(|(_, text)| text.trim().to_owned()).unwrap_or_default();
    let policy = state.policy.load();
    let all = policy.rules.len() + policy.reserved.len();
    let fitting = owners(&policy).map(|owner| describe(&policy, owner)).filter(|rule| fits(rule, &filter));
    // More than are shown need only be counted.
    let mut fitting = fitting.peekable();
    let shown = fitting.by_ref().take(MOST).collect::<Vec<_>>();
    let more = fitting.count();
    let any = |items: &[String]| if items.is_empty() { "any".to_owned() } else { items.join(" ") };
    let schemes = |rule: &Listed| rule.matches.schemes.join(" ");
    let body = html! {
        form .bar method="get" action="/rules" {
            label { "Filter" input name="filter" value=(filter) spellcheck="false" placeholder="id, host or path"; }
            button { "Show" }
        }
        section .scroll {
            table .rules {
                thead {
                    tr {
                        th scope="col" { "Rule" }
                        th scope="col" { "Matches" }
                        th scope="col" { "Access" }
                        th scope="col" { "Upstream" }
                        th .number scope="col" { "Permitted" }
                        th .number scope="col" { "Refused" }
                        th .number scope="col" { "Failed" }
                    }
                }
                tbody {
                    @for rule in &shown {
                        @let [permitted, refused, failed] = [Outcome::Permit, Outcome::Refuse, Outcome::Error]
                            .map(|outcome| state.metrics.requests_of(&rule.id, outcome));
                        tr id=(rule.id) {
                            td data-label="Rule" {
                                strong { (rule.id) }
                                @if rule.built_in { " " span .muted { "built in" } }
                            }
                            td data-label="Matches" {
                                code { (any(&rule.matches.methods)) }
                                @if !rule.matches.schemes.is_empty() { " " code { (schemes(rule)) } }
                                @if !rule.matches.hosts.is_empty() { div { code { (any(&rule.matches.hosts)) } } }
                                div { @for path in &rule.matches.paths { code { (path) } " " } }
                            }
                            td data-label="Access" { (rule.access) }
                            td data-label="Upstream" { (rule.upstream.as_deref().unwrap_or("decisions only")) }
                            td .number data-label="Permitted" { (permitted) }
                            td .number data-label="Refused" { (refused) }
                            td .number data-label="Failed" { (failed) }
                        }
                    }
                }
            }
        }
        @if shown.is_empty() { p .muted { "No rule holds that text." } }
        @if more > 0 { p .muted { "and " (more) " more; the filter finds them" } }
        p .muted { (all) " rules in all. Requests are counted since the start of the process." }
    };
    page(StatusCode::OK, Place::Rules, "Rules", &body)
}

fn fits(rule: &Listed, filter: &str) -> bool {
    let holds = |text: &String| text.contains(filter);
    filter.is_empty()
        || rule.id.contains(filter)
        || rule.matches.hosts.iter().any(holds)
        || rule.matches.paths.iter().any(holds)
}
