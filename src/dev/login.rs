//! Login: a password or a mailed code first, an authenticator or a backup code second.

use serde_json::Value;
use serde_json::json;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Outcome;
use super::body::Body;
use super::flow::Challenge;
use super::flow::Flow;
use super::flow::Kind;
use super::flow::State;
use super::identity::Identity;
use super::mailbox::Mail;
use super::node;
use super::node::Node;
use super::secret;
use super::session::Aal;
use super::session::Presented;
use super::text;
use super::totp;
use super::visit::Visit;
use super::world::World;

/// Wrong codes per mailed code.
pub(super) const MOST_WRONG_ANSWERS: u32 = 5;

/// A factor that was just shown to be right.
#[derive(Clone, Copy)]
struct Factor {
    method: &'static str,
    aal: Aal,
}

pub(super) fn populate(flow: &mut Flow, signed_in: Option<&Identity>) {
    flow.nodes.clear();
    if flow.requested_aal == Aal::Two {
        flow.messages = vec![text::info(1_010_004, "Please complete the second authentication challenge.")];
        let credentials = signed_in.map(|identity| &identity.credentials);
        if credentials.is_some_and(|credentials| credentials.totp.is_some()) {
            let label = text::info(1_010_006, "Authentication code");
            flow.nodes.push(Node::input("totp", "totp_code", "text").value("").required().label(label));
            flow.nodes.push(Node::button("totp", "method", "totp", text::info(1_010_009, "Use Authenticator")));
        }
        if credentials.is_some_and(|credentials| !credentials.backup_codes.is_empty()) {
            let label = text::info(1_010_007, "Backup recovery code");
            flow.nodes.push(Node::input("lookup_secret", "lookup_secret", "text").value("").required().label(label));
            let label = text::info(1_010_010, "Use backup recovery code");
            flow.nodes.push(Node::button("lookup_secret", "method", "lookup_secret", label));
        }
        return;
    }
    if flow.refresh {
        flow.messages = vec![text::info(1_010_003, "Please confirm this action by verifying that it is you.")];
    }
    let label = text::titled("traits.email", "E-Mail");
    flow.nodes.push(
        match signed_in {
            Some(identity) => Node::input("default", "identifier", "hidden").value(identity.email()).required(),
            None => Node::input("default", "identifier", "text").value("").required(),
        }
        .label(label),
    );
    flow.nodes.push(Node::button("code", "method", "code", text::info(1_010_015, "Send sign in code")));
    flow.nodes.push(node::password("current-password"));
    flow.nodes.push(Node::button("password", "method", "password", text::info(1_010_022, "Sign in with password")));
}

pub(super) fn start(world: &World, visit: &Visit, native: bool) -> Outcome {
    let mut flow = world.new_flow(visit, Kind::Login, native)?;
    flow.refresh = visit.query("refresh").as_deref() == Some("true");
    flow.requested_aal = match visit.query("aal").as_deref() {
        None | Some("aal1") => Aal::One,
        Some("aal2") => Aal::Two,
        Some(_) => return Err(Fault::bad_request("Unable to parse AuthenticationMethod Assurance Level").into()),
    };
    match world.session_of(visit) {
        None if flow.requested_aal == Aal::Two => return Err(Fault::aal1_required().into()),
        None => flow.refresh = false,
        Some((session, _)) if !flow.refresh && session.aal() >= flow.requested_aal => {
            return Err(world.already_signed_in(visit, native));
        }
        Some(_) => {}
    }
    world.populate(visit, &mut flow);
    Ok(world.show(visit, &flow))
}

pub(super) fn submit(world: &World, visit: &mut Visit) -> Outcome {
    let flow = world.submitted_flow(visit, Kind::Login)?;
    let session = world.session_of(visit);
    if let Some((session, _)) = &session
        && !flow.refresh
        && session.aal() >= flow.requested_aal
    {
        return Err(world.already_signed_in(visit, flow.is_native()));
    }
    let (flow, body) = world.check_submit(visit, flow)?;
    let second = flow.requested_aal == Aal::Two;
    let method = body.text("method").map(str::to_owned);
    match (method.as_deref(), session) {
        (_, None) if second => Err(Fault::session_inactive().into()),
        (Some("password"), _) if !second => password(world, visit, flow, &body),
        (Some("code"), _) if !second => code(world, visit, flow, &body),
        (Some("totp"), Some((_, identity))) if second => authenticator(world, visit, flow, &body, &identity),
        (Some("lookup_secret"), Some((_, identity))) if second => backup_code(world, visit, flow, &body, &identity),
        _ => Err(world.refuse(visit, flow, &body, "", text::no_strategy(Kind::Login))),
    }
}

