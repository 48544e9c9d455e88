//! Sets of methods and of schemes. A rule that lists none means any.

use std::fmt;

use http::Method;

use crate::decision::request::Scheme;
use crate::decision::request::is_forbidden_method;

/// The methods that have a bit; all others are kept by name.
const STANDARD: [Method; 7] =
    [Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::POST, Method::PUT];

/// A set of methods. GET brings HEAD with it.
///
/// It prints as the value of an `Allow` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    any: bool,
    standard: u8,
    /// Extension methods, such as PURGE, sorted.
    others: Box<[Method]>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    #[error("`{0}` is refused whatever the rules say")]
    Forbidden(String),
    #[error("`{0}` is no method")]
    Malformed(String),
    #[error("`{0}` is not `{upper}`: methods are case-sensitive", upper = .0.to_ascii_uppercase())]
    WrongCase(String),
}

impl Methods {
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, standard: 0, others: Box::default() }
    }

    #[must_use]
    pub fn of(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut standard = 0;
        let mut others = Vec::new();
        for method in methods {
            match bit(&method) {
                0 => others.push(method),
                bit => standard |= bit,
            }
        }
        if standard & bit(&Method::GET) != 0 {
            standard |= bit(&Method::HEAD);
        }
        others.sort_unstable_by(|one: &Method, two| one.as_str().cmp(two.as_str()));
        others.dedup();
        Self { any: false, standard, others: others.into() }
    }

    /// Reads one method of a rule, for [`Self::of`].
    ///
    /// # Errors
    /// What is not a token, TRACE and CONNECT, and a standard method in the wrong case, which no client would send.
    pub fn read(text: &str) -> Result<Method, MethodError> {
        let method = Method::from_bytes(text.as_bytes()).map_err(|_| MethodError::Malformed(text.to_owned()))?;
        if is_forbidden_method(&method) {
            return Err(MethodError::Forbidden(text.to_owned()));
        }
        let upper = text.to_ascii_uppercase();
        if bit(&method) == 0 && STANDARD.iter().any(|standard| standard.as_str() == upper) {
            return Err(MethodError::WrongCase(text.to_owned()));
        }
        Ok(method)
    }

    #[must_use]
    pub fn is_any(&self) -> bool {
        self.any
    }

    /// Whether no method is in it, so that nothing can match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any && self.standard == 0 && self.others.is_empty()
    }

    #[must_use]
    pub fn contains(&self, method: &Method) -> bool {
        self.any || self.standard & bit(method) != 0 || self.others.contains(method)
    }

    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self.any, other.any) {
            (true, _) => !other.is_empty(),
            (_, true) => !self.is_empty(),
            _ => self.standard & other.standard != 0 || self.others.iter().any(|method| other.others.contains(method)),
        }
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.any || other.any { Self::any() } else { Self::of(self.iter().chain(other.iter()).cloned()) }
    }

    /// The listed methods, sorted among the standard ones and among the others; none for any.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        STANDARD.iter().filter(|method| self.standard & bit(method) != 0).chain(&self.others)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.any {
            return f.write_str("any");
        }
        for (position, method) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            f.write_str(method.as_str())?;
        }
        Ok(())
    }
}

fn bit(method: &Method) -> u8 {
    match *method {
        Method::DELETE => 1,
        Method::GET => 1 << 1,
        Method::HEAD => 1 << 2,
        Method::OPTIONS => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::POST => 1 << 5,
        Method::PUT => 1 << 6,
        _ => 0,
    }
}

/// A set of schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schemes {
    http: bool,
    https: bool,
}

impl Schemes {
    #[must_use]
    pub fn any() -> Self {
        Self { http: true, https: true }
    }

    #[must_use]
    pub fn of(schemes: impl IntoIterator<Item = Scheme>) -> Self {
        let mut set = Self { http: false, https: false };
        for scheme in schemes {
            match scheme {
                Scheme::Http => set.http = true,
                Scheme::Https => set.https = true,
            }
        }
        set
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        !self.http && !self.https
    }

    #[must_use]
    pub fn contains(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Http => self.http,
            Scheme::Https => self.https,
        }
    }

    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.http && other.http || self.https && other.https
    }
}
