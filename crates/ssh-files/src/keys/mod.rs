//! The user's private keys and certificates. [`Identities`] reads and decrypts each file once, and signs from memory.

mod candidates;
mod identities;
mod key_file;
mod openssh;
mod private_key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use candidates::{AgentKey, KeyCandidate, KeyHolder};
pub use identities::{
    Identities, IdentitySettings, PassphraseRequest, PassphraseSource, UnlockError,
};

use crate::public_key::KeyType;
use crate::wire::WireReader;
use private_key::PrivateKey;

/// `SSH_MSG_USERAUTH_REQUEST` (RFC 4252 §6).
const USERAUTH_REQUEST: u8 = 50;

/// An error of a signature.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key does not have this algorithm. SHA-1 is not supported.
    #[error("{} keys do not sign with {algorithm}", kind.word())]
    Algorithm {
        /// The requested algorithm.
        algorithm: String,
        /// Type of the key.
        kind: KeyType,
    },
    /// The data is no authentication request for this key.
    #[error("asked to sign something else than a request for this key")]
    Request,
    /// OpenSSL reports an error.
    #[error("cannot sign: {0}")]
    Failed(String),
}

/// A private key in memory, with or without a certificate. Clones share the key.
#[derive(Clone)]
pub struct Signer {
    key: Arc<PrivateKey>,
    blob: Arc<[u8]>,
    is_certificate: bool,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({:?})", self.key.kind())
    }
}

impl Signer {
    fn new(key: Arc<PrivateKey>) -> Signer {
        Signer {
            blob: key.public().into(),
            key,
            is_certificate: false,
        }
    }

    fn certified(key: Arc<PrivateKey>, certificate: Arc<[u8]>) -> Signer {
        Signer {
            key,
            blob: certificate,
            is_certificate: true,
        }
    }

    /// The blob for the server: the public key or the certificate.
    #[must_use]
    pub fn public_blob(&self) -> &[u8] {
        &self.blob
    }

    /// The type of the key.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.key.kind()
    }

    /// The algorithms for authentication requests, best first.
    #[must_use]
    pub fn algorithms(&self) -> &'static [&'static str] {
        if self.is_certificate {
            self.kind().certificate_algorithms()
        } else {
            self.kind().algorithms()
        }
    }

    /// Signs data. For an algorithm of certificates, that of the key is used.
    ///
    /// Returns the signature alone, without its length and without the name of the algorithm.
    ///
    /// # Errors
    /// Returns an error if the key does not have the algorithm.
    pub fn sign(&self, data: &[u8], algorithm: &str) -> Result<Vec<u8>, SignError> {
        self.key.sign(data, signing_algorithm(algorithm))
    }

    /// Signs an authentication request with the algorithm that it contains. See [`sign`](Self::sign).
    ///
    /// # Errors
    /// Returns an error if the data is no authentication request, if the request is for another key, or if the key does
    /// not have the algorithm.
    pub fn sign_request(&self, request: &[u8]) -> Result<Vec<u8>, SignError> {
        let (algorithm, blob) = signature_request(request).ok_or(SignError::Request)?;
        if blob != self.public_blob() {
            return Err(SignError::Request);
        }
        self.sign(request, algorithm)
    }
}

/// Returns the algorithm and the key blob of a public key authentication request, in the form in which it is signed:
/// with the session identifier first (RFC 4252 §7).
#[must_use]
pub fn signature_request(request: &[u8]) -> Option<(&str, &[u8])> {
    let mut reader = WireReader::new(request);
    reader.string()?; // The session identifier.
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

/// Returns the algorithm of the signature for an algorithm of keys or certificates.
#[must_use]
pub fn signing_algorithm(algorithm: &str) -> &str {
    match KeyType::of_algorithm(algorithm) {
        Some((kind, true)) => kind
            .certificate_algorithms()
            .iter()
            .position(|certificate| *certificate == algorithm)
            .map_or(algorithm, |index| kind.algorithms()[index]),
        _ => algorithm,
    }
}
