//! Verification: a mailed code or link shows that an address belongs to its identity.

use serde_json::Value;
use serde_json::json;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Halt;
use super::answer::Outcome;
use super::body::Body;
use super::flow::Flow;
use super::flow::Kind;
use super::flow::Opener;
use super::flow::State;
use super::identity::Identity;
use super::login::MOST_WRONG_ANSWERS;
use super::mailbox::Mail;
use super::node;
use super::node::Node;
use super::secret;
use super::text;
use super::visit::Visit;
use super::world::World;

pub(super) fn populate(flow: &mut Flow) {
    flow.nodes = vec![node::email(), Node::button("code", "method", "code", text::info(1_070_009, "Continue"))];
}

pub(super) fn start(world: &World, visit: &Visit, native: bool) -> Outcome {
    let mut flow = world.new_flow(visit, Kind::Verification, native)?;
    populate(&mut flow);
    Ok(world.show(visit, &flow))
}

/// Mails a code to a new or changed address. Returns the `continue_with` action that shows the flow.
pub(super) fn begin(world: &World, visit: &Visit, native: bool, identity: &Identity) -> Value {
    let opener = if native { Opener::Native } else { Opener::Browser(visit.csrf) };
    let request_url = visit.request_url();
    let mut flow = Flow::new(Kind::Verification, opener, request_url, visit.now, world.lifespans.flow);
    send(world, visit, &mut flow, identity.email(), false);
    world.keep_flow(&flow);
    let mut shown = json!({ "id": flow.id, "verifiable_address": identity.email() });
    if !native {
        shown["url"] = json!(world.flow_page(&flow));
    }
    json!({ "action": "show_verification_ui", "flow": shown })
}

/// `POST`, or `GET` of a link from a mail.
pub(super) fn submit(world: &World, visit: &mut Visit) -> Outcome {
    let flow = world.submitted_flow(visit, Kind::Verification)?;
    if visit.method == http::Method::GET {
        return follow_link(world, visit, flow);
    }
    let (mut flow, body) = world.check_submit(visit, flow)?;
    if flow.state == State::PassedChallenge {
        return Err(retry(world, visit, flow, text::already_completed(Kind::Verification)));
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
        _ => Err(world.refuse(visit, flow, &body, "", text::no_strategy(Kind::Verification))),
    }
}

fn send(world: &World, visit: &Visit, flow: &mut Flow, address: &str, is_link: bool) {
    let identity = world.identity_by_email(address);
    let secret = if is_link { secret::link_token() } else { secret::mail_code() };
    if let Some(identity) = &identity {
        let parameter = if is_link { "token" } else { "code" };
        let link = format!("{}/self-service/verification?flow={}&{parameter}={secret}", world.base(), flow.id);
        let code = (!is_link).then(|| secret.clone());
        let by_code = code.as_ref().map(|code| format!("the following code:\n\n{code}\n\nor by ")).unwrap_or_default();
        world.send(Mail {
            to: identity.email().to_owned(),
            kind: if is_link { "verification_valid" } else { "verification_code_valid" },
            subject: "Please verify your email address",
            body: format!("Hi,\n\nplease verify your account with {by_code}this link:\n\n{link}\n"),
            code,
            link: Some(link),
            sent_at: visit.now,
        });
        world.change_identity(identity.id, |identity| identity.verification_sent = true);
    }
    flow.await_mail(secret, is_link, identity.map(|identity| identity.id), address, visit.now + world.lifespans.code);
    if is_link {
        populate(flow);
    } else {
        flow.nodes = node::code_entry(text::info(1_070_011, "Verification code"), ("email", address));
    }
}

/// A click in a mail: a token verifies at once, a code is filled in for the person to confirm.
fn follow_link(world: &World, visit: &Visit, mut flow: Flow) -> Outcome {
    if let Some(token) = visit.query("token") {
        return answer(world, visit, flow, &token, true);
    }
    let Some(code) = visit.query("code") else { return Ok(world.show(visit, &flow)) };
    for node in flow.nodes.iter_mut().filter(|node| node.is_called("code")) {
        node.set_value(&code);
    }
    world.keep_flow(&flow);
    if visit.wants_json() {
        return Ok(Answer::ok(&world.view(&flow)));
    }
    let code: String = url::form_urlencoded::byte_serialize(code.as_bytes()).collect();
    Ok(Answer::see_other(&format!("{}&code={code}", world.flow_page(&flow))))
}

fn answer(world: &World, visit: &Visit, mut flow: Flow, given: &str, is_link: bool) -> Outcome {
    let wrong =
        || if is_link { text::invalid_link(Kind::Verification) } else { text::invalid_code(Kind::Verification) };
    let Some(challenge) = flow.challenge.as_mut().filter(|challenge| challenge.is_link == is_link) else {
        return Err(retry(world, visit, flow, wrong()));
    };
    if challenge.wrong_answers >= MOST_WRONG_ANSWERS {
        return Err(retry(world, visit, flow, text::submitted_too_often()));
    }
    challenge.wrong_answers += 1;
    let right = challenge.expires_at > visit.now && secret::same(&challenge.secret, given);
    let address = challenge.address.clone();
    let identity = challenge.identity.filter(|_| right).and_then(|id| world.identity(id));
    let owner = identity.filter(|identity| identity.email().eq_ignore_ascii_case(address.trim()));
    let Some(owner) = owner else { return Err(retry(world, visit, flow, wrong())) };
    world
        .change_identity(owner.id, |identity| identity.verified_at = Some(visit.now))
        .ok_or_else(|| Fault::internal("The account could not be written."))?;
    flow.challenge = None;
    flow.state = State::PassedChallenge;
    flow.messages = vec![text::success(1_080_002, "You successfully verified your email address.")];
    let label = text::info(1_070_009, "Continue");
    flow.nodes = vec![Node::anchor("code", "continue", &world.destination(&flow), &label).label(label.clone())];
    Ok(world.show(visit, &flow))
}

/// A wrong code is no failed request: Kratos shows the flow with 200.
fn retry(world: &World, visit: &Visit, mut flow: Flow, message: Value) -> Halt {
    flow.refill(&Body::default());
    flow.messages = vec![message];
    Halt::from(world.show(visit, &flow))
}
