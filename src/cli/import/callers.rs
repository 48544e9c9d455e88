//! Oathkeeper's authenticators, as who may pass a rule of ours and whoever vouches for them.

use serde_json::json;

use super::definitions::{Definitions, named};
use super::handlers::{Access, Handled, anonymous};
use super::mechanism::{Asked, Kratos, Mechanism, Via, mechanism};
use super::source::{Handler, OathRule};
use super::template::{Extra, Named};

impl Handled {
    pub(super) fn authenticators(
        &mut self,
        rule: &OathRule,
        kratos: &Kratos,
        definitions: &mut Definitions,
    ) -> Result<Named, String> {
        if rule.authenticators.is_empty() {
            return Err("it has no authenticator, so that Oathkeeper answers 500".to_owned());
        }
        let mut session = None::<Asked>;
        let mut open = None::<String>;
        let mut takes_tokens = false;
        let (mut opaque, mut signed) = (false, false);
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
                // `anonymous` leaves whoever brings an `Authorization` to those behind it.
                Mechanism::Session(asked) if open.is_some() && asked.via != Via::Bearer => {
                    self.improved(format!("`{}` stands behind `anonymous`, which answers first", handler.name));
                }
                Mechanism::Session(asked) => {
                    self.session(handler, &asked, session.is_some(), kratos)?;
                    session.get_or_insert(asked);
                }
                Mechanism::Token(token) => {
                    takes_tokens = true;
                    let is_opaque = token.definition.get("introspection").is_some();
                    (opaque, signed) = (opaque || is_opaque, signed || !is_opaque);
                    for remark in &token.remarks {
                        self.improved(format!("`{}`: {remark}", handler.name));
                    }
                    let name = named(&mut definitions.authenticators, token.name, token.definition);
                    self.authenticate.push(match token.scopes.as_slice() {
                        [] => json!(name),
                        scopes => json!({ name: { "scopes": scopes } }),
                    });
                }
            }
        }
        self.access = match (session.is_some() || takes_tokens, &open) {
            (true, None) => Access::Session,
            (true, Some(_)) => Access::Optional,
            (false, Some(_)) => Access::Public,
            (false, None) => Access::Deny,
        };
        if self.access == Access::Optional {
            for when in &mut self.when {
                *when = format!("session == null || {when}");
            }
            self.improved("a stale session or token passes unnamed, as without one; Oathkeeper refused it with 401");
        }
        if self.access == Access::Deny {
            self.improved("`unauthorized` answered 401; `access: deny` answers 403");
        }
        if takes_tokens {
            // Oathkeeper leaves the token in the request.
            self.forward_credentials = true;
            if let Some(name) = open.as_ref().filter(|name| !name.is_empty()) {
                self.authenticate.push(anonymous(name));
            }
            if session.as_ref().is_some_and(|asked| asked.via == Via::Bearer) {
                self.improved("of its bearers, those that begin `ory_st_` are for Kratos and the others are not");
            }
        }
        let who = match session {
            Some(asked) => Named::session(asked.subject, asked.extra, open),
            None if takes_tokens => Named::default(),
            None => Named::constant(open.unwrap_or_default()),
        };
        Ok(if takes_tokens {
            who.or_token(match (opaque, signed) {
                (true, true) => Extra::Unclear,
                (true, false) => Extra::OfIntrospection,
                (false, _) => Extra::Claims,
            })
        } else {
            who
        })
    }

    fn session(&mut self, handler: &Handler, asked: &Asked, both: bool, kratos: &Kratos) -> Result<(), String> {
        if kratos.origin.as_ref().is_some_and(|origin| *origin != asked.origin) {
            return Err(format!("`{}` asks a second Kratos, {}", handler.name, asked.origin));
        }
        for (verdict, remark) in &asked.remarks {
            self.remarks.push((*verdict, format!("`{}`: {remark}", handler.name)));
        }
        // A cookie travels by itself; whoever wanted tokens only must not be open to forged requests.
        let brought = match asked.via {
            Via::Bearer => Some("has(request.headers.authorization)"),
            Via::SessionToken => Some("'x-session-token' in request.headers"),
            Via::Cookies(_) => None,
        };
        match brought {
            Some(brought) if !both && kratos.cookie => self.when.push(brought.to_owned()),
            Some(_) | None => self.when.clear(),
        }
        if !both {
            self.authenticate.push(json!("session"));
        }
        Ok(())
    }
}
