//! The right to bind ports that the caller lacks, and what must not be done with it.
//!
//! rshd believes what comes from a reserved port, so this right is worth something to whoever runs the
//! program: it may serve to talk rsh, in the caller's own name, and for nothing else.

use rustix::process::{geteuid, getuid};
use rustix::thread::{CapabilitySet, capabilities, capability_is_in_ambient_set};

/// How the program came by its rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// They are the caller's own.
    Own,
    /// The program's file has the capability to bind reserved ports, and the caller has not.
    FileCapability,
    /// The program's file is setuid, which gives far more than it needs.
    Setuid,
}

impl Privilege {
    /// Looks at this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let caller = getuid();
        if geteuid() != caller {
            return Privilege::Setuid;
        }
        let bind = CapabilitySet::NET_BIND_SERVICE;
        // Of what cannot be asked the worse is taken.
        let has = capabilities(None).map_or(true, |sets| sets.effective.contains(bind));
        // Ambient capabilities are handed down by the caller.
        let given = capability_is_in_ambient_set(bind).unwrap_or(false);
        match has && !given && !caller.is_root() {
            true => Privilege::FileCapability,
            false => Privilege::Own,
        }
    }
}
