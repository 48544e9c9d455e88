//! What single-page apps do in a browser.

use ory_kratos_client::apis::frontend_api as api;
use ory_kratos_client::models;
use serde_json::Value;
use serde_json::json;

use crate::kratos::CSRF;
use crate::kratos::ELSEWHERE;
use crate::kratos::FORBIDDEN;
use crate::kratos::PASSWORD;
use crate::kratos::SIGNED_IN;
use crate::kratos::Visitor;
use crate::kratos::ensure;
use crate::kratos::mailed_code;
use crate::kratos::new_email;
use crate::report::Outcome;
use crate::report::Report;

const INACTIVE: Option<&str> = Some("session_inactive");

pub(crate) async fn login_gives_a_cookie_and_logout_takes_it_away(report: &mut Report) -> Outcome {
    let (somebody, visitor) = (report.sign_up().await?, Visitor::browser()?);
    let sdk = &visitor.sdk;
    let anonymous = api::create_browser_logout_flow(sdk, None, None).await;
    report.refuse("createBrowserLogoutFlow", 401, INACTIVE, anonymous)?;
    visitor.turned_away(None, None).await?;
    let created = api::create_browser_login_flow(sdk, None, None, None, None, None, None, None, None).await;
    report.accept_opaque("createBrowserLoginFlow", created)?;
    let (flow, csrf) = visitor.flow("login/browser", None).await?;
    let foreign = api::get_login_flow(&Visitor::browser()?.sdk, &flow, None).await;
    report.refuse("getLoginFlow", 403, CSRF, foreign)?;
    let forged = visitor.log_in(&flow, &somebody.email, PASSWORD, "made-up").await;
    report.refuse("updateLoginFlow", 403, CSRF, forged)?;
    let login = report.accept("updateLoginFlow", visitor.log_in(&flow, &somebody.email, PASSWORD, &csrf).await)?;
    ensure!(login.session_token.is_none(), "a browser must not get a token");
    let session = report.accept("toSession", api::to_session(sdk, None, None, None).await)?;
    ensure!(session.id == login.session.id, "another session");
    visitor.admitted(None, &somebody.identity).await?;
    let again = api::create_browser_login_flow(sdk, None, None, None, None, None, None, None, None).await;
    report.refuse("createBrowserLoginFlow", 400, SIGNED_IN, again)?;

    let logout = api::create_browser_logout_flow(sdk, None, None).await;
    let logout = report.accept("createBrowserLogoutFlow", logout)?;
    let wrong = api::update_logout_flow(sdk, Some("made-up"), None, None).await;
    report.refuse("updateLogoutFlow", 403, None, wrong)?;
    let cookies = visitor.cookies()?;
    let done = api::update_logout_flow(sdk, Some(&logout.logout_token), None, None).await;
    report.accept("updateLogoutFlow", done)?;
    Visitor::native()?.turned_away(None, Some(&cookies)).await?;
    let stolen = api::to_session(&Visitor::native()?.sdk, None, Some(&cookies), None).await;
    report.refuse("toSession", 401, None, stolen)
}

pub(crate) async fn registration_gives_a_cookie(report: &mut Report) -> Outcome {
    let (visitor, email) = (Visitor::browser()?, new_email());
    let sdk = &visitor.sdk;
    let created = api::create_browser_registration_flow(sdk, None, None, None, None, None).await;
    report.accept_opaque("createBrowserRegistrationFlow", created)?;
    let (flow, csrf) = visitor.flow("registration/browser", None).await?;
    let forged = visitor.register(&flow, &email, PASSWORD, "made-up").await;
    report.refuse("updateRegistrationFlow", 403, CSRF, forged)?;
    let malformed = visitor.register(&flow, "no address", PASSWORD, &csrf).await;
    report.refuse_with("updateRegistrationFlow", 4_000_040, malformed)?;
    report.accept_opaque("updateRegistrationFlow", visitor.register(&flow, &email, PASSWORD, &csrf).await)?;
    let session = report.accept("toSession", api::to_session(sdk, None, None, None).await)?;
    visitor.admitted(None, &session.identity.ok_or("no identity")?.id).await?;
    let again = api::create_browser_registration_flow(sdk, None, None, None, None, None).await;
    report.refuse("createBrowserRegistrationFlow", 400, SIGNED_IN, again)
}

