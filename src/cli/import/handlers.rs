//! Oathkeeper's handlers, as what a rule of ours demands, tells and refuses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Verdict;
use super::mechanism::{Asked, Kratos, Mechanism, Via, mechanism};
use super::source::{Handler, OathConfig, OathRule, text, texts};
use super::template::{Named, header};

/// Who may pass, in the order of strictness.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Access {
    Public,
    Optional,
    Session,
    Deny,
}

impl Access {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Optional => "optional",
            Self::Session => "session",
            Self::Deny => "deny",
        }
    }
}

/// What becomes of the handlers of one rule.
#[derive(Clone, Debug)]
pub(super) struct Handled {
    pub(super) access: Access,
    /// Conditions, all of which must hold.
    pub(super) when: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) on_refusal: Option<&'static str>,
    /// Where browsers without a session are sent.
    pub(super) redirect: Option<String>,
    pub(super) remarks: Vec<(Verdict, String)>,
}

/// Translates the handlers of one rule.
pub(super) fn handled(rule: &OathRule, config: &OathConfig, kratos: &Kratos) -> Handled {
    let mut handled = Handled {
        access: Access::Deny,
        when: Vec::new(),
        headers: Vec::new(),
        on_refusal: None,
        redirect: None,
        remarks: Vec::new(),
    };
    let all = rule.authenticators.iter().chain(&rule.authorizer).chain(&rule.mutators);
    let disabled = all.filter(|handler| handler.disabled).map(|handler| format!("`{}`", handler.name));
    let disabled = disabled.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    if !disabled.is_empty() {
        handled.closed(format!(
            "{} not enabled in the configuration, so that Oathkeeper answers 500 unless its environment enables it",
            if let [one] = disabled.as_slice() { format!("{one} is") } else { format!("{} are", disabled.join(", ")) }
        ));
        return handled;
    }
    if let Err(why) = handled.authenticators(rule, kratos).and_then(|named| {
        handled.authorizer(rule)?;
        handled.mutators(rule, &named)
    }) {
        handled.closed(why);
    }
    if handled.access != Access::Deny && rule.authenticators.iter().any(|handler| handler.name == "anonymous") {
        let why = "requests that bring an `Authorization` header pass too; `anonymous` left them to whoever came next";
        handled.improved(why);
    }
    handled.errors(rule, config);
    handled.guards(rule, kratos);
    handled
}

impl Handled {
    fn improved(&mut self, text: impl Into<String>) {
        self.remarks.push((Verdict::Improved, text.into()));
    }

    fn dropped(&mut self, text: impl Into<String>) {
        self.remarks.push((Verdict::Dropped, text.into()));
    }

    /// What cannot be kept must not have become more open.
    fn closed(&mut self, why: impl Into<String>) {
        self.access = Access::Deny;
        self.when.clear();
        self.headers.clear();
        self.dropped(format!("{}; the rule lets nobody pass (`access: deny`) until you say who may", why.into()));
    }

