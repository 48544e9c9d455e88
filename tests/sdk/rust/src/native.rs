//! What native apps do.

use ory_kratos_client::apis::frontend_api as api;
use ory_kratos_client::models;
use serde_json::json;

use crate::kratos::ELSEWHERE;
use crate::kratos::FORBIDDEN;
use crate::kratos::PASSWORD;
use crate::kratos::SIGNED_IN;
use crate::kratos::UNKNOWN_ID;
use crate::kratos::Visitor;
use crate::kratos::ensure;
use crate::kratos::has_message;
use crate::kratos::kratos_url;
use crate::kratos::mailed_code;
use crate::kratos::new_email;
use crate::kratos::token_of;
use crate::report::Outcome;
use crate::report::Report;
use crate::report::Stop;

const UNKNOWN_TOKEN: Option<&str> = Some("ory_st_unknown");

pub(crate) async fn login_yields_a_token_that_the_gateway_knows_until_logout(report: &mut Report) -> Outcome {
    let (somebody, app) = (report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    let created = api::create_native_login_flow(sdk, None, None, None, None, None, None, None, None).await;
    report.accept_opaque("createNativeLoginFlow", created)?;
    let (flow, _) = app.flow("login/api", None).await?;
    report.accept_opaque("getLoginFlow", api::get_login_flow(sdk, &flow, None).await)?;
    app.flow(&format!("login/flows?id={flow}"), None).await?;
    report.refuse_with("updateLoginFlow", 4_000_006, app.log_in(&flow, &somebody.email, "wrong", "").await)?;

    let login = report.accept("updateLoginFlow", app.log_in(&flow, &somebody.email, PASSWORD, "").await)?;
    let token = token_of(&login)?;
    let session = report.accept("toSession", api::to_session(sdk, Some(&token), None, None).await)?;
    ensure!(session.id == login.session.id && session.active == Some(true), "{session:?}");
    app.admitted(Some(&token), &somebody.identity).await?;

    let log_out = |token: &str| models::PerformNativeLogoutBody::new(token.to_owned());
    for _ in 0..2 {
        report.accept("performNativeLogout", api::perform_native_logout(sdk, log_out(&token)).await)?;
        app.turned_away(Some(&token), None).await?;
    }
    report.refuse("toSession", 401, None, api::to_session(sdk, Some(&token), None, None).await)?;
    let unknown = api::perform_native_logout(sdk, log_out("ory_st_unknown")).await;
    report.refuse("performNativeLogout", 403, None, unknown)
}

pub(crate) async fn login_flows_are_refused_to_who_has_no_use_for_them(report: &mut Report) -> Outcome {
    let (somebody, app) = (report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    let own = Some(somebody.token.as_str());
    let again = api::create_native_login_flow(sdk, None, None, own, None, None, None, None, None).await;
    report.refuse("createNativeLoginFlow", 400, SIGNED_IN, again)?;
    report.refuse("getLoginFlow", 404, None, api::get_login_flow(sdk, UNKNOWN_ID, None).await)?;
    report.refuse("updateLoginFlow", 404, None, app.log_in(UNKNOWN_ID, &somebody.email, PASSWORD, "").await)
}

pub(crate) async fn registration_refuses_what_is_weak_or_taken(report: &mut Report) -> Outcome {
    let (somebody, app) = (report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    let created = api::create_native_registration_flow(sdk, None, None, None, None).await;
    report.accept_opaque("createNativeRegistrationFlow", created)?;
    let stray = api::create_native_registration_flow(sdk, None, Some(ELSEWHERE), None, None).await;
    report.refuse("createNativeRegistrationFlow", 400, FORBIDDEN, stray)?;
    let (flow, _) = app.flow("registration/api", None).await?;
    report.accept_opaque("getRegistrationFlow", api::get_registration_flow(sdk, &flow, None).await)?;
    report.refuse("getRegistrationFlow", 404, None, api::get_registration_flow(sdk, UNKNOWN_ID, None).await)?;
    let unknown = app.register(UNKNOWN_ID, &new_email(), PASSWORD, "").await;
    report.refuse("updateRegistrationFlow", 404, None, unknown)?;
    let short = app.register(&flow, &new_email(), "short", "").await;
    report.refuse_with("updateRegistrationFlow", 4_000_032, short)?;
    let taken = app.register(&flow, &somebody.email, PASSWORD, "").await;
    report.refuse_with("updateRegistrationFlow", 4_000_007, taken)
}

pub(crate) async fn settings_change_the_identity(report: &mut Report) -> Outcome {
    let (somebody, stranger, app) = (report.sign_up().await?, report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    let (own, theirs) = (Some(somebody.token.as_str()), Some(stranger.token.as_str()));
    let anonymous = api::create_native_settings_flow(sdk, None).await;
    report.refuse("createNativeSettingsFlow", 401, Some("session_inactive"), anonymous)?;
    report.accept_opaque("createNativeSettingsFlow", api::create_native_settings_flow(sdk, own).await)?;
    let (flow, _) = app.flow("settings/api", own).await?;
    report.accept_opaque("getSettingsFlow", api::get_settings_flow(sdk, &flow, own, None).await)?;
    report.refuse("getSettingsFlow", 401, None, api::get_settings_flow(sdk, &flow, None, None).await)?;
    let mismatch = Some("security_identity_mismatch");
    report.refuse("getSettingsFlow", 403, mismatch, api::get_settings_flow(sdk, &flow, theirs, None).await)?;

    let profile = |email: &str| {
        let traits = json!({ "email": email, "name": { "first": "Zoe" } });
        let body = models::UpdateSettingsFlowWithProfileMethod::new("profile".to_owned(), traits);
        models::UpdateSettingsFlowBody::Profile(Box::new(body))
    };
    let foreign = api::update_settings_flow(sdk, &flow, profile(&stranger.email), theirs, None).await;
    report.refuse("updateSettingsFlow", 403, mismatch, foreign)?;
    let malformed = api::update_settings_flow(sdk, &flow, profile("no address"), own, None).await;
    report.refuse_with("updateSettingsFlow", 4_000_040, malformed)?;
    app.admitted(own, &somebody.identity).await?;
    let address = new_email();
    let saved = api::update_settings_flow(sdk, &flow, profile(&address), own, None).await;
    report.accept_opaque("updateSettingsFlow", saved)?;
    let session = report.accept("toSession", api::to_session(sdk, own, None, None).await)?;
    let traits = session.identity.and_then(|identity| identity.traits).unwrap_or_default();
    ensure!(traits["name"]["first"] == "Zoe", "{traits}");
    // The service hears of a new address at once, although the session was cached with the old one.
    let (_, headers) = app.knock(own, None).await?;
    let told = headers["x-user-email"].as_str().unwrap_or(&address);
    ensure!(told == address, "{headers}");
    Ok(())
}

pub(crate) async fn sessions_are_listed_and_ended(report: &mut Report) -> Outcome {
    let (somebody, stranger, app) = (report.sign_up().await?, report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    let (own, theirs) = (Some(somebody.token.as_str()), Some(stranger.token.as_str()));
    let (second, third) = (report.sign_in(&somebody.email).await?, report.sign_in(&somebody.email).await?);
    let (second_token, third_token) = (token_of(&second)?, token_of(&third)?);
    let sessions = api::list_my_sessions(sdk, None, None, None, None, own, None).await;
    let sessions = report.accept("listMySessions", sessions)?;
    // The third is that of the registration, whose token the SDK could not decode.
    ensure!(sessions.len() == 3 && sessions[0].id == third.session.id, "{sessions:?}");
    let page = api::list_my_sessions(sdk, Some(1), Some(1), None, None, own, None).await;
    ensure!(report.accept("listMySessions", page)?[0].id == second.session.id, "the second page");
    let unknown = api::list_my_sessions(sdk, None, None, None, None, UNKNOWN_TOKEN, None).await;
    report.refuse("listMySessions", 401, None, unknown)?;

    for token in [&second_token, &third_token] {
        app.admitted(Some(token), &somebody.identity).await?;
    }
    let id = second.session.id.as_str();
    let current = api::disable_my_session(sdk, &somebody.session, own, None).await;
    report.refuse("disableMySession", 400, None, current)?;
    report.refuse("disableMySession", 401, None, api::disable_my_session(sdk, id, UNKNOWN_TOKEN, None).await)?;
    report.accept("disableMySession", api::disable_my_session(sdk, id, theirs, None).await)?;
    app.admitted(Some(&second_token), &somebody.identity).await?;
    report.accept("disableMySession", api::disable_my_session(sdk, id, own, None).await)?;
    app.turned_away(Some(&second_token), None).await?;
    app.admitted(Some(&third_token), &somebody.identity).await?;

    let unknown = api::disable_my_other_sessions(sdk, UNKNOWN_TOKEN, None).await;
    report.refuse("disableMyOtherSessions", 401, None, unknown)?;
    let ended = report.accept("disableMyOtherSessions", api::disable_my_other_sessions(sdk, own, None).await)?;
    ensure!(ended.count == Some(2), "{ended:?}");
    app.turned_away(Some(&third_token), None).await?;
    app.admitted(own, &somebody.identity).await
}

pub(crate) async fn whoami_tokenizes_the_session(report: &mut Report) -> Outcome {
    let (somebody, app) = (report.sign_up().await?, Visitor::native()?);
    let own = Some(somebody.token.as_str());
    let session = report.accept("toSession", api::to_session(&app.sdk, own, None, Some("dev")).await)?;
    ensure!(session.tokenized.as_ref().is_some_and(|token| token.split('.').count() == 3), "{:?}", session.tokenized);
    report.refuse("toSession", 400, None, api::to_session(&app.sdk, own, None, Some("unknown")).await)
}

pub(crate) async fn a_session_token_is_exchanged_for_two_codes(report: &mut Report) -> Outcome {
    let (somebody, app) = (report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    let asked =
        format!("/self-service/login/api?return_session_token_exchange_code=true&return_to={}/done", kratos_url());
    let flow = app.get(&asked, None).await?;
    let code = flow["session_token_exchange_code"].as_str().ok_or("no code")?;
    report.refuse("exchangeSessionToken", 404, None, api::exchange_session_token(sdk, code, "made-up").await)?;
    let body = json!({ "method": "password", "identifier": somebody.email, "password": PASSWORD });
    let action = flow["ui"]["action"].as_str().ok_or("no action")?;
    let login: serde_json::Value = sdk.client.post(action).json(&body).send().await?.json().await?;
    let Some(back) = login["continue_with"][0]["redirect_browser_to"].as_str() else {
        return Err(Stop::NotTested("this Kratos gives the second code in redirects of social sign-in only"));
    };
    let back: reqwest::Url = back.parse()?;
    let second = back.query_pairs().find(|(name, _)| name == "code").ok_or("no second code")?.1.into_owned();
    let exchanged = api::exchange_session_token(sdk, code, &second).await;
    let exchanged = report.accept("exchangeSessionToken", exchanged)?;
    ensure!(login["session_token"] == token_of(&exchanged)?, "another session");
    report.refuse("exchangeSessionToken", 404, None, api::exchange_session_token(sdk, code, &second).await)
}

pub(crate) async fn a_mailed_code_recovers_an_account(report: &mut Report) -> Outcome {
    let (somebody, app) = (report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    let signed_in = report.signed_in_browser(&somebody.email).await?;
    let again = api::create_native_recovery_flow(&signed_in.sdk).await;
    report.refuse("createNativeRecoveryFlow", 400, SIGNED_IN, again)?;
    report.accept_opaque("createNativeRecoveryFlow", api::create_native_recovery_flow(sdk).await)?;
    let (flow, _) = app.flow("recovery/api", None).await?;
    report.accept_opaque("getRecoveryFlow", api::get_recovery_flow(sdk, &flow, None).await)?;
    report.refuse("getRecoveryFlow", 404, None, api::get_recovery_flow(sdk, UNKNOWN_ID, None).await)?;
    let body = |email: Option<&str>, code: Option<&str>| {
        let mut body = models::UpdateRecoveryFlowWithCodeMethod::new(Default::default());
        body.method = models::update_recovery_flow_with_code_method::MethodEnum::Code;
        body.email = email.map(str::to_owned);
        body.code = code.map(str::to_owned);
        models::UpdateRecoveryFlowBody::Code(Box::new(body))
    };
    let empty = api::update_recovery_flow(sdk, &flow, body(None, None), None, None).await;
    report.refuse_with("updateRecoveryFlow", 4_000_002, empty)?;
    let sent = api::update_recovery_flow(sdk, &flow, body(Some(&somebody.email), None), None, None).await;
    report.accept_opaque("updateRecoveryFlow", sent)?;
    let wrong = api::update_recovery_flow(sdk, &flow, body(None, Some("000000")), None, None).await;
    report.accept_opaque("updateRecoveryFlow", wrong)?;
    let read = app.get(&format!("/self-service/recovery/flows?id={flow}"), None).await?;
    ensure!(has_message(&read, 4_060_006)?, "{read}");
    let code = mailed_code(&somebody.email).await?;
    let done = api::update_recovery_flow(sdk, &flow, body(None, Some(&code)), None, None).await;
    report.accept_opaque("updateRecoveryFlow", done)?;
    let read = app.get(&format!("/self-service/recovery/flows?id={flow}"), None).await?;
    ensure!(read["state"] == "passed_challenge", "{read}");
    Ok(())
}

pub(crate) async fn a_mailed_code_verifies_an_address(report: &mut Report) -> Outcome {
    let (somebody, app) = (report.sign_up().await?, Visitor::native()?);
    let sdk = &app.sdk;
    report.accept_opaque("createNativeVerificationFlow", api::create_native_verification_flow(sdk, None).await)?;
    let stray = api::create_native_verification_flow(sdk, Some(ELSEWHERE)).await;
    report.refuse("createNativeVerificationFlow", 400, FORBIDDEN, stray)?;
    let (flow, _) = app.flow("verification/api", None).await?;
    report.accept_opaque("getVerificationFlow", api::get_verification_flow(sdk, &flow, None).await)?;
    report.refuse("getVerificationFlow", 404, None, api::get_verification_flow(sdk, UNKNOWN_ID, None).await)?;
    let body = |email: Option<&str>, code: Option<&str>| {
        let mut body = models::UpdateVerificationFlowWithCodeMethod::new(Default::default());
        body.method = models::update_verification_flow_with_code_method::MethodEnum::Code;
        body.email = email.map(str::to_owned);
        body.code = code.map(str::to_owned);
        models::UpdateVerificationFlowBody::Code(Box::new(body))
    };
    let empty = api::update_verification_flow(sdk, &flow, body(None, None), None, None).await;
    report.refuse_with("updateVerificationFlow", 4_000_002, empty)?;
    let sent = api::update_verification_flow(sdk, &flow, body(Some(&somebody.email), None), None, None).await;
    report.accept_opaque("updateVerificationFlow", sent)?;
    let code = mailed_code(&somebody.email).await?;
    let done = api::update_verification_flow(sdk, &flow, body(None, Some(&code)), None, None).await;
    report.accept_opaque("updateVerificationFlow", done)?;
    let session = api::to_session(sdk, Some(&somebody.token), None, None).await;
    let addresses = report.accept("toSession", session)?.identity.and_then(|identity| identity.verifiable_addresses);
    ensure!(addresses.as_ref().is_some_and(|addresses| addresses[0].verified), "{addresses:?}");
    Ok(())
}

pub(crate) async fn errors_and_the_webauthn_script_are_served(report: &mut Report) -> Outcome {
    let app = Visitor::native()?;
    // An id that Kratos documents for those who build error pages.
    let stub = report.accept("getFlowError", api::get_flow_error(&app.sdk, "stub:500").await)?;
    ensure!(stub.error.as_ref().is_some_and(|error| error["code"] == 500), "{stub:?}");
    report.refuse("getFlowError", 404, None, api::get_flow_error(&app.sdk, UNKNOWN_ID).await)?;
    report.accept_opaque("getWebAuthnJavaScript", api::get_web_authn_java_script(&app.sdk).await)
}