fn password(world: &World, visit: &mut Visit, flow: Flow, body: &Body) -> Outcome {
    let identifier = body.text("identifier").or_else(|| body.text("password_identifier"));
    let (Some(identifier), Some(password)) = (identifier, body.text("password")) else {
        let absent = [("identifier", identifier), ("password", body.text("password"))];
        let complaints = absent
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| ((*name).to_owned(), text::missing(name)))
            .collect();
        return Err(world.refuse_all(visit, flow, body, complaints));
    };
    let identity = world.identity_by_email(identifier);
    let hash = identity.as_ref().and_then(|identity| identity.credentials.password.as_deref());
    match (world.passwords.verify(password, hash), identity) {
        (true, Some(identity)) if !identity.active => {
            Err(world.refuse(visit, flow, body, "", text::account_disabled()))
        }
        (true, Some(identity)) => complete(world, visit, flow, &identity, Factor { method: "password", aal: Aal::One }),
        _ => Err(world.refuse(visit, flow, body, "", text::wrong_credentials())),
    }
}

/// The first submit asks for a code, the second brings it.
fn code(world: &World, visit: &mut Visit, mut flow: Flow, body: &Body) -> Outcome {
    let Some(code) = body.text("code").filter(|_| !body.flag("resend") && body.text("resend").is_none()) else {
        return send_code(world, visit, flow, body);
    };
    let Some(challenge) = flow.challenge.as_mut() else {
        return Err(world.refuse(visit, flow, body, "", text::invalid_code(Kind::Login)));
    };
    if challenge.wrong_answers >= MOST_WRONG_ANSWERS {
        return Err(world.refuse(visit, flow, body, "", text::submitted_too_often()));
    }
    let right = challenge.expires_at > visit.now && secret::same(&challenge.secret, code);
    let identity = challenge.identity.filter(|_| right);
    challenge.wrong_answers += 1;
    let verified = identity.and_then(|id| {
        world.change_identity(id, |identity| identity.verified_at = identity.verified_at.or(Some(visit.now)))
    });
    match verified {
        Some(identity) if !identity.active => Err(world.refuse(visit, flow, body, "", text::account_disabled())),
        Some(identity) => {
            flow.challenge = None;
            complete(world, visit, flow, &identity, Factor { method: "code", aal: Aal::One })
        }
        None => Err(world.refuse(visit, flow, body, "", text::invalid_code(Kind::Login))),
    }
}

fn send_code(world: &World, visit: &Visit, mut flow: Flow, body: &Body) -> Outcome {
    let pending = flow.challenge.as_ref().map(|challenge| challenge.address.clone());
    let Some(address) = body.text("identifier").map(str::to_owned).or(pending) else {
        return Err(world.refuse(visit, flow, body, "identifier", text::missing("identifier")));
    };
    let Some(identity) = world.identity_by_email(&address) else {
        return Err(world.refuse(visit, flow, body, "", text::no_code_login()));
    };
    let code = secret::mail_code();
    world.send(Mail {
        to: identity.email().to_owned(),
        kind: "login_code_valid",
        subject: "Use code to sign in to your account",
        body: format!("Hi,\n\nplease sign in to your account by entering the following code:\n\n{code}\n"),
        code: Some(code.clone()),
        link: None,
        sent_at: visit.now,
    });
    flow.challenge = Some(Challenge {
        secret: code,
        is_link: false,
        identity: Some(identity.id),
        address: address.clone(),
        expires_at: visit.now + world.lifespans.code,
        wrong_answers: 0,
    });
    flow.state = State::SentEmail;
    flow.nodes = node::code_entry(text::info(1_070_013, "Login code"), ("resend", "code"));
    node::six_digits(&mut flow.nodes);
    flow.nodes.push(Node::input("default", "identifier", "hidden").value(&address).required());
    // Kratos answers 400 here: the login as such has not happened.
    Err(world.refuse(visit, flow, &Body::default(), "", text::login_code_sent()))
}

