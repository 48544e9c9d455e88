//! The HTTP surface: which operation a request means, and the form its answer takes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as RequestBody;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Halt;
use super::answer::Outcome;
use super::flow::Kind;
use super::identity;
use super::identity::SCHEMA_ID;
use super::identity::stamp;
use super::listener::Peer;
use super::login;
use super::logout;
use super::recovery;
use super::registration;
use super::sessions;
use super::settings;
use super::verification;
use super::visit::Visit;
use super::world::World;

/// Kratos' own limit.
const LARGEST_BODY: usize = 5 * 1024 * 1024;
const WHOAMI: &str = "/sessions/whoami";

pub(super) fn router(world: Arc<World>) -> Router {
    Router::new().fallback(handle).with_state(world)
}

async fn handle(State(world): State<Arc<World>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response {
    if let Some(answer) = world.behaviour.outage() {
        return answer.into_response();
    }
    let (head, body) = request.into_parts();
    let whoami = head.uri.path() == WHOAMI;
    let body = if whoami { RequestBody::empty() } else { body };
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return Fault::bad_request("http: request body too large").answer(None).into_response();
    };
    let mut visit = Visit::new((head.method, &head.uri, head.headers), body, peer.0, &world.csrf_cookie);
    if whoami {
        if let Some(answer) = world.behaviour.at_whoami(&visit).await {
            return answer.into_response();
        }
        // It may have waited.
        visit.now = Utc::now();
        return respond(&world, visit).into_response();
    }
    // Hashing and SQLite take their time: not on the threads that serve whoami.
    match tokio::task::spawn_blocking(move || respond(&world, visit)).await {
        Ok(answer) => answer.into_response(),
        Err(_) => Fault::internal("").answer(None).into_response(),
    }
}

/// The answer with its cookies and cache headers.
pub(super) fn respond(world: &World, mut visit: Visit) -> Answer {
    let path = visit.path.clone();
    if takes_csrf_cookie(&path) {
        visit.offer_csrf_cookie();
    }
    let mut answer = match operate(world, &mut visit, &path) {
        Ok(answer) => answer,
        Err(Halt::Answer(answer)) => *answer,
        Err(Halt::Fault(fault)) => explain(world, &visit, &path, &fault),
    };
    for cookie in &visit.set_cookies {
        answer = answer.with(header::SET_COOKIE, cookie);
    }
    answer.headers.append(header::VARY, HeaderValue::from_static("Cookie"));
    if visit.method == Method::GET {
        let never = HeaderValue::from_static("private, no-cache, no-store, must-revalidate");
        answer.headers.entry(header::CACHE_CONTROL).or_insert(never);
    }
    answer
}

fn takes_csrf_cookie(path: &str) -> bool {
    let never = ["/sessions", "/schemas", "/health/", "/dev/"];
    !never.iter().any(|prefix| path.starts_with(prefix)) && !path.ends_with("/api")
}

