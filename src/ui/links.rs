//! Addresses: which of them a page may point at, and where flows begin.

use url::{Url, form_urlencoded};

use crate::ui::flow::Kind;

/// The parameters of a page that belong to the beginning of a flow, and survive the way there.
const KEPT: [&str; 10] = [
    "return_to",
    "refresh",
    "aal",
    "via",
    "login_challenge",
    "organization",
    "identity_schema",
    "after_verification_return_to",
    "skip_settings",
    "login_hint",
];

/// The decoded query of a request, in order.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value of that name.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// With `value` for `name` where the query has none.
    pub(super) fn or(mut self, name: &str, value: Option<String>) -> Self {
        if let (None, Some(value)) = (self.first(name), value) {
            self.0.push((name.to_owned(), value));
        }
        self
    }
}

/// An address that may stand in `href`, `src` or `action`: http(s), or a path of this origin. Browsers drop tabs and
/// newlines and read `\` as `/`, so an address with any of these means something else than it says.
pub(super) fn safe(address: &str) -> Option<&str> {
    let odd = |character: char| character.is_control() || character.is_whitespace() || character == '\\';
    if address.chars().any(odd) {
        return None;
    }
    let local = address.starts_with('/') && !address.starts_with("//");
    (local || web(address).is_some()).then_some(address)
}

/// An absolute http(s) address.
pub(super) fn web(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// An image may also be carried in the address itself, as Kratos does with the QR code of an authenticator app.
pub(super) fn safe_image(address: &str) -> Option<&str> {
    if address.starts_with("data:image/") && !address.chars().any(char::is_control) {
        return Some(address);
    }
    safe(address)
}

/// `scheme://authority` of an absolute address.
pub(super) fn origin(address: &str) -> Option<String> {
    let origin = web(address)?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// Where a flow of that kind begins, with what the query says of its beginning.
pub(super) fn new_flow(public_path: &str, kind: Kind, query: &Query) -> String {
    let kept = query.0.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
    extend(
        &format!("{public_path}/self-service/{}/browser", kind.as_str()),
        kept.map(|(key, value)| (&**key, &**value)),
    )
}

/// Where a person signs in to come back to `return_to`.
pub(super) fn login(public_path: &str, return_to: &str) -> String {
    let query = Query(vec![("return_to".to_owned(), return_to.to_owned())]);
    new_flow(public_path, Kind::Login, &query)
}

/// Adds `return_to` to an address that has none.
pub(super) fn with_return_to(address: &str, return_to: &str) -> String {
    let query = address.split_once('?').map(|(_, query)| query);
    if Query::parse(query).first("return_to").is_some() {
        return address.to_owned();
    }
    extend(address, [("return_to", return_to)].into_iter())
}

fn extend<'a>(address: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    match (added.is_empty(), address.contains('?')) {
        (true, _) => address.to_owned(),
        (false, true) => format!("{address}&{added}"),
        (false, false) => format!("{address}?{added}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_could_run_or_mislead_is_refused() {
        for address in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,<script>",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "java\nscript:alert(1)",
            " https://a.example",
            "https:",
            "vbscript:x",
            "",
            "relative",
        ] {
            assert_eq!(safe(address), None, "{address:?}");
        }
        for address in ["/", "/a?b=c#d", "https://a.example/x", "http://127.0.0.1:4433/self-service/login?flow=1"] {
            assert_eq!(safe(address), Some(address));
        }
        assert_eq!(safe_image("data:text/html;base64,AA=="), None);
        assert!(safe_image("data:image/png;base64,AA==").is_some());
    }

    #[test]
    fn what_belongs_to_the_beginning_of_a_flow_is_kept_and_nothing_else() {
        let query = Query::parse(Some("return_to=https%3A%2F%2Fa.example%2F%3Fx%3D1%26y&aal=aal2&flow=1&evil=%0d%0a"));
        let address = new_flow("/.ory", Kind::Login, &query);
        let expected = "/.ory/self-service/login/browser?return_to=https%3A%2F%2Fa.example%2F%3Fx%3D1%26y&aal=aal2";
        assert_eq!(address, expected);
    }

    #[test]
    fn a_return_address_is_added_once() {
        assert_eq!(with_return_to("/a?aal=aal2", "https://b/"), "/a?aal=aal2&return_to=https%3A%2F%2Fb%2F");
        assert_eq!(with_return_to("/a?return_to=x", "https://b/"), "/a?return_to=x");
    }
}