fn authenticator(world: &World, visit: &mut Visit, flow: Flow, body: &Body, identity: &Identity) -> Outcome {
    let Some(code) = body.text("totp_code") else {
        return Err(world.refuse(visit, flow, body, "totp_code", text::missing("totp_code")));
    };
    match identity.credentials.totp.as_deref() {
        None => Err(world.refuse(visit, flow, body, "", text::no_totp())),
        Some(secret) if totp::accepts(secret, code) => {
            complete(world, visit, flow, identity, Factor { method: "totp", aal: Aal::Two })
        }
        Some(_) => Err(world.refuse(visit, flow, body, "totp_code", text::wrong_totp_code())),
    }
}

fn backup_code(world: &World, visit: &mut Visit, flow: Flow, body: &Body, identity: &Identity) -> Outcome {
    let Some(code) = body.text("lookup_secret") else {
        return Err(world.refuse(visit, flow, body, "lookup_secret", text::missing("lookup_secret")));
    };
    let codes = &identity.credentials.backup_codes;
    match codes.iter().position(|candidate| secret::same(&candidate.code, code.trim())) {
        None if codes.is_empty() => Err(world.refuse(visit, flow, body, "", text::no_backup_codes())),
        None => Err(world.refuse(visit, flow, body, "", text::wrong_backup_code())),
        Some(index) if codes[index].used_at.is_some() => {
            Err(world.refuse(visit, flow, body, "", text::backup_code_used()))
        }
        Some(index) => {
            world.change_identity(identity.id, |identity| {
                if let Some(code) = identity.credentials.backup_codes.get_mut(index) {
                    code.used_at = Some(visit.now);
                }
            });
            complete(world, visit, flow, identity, Factor { method: "lookup_secret", aal: Aal::Two })
        }
    }
}

/// Signs in. A refresh or a second factor strengthens the session at hand, which keeps its id and token.
fn complete(world: &World, visit: &mut Visit, mut flow: Flow, identity: &Identity, factor: Factor) -> Outcome {
    let prior = world.session_of(visit);
    let same_person = prior.as_ref().filter(|(session, _)| session.identity == identity.id);
    let session = match same_person {
        Some((session, _)) => world.change_session(session.id, |session| {
            session.authenticated_at = visit.now;
            session.present(Presented { method: factor.method, aal: factor.aal, at: visit.now });
        }),
        None => Some(world.open_session(identity.id, factor.method, visit)),
    };
    let session = session.ok_or_else(Fault::session_inactive)?;
    flow.state = State::PassedChallenge;
    flow.messages.clear();
    world.keep_flow(&flow);
    let owes_more = world.owes_second_factor(&session, identity);
    if flow.is_native() {
        let shown = Some(identity).filter(|_| !owes_more);
        let continue_with = world.fulfil_exchange(&flow, session.id).map_or(Value::Null, |action| json!([action]));
        return Ok(Answer::ok(&json!({
            "session_token": session.token,
            "session": session.view(shown, world.base(), visit.now),
            "continue_with": continue_with,
        })));
    }
    if same_person.is_none() {
        visit.rotate_csrf();
    }
    world.give_session_cookie(visit, &session);
    if owes_more {
        let step_up = world.step_up_url(flow.return_to.as_deref());
        return if visit.wants_json() {
            Err(Fault::location_change(&step_up).into())
        } else {
            Ok(Answer::see_other(&step_up))
        };
    }
    if visit.wants_json() {
        let session = session.view(Some(identity), world.base(), visit.now);
        return Ok(Answer::ok(&json!({ "session": session, "continue_with": null })));
    }
    Ok(Answer::see_other(&world.destination(&flow)))
}

impl World {
    /// Where a browser proves its second factor.
    pub(super) fn step_up_url(&self, return_to: Option<&str>) -> String {
        let mut url = format!("{}/self-service/login/browser?aal=aal2", self.base());
        if let Some(return_to) = return_to {
            url.push_str("&return_to=");
            url.extend(url::form_urlencoded::byte_serialize(return_to.as_bytes()));
        }
        url
    }
}
