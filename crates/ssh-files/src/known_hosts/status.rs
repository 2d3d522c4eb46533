//! Results of the search for a host key, and their messages, which use the words of OpenSSH.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::host_key::{HostKey, HostNames};
use crate::public_key::KeyType;

/// Location of a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LineLocation {
    /// Path of the file.
    pub file: Arc<Path>,
    /// Line number, from 1. A line that this process has added has none.
    pub line: Option<u64>,
}

impl fmt::Display for LineLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            None => write!(f, "{} (added in this run)", self.file.display()),
            Some(line) => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// Result of the check of a host key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeyStatus {
    /// This line has the key of the host, or the authority of its certificate.
    Trusted(LineLocation),
    /// No key of the host is known.
    Unknown {
        /// Reason why the certificate is not accepted, if the host has one.
        certificate: Option<CertificateRejection>,
    },
    /// Only other keys of the host are known.
    Changed(Box<ChangedKey>),
    /// This line revokes the key.
    Revoked(LineLocation),
}

/// The known keys of a host that offers another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedKey {
    /// Line with a known key, if possible with one of the offered type.
    pub location: LineLocation,
    /// Type of that key.
    pub kind: KeyType,
    /// Name on that line: the host name or the address.
    pub name: String,
    /// True if that name is the address (`CheckHostIP`).
    pub is_of_address: bool,
    /// Types of all known keys.
    pub known: Vec<KeyType>,
    /// Reason why the certificate is not accepted, if the host has one.
    pub certificate: Option<CertificateRejection>,
}

impl ChangedKey {
    /// True if no known key has the offered type, so that the host may still have a known key.
    ///
    /// A new connection that requests the [`known`](Self::known) types first shows it. This is needed only if
    /// [`KnownKeys::is_exact`](crate::KnownKeys::is_exact) was false.
    #[must_use]
    pub fn is_of_another_type(&self, offered: KeyType) -> bool {
        !self.known.contains(&offered)
    }
}

/// Reason why a host certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRejection {
    /// No `@cert-authority` line of the host has the authority.
    #[error("its certificate is signed by no authority that known_hosts names for it")]
    Authority,
    /// `CASignatureAlgorithms` does not contain the signature algorithm.
    #[error("its certificate is signed with an algorithm that CASignatureAlgorithms leaves out")]
    Algorithm,
    /// The certificate is one of a user.
    #[error("its certificate is not a host certificate")]
    NotHost,
    /// The certificate is not valid yet.
    #[error("its certificate is not yet valid")]
    NotYet,
    /// The certificate has expired.
    #[error("its certificate has expired")]
    Expired,
    /// The certificate is for other hosts.
    #[error("its certificate does not list that name")]
    Principal,
    /// The certificate has critical options, which are not supported.
    #[error("its certificate contains unsupported critical options")]
    Critical,
}

/// Error for a host key that is not accepted under strict checking. The message is a single line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// No key of the host is known.
    #[error(
        "no {} host key is known for {host}, and strict host key checking is on{}; its key is \
         {fingerprint}: once it is checked, 'ssh-keyscan' or StrictHostKeyChecking=accept-new adds it",
        kind.word(), because(certificate.as_ref())
    )]
    Unknown {
        /// Name of the host.
        host: String,
        /// Type of the offered key.
        kind: KeyType,
        /// Fingerprint of the offered key.
        fingerprint: String,
        /// Reason why the certificate is not accepted, if the host has one.
        certificate: Option<CertificateRejection>,
    },
    /// Only other keys of the host are known.
    // The words of OpenSSH, for which people search.
    #[error(
        "REMOTE HOST IDENTIFICATION HAS CHANGED: {host} sent the {} key {fingerprint}{}; offending \
         {} key{} in {}; if the change is known to be right, remove it with: \
         ssh-keygen -f \"{}\" -R \"{}\"",
        kind.word(), because(changed.certificate.as_ref()), changed.kind.word(),
        if changed.is_of_address { format!(" for the address {}", changed.name) } else { String::new() },
        changed.location, changed.location.file.display(), changed.name
    )]
    Changed {
        /// Name of the host.
        host: String,
        /// Type of the offered key.
        kind: KeyType,
        /// Fingerprint of the offered key.
        fingerprint: String,
        /// The known keys.
        changed: Box<ChangedKey>,
    },
    /// The key is revoked.
    #[error(
        "REVOKED HOST KEY DETECTED: the {} host key {fingerprint} of {host} is marked as revoked in \
         {location}; it may be a stolen key",
        kind.word()
    )]
    Revoked {
        /// Name of the host.
        host: String,
        /// Type of the offered key.
        kind: KeyType,
        /// Fingerprint of the offered key.
        fingerprint: String,
        /// Line that revokes the key.
        location: LineLocation,
    },
}

fn because(reason: Option<&CertificateRejection>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

impl HostKeyStatus {
    /// Returns the error of strict checking. Returns `None` if the key is trusted.
    #[must_use]
    pub fn error(&self, names: &HostNames, offered: &HostKey) -> Option<HostKeyError> {
        let host = names.name().to_owned();
        let kind = offered.kind();
        let fingerprint = offered.fingerprint();
        match self {
            HostKeyStatus::Trusted(_) => None,
            HostKeyStatus::Unknown { certificate } => Some(HostKeyError::Unknown {
                host,
                kind,
                fingerprint,
                certificate: *certificate,
            }),
            HostKeyStatus::Changed(changed) => Some(HostKeyError::Changed {
                host,
                kind,
                fingerprint,
                changed: changed.clone(),
            }),
            HostKeyStatus::Revoked(location) => Some(HostKeyError::Revoked {
                host,
                kind,
                fingerprint,
                location: location.clone(),
            }),
        }
    }
}
