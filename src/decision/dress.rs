//! How a refusal is dressed: what a rule says about which refusal, for which client.

use std::net::IpAddr;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use ipnet::IpNet;

use crate::decision::refusal::Refusal;
use crate::decision::rule::OnRefusal;

/// What is done about refusals. The first case that fits counts; where none does, it is `auto`.
#[derive(Debug, Default)]
pub struct Dresses {
    pub cases: Vec<Case>,
}

/// Something that is done under conditions; an empty list is none.
#[derive(Debug)]
pub struct Case {
    pub statuses: Vec<StatusCode>,
    /// Ids of refusals.
    pub errors: Vec<Box<str>>,
    pub accept: Vec<MediaRange>,
    pub from: Vec<IpNet>,
    pub then: Dress,
}

/// What a client gets to see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Dress {
    /// 401, and how to say who one is: the value of `WWW-Authenticate`.
    Challenge(HeaderValue),
    /// A redirect for whatever is safe to repeat.
    Send(Sending),
    Usual(OnRefusal),
}

/// Where a client is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sending {
    /// An absolute URL, or a path on the same host.
    pub to: Box<str>,
    pub status: StatusCode,
    /// The query parameter that says where it came from; empty: none does.
    pub return_to: Box<str>,
}

/// A media type, or all of a kind: `text/*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaRange {
    kind: Box<str>,
    /// Absent: any.
    subtype: Option<Box<str>>,
}

/// What is done where no rule says anything.
pub static AUTO: Dress = Dress::Usual(OnRefusal::Auto);

impl Dresses {
    /// For every refusal and every client the same.
    pub fn always(word: OnRefusal) -> Self {
        let none = Case { statuses: vec![], errors: vec![], accept: vec![], from: vec![], then: Dress::Usual(word) };
        Self { cases: vec![none] }
    }

    /// What a client gets to see that sent these headers from there.
    pub fn choose(&self, refusal: &Refusal, headers: &HeaderMap, from: Option<IpAddr>) -> &Dress {
        self.cases.iter().find(|case| case.fits(refusal, headers, from)).map_or(&AUTO, |case| &case.then)
    }
}

impl Case {
    fn fits(&self, refusal: &Refusal, headers: &HeaderMap, from: Option<IpAddr>) -> bool {
        let is_from = |from: IpAddr| self.from.iter().any(|network| network.contains(&from));
        self.may_answer(refusal)
            && (self.statuses.is_empty() || self.statuses.contains(&refusal.status()))
            && (self.errors.is_empty() || self.errors.iter().any(|id| **id == *refusal.id()))
            && (self.accept.is_empty() || self.accept.iter().any(|range| range.is_taken(headers)))
            && (self.from.is_empty() || from.is_some_and(is_from))
    }

    /// Who is told to say who it is, or is sent elsewhere, is refused for what it is. That something is away or amiss is no
    /// such thing: a challenge never answers it, and a redirect only where it is named.
    fn may_answer(&self, refusal: &Refusal) -> bool {
        let is_named = !self.statuses.is_empty() || !self.errors.is_empty();
        match &self.then {
            Dress::Challenge(_) => is_about_caller(refusal.status()),
            Dress::Send(_) => is_named || is_about_caller(refusal.status()),
            Dress::Usual(_) => true,
        }
    }

    pub fn is_conditional(&self) -> bool {
        !matches!(self.then, Dress::Usual(_))
            || !self.statuses.is_empty()
            || !self.errors.is_empty()
            || !self.accept.is_empty()
            || !self.from.is_empty()
    }
}

