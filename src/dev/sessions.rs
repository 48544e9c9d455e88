//! The session operations: whoami, listing, ending, and the token exchange of native clients.

use http::HeaderName;
use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Outcome;
use super::identity::Identity;
use super::secret;
use super::session::Session;
use super::visit::Visit;
use super::world::World;

const NO_COOKIE: &str = "No valid session cookie found.";
const DEFAULT_PAGE_SIZE: usize = 250;
const LARGEST_PAGE: usize = 1000;

/// Who is asking. Answers 401 without an id for every reason there is, as Kratos does.
pub(super) fn whoami(world: &World, visit: &mut Visit) -> Outcome {
    let unknown = || Fault::unauthorized("No valid session credentials found in the request.");
    let credential = world.credential(visit).ok_or_else(unknown)?;
    let (session, identity) = world.session_by_token(&credential.token, visit.now).ok_or_else(unknown)?;
    if world.owes_second_factor(&session, &identity) {
        return Err(Fault::aal2_required(&world.step_up_url(None)).into());
    }
    let mut view = session.view(Some(&identity), world.base(), visit.now);
    if let Some(template) = visit.query("tokenize_as") {
        let token = world
            .tokenizer
            .sign(&template, world.urls.base.as_str(), (session.id, identity.id), visit.now)
            .ok_or_else(|| Fault::bad_request(format!("Unable to find tokenizer template \"{template}\".")))?;
        view["tokenized"] = json!(token);
    }
    // An extended session outlives its cookie unless the browser gets a new one.
    if credential.cookie.is_some_and(|cookie| cookie.expires_at != session.expires_at) {
        world.give_session_cookie(visit, &session);
    }
    let name = HeaderName::from_static("x-kratos-authenticated-identity-id");
    Ok(Answer::ok(&view).with(name, &identity.id.to_string()))
}

fn authorize(world: &World, visit: &Visit) -> Result<(Session, Identity), Fault> {
    world.session_of(visit).ok_or_else(|| Fault::unauthorized(NO_COOKIE))
}

/// The other live sessions of the visitor, newest first, page by page.
pub(super) fn list(world: &World, visit: &Visit) -> Outcome {
    let (own, identity) = authorize(world, visit)?;
    if world.owes_second_factor(&own, &identity) {
        return Err(Fault::aal2_required(&world.step_up_url(None)).into());
    }
    let mut others = others(world, visit, &own);
    others.sort_by_key(|session| (std::cmp::Reverse(session.issued_at), session.id));
    let number = |name: &str| visit.query(name).and_then(|text| text.parse::<usize>().ok());
    let size = number("page_size").or_else(|| number("per_page")).unwrap_or(DEFAULT_PAGE_SIZE).clamp(1, LARGEST_PAGE);
    let page = number("page_token").or_else(|| number("page")).unwrap_or(0);
    let shown: Vec<Value> = others
        .iter()
        .skip(page.saturating_mul(size))
        .take(size)
        .map(|session| session.view(Some(&identity), world.base(), visit.now))
        .collect();
    let last = others.len().saturating_sub(1) / size;
    let mut links = vec![("first", 0)];
    links.extend((page > 0).then(|| ("prev", page - 1)));
    links.extend((page < last).then(|| ("next", page + 1)));
    links.push(("last", last));
    let links: Vec<String> = links
        .into_iter()
        .map(|(relation, page)| {
            format!("</sessions?page={page}&page_size={size}&page_token={page}&per_page={size}>; rel=\"{relation}\"")
        })
        .collect();
    Ok(Answer::ok(&Value::Array(shown))
        .with(header::LINK, &links.join(","))
        .with(HeaderName::from_static("x-total-count"), &others.len().to_string()))
}

fn others(world: &World, visit: &Visit, own: &Session) -> Vec<Session> {
    let state = world.state();
    let of_same = state.sessions.values().filter(|session| session.identity == own.identity && session.id != own.id);
    of_same.filter(|session| session.is_live(visit.now)).cloned().collect()
}

pub(super) fn end_others(world: &World, visit: &Visit) -> Outcome {
    let (own, _) = authorize(world, visit)?;
    let others = others(world, visit, &own);
    for session in &others {
        world.change_session(session.id, |session| session.revoked = true);
    }
    Ok(Answer::ok(&json!({ "count": others.len() })))
}

/// 204 for any other session, unknown ones and other people's included: those stay as they are.
pub(super) fn end(world: &World, visit: &Visit, id: &str) -> Outcome {
    let (own, _) = authorize(world, visit)?;
    let id = Uuid::parse_str(id).map_err(|_| Fault::bad_request("The session ID is not a valid UUID."))?;
    if id == own.id {
        return Err(Fault::current_session().into());
    }
    world.change_session(id, |session| session.revoked |= session.identity == own.identity);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Gives the session of a native flow to who holds both codes; 404 until somebody signed in.
pub(super) fn exchange(world: &World, visit: &Visit) -> Outcome {
    let (Some(init_code), Some(return_to_code)) = (visit.query("init_code"), visit.query("return_to_code")) else {
        return Err(Fault::bad_request("\"init_code\" and \"return_to_code\" query params must be set").into());
    };
    let unknown = || Fault::not_found("no session yet for this \"code\"");
    let session = {
        let state = world.state();
        let exchange = state.exchanges.get(&init_code).ok_or_else(unknown)?;
        if !secret::same(&exchange.return_to_code, &return_to_code) {
            return Err(unknown().into());
        }
        let id = exchange.session.ok_or_else(unknown)?;
        state.sessions.get(&id).map(|session| session.token.clone())
    };
    let token = session.ok_or_else(unknown)?;
    let (session, identity) = world.session_by_token(&token, visit.now).ok_or_else(unknown)?;
    world.state().exchanges.remove(&init_code);
    Ok(Answer::ok(&json!({
        "session_token": token,
        "session": session.view(Some(&identity), world.base(), visit.now),
    })))
}
