//! Settings: who is signed in changes traits, the password and the second factors.

use serde_json::Value;
use serde_json::json;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Halt;
use super::answer::Outcome;
use super::body::Body;
use super::changes::Change;
use super::changes::Step;
use super::flow::Flow;
use super::flow::Kind;
use super::flow::Opener;
use super::flow::State;
use super::identity::Identity;
use super::node;
use super::node::Node;
use super::session::Aal;
use super::session::Presented;
use super::session::Session;
use super::text;
use super::totp;
use super::verification;
use super::visit::Visit;
use super::world::KeepError;
use super::world::World;

pub(super) fn populate(flow: &mut Flow, identity: &Identity) {
    let traits = Value::Object(identity.traits.clone());
    let mut nodes = node::traits("profile", |name| {
        let pointer = name.trim_start_matches("traits").replace('.', "/");
        traits.pointer(&pointer).and_then(Value::as_str).map(str::to_owned)
    });
    let save = || text::info(1_070_003, "Save");
    nodes.push(Node::button("profile", "method", "profile", save()));
    nodes.push(node::password("new-password"));
    nodes.push(Node::button("password", "method", "password", save()));
    if identity.credentials.totp.is_some() {
        flow.pending_totp = None;
        let label = text::info(1_050_004, "Unlink TOTP Authenticator App");
        nodes.push(Node::button("totp", "totp_unlink", "true", label));
    } else {
        let secret = flow.pending_totp.get_or_insert_with(totp::new_secret);
        let label = text::info(1_050_005, "Authenticator app QR code");
        let image = totp::qr_code(secret, identity.email());
        nodes.push(Node::image("totp", "totp_qr", &image, totp::QR_SIDE).label(label));
        let label = "This is your authenticator app secret. Use it if you can not scan the QR code.";
        let secret = text::totp_secret(secret);
        nodes.push(Node::text("totp", "totp_secret_key", &secret).label(text::info(1_050_017, label)));
        let label = text::info(1_070_006, "Verify code");
        nodes.push(Node::input("totp", "totp_code", "text").required().label(label));
        nodes.push(Node::button("totp", "method", "totp", save()));
    }
    nodes.extend(backup_code_nodes(flow, identity, false));
    flow.nodes = nodes;
}

fn backup_code_nodes(flow: &Flow, identity: &Identity, reveal: bool) -> Vec<Node> {
    const GROUP: &str = "lookup_secret";
    let show = |codes: &[Value]| {
        let label = "These are your back up recovery codes. Please keep them in a safe place!";
        Node::text(GROUP, "lookup_secret_codes", &text::backup_codes(codes)).label(text::info(1_050_010, label))
    };
    let new = Node::button(
        GROUP,
        "lookup_secret_regenerate",
        "true",
        text::info(1_050_008, "Generate new backup recovery codes"),
    );
    if !flow.pending_backup_codes.is_empty() {
        let codes: Vec<Value> = flow.pending_backup_codes.iter().map(|code| text::backup_code(code, None)).collect();
        let label = text::info(1_050_011, "Confirm backup recovery codes");
        return vec![show(&codes), Node::button(GROUP, "lookup_secret_confirm", "true", label)];
    }
    let codes = &identity.credentials.backup_codes;
    if codes.is_empty() {
        return vec![new];
    }
    let disable = Node::button(GROUP, "lookup_secret_disable", "true", text::info(1_050_016, "Disable this method"));
    if reveal {
        let codes: Vec<Value> = codes.iter().map(|code| text::backup_code(&code.code, code.used_at)).collect();
        return vec![show(&codes), new, disable];
    }
    let label = text::info(1_050_007, "Reveal backup recovery codes");
    vec![Node::button(GROUP, "lookup_secret_reveal", "true", label), disable]
}

/// An empty settings flow of `identity`, not kept yet.
pub(super) fn new_flow(world: &World, visit: &Visit, native: bool, identity: &Identity) -> Flow {
    let opener = if native { Opener::Native } else { Opener::Browser(visit.csrf) };
    let mut flow = Flow::new(Kind::Settings, opener, visit.request_url(), visit.now, world.lifespans.flow);
    flow.identity = Some(identity.id);
    populate(&mut flow, identity);
    flow
}

pub(super) fn start(world: &World, visit: &Visit, native: bool) -> Outcome {
    let return_to = world.return_to(visit)?;
    let json = native || visit.wants_json();
    let Some((session, identity)) = world.session_of(visit) else {
        if json {
            // Kratos leaks this key since v25.4.0.
            return Err(Fault::session_inactive().beside("CredentialsMissing", json!(false)).into());
        }
        let own = format!("{}/self-service/settings/browser", world.base());
        let own: String = url::form_urlencoded::byte_serialize(own.as_bytes()).collect();
        let login = format!("{}/self-service/login/browser?return_to={own}", world.base());
        return Ok(Answer::see_other(&login));
    };
    if world.owes_second_factor(&session, &identity) {
        return Err(step_up(world, visit, json));
    }
    let mut flow = new_flow(world, visit, native, &identity);
    flow.return_to = return_to;
    Ok(world.show(visit, &flow))
}

fn step_up(world: &World, visit: &Visit, json: bool) -> Halt {
    let query = if visit.raw_query.is_empty() { String::new() } else { format!("?{}", visit.raw_query) };
    let own = format!("{}{}{query}", world.base(), visit.path);
    let url = world.step_up_url(Some(&own));
    if json { Fault::aal2_required(&url).into() } else { Halt::from(Answer::see_other(&url)) }
}