/// Whether a refusal with this status is about who asks.
pub fn is_about_caller(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

impl MediaRange {
    /// Reads `text/html`, `text/*` or `*/*`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        let subtype = (subtype != "*").then_some(subtype);
        let is_one = (is_token(kind) || (kind == "*" && subtype.is_none())) && subtype.is_none_or(is_token);
        is_one.then(|| Self {
            kind: kind.to_ascii_lowercase().into(),
            subtype: subtype.map(|subtype| subtype.to_ascii_lowercase().into()),
        })
    }

    /// Whether a client takes it. `*/*`, which programs send, and nothing at all take everything but pages.
    fn is_taken(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(ACCEPT) {
            return !self.is_page();
        }
        let ranges = headers.get_all(ACCEPT).iter().flat_map(|accept| accept.as_bytes().split(|byte| *byte == b','));
        let ranges = ranges.filter_map(|range| std::str::from_utf8(range).ok()).collect::<Vec<_>>();
        ranges.into_iter().any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let is_unwanted = |parameter: &str| {
                let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
                value.is_some_and(|value| value.parse::<f32>().unwrap_or_default() <= 0.0)
            };
            match Self::parse(name) {
                Some(range) => self.covers(&range) && !parts.any(is_unwanted),
                None => false,
            }
        })
    }

    /// Whether what a client names is of this range.
    fn covers(&self, named: &Self) -> bool {
        if &*named.kind == "*" {
            return !self.is_page();
        }
        let is_kind = &*self.kind == "*" || self.kind == named.kind;
        let is_subtype = match (&self.subtype, &named.subtype) {
            (Some(own), Some(named)) => own == named,
            (Some(_) | None, None) | (None, Some(_)) => true,
        };
        is_kind && is_subtype
    }

    fn is_page(&self) -> bool {
        &*self.kind == "text" || self.subtype.as_deref() == Some("xhtml+xml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(range: &str, accept: Option<&'static str>) -> bool {
        let headers = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept)));
        MediaRange::parse(range).unwrap().is_taken(&headers.into_iter().collect())
    }

    #[test]
    fn what_a_client_takes_is_what_it_names() {
        let browser = Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        for (range, accept, expected) in [
            ("text/html", browser, true),
            ("text/*", browser, true),
            ("application/json", browser, true),
            ("text/html", Some("*/*"), false),
            ("text/*", Some("*/*"), false),
            ("application/json", Some("*/*"), true),
            ("application/json", None, true),
            ("text/html", None, false),
            ("text/html", Some("text/*"), true),
            ("text/html", Some("text/plain"), false),
            ("text/html", Some("TEXT/HTML;level=1"), true),
            ("text/html", Some("application/json, text/html;q=0"), false),
            ("text/html", Some("text/html;q=0.1"), true),
            ("*/*", Some("image/png"), true),
            ("application/json", Some("nonsense"), false),
        ] {
            assert_eq!(accepts(range, accept), expected, "{range} {accept:?}");
        }
        for odd in ["", "text", "*/html", "text/", "/html", "te xt/html", "text/html;q=1"] {
            assert_eq!(MediaRange::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn nobody_is_asked_who_it_is_because_something_is_away() {
        let case = |errors: &[&str], then: Dress| Case {
            statuses: Vec::new(),
            errors: errors.iter().map(|id| (*id).into()).collect(),
            accept: Vec::new(),
            from: Vec::new(),
            then,
        };
        let challenge = || Dress::Challenge(HeaderValue::from_static("Basic"));
        let sending = Sending { to: "/sorry".into(), status: StatusCode::SEE_OTHER, return_to: "".into() };
        let send = || Dress::Send(sending.clone());
        let fits = |case: Case, refusal| case.fits(&refusal, &HeaderMap::new(), None);
        let about_callers = [
            Refusal::CrossOrigin,
            Refusal::Forbidden,
            Refusal::LogIn,
            Refusal::NoToken,
            Refusal::Refresh,
            Refusal::StepUp,
            Refusal::Unverified,
        ];
        assert!(about_callers.iter().all(|refusal| Refusal::ABOUT_CALLERS.contains(&refusal.id())));
        assert_eq!(about_callers.len(), Refusal::ABOUT_CALLERS.len());
        for refusal in about_callers {
            assert!(fits(case(&[], challenge()), refusal.clone()) && fits(case(&[], send()), refusal));
        }
        for refusal in
            [Refusal::Outage, Refusal::Undecided, Refusal::UpstreamFailed, Refusal::NoRule, Refusal::TooLarge]
        {
            assert!(!fits(case(&[], challenge()), refusal.clone()) && !fits(case(&[], send()), refusal));
        }
        assert!(!fits(case(&["kratos_unavailable"], challenge()), Refusal::Outage));
        assert!(fits(case(&["kratos_unavailable"], send()), Refusal::Outage), "a page that says so");
    }

    #[test]
    fn the_first_case_that_fits_counts() {
        let case = |statuses: &[u16], errors: &[&str], from: &[&str], realm: &'static str| Case {
            statuses: statuses.iter().map(|status| StatusCode::from_u16(*status).unwrap()).collect(),
            errors: errors.iter().map(|id| (*id).into()).collect(),
            accept: Vec::new(),
            from: from.iter().map(|network| network.parse().unwrap()).collect(),
            then: Dress::Challenge(HeaderValue::from_static(realm)),
        };
        let dresses = Dresses {
            cases: vec![
                case(&[401], &[], &["10.0.0.0/8"], "inside"),
                case(&[], &["forbidden", "no_rule"], &[], "forbidden"),
                case(&[401, 403], &[], &[], "others"),
            ],
        };
        let (inside, outside) = ("10.1.2.3".parse().ok(), "192.0.2.1".parse().ok());
        for (refusal, from, expected) in [
            (Refusal::LogIn, inside, Some("inside")),
            (Refusal::LogIn, outside, Some("others")),
            (Refusal::LogIn, None, Some("others")),
            (Refusal::Forbidden, inside, Some("forbidden")),
            (Refusal::StepUp, inside, Some("others")),
            (Refusal::Outage, inside, None),
        ] {
            let expected = expected
                .map_or(Dress::Usual(OnRefusal::Auto), |realm| Dress::Challenge(HeaderValue::from_static(realm)));
            assert_eq!(*dresses.choose(&refusal, &HeaderMap::new(), from), expected, "{refusal:?}");
        }
    }
}
