//! Logout: browsers with a token in a link, native clients with their session token.

use http::StatusCode;
use http::header;
use serde_json::json;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Outcome;
use super::body::Body;
use super::credential::SESSION_COOKIE;
use super::credential::bearer;
use super::secret;
use super::session::Session;
use super::visit::Visit;
use super::world::World;

/// The session that a logout ends. Kratos looks at Bearer first here, then at the cookie, at nothing else.
fn session_to_end(world: &World, visit: &Visit) -> Option<Session> {
    let token = bearer(visit).map(str::to_owned).or_else(|| world.session_cookie_of(visit).map(|sealed| sealed.token));
    world.session_by_token(&token?, visit.now).map(|(session, _)| session)
}

pub(super) fn start(world: &World, visit: &Visit) -> Outcome {
    let (session, _) = world.session_of(visit).ok_or_else(Fault::session_inactive)?;
    let mut url = format!("{}/self-service/logout?token={}", world.base(), session.logout_token);
    if let Some(return_to) = world.return_to(visit)? {
        url.push_str("&return_to=");
        url.extend(url::form_urlencoded::byte_serialize(return_to.as_bytes()));
    }
    Ok(Answer::ok(&json!({ "logout_url": url, "logout_token": session.logout_token })))
}

pub(super) fn submit(world: &World, visit: &mut Visit) -> Outcome {
    let token = visit.query("token").ok_or_else(|| Fault::bad_request("Please include a token in the URL query."))?;
    let destination = world.return_to(visit)?;
    let session = session_to_end(world, visit).ok_or_else(Fault::session_inactive)?;
    if !secret::same(&token, &session.logout_token) {
        let reason = "Unable to log out because the logout token in the URL query does not match the session cookie.";
        return Err(Fault::forbidden(reason).into());
    }
    world.change_session(session.id, |session| session.revoked = true);
    visit.rotate_csrf();
    if bearer(visit).is_none() {
        let value = world.seal(&session, visit.now);
        visit.set_cookies.push(format!(
            "{SESSION_COOKIE}={value}; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; SameSite=Lax"
        ));
    }
    if visit.wants_json() {
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    }
    Ok(Answer::see_other(&destination.unwrap_or_else(|| world.urls.default_return.to_string())))
}

/// Revoking twice is fine, an unknown token is not.
pub(super) fn native(world: &World, visit: &Visit) -> Outcome {
    let content_type = visit.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = Body::parse(content_type.unwrap_or_default(), &visit.body).map_err(Fault::bad_request)?;
    let token = body.text("session_token").ok_or_else(|| Fault::bad_request("Property session_token is missing."))?;
    let session = world.state().by_token.get(token).copied();
    match session.and_then(|id| world.change_session(id, |session| session.revoked = true)) {
        Some(_) => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        None => {
            let reason = "The provided Ory Session Token could not be found, is invalid, or otherwise malformed.";
            Err(Fault::forbidden(reason).into())
        }
    }
}