fn operate(world: &World, visit: &mut Visit, path: &str) -> Outcome {
    let method = visit.method.clone();
    if path == WHOAMI {
        return sessions::whoami(world, visit);
    }
    // Submits of every kind; GET on them is a link from a mail, or a return from a refreshed login.
    let _turn = (method != Method::GET || path == "/self-service/recovery" || path == "/self-service/verification")
        .then(|| world.submits.lock());
    match (method.as_str(), path) {
        ("GET", "/self-service/login/browser") => login::start(world, visit, false),
        ("GET", "/self-service/login/api") => login::start(world, visit, true),
        ("GET", "/self-service/login/flows") => world.read(visit, Kind::Login),
        ("POST" | "GET", "/self-service/login") => login::submit(world, visit),
        ("GET", "/self-service/registration/browser") => registration::start(world, visit, false),
        ("GET", "/self-service/registration/api") => registration::start(world, visit, true),
        ("GET", "/self-service/registration/flows") => world.read(visit, Kind::Registration),
        ("POST" | "GET", "/self-service/registration") => registration::submit(world, visit),
        ("GET", "/self-service/settings/browser") => settings::start(world, visit, false),
        ("GET", "/self-service/settings/api") => settings::start(world, visit, true),
        ("GET", "/self-service/settings/flows") => settings::read(world, visit),
        ("POST" | "GET", "/self-service/settings") => settings::submit(world, visit),
        ("GET", "/self-service/recovery/browser") => recovery::start(world, visit, false),
        ("GET", "/self-service/recovery/api") => recovery::start(world, visit, true),
        ("GET", "/self-service/recovery/flows") => world.read(visit, Kind::Recovery),
        ("POST" | "GET", "/self-service/recovery") => recovery::submit(world, visit),
        ("GET", "/self-service/verification/browser") => verification::start(world, visit, false),
        ("GET", "/self-service/verification/api") => verification::start(world, visit, true),
        ("GET", "/self-service/verification/flows") => world.read(visit, Kind::Verification),
        ("POST" | "GET", "/self-service/verification") => verification::submit(world, visit),
        ("GET", "/self-service/logout/browser") => logout::start(world, visit),
        ("GET", "/self-service/logout") => logout::submit(world, visit),
        ("DELETE", "/self-service/logout/api") => logout::native(world, visit),
        ("GET", "/self-service/errors") => flow_error(world, visit),
        ("GET", "/sessions") => sessions::list(world, visit),
        ("DELETE", "/sessions") => sessions::end_others(world, visit),
        ("GET", "/sessions/token-exchange") => sessions::exchange(world, visit),
        ("GET", "/schemas") => Ok(schemas()),
        ("GET", "/.well-known/ory/webauthn.js") => {
            Ok(Answer::bytes(StatusCode::OK, "text/javascript; charset=UTF-8", include_str!("webauthn.js")))
        }
        ("GET", "/.well-known/change-password") => Ok(Answer::found(&world.page("settings"))),
        ("GET", "/health/alive") => Ok(Answer::ok(&json!({ "status": "ok" }))),
        ("GET", "/health/ready") => Ok(readiness(world)),
        ("GET", "/dev/mailbox") => Ok(world.mailbox_page()),
        ("GET", "/dev/mailbox.json") => Ok(world.mailbox_json()),
        ("GET", "/dev/jwks.json") => Ok(Answer::ok(&world.tokenizer.jwks())),
        _ => match (method.as_str(), path.strip_prefix("/sessions/"), path.strip_prefix("/schemas/")) {
            ("DELETE", Some(id), _) => sessions::end(world, visit, id),
            ("GET", _, Some(id)) => schema(id),
            ("GET" | "HEAD" | "OPTIONS", ..) => Err(Fault::not_found("").into()),
            // What changes things and is not known is taken for an attack.
            _ => Err(world.csrf_fault(visit, false).into()),
        },
    }
}

/// A fault as its visitor likes it: JSON, or the error page for browsers on the paths they walk.
fn explain(world: &World, visit: &Visit, path: &str, fault: &Fault) -> Answer {
    let browser_path = path.starts_with("/self-service/")
        && !["/api", "/flows", "/errors"].iter().any(|suffix| path.ends_with(suffix));
    let native = browser_path
        && visit
            .query("flow")
            .and_then(|id| Uuid::parse_str(&id).ok())
            .is_some_and(|id| world.state().flows.get(&id).is_some_and(super::flow::Flow::is_native));
    if !browser_path || native || visit.wants_json() {
        return fault.answer(visit.request_id());
    }
    let id = world.keep_fault(fault.error(visit.request_id()), visit.now);
    Answer::see_other(&format!("{}?id={id}", world.page("error")))
}

fn flow_error(world: &World, visit: &Visit) -> Outcome {
    let id = visit.query("id").or_else(|| visit.query("error")).ok_or_else(Fault::unknown_resource)?;
    let view = |id: Value, error: Value, at: String| {
        Answer::ok(&json!({ "id": id, "error": error, "created_at": at, "updated_at": at }))
    };
    if id == "stub:500" {
        let error = json!({
            "code": 500,
            "status": "Internal Server Error",
            "reason": "This is a stub error.",
            "message": "An internal server error occurred, please contact the system administrator",
        });
        return Ok(view(json!(Uuid::new_v4()), error, stamp(visit.now)));
    }
    let found = Uuid::parse_str(&id).ok().and_then(|id| world.state().faults.get(&id).cloned());
    let (error, at) = found.ok_or_else(Fault::unknown_resource)?;
    Ok(view(json!(id), error, stamp(at)))
}

fn readiness(world: &World) -> Answer {
    if world.behaviour.is_ready() {
        Answer::ok(&json!({ "status": "ok" }))
    } else {
        Answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "errors": { "database": "is not reachable" } }))
    }
}

fn schemas() -> Answer {
    Answer::ok(&json!([{ "id": SCHEMA_ID, "schema": identity::schema() }]))
        .with(header::LINK, "</schemas?page=0&page_size=250&page_token=0&per_page=250>; rel=\"first\"")
}

/// Under its name or, as in `schema_url`, its name in base64url.
fn schema(id: &str) -> Outcome {
    if id == SCHEMA_ID || id == URL_SAFE_NO_PAD.encode(SCHEMA_ID) {
        Ok(Answer::ok(&identity::schema()))
    } else {
        Err(Fault::not_found(format!("Unable to find JSON Schema {id}.")).into())
    }
}
