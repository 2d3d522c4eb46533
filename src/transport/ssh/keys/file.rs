//! Private key files: OpenSSH's own format, and the old PEM ones through OpenSSL.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::PKey;
use zeroize::Zeroizing;

use super::openssh::Sealed;
use super::secret::Secret;
use crate::transport::ssh::certificate::Certificate;
use crate::transport::ssh::public::KeyType;

/// The largest RSA key takes 13 KB in PEM.
const LARGEST: u64 = 256 * 1024;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "permissions {0:04o} are too open: others can read it; make it yours alone with chmod 600"
    )]
    TooOpen(u32),
    #[error("it is longer than a key can be")]
    TooLong,
    #[error("it is not a private key")]
    NotAKey,
    #[error("it is damaged")]
    Damaged,
    #[error("{0} are not supported; -R openssh has ssh itself use it")]
    Unsupported(&'static str),
    #[error("the passphrase is wrong")]
    Passphrase,
}

/// What a file holds.
pub(super) enum KeyFile {
    /// A key that can sign.
    Open(Secret),
    /// One that a passphrase will open.
    Locked(Locked),
    /// Only the public half of one: that of a security key, or of a key in the agent.
    Public(Vec<u8>),
}

/// An encrypted key.
pub(super) struct Locked {
    form: Form,
}

enum Form {
    OpenSsh(Sealed),
    Pem(Zeroizing<Vec<u8>>),
}

impl KeyFile {
    /// Reads a file, which must be the caller's alone if it is the caller's, as ssh demands.
    pub(super) fn read(path: &Path) -> Result<KeyFile, Fault> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let text = read_all(file, about.len())?;
        match KeyFile::parse(&text) {
            Ok(KeyFile::Public(public)) => Ok(KeyFile::Public(public)),
            Err(Fault::NotAKey) => Err(Fault::NotAKey),
            _ if about.uid() == rustix::process::getuid().as_raw() && about.mode() & 0o077 != 0 => {
                Err(Fault::TooOpen(about.mode() & 0o777))
            }
            parsed => parsed,
        }
    }

    /// Takes the text of a file apart.
    pub(super) fn parse(text: &[u8]) -> Result<KeyFile, Fault> {
        let Some((label, body)) = armour(text) else {
            return public_line(text)
                .filter(|blob| KeyType::of_blob(blob).is_some())
                .map(KeyFile::Public)
                .ok_or(Fault::NotAKey);
        };
        match label {
            b"OPENSSH PRIVATE KEY" => openssh(body),
            b"DSA PRIVATE KEY" => Err(Fault::Unsupported("DSA keys")),
            b"ENCRYPTED PRIVATE KEY" => Ok(KeyFile::locked_pem(text)),
            b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" | b"PRIVATE KEY" => {
                if memchr::memmem::find(body, b"ENCRYPTED").is_some() {
                    return Ok(KeyFile::locked_pem(text));
                }
                // Never without a passphrase: OpenSSL would ask the terminal for one.
                let key = PKey::private_key_from_pem_passphrase(text, b"");
                let secret = Secret::from_openssl(key.map_err(|_| Fault::Damaged)?)?;
                Ok(KeyFile::Open(secret))
            }
            _ => Err(Fault::NotAKey),
        }
    }

    fn locked_pem(text: &[u8]) -> KeyFile {
        KeyFile::Locked(Locked {
            form: Form::Pem(Zeroizing::new(text.to_vec())),
        })
    }
}

impl Locked {
    /// The public half, which OpenSSH's format has in the clear.
    pub(super) fn public(&self) -> Option<Vec<u8>> {
        match &self.form {
            Form::OpenSsh(key) => Some(key.public().to_vec()),
            Form::Pem(_) => None,
        }
    }

    /// Decrypts it; for OpenSSH's format that is meant to take a tenth of a second or more.
    pub(super) fn unlock(&self, passphrase: &[u8]) -> Result<Secret, Fault> {
        match &self.form {
            Form::OpenSsh(key) => key.unlock(passphrase),
            Form::Pem(text) => {
                let key = PKey::private_key_from_pem_passphrase(text, passphrase);
                Secret::from_openssl(key.map_err(|_| Fault::Passphrase)?)
            }
        }
    }
}

/// Reads the blob of a public key or certificate file.
pub(super) fn read_public(path: &Path) -> Result<Vec<u8>, Fault> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    public_line(&read_all(file, length)?).ok_or(Fault::NotAKey)
}

/// The blob of a public key or certificate: the first line that is not blank nor a comment.
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

/// Reads a file into memory that is wiped, without leaving copies where a buffer has grown.
fn read_all(file: File, length: u64) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if length > LARGEST {
        return Err(Fault::TooLong);
    }
    let most = usize::try_from(LARGEST).expect("256 KiB can be counted") + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(match length {
        // A pipe says no length.
        0 => most,
        length => usize::try_from(length).expect("it is below the bound") + 1,
    }));
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    match text.len() < most {
        true => Ok(text),
        false => Err(Fault::TooLong),
    }
}

/// The label of the first private key in a PEM text, and what is between its two lines. Others may stand
/// before it, such as the parameters of its curve.
fn armour(text: &[u8]) -> Option<(&[u8], &[u8])> {
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

/// What is between the two lines of OpenSSH's own format.
fn openssh(body: &[u8]) -> Result<KeyFile, Fault> {
    let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
    text.extend(body.iter().filter(|byte| !byte.is_ascii_whitespace()));
    // Into memory that is wiped also if the text turns out to be damaged.
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(&*text, &mut bytes);
    let key = Sealed::parse(&bytes[..length.map_err(|_| Fault::Damaged)?])?;
    if key.is_elsewhere() {
        return Ok(KeyFile::Public(key.public().to_vec()));
    }
    if key.is_encrypted() {
        let form = Form::OpenSsh(key);
        return Ok(KeyFile::Locked(Locked { form }));
    }
    key.open().map(KeyFile::Open)
}
