//! The demo service of `dev`: shows what a service behind the gateway gets to see.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::response::{Html, IntoResponse, Json, Response};
use maud::{DOCTYPE, html};
use tokio::net::TcpListener;

const IDENTITY: &str = "x-kratos-authenticated-identity-id";

/// Starts the service on the current runtime; it ends with it.
pub(super) async fn serve(address: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Ok(address)
}

/// A page for browsers, JSON for everyone else.
async fn answer(request: Request) -> Response {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect::<Vec<_>>();
    let identity = headers.iter().find(|(name, _)| name == IDENTITY).map(|(_, value)| value.clone());
    let path = request.uri().path().to_owned();
    let wants_page = request
        .headers()
        .get(http::header::ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    if wants_page {
        return page(&path, identity.as_deref(), &headers).into_response();
    }
    Json(serde_json::json!({
        "service": "demo",
        "method": request.method().as_str(),
        "path": path,
        "identity": identity,
        "headers": headers.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    }))
    .into_response()
}

fn page(path: &str, identity: Option<&str>, headers: &[(String, String)]) -> Html<String> {
    let doors = [
        ("/", "Home", "open to everyone; who is signed in is named"),
        ("/private", "Private", "needs a session"),
        ("/vault", "Vault", "needs a second factor"),
        ("/admin", "Administration", "needs the role admin"),
    ];
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Demo service " (path) }
                style { (STYLE) }
            }
            body {
                main {
                    p.kicker { "Demo service" }
                    h1 { (path) }
                    @match identity {
                        Some(identity) => p.who { "The gateway says you are " code { (identity) } "." },
                        None => p.who { "The gateway does not say who you are." },
                    }
                    nav aria-label="Doors" {
                        ul {
                            @for (href, name, what) in doors {
                                li { a href=(href) aria-current=[(href == path).then_some("page")] { (name) } " " span { (what) } }
                            }
                        }
                    }
                    p.account {
                        @if identity.is_some() {
                            a href="/ui/settings" { "Settings and second factor" } " · " a href="/ui/logout" { "Sign out" }
                        } @else {
                            a href="/self-service/login/browser" { "Sign in" } " · "
                            a href="/self-service/registration/browser" { "Sign up" }
                        }
                    }
                    h2 { "What this service saw" }
                    div.scroll { table {
                        tbody {
                            // What the gateway says of the visitor comes first.
                            @for (name, value) in headers.iter().filter(|(name, _)| names_visitor(name)) {
                                tr.mine { th scope="row" { (name) } td { (value) } }
                            }
                            @for (name, value) in headers.iter().filter(|(name, _)| !names_visitor(name)) {
                                tr { th scope="row" { (name) } td { (value) } }
                            }
                        }
                    } }
                }
            }
        }
    };
    Html(markup.into_string())
}

fn names_visitor(header: &str) -> bool {
    header.starts_with("x-kratos") || header.starts_with("x-user")
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e8eaed); --soft: light-dark(#59636e, #9aa4af);
  --line: light-dark(#d9dee3, #343b44); --ground: light-dark(#f6f7f9, #14171b); --mark: light-dark(#e6f0ea, #1d3327);
  --link: light-dark(#0b5f42, #6fd3a5); }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem; }
.kicker { margin: 0; color: var(--soft); font-size: .85rem; letter-spacing: .06em; text-transform: uppercase; }
h1 { margin: .1em 0 .4em; font-size: 2.2rem; overflow-wrap: anywhere; } h2 { margin-top: 2.5rem; font-size: 1.1rem; }
a { color: var(--link); } ul { padding: 0; list-style: none; } li { padding: .3rem 0; } li span { color: var(--soft); }
[aria-current] { font-weight: 700; } code { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .4rem .6rem; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 500; color: var(--soft); white-space: nowrap; } td { overflow-wrap: anywhere; }
.mine { background: var(--mark); }
@media (max-width: 40rem) {
  main { padding-block: 1.5rem; }
  th, td { display: block; } th { padding-bottom: 0; } td { border-top: 0; padding-top: 0; }
}
";
