//! What the files say of a host's key, and OpenSSH's words for it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::host::{HostKey, HostNames};
use crate::transport::HostKeyFault;
use crate::transport::ssh::public::KeyType;

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// Its line, from 1; 0 for a line that this run has added.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{} (added in this run)", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// What is known of a host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the host's, by this line: its key, or the authority of its certificate.
    Trusted(Place),
    /// Nothing is known of the host.
    Unknown {
        /// Why the certificate that came does not vouch for it, if one came.
        certificate: Option<CertificateFault>,
    },
    /// Other keys are known for the host, and this is none of them.
    Changed(Box<Changed>),
    /// The key must not be accepted, by this line.
    Revoked(Place),
}

/// The keys that a host should have had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The line of a key that is known, of the offered type if there is one.
    pub place: Place,
    /// The type of that key.
    pub kind: KeyType,
    /// Under which name it is known: the host's, or its address.
    pub name: String,
    /// True if that name is the address, which CheckHostIP has looked up.
    pub is_of_address: bool,
    /// The types of all keys that are known.
    pub known: Vec<KeyType>,
    /// Why the certificate that came does not vouch for the host, if one came.
    pub certificate: Option<CertificateFault>,
}

impl Changed {
    /// Whether the host may yet have the key that is known: it was asked for one of another type. This
    /// can only be when [`KnownKeys::certain`](super::KnownKeys::certain) was false; connecting again and
    /// asking for [`known`](Self::known) first decides it.
    #[must_use]
    pub fn is_of_another_type(&self, offered: KeyType) -> bool {
        !self.known.contains(&offered)
    }
}

/// Why a host's certificate does not vouch for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// No `@cert-authority` line for the host has its authority.
    #[error("its certificate is signed by no authority that known_hosts names for it")]
    Authority,
    /// It is signed in a way that the user does not want.
    #[error("its certificate is signed with an algorithm that CASignatureAlgorithms leaves out")]
    Algorithm,
    /// It is a user's.
    #[error("its certificate is not a host certificate")]
    NotHost,
    /// It begins to be valid later.
    #[error("its certificate is not yet valid")]
    NotYet,
    /// It is over.
    #[error("its certificate has expired")]
    Expired,
    /// It names other hosts.
    #[error("its certificate does not list that name")]
    Principal,
    /// It says something that must be understood and is not.
    #[error("its certificate contains unsupported critical options")]
    Critical,
}

/// A host's key that is not accepted; one line fit for a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// Nothing is known of the host.
    #[error(
        "no {} host key is known for {host}, and strict host key checking is the default{}; its key is \
         {fingerprint}: once it is checked, 'ssh-keyscan' or --ssh-option StrictHostKeyChecking=accept-new adds it",
        kind.word(), because(certificate.as_ref())
    )]
    Unknown {
        /// The host.
        host: String,
        /// The type of the key that came.
        kind: KeyType,
        /// Its fingerprint.
        fingerprint: String,
        /// Why the certificate that came does not vouch for it, if one came.
        certificate: Option<CertificateFault>,
    },
    /// The host has had another key.
    #[error(
        "REMOTE HOST IDENTIFICATION HAS CHANGED: {host} sent the {} key {fingerprint}{}; offending \
         {} key{} in {}; if the change is known to be right, remove it with: \
         ssh-keygen -f \"{}\" -R \"{}\"",
        kind.word(), because(changed.certificate.as_ref()), changed.kind.word(),
        if changed.is_of_address { format!(" for the address {}", changed.name) } else { String::new() },
        changed.place, changed.place.file.display(), changed.name
    )]
    Changed {
        /// The host.
        host: String,
        /// The type of the key that came.
        kind: KeyType,
        /// Its fingerprint.
        fingerprint: String,
        /// What is known.
        changed: Box<Changed>,
    },
    /// The key is revoked.
    #[error(
        "REVOKED HOST KEY DETECTED: the {} host key {fingerprint} of {host} is marked as revoked in \
         {place}; it may be a stolen key",
        kind.word()
    )]
    Revoked {
        /// The host.
        host: String,
        /// The type of the key that came.
        kind: KeyType,
        /// Its fingerprint.
        fingerprint: String,
        /// Where that is said.
        place: Place,
    },
}

impl HostKeyError {
    /// The fault as a host's failure has it.
    #[must_use]
    pub fn fault(&self) -> HostKeyFault {
        let (common, help) = match self {
            HostKeyError::Unknown { certificate, .. } => (
                format!(
                    "no host key is known, and strict host key checking is the default{}",
                    because(certificate.as_ref())
                ),
                Some(
                    "once their keys are checked, 'ssh-keyscan' or --ssh-option StrictHostKeyChecking=accept-new \
                     adds them; -v shows each key",
                ),
            ),
            HostKeyError::Changed { changed, .. } => (
                format!(
                    "REMOTE HOST IDENTIFICATION HAS CHANGED: the key is not the one known{} in {}{}",
                    if changed.is_of_address {
                        " for the address"
                    } else {
                        ""
                    },
                    changed.place.file.display(),
                    because(changed.certificate.as_ref())
                ),
                Some(
                    "if the changes are known to be right, remove the old keys with 'ssh-keygen -R NAME'; \
                     -v shows each key and its line",
                ),
            ),
            HostKeyError::Revoked { place, .. } => (
                format!(
                    "REVOKED HOST KEY DETECTED: the key is marked as revoked in {place}; it may be a stolen key"
                ),
                None,
            ),
        };
        HostKeyFault {
            text: self.to_string(),
            common,
            help,
        }
    }
}

fn because(fault: Option<&CertificateFault>) -> String {
    fault.map_or_else(String::new, |fault| format!(" ({fault})"))
}

impl Verdict {
    /// Why the key is not accepted under strict checking, if it is not.
    #[must_use]
    pub fn refusal(&self, names: &HostNames, offered: &HostKey) -> Option<HostKeyError> {
        let host = names.name().to_owned();
        let kind = offered.kind();
        let fingerprint = offered.fingerprint();
        match self {
            Verdict::Trusted(_) => None,
            Verdict::Unknown { certificate } => Some(HostKeyError::Unknown {
                host,
                kind,
                fingerprint,
                certificate: *certificate,
            }),
            Verdict::Changed(changed) => Some(HostKeyError::Changed {
                host,
                kind,
                fingerprint,
                changed: changed.clone(),
            }),
            Verdict::Revoked(place) => Some(HostKeyError::Revoked {
                host,
                kind,
                fingerprint,
                place: place.clone(),
            }),
        }
    }
}
