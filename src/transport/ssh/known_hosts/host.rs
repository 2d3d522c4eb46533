//! A host as it is looked up: under which names, and with which key it answered.

use std::borrow::Cow;
use std::net::IpAddr;

use super::refusal::CertificateFault;
use crate::targets::fold;
use crate::transport::ssh::certificate::Certificate;
use crate::transport::ssh::public::{KeyType, fingerprint};

/// The port that is not part of a host's name in known_hosts files.
const SSH_PORT: u16 = 22;

/// The names that a host's key may be known under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNames {
    name: String,
    fallback: Option<String>,
    principal: String,
    address: Option<String>,
}

impl HostNames {
    /// The names of a host that was called by that name (the one that ssh_config's HostName gives)
    /// at that port, unless HostKeyAlias gives it one that counts alone.
    #[must_use]
    pub fn new(host: &str, port: u16, alias: Option<&str>) -> HostNames {
        let host = alias.unwrap_or(host).to_ascii_lowercase();
        let at_port = alias.is_none() && port != SSH_PORT;
        HostNames {
            name: match at_port {
                true => format!("[{host}]:{port}"),
                false => host.clone(),
            },
            fallback: at_port.then(|| host.clone()),
            principal: host,
            address: None,
        }
    }

    /// With the address as well, which CheckHostIP wants looked at.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr, port: u16) -> HostNames {
        let address = address.to_string();
        // OpenSSH does not check what was called by its address anyhow.
        if address != self.principal {
            self.address = Some(match port {
                SSH_PORT => address,
                port => format!("[{address}]:{port}"),
            });
        }
        self
    }

    /// The name in messages and in new lines: `host`, or `[host]:port`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without the port, under which a host at another port is looked up next.
    pub(super) fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// The name that a certificate must be good for.
    pub(super) fn principal(&self) -> &str {
        &self.principal
    }

    /// The address as it is looked up, if it should be.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// All names under which something said about a key is said about this host.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        let more = self.fallback.iter().chain(&self.address);
        std::iter::once(&self.name).chain(more).map(String::as_str)
    }
}

/// The names in a message are cut at this length in bytes.
const LONGEST_LIST: usize = 400;

/// Folds hosts' names as they are looked up, `[name]:port` among them, for a message.
#[must_use]
pub fn folded<'a>(names: impl Iterator<Item = &'a str>) -> String {
    // As labels have them, so that names at one port fold.
    let labels = names.map(|name| {
        let split = name
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]:"));
        match split {
            Some((host, port)) if !host.contains(':') => format!("{host}:{port}").into(),
            _ => Cow::Borrowed(name),
        }
    });
    let labels: Vec<Cow<'_, str>> = labels.collect();
    let text = fold(labels.iter().map(|label| &**label));
    if text.len() <= LONGEST_LIST {
        return text;
    }
    let end = text[..text.floor_char_boundary(LONGEST_LIST)]
        .rfind(',')
        .unwrap_or_default();
    format!("{},… ({} names)", &text[..end], labels.len())
}

/// What a host sent as its key: a plain key, or a certificate on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    kind: KeyType,
    key: Vec<u8>,
    certificate: Option<Certificate>,
    /// What the user has against the certificate, whoever signed it.
    objection: Option<CertificateFault>,
}

impl HostKey {
    /// Reads the blob of the key exchange; `None` if it is no key. A certificate whose signature is
    /// not good is none either.
    #[must_use]
    pub fn parse(blob: &[u8]) -> Option<HostKey> {
        if let Some(kind) = KeyType::of_blob(blob) {
            return Some(HostKey {
                kind,
                key: blob.to_vec(),
                certificate: None,
                objection: None,
            });
        }
        let certificate = Certificate::parse(blob)?;
        Some(HostKey {
            kind: certificate.kind(),
            key: certificate.key().to_vec(),
            certificate: Some(certificate),
            objection: None,
        })
    }

    /// The same, whose certificate vouches for nobody unless it is signed by one of these algorithms
    /// (CASignatureAlgorithms).
    #[must_use]
    pub fn signed_by_one_of(mut self, accepted: &[String]) -> HostKey {
        let signed_by = self.certificate.as_ref().map(Certificate::algorithm);
        if signed_by.is_some_and(|name| !accepted.iter().any(|accepted| accepted == name)) {
            self.objection = Some(CertificateFault::Algorithm);
        }
        self
    }

    /// The type of the key.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The plain key as a blob, also that of a certificate.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The certificate, if it came as one.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Why its certificate vouches for nobody, whoever signed it.
    pub(super) fn objection(&self) -> Option<CertificateFault> {
        self.objection
    }

    /// The key's fingerprint as OpenSSH shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }
}
