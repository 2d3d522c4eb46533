//! OpenSSH's format of private keys (PROTOCOL.key).
//!
//! The crate `ssh-key` derives the encryption key and decrypts. It does not read the fields: it refuses every ECDSA key
//! whose number starts with a zero byte, which is half of the keys on nistp521.

use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

use super::key_file::KeyFileError;
use super::private_key::PrivateKey;
use crate::public_key::KeyType;
use crate::wire::WireReader;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Maximum number of rounds of bcrypt.
// `ssh-keygen -a 100` takes a second, so a larger number means a damaged file.
const MOST_ROUNDS: u32 = 20_000;

/// A key file in OpenSSH's format. The public half is never encrypted.
pub(super) struct OpensshKey {
    public: Vec<u8>,
    cipher: Cipher,
    kdf: Kdf,
    body: Zeroizing<Vec<u8>>,
    tag: Option<[u8; 16]>,
}

impl OpensshKey {
    /// Reads the contents of the armor.
    pub(super) fn parse(bytes: &[u8]) -> Result<OpensshKey, KeyFileError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(KeyFileError::Damaged)?;
        let mut reader = WireReader::new(rest);
        let mut field = || reader.string().ok_or(KeyFileError::Damaged);
        let (cipher, kdf, options) = (field()?, field()?, field()?);
        // OpenSSH writes exactly one key.
        if reader.u32() != Some(1) {
            return Err(KeyFileError::Damaged);
        }
        let mut field = || reader.string().ok_or(KeyFileError::Damaged);
        let (public, body) = (field()?, field()?);
        let cipher = std::str::from_utf8(cipher)
            .ok()
            .and_then(|name| Cipher::new(name).ok())
            .filter(|cipher| *cipher != Cipher::TDesCbc)
            .ok_or(KeyFileError::Unsupported("keys under that cipher"))?;
        let kdf = match kdf {
            b"none" => Kdf::None,
            b"bcrypt" => bcrypt(options).ok_or(KeyFileError::Damaged)?,
            _ => {
                return Err(KeyFileError::Unsupported(
                    "keys under that kind of passphrase",
                ));
            }
        };
        let tag = if cipher.has_tag() {
            let tag = reader.rest().try_into();
            Some(tag.map_err(|_| KeyFileError::Damaged)?)
        } else {
            None
        };
        // PROTOCOL.key: the private half is padded to the block size of the cipher.
        let sound = body.len() % cipher.block_size() == 0
            && cipher.is_none() == kdf.is_none()
            && (tag.is_some() || reader.at_end());
        if !sound {
            return Err(KeyFileError::Damaged);
        }
        Ok(OpensshKey {
            public: public.to_vec(),
            cipher,
            kdf,
            body: Zeroizing::new(body.to_vec()),
            tag,
        })
    }

    /// The public half.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// True if the private half is in a security key.
    pub(super) fn is_in_security_key(&self) -> bool {
        let kind = KeyType::of_blob(&self.public);
        matches!(kind, Some(KeyType::SkEd25519 | KeyType::SkEcdsa))
    }

    /// True if the key is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// Reads a key that is not encrypted.
    pub(super) fn open(&self) -> Result<PrivateKey, KeyFileError> {
        self.private_key(&self.body).ok_or(KeyFileError::Damaged)?
    }

    /// Decrypts the key, which takes a tenth of a second or more by design.
    pub(super) fn decrypt(&self, passphrase: &[u8]) -> Result<PrivateKey, KeyFileError> {
        let (key, iv) = self
            .kdf
            .derive_key_and_iv(self.cipher, passphrase)
            .map_err(|_| KeyFileError::Passphrase)?;
        let mut body = self.body.clone();
        self.cipher
            .decrypt(&key, &iv, &mut body, self.tag)
            .map_err(|_| KeyFileError::Passphrase)?;
        self.private_key(&body).ok_or(KeyFileError::Passphrase)?
    }

    /// Reads the private half. Returns `None` if it is not well-formed, as after decryption with a wrong passphrase.
    fn private_key(&self, body: &[u8]) -> Option<Result<PrivateKey, KeyFileError>> {
        let mut reader = WireReader::new(body);
        // PROTOCOL.key: a random number twice, which differ after decryption with a wrong passphrase.
        if reader.u32()? != reader.u32()? {
            return None;
        }
        let Some(kind) = KeyType::of_name(reader.text()?) else {
            return Some(Err(KeyFileError::Unsupported("keys of that type")));
        };
        let private = match kind {
            KeyType::Ed25519 => {
                reader.string()?;
                // The seed, followed by the public key.
                PrivateKey::ed25519(reader.string()?.get(..32)?)
            }
            KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
                reader.string()?;
                let point = reader.string()?;
                PrivateKey::ecdsa(kind, point, reader.string()?)
            }
            KeyType::Rsa => {
                let mut numbers = [&[][..]; 6];
                for number in &mut numbers {
                    *number = reader.string()?;
                }
                PrivateKey::rsa(numbers)
            }
            KeyType::Dsa => return Some(Err(KeyFileError::Unsupported("DSA keys"))),
            KeyType::SkEd25519 | KeyType::SkEcdsa => {
                return Some(Err(KeyFileError::Unsupported("security keys")));
            }
        };
        reader.string()?; // The comment.
        // PROTOCOL.key: the padding is 1, 2, 3 and so on.
        let padded = (1..).zip(reader.rest()).all(|(at, &byte)| at == byte);
        if !padded {
            return None;
        }
        Some(match private {
            // The outer public half is not encrypted, so anybody could have changed it.
            Ok(private) if private.public() == self.public => Ok(private),
            Ok(_) => Err(KeyFileError::Damaged),
            Err(fault) => Err(fault),
        })
    }
}

fn bcrypt(options: &[u8]) -> Option<Kdf> {
    let mut reader = WireReader::new(options);
    let salt = reader.string()?.to_vec();
    let rounds = reader.u32()?;
    let sound = reader.at_end() && (1..=MOST_ROUNDS).contains(&rounds);
    sound.then_some(Kdf::Bcrypt { salt, rounds })
}