    fn authenticators(&mut self, rule: &OathRule, kratos: &Kratos) -> Result<Named, String> {
        if rule.authenticators.is_empty() {
            return Err("it has no authenticator, so that Oathkeeper answers 500".to_owned());
        }
        let mut session = None::<Asked>;
        let mut open = None::<String>;
        for handler in &rule.authenticators {
            match mechanism(handler)? {
                Mechanism::Nobody => break,
                Mechanism::Open(subject) => {
                    let is_last_word = handler.name == "noop";
                    open.get_or_insert(subject);
                    if is_last_word {
                        break;
                    }
                }
                Mechanism::Session(asked) if open.is_some() => {
                    drop(asked);
                    self.improved(format!("`{}` stands behind `anonymous`, which answers first", handler.name));
                }
                Mechanism::Session(asked) => {
                    if kratos.origin.as_ref().is_some_and(|origin| *origin != asked.origin) {
                        return Err(format!("`{}` asks a second Kratos, {}", handler.name, asked.origin));
                    }
                    for remark in &asked.remarks {
                        self.improved(format!("`{}`: {remark}", handler.name));
                    }
                    let both = session.is_some();
                    if asked.via == Via::Bearer && !both && kratos.cookie {
                        // A cookie travels by itself; whoever wanted bearers only must not be open to forged requests.
                        self.when.push("has(request.headers.authorization)".to_owned());
                    } else {
                        self.when.clear();
                    }
                    session.get_or_insert(asked);
                }
            }
        }
        self.access = match (&session, &open) {
            (Some(_), None) => Access::Session,
            (Some(_), Some(_)) => Access::Optional,
            (None, Some(_)) => Access::Public,
            (None, None) => Access::Deny,
        };
        if self.access == Access::Optional {
            self.when.clear();
            self.improved("a stale session passes unnamed, as without one; Oathkeeper refused it with 401");
        }
        if self.access == Access::Deny {
            self.improved("`unauthorized` answered 401; `access: deny` answers 403");
        }
        Ok(match session {
            Some(asked) => Named::Session { subject: asked.subject, extra: asked.extra, anonymous: open },
            None => Named::Constant(open.unwrap_or_default()),
        })
    }

    fn authorizer(&mut self, rule: &OathRule) -> Result<(), String> {
        match rule.authorizer.as_ref().map(|handler| handler.name.as_str()) {
            Some("allow") => Ok(()),
            Some("deny") => {
                self.access = Access::Deny;
                self.when.clear();
                Ok(())
            }
            Some(name) => Err(format!("the authorizer `{name}` has nothing like it here yet")),
            None => Err("it has no authorizer, so that Oathkeeper answers 500".to_owned()),
        }
    }

    fn mutators(&mut self, rule: &OathRule, named: &Named) -> Result<(), String> {
        if rule.mutators.is_empty() {
            return Err("it has no mutator, so that Oathkeeper answers 500".to_owned());
        }
        let mut is_hydrated = false;
        for handler in &rule.mutators {
            match handler.name.as_str() {
                "noop" => {}
                "header" => self.headers(handler, named, is_hydrated)?,
                "id_token" => {
                    self.dropped(
                        "`id_token` has nothing like it here yet: THE SERVICE GETS NO JWT and must not rely on one; \
                         requests with an `Authorization` of their own are refused, for nobody replaces it now",
                    );
                    self.refuse_authorization();
                }
                "hydrator" => {
                    is_hydrated = true;
                    self.dropped("`hydrator` has nothing like it here yet: nobody is asked for more about the caller");
                }
                "cookie" => {
                    return Err("`cookie` has nothing like it here yet, and a client could send such a cookie itself"
                        .to_owned());
                }
                name => return Err(format!("the mutator `{name}` has nothing like it here")),
            }
        }
        Ok(())
    }

    fn headers(&mut self, handler: &Handler, named: &Named, is_hydrated: bool) -> Result<(), String> {
        let Some(headers) = handler.config.get("headers").and_then(Value::as_object) else { return Ok(()) };
        for (name, template) in headers {
            let lower = name.to_ascii_lowercase();
            if http::HeaderName::try_from(name.as_str()).is_err() {
                self.dropped(format!("`{name}` is no name of a header"));
                continue;
            }
            match lower.as_str() {
                "authorization" => {
                    self.dropped(
                        "`Authorization` carries credentials and is not for a rule to set; requests that bring one are refused",
                    );
                    self.refuse_authorization();
                    continue;
                }
                "cookie" | "x-session-token" => {
                    return Err(format!("the header `{name}` carries credentials and is not for a rule to set"));
                }
                "x-kratos-authenticated-identity-id" => {
                    self.improved(format!("`{name}` is set by the gateway itself"));
                    continue;
                }
                _ => {}
            }
            let value = match text(template).ok_or_else(|| "it is no text".to_owned()).and_then(|template| {
                if is_hydrated && template.contains(".Extra") {
                    return Err("it reads what the hydrator told".to_owned());
                }
                header(name, &template, named)
            }) {
                Ok(value) => value,
                Err(why) => {
                    self.dropped(format!(
                        "the header `{name}` is taken from every request and not set: {why} (`{}`)",
                        text(template).unwrap_or_default()
                    ));
                    // A hole without a value: nobody else may set the header either.
                    "${null}".to_owned()
                }
            };
            self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            self.headers.push((name.clone(), value));
        }
        Ok(())
    }

