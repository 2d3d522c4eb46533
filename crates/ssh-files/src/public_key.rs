//! Public keys in files and on the wire: types, fingerprints and the verification of signatures. Keys are compared as
//! blobs, byte by byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Verifier;

use crate::wire::WireReader;

/// Suffix of a key type's name in certificates.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Lengths of RSA keys that are accepted, in bits.
// OpenSSH has the same upper limit.
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=16384;

/// Returns the length in bits of an RSA key, or of the RSA key in a certificate. Returns `None` for all other blobs.
#[must_use]
pub fn rsa_bits(blob: &[u8]) -> Option<u32> {
    let mut reader = WireReader::new(blob);
    let name = reader.text()?;
    let plain = name.strip_suffix(CERTIFICATE);
    if plain.unwrap_or(name) != KeyType::Rsa.name() {
        return None;
    }
    // PROTOCOL.certkeys: a nonce comes before the fields of the key.
    if plain.is_some() {
        let _nonce = reader.string()?;
    }
    let _exponent = reader.string()?;
    let modulus = reader.string()?;
    // An mpint whose top bit is set has a zero byte before it (RFC 4251, section 5).
    let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
    let digits = &modulus[zeros..];
    let bits = u32::try_from(digits.len()).ok()?.checked_mul(8)?;
    Some(bits - digits.first().map_or(0, |top| top.leading_zeros()))
}

