//! Private keys in memory and their signatures.

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcKey, EcPoint, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::RsaPrivateKeyBuilder;
use openssl::sign::Signer;

use super::SignError;
use super::key_file::KeyFileError;
use crate::public_key::{KeyType, curve, digest};
use crate::wire::{put_number, put_string};

/// A private key. OpenSSL wipes it from memory when it is dropped.
pub(super) struct PrivateKey {
    kind: KeyType,
    public: Vec<u8>,
    key: PKey<Private>,
}

impl PrivateKey {
    /// The type of the key.
    pub(super) fn kind(&self) -> KeyType {
        self.kind
    }

    /// The public half of the key, as a blob.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Makes a key from one that OpenSSL has read.
    pub(super) fn from_openssl(key: PKey<Private>) -> Result<PrivateKey, KeyFileError> {
        let (kind, public) = public_of(&key)?;
        match KeyType::of_blob(&public) {
            Some(found) if found == kind => Ok(PrivateKey { kind, public, key }),
            _ => Err(KeyFileError::Unsupported("a key of that size")),
        }
    }

    /// Makes an Ed25519 key from its seed.
    pub(super) fn ed25519(seed: &[u8]) -> Result<PrivateKey, KeyFileError> {
        let key = PKey::private_key_from_raw_bytes(seed, Id::ED25519);
        PrivateKey::from_openssl(key.map_err(|_| KeyFileError::Damaged)?)
    }

    /// Makes an ECDSA key from its point and its number.
    pub(super) fn ecdsa(
        kind: KeyType,
        point: &[u8],
        number: &[u8],
    ) -> Result<PrivateKey, KeyFileError> {
        let key = ecdsa(kind, point, number);
        PrivateKey::from_openssl(key.map_err(|_| KeyFileError::Damaged)?)
    }

    /// Makes an RSA key from its numbers in OpenSSH's order: n, e, d, the inverse of q, p, q.
    pub(super) fn rsa(numbers: [&[u8]; 6]) -> Result<PrivateKey, KeyFileError> {
        let key = rsa(numbers);
        PrivateKey::from_openssl(key.map_err(|_| KeyFileError::Damaged)?)
    }

    /// Signs data. Returns the signature alone, without the name of the algorithm.
    pub(super) fn sign(&self, data: &[u8], algorithm: &str) -> Result<Vec<u8>, SignError> {
        if !self.kind.algorithms().contains(&algorithm) {
            return Err(SignError::Algorithm {
                algorithm: algorithm.to_owned(),
                kind: self.kind,
            });
        }
        self.try_sign(data, algorithm)
            .map_err(|error| SignError::Failed(error.to_string()))
    }

    fn try_sign(&self, data: &[u8], algorithm: &str) -> Result<Vec<u8>, ErrorStack> {
        let Some(digest) = digest(algorithm) else {
            // Ed25519 hashes the data itself (RFC 8032).
            return Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(data);
        };
        if self.kind == KeyType::Rsa {
            return Signer::new(digest, &self.key)?.sign_oneshot_to_vec(data);
        }
        // RFC 5656, section 3.1.2, has two mpints; OpenSSL's own signature would be in DER.
        let hash = openssl::hash::hash(digest, data)?;
        let signature = EcdsaSig::sign(&hash, &*self.key.ec_key()?)?;
        let mut numbers = Vec::new();
        put_number(&mut numbers, &signature.r().to_vec());
        put_number(&mut numbers, &signature.s().to_vec());
        Ok(numbers)
    }
}

/// Returns the type of a key and the blob of its public half.
fn public_of(key: &PKey<Private>) -> Result<(KeyType, Vec<u8>), KeyFileError> {
    let broken = |_: ErrorStack| KeyFileError::Damaged;
    let mut blob = Vec::new();
    let kind = match key.id() {
        Id::ED25519 => {
            put_string(&mut blob, KeyType::Ed25519.name().as_bytes());
            put_string(&mut blob, &key.raw_public_key().map_err(broken)?);
            KeyType::Ed25519
        }
        Id::RSA => {
            let rsa = key.rsa().map_err(broken)?;
            put_string(&mut blob, KeyType::Rsa.name().as_bytes());
            put_number(&mut blob, &rsa.e().to_vec());
            put_number(&mut blob, &rsa.n().to_vec());
            KeyType::Rsa
        }
        Id::EC => {
            let ec = key.ec_key().map_err(broken)?;
            let (kind, name) = match ec.group().curve_name() {
                Some(Nid::X9_62_PRIME256V1) => (KeyType::EcdsaP256, "nistp256"),
                Some(Nid::SECP384R1) => (KeyType::EcdsaP384, "nistp384"),
                Some(Nid::SECP521R1) => (KeyType::EcdsaP521, "nistp521"),
                _ => return Err(KeyFileError::Unsupported("ECDSA keys on that curve")),
            };
            let mut context = BigNumContext::new().map_err(broken)?;
            let form = PointConversionForm::UNCOMPRESSED;
            let point = ec.public_key().to_bytes(ec.group(), form, &mut context);
            put_string(&mut blob, kind.name().as_bytes());
            put_string(&mut blob, name.as_bytes());
            put_string(&mut blob, &point.map_err(broken)?);
            kind
        }
        Id::DSA => return Err(KeyFileError::Unsupported("DSA keys")),
        _ => return Err(KeyFileError::Unsupported("keys of that type")),
    };
    Ok((kind, blob))
}

fn ecdsa(kind: KeyType, point: &[u8], number: &[u8]) -> Result<PKey<Private>, ErrorStack> {
    let group = curve(kind)?;
    let mut context = BigNumContext::new()?;
    let point = EcPoint::from_bytes(&group, point, &mut context)?;
    let mut number = BigNum::from_slice(number)?;
    let key = EcKey::from_private_components(&group, &number, &point);
    // OpenSSL has its own copy in the key, so this one is wiped.
    number.clear();
    let key = key?;
    // The file can have a point that does not belong to the number.
    key.check_key()?;
    PKey::from_ec_key(key)
}

fn rsa(numbers: [&[u8]; 6]) -> Result<PKey<Private>, ErrorStack> {
    let [n, e, d, iqmp, p, q] = numbers.map(BigNum::from_slice);
    let (d, p, q) = (d?, p?, q?);
    let mut context = BigNumContext::new_secure()?;
    // The file lacks `d mod (p - 1)` and `d mod (q - 1)`, which make signatures faster.
    let mut less_one = |prime: &BigNumRef| {
        let mut less = prime.to_owned()?;
        less.sub_word(1)?;
        let mut rest = BigNum::new()?;
        let done = rest.nnmod(&d, &less, &mut context);
        less.clear();
        done.map(|()| rest)
    };
    let (dmp1, dmq1) = (less_one(&p)?, less_one(&q)?);
    // The key owns the numbers from here on, and wipes them when it is dropped.
    let key = RsaPrivateKeyBuilder::new(n?, e?, d)?
        .set_factors(p, q)?
        .set_crt_params(dmp1, dmq1, iqmp?)?
        .build();
    PKey::from_rsa(key)
}