/// The session, if it may read and change `flow`.
fn authorize(world: &World, visit: &Visit, flow: &Flow) -> Result<(Session, Identity), Halt> {
    let json = flow.is_native() || visit.wants_json();
    let Some((session, identity)) = world.session_of(visit) else { return Err(unauthenticated(world, json)) };
    if flow.identity != Some(identity.id) {
        return Err(Fault::identity_mismatch().into());
    }
    if world.owes_second_factor(&session, &identity) {
        return Err(step_up(world, visit, json));
    }
    Ok((session, identity))
}

fn unauthenticated(world: &World, json: bool) -> Halt {
    if json {
        Fault::unauthorized("A valid Ory Session Cookie or Ory Session Token is missing.").into()
    } else {
        Halt::from(Answer::found(&world.page("login")))
    }
}

pub(super) fn read(world: &World, visit: &Visit) -> Outcome {
    if world.session_of(visit).is_none() {
        return Err(unauthenticated(world, visit.wants_json()));
    }
    let flow = world.read_flow(visit, Kind::Settings)?;
    authorize(world, visit, &flow)?;
    Ok(Answer::ok(&world.view(&flow)))
}

pub(super) fn submit(world: &World, visit: &mut Visit) -> Outcome {
    if world.session_of(visit).is_none() {
        return Err(unauthenticated(world, visit.wants_json() || visit.header("x-session-token").is_some()));
    }
    let flow = world.submitted_flow(visit, Kind::Settings)?;
    let (session, identity) = authorize(world, visit, &flow)?;
    if visit.method == http::Method::GET {
        // Where a refreshed login returns to.
        return Ok(world.show(visit, &flow));
    }
    let (mut flow, body) = world.check_submit(visit, flow)?;
    flow.state = State::ShowForm;
    let change = Change { world, body: &body, identity };
    let step = match body.text("method") {
        Some("profile") => change.profile(),
        Some("password") => change.password(),
        Some("totp") => change.totp(&flow),
        None if body.flag("totp_unlink") => change.totp(&flow),
        Some("lookup_secret") => change.backup_codes(&mut flow),
        None if ["reveal", "regenerate", "confirm", "disable"]
            .iter()
            .any(|button| body.flag(&format!("lookup_secret_{button}"))) =>
        {
            change.backup_codes(&mut flow)
        }
        _ => Step::Refuse(vec![(String::new(), text::no_strategy(Kind::Settings))]),
    };
    let privileged = session.authenticated_at + world.lifespans.privileged > visit.now;
    match step {
        Step::Refuse(complaints) => Err(world.refuse_all(visit, flow, &body, complaints)),
        Step::Privileged(_) | Step::Reveal(_) if !privileged => Err(refresh(world, visit, &flow)),
        Step::Reveal(identity) => {
            flow.nodes.retain(|node| node.group() != "lookup_secret");
            flow.nodes.extend(backup_code_nodes(&flow, &identity, flow.pending_backup_codes.is_empty()));
            flow.messages.clear();
            Ok(world.show(visit, &flow))
        }
        Step::Free(identity) | Step::Privileged(identity) => save(world, visit, flow, &body, &session, identity),
    }
}

fn refresh(world: &World, visit: &Visit, flow: &Flow) -> Halt {
    let back = format!("{}/self-service/settings?flow={}", world.base(), flow.id);
    let back: String = url::form_urlencoded::byte_serialize(back.as_bytes()).collect();
    let url = format!("{}/self-service/login/browser?refresh=true&return_to={back}", world.base());
    if flow.is_native() || visit.wants_json() {
        Fault::refresh_required(&url).into()
    } else {
        Halt::from(Answer::see_other(&url))
    }
}

fn save(
    world: &World,
    visit: &mut Visit,
    mut flow: Flow,
    body: &Body,
    session: &Session,
    identity: Identity,
) -> Outcome {
    let old = world.identity(identity.id);
    let mut identity = identity;
    identity.updated_at = visit.now;
    match world.keep_identity(identity.clone()) {
        Ok(()) => {}
        Err(KeepError::AddressTaken) => return Err(world.refuse(visit, flow, body, "", text::account_exists())),
        Err(KeepError::Store) => return Err(Fault::internal("The account could not be written.").into()),
    }
    flow.continue_with.clear();
    for method in old.iter().flat_map(|old| new_factors(old, &identity)) {
        // Who sets a factor up has shown it.
        world.change_session(session.id, |session| {
            session.present(Presented { method, aal: Aal::Two, at: visit.now });
        });
    }
    if old.as_ref().map(Identity::email) != Some(identity.email()) {
        flow.continue_with.push(verification::begin(world, visit, flow.is_native(), &identity));
    }
    flow.state = State::Success;
    flow.pending_backup_codes.clear();
    populate(&mut flow, &identity);
    flow.messages = vec![text::success(1_050_001, "Your changes have been saved!")];
    let answer = world.show(visit, &flow);
    if flow.is_native() {
        return Ok(answer);
    }
    world.give_session_cookie(visit, session);
    match &flow.return_to {
        Some(return_to) if !visit.wants_json() => Ok(Answer::see_other(return_to)),
        _ => Ok(answer),
    }
}

/// The second factors that `new` has and `old` had not.
fn new_factors(old: &Identity, new: &Identity) -> impl Iterator<Item = &'static str> + use<> {
    let (old, new) = (&old.credentials, &new.credentials);
    let totp = old.totp.is_none() && new.totp.is_some();
    let backup_codes = old.backup_codes.is_empty() && !new.backup_codes.is_empty();
    [("totp", totp), ("lookup_secret", backup_codes)].into_iter().filter(|(_, added)| *added).map(|(method, _)| method)
}
