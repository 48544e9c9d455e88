//! The small HTML page that tells a person why there is nothing to see.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use maud::{DOCTYPE, PreEscaped, html};
use sha2::{Digest as _, Sha256};

/// No script, no image, no font: nothing to fetch, nothing to leak.
const STYLE: &str = "\
:root{color-scheme:light dark;--page:light-dark(#f5f6f8,#0d0e12);--card:light-dark(#fff,#16181d);\
--line:light-dark(#e1e4e9,#24272e);--text:light-dark(#14161a,#eceef1);--muted:light-dark(#5b616b,#a0a6b0);\
--link:light-dark(#3347c4,#93a1ff)}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--page);color:var(--text);\
font:1rem/1.5 system-ui,sans-serif}\
main{box-sizing:border-box;width:calc(100% - 2rem);max-width:30rem;margin:1rem;padding:2rem;\
background:var(--card);border:1px solid var(--line);border-radius:1rem}\
h1{font-size:1.5rem;line-height:1.25;margin:.25rem 0 .75rem;text-wrap:balance}\
p{margin:0 0 1.25rem;text-wrap:pretty}\
a{color:var(--link)}\
small{color:var(--muted)}\
code{font:.85em ui-monospace,monospace;overflow-wrap:anywhere}";

/// Made once, for its hash does not change.
static CONTENT_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| style_only(STYLE, "'none'"));

/// The Content-Security-Policy of a page with this style in it, forms to `forms`, and nothing else.
pub(crate) fn style_only(style: &str, forms: &str) -> HeaderValue {
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// What the page says.
pub(crate) struct Page<'a> {
    pub(crate) status: StatusCode,
    pub(crate) title: &'a str,
    pub(crate) advice: &'a str,
    /// Where to sign in, if that would help.
    pub(crate) login: Option<&'a str>,
    pub(crate) request_id: &'a str,
}

pub(crate) fn content_policy() -> HeaderValue {
    CONTENT_POLICY.clone()
}

pub(crate) fn render(page: &Page<'_>) -> Bytes {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    small { (page.status.as_u16()) }
                    h1 { (page.title) }
                    p { (page.advice) }
                    @if let Some(login) = page.login {
                        p { a href=(login) { "Sign in" } }
                    }
                    @if !page.request_id.is_empty() {
                        small { "Request " code { (page.request_id) } }
                    }
                }
            }
        }
    };
    Bytes::from(markup.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_the_page_has_no_script() {
        let page = render(&Page {
            status: StatusCode::FORBIDDEN,
            title: "Access is not allowed",
            advice: "<script>alert(1)</script>",
            login: Some("/login?x=\"><script>"),
            request_id: "<b>",
        });
        let text = std::str::from_utf8(&page).unwrap();
        assert!(!text.contains("<script"), "{text}");
        assert!(!text.contains("<b>"), "{text}");
        assert!(text.contains("403"), "{text}");
    }

    #[test]
    fn the_policy_allows_the_style_and_nothing_else() {
        let policy = content_policy();
        let policy = policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
