//! A JSON document with holes: what a service is told when it is asked.

use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};

use crate::decision::expression::{Reads, Scope};
use crate::decision::template::{Part, Template};

/// A document whose texts may have holes.
#[derive(Debug)]
pub enum Payload {
    /// `true`, `null`, a number: as it was written.
    Fixed(Value),
    List(Vec<Self>),
    Map(Vec<(Box<str>, Self)>),
    Text(Template),
    /// A text that stays one whatever its hole holds.
    Word(Template),
}

/// What becomes of a hole without a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Absent {
    /// It is null.
    Null,
    /// There is no document: half a question is none.
    Nothing,
}

impl Payload {
    /// What all holes together read.
    pub fn reads(&self) -> Reads {
        match self {
            Self::Fixed(_) => Reads::default(),
            Self::List(items) => items.iter().map(Self::reads).fold(Reads::default(), Reads::and),
            Self::Map(entries) => entries.iter().map(|(_, value)| value.reads()).fold(Reads::default(), Reads::and),
            Self::Text(template) | Self::Word(template) => template.reads(),
        }
    }

    /// The document as JSON.
    pub fn render(&self, scope: &Scope<'_>, absent: Absent) -> Option<String> {
        self.value(scope, absent)?.json().ok().map(|json| json.to_string())
    }

    /// A text that is one hole and nothing else keeps the kind of its value.
    fn value(&self, scope: &Scope<'_>, absent: Absent) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::List(items) => {
                let items = items.iter().map(|item| item.value(scope, absent)).collect::<Option<Vec<_>>>()?;
                Some(Value::List(Arc::new(items)))
            }
            Self::Map(entries) => {
                let entry = |(name, value): &(Box<str>, Self)| {
                    Some((Key::String(Arc::new(name.to_string())), value.value(scope, absent)?))
                };
                let map = entries.iter().map(entry).collect::<Option<_>>()?;
                Some(Value::Map(Map { map: Arc::new(map) }))
            }
            Self::Text(template) => match template.parts() {
                [Part::Hole(expression)] => or(expression.value(scope), absent),
                _ => or(text(template, scope), absent),
            },
            Self::Word(template) => or(text(template, scope), absent),
        }
    }
}

fn text(template: &Template, scope: &Scope<'_>) -> Option<Value> {
    template.render(scope).map(|text| Value::String(Arc::new(text)))
}

fn or(value: Option<Value>, absent: Absent) -> Option<Value> {
    let is_nothing = |value: &Value| match value {
        Value::Null => true,
        // Nobody is called that, and nothing is.
        Value::String(text) => text.is_empty() && absent == Absent::Nothing,
        _ => false,
    };
    match (value.filter(|value| !is_nothing(value)), absent) {
        (None, Absent::Null) => Some(Value::Null),
        (value, Absent::Null | Absent::Nothing) => value,
    }
}
