//! Private key files: OpenSSH's format, and the older PEM formats, which OpenSSL reads.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::PKey;
use zeroize::Zeroizing;

use super::openssh::OpensshKey;
use super::private_key::PrivateKey;
use crate::certificate::Certificate;
use crate::notice::FileNoticeKind;
use crate::public_key::KeyType;

/// Maximum size of a key file in bytes.
// The largest RSA key takes 13 KB in PEM.
const LARGEST: u64 = 256 * 1024;

/// An error of a key file.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyFileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("permissions {0:04o} are too open: others can read it; run chmod 600 on it")]
    TooOpen(u32),
    #[error("it is longer than a key can be")]
    TooLong,
    #[error("it is not a private key")]
    NotAKey,
    #[error("it is damaged")]
    Damaged,
    #[error("{0} are not supported")]
    Unsupported(&'static str),
    #[error("the passphrase is wrong")]
    Passphrase,
}

impl KeyFileError {
    /// True if the file does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, KeyFileError::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// The kind of a notice with this error.
    pub(super) fn kind(&self) -> FileNoticeKind {
        match self {
            KeyFileError::Unsupported(_) => FileNoticeKind::UnsupportedKey,
            _ => FileNoticeKind::Other,
        }
    }
}

/// Contents of a key file.
pub(super) enum KeyFileContent {
    /// A key that is not encrypted.
    Open(PrivateKey),
    /// A key that needs a passphrase.
    Encrypted(EncryptedKey),
    /// Only the public half of a key, which may be in a security key or in the agent.
    Public(Vec<u8>),
}

/// An encrypted key.
pub(super) struct EncryptedKey {
    form: EncryptedForm,
}

enum EncryptedForm {
    OpenSsh(OpensshKey),
    Pem(Zeroizing<Vec<u8>>),
}

impl KeyFileContent {
    /// Reads a file. As in ssh, other users must not have access to a private key that the user owns.
    pub(super) fn read(path: &Path) -> Result<KeyFileContent, KeyFileError> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let text = read_all(file, about.len())?;
        match KeyFileContent::parse(&text) {
            // A public half may be readable for everybody.
            Ok(KeyFileContent::Public(public)) => Ok(KeyFileContent::Public(public)),
            Err(KeyFileError::NotAKey) => Err(KeyFileError::NotAKey),
            // As in OpenSSH, the permissions count only for files of this user: other owners decide for themselves.
            _ if about.uid() == uzers::get_current_uid() && about.mode() & 0o077 != 0 => {
                Err(KeyFileError::TooOpen(about.mode() & 0o777))
            }
            parsed => parsed,
        }
    }

    /// Reads the text of a file.
    pub(super) fn parse(text: &[u8]) -> Result<KeyFileContent, KeyFileError> {
        let Some((label, body)) = armor(text) else {
            return public_line(text)
                .filter(|blob| KeyType::of_blob(blob).is_some())
                .map(KeyFileContent::Public)
                .ok_or(KeyFileError::NotAKey);
        };
        match label {
            b"OPENSSH PRIVATE KEY" => openssh(body),
            b"DSA PRIVATE KEY" => Err(KeyFileError::Unsupported("DSA keys")),
            b"ENCRYPTED PRIVATE KEY" => Ok(KeyFileContent::encrypted_pem(text)),
            b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" | b"PRIVATE KEY" => {
                // RFC 1421, section 4.6.1.1: the header `Proc-Type: 4,ENCRYPTED`.
                if memchr::memmem::find(body, b"ENCRYPTED").is_some() {
                    return Ok(KeyFileContent::encrypted_pem(text));
                }
                // Without a passphrase in the call, OpenSSL would ask for one on the terminal.
                let key = PKey::private_key_from_pem_passphrase(text, b"");
                let key = PrivateKey::from_openssl(key.map_err(|_| KeyFileError::Damaged)?)?;
                Ok(KeyFileContent::Open(key))
            }
            _ => Err(KeyFileError::NotAKey),
        }
    }

    fn encrypted_pem(text: &[u8]) -> KeyFileContent {
        KeyFileContent::Encrypted(EncryptedKey {
            form: EncryptedForm::Pem(Zeroizing::new(text.to_vec())),
        })
    }
}

