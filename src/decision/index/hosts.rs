//! Which host entry, and so which table, owns a request.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::decision::host::Host;
use crate::decision::pattern::HostPattern;

/// Tables by the hosts that they are for. The cost of a look-up grows with the labels of the name only.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<str>, Ports>,
    /// By suffix.
    wildcards: HashMap<Box<str>, Ports>,
    any: Option<usize>,
}

#[derive(Debug, Default)]
struct Ports {
    listed: SmallVec<[(u16, usize); 1]>,
    any: Option<usize>,
}

impl Ports {
    fn insert(&mut self, port: Option<u16>, table: usize) {
        match port {
            Some(port) => self.listed.push((port, table)),
            None => self.any = Some(table),
        }
    }

    fn find(&self, port: Option<u16>) -> Option<usize> {
        let listed = port.and_then(|port| self.listed.iter().find(|(own, _)| *own == port));
        listed.map(|(_, table)| *table).or(self.any)
    }
}

impl Hosts {
    pub(super) fn insert(&mut self, host: &HostPattern, table: usize) {
        match host {
            HostPattern::Any => self.any = Some(table),
            HostPattern::Exact { host, port } => self.exact.entry(host.clone()).or_default().insert(*port, table),
            HostPattern::Wildcard { suffix, port } => {
                self.wildcards.entry(suffix.clone()).or_default().insert(*port, table);
            }
        }
    }

    pub(super) fn find(&self, host: &Host<'_>) -> Option<usize> {
        let exact = self.exact.get(host.name()).and_then(|ports| ports.find(host.port()));
        exact.or_else(|| self.find_wildcard(host)).or(self.any)
    }

    fn find_wildcard(&self, host: &Host<'_>) -> Option<usize> {
        if self.wildcards.is_empty() {
            return None;
        }
        let name = host.name();
        name.match_indices('.').find_map(|(dot, _)| self.wildcards.get(&name[dot + 1..])?.find(host.port()))
    }
}
