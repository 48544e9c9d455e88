//! What sort of client asks: a program that reads JSON, or a person's browser that shows what it gets.

use http::header::ACCEPT;
use http::{HeaderMap, Method};

/// How a refusal is best told to the client.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientKind {
    /// A program: fetch, an SDK, curl.
    #[default]
    Json,
    /// A browser on its way to a page. It may be redirected: asking again loses nothing.
    Navigation,
    /// A browser that submits a form. It shows a page, but a redirect would lose the form.
    Submission,
}

impl ClientKind {
    /// Tells by `Sec-Fetch-Mode`, which scripts cannot forge, or without it by what `Accept` prefers.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let navigates = match headers.get("sec-fetch-mode") {
            Some(mode) => mode.as_bytes().eq_ignore_ascii_case(b"navigate"),
            None => prefers_html(headers),
        };
        match (navigates, is_safe(method)) {
            (true, true) => Self::Navigation,
            (true, false) => Self::Submission,
            (false, _) => Self::Json,
        }
    }
}

/// Whether asking again loses nothing.
pub(crate) fn is_safe(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// How much a client wants a media type, in thousandths, and whether it named the type itself.
#[derive(Clone, Copy, Default)]
struct Wish {
    quality: u16,
    /// 0: not at all, 1: by `*/*`, 2: by `text/*`, 3: by its name. The most specific mention counts.
    specificity: u8,
}

impl Wish {
    fn hear(&mut self, specificity: u8, quality: u16) {
        if specificity > self.specificity {
            *self = Self { quality, specificity };
        }
    }

    fn is_named(self) -> bool {
        self.specificity == 3
    }
}

/// Whether HTML is named, and wanted more than JSON. `*/*` names nothing: that is what programs send.
fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json) = (Wish::default(), Wish::default());
    for range in headers.get_all(ACCEPT).iter().flat_map(|accept| accept.as_bytes().split(|byte| *byte == b',')) {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(quality).unwrap_or(1000);
        match name.as_slice() {
            b"*/*" => {
                html.hear(1, quality);
                json.hear(1, quality);
            }
            b"text/*" => html.hear(2, quality),
            b"application/*" => json.hear(2, quality),
            b"text/html" => html.hear(3, quality),
            b"application/json" => json.hear(3, quality),
            _ => {}
        }
    }
    let wanted_more = html.quality > json.quality || (html.quality == json.quality && !json.is_named());
    html.is_named() && html.quality > 0 && wanted_more
}

/// Reads `q=0.8` as 800. What is no number counts as not wanted.
fn quality(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f32>().ok()).unwrap_or_default();
    Some((number.clamp(0.0, 1.0) * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn kind(method: Method, headers: &[(&'static str, &'static str)]) -> ClientKind {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        ClientKind::of(&method, &headers)
    }

    #[test]
    fn accept_tells_browsers_from_programs() {
        for (accept, expected) in [
            ("text/html", ClientKind::Navigation),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", ClientKind::Navigation),
            ("text/html, */*", ClientKind::Navigation),
            ("TEXT/HTML;level=1;q=0.7, application/json;q=0.6", ClientKind::Navigation),
            ("*/*;q=0.1, text/html;q=0.2", ClientKind::Navigation),
            ("*/*", ClientKind::Json),
            ("text/*", ClientKind::Json),
            ("", ClientKind::Json),
            ("application/json", ClientKind::Json),
            ("application/json, text/plain, */*", ClientKind::Json),
            ("text/html, application/json", ClientKind::Json),
            ("text/html;q=0.5, application/json", ClientKind::Json),
            ("text/html;q=0.5, application/*", ClientKind::Json),
            ("text/html;q=0, */*", ClientKind::Json),
            ("text/html;q=nonsense, */*;q=0.1", ClientKind::Json),
            ("image/avif,image/webp,*/*;q=0.8", ClientKind::Json),
        ] {
            assert_eq!(kind(Method::GET, &[("accept", accept)]), expected, "{accept}");
        }
        assert_eq!(kind(Method::GET, &[]), ClientKind::Json);
    }

    #[test]
    fn fetch_metadata_wins_over_accept() {
        let html = ("accept", "text/html");
        for (mode, expected) in [
            ("navigate", ClientKind::Navigation),
            ("cors", ClientKind::Json),
            ("same-origin", ClientKind::Json),
            ("no-cors", ClientKind::Json),
            ("websocket", ClientKind::Json),
        ] {
            assert_eq!(kind(Method::GET, &[("sec-fetch-mode", mode), html]), expected, "{mode}");
        }
        assert_eq!(kind(Method::GET, &[("sec-fetch-mode", "navigate")]), ClientKind::Navigation);
    }

    #[test]
    fn only_what_can_be_asked_again_is_a_navigation() {
        let navigate = [("sec-fetch-mode", "navigate")];
        assert_eq!(kind(Method::HEAD, &navigate), ClientKind::Navigation);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(kind(method, &navigate), ClientKind::Submission);
        }
    }
}
