//! OpenSSH's certificates, read from their wire form (PROTOCOL.certkeys). The crate `ssh-key` reads
//! them too, but refuses those without an end of validity, which is what `ssh-keygen -s` makes unless
//! told otherwise. Whether a certificate is *good* is for its readers to say: `known_hosts` for
//! hosts, the server for users.

use std::time::{SystemTime, UNIX_EPOCH};

use super::public::{KeyType, signed};
use super::wire::{Reader, put_string};

/// A certificate may be as long as any packet that could carry it.
const LONGEST: usize = 64 * 1024;

/// How many names one certificate may list (OpenSSH's bound).
const MOST_PRINCIPALS: usize = 256;

/// Whom a certificate is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user, who proves with it who it is.
    User,
    /// A host, which does.
    Host,
}

/// A certificate that is sound in form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    kind: KeyType,
    key: Vec<u8>,
    subject: Subject,
    id: String,
    principals: Vec<String>,
    after: u64,
    before: u64,
    critical: bool,
    authority: Vec<u8>,
    algorithm: String,
}

impl Certificate {
    /// Reads a certificate blob and checks its signature; `None` if it is not such a thing, or not
    /// signed, or signed in a way that is not trusted any more (SHA-1) or cannot be checked (by a
    /// security key).
    #[must_use]
    pub fn parse(blob: &[u8]) -> Option<Certificate> {
        let (certificate, data, signature) = Certificate::read(blob)?;
        signed(&certificate.authority, data, signature).then_some(certificate)
    }

    /// Reads a user's own certificate, whose signature is for servers to check.
    #[must_use]
    pub fn parse_own(blob: &[u8]) -> Option<Certificate> {
        let (certificate, _, _) = Certificate::read(blob)?;
        (certificate.subject == Subject::User).then_some(certificate)
    }

    /// Returns the plain key inside a certificate blob, whoever signed it: for lists of keys that are refused.
    #[must_use]
    pub fn key_inside(blob: &[u8]) -> Option<Vec<u8>> {
        Certificate::read(blob).map(|(certificate, _, _)| certificate.key)
    }

    /// Reads a certificate, and gives the data that are signed and their signature.
    fn read(blob: &[u8]) -> Option<(Certificate, &[u8], &[u8])> {
        if blob.len() > LONGEST {
            return None;
        }
        let mut reader = Reader::new(blob);
        let kind = KeyType::of_certificate_name(reader.text()?)?;
        reader.string()?; // The nonce.
        let mut key = Vec::new();
        put_string(&mut key, kind.name().as_bytes());
        for _ in 0..kind.fields() {
            put_string(&mut key, reader.string()?);
        }
        if KeyType::of_blob(&key) != Some(kind) {
            return None;
        }
        reader.u64()?; // The serial number.
        let subject = match reader.u32()? {
            1 => Subject::User,
            2 => Subject::Host,
            _ => return None,
        };
        let id = String::from_utf8_lossy(reader.string()?).into_owned();
        let principals = principals(reader.string()?)?;
        let after = reader.u64()?;
        let before = reader.u64()?;
        let critical = !reader.string()?.is_empty();
        reader.string()?; // Extensions: those of hosts are ignored.
        reader.string()?; // Reserved.
        let authority = reader.string()?.to_vec();
        let data = &blob[..blob.len() - reader.rest().len()];
        let signature = reader.string()?;
        let algorithm = Reader::new(signature).text()?.to_owned();
        let certificate = Certificate {
            kind,
            key,
            subject,
            id,
            principals,
            after,
            before,
            critical,
            authority,
            algorithm,
        };
        reader.at_end().then_some((certificate, data, signature))
    }

    /// The type of the key that it is about.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The key that it is about, as a plain key blob.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// What its authority calls it in logs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The names that it is good for; none at all means any.
    #[must_use]
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// Whether it demands something that only those who know it may ignore.
    #[must_use]
    pub fn has_critical_options(&self) -> bool {
        self.critical
    }

    /// The key of the authority that signed it, as a key blob.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// The algorithm of that signature.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Whether it is valid at that time, and if not, whether it ever was.
    pub(super) fn validity(&self, now: SystemTime) -> Validity {
        // Before 1970 nothing is valid.
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        if now < self.after {
            Validity::NotYet
        } else if now >= self.before {
            Validity::Expired
        } else {
            Validity::Valid
        }
    }
}

/// Whether a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    NotYet,
    Valid,
    Expired,
}

fn principals(list: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader::new(list);
    let mut names = Vec::new();
    while !reader.at_end() {
        if names.len() == MOST_PRINCIPALS {
            return None;
        }
        names.push(String::from_utf8_lossy(reader.string()?).into_owned());
    }
    Some(names)
}
