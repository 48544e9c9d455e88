//! Oathkeeper's handlers, as what a rule of ours demands, tells and refuses.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, KEY, named};
use super::documents::document;
use super::mechanism::Kratos;
use super::refusals::{Refusals, refusals};
use super::source::{Handler, OathConfig, OathRule, text};
use super::template::{Named, header};
use super::{Verdict, remote, tokens};
use crate::config::id_token::OWN_CLAIMS;

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
    /// Who can vouch for a caller; empty: a session can.
    pub(super) authenticate: Vec<Value>,
    pub(super) enrich: Vec<String>,
    pub(super) authorize: Vec<Value>,
    pub(super) id_token: Option<Value>,
    pub(super) cookies: Vec<(String, String)>,
    pub(super) forward_credentials: bool,
    /// Absent where nothing is refused, or nobody said how.
    pub(super) refusals: Option<Refusals>,
    pub(super) remarks: Vec<(Verdict, String)>,
}

impl Handled {
    /// What is demanded beside access, in a text that two rules share only where they demand the same.
    pub(super) fn demands(&self) -> String {
        let authenticate = self.authenticate.as_slice();
        let by_session = authenticate.is_empty() || authenticate == [json!("session")];
        let is_any = !(self.when.is_empty() && self.authorize.is_empty() && by_session);
        let all = json!([self.when, self.authorize, authenticate]);
        if is_any { all.to_string() } else { String::new() }
    }
}