impl EncryptedKey {
    /// Returns the public half. Only OpenSSH's format has it outside the encrypted part.
    pub(super) fn public(&self) -> Option<Vec<u8>> {
        match &self.form {
            EncryptedForm::OpenSsh(key) => Some(key.public().to_vec()),
            EncryptedForm::Pem(_) => None,
        }
    }

    /// Decrypts the key. For OpenSSH's format, this takes a tenth of a second or more by design.
    pub(super) fn decrypt(&self, passphrase: &[u8]) -> Result<PrivateKey, KeyFileError> {
        match &self.form {
            EncryptedForm::OpenSsh(key) => key.decrypt(passphrase),
            EncryptedForm::Pem(text) => {
                let key = PKey::private_key_from_pem_passphrase(text, passphrase);
                // After decryption with a wrong passphrase, OpenSSL reports the same errors as for damaged data.
                PrivateKey::from_openssl(key.map_err(|_| KeyFileError::Passphrase)?)
            }
        }
    }
}

/// Reads the blob of a public key or certificate file.
pub(super) fn read_public(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    public_line(&read_all(file, length)?).ok_or(KeyFileError::NotAKey)
}

/// Returns the blob of the first line that is neither blank nor a comment, if it is a public key or a certificate.
fn public_line(text: &[u8]) -> Option<Vec<u8>> {
    let line = text
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty() && !line.starts_with(b"#"))?;
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let name = std::str::from_utf8(words.next()?).ok()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    let found = match KeyType::of_blob(&blob) {
        Some(kind) => Some(kind) == KeyType::of_name(name),
        None => {
            let certificate = Certificate::parse_own(&blob)?;
            Some(certificate.kind()) == KeyType::of_certificate_name(name)
        }
    };
    found.then_some(blob)
}

/// Reads a file into memory that is wiped later.
fn read_all(file: File, length: u64) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    if length > LARGEST {
        return Err(KeyFileError::TooLong);
    }
    let most = usize::try_from(LARGEST).expect("256 KiB can be counted") + 1;
    // The buffer never grows, since that would leave copies of the key in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(match length {
        // A pipe has length 0.
        0 => most,
        length => usize::try_from(length).expect("it is below the bound") + 1,
    }));
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() < most {
        Ok(text)
    } else {
        Err(KeyFileError::TooLong)
    }
}

/// Returns the label and the body of the first private key in a PEM text. Other blocks, such as the parameters of a
/// curve, may come before it.
fn armor(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const DASHES: &[u8] = b"-----";
    let mut rest = text;
    loop {
        let start = memchr::memmem::find(rest, BEGIN)? + BEGIN.len();
        rest = &rest[start..];
        let end = memchr::memmem::find(rest, DASHES)?;
        let label = &rest[..end];
        rest = &rest[end + DASHES.len()..];
        if label.ends_with(b"PRIVATE KEY") {
            let end = memchr::memmem::find(rest, b"-----END ")?;
            return Some((label, &rest[..end]));
        }
    }
}

/// Reads the body of a key in OpenSSH's format.
fn openssh(body: &[u8]) -> Result<KeyFileContent, KeyFileError> {
    let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
    text.extend(body.iter().filter(|byte| !byte.is_ascii_whitespace()));
    // This memory is wiped even if the text is damaged.
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(&*text, &mut bytes);
    let key = OpensshKey::parse(&bytes[..length.map_err(|_| KeyFileError::Damaged)?])?;
    if key.is_in_security_key() {
        return Ok(KeyFileContent::Public(key.public().to_vec()));
    }
    if key.is_encrypted() {
        let form = EncryptedForm::OpenSsh(key);
        return Ok(KeyFileContent::Encrypted(EncryptedKey { form }));
    }
    key.open().map(KeyFileContent::Open)
}
