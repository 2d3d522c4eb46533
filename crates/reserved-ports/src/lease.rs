//! Leases of ports, which return the port to the pool when they are dropped.

use std::net::SocketAddr;

use crate::peer::Use;
use crate::pool::PortPool;

/// The end of a lease's connection, which decides when its pair is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Neither kernel keeps the connection: it was refused, reset, or never made.
    NoTrace,
    /// The other side closed first: its kernel keeps the pair in TIME_WAIT.
    RemoteFirst,
    /// This side closed first: this kernel keeps the pair in TIME_WAIT.
    LocalFirst,
    /// The kernel refused to connect: a socket that the pool does not know uses the pair.
    InUse,
    /// The kernel refused to bind: another program holds the port.
    Foreign,
}

/// A lease of one source port for one connection to one peer.
///
/// A drop returns the pair to the pool. Without one of the calls below, the pair is free at once. The socket must be
/// closed first, so a struct that holds both declares the socket before the lease.
#[derive(Debug)]
pub struct PortLease {
    pub(crate) pool: PortPool,
    pub(crate) peer: SocketAddr,
    pub(crate) port: u16,
    /// Use of the pair before this lease.
    pub(crate) before: Option<Use>,
    pub(crate) ending: Ending,
}

impl PortLease {
    /// The port; 0 if the kernel chooses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Notes that the other side closed first, or will: its kernel has the TIME_WAIT.
    pub fn remote_closed_first(&mut self) {
        self.ending = Ending::RemoteFirst;
    }

    /// Notes that this side closed first: this kernel has the TIME_WAIT.
    pub fn local_closed_first(&mut self) {
        self.ending = Ending::LocalFirst;
    }

    /// Notes that the pair is taken: `connect` failed with EADDRNOTAVAIL or EADDRINUSE.
    pub fn pair_in_use(mut self) {
        self.ending = Ending::InUse;
    }

    /// Notes that another program has the port and does not share it: `bind` failed with EADDRINUSE.
    pub fn port_is_foreign(mut self) {
        // The refusal is for the port with every peer, not only for this pair.
        self.ending = Ending::Foreign;
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.pool.release(self);
    }
}

/// A lease of one port for a listener. The pool makes no connection from the port until the lease is dropped.
#[derive(Debug)]
pub struct ListenerLease {
    pub(crate) pool: PortPool,
    pub(crate) port: u16,
    pub(crate) foreign: bool,
}

impl ListenerLease {
    /// The port; 0 if the kernel chooses.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Notes that another program has the port: `bind` or `listen` failed with EADDRINUSE.
    pub fn port_is_foreign(mut self) {
        self.foreign = true;
    }
}

impl Drop for ListenerLease {
    fn drop(&mut self) {
        // The pool has no state of ephemeral ports.
        if self.port != 0 {
            self.pool.release_listener(self);
        }
    }
}
