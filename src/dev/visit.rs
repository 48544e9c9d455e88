//! One incoming request, with the questions Kratos asks of it.

use std::net::IpAddr;
use std::net::SocketAddr;

use bytes::Bytes;
use chrono::DateTime;
use chrono::Utc;
use http::HeaderMap;
use http::Method;
use http::header;
use url::form_urlencoded;

use super::secret::CsrfSecret;

/// A request, and the cookies its response will set.
pub(super) struct Visit {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) raw_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) peer: SocketAddr,
    pub(super) now: DateTime<Utc>,
    /// The CSRF cookie that was sent. None without one, and with several: then no submit can succeed.
    pub(super) csrf_sent: Option<CsrfSecret>,
    /// The CSRF secret that flows made by this request belong to.
    pub(super) csrf: CsrfSecret,
    /// `Set-Cookie` values for the response.
    pub(super) set_cookies: Vec<String>,
    csrf_cookie: String,
}

impl Visit {
    pub(super) fn new(
        (method, uri, headers): (Method, &http::Uri, HeaderMap),
        body: Bytes,
        peer: SocketAddr,
        csrf_cookie: &str,
    ) -> Self {
        let mut visit = Self {
            method,
            path: uri.path().to_owned(),
            raw_query: uri.query().unwrap_or_default().to_owned(),
            headers,
            body,
            peer,
            now: Utc::now(),
            csrf_sent: None,
            csrf: CsrfSecret::random(),
            set_cookies: Vec::new(),
            csrf_cookie: csrf_cookie.to_owned(),
        };
        let mut cookies = visit.cookies(csrf_cookie);
        let sent = cookies.next().and_then(CsrfSecret::from_cookie);
        let several = cookies.next().is_some();
        drop(cookies);
        if let Some(sent) = sent.filter(|_| !several) {
            visit.csrf_sent = Some(sent);
            visit.csrf = sent;
        }
        visit
    }

    /// A header's value, None if absent, empty or not text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }

