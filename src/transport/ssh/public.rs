//! Public keys as they stand in files and on the wire: their types, their fingerprints, and whether a
//! signature is theirs. Keys are compared as blobs, byte by byte.

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

use super::wire::Reader;

/// What is appended to a key's type for a certificate on it.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Numbers of RSA keys beyond this are not keys (OpenSSH: 16384 bits).
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=16384;

/// The length of an RSA key in bits, also within a certificate; `None` for other keys and what is none.
pub(super) fn rsa_bits(blob: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(blob);
    let name = reader.text()?;
    let plain = name.strip_suffix(CERTIFICATE);
    if plain.unwrap_or(name) != KeyType::Rsa.name() {
        return None;
    }
    if plain.is_some() {
        let _nonce = reader.string()?;
    }
    let _exponent = reader.string()?;
    let modulus = reader.string()?;
    let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
    let digits = &modulus[zeros..];
    let bits = u32::try_from(digits.len()).ok()?.checked_mul(8)?;
    Some(bits - digits.first().map_or(0, |top| top.leading_zeros()))
}

/// The kinds of keys that OpenSSH 9.2 knows.
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
    /// `ssh-dss`: read in files, used by nobody.
    Dsa,
    /// An Ed25519 key in a security key.
    SkEd25519,
    /// An ECDSA key in a security key.
    SkEcdsa,
}

impl KeyType {
    /// All of them.
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

    /// The name in key files and key blobs.
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

    /// The type of that [`name`](Self::name).
    #[must_use]
    pub fn of_name(name: &str) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word for it in OpenSSH's messages.
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

    /// The algorithms that such a key signs with, best first; never SHA-1.
    #[must_use]
    pub fn algorithms(self) -> &'static [&'static str] {
        match self {
            KeyType::Ed25519 => &["ssh-ed25519"],
            KeyType::EcdsaP256 => &["ecdsa-sha2-nistp256"],
            KeyType::EcdsaP384 => &["ecdsa-sha2-nistp384"],
            KeyType::EcdsaP521 => &["ecdsa-sha2-nistp521"],
            KeyType::Rsa => &["rsa-sha2-512", "rsa-sha2-256"],
            KeyType::Dsa => &[],
            KeyType::SkEd25519 => &["sk-ssh-ed25519@openssh.com"],
            KeyType::SkEcdsa => &["sk-ecdsa-sha2-nistp256@openssh.com"],
        }
    }

    /// The algorithms that a certificate on such a key is used with, best first.
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

    /// The type of key that an algorithm's name asks for, and whether it asks for a certificate.
    #[must_use]
    pub fn of_algorithm(algorithm: &str) -> Option<(KeyType, bool)> {
        KeyType::ALL.into_iter().find_map(|kind| {
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

    /// The type of the key in a certificate blob of that name.
    pub(super) fn of_certificate_name(name: &str) -> Option<KeyType> {
        let plain = name.strip_suffix(CERTIFICATE)?;
        KeyType::ALL.into_iter().find(|kind| {
            // Security keys' names end in the domain, which certificates have once.
            kind.name() == plain || kind.name().strip_suffix("@openssh.com") == Some(plain)
        })
    }

    /// How many counted fields follow the name in a key blob.
    pub(super) fn fields(self) -> usize {
        match self {
            KeyType::Ed25519 => 1,
            KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => 2,
            KeyType::Rsa | KeyType::SkEd25519 => 2,
            KeyType::Dsa => 4,
            KeyType::SkEcdsa => 3,
        }
    }

    /// The type of a key blob that is sound in form; `None` for certificates and whatever else.
    #[must_use]
    pub fn of_blob(blob: &[u8]) -> Option<KeyType> {
        let mut reader = Reader::new(blob);
        let kind = KeyType::of_name(reader.text()?)?;
        let fields: Vec<&[u8]> = (0..kind.fields())
            .map(|_| reader.string())
            .collect::<Option<_>>()?;
        let sound = reader.at_end()
            && match kind {
                KeyType::Ed25519 | KeyType::SkEd25519 => fields[0].len() == 32,
                KeyType::EcdsaP256 | KeyType::SkEcdsa => point(&fields, "nistp256", 32),
                KeyType::EcdsaP384 => point(&fields, "nistp384", 48),
                KeyType::EcdsaP521 => point(&fields, "nistp521", 66),
                KeyType::Rsa => !fields[0].is_empty() && RSA_BITS.contains(&bits(fields[1])),
                KeyType::Dsa => fields.iter().all(|field| !field.is_empty()),
            };
        sound.then_some(kind)
    }
}

/// Whether that is a curve's name and an uncompressed point with coordinates of that size.
fn point(fields: &[&[u8]], curve: &str, size: usize) -> bool {
    fields[0] == curve.as_bytes() && fields[1].len() == 1 + 2 * size && fields[1][0] == 4
}

/// The length of a positive number.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(zeros).map_or(0, |top| {
        (number.len() - zeros) * 8 - usize::try_from(top.leading_zeros()).unwrap_or(0)
    })
}

/// A key's fingerprint as OpenSSH shows it.
#[must_use]
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(blob)))
}

/// Whether a signature (an algorithm's name and the signature itself, both counted) of that data was
/// made with that key. SHA-1 signatures never were, nor those of security keys, which nobody here
/// can check.
pub(super) fn signed(key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    try_signed(key, data, signature).unwrap_or(false)
}

fn try_signed(key: &[u8], data: &[u8], signature: &[u8]) -> Option<bool> {
    let kind = KeyType::of_blob(key)?;
    let mut reader = Reader::new(signature);
    let algorithm = reader.text()?;
    let raw = reader.string()?;
    if !reader.at_end() || !kind.algorithms().contains(&algorithm) {
        return None;
    }
    let mut fields = Reader::new(key);
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
            let mut numbers = Reader::new(raw);
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

/// The digest that goes with an algorithm; none for Ed25519, which takes the data whole.
pub(super) fn digest(algorithm: &str) -> Option<MessageDigest> {
    match algorithm {
        "rsa-sha2-512" | "ecdsa-sha2-nistp521" => Some(MessageDigest::sha512()),
        "ecdsa-sha2-nistp384" => Some(MessageDigest::sha384()),
        "rsa-sha2-256" | "ecdsa-sha2-nistp256" => Some(MessageDigest::sha256()),
        _ => None,
    }
}

/// The curve of an ECDSA key.
pub(super) fn curve(kind: KeyType) -> Result<EcGroup, ErrorStack> {
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
    use crate::transport::ssh::testing::Bench;

    #[test]
    fn the_length_of_rsa_keys_is_read_off_them() {
        let Some(bench) = Bench::new() else { return };
        bench.key("small", &["-t", "rsa", "-b", "1024"]);
        bench.key("odd", &["-t", "rsa", "-b", "2047"]);
        bench.key("other", &["-t", "ed25519"]);
        bench.run(
            "ssh-keygen",
            &["-q", "-s", "other", "-I", "id", "-n", "u", "odd.pub"],
        );
        assert_eq!(rsa_bits(&bench.blob("small.pub")), Some(1024));
        assert_eq!(rsa_bits(&bench.blob("odd.pub")), Some(2047));
        assert_eq!(rsa_bits(&bench.blob("odd-cert.pub")), Some(2047));
        assert_eq!(rsa_bits(&bench.blob("other.pub")), None);
        let blob = bench.blob("small.pub");
        for length in 0..blob.len() {
            assert_eq!(rsa_bits(&blob[..length]), None);
        }
    }
}
