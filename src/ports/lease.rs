//! The rights to use a port, which give it back when they are dropped.

use std::net::SocketAddr;

use super::peer::Use;
use super::{Ending, PortPool};

/// The right to use one source port for one connection to one peer. Dropping it gives the pair back;
/// what was said before decides when it is free again. The socket must be closed first, so a struct
/// that holds both declares the socket before the lease.
#[derive(Debug)]
pub struct PortLease {
    pub(super) pool: PortPool,
    pub(super) peer: SocketAddr,
    pub(super) port: u16,
    /// What the pair was doing before.
    pub(super) before: Option<Use>,
    pub(super) ending: Ending,
}

impl PortLease {
    /// The port; 0 means that the kernel chooses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The other side closed first, or is about to: its kernel has the TIME_WAIT.
    pub fn remote_closed_first(&mut self) {
        self.ending = Ending::RemoteFirst;
    }

    /// This side closed first: this kernel has the TIME_WAIT.
    pub fn local_closed_first(&mut self) {
        self.ending = Ending::LocalFirst;
    }

    /// `connect` said EADDRNOTAVAIL (or EADDRINUSE): the pair is taken.
    pub fn pair_in_use(mut self) {
        self.ending = Ending::InUse;
    }

    /// `bind` said EADDRINUSE: another program has the port and does not share it.
    pub fn port_is_foreign(mut self) {
        self.ending = Ending::Foreign;
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.pool.release(self);
    }
}

/// The right to listen on one port of the pool, which no connection gets while it lives.
#[derive(Debug)]
pub struct ListenerLease {
    pub(super) pool: PortPool,
    pub(super) port: u16,
    pub(super) foreign: bool,
}

impl ListenerLease {
    /// The port; 0 means that the kernel chooses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `bind` or `listen` said EADDRINUSE: another program has the port.
    pub fn port_is_foreign(mut self) {
        self.foreign = true;
    }
}

impl Drop for ListenerLease {
    fn drop(&mut self) {
        if self.port != 0 {
            self.pool.release_listener(self);
        }
    }
}
