//! What is counted, as an operator reads it.

use super::*;

fn line<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(start)).map(str::trim)
}

#[test]
fn what_was_counted_is_rendered() {
    let metrics = Metrics::new();
    metrics.rules(&["orders"]);
    metrics.upstreams(&["shop"]);
    metrics.started();
    metrics.request("orders", Outcome::Permit, 200, Duration::from_millis(3));
    metrics.request("orders", Outcome::Permit, 204, Duration::from_millis(300));
    metrics.request("orders", Outcome::Refuse, 401, Duration::from_millis(1));
    metrics.request("-", Outcome::Refuse, 404, Duration::from_millis(1));
    metrics.refusal("session_inactive");
    metrics.session_lookup(Lookup::Shared);
    metrics.whoami(Whoami::StepUp, Duration::from_millis(7));
    metrics.cached_sessions(42);
    metrics.revocation(RevocationCause::Logout);
    metrics.reload(false);
    metrics.circuit_open(true);
    metrics.upstream_error("shop", UpstreamError::ReadTimeout);
    metrics.connection_error(ConnectionError::BadHead);
    let text = metrics.render();
    for (series, value) in [
        (r#"portcullis_requests_total{outcome="permit",rule="orders",status="2xx"}"#, "2"),
        (r#"portcullis_requests_total{outcome="refuse",rule="orders",status="4xx"}"#, "1"),
        (r#"portcullis_requests_total{outcome="refuse",rule="-",status="4xx"}"#, "1"),
        (r#"portcullis_request_duration_seconds_bucket{rule="orders",le="0.005"}"#, "2"),
        (r#"portcullis_request_duration_seconds_count{rule="orders"}"#, "3"),
        (r#"portcullis_refusals_total{reason="session_inactive"}"#, "1"),
        (r#"portcullis_refusals_total{reason="no_rule"}"#, "0"),
        (r#"portcullis_session_lookups_total{result="shared"}"#, "1"),
        (r#"portcullis_session_lookups_total{result="hit"}"#, "0"),
        (r#"portcullis_whoami_total{result="step_up"}"#, "1"),
        ("portcullis_whoami_duration_seconds_count", "1"),
        ("portcullis_cached_sessions", "42"),
        ("portcullis_kratos_circuit_open", "1"),
        (r#"portcullis_revocations_total{cause="logout"}"#, "1"),
        (r#"portcullis_reloads_total{result="failure"}"#, "1"),
        (r#"portcullis_reloads_total{result="success"}"#, "0"),
        ("portcullis_last_reload_successful", "0"),
        (r#"portcullis_upstream_errors_total{kind="read_timeout",upstream="shop"}"#, "1"),
        (r#"portcullis_connection_errors_total{kind="bad_head"}"#, "1"),
        (concat!(r#"portcullis_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), "1"),
    ] {
        assert_eq!(line(&text, series), Some(value), "{series}\n{text}");
    }
    let taken = line(&text, "portcullis_last_reload_success_timestamp_seconds ").unwrap();
    assert!(taken.parse::<f64>().unwrap() > 1.7e9, "{taken}");
}

#[test]
fn labels_come_from_the_policy_alone() {
    let metrics = Metrics::new();
    metrics.rules(&["orders"]);
    for rule in ["/etc/passwd", "mallory", ""] {
        metrics.request(rule, Outcome::Permit, 200, Duration::ZERO);
        metrics.upstream_error(rule, UpstreamError::Connect);
    }
    metrics.refusal("never heard of");
    let text = metrics.render();
    assert_eq!(line(&text, r#"portcullis_requests_total{outcome="permit",rule="-",status="2xx"}"#), Some("3"));
    assert_eq!(line(&text, r#"portcullis_upstream_errors_total{kind="connect",upstream="-"}"#), Some("3"));
    assert!(!text.contains("passwd") && !text.contains("mallory") && !text.contains("never heard"), "{text}");
}

#[test]
fn a_rule_keeps_its_counts_over_a_reload_and_takes_them_along_when_it_goes() {
    let metrics = Metrics::new();
    metrics.rules(&["kept", "gone"]);
    metrics.request("kept", Outcome::Permit, 200, Duration::ZERO);
    metrics.request("gone", Outcome::Permit, 200, Duration::ZERO);
    metrics.rules(&["kept", "new"]);
    metrics.request("kept", Outcome::Permit, 200, Duration::ZERO);
    metrics.request("gone", Outcome::Permit, 200, Duration::ZERO);
    let text = metrics.render();
    let count = |rule: &str| {
        line(&text, &format!(r#"portcullis_requests_total{{outcome="permit",rule="{rule}",status="2xx"}}"#))
    };
    assert_eq!((count("kept"), count("gone"), count("new"), count("-")), (Some("2"), None, None, Some("1")));
}

#[test]
fn a_request_is_in_flight_as_long_as_its_guard_lives() {
    let metrics = Metrics::new();
    let (one, two) = (metrics.in_flight(), metrics.in_flight());
    assert_eq!(metrics.requests_in_flight(), 2);
    drop(one);
    assert_eq!(line(&metrics.render(), "portcullis_requests_in_flight"), Some("1"));
    drop(two);
    assert_eq!(metrics.requests_in_flight(), 0);
}

#[test]
fn every_metric_explains_itself() {
    let metrics = Metrics::new();
    metrics.request("-", Outcome::Error, 0, Duration::ZERO);
    let text = metrics.render();
    let named =
        |start: &str| text.lines().filter_map(|line| line.strip_prefix(start)?.split(' ').next()).collect::<Vec<_>>();
    assert_eq!(named("# HELP "), named("# TYPE "));
    assert!(named("# TYPE ").iter().all(|name| name.starts_with("portcullis_")));
    assert!(text.contains(r#"status="none""#), "{text}");
}
