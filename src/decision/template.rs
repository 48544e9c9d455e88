//! Text with holes that the session and the request fill, and headers made of it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::decision::expression::{Expression, ExpressionError, Reads, Scope};

/// Text with holes, each of which holds an expression: `${…}`.
#[derive(Debug)]
pub struct Template {
    parts: Vec<Part>,
}

/// A header whose value is a template.
#[derive(Debug)]
pub struct HeaderTemplate {
    name: HeaderName,
    /// The name as the configuration spells it, for people and for HTTP/1 services that care.
    spelling: Arc<str>,
    value: Template,
}

/// A cookie whose value is a template.
#[derive(Debug)]
pub struct CookieTemplate {
    pub name: Box<str>,
    value: Template,
}

/// A piece of a template.
#[derive(Debug)]
pub enum Part {
    Hole(Expression),
    Text(Box<str>),
}

/// Why a text is not a header template.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    #[error("in `${{{hole}}}`: {error}")]
    Hole {
        /// Where the hole's expression begins in the text, in bytes.
        at: usize,
        hole: String,
        error: ExpressionError,
    },
    #[error("`{0}` is not a header name")]
    Name(String),
    #[error("the value has a control character, which no header may carry")]
    ControlCharacter,
    #[error("no cookie's value may have `{0}` in it")]
    Cookie(char),
    #[error("`${{` is not closed by a `}}`")]
    Unclosed,
}

impl Template {
    /// Parses a text. `${…}` is a hole, `$${` stands for `${` itself.
    ///
    /// # Errors
    /// Where a hole does not compile, or the text has a control character.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(dollar) = rest.find('$') {
            text.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$${") {
                text.push_str("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let end = hole_end(after).ok_or(TemplateError::Unclosed)?;
                let hole = &after[..end];
                let expression = Expression::compile(hole).map_err(|error| {
                    let at = template.len() - after.len();
                    TemplateError::Hole { at, hole: hole.to_owned(), error }
                })?;
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text).into()));
                }
                parts.push(Part::Hole(expression));
                rest = &after[end + 1..];
            } else {
                text.push('$');
                rest = &rest[1..];
            }
        }
        text.push_str(rest);
        if text.chars().any(char::is_control) || parts.iter().any(Part::has_control) {
            return Err(TemplateError::ControlCharacter);
        }
        if !text.is_empty() || parts.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(Self { parts })
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What all holes together read.
    pub fn reads(&self) -> Reads {
        let holes = self.parts.iter().filter_map(|part| match part {
            Part::Hole(expression) => Some(expression.reads()),
            Part::Text(_) => None,
        });
        holes.fold(Reads::default(), Reads::and)
    }

    /// The text with its holes filled, or nothing where one has no value.
    pub fn render(&self, scope: &Scope<'_>) -> Option<String> {
        let mut value = String::new();
        for part in &self.parts {
            match part {
                Part::Hole(expression) => value.push_str(&expression.text(scope)?),
                Part::Text(text) => value.push_str(text),
            }
        }
        Some(value)
    }
}

impl Part {
    fn has_control(&self) -> bool {
        match self {
            Self::Hole(_) => false,
            Self::Text(text) => text.chars().any(char::is_control),
        }
    }
}

impl CookieTemplate {
    /// Parses the template of a cookie's value. Whether `name` is one, the caller has checked.
    ///
    /// # Errors
    /// Where a hole does not compile, or what is written would end the value.
    pub fn parse(name: &str, template: &str) -> Result<Self, TemplateError> {
        let value = Template::parse(template)?;
        let written = value.parts().iter().filter_map(|part| match part {
            Part::Text(text) => Some(&**text),
            Part::Hole(_) => None,
        });
        match written.flat_map(str::chars).find(|c| !is_of_cookie(*c)) {
            None => Ok(Self { name: name.into(), value }),
            Some(odd) => Err(TemplateError::Cookie(odd)),
        }
    }

    pub fn reads(&self) -> Reads {
        self.value.reads()
    }

    /// The value, or nothing where a hole has none or a character would end it (RFC 6265).
    pub fn render(&self, scope: &Scope<'_>) -> Option<HeaderValue> {
        let value = self.value.render(scope)?;
        if value.chars().all(is_of_cookie) { HeaderValue::try_from(value).ok() } else { None }
    }
}

/// Whether the value of a cookie may have it as it is (RFC 6265).
fn is_of_cookie(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\')
}

/// A value that no header may carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unfit;

impl HeaderTemplate {
    /// Parses a header's name and the template of its value.
    ///
    /// # Errors
    /// Where the name is none, a hole does not compile, or the text cannot be in a header.
    pub fn parse(spelling: &str, template: &str) -> Result<Self, TemplateError> {
        let name = HeaderName::try_from(spelling).map_err(|_| TemplateError::Name(spelling.to_owned()))?;
        Ok(Self { name, spelling: spelling.into(), value: Template::parse(template)? })
    }

    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    pub fn spelling(&self) -> &Arc<str> {
        &self.spelling
    }

    /// What all holes together read.
    pub fn reads(&self) -> Reads {
        self.value.reads()
    }

    /// The value, or nothing where a hole has none or a control character would get into the header.
    ///
    /// Such a value is not cleaned: `ad\nmin` must not become `admin`.
    pub fn render(&self, scope: &Scope<'_>) -> Option<HeaderValue> {
        self.fill(scope).ok().flatten()
    }

    /// The value where its holes have one.
    ///
    /// # Errors
    /// Where they have one that no header may carry.
    pub fn fill(&self, scope: &Scope<'_>) -> Result<Option<HeaderValue>, Unfit> {
        match self.value.render(scope) {
            Some(value) if value.chars().any(char::is_control) => Err(Unfit),
            Some(value) => HeaderValue::try_from(value).map(Some).map_err(|_| Unfit),
            None => Ok(None),
        }
    }
}

/// Where the hole that begins `text` ends: its `}`, not one within a string or a map of the expression.
fn hole_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth == 0 => return Some(at),
            (None, b'}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
