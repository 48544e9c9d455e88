//! Oathkeeper's listeners as ours, as far as they are alike.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use super::source::text;
use super::{Notes, Verdict};

/// Where the gateway and its operators listen; what is absent keeps its default.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners {
    pub(super) proxy: Option<SocketAddr>,
    pub(super) ops: Option<SocketAddr>,
}

/// Reads `serve`, and says what of it has to be written anew.
pub(super) fn listeners(serve: &Value, notes: &mut Notes) -> Listeners {
    let mut listeners = Listeners::default();
    let Some(proxy) = serve.get("proxy").filter(|proxy| proxy.is_object()) else { return listeners };
    listeners.proxy = address(proxy, 4455, IpAddr::V4(Ipv4Addr::UNSPECIFIED), "proxy", notes);
    if let Some(api) = serve.get("api").filter(|api| api.is_object()) {
        listeners.ops = address(api, 4456, IpAddr::V4(Ipv4Addr::LOCALHOST), "api", notes);
        if api.get("host").is_none_or(|host| text(host).is_none_or(|host| host.is_empty())) {
            notes
                .whole(Verdict::Improved, "the operators' listener stays on 127.0.0.1; on others, give it `ops.token`");
        }
    }
    if listeners.ops.is_some() && listeners.ops == listeners.proxy {
        listeners.ops = None;
    }
    for (key, advice) in [
        ("tls", "name the files in `listen.tls`"),
        ("cors", "say it in `cors` of the rules it is for"),
        ("timeout", "see `listen.read_timeout`, `listen.write_timeout` and `listen.idle_timeout`"),
    ] {
        if proxy.get(key).is_some_and(|value| value.is_object() && value.get("enabled") != Some(&Value::Bool(false))) {
            notes.whole(Verdict::Dropped, format!("`serve.proxy.{key}` is not brought over: {advice}"));
        }
    }
    if proxy.get("trust_forwarded_headers") == Some(&Value::Bool(true)) {
        let why = "`trust_forwarded_headers` believed everyone: list your proxies in `listen.trusted_proxies`";
        notes.whole(Verdict::Dropped, why);
    }
    listeners
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
