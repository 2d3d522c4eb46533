//! The names of a host in known_hosts files, and the key that a host offers.

use std::net::IpAddr;

use super::status::CertificateRejection;
use crate::certificate::Certificate;
use crate::public_key::{KeyType, fingerprint};

/// Port of names without a port in known_hosts files.
const SSH_PORT: u16 = 22;

/// The names of a host in known_hosts files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNames {
    name: String,
    fallback: Option<String>,
    principal: String,
    address: Option<String>,
}

impl HostNames {
    /// Makes the names of a host from its `HostName`, its port and its `HostKeyAlias`. An alias is the only name.
    #[must_use]
    pub fn new(host: &str, port: u16, alias: Option<&str>) -> HostNames {
        let host = alias.unwrap_or(host).to_ascii_lowercase();
        // sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: a name with another port is in brackets.
        let at_port = alias.is_none() && port != SSH_PORT;
        HostNames {
            name: if at_port {
                format!("[{host}]:{port}")
            } else {
                host.clone()
            },
            fallback: at_port.then(|| host.clone()),
            // A certificate lists names without ports.
            principal: host,
            address: None,
        }
    }

    /// Adds the address, for `CheckHostIP`.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr, port: u16) -> HostNames {
        let address = address.to_string();
        // As in OpenSSH, a name that is the address itself is not checked twice.
        if address != self.principal {
            self.address = Some(match port {
                SSH_PORT => address,
                port => format!("[{address}]:{port}"),
            });
        }
        self
    }

    /// The name for messages and for new lines: `host` or `[host]:port`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without a port, the second choice for a host with another port.
    pub(super) fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// The name that a certificate must contain.
    pub(super) fn principal(&self) -> &str {
        &self.principal
    }

    /// The address, if it is checked: `address` or `[address]:port`.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// All names for the search of revoked keys.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        // A key that is revoked at one port is refused at all ports, which is safer than OpenSSH's rule.
        let more = self.fallback.iter().chain(&self.address);
        std::iter::once(&self.name).chain(more).map(String::as_str)
    }
}

/// The key that a host offers: a plain key or a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    kind: KeyType,
    key: Vec<u8>,
    certificate: Option<Certificate>,
    /// Reason why the certificate is not accepted, whatever its authority.
    rejection: Option<CertificateRejection>,
}

impl HostKey {
    /// Reads the blob of the key exchange. Returns `None` if it is no key, or a certificate with a wrong signature.
    #[must_use]
    pub fn parse(blob: &[u8]) -> Option<HostKey> {
        if let Some(kind) = KeyType::of_blob(blob) {
            return Some(HostKey {
                kind,
                key: blob.to_vec(),
                certificate: None,
                rejection: None,
            });
        }
        let certificate = Certificate::parse(blob)?;
        Some(HostKey {
            kind: certificate.kind(),
            key: certificate.key().to_vec(),
            certificate: Some(certificate),
            rejection: None,
        })
    }

    /// Restricts the signature algorithms of certificates (`CASignatureAlgorithms`). A certificate with another
    /// algorithm is not accepted.
    #[must_use]
    pub fn accept_ca_algorithms(mut self, accepted: &[String]) -> HostKey {
        let algorithm = self
            .certificate
            .as_ref()
            .map(Certificate::signature_algorithm);
        if algorithm.is_some_and(|name| !accepted.iter().any(|accepted| accepted == name)) {
            self.rejection = Some(CertificateRejection::Algorithm);
        }
        self
    }

    /// The type of the key.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The plain key as a blob. For a certificate, it is the certified key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The certificate, if there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The reason why the certificate is not accepted, whatever its authority.
    pub(super) fn rejection(&self) -> Option<CertificateRejection> {
        self.rejection
    }

    /// The fingerprint of the key, as OpenSSH shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }
}