pub(crate) async fn settings_need_a_cookie_and_a_csrf_token(report: &mut Report) -> Outcome {
    let somebody = report.sign_up().await?;
    let anonymous = api::create_browser_settings_flow(&Visitor::browser()?.sdk, None, None).await;
    report.refuse("createBrowserSettingsFlow", 401, INACTIVE, anonymous)?;
    let visitor = report.signed_in_browser(&somebody.email).await?;
    let sdk = &visitor.sdk;
    report.accept_opaque("createBrowserSettingsFlow", api::create_browser_settings_flow(sdk, None, None).await)?;
    let (flow, csrf) = visitor.flow("settings/browser", None).await?;
    let profile = |csrf: &str| {
        let traits = json!({ "email": somebody.email, "name": { "first": "Zoe" } });
        let mut body = models::UpdateSettingsFlowWithProfileMethod::new("profile".to_owned(), traits);
        body.csrf_token = Some(csrf.to_owned());
        models::UpdateSettingsFlowBody::Profile(Box::new(body))
    };
    let forged = api::update_settings_flow(sdk, &flow, profile("made-up"), None, None).await;
    report.refuse("updateSettingsFlow", 403, CSRF, forged)?;
    let saved = api::update_settings_flow(sdk, &flow, profile(&csrf), None, None).await;
    report.accept_opaque("updateSettingsFlow", saved)?;
    visitor.admitted(None, &somebody.identity).await
}

pub(crate) async fn recovery_leads_to_the_settings(report: &mut Report) -> Outcome {
    let (somebody, visitor) = (report.sign_up().await?, Visitor::browser()?);
    let sdk = &visitor.sdk;
    report.accept_opaque("createBrowserRecoveryFlow", api::create_browser_recovery_flow(sdk, None).await)?;
    let stray = api::create_browser_recovery_flow(sdk, Some(ELSEWHERE)).await;
    report.refuse("createBrowserRecoveryFlow", 400, FORBIDDEN, stray)?;
    let (flow, csrf) = visitor.flow("recovery/browser", None).await?;
    let body = |email: Option<&str>, code: Option<&str>, csrf: &str| {
        let mut body = models::UpdateRecoveryFlowWithCodeMethod::new(Default::default());
        body.method = models::update_recovery_flow_with_code_method::MethodEnum::Code;
        body.email = email.map(str::to_owned);
        body.code = code.map(str::to_owned);
        body.csrf_token = Some(csrf.to_owned());
        models::UpdateRecoveryFlowBody::Code(Box::new(body))
    };
    let email = Some(somebody.email.as_str());
    let forged = api::update_recovery_flow(sdk, &flow, body(email, None, "made-up"), None, None).await;
    report.refuse("updateRecoveryFlow", 403, CSRF, forged)?;
    let sent = api::update_recovery_flow(sdk, &flow, body(email, None, &csrf), None, None).await;
    report.accept_opaque("updateRecoveryFlow", sent)?;
    let code = mailed_code(&somebody.email).await?;
    let moved = api::update_recovery_flow(sdk, &flow, body(None, Some(&code), &csrf), None, None).await;
    let moved: Value = serde_json::from_str(&report.refused("updateRecoveryFlow", 422, moved)?)?;
    ensure!(moved["redirect_browser_to"].is_string(), "{moved}");
    visitor.admitted(None, &somebody.identity).await
}

pub(crate) async fn verification_is_bound_to_its_browser(report: &mut Report) -> Outcome {
    let (somebody, visitor) = (report.sign_up().await?, Visitor::browser()?);
    let sdk = &visitor.sdk;
    report.accept_opaque("createBrowserVerificationFlow", api::create_browser_verification_flow(sdk, None).await)?;
    let stray = api::create_browser_verification_flow(sdk, Some(ELSEWHERE)).await;
    report.refuse("createBrowserVerificationFlow", 400, FORBIDDEN, stray)?;
    let (flow, _) = visitor.flow("verification/browser", None).await?;
    let foreign = api::get_verification_flow(&Visitor::browser()?.sdk, &flow, None).await;
    report.refuse("getVerificationFlow", 403, CSRF, foreign)?;
    let mut body = models::UpdateVerificationFlowWithCodeMethod::new(Default::default());
    body.method = models::update_verification_flow_with_code_method::MethodEnum::Code;
    body.email = Some(somebody.email);
    body.csrf_token = Some("made-up".to_owned());
    let body = models::UpdateVerificationFlowBody::Code(Box::new(body));
    let forged = api::update_verification_flow(sdk, &flow, body, None, None).await;
    report.refuse("updateVerificationFlow", 403, CSRF, forged)
}