    /// The values of all cookies called `name`, in the order they were sent.
    pub(super) fn cookies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.cookie_pairs().filter(move |(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    fn cookie_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
    }

    /// Whether a cookie was sent that a native client never sends. Cloudflare's do not count.
    pub(super) fn has_browser_cookies(&self) -> bool {
        self.cookie_pairs().any(|(name, _)| !["__cf", "_cf", "cf_"].iter().any(|prefix| name.starts_with(prefix)))
    }

    /// The first value of a query parameter, None if absent or empty.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.raw_query.as_bytes())
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| value.into_owned())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.header("x-request-id")
    }

    /// Whether the client is a program: it prefers JSON, or sends exactly JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.header("content-type") == Some("application/json")
            || accepts(self.header("accept").unwrap_or_default()) == "application/json"
    }

    /// The address in the browser's eyes. Kratos believes the forwarding headers of anyone.
    pub(super) fn request_url(&self) -> String {
        let scheme = self.header("x-forwarded-proto").unwrap_or("http");
        let host = self.header("x-forwarded-host").or_else(|| self.header("host")).unwrap_or("localhost");
        let query = if self.raw_query.is_empty() { String::new() } else { format!("?{}", self.raw_query) };
        format!("{scheme}://{host}{}{query}", self.path)
    }

    /// The client's address as Kratos works it out; empty if only private addresses forwarded the request.
    pub(super) fn client_ip(&self) -> String {
        for name in ["true-client-ip", "cf-connecting-ip", "x-real-ip"] {
            if let Some(ip) = self.header(name) {
                return ip.to_owned();
            }
        }
        match self.header("x-forwarded-for") {
            Some(list) => list
                .rsplit(',')
                .map(str::trim)
                .find(|ip| ip.parse().is_ok_and(|ip| !is_private(ip)))
                .unwrap_or_default()
                .to_owned(),
            None => self.peer.to_string(),
        }
    }

    /// Sends the CSRF cookie with the response if the client has none that counts.
    pub(super) fn offer_csrf_cookie(&mut self) {
        if self.csrf_sent.is_none() {
            self.set_csrf_cookie();
        }
    }

    /// Takes the offer back, for native clients, which must never hold cookies.
    pub(super) fn withdraw_csrf_cookie(&mut self) {
        let prefix = format!("{}=", self.csrf_cookie);
        self.set_cookies.retain(|cookie| !cookie.starts_with(&prefix));
    }

    /// Replaces the CSRF secret: forms rendered for the previous user of this browser stop working.
    pub(super) fn rotate_csrf(&mut self) {
        self.csrf = CsrfSecret::random();
        self.set_csrf_cookie();
    }

    fn set_csrf_cookie(&mut self) {
        self.withdraw_csrf_cookie();
        let cookie =
            format!("{}={}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax", self.csrf_cookie, self.csrf.to_cookie());
        self.set_cookies.push(cookie);
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Picks among what Kratos offers as Kratos' library does: highest `q`, then most exact range, then first offer.
fn accepts(accept: &str) -> &'static str {
    const OFFERS: [&str; 4] = ["text/html", "text/*", "*/*", "application/json"];
    let (mut best, mut best_q, mut best_wild) = ("text/*", -1.0, 3);
    for offer in OFFERS {
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let q: f64 = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let wild = match media_type.as_str() {
                "*/*" => 2,
                wild if wild.ends_with("/*") && offer.starts_with(wild.trim_end_matches('*')) => 1,
                exact if exact == offer => 0,
                _ => continue,
            };
            if q > 0.0 && (q > best_q || (q >= best_q && wild < best_wild)) {
                (best, best_q, best_wild) = (offer, q, wild);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn visit(headers: &[(&'static str, &str)]) -> Visit {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let uri = "/self-service/login/browser?a=1&b=&a=2".parse().unwrap();
        let peer = "127.0.0.1:5555".parse().unwrap();
        Visit::new((Method::GET, &uri, headers), Bytes::new(), peer, "csrf_token_x")
    }

    #[test]
    fn json_goes_to_those_who_prefer_it() {
        for (accept, json) in [
            ("", false),
            ("*/*", false),
            ("application/json", true),
            ("application/json, text/plain, */*", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("text/html,application/json", false),
            ("text/html;q=0.5,application/json", true),
            ("application/json;q=0.5,text/html", false),
            ("application/*", true),
            (",;q=,;;", false),
        ] {
            assert_eq!(visit(&[("accept", accept)]).wants_json(), json, "{accept}");
        }
        assert!(visit(&[("content-type", "application/json")]).wants_json());
        assert!(!visit(&[("content-type", "application/json; charset=utf-8")]).wants_json());
    }

    #[test]
    fn two_csrf_cookies_count_as_none() {
        let cookie = format!("csrf_token_x={}", CsrfSecret::random().to_cookie());
        assert!(visit(&[("cookie", &cookie)]).csrf_sent.is_some());
        assert!(visit(&[("cookie", &format!("{cookie}; {cookie}"))]).csrf_sent.is_none());
    }

    #[test]
    fn cloudflare_cookies_are_no_browser_cookies() {
        assert!(!visit(&[("cookie", "__cf_bm=1; _cfuvid=2; cf_clearance=3")]).has_browser_cookies());
        assert!(visit(&[("cookie", "__cf_bm=1; theme=dark")]).has_browser_cookies());
    }

    #[test]
    fn the_client_address_is_the_last_public_one() {
        assert_eq!(visit(&[("x-forwarded-for", "1.2.3.4, 9.9.9.9, 10.0.0.1")]).client_ip(), "9.9.9.9");
        assert_eq!(visit(&[("x-forwarded-for", "10.0.0.1")]).client_ip(), "");
        assert_eq!(visit(&[("x-real-ip", "8.8.8.8"), ("x-forwarded-for", "1.2.3.4")]).client_ip(), "8.8.8.8");
        assert_eq!(visit(&[]).client_ip(), "127.0.0.1:5555");
    }

    proptest! {
        #[test]
        fn no_header_makes_the_questions_panic(text in "[ -~]{0,200}") {
            let visit = visit(&[("accept", &text), ("cookie", &text), ("x-forwarded-for", &text), ("host", &text)]);
            let _ = (visit.wants_json(), visit.has_browser_cookies(), visit.client_ip(), visit.request_url());
        }
    }
}
