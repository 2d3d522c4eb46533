//! OpenSSH certificates in their wire form (PROTOCOL.certkeys).
//!
//! The crate `ssh-key` has a reader too. It refuses certificates without an end of validity, which `ssh-keygen -s`
//! makes by default.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::public_key::{KeyType, verify_signature};
use crate::wire::{WireReader, put_string};

/// Maximum length of a certificate in bytes: that of a packet that carries it.
const LONGEST: usize = 64 * 1024;

/// Maximum number of names in one certificate (OpenSSH's limit).
const MOST_PRINCIPALS: usize = 256;

/// The purpose of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// The certificate identifies a user to servers.
    User,
    /// The certificate identifies a host to clients.
    Host,
}

/// A well-formed certificate. The program must still decide if it trusts the authority that signed the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    kind: KeyType,
    key: Vec<u8>,
    purpose: CertificateKind,
    id: String,
    principals: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    has_critical_options: bool,
    authority: Vec<u8>,
    signature_algorithm: String,
}

impl Certificate {
    /// Reads a certificate blob and checks its signature.
    ///
    /// Returns `None` if the blob is no certificate or if its signature is wrong. The same applies to signatures with
    /// SHA-1, which are not trusted any more, and to those of security keys, which are not supported.
    #[must_use]
    pub fn parse(blob: &[u8]) -> Option<Certificate> {
        let (certificate, data, signature) = Certificate::read(blob)?;
        verify_signature(&certificate.authority, data, signature).then_some(certificate)
    }

    /// Reads a user certificate without a check of its signature, which is the task of servers.
    #[must_use]
    pub fn parse_own(blob: &[u8]) -> Option<Certificate> {
        let (certificate, _, _) = Certificate::read(blob)?;
        (certificate.purpose == CertificateKind::User).then_some(certificate)
    }

    /// Returns the plain key inside a certificate blob, without a check of the signature: for lists of revoked keys.
    #[must_use]
    pub fn key_inside(blob: &[u8]) -> Option<Vec<u8>> {
        Certificate::read(blob).map(|(certificate, _, _)| certificate.key)
    }

    /// Reads a certificate. Returns it with the signed data and their signature.
    fn read(blob: &[u8]) -> Option<(Certificate, &[u8], &[u8])> {
        if blob.len() > LONGEST {
            return None;
        }
        let mut reader = WireReader::new(blob);
        let kind = KeyType::of_certificate_name(reader.text()?)?;
        reader.string()?; // The nonce.
        let mut key = Vec::new();
        put_string(&mut key, kind.name().as_bytes());
        // The fields of the key stand in the certificate itself, without a blob of their own (PROTOCOL.certkeys).
        for _ in 0..kind.fields() {
            put_string(&mut key, reader.string()?);
        }
        if KeyType::of_blob(&key) != Some(kind) {
            return None;
        }
        reader.u64()?; // The serial number.
        let purpose = match reader.u32()? {
            1 => CertificateKind::User,
            2 => CertificateKind::Host,
            _ => return None,
        };
        // The identifier is only shown, never compared.
        let id = String::from_utf8_lossy(reader.string()?).into_owned();
        let principals = principals(reader.string()?)?;
        let valid_after = reader.u64()?;
        let valid_before = reader.u64()?;
        let has_critical_options = !reader.string()?.is_empty();
        reader.string()?; // The extensions, which host certificates do not have.
        reader.string()?; // Reserved.
        let authority = reader.string()?.to_vec();
        // The signature covers everything before itself.
        let data = &blob[..blob.len() - reader.rest().len()];
        let signature = reader.string()?;
        let signature_algorithm = WireReader::new(signature).text()?.to_owned();
        let certificate = Certificate {
            kind,
            key,
            purpose,
            id,
            principals,
            valid_after,
            valid_before,
            has_critical_options,
            authority,
            signature_algorithm,
        };
        // Bytes after the signature would not be signed.
        reader.at_end().then_some((certificate, data, signature))
    }

    /// The type of the certified key.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The certified key, as a plain key blob.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The purpose of the certificate.
    #[must_use]
    pub fn purpose(&self) -> CertificateKind {
        self.purpose
    }

    /// The key identifier, which servers write to their logs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The names for which the certificate is valid. An empty list means all names.
    #[must_use]
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// True if there are critical options. A reader that does not know an option must refuse the certificate.
    #[must_use]
    pub fn has_critical_options(&self) -> bool {
        self.has_critical_options
    }

    /// The key of the authority that signed the certificate, as a key blob.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// The algorithm of the authority's signature.
    #[must_use]
    pub fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// The validity of the certificate at a point in time.
    pub(crate) fn validity(&self, now: SystemTime) -> CertificateValidity {
        // Certificates cannot express times before 1970.
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        if now < self.valid_after {
            CertificateValidity::NotYet
        // OpenSSH's limits: valid_after is the first second, valid_before the first one after the end.
        } else if now >= self.valid_before {
            CertificateValidity::Expired
        } else {
            CertificateValidity::Valid
        }
    }
}

/// Validity of a certificate at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateValidity {
    NotYet,
    Valid,
    Expired,
}

fn principals(list: &[u8]) -> Option<Vec<String>> {
    let mut reader = WireReader::new(list);
    let mut names = Vec::new();
    while !reader.at_end() {
        if names.len() == MOST_PRINCIPALS {
            return None;
        }
        // A name with a replacement character equals no host name.
        names.push(String::from_utf8_lossy(reader.string()?).into_owned());
    }
    Some(names)
}