    fn refuse_authorization(&mut self) {
        self.when.push(NO_AUTHORIZATION.to_owned());
    }

    /// Conditions stand in for what Oathkeeper did to a request. A rule that takes bearers itself consumes them.
    fn guards(&mut self, rule: &OathRule, kratos: &Kratos) {
        if self.access == Access::Deny {
            self.when.clear();
        }
        let takes_bearer = kratos.bearer && rule.authenticators.iter().any(|handler| handler.name == "bearer_token");
        for condition in &mut self.when {
            if condition == NO_AUTHORIZATION && takes_bearer {
                *condition = BEARER_ALONE.to_owned();
            }
        }
        super::matching::dedup(&mut self.when);
    }

    /// What is refused, and how: the rule's own error handlers come first, then those of the configuration.
    fn errors(&mut self, rule: &OathRule, config: &OathConfig) {
        let cause = if self.access == Access::Deny { "forbidden" } else { "unauthorized" };
        let fallback = config.fallback();
        let mut on_refusal = "json";
        let mut redirect = None;
        for handler in rule.errors.iter().chain(&fallback).filter(|handler| !handler.disabled) {
            let whens = handler.config.get("when").and_then(Value::as_array).cloned().unwrap_or_default();
            let fits = whens.iter().filter(|when| {
                let errors = when.get("error").map(texts).unwrap_or_default();
                errors.is_empty() || errors.iter().any(|error| error == cause)
            });
            let requests = fits.map(|when| when.get("request")).collect::<Vec<_>>();
            if !whens.is_empty() && requests.is_empty() {
                continue;
            }
            let always = whens.is_empty() || requests.iter().any(Option::is_none);
            match handler.name.as_str() {
                "redirect" => {
                    let accepts = requests.iter().flatten().filter_map(|request| request.pointer("/header/accept"));
                    let is_html =
                        |accept: &Value| texts(accept).iter().any(|one| matches!(one.as_str(), "text/html" | "text/*"));
                    if always || accepts.into_iter().any(is_html) {
                        on_refusal = if always { "redirect" } else { "auto" };
                        redirect = redirect.or_else(|| handler.config.get("to").and_then(text));
                        let parameter = handler.config.get("return_to_query_param").and_then(text).unwrap_or_default();
                        if !matches!(parameter.as_str(), "" | "return_to") {
                            self.dropped(format!("where to return to is told as `return_to`, not as `{parameter}`"));
                        }
                    } else {
                        self.dropped("its redirect has a condition that cannot be said: browsers are redirected, others get JSON");
                    }
                }
                "www_authenticate" => {
                    self.dropped("`www_authenticate`: a refusal has no realm, it is told as JSON");
                }
                _ => {}
            }
            if always {
                break;
            }
        }
        match self.access {
            Access::Session => {
                self.on_refusal = Some(on_refusal);
                self.redirect = redirect;
            }
            Access::Optional | Access::Public => {}
            Access::Deny if rule.errors.iter().any(|handler| handler.name == "redirect") && redirect.is_some() => {
                self.dropped("it redirected whom it denied; here they get 403");
            }
            Access::Deny => {}
        }
    }
}

const NO_AUTHORIZATION: &str = "!has(request.headers.authorization)";

/// A bearer that decides alone is taken from the request; beside another credential it would travel on unread.
const BEARER_ALONE: &str = "!has(request.headers.authorization) || (session != null && !has(request.headers.cookie) \
                            && !has(request.headers[\"x-session-token\"]))";
