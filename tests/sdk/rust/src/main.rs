//! Ory's Rust SDK as a judge: calls every operation of Kratos' public API through the gateway.
//!
//! The crate cannot decode what has a choice of shapes, `UiNodeAttributes` and `ContinueWith`: the generated code takes
//! the field that tells the shape away before the shape itself asks for it. That holds for a real Kratos' answers too,
//! see [`limits`]. Such answers count as undecodable here, and are decoded piece by piece instead.

mod browser;
mod kratos;
mod limits;
mod native;
mod report;

use std::process::ExitCode;

use crate::report::Report;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut report = Report::default();
    macro_rules! run {
        ($($module:ident::$test:ident),* $(,)?) => {
            $(
                let outcome = $module::$test(&mut report).await;
                report.close(concat!(stringify!($module), "::", stringify!($test)), outcome);
            )*
        };
    }
    run!(
        limits::the_sdk_cannot_decode_a_flow_of_kratos_itself,
        native::login_yields_a_token_that_the_gateway_knows_until_logout,
        native::login_flows_are_refused_to_who_has_no_use_for_them,
        native::registration_refuses_what_is_weak_or_taken,
        native::settings_change_the_identity,
        native::sessions_are_listed_and_ended,
        native::whoami_tokenizes_the_session,
        native::a_session_token_is_exchanged_for_two_codes,
        native::a_mailed_code_recovers_an_account,
        native::a_mailed_code_verifies_an_address,
        native::errors_and_the_webauthn_script_are_served,
        browser::login_gives_a_cookie_and_logout_takes_it_away,
        browser::registration_gives_a_cookie,
        browser::settings_need_a_cookie_and_a_csrf_token,
        browser::recovery_leads_to_the_settings,
        browser::verification_is_bound_to_its_browser,
    );
    report.finish()
}
