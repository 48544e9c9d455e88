//! Recovery: a mailed code or link signs in somebody who forgot the password, and shows the settings.

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Halt;
use super::answer::Outcome;
use super::body::Body;
use super::flow::Flow;
use super::flow::Kind;
use super::flow::State;
use super::login::MOST_WRONG_ANSWERS;
use super::mailbox::Mail;
use super::node;
use super::node::Node;
use super::secret;
use super::settings;
use super::text;
use super::visit::Visit;
use super::world::World;

pub(super) fn populate(flow: &mut Flow) {
    flow.nodes = vec![node::email(), Node::button("code", "method", "code", text::info(1_070_009, "Continue"))];
}

pub(super) fn start(world: &World, visit: &Visit, native: bool) -> Outcome {
    let mut flow = world.new_flow(visit, Kind::Recovery, native)?;
    if world.session_of(visit).is_some() {
        return if native || visit.wants_json() {
            Err(Fault::already_signed_in().into())
        } else {
            Ok(Answer::found(world.urls.default_return.as_str()))
        };
    }
    flow.active = Some("code".to_owned());
    populate(&mut flow);
    Ok(world.show(visit, &flow))
}

/// `POST`, or `GET` of a link from a mail.
pub(super) fn submit(world: &World, visit: &mut Visit) -> Outcome {
    let flow = world.submitted_flow(visit, Kind::Recovery)?;
    if visit.method == http::Method::GET {
        return match visit.query("token") {
            Some(token) => answer(world, visit, flow, &token, true),
            None => Ok(world.show(visit, &flow)),
        };
    }
    let token = visit.query("token");
    let (mut flow, body) = world.check_submit(visit, flow)?;
    if flow.state == State::PassedChallenge {
        return Err(retry(world, visit, flow, text::already_completed(Kind::Recovery)));
    }
    if let Some(token) = token {
        return answer(world, visit, flow, &token, true);
    }
    if let Some(code) = body.text("code") {
        return answer(world, visit, flow, code, false);
    }
    match (body.text("email"), body.text("method")) {
        (None, Some("code" | "link")) => Err(world.refuse(visit, flow, &body, "email", text::missing("email"))),
        (Some(address), method) if matches!(method, None | Some("code" | "link")) => {
            send(world, visit, &mut flow, address, method == Some("link"));
            Ok(world.show(visit, &flow))
        }
        _ => Err(world.refuse(visit, flow, &body, "", text::no_strategy(Kind::Recovery))),
    }
}

fn send(world: &World, visit: &Visit, flow: &mut Flow, address: &str, is_link: bool) {
    let identity = world.identity_by_email(address).filter(|identity| identity.active);
    let secret = if is_link { secret::link_token() } else { secret::mail_code() };
    if let Some(identity) = &identity {
        let link = format!("{}/self-service/recovery?flow={}&token={secret}", world.base(), flow.id);
        let what = if is_link { &link } else { &secret };
        world.send(Mail {
            to: identity.email().to_owned(),
            kind: if is_link { "recovery_valid" } else { "recovery_code_valid" },
            subject: "Recover access to your account",
            body: format!("Hi,\n\nplease recover access to your account with:\n\n{what}\n"),
            code: (!is_link).then(|| secret.clone()),
            link: is_link.then_some(link),
            sent_at: visit.now,
        });
    }
    flow.await_mail(secret, is_link, identity.map(|identity| identity.id), address, visit.now + world.lifespans.code);
    if is_link {
        populate(flow);
    } else {
        flow.nodes = node::code_entry(text::info(1_070_010, "Recovery code"), ("email", address));
        node::six_digits(&mut flow.nodes);
    }
}

fn answer(world: &World, visit: &mut Visit, mut flow: Flow, given: &str, is_link: bool) -> Outcome {
    let wrong = || if is_link { text::invalid_link(Kind::Recovery) } else { text::invalid_code(Kind::Recovery) };
    if flow.expires_at < visit.now {
        return Err(retry(world, visit, flow, wrong()));
    }
    let Some(challenge) = flow.challenge.as_mut().filter(|challenge| challenge.is_link == is_link) else {
        return Err(retry(world, visit, flow, wrong()));
    };
    if challenge.wrong_answers >= MOST_WRONG_ANSWERS {
        return Err(retry(world, visit, flow, text::submitted_too_often()));
    }
    challenge.wrong_answers += 1;
    let right = challenge.expires_at > visit.now && secret::same(&challenge.secret, given);
    match challenge.identity.filter(|_| right) {
        Some(identity) => complete(world, visit, flow, identity, is_link),
        None => Err(retry(world, visit, flow, wrong())),
    }
}

fn complete(world: &World, visit: &mut Visit, mut flow: Flow, identity: Uuid, is_link: bool) -> Outcome {
    let identity = world
        .change_identity(identity, |identity| identity.verified_at = identity.verified_at.or(Some(visit.now)))
        .ok_or_else(|| Fault::internal("The account could not be written."))?;
    let session = world.open_session(identity.id, if is_link { "link_recovery" } else { "code_recovery" }, visit);
    let native = flow.is_native();
    if !native {
        visit.rotate_csrf();
        world.give_session_cookie(visit, &session);
    }
    let mut settings = settings::new_flow(world, visit, native, &identity);
    settings.return_to.clone_from(&flow.return_to);
    let until = session.authenticated_at + world.lifespans.privileged;
    settings.messages = vec![text::recovered(until, visit.now)];
    world.keep_flow(&settings);
    flow.challenge = None;
    flow.state = State::PassedChallenge;
    flow.messages.clear();
    flow.nodes.clear();
    if native {
        flow.continue_with = vec![
            json!({ "action": "set_ory_session_token", "ory_session_token": session.token }),
            json!({ "action": "show_settings_ui", "flow": { "id": settings.id } }),
        ];
    }
    let answer = world.show(visit, &flow);
    // The token is told once.
    flow.continue_with.clear();
    world.keep_flow(&flow);
    let page = world.flow_page(&settings);
    match (native, visit.wants_json()) {
        (true, _) => Ok(answer),
        (false, true) => Err(Fault::location_change(&page).into()),
        (false, false) => Ok(Answer::see_other(&page)),
    }
}

/// A wrong code is no failed request: Kratos shows the flow with 200.
fn retry(world: &World, visit: &Visit, mut flow: Flow, message: Value) -> Halt {
    flow.refill(&Body::default());
    flow.messages = vec![message];
    Halt::from(world.show(visit, &flow))
}
