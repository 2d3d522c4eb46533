//! The user's own keys: each file is read and decrypted once for a run, before its first connection,
//! and signs for every host from memory.
//!
//! [`Identities`] holds the files; [`Identities::candidates`] gives the keys to offer to one host, in
//! OpenSSH's order. ssh asks for a passphrase when a server has accepted the key; here every question
//! comes before the first connection. So [`Identities::unlock`] asks for the keys that are configured
//! by name and that the agent does not have, and for ssh's default keys only if there is nothing else
//! to offer. A passphrase that was given is tried on the other keys before the next question.

mod candidates;
mod file;
mod identities;
mod openssh;
mod secret;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use candidates::{Candidate, With};
pub use identities::{Identities, UnlockError, Wanted};

use crate::transport::ssh::public::KeyType;
use crate::transport::ssh::wire::Reader;
use secret::Secret;

/// The names of the keys that ssh looks for in `~/.ssh`, in its order.
pub const DEFAULT_NAMES: [&str; 6] = [
    "id_rsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "id_xmss",
];

/// What the byte says that precedes a request which is signed (RFC 4252 §7).
const USERAUTH_REQUEST: u8 = 50;

/// Data that could not be signed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key does not sign that way; SHA-1 is not done at all.
    #[error("{} keys do not sign with {algorithm}", kind.word())]
    Algorithm {
        /// As asked for.
        algorithm: String,
        /// What the key is.
        kind: KeyType,
    },
    /// What should be signed is not a request to let this key in.
    #[error("asked to sign something else than a request for this key")]
    Request,
    /// The cryptography fails.
    #[error("cannot sign: {0}")]
    Failed(String),
}

/// A private key in memory, offered as itself or by a certificate. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    secret: Arc<Secret>,
    blob: Arc<[u8]>,
    is_certificate: bool,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({:?})", self.secret.kind())
    }
}

impl Signer {
    fn new(secret: Arc<Secret>) -> Signer {
        Signer {
            blob: secret.public().into(),
            secret,
            is_certificate: false,
        }
    }

    fn certified(secret: Arc<Secret>, certificate: Arc<[u8]>) -> Signer {
        Signer {
            secret,
            blob: certificate,
            is_certificate: true,
        }
    }

    /// What the server is shown: the public key's blob, or the certificate's.
    #[must_use]
    pub fn public_blob(&self) -> &[u8] {
        &self.blob
    }

    /// The type of the key.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.secret.kind()
    }

    /// The names that the request may ask for, best first.
    #[must_use]
    pub fn algorithms(&self) -> &'static [&'static str] {
        match self.is_certificate {
            true => self.kind().certificate_algorithms(),
            false => self.kind().algorithms(),
        }
    }

    /// Signs data with an algorithm (of a certificate: with that of its key) and gives the signature
    /// without the algorithm's name and without its own length: what libssh2's sign callback hands back.
    ///
    /// # Errors
    /// The key cannot do that.
    pub fn sign(&self, data: &[u8], algorithm: &str) -> Result<Vec<u8>, SignError> {
        self.secret.sign(data, plain_algorithm(algorithm))
    }

    /// Signs a request for authentication with the algorithm that it says itself, as libssh2's sign
    /// callback is given it.
    ///
    /// # Errors
    /// It is no such request, or for another key, or the key does not sign that way.
    pub fn sign_request(&self, request: &[u8]) -> Result<Vec<u8>, SignError> {
        let (algorithm, blob) = asked(request).ok_or(SignError::Request)?;
        if blob != self.public_blob() {
            return Err(SignError::Request);
        }
        self.sign(request, algorithm)
    }
}

/// The algorithm and the key blob in a request for authentication by public key, with the session's
/// identifier in front (RFC 4252 §7).
#[must_use]
pub fn asked(request: &[u8]) -> Option<(&str, &[u8])> {
    let mut reader = Reader::new(request);
    reader.string()?; // The session's identifier.
    if reader.byte()? != USERAUTH_REQUEST {
        return None;
    }
    reader.string()?; // The user.
    let right = reader.string()? == b"ssh-connection"
        && reader.string()? == b"publickey"
        && reader.byte()? == 1;
    let algorithm = reader.text()?;
    let blob = reader.string()?;
    (right && reader.at_end()).then_some((algorithm, blob))
}

/// The algorithm that signs, for one that may be a certificate's.
#[must_use]
pub fn plain_algorithm(algorithm: &str) -> &str {
    match KeyType::of_algorithm(algorithm) {
        Some((kind, true)) => kind
            .certificate_algorithms()
            .iter()
            .position(|certificate| *certificate == algorithm)
            .map_or(algorithm, |index| kind.algorithms()[index]),
        _ => algorithm,
    }
}
