//! The names of the transports in targets, options and configuration files.
//!
//! The implementation is in [`transport`](crate::transport).

use std::fmt;
use std::str::FromStr;

/// The port of rshd, `shell` in `/etc/services`.
pub const RSH_PORT: u16 = 514;

/// The port of sshd.
pub const SSH_PORT: u16 = 22;

/// Transport to a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransportKind {
    /// BSD's remote shell, implemented by this program.
    #[default]
    Rsh,
    /// SSH through libssh2, within this process.
    Ssh,
    /// The system's `ssh`, a process for each host.
    OpenSsh,
    /// A local command for each host.
    Exec,
}

impl TransportKind {
    /// All transports.
    pub const ALL: [TransportKind; 4] = [
        TransportKind::Rsh,
        TransportKind::Ssh,
        TransportKind::OpenSsh,
        TransportKind::Exec,
    ];

    /// Returns the name, for options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TransportKind::Rsh => "rsh",
            TransportKind::Ssh => "ssh",
            TransportKind::OpenSsh => "openssh",
            TransportKind::Exec => "exec",
        }
    }

    /// Returns the port of targets that name none. A local command has none.
    #[must_use]
    pub fn default_port(self) -> Option<u16> {
        match self {
            TransportKind::Rsh => Some(RSH_PORT),
            TransportKind::Ssh | TransportKind::OpenSsh => Some(SSH_PORT),
            // A local command connects to nothing.
            TransportKind::Exec => None,
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TransportKind {
    type Err = UnknownTransport;

    fn from_str(text: &str) -> Result<Self, UnknownTransport> {
        let named = |kind: &TransportKind| kind.name() == text;
        TransportKind::ALL
            .into_iter()
            .find(named)
            .ok_or(UnknownTransport)
    }
}

/// The error that no transport has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected rsh, ssh, openssh or exec")]
pub struct UnknownTransport;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in TransportKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for other in ["", "RSH", "telnet"] {
            assert_eq!(other.parse::<TransportKind>(), Err(UnknownTransport));
        }
    }
}
