//! What the SDK cannot do with any Kratos. When this fails, the crate has been mended and its limits can be struck off.

use ory_kratos_client::models::ContinueWith;
use ory_kratos_client::models::LoginFlow;

use crate::report::Outcome;
use crate::report::Report;

/// What the SDK says of an answer that is beyond it.
const COMPLAINTS: [&str; 3] = ["missing field `node_type`", "missing field `action`", "Received `text/javascript"];

pub(crate) fn is_known(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    COMPLAINTS.iter().any(|complaint| text.contains(complaint))
}

pub(crate) async fn the_sdk_cannot_decode_a_flow_of_kratos_itself(_: &mut Report) -> Outcome {
    // From a real Kratos.
    let flow = include_str!("../../../data/kratos/login-flow-api.json");
    let action = r#"{"action":"set_ory_session_token","ory_session_token":"ory_st_x"}"#;
    for refused in [serde_json::from_str::<LoginFlow>(flow).err(), serde_json::from_str::<ContinueWith>(action).err()] {
        if !refused.as_ref().is_some_and(is_known) {
            return Err(format!("the SDK has learnt to decode this: {refused:?}").into());
        }
    }
    Ok(())
}