/// The key types of OpenSSH 9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`.
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`.
    EcdsaP521,
    /// `ssh-rsa`, which signs as `rsa-sha2-512` or `rsa-sha2-256`.
    Rsa,
    /// `ssh-dss`, which is recognised in files and never used.
    Dsa,
    /// `sk-ssh-ed25519@openssh.com`: an Ed25519 key in a security key.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: an ECDSA key in a security key.
    SkEcdsa,
}

impl KeyType {
    /// All key types.
    pub const ALL: [KeyType; 8] = [
        KeyType::Ed25519,
        KeyType::EcdsaP256,
        KeyType::EcdsaP384,
        KeyType::EcdsaP521,
        KeyType::Rsa,
        KeyType::Dsa,
        KeyType::SkEd25519,
        KeyType::SkEcdsa,
    ];

    /// The name of the type in key files and key blobs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Ed25519 => "ssh-ed25519",
            KeyType::EcdsaP256 => "ecdsa-sha2-nistp256",
            KeyType::EcdsaP384 => "ecdsa-sha2-nistp384",
            KeyType::EcdsaP521 => "ecdsa-sha2-nistp521",
            KeyType::Rsa => "ssh-rsa",
            KeyType::Dsa => "ssh-dss",
            KeyType::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            KeyType::SkEcdsa => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// Returns the type with a [`name`](Self::name).
    #[must_use]
    pub fn of_name(name: &str) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word for the type in OpenSSH's messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            KeyType::Ed25519 => "ED25519",
            KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => "ECDSA",
            KeyType::Rsa => "RSA",
            KeyType::Dsa => "DSA",
            KeyType::SkEd25519 => "ED25519-SK",
            KeyType::SkEcdsa => "ECDSA-SK",
        }
    }

    /// The signature algorithms of the type, best first. SHA-1 is not among them.
    #[must_use]
    pub fn algorithms(self) -> &'static [&'static str] {
        match self {
            KeyType::Ed25519 => &["ssh-ed25519"],
            KeyType::EcdsaP256 => &["ecdsa-sha2-nistp256"],
            KeyType::EcdsaP384 => &["ecdsa-sha2-nistp384"],
            KeyType::EcdsaP521 => &["ecdsa-sha2-nistp521"],
            // RFC 8332. The older `ssh-rsa` signs with SHA-1.
            KeyType::Rsa => &["rsa-sha2-512", "rsa-sha2-256"],
            KeyType::Dsa => &[],
            KeyType::SkEd25519 => &["sk-ssh-ed25519@openssh.com"],
            KeyType::SkEcdsa => &["sk-ecdsa-sha2-nistp256@openssh.com"],
        }
    }

    /// The signature algorithms of certificates on keys of the type, best first.
    #[must_use]
    pub fn certificate_algorithms(self) -> &'static [&'static str] {
        match self {
            KeyType::Ed25519 => &["ssh-ed25519-cert-v01@openssh.com"],
            KeyType::EcdsaP256 => &["ecdsa-sha2-nistp256-cert-v01@openssh.com"],
            KeyType::EcdsaP384 => &["ecdsa-sha2-nistp384-cert-v01@openssh.com"],
            KeyType::EcdsaP521 => &["ecdsa-sha2-nistp521-cert-v01@openssh.com"],
            KeyType::Rsa => &[
                "rsa-sha2-512-cert-v01@openssh.com",
                "rsa-sha2-256-cert-v01@openssh.com",
            ],
            KeyType::Dsa => &[],
            KeyType::SkEd25519 => &["sk-ssh-ed25519-cert-v01@openssh.com"],
            KeyType::SkEcdsa => &["sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"],
        }
    }

    /// Returns the key type of a signature algorithm, and true if the algorithm is one of certificates.
    #[must_use]
    pub fn of_algorithm(algorithm: &str) -> Option<(KeyType, bool)> {
        KeyType::ALL.into_iter().find_map(|kind| {
            // A name such as `ssh-rsa` is in lists of algorithms, too.
            if kind.algorithms().contains(&algorithm) || kind.name() == algorithm {
                Some((kind, false))
            } else if kind.certificate_algorithms().contains(&algorithm)
                || KeyType::of_certificate_name(algorithm) == Some(kind)
            {
                Some((kind, true))
            } else {
                None
            }
        })
    }

    /// Returns the type of the key in certificates whose blobs start with a name.
    #[must_use]
    pub fn of_certificate_name(name: &str) -> Option<KeyType> {
        let plain = name.strip_suffix(CERTIFICATE)?;
        KeyType::ALL.into_iter().find(|kind| {
            // The names of security keys end in the domain; those of their certificates contain it once.
            kind.name() == plain || kind.name().strip_suffix("@openssh.com") == Some(plain)
        })
    }

    /// Number of strings after the name in a key blob.
    pub(crate) fn fields(self) -> usize {
        match self {
            KeyType::Ed25519 => 1,
            KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => 2,
            KeyType::Rsa | KeyType::SkEd25519 => 2,
            KeyType::Dsa => 4,
            KeyType::SkEcdsa => 3,
        }
    }

    /// Returns the type of a well-formed key blob. Returns `None` for certificates and all other blobs.
    #[must_use]
    pub fn of_blob(blob: &[u8]) -> Option<KeyType> {
        let mut reader = WireReader::new(blob);
        let kind = KeyType::of_name(reader.text()?)?;
        let fields: Vec<&[u8]> = (0..kind.fields())
            .map(|_| reader.string())
            .collect::<Option<_>>()?;
        let sound = reader.at_end()
            && match kind {
                KeyType::Ed25519 | KeyType::SkEd25519 => fields[0].len() == 32,
                KeyType::EcdsaP256 | KeyType::SkEcdsa => point(&fields, "nistp256", 32),
                KeyType::EcdsaP384 => point(&fields, "nistp384", 48),
                // 521 bits take 66 bytes.
                KeyType::EcdsaP521 => point(&fields, "nistp521", 66),
                KeyType::Rsa => !fields[0].is_empty() && RSA_BITS.contains(&bits(fields[1])),
                KeyType::Dsa => fields.iter().all(|field| !field.is_empty()),
            };
        sound.then_some(kind)
    }
}

/// True if the fields are the name of `curve` and an uncompressed point with coordinates of `size` bytes.
fn point(fields: &[&[u8]], curve: &str, size: usize) -> bool {
    // RFC 5656, section 3.1: an uncompressed point starts with 4 (SEC 1).
    fields[0] == curve.as_bytes() && fields[1].len() == 1 + 2 * size && fields[1][0] == 4
}

/// Length of a positive number in bits.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(zeros).map_or(0, |top| {
        (number.len() - zeros) * 8 - usize::try_from(top.leading_zeros()).unwrap_or(0)
    })
}

/// Returns the fingerprint of a key blob, as OpenSSH shows it.
#[must_use]
pub fn fingerprint(blob: &[u8]) -> String {
    // OpenSSH leaves out the padding of base64.
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(blob)))
}

/// True if `signature` is a signature of `data` by the key with the blob `key`.
///
/// The signature has the form of RFC 4253 §6.6: the name of the algorithm, then the signature itself, both as strings.
/// The result is false for signatures with SHA-1 and for those of security keys.
#[must_use]
pub fn verify_signature(key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    try_verify(key, data, signature).unwrap_or(false)
}

fn try_verify(key: &[u8], data: &[u8], signature: &[u8]) -> Option<bool> {
    let kind = KeyType::of_blob(key)?;
    let mut reader = WireReader::new(signature);
    let algorithm = reader.text()?;
    let raw = reader.string()?;
    // The signature must not choose an algorithm of another type of key, or SHA-1.
    if !reader.at_end() || !kind.algorithms().contains(&algorithm) {
        return None;
    }
    let mut fields = WireReader::new(key);
    fields.string()?;
    match kind {
        KeyType::Ed25519 => {
            let public = PKey::public_key_from_raw_bytes(fields.string()?, Id::ED25519).ok()?;
            let mut verifier = Verifier::new_without_digest(&public).ok()?;
            verifier.verify_oneshot(raw, data).ok()
        }
        KeyType::Rsa => {
            let exponent = BigNum::from_slice(fields.string()?).ok()?;
            let modulus = BigNum::from_slice(fields.string()?).ok()?;
            let public =
                PKey::from_rsa(Rsa::from_public_components(modulus, exponent).ok()?).ok()?;
            let mut verifier = Verifier::new(digest(algorithm)?, &public).ok()?;
            verifier.verify_oneshot(raw, data).ok()
        }
        KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
            fields.string()?;
            let public = ec_key(kind, fields.string()?).ok()?;
            let mut numbers = WireReader::new(raw);
            let r = BigNum::from_slice(numbers.string()?).ok()?;
            let s = BigNum::from_slice(numbers.string()?).ok()?;
            let signature = EcdsaSig::from_private_components(r, s).ok()?;
            let hash = openssl::hash::hash(digest(algorithm)?, data).ok()?;
            numbers
                .at_end()
                .then(|| signature.verify(&hash, &public).unwrap_or(false))
        }
        KeyType::Dsa | KeyType::SkEd25519 | KeyType::SkEcdsa => None,
    }
}

/// Digest of a signature algorithm. Ed25519 has none.
pub(crate) fn digest(algorithm: &str) -> Option<MessageDigest> {
    match algorithm {
        "rsa-sha2-512" | "ecdsa-sha2-nistp521" => Some(MessageDigest::sha512()),
        "ecdsa-sha2-nistp384" => Some(MessageDigest::sha384()),
        "rsa-sha2-256" | "ecdsa-sha2-nistp256" => Some(MessageDigest::sha256()),
        _ => None,
    }
}

/// Curve of an ECDSA key type.
pub(crate) fn curve(kind: KeyType) -> Result<EcGroup, ErrorStack> {
    EcGroup::from_curve_name(match kind {
        KeyType::EcdsaP384 => Nid::SECP384R1,
        KeyType::EcdsaP521 => Nid::SECP521R1,
        _ => Nid::X9_62_PRIME256V1,
    })
}

fn ec_key(kind: KeyType, point: &[u8]) -> Result<EcKey<Public>, ErrorStack> {
    let group = curve(kind)?;
    let mut context = BigNumContext::new()?;
    let point = EcPoint::from_bytes(&group, point, &mut context)?;
    EcKey::from_public_key(&group, &point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::OpensshTools;

    #[test]
    fn the_length_of_rsa_keys_is_read_off_them() {
        let Some(tools) = OpensshTools::new() else {
            return;
        };
        tools.key("small", &["-t", "rsa", "-b", "1024"]);
        tools.key("odd", &["-t", "rsa", "-b", "2047"]);
        tools.key("other", &["-t", "ed25519"]);
        tools.run(
            "ssh-keygen",
            &["-q", "-s", "other", "-I", "id", "-n", "u", "odd.pub"],
        );
        assert_eq!(rsa_bits(&tools.blob("small.pub")), Some(1024));
        assert_eq!(rsa_bits(&tools.blob("odd.pub")), Some(2047));
        assert_eq!(rsa_bits(&tools.blob("odd-cert.pub")), Some(2047));
        assert_eq!(rsa_bits(&tools.blob("other.pub")), None);
        let blob = tools.blob("small.pub");
        for length in 0..blob.len() {
            assert_eq!(rsa_bits(&blob[..length]), None);
        }
    }
}
