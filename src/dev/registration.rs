//! Registration: traits and a password make an identity, signed in at once and mailed a verification code.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::answer::Answer;
use super::answer::Fault;
use super::answer::Outcome;
use super::flow::Flow;
use super::flow::Kind;
use super::flow::State;
use super::identity::Identity;
use super::identity::normalized;
use super::node;
use super::node::Node;
use super::passwords;
use super::text;
use super::verification;
use super::visit::Visit;
use super::world::KeepError;
use super::world::World;

/// RFC 5321's limit.
const LONGEST_ADDRESS: usize = 254;

pub(super) fn populate(flow: &mut Flow) {
    flow.nodes = node::traits("default", |_| None);
    flow.nodes.push(node::password("new-password"));
    flow.nodes.push(Node::button("password", "method", "password", text::info(1_040_001, "Sign up")));
}

pub(super) fn start(world: &World, visit: &Visit, native: bool) -> Outcome {
    let mut flow = world.new_flow(visit, Kind::Registration, native)?;
    if world.session_of(visit).is_some() {
        return Err(world.already_signed_in(visit, native));
    }
    populate(&mut flow);
    Ok(world.show(visit, &flow))
}

pub(super) fn submit(world: &World, visit: &mut Visit) -> Outcome {
    let flow = world.submitted_flow(visit, Kind::Registration)?;
    if world.session_of(visit).is_some() {
        return if flow.is_native() || visit.wants_json() {
            Err(Fault::already_signed_in().into())
        } else {
            Ok(Answer::found(world.urls.default_return.as_str()))
        };
    }
    let (flow, body) = world.check_submit(visit, flow)?;
    if body.text("method") != Some("password") {
        return Err(world.refuse(visit, flow, &body, "", text::no_strategy(Kind::Registration)));
    }
    if flow.state == State::PassedChallenge {
        return Err(world.refuse(visit, flow, &body, "", text::already_completed(Kind::Registration)));
    }
    let traits = body.field("traits").cloned().unwrap_or_default();
    let mut complaints = Vec::new();
    let traits = match checked_traits(&traits) {
        Ok(traits) => traits,
        Err(found) => {
            complaints = found;
            Map::new()
        }
    };
    let email = traits.get("email").and_then(Value::as_str).unwrap_or_default();
    match body.text("password") {
        None => complaints.push(("password".to_owned(), text::missing("password"))),
        Some(password) => {
            let weakness = passwords::complaint(password, email).map(|message| ("password".to_owned(), message));
            complaints.extend(weakness);
        }
    }
    if !complaints.is_empty() {
        return Err(world.refuse_all(visit, flow, &body, complaints));
    }
    let mut identity = Identity::new(traits, visit.now);
    identity.credentials.password = body.text("password").and_then(|password| world.passwords.hash(password));
    match world.keep_identity(identity.clone()) {
        Ok(()) => complete(world, visit, flow, &identity),
        Err(KeepError::AddressTaken) => Err(world.refuse(visit, flow, &body, "", text::account_exists())),
        Err(KeepError::Store) => Err(Fault::internal("The account could not be written.").into()),
    }
}

fn complete(world: &World, visit: &mut Visit, mut flow: Flow, identity: &Identity) -> Outcome {
    flow.state = State::PassedChallenge;
    world.keep_flow(&flow);
    let native = flow.is_native();
    if !native {
        visit.rotate_csrf();
    }
    let session = world.open_session(identity.id, "password", visit);
    let mut continue_with = vec![verification::begin(world, visit, native, identity)];
    let identity = world.identity(identity.id).unwrap_or_else(|| identity.clone());
    let mut success = json!({
        "session": session.view(Some(&identity), world.base(), visit.now),
        "identity": identity.view(world.base()),
    });
    if native {
        continue_with.push(json!({ "action": "set_ory_session_token", "ory_session_token": session.token }));
        continue_with.extend(world.fulfil_exchange(&flow, session.id));
        success["session_token"] = json!(session.token);
    } else {
        world.give_session_cookie(visit, &session);
    }
    success["continue_with"] = json!(continue_with);
    if native || visit.wants_json() {
        return Ok(Answer::ok(&success));
    }
    Ok(Answer::see_other(&world.destination(&flow)))
}

/// Traits that obey the identity schema, or what is wrong with them and where.
pub(super) fn checked_traits(traits: &Value) -> Result<Map<String, Value>, Vec<(String, Value)>> {
    let mut complaints = Vec::new();
    let mut complain = |about: &str, message: Value| complaints.push((about.to_owned(), message));
    let empty = Map::new();
    let given = match traits {
        Value::Object(given) => given,
        _ => &empty,
    };
    let mut checked = Map::new();
    match given.get("email") {
        Some(Value::String(email)) if is_address(email) => {
            checked.insert("email".to_owned(), json!(normalized(email)));
        }
        None => complain("traits.email", text::missing("email")),
        Some(Value::String(email)) if email.is_empty() => complain("traits.email", text::missing("email")),
        Some(Value::String(email)) => complain("traits.email", text::bad_email(email)),
        Some(other) => complain("traits.email", text::wrong_type("string", type_of(other))),
    }
    match given.get("name") {
        None => {}
        Some(Value::Object(names)) => {
            for (key, value) in names.iter().filter(|(key, _)| matches!(key.as_str(), "first" | "last")) {
                if !value.is_string() {
                    complain(&format!("traits.name.{key}"), text::wrong_type("string", type_of(value)));
                }
            }
            let filled = names.iter().filter(|(_, value)| value.as_str() != Some(""));
            let names: Map<String, Value> = filled.map(|(key, value)| (key.clone(), value.clone())).collect();
            if !names.is_empty() {
                checked.insert("name".to_owned(), Value::Object(names));
            }
        }
        Some(other) => complain("traits.name", text::wrong_type("object", type_of(other))),
    }
    for key in given.keys().filter(|key| !matches!(key.as_str(), "email" | "name")) {
        complain(&format!("traits.{key}"), text::generic(&format!("additionalProperties \"{key}\" not allowed")));
    }
    if complaints.is_empty() { Ok(checked) } else { Err(complaints) }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.trim().rsplit_once('@') else { return false };
    text.len() <= LONGEST_ADDRESS
        && !local.is_empty()
        && !local.contains('@')
        && !domain.is_empty()
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !text.trim().contains(|character: char| character.is_whitespace() || character.is_control())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_obey_the_schema() {
        for (traits, about, id) in [
            (json!({}), "traits.email", 4_000_002),
            (json!(null), "traits.email", 4_000_002),
            (json!({ "email": "nobody" }), "traits.email", 4_000_040),
            (json!({ "email": "a b@c.d" }), "traits.email", 4_000_040),
            (json!({ "email": 7 }), "traits.email", 4_000_026),
            (json!({ "email": "a@b.c", "name": { "first": 1 } }), "traits.name.first", 4_000_026),
            (json!({ "email": "a@b.c", "name": [] }), "traits.name", 4_000_026),
            (json!({ "email": "a@b.c", "role": "admin" }), "traits.role", 4_000_001),
        ] {
            let complaints = checked_traits(&traits).unwrap_err();
            assert_eq!((complaints[0].0.as_str(), &complaints[0].1["id"]), (about, &json!(id)), "{traits}");
        }
        let traits = json!({ "email": " Ann@Example.com ", "name": { "first": "Ann", "last": "" } });
        let checked = checked_traits(&traits).unwrap();
        assert_eq!(Value::Object(checked), json!({ "email": "ann@example.com", "name": { "first": "Ann" } }));
    }
}
