//! What the tests of this suite share: where the server is, who visits it, and what an operation has to answer.

use std::env;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use ory_kratos_client::apis::Error;
use ory_kratos_client::apis::configuration::Configuration;
use ory_kratos_client::apis::frontend_api as api;
use ory_kratos_client::models;
use ory_kratos_client::models::ErrorGeneric;
use ory_kratos_client::models::SuccessfulNativeLogin;
use reqwest::cookie::CookieStore;
use reqwest::cookie::Jar;
use reqwest::header::ACCEPT;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use serde_json::Value;
use serde_json::json;

use crate::limits;
use crate::report::Outcome;
use crate::report::Report;
use crate::report::Stop;

pub(crate) const PASSWORD: &str = "correct-horse-battery";
/// Well formed, and nobody's.
pub(crate) const UNKNOWN_ID: &str = "00000000-0000-4000-8000-000000000000";
pub(crate) const ELSEWHERE: &str = "https://elsewhere.example/";
pub(crate) const CSRF: Option<&str> = Some("security_csrf_violation");
pub(crate) const FORBIDDEN: Option<&str> = Some("self_service_flow_return_to_forbidden");
pub(crate) const SIGNED_IN: Option<&str> = Some("session_already_available");

/// Ends the test unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!("line {}: {}", line!(), format_args!($($why)+)).into());
        }
    };
}
pub(crate) use ensure;

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn kratos_url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let url = variable("KRATOS_URL").unwrap_or_else(|| "http://127.0.0.1:4455".to_owned());
        url.trim_end_matches('/').to_owned()
    })
}

/// One client. A browser keeps cookies, a native app does not.
pub(crate) struct Visitor {
    pub(crate) sdk: Configuration,
    jar: Option<Arc<Jar>>,
}

impl Visitor {
    pub(crate) fn native() -> Outcome<Self> {
        Self::new(None)
    }

    pub(crate) fn browser() -> Outcome<Self> {
        Self::new(Some(Arc::default()))
    }

    fn new(jar: Option<Arc<Jar>>) -> Outcome<Self> {
        // The SDK does not say what it wants, and Kratos answers who does not with pages.
        let json = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let mut client = reqwest::Client::builder().timeout(Duration::from_secs(20)).default_headers(json);
        if let Some(jar) = &jar {
            client = client.cookie_provider(Arc::clone(jar));
        }
        let sdk =
            Configuration { base_path: kratos_url().to_owned(), client: client.build()?, ..Configuration::default() };
        Ok(Self { sdk, jar })
    }

    /// The cookies of now, as a thief would copy them.
    pub(crate) fn cookies(&self) -> Outcome<String> {
        let url = kratos_url().parse()?;
        let header = self.jar.as_ref().and_then(|jar| jar.cookies(&url));
        Ok(header.as_ref().map(|header| header.to_str()).transpose()?.unwrap_or_default().to_owned())
    }

