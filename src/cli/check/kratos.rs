//! `check --kratos`: asks the running Kratos whether what it believes of itself fits the configuration.

use http::header::{ACCEPT, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use reqwest::Client;
use serde_json::Value;
use url::Url;

use crate::config::Config;

/// What does not fit, and its cure; one sentence each. Empty: all that can be asked fits.
pub(super) async fn misfits(config: &Config) -> Vec<String> {
    let sessions = &config.settings.sessions;
    match sessions.client() {
        Ok(client) => Inquiry { config, client, kratos: sessions.kratos.clone() }.run().await,
        Err(error) => vec![error.to_string()],
    }
}

struct Inquiry<'c> {
    config: &'c Config,
    client: Client,
    kratos: Url,
}

/// An answer, as far as it matters here.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Inquiry<'_> {
    async fn run(&self) -> Vec<String> {
        let ready = match self.ask("/health/ready", "application/json").await {
            Ok(answer) => answer,
            Err(why) => return vec![format!("Kratos cannot be reached at {}: {why}", self.kratos)],
        };
        let mut misfits = Vec::new();
        if !matches!(ready.status, StatusCode::OK | StatusCode::NOT_FOUND) {
            misfits.push(format!("Kratos says it is not ready ({}): look at its log and its database", ready.status));
        }
        match self.ask("/sessions/whoami", "application/json").await {
            Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {}
            Ok(answer) => misfits.push(format!(
                "/sessions/whoami without a credential is {} and not 401: `kratos.url` must be Kratos' public API, not its \
                 admin API or something else",
                answer.status
            )),
            Err(why) => misfits.push(format!("/sessions/whoami cannot be asked: {why}")),
        }
        match self.ask("/self-service/login/browser", "application/json").await {
            Ok(flow) if flow.status == StatusCode::OK => self.hold_against(&flow, &mut misfits),
            Ok(flow) => misfits.push(format!("Kratos begins no login for a browser: {}", describe(&flow))),
            Err(why) => misfits.push(format!("Kratos begins no login for a browser: {why}")),
        }
        self.check_way_back(&mut misfits).await;
        self.check_pages(&mut misfits).await;
        misfits
    }

    /// Where forms are sent, and whether the browser will keep Kratos' cookies.
    fn hold_against(&self, flow: &Answer, misfits: &mut Vec<String>) {
        let public = self.public_url();
        let action = flow.body["ui"]["action"].as_str().unwrap_or_default();
        let expected = format!("{}/self-service/login", self.mounted());
        match Url::parse(action) {
            Ok(url) if url.path() != expected => misfits.push(format!(
                "Kratos sends forms to the path {}, and here that is {expected}: set its `serve.public.base_url` to {}",
                url.path(),
                self.base_url()
            )),
            Ok(url) if public.as_ref().is_some_and(|public| public.origin() != url.origin()) => misfits.push(format!(
                "Kratos sends forms to {}, and browsers call the gateway {}: set its `serve.public.base_url` to {}",
                url.origin().ascii_serialization(),
                public.map(|public| public.origin().ascii_serialization()).unwrap_or_default(),
                self.base_url()
            )),
            Ok(_) => {}
            Err(_) => misfits.push(format!("the login flow of Kratos has no form that can be sent: `{action}`")),
        }
        let Some(public) = self.public_url() else { return };
        for cookie in flow.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let name = cookie.split('=').next().unwrap_or_default();
            let mut attributes = cookie.split(';').skip(1).map(str::trim);
            if public.scheme() == "http" && attributes.clone().any(|attribute| attribute.eq_ignore_ascii_case("secure"))
            {
                misfits.push(format!(
                    "the cookie {name} is for https alone, and browsers come by http: use https, or for development \
                     start Kratos with --dev"
                ));
            }
            let domain = attributes.find_map(|attribute| {
                let (name, value) = attribute.split_once('=')?;
                name.eq_ignore_ascii_case("domain").then(|| value.trim_start_matches('.').to_ascii_lowercase())
            });
            if let (Some(domain), Some(host)) = (domain, public.host_str())
                && host != domain
                && !host.ends_with(&format!(".{domain}"))
            {
                misfits.push(format!(
                    "the cookie {name} is for {domain}, and browsers come to {host}, which will not get it: mend Kratos' \
                     `cookies.domain`"
                ));
            }
        }
    }

    /// Whether Kratos lets people come back to the gateway.
    async fn check_way_back(&self, misfits: &mut Vec<String>) {
        let Some(public) = self.public_url() else { return };
        let back = format!("{}/", public.origin().ascii_serialization());
        let target = format!("/self-service/login/browser?return_to={back}");
        if let Ok(answer) = self.ask(&target, "application/json").await
            && answer.body["error"]["id"] == "self_service_flow_return_to_forbidden"
        {
            misfits.push(format!(
                "Kratos does not send people back to {back}: add it to its `selfservice.allowed_return_urls`"
            ));
        }
    }

    /// Whether Kratos shows the sign-in pages that are on here.
    async fn check_pages(&self, misfits: &mut Vec<String>) {
        let Some(ui) = &self.config.settings.ui else { return };
        let Ok(answer) = self.ask("/self-service/login/browser", "text/html").await else { return };
        let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
        let shown = Url::parse(location).map(|url| url.path().to_owned()).unwrap_or_default();
        let ours = format!("{}/login", ui.path_prefix);
        if shown != ours {
            misfits.push(format!(
                "Kratos shows its login at `{}`, and the pages here are at {ours}: set its \
                 `selfservice.flows.login.ui_url`, and those of the other flows",
                location.split('?').next().unwrap_or_default()
            ));
        }
    }

    async fn ask(&self, target: &str, accept: &str) -> Result<Answer, String> {
        let url = self.kratos.join(target).map_err(|error| error.to_string())?;
        let request = self.client.get(url).header(ACCEPT, accept).timeout(self.config.settings.sessions.timeout);
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| error.without_url().to_string())?;
        Ok(Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// What browsers call the gateway, where the configuration says so.
    fn public_url(&self) -> Option<Url> {
        let public = self.config.policy.public_url.as_ref()?;
        Url::parse(&public.origin).ok()
    }

    /// Where Kratos' public API is mounted here.
    fn mounted(&self) -> &str {
        &self.config.policy.kratos_prefix
    }

    /// What Kratos' `serve.public.base_url` should be.
    fn base_url(&self) -> String {
        let origin = self.config.policy.public_url.as_ref().map(|public| public.origin.to_string());
        let origin = origin.unwrap_or_else(|| "what browsers call the gateway, with the path ".to_owned());
        format!("{origin}{}/", self.mounted())
    }
}

/// What an unexpected answer says of itself.
fn describe(answer: &Answer) -> String {
    let reason = answer.body["error"]["reason"].as_str().unwrap_or_default();
    format!("{} {reason}", answer.status).trim_end().to_owned()
}
