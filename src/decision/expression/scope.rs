//! What the expressions of one request can see.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::common::types::{CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::objects::{Key, Map};

use crate::decision::request::RequestView;

/// Something that somebody told us, as expressions read it: the claims of a token, the answer of a service.
pub struct Told(Box<dyn Val>);

impl Told {
    /// Nothing where the value is of a kind that expressions do not know.
    pub fn new(value: Value) -> Option<Self> {
        Some(Self(value.try_into().ok()?))
    }

    /// What several have told, by name.
    pub fn by_name<'n>(told: impl IntoIterator<Item = (&'n str, Value)>) -> Option<Self> {
        let told = told.into_iter().map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value));
        Self::new(Value::Map(Map { map: Arc::new(told.collect()) }))
    }
}

impl std::fmt::Debug for Told {
    /// What was told may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told(..)")
    }
}

/// The session as expressions read it.
pub struct Facts {
    session: Told,
    identity: Told,
}

impl Facts {
    /// Takes the whole session, and its identity apart.
    pub fn new(session: Value, identity: Value) -> Option<Self> {
        Some(Self { session: Told::new(session)?, identity: Told::new(identity)? })
    }
}

static NULL: CelNull = CelNull;

/// What the expressions of one request can see.
#[derive(Clone, Copy, Default)]
pub struct Scope<'r> {
    pub facts: Option<&'r Facts>,
    /// Who asks, in one word: the id of an identity, or the subject of a token.
    pub subject: Option<&'r str>,
    /// Of a token.
    pub claims: Option<&'r Told>,
    /// What services told about the caller.
    pub context: Option<&'r Told>,
    pub request: Option<&'r RequestView<'r>>,
    pub captures: &'r [(Box<str>, Box<str>)],
}

impl<'r> Scope<'r> {
    pub fn new(facts: Option<&'r Facts>, request: &'r RequestView<'r>, captures: &'r [(Box<str>, Box<str>)]) -> Self {
        Self { facts, request: Some(request), captures, ..Self::default() }
    }

    /// A scope for expressions that read the session alone.
    pub fn of_session(facts: Option<&'r Facts>) -> Self {
        Self { facts, ..Self::default() }
    }

    fn request(&self) -> Option<CelMap<'r>> {
        let request = self.request?;
        let captures = self.captures.iter().map(|(name, value)| (key(name), text(value))).collect();
        let mut headers = HashMap::<CelMapKey<'_>, Box<dyn Val>>::new();
        for name in request.headers().keys() {
            // A repeated header is read whole, as a list: whichever of its values a service goes by was seen here.
            // One that is no text is there all the same: who asks whether a header is absent must not be deceived.
            let values = request.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            headers.insert(key(name.as_str()), text(&values.collect::<Vec<_>>().join(", ")));
        }
        let map = HashMap::<CelMapKey<'_>, Box<dyn Val>>::from([
            (key("method"), text(request.method().as_str())),
            (key("host"), text(request.host().name())),
            (key("path"), text(request.decoded_path())),
            (key("query"), text(request.query().unwrap_or_default())),
            (key("headers"), Box::new(CelMap::from(headers)) as Box<dyn Val>),
            (key("captures"), Box::new(CelMap::from(HashMap::from_iter::<Vec<_>>(captures)))),
        ]);
        Some(CelMap::from(map))
    }
}

fn key(name: &str) -> CelMapKey<'static> {
    CelMapKey::from(name.to_owned())
}

fn text(value: &str) -> Box<dyn Val> {
    Box::new(CelString::from(value.to_owned()))
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let told = |told: Option<&'b Told>| told.map_or(CowVal::Borrowed(&NULL), |told| CowVal::Borrowed(&*told.0));
        match variable {
            "session" => Some(told(self.facts.map(|facts| &facts.session))),
            "identity" => Some(told(self.facts.map(|facts| &facts.identity))),
            "claims" => Some(told(self.claims)),
            "context" => Some(told(self.context)),
            "subject" => {
                let subject = |subject: &str| CowVal::owned(CelString::from(subject.to_owned()));
                Some(self.subject.map_or(CowVal::Borrowed(&NULL), subject))
            }
            "request" => Some(self.request().map_or(CowVal::Borrowed(&NULL), CowVal::owned)),
            _ => None,
        }
    }
}