    /// What the SDK asked for and could not decode, without it.
    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Outcome<Value> {
        let mut request = self.sdk.client.get(format!("{}{path}", kratos_url()));
        if let Some(token) = token {
            request = request.header("X-Session-Token", token);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// A new flow: its id, its CSRF token, and its nodes decoded one by one into the SDK's types.
    pub(crate) async fn flow(&self, path: &str, token: Option<&str>) -> Outcome<(String, String)> {
        let mut flow = self.get(&format!("/self-service/{path}"), token).await?;
        let nodes = flow["ui"]["nodes"].take();
        let mut csrf = String::new();
        for node in nodes.as_array().ok_or("no nodes")? {
            let attributes = &node["attributes"];
            match attributes["node_type"].as_str() {
                Some("input") => {
                    let input: models::UiNodeInputAttributes = serde_json::from_value(attributes.clone())?;
                    if input.name == "csrf_token" {
                        csrf = input
                            .value
                            .flatten()
                            .and_then(|value| Some(value.as_str()?.to_owned()))
                            .unwrap_or_default();
                    }
                }
                Some("text") => drop(serde_json::from_value::<models::UiNodeTextAttributes>(attributes.clone())?),
                Some("img") => drop(serde_json::from_value::<models::UiNodeImageAttributes>(attributes.clone())?),
                other => return Err(format!("a node of type {other:?}").into()),
            }
        }
        flow["ui"]["nodes"] = json!([]);
        let id = flow["id"].as_str().ok_or("no id")?.to_owned();
        match path.split('/').next() {
            Some("login") => drop(serde_json::from_value::<models::LoginFlow>(flow)?),
            Some("registration") => drop(serde_json::from_value::<models::RegistrationFlow>(flow)?),
            Some("settings") => drop(serde_json::from_value::<models::SettingsFlow>(flow)?),
            Some("recovery") => drop(serde_json::from_value::<models::RecoveryFlow>(flow)?),
            _ => drop(serde_json::from_value::<models::VerificationFlow>(flow)?),
        }
        Ok((id, csrf))
    }

    /// Calls the protected path, and returns the status and the headers that the service saw.
    pub(crate) async fn knock(&self, token: Option<&str>, cookies: Option<&str>) -> Outcome<(u16, Value)> {
        let url = variable("PROTECTED_URL").unwrap_or_else(|| format!("{}/private", kratos_url()));
        let mut request = self.sdk.client.get(url);
        for (name, value) in [("X-Session-Token", token), ("Cookie", cookies)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let mut body: Value = response.json().await?;
        Ok((status, body["headers"].take()))
    }

    /// Demands that the service sees that identity, twice: the second time from the gateway's cache.
    pub(crate) async fn admitted(&self, token: Option<&str>, identity: &str) -> Outcome {
        for _ in 0..2 {
            let (status, headers) = self.knock(token, None).await?;
            let seen = &headers["x-kratos-authenticated-identity-id"];
            ensure!(status == 200 && seen == identity, "expected {identity} to be admitted: {status} {headers}");
        }
        Ok(())
    }

    /// Demands that the credential is worth nothing, cached or not.
    pub(crate) async fn turned_away(&self, token: Option<&str>, cookies: Option<&str>) -> Outcome {
        let (status, _) = self.knock(token, cookies).await?;
        ensure!(status == 401, "expected to be turned away, got {status}");
        Ok(())
    }

    pub(crate) async fn log_in(
        &self,
        flow: &str,
        email: &str,
        password: &str,
        csrf: &str,
    ) -> Result<SuccessfulNativeLogin, Error<api::UpdateLoginFlowError>> {
        let mut body = models::UpdateLoginFlowWithPasswordMethod::new(
            email.to_owned(),
            "password".to_owned(),
            password.to_owned(),
        );
        body.csrf_token = Some(csrf.to_owned());
        let body = models::UpdateLoginFlowBody::Password(Box::new(body));
        api::update_login_flow(&self.sdk, flow, body, None, None).await
    }

    pub(crate) async fn register(
        &self,
        flow: &str,
        email: &str,
        password: &str,
        csrf: &str,
    ) -> Result<models::SuccessfulNativeRegistration, Error<api::UpdateRegistrationFlowError>> {
        let traits = json!({ "email": email, "name": { "first": "Ann" } });
        let mut body =
            models::UpdateRegistrationFlowWithPasswordMethod::new("password".to_owned(), password.to_owned(), traits);
        body.csrf_token = Some(csrf.to_owned());
        let body = models::UpdateRegistrationFlowBody::Password(Box::new(body));
        api::update_registration_flow(&self.sdk, flow, body, None).await
    }
}

impl Report {
    /// Demands success, decoded into the type that the SDK promises.
    pub(crate) fn accept<T, E: Debug>(&mut self, operation: &'static str, result: Result<T, Error<E>>) -> Outcome<T> {
        match result {
            Ok(value) => {
                self.record(operation, "succeeded");
                Ok(value)
            }
            Err(error) => {
                self.record(operation, "failed");
                Err(format!("{operation} should have succeeded: {error:?}").into())
            }
        }
    }

    /// Demands success of what the SDK cannot decode. If it can after all, so much the better.
    pub(crate) fn accept_opaque<T, E: Debug>(
        &mut self,
        operation: &'static str,
        result: Result<T, Error<E>>,
    ) -> Outcome {
        match result {
            Err(Error::Serde(error)) if limits::is_known(&error) => {
                self.record(operation, "undecodable");
                Ok(())
            }
            result => self.accept(operation, result).map(drop),
        }
    }

    /// Demands Kratos' error of that status and id; without an id the error must have none.
    pub(crate) fn refuse<T: Debug, E: Debug>(
        &mut self,
        operation: &'static str,
        status: u16,
        id: Option<&str>,
        result: Result<T, Error<E>>,
    ) -> Outcome {
        let content = self.refused(operation, status, result)?;
        let ErrorGeneric { error } = serde_json::from_str(&content)?;
        ensure!(error.code == Some(status.into()), "{operation}: {content}");
        ensure!(error.id.as_deref() == id, "{operation}: expected the id {id:?}: {content}");
        Ok(())
    }

    /// Demands a flow with a message of that id, above the form or at a node.
    pub(crate) fn refuse_with<T: Debug, E: Debug>(
        &mut self,
        operation: &'static str,
        message: i64,
        result: Result<T, Error<E>>,
    ) -> Outcome {
        let content = self.refused(operation, 400, result)?;
        ensure!(
            has_message(&serde_json::from_str(&content)?, message)?,
            "{operation}: no message {message}: {content}"
        );
        Ok(())
    }

    /// Demands that status, and returns the text.
    pub(crate) fn refused<T: Debug, E: Debug>(
        &mut self,
        operation: &'static str,
        status: u16,
        result: Result<T, Error<E>>,
    ) -> Outcome<String> {
        match result {
            Err(Error::ResponseError(answer)) if answer.status == status => {
                self.record(operation, "refused");
                Ok(answer.content)
            }
            other => {
                self.record(operation, "failed");
                Err(format!("{operation}: expected {status}, got {other:?}").into())
            }
        }
    }

    /// Somebody new, signed up by a native app.
    pub(crate) async fn sign_up(&mut self) -> Outcome<Account> {
        let app = Visitor::native()?;
        let email = new_email();
        let (flow, _) = app.flow("registration/api", None).await?;
        self.accept_opaque("updateRegistrationFlow", app.register(&flow, &email, PASSWORD, "").await)?;
        let login = self.sign_in(&email).await?;
        let identity = login.session.identity.as_ref().ok_or("no identity")?.id.clone();
        Ok(Account { email, identity, token: token_of(&login)?, session: login.session.id })
    }

    /// One more session.
    pub(crate) async fn sign_in(&mut self, email: &str) -> Outcome<SuccessfulNativeLogin> {
        let app = Visitor::native()?;
        let (flow, _) = app.flow("login/api", None).await?;
        self.accept("updateLoginFlow", app.log_in(&flow, email, PASSWORD, "").await)
    }

    /// A browser with a session cookie.
    pub(crate) async fn signed_in_browser(&mut self, email: &str) -> Outcome<Visitor> {
        let visitor = Visitor::browser()?;
        let (flow, csrf) = visitor.flow("login/browser", None).await?;
        self.accept("updateLoginFlow", visitor.log_in(&flow, email, PASSWORD, &csrf).await)?;
        Ok(visitor)
    }
}

pub(crate) struct Account {
    pub(crate) email: String,
    pub(crate) identity: String,
    pub(crate) token: String,
    pub(crate) session: String,
}

pub(crate) fn token_of(login: &SuccessfulNativeLogin) -> Outcome<String> {
    Ok(login.session_token.clone().ok_or("no session token")?)
}

/// Whether a flow has a message of that id.
pub(crate) fn has_message(flow: &Value, id: i64) -> Outcome<bool> {
    let nodes = flow["ui"]["nodes"].as_array().ok_or("no nodes")?;
    let places = nodes.iter().map(|node| &node["messages"]).chain([&flow["ui"]["messages"]]);
    Ok(places.filter_map(Value::as_array).flatten().any(|message| message["id"] == id))
}

pub(crate) fn new_email() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("rust-{now:x}-{}@example.com", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The newest code that went to that address. Without a mailbox the test cannot go on.
pub(crate) async fn mailed_code(address: &str) -> Outcome<String> {
    let Some(url) = variable("MAILBOX_URL") else {
        return Err(Stop::NotTested("codes cannot be read without MAILBOX_URL"));
    };
    let mails: Vec<Value> = reqwest::get(url).await?.json().await?;
    let code = mails.iter().rev().filter(|mail| mail["to"] == address).find_map(|mail| mail["code"].as_str());
    Ok(code.ok_or("no mail with a code went there")?.to_owned())
}
