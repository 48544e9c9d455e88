//! A rule's URL, which Oathkeeper matches as one text, as schemes, hosts and paths.

use regex::Regex;

use super::dialect::{Piece, Scan, Strategy, Untranslatable, pieces};
use super::expression::string;
use super::paths::{path, ways};
use super::pieces::{crosses, cut, is_everything, is_label, rendered, unnamed, unrolled, whole};
use crate::decision::pattern::{HostPattern, PathPattern};

/// Which requests a rule owns, in our terms.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Matching {
    pub(super) http: bool,
    pub(super) https: bool,
    /// None: any host.
    pub(super) hosts: Vec<String>,
    pub(super) paths: Vec<PathText>,
    /// A condition on the host where no pattern of ours says as much.
    pub(super) guard: Option<String>,
    /// What differs on purpose, or cannot be said.
    pub(super) remarks: Vec<&'static str>,
}

/// A path as our configuration has it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum PathText {
    Pattern(String),
    Regex(String),
}

/// Why a URL cannot be brought over.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unmatched {
    #[error("the host of `{0}` is none that a request can have")]
    Host(String),
    #[error("its URL has no scheme, so that Oathkeeper never matched anything")]
    NoScheme,
    #[error("the scheme of `{0}` is neither http nor https, so that Oathkeeper never matched anything")]
    OtherScheme(String),
    #[error("{0}")]
    Path(String),
    #[error(transparent)]
    Pattern(#[from] Untranslatable),
}

impl PathText {
    pub(super) fn parse(&self) -> Result<PathPattern, String> {
        match self {
            Self::Pattern(text) => PathPattern::parse(text),
            Self::Regex(text) => PathPattern::regex(text),
        }
        .map_err(|error| error.to_string())
    }
}

/// Reads a rule's URL. With `naming`, what Oathkeeper captures as number N is captured as `capN`.
pub(super) fn matching(url: &str, strategy: Strategy, naming: bool) -> Result<Matching, Unmatched> {
    let pieces = pieces(url, strategy, naming)?;
    let mut matching = Matching::default();
    let (scheme, rest) = match cut(&pieces, "://") {
        Some((scheme, rest)) => (scheme, rest),
        None if pieces.first().is_some_and(is_everything) => {
            matching.remarks.push("a wildcard in front covers any scheme and host");
            (Vec::new(), pieces)
        }
        None => return Err(Unmatched::NoScheme),
    };
    let is_scheme = |name: &str| scheme.is_empty() || whole(&scheme).is_some_and(|regex| regex.is_match(name));
    (matching.http, matching.https) = (is_scheme("http"), is_scheme("https"));
    if !matching.http && !matching.https {
        return Err(Unmatched::OtherScheme(url.to_owned()));
    }
    let (host, path) = match cut(&rest, "/") {
        Some((host, path)) => (host, [vec![Piece::Literal("/".to_owned())], path].concat()),
        None => matching.spanning(rest),
    };
    matching.host(url, &host)?;
    matching.path(&path)?;
    Ok(matching)
}

impl Matching {
    /// Where no slash divides host and path: a wildcard at the end may stand for both.
    fn spanning(&mut self, mut rest: Vec<Piece>) -> (Vec<Piece>, Vec<Piece>) {
        let reaches = |piece: &Piece| match piece {
            Piece::Dynamic(_) => {
                whole(std::slice::from_ref(piece)).is_some_and(|regex| regex.is_match("/x") || regex.is_match("/"))
            }
            Piece::Literal(_) => false,
        };
        let Some(last) = rest.pop() else { return (Vec::new(), Vec::new()) };
        if !reaches(&last) {
            rest.push(last);
            return (rest, Vec::new());
        }
        if rest.is_empty() {
            return (vec![last.clone()], vec![Piece::Literal("/".to_owned()), Piece::Dynamic(".*".to_owned())]);
        }
        self.remarks.push("a wildcard behind the host covered longer host names too; ours begins at the path");
        if let Some(Piece::Literal(text)) = rest.last_mut() {
            *text = text.trim_end_matches([':', '.']).to_owned();
        }
        (rest, vec![last])
    }

