//! Addresses from which a host may call back.

use std::net::IpAddr;
use std::sync::Arc;

use crate::targets::Network;

/// A host that gets the port of a listener, so that it may call back.
#[derive(Clone, Debug)]
pub(in crate::transport::rsh) struct Caller {
    /// Address to which the main connection goes.
    pub(super) host: IpAddr,
    /// All addresses of the host's name, if it has several.
    pub(super) others: Box<[IpAddr]>,
    /// Networks that the user has named for the host.
    pub(super) networks: Option<Arc<[Network]>>,
    /// True if the host has probably called back from an address that the user has not named. Such a host
    /// needs a listener whose port no other host knows.
    pub(super) own_listener: bool,
}

impl Caller {
    pub(in crate::transport::rsh) fn new(
        host: IpAddr,
        others: &[IpAddr],
        networks: Option<Arc<[Network]>>,
        own_listener: bool,
    ) -> Caller {
        Caller {
            // A listener for both families sees IPv4 callers as `::ffff:192.0.2.7` (RFC 4291, section 2.5.5.2).
            host: host.to_canonical(),
            others: others.iter().map(IpAddr::to_canonical).collect(),
            networks,
            own_listener,
        }
    }

    /// True if the address belongs to the host by its connection or its name.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.host == address || self.others.contains(&address)
    }

    /// Returns the network of the host that contains the address.
    pub(super) fn network_of(&self, address: IpAddr) -> Option<&Network> {
        let mut networks = self.networks.iter().flat_map(|networks| networks.iter());
        networks.find(|network| network.contains(address))
    }

    /// True if a callback may come from more than one address.
    pub(super) fn has_several_addresses(&self) -> bool {
        !self.others.is_empty() || self.networks.is_some()
    }

    fn may_call_from(&self, address: IpAddr) -> bool {
        self.has(address) || self.network_of(address).is_some()
    }

    /// True if one address could belong to both hosts.
    pub(super) fn overlaps(&self, other: &Caller) -> bool {
        let reaches = |from: &Caller, to: &Caller| {
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
