//! Oathkeeper's listeners as ours, as far as they are alike.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::source::{text, texts};
use super::{Notes, Verdict};

/// Where the gateway and its operators listen; what is absent keeps its default.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners {
    pub(super) proxy: Option<SocketAddr>,
    pub(super) ops: Option<SocketAddr>,
    /// What pages of other origins may do, on every rule.
    pub(super) cors: Option<Value>,
}

/// Reads `serve`, and says what of it has to be written anew.
pub(super) fn listeners(serve: &Value, notes: &mut Notes) -> Listeners {
    let mut listeners = Listeners::default();
    if serve.get("prometheus").is_some_and(Value::is_object) {
        let why = "metrics are at /metrics of the operators' listener, under names of our own; `serve.prometheus` is left out";
        notes.whole(Verdict::Improved, why);
    }
    if let Some(api) = serve.get("api").filter(|api| api.is_object()) {
        listeners.ops = address(api, 4456, IpAddr::V4(Ipv4Addr::LOCALHOST), "api", notes);
        if api.get("host").is_none_or(|host| text(host).is_none_or(|host| host.is_empty())) {
            notes
                .whole(Verdict::Improved, "the operators' listener stays on 127.0.0.1; on others, give it `ops.token`");
        } else if listeners.ops.is_some_and(|ops| !ops.ip().is_loopback()) {
            let why =
                "the operators' listener tells of sessions and rules, and ends sessions: guard it with `ops.token`";
            notes.whole(Verdict::Improved, why);
        }
        if api.get("cors").is_some_and(|cors| cors.get("enabled") == Some(&Value::Bool(true))) {
            let why = "`serve.api.cors` is not brought over: pages of other origins have no business with operators";
            notes.whole(Verdict::Dropped, why);
        }
    }
    let Some(proxy) = serve.get("proxy").filter(|proxy| proxy.is_object()) else { return listeners };
    listeners.proxy = address(proxy, 4455, IpAddr::V4(Ipv4Addr::UNSPECIFIED), "proxy", notes);
    if listeners.ops.is_some() && listeners.ops == listeners.proxy {
        listeners.ops = None;
    }
    for (key, advice) in [
        ("tls", "name the files in `listen.tls`"),
        ("timeout", "see `listen.read_timeout`, `listen.write_timeout` and `listen.idle_timeout`"),
    ] {
        if proxy.get(key).is_some_and(|value| value.is_object() && value.get("enabled") != Some(&Value::Bool(false))) {
            notes.whole(Verdict::Dropped, format!("`serve.proxy.{key}` is not brought over: {advice}"));
        }
    }
    if let Some(cors) = proxy.get("cors").filter(|cors| cors.get("enabled") == Some(&Value::Bool(true))) {
        listeners.cors = self::cors(cors, notes);
    }
    if proxy.get("trust_forwarded_headers") == Some(&Value::Bool(true)) {
        let why = "`trust_forwarded_headers` believed everyone: list your proxies in `listen.trusted_proxies`";
        notes.whole(Verdict::Dropped, why);
    }
    listeners
}

/// `cors` of every rule. Preflights are answered before anybody is asked who asks.
fn cors(theirs: &Value, notes: &mut Notes) -> Option<Value> {
    let list = |key: &str| theirs.get(key).map(texts).filter(|texts| !texts.is_empty());
    let origins = list("allowed_origins").unwrap_or_else(|| vec!["*".to_owned()]);
    let credentials = theirs.get("allow_credentials") == Some(&Value::Bool(true));
    if credentials && origins.iter().any(|origin| origin == "*") {
        notes.whole(
            Verdict::Dropped,
            "`serve.proxy.cors` let pages of every origin act as whoever is signed in: name the origins in `cors` of the rules",
        );
        return None;
    }
    let mut cors = json!({ "origins": origins });
    for (key, ours) in [("allowed_methods", "methods"), ("allowed_headers", "headers"), ("exposed_headers", "expose")] {
        if let Some(texts) = list(key).filter(|texts| !texts.iter().any(|text| text == "*")) {
            cors[ours] = json!(texts);
        }
    }
    if credentials {
        cors["credentials"] = json!(true);
    }
    if let Some(seconds) = theirs.get("max_age").and_then(Value::as_u64).filter(|seconds| *seconds > 0) {
        cors["max_age"] = json!(format!("{seconds}s"));
    }
    notes.whole(
        Verdict::Improved,
        "`serve.proxy.cors` is `cors` of every rule, and of Kratos' API: give it to those only that it is for",
    );
    Some(cors)
}

fn address(of: &Value, port: u16, any: IpAddr, name: &str, notes: &mut Notes) -> Option<SocketAddr> {
    let port =
        of.get("port").and_then(text).and_then(|port| port.parse().ok()).filter(|port| *port > 0).unwrap_or(port);
    let host = of.get("host").and_then(text).unwrap_or_default();
    let ip = match host.as_str() {
        "" => Some(any),
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.trim_matches(['[', ']']).parse().ok(),
    };
    if ip.is_none() {
        notes.whole(Verdict::Dropped, format!("`serve.{name}.host: {host}` is no address: write one into ours"));
    }
    Some(SocketAddr::new(ip?, port))
}
