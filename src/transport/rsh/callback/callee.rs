//! The addresses from which a called host may call back.

use std::net::IpAddr;
use std::sync::Arc;

use crate::targets::Network;

/// A host that is told the port of a listener.
#[derive(Clone, Debug)]
pub(in crate::transport::rsh) struct Callee {
    /// The address that was called.
    pub(super) host: IpAddr,
    /// All addresses of its name, if there are several.
    pub(super) others: Box<[IpAddr]>,
    /// The networks that the user has named for it.
    pub(super) networks: Option<Arc<[Network]>>,
    /// True for a host that seems to call back from an address that nobody has named: it needs a
    /// listener that no other host has been told of.
    pub(super) own_listener: bool,
}

impl Callee {
    pub(in crate::transport::rsh) fn new(
        host: IpAddr,
        others: &[IpAddr],
        networks: Option<Arc<[Network]>>,
        own_listener: bool,
    ) -> Callee {
        Callee {
            host: host.to_canonical(),
            others: others.iter().map(IpAddr::to_canonical).collect(),
            networks,
            own_listener,
        }
    }

    /// True if the address is one that was called, or one of the name's.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.host == address || self.others.contains(&address)
    }

    /// The network named for the host that holds the address.
    pub(super) fn network_of(&self, address: IpAddr) -> Option<&Network> {
        let mut networks = self.networks.iter().flat_map(|networks| networks.iter());
        networks.find(|network| network.contains(address))
    }

    /// True if a call may come from other addresses than the one that was called.
    pub(super) fn is_wide(&self) -> bool {
        !self.others.is_empty() || self.networks.is_some()
    }

    fn may_call_from(&self, address: IpAddr) -> bool {
        self.has(address) || self.network_of(address).is_some()
    }

    /// True if a call from some address could be either host's.
    pub(super) fn overlaps(&self, other: &Callee) -> bool {
        let reaches = |from: &Callee, to: &Callee| {
            to.may_call_from(from.host) || from.others.iter().any(|&ip| to.may_call_from(ip))
        };
        if reaches(self, other) || reaches(other, self) {
            return true;
        }
        match (&self.networks, &other.networks) {
            (Some(mine), Some(theirs)) => mine.iter().any(|a| theirs.iter().any(|b| a.overlaps(b))),
            _ => false,
        }
    }
}