/// Translates the handlers of one rule.
pub(super) fn handled(rule: &OathRule, config: &OathConfig, kratos: &Kratos, definitions: &mut Definitions) -> Handled {
    let mut handled = Handled {
        access: Access::Deny,
        when: Vec::new(),
        headers: Vec::new(),
        authenticate: Vec::new(),
        enrich: Vec::new(),
        authorize: Vec::new(),
        id_token: None,
        cookies: Vec::new(),
        forward_credentials: false,
        refusals: None,
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
    // What a rule that lets nobody pass would have used is not written.
    let mut defined = definitions.clone();
    let translated = handled.authenticators(rule, kratos, &mut defined).and_then(|named| {
        handled.authorizer(rule, &named, &mut defined)?;
        handled.mutators(rule, named, &mut defined)
    });
    match translated {
        Ok(()) if handled.access != Access::Deny => *definitions = defined,
        Ok(()) => handled.clear(),
        Err(why) => handled.closed(why),
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
    /// Where browsers without a session are sent.
    pub(super) fn login(&self) -> Option<&str> {
        self.refusals.as_ref()?.login.as_deref()
    }

    /// What reads captures, beside headers.
    pub(super) fn templates(&self) -> Vec<String> {
        let cookies = self.cookies.iter().map(|(_, template)| template.clone());
        let documents = self.authorize.iter().chain(&self.id_token).map(ToString::to_string);
        cookies.chain(documents).collect()
    }

    /// Whether a definition is used here.
    pub(super) fn uses(&self, section: &str, name: &str) -> bool {
        let is_it = |entry: &Value| match entry {
            Value::Object(entry) => entry.contains_key(name),
            entry => entry == name,
        };
        match section {
            "authenticators" => self.authenticate.iter().any(is_it),
            "authorizers" => self.authorize.iter().any(is_it),
            _ => self.enrich.iter().any(|own| own == name),
        }
    }

    pub(super) fn improved(&mut self, text: impl Into<String>) {
        self.remarks.push((Verdict::Improved, text.into()));
    }

    fn dropped(&mut self, text: impl Into<String>) {
        self.remarks.push((Verdict::Dropped, text.into()));
    }

    /// Forgets what a rule that lets nobody pass does not need.
    fn clear(&mut self) {
        self.when.clear();
        self.authenticate.clear();
        self.enrich.clear();
        self.authorize.clear();
        self.cookies.clear();
        (self.id_token, self.forward_credentials) = (None, false);
    }

    /// What cannot be kept must not have become more open.
    pub(super) fn closed(&mut self, why: impl Into<String>) {
        self.access = Access::Deny;
        self.clear();
        self.headers.clear();
        self.dropped(format!("{}; the rule lets nobody pass (`access: deny`) until you say who may", why.into()));
    }

    fn authorizer(&mut self, rule: &OathRule, who: &Named, definitions: &mut Definitions) -> Result<(), String> {
        let Some(handler) = &rule.authorizer else {
            return Err("it has no authorizer, so that Oathkeeper answers 500".to_owned());
        };
        match handler.name.as_str() {
            "allow" => Ok(()),
            "deny" => {
                self.access = Access::Deny;
                Ok(())
            }
            "remote_json" => {
                let asked = remote::remote_json(handler, who)?;
                for remark in &asked.remarks {
                    self.improved(format!("`remote_json`: {remark}"));
                }
                let name = named(&mut definitions.authorizers, asked.name, asked.definition);
                self.authorize.push(json!({ name: asked.of_rule }));
                Ok(())
            }
            "remote" => {
                Err("the authorizer `remote` sends the body of the request, which nobody looks at here".to_owned())
            }
            "keto_engine_acp_ory" => Err(
                "the authorizer `keto_engine_acp_ory` speaks to a Keto that is gone: `authorize` asks a current one"
                    .to_owned(),
            ),
            name => Err(format!("the authorizer `{name}` has nothing like it here")),
        }
    }

    fn mutators(&mut self, rule: &OathRule, mut who: Named, definitions: &mut Definitions) -> Result<(), String> {
        if rule.mutators.is_empty() {
            return Err("it has no mutator, so that Oathkeeper answers 500".to_owned());
        }
        for handler in &rule.mutators {
            match handler.name.as_str() {
                "noop" => {}
                "header" => self.headers(handler, &who)?,
                "id_token" => self.id_token(handler, &who, definitions)?,
                "hydrator" if self.access == Access::Optional => {
                    return Err("its `hydrator` was asked about callers without a session, too; ours is not".to_owned());
                }
                "hydrator" => {
                    let asked = remote::hydrator(handler, &who)?;
                    for remark in &asked.remarks {
                        self.improved(remark.clone());
                    }
                    let name = named(&mut definitions.enrichers, asked.name, asked.definition);
                    self.improved(format!("the answer of the hydrator is `context.{name}` beside the session"));
                    who = who.hydrated(&name);
                    self.enrich.push(name);
                }
                "cookie" => self.cookies(handler, &who)?,
                name => return Err(format!("the mutator `{name}` has nothing like it here")),
            }
        }
        Ok(())
    }

    fn id_token(&mut self, handler: &Handler, who: &Named, definitions: &mut Definitions) -> Result<(), String> {
        let config = &handler.config;
        let issuer = config.get("issuer_url").and_then(text).filter(|issuer| !issuer.trim().is_empty());
        let issuer = issuer.map(|issuer| tokens::plain(&issuer)).ok_or("`id_token` has no `issuer_url`")?;
        if definitions.issuer.as_ref().is_some_and(|known| *known != issuer) {
            return Err(format!("`id_token` signs in a second name, `{issuer}`"));
        }
        let mut token = Map::new();
        let ttl = config.get("ttl").and_then(text).unwrap_or_else(|| "15m".to_owned());
        let ttl = tokens::duration(&ttl).ok_or_else(|| format!("`id_token` is good for `{ttl}`"))?;
        token.insert("ttl".to_owned(), json!(ttl));
        if let Some(claims) = config.get("claims").and_then(text).filter(|claims| !claims.trim().is_empty()) {
            let claims = document(&claims, who).map_err(|why| format!("the claims of `id_token`: {why}"))?;
            let Value::Object(mut claims) = claims else {
                return Err("the claims of `id_token` are no object".to_owned());
            };
            if let Some(audience) = claims.remove("aud") {
                token.insert("audience".to_owned(), audience);
            }
            // Oathkeeper lets nobody overrule them either.
            claims.retain(|name, _| !OWN_CLAIMS.contains(&name.as_str()));
            if !claims.is_empty() {
                token.insert("claims".to_owned(), Value::Object(claims));
            }
        }
        if let Some(name) = who.only_name() {
            if name.is_empty() {
                return Err("`id_token` signs a token about nobody".to_owned());
            }
            // Nobody is asked who asks, and yet somebody is named.
            self.access = Access::Optional;
            self.authenticate = vec![anonymous(name)];
        }
        definitions.issuer = Some(issuer);
        self.id_token = Some(Value::Object(token));
        self.forward_credentials = false;
        self.improved(format!(
            "`id_token` is signed with a new key: `portcullis keys generate {KEY}` makes it, and /.well-known/jwks.json has it"
        ));
        Ok(())
    }

    fn cookies(&mut self, handler: &Handler, who: &Named) -> Result<(), String> {
        for (name, template) in handler.config.get("cookies").and_then(Value::as_object).into_iter().flatten() {
            let template = text(template).ok_or_else(|| format!("the cookie `{name}` is no text"))?;
            let value =
                super::template::template(&template, who).map_err(|why| format!("the cookie `{name}`: {why}"))?;
            self.cookies.push((name.clone(), value));
        }
        Ok(())
    }

    fn headers(&mut self, handler: &Handler, who: &Named) -> Result<(), String> {
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
            let template_text = text(template).ok_or_else(|| "it is no text".to_owned());
            let value = match template_text.and_then(|template| header(name, &template, who)) {
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

    /// What is refused, and how.
    fn errors(&mut self, rule: &OathRule, config: &OathConfig) {
        let refuses = match self.access {
            Access::Session => true,
            Access::Optional | Access::Public => !self.authorize.is_empty(),
            Access::Deny => !rule.errors.is_empty(),
        };
        if refuses {
            let refusals = refusals(rule, config);
            for why in &refusals.dropped {
                self.dropped(why.clone());
            }
            for why in &refusals.improved {
                self.improved(why.clone());
            }
            self.refusals = Some(refusals);
        }
    }
}

/// Whoever brings nothing is called this.
pub(super) fn anonymous(name: &str) -> Value {
    json!({ "anonymous": { "subject": tokens::plain(name) } })
}

const NO_AUTHORIZATION: &str = "!has(request.headers.authorization)";

/// A bearer that decides alone is taken from the request; beside another credential it would travel on unread.
const BEARER_ALONE: &str = "!has(request.headers.authorization) || (session != null && !has(request.headers.cookie) \
                            && !has(request.headers[\"x-session-token\"]))";
