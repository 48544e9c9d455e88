//! The mails that a real Kratos would send, for people and tests to read.

use chrono::DateTime;
use chrono::Utc;
use http::StatusCode;
use http::header;
use maud::DOCTYPE;
use maud::html;
use serde_json::Value;
use serde_json::json;

use super::answer::Answer;
use super::identity::stamp;
use super::world::World;

/// As many mails as are kept; older ones go.
const KEPT: usize = 500;

/// One mail. `kind` is Kratos' template name.
#[derive(Clone)]
pub(super) struct Mail {
    pub(super) to: String,
    pub(super) kind: &'static str,
    pub(super) subject: &'static str,
    pub(super) body: String,
    pub(super) code: Option<String>,
    pub(super) link: Option<String>,
    pub(super) sent_at: DateTime<Utc>,
}

impl Mail {
    fn view(&self) -> Value {
        let mut view = json!({
            "to": self.to,
            "kind": self.kind,
            "subject": self.subject,
            "body": self.body,
            "sent_at": stamp(self.sent_at),
        });
        for (name, value) in [("code", &self.code), ("link", &self.link)] {
            if let Some(value) = value {
                view[name] = json!(value);
            }
        }
        view
    }
}

impl World {
    pub(super) fn send(&self, mail: Mail) {
        let mails = &mut self.state().mails;
        if mails.len() >= KEPT {
            mails.remove(0);
        }
        mails.push(mail);
    }

    /// All mails, oldest first.
    pub(super) fn mailbox_json(&self) -> Answer {
        Answer::ok(&self.state().mails.iter().map(Mail::view).collect())
    }

    /// All mails, newest first, as a page.
    pub(super) fn mailbox_page(&self) -> Answer {
        let mails = self.state().mails.clone();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "Mailbox" }
                    style { (STYLE) }
                }
                body {
                    main {
                        h1 { "Mailbox" }
                        p { "Mails of the development identity server. Nothing leaves this machine. Reload for new ones." }
                        @if mails.is_empty() { p { "No mail yet." } }
                        @for mail in mails.iter().rev() {
                            article {
                                h2 { (mail.subject) }
                                p { "To " (mail.to) ", " time { (mail.sent_at.format("%Y-%m-%d %H:%M:%S UTC")) } }
                                pre { (mail.body) }
                                @if let Some(link) = &mail.link { p { a href=(link) { "Open the link" } } }
                            }
                        }
                    }
                }
            }
        };
        Answer::bytes(StatusCode::OK, "text/html; charset=utf-8", page.into_string())
            .with(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")
    }
}

const STYLE: &str = "
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 45rem; margin: 2rem auto; padding: 0 1rem }
article { border: 1px solid; border-radius: .5rem; padding: 0 1rem; margin: 1rem 0 }
pre { white-space: pre-wrap }
";