    fn host(&mut self, url: &str, pieces: &[Piece]) -> Result<(), Unmatched> {
        if pieces.iter().any(|piece| match piece {
            Piece::Dynamic(regex) => regex.contains('.') && crosses(piece),
            Piece::Literal(_) => false,
        }) {
            self.remarks
                .push("a wildcard in the host could swallow a slash and match far into the path; ours never does");
        }
        let pieces = &self.plain_dots(pieces);
        if let Some(hosts) = unrolled(pieces) {
            let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase());
            self.hosts = hosts.filter(|host| host != "*" && HostPattern::parse(host).is_ok()).collect();
            dedup(&mut self.hosts);
            return if self.hosts.is_empty() { Err(Unmatched::Host(url.to_owned())) } else { Ok(()) };
        }
        let (name, ports) = match cut(pieces, ":") {
            Some((name, port)) => (name, unrolled(&port)),
            None => (pieces.to_vec(), Some(Vec::new())),
        };
        let Some(ports) = ports else {
            self.remarks.push("any port is owned, for no pattern of ours says which");
            return self.wild_host(url, &name, &[]);
        };
        self.wild_host(url, &name, &ports)
    }

    /// A dot by itself in a host is meant as one: `<127.0.0.1|localhost>`.
    fn plain_dots(&mut self, pieces: &[Piece]) -> Vec<Piece> {
        let plain = |piece: &Piece| match piece {
            Piece::Literal(_) => piece.clone(),
            Piece::Dynamic(regex) => {
                let mut scan = Scan::default();
                let mut plain = String::with_capacity(regex.len());
                for (at, c) in regex.char_indices() {
                    let is_wild = scan.step(c) && c == '.' && !regex[at + 1..].starts_with(['*', '+', '?', '{']);
                    plain.push_str(if is_wild { "\\" } else { "" });
                    plain.push(c);
                }
                Piece::Dynamic(plain)
            }
        };
        let plain = pieces.iter().map(plain).collect::<Vec<_>>();
        if plain != pieces {
            self.remarks.push("a dot in its host stood for any character; here it is a dot");
        }
        plain
    }

    /// A host with a wildcard: `*.suffix` where that says the same, else the nearest that covers it, and a condition.
    fn wild_host(&mut self, url: &str, name: &[Piece], ports: &[String]) -> Result<(), Unmatched> {
        let last_wild = name.iter().rposition(|piece| unrolled(std::slice::from_ref(piece)).is_none());
        let behind = last_wild.map_or(0, |at| at + 1);
        let suffixes = unrolled(&name[behind..]).unwrap_or_default();
        let is_plain = last_wild == Some(0) && is_label(&name[0]);
        let mut exact = is_plain;
        for suffix in suffixes {
            let suffix = suffix.to_ascii_lowercase();
            match suffix.find('.') {
                Some(dot) => {
                    exact &= dot == 0;
                    let host = format!("*{}", &suffix[dot..]);
                    let all = ports.iter().map(|port| format!("{host}:{port}"));
                    self.hosts.extend(if ports.is_empty() { vec![host.clone()] } else { all.collect() });
                }
                None => {
                    exact &= suffix.is_empty();
                    self.hosts.clear();
                    if !ports.is_empty() {
                        self.remarks.push("any port is owned, for no pattern of ours says which");
                    }
                    break;
                }
            }
        }
        dedup(&mut self.hosts);
        if self.hosts.iter().any(|host| HostPattern::parse(host).is_err()) {
            return Err(Unmatched::Host(url.to_owned()));
        }
        if !exact {
            let name = name.iter().map(|piece| match piece {
                Piece::Dynamic(regex) => Piece::Dynamic(unnamed(regex)),
                Piece::Literal(text) => Piece::Literal(text.to_ascii_lowercase()),
            });
            let regex = format!("^{}$", rendered(&name.collect::<Vec<_>>()));
            if Regex::new(&regex).is_err() {
                return Err(Unmatched::Host(url.to_owned()));
            }
            self.guard = Some(format!("request.host.matches({})", string(&regex)));
            self.remarks.push(
                "no host pattern of ours says as much: a condition narrows it, with 403 where Oathkeeper said 404",
            );
        }
        Ok(())
    }

    fn path(&mut self, pieces: &[Piece]) -> Result<(), Unmatched> {
        if pieces.is_empty() {
            self.remarks.push("a URL without a path: here the empty path is `/`");
            self.paths.push(PathText::Pattern("/".to_owned()));
            return Ok(());
        }
        if let Some(Piece::Literal(text)) = pieces.last()
            && text.ends_with('/')
            && (pieces.len() > 1 || text.len() > 1)
        {
            self.remarks.push("a URL that ends in a slash never matched since v26.2.0; here the slash does not matter");
        }
        if pieces.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains(['?', '#']))) {
            self.remarks.push("a `?` or `#` in a rule's URL is part of the path: queries are never compared");
        }
        for way in ways(pieces) {
            for path in path(&way) {
                path.parse().map_err(Unmatched::Path)?;
                self.paths.push(path);
            }
        }
        dedup(&mut self.paths);
        Ok(())
    }
}

pub(super) fn dedup<T: Clone + PartialEq>(list: &mut Vec<T>) {
    let mut seen = Vec::<T>::new();
    list.retain(|one| {
        let is_new = !seen.contains(one);
        seen.push(one.clone());
        is_new
    });
}

#[cfg(test)]
mod tests;
