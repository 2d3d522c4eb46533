//! OpenSSH's own format of private keys (PROTOCOL.key). The crate `ssh-key` derives the key that it is
//! encrypted with and decrypts it; the fields are read here, since that crate refuses every ECDSA key
//! whose number begins with a zero byte, which is half of those on nistp521.

use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

use super::file::Fault;
use super::secret::Secret;
use crate::transport::ssh::public::KeyType;
use crate::transport::ssh::wire::Reader;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// `ssh-keygen -a 100` is a second's work; so much more is a damaged file.
const MOST_ROUNDS: u32 = 20_000;

/// A key as it stands in the file, with its public half in the clear.
pub(super) struct Sealed {
    public: Vec<u8>,
    cipher: Cipher,
    kdf: Kdf,
    body: Zeroizing<Vec<u8>>,
    tag: Option<[u8; 16]>,
}

impl Sealed {
    /// Reads what is inside of the armour.
    pub(super) fn parse(bytes: &[u8]) -> Result<Sealed, Fault> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Fault::Damaged)?;
        let mut reader = Reader::new(rest);
        let mut field = || reader.string().ok_or(Fault::Damaged);
        let (cipher, kdf, options) = (field()?, field()?, field()?);
        // One key is all that OpenSSH ever writes.
        if reader.u32() != Some(1) {
            return Err(Fault::Damaged);
        }
        let mut field = || reader.string().ok_or(Fault::Damaged);
        let (public, body) = (field()?, field()?);
        let cipher = std::str::from_utf8(cipher)
            .ok()
            .and_then(|name| Cipher::new(name).ok())
            .filter(|cipher| *cipher != Cipher::TDesCbc)
            .ok_or(Fault::Unsupported("keys under that cipher"))?;
        let kdf = match kdf {
            b"none" => Kdf::None,
            b"bcrypt" => bcrypt(options).ok_or(Fault::Damaged)?,
            _ => return Err(Fault::Unsupported("keys under that kind of passphrase")),
        };
        let tag = match cipher.has_tag() {
            true => Some(reader.rest().try_into().map_err(|_| Fault::Damaged)?),
            false => None,
        };
        let sound = body.len() % cipher.block_size() == 0
            && cipher.is_none() == kdf.is_none()
            && (tag.is_some() || reader.at_end());
        if !sound {
            return Err(Fault::Damaged);
        }
        Ok(Sealed {
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

    /// Whether the private half is held by a security key, which alone can sign.
    pub(super) fn is_elsewhere(&self) -> bool {
        let kind = KeyType::of_blob(&self.public);
        matches!(kind, Some(KeyType::SkEd25519 | KeyType::SkEcdsa))
    }

    /// Whether a passphrase is needed.
    pub(super) fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// Opens a key that needs none.
    pub(super) fn open(&self) -> Result<Secret, Fault> {
        self.secret(&self.body).ok_or(Fault::Damaged)?
    }

    /// Decrypts it, which is meant to take a tenth of a second or more.
    pub(super) fn unlock(&self, passphrase: &[u8]) -> Result<Secret, Fault> {
        let (key, iv) = self
            .kdf
            .derive_key_and_iv(self.cipher, passphrase)
            .map_err(|_| Fault::Passphrase)?;
        let mut body = self.body.clone();
        self.cipher
            .decrypt(&key, &iv, &mut body, self.tag)
            .map_err(|_| Fault::Passphrase)?;
        self.secret(&body).ok_or(Fault::Passphrase)?
    }

    /// Reads the private half; `None` if it makes no sense at all, as under a wrong passphrase.
    fn secret(&self, body: &[u8]) -> Option<Result<Secret, Fault>> {
        let mut reader = Reader::new(body);
        if reader.u32()? != reader.u32()? {
            return None;
        }
        let Some(kind) = KeyType::of_name(reader.text()?) else {
            return Some(Err(Fault::Unsupported("keys of that type")));
        };
        let secret = match kind {
            KeyType::Ed25519 => {
                reader.string()?;
                // The seed, and the public key once more.
                Secret::ed25519(reader.string()?.get(..32)?)
            }
            KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
                reader.string()?;
                let point = reader.string()?;
                Secret::ecdsa(kind, point, reader.string()?)
            }
            KeyType::Rsa => {
                let mut numbers = [&[][..]; 6];
                for number in &mut numbers {
                    *number = reader.string()?;
                }
                Secret::rsa(numbers)
            }
            KeyType::Dsa => return Some(Err(Fault::Unsupported("DSA keys"))),
            KeyType::SkEd25519 | KeyType::SkEcdsa => {
                return Some(Err(Fault::Unsupported("security keys")));
            }
        };
        reader.string()?; // The comment.
        let padded = (1..).zip(reader.rest()).all(|(at, &byte)| at == byte);
        if !padded {
            return None;
        }
        Some(match secret {
            Ok(secret) if secret.public() == self.public => Ok(secret),
            Ok(_) => Err(Fault::Damaged),
            Err(fault) => Err(fault),
        })
    }
}

fn bcrypt(options: &[u8]) -> Option<Kdf> {
    let mut reader = Reader::new(options);
    let salt = reader.string()?.to_vec();
    let rounds = reader.u32()?;
    let sound = reader.at_end() && (1..=MOST_ROUNDS).contains(&rounds);
    sound.then_some(Kdf::Bcrypt { salt, rounds })
}
