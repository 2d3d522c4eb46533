//! The key files of a program, each read once.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::candidates::AgentKey;
use super::key_file::{EncryptedKey, KeyFileContent, KeyFileError, read_public};
use super::private_key::PrivateKey;
use crate::certificate::{Certificate, CertificateValidity};
use crate::notice::{FileNotice, FileNoticeKind};
use crate::public_key::KeyType;

/// Maximum number of questions for the passphrase of a key, as in ssh.
const MOST_QUESTIONS: usize = 3;

/// Maximum number of notices.
// A path may contain the name of the host, so there may be as many files as hosts.
const MOST_NOTICES: usize = 50;

/// The settings of a host that select its keys.
#[derive(Clone, Copy, Debug)]
pub struct IdentitySettings<'a> {
    /// `IdentityFile`, or the default files.
    pub identity_files: &'a [PathBuf],
    /// True if the configuration names the identity files.
    pub is_explicit: bool,
    /// `CertificateFile`.
    pub certificate_files: &'a [PathBuf],
    /// `IdentitiesOnly`: keys in the agent are used only if they are among the files.
    pub identities_only: bool,
    /// `BatchMode`: the user must not be asked for a passphrase.
    pub batch_mode: bool,
}

/// A source of passphrases, such as a terminal.
pub trait PassphraseSource {
    /// Error if there is no passphrase.
    type Error: std::error::Error + 'static;

    /// Returns a passphrase, which may be wrong. An empty one leaves the key encrypted.
    ///
    /// # Errors
    /// Returns an error if the user cannot be asked or does not answer.
    fn passphrase(
        &mut self,
        request: &PassphraseRequest<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Self::Error>;
}

/// A request for the passphrase of a key.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PassphraseRequest<'a> {
    /// Path of the key file.
    pub path: &'a Path,
    /// True if all hosts that use the key have `BatchMode`. The source must fail then without a question.
    pub batch_mode: bool,
}

/// A key that the configuration names stays encrypted, and there is no other way to log in.
#[derive(Debug, thiserror::Error)]
#[error("no passphrase for the key {}", path.display())]
pub struct UnlockError<E> {
    /// Path of the key file.
    pub path: PathBuf,
    /// Error of the [`PassphraseSource`].
    #[source]
    pub source: E,
}

/// The key files of all hosts of a program. Each file is read and decrypted once.
///
/// ssh asks for a passphrase after a server has accepted the key. A program with many hosts must ask before its first
/// connection, with [`unlock`](Self::unlock).
///
/// ```
/// use ssh_files::{Identities, IdentitySettings};
///
/// let files = ["/nowhere/id_ed25519".into()];
/// let settings = IdentitySettings {
///     identity_files: &files,
///     is_explicit: true,
///     certificate_files: &[],
///     identities_only: false,
///     batch_mode: false,
/// };
/// let mut identities = Identities::default();
/// identities.add(&settings);
/// assert!(identities.notices()[0].text.starts_with("/nowhere/id_ed25519 is not used"));
/// assert!(identities.candidates(&settings, &[]).is_empty());
/// ```
#[derive(Default)]
pub struct Identities {
    files: HashMap<PathBuf, IdentityFile>,
    /// Paths in the order in which they were added.
    order: Vec<PathBuf>,
    certificates: HashMap<PathBuf, Option<Arc<[u8]>>>,
    notices: Vec<FileNotice>,
}

/// A key file and its certificate.
#[derive(Default)]
pub(super) struct IdentityFile {
    is_explicit: bool,
    /// True if all hosts that use the key have `BatchMode`.
    batch_mode: bool,
    pub(super) public: Option<Arc<[u8]>>,
    /// The certificate in `FILE-cert.pub`.
    pub(super) certificate: Option<Arc<[u8]>>,
    private: PrivateHalf,
}

#[derive(Default)]
enum PrivateHalf {
    Open(Arc<PrivateKey>),
    Encrypted(EncryptedKey),
    /// The file has no usable private key.
    #[default]
    Absent,
}

impl IdentityFile {
    fn is_in_agent(&self, agent: &[AgentKey]) -> bool {
        let public = self.public.as_ref();
        public.is_some_and(|public| agent.iter().any(|key| key.blob == *public))
    }

    pub(super) fn private_key(&self) -> Option<&Arc<PrivateKey>> {
        match &self.private {
            PrivateHalf::Open(key) => Some(key),
            PrivateHalf::Encrypted(_) | PrivateHalf::Absent => None,
        }
    }
}

impl Identities {
    /// Reads the files of a host that have not been read yet. As in ssh, files that cannot be used are left out, with a
    /// notice.
    pub fn add(&mut self, settings: &IdentitySettings<'_>) {
        for path in settings.identity_files {
            if let Some(identity) = self.files.get_mut(path) {
                identity.is_explicit |= settings.is_explicit;
                // The user is asked unless all hosts with this file forbid it.
                identity.batch_mode &= settings.batch_mode;
                continue;
            }
            let mut identity = IdentityFile {
                is_explicit: settings.is_explicit,
                batch_mode: settings.batch_mode,
                ..IdentityFile::default()
            };
            self.read(path, &mut identity);
            self.files.insert(path.clone(), identity);
            self.order.push(path.clone());
        }
        for path in settings.certificate_files {
            if !self.certificates.contains_key(path) {
                let certificate = self.read_certificate(path, None);
                self.certificates.insert(path.clone(), certificate);
            }
        }
    }

    /// Notices about files that cannot be used.
    #[must_use]
    pub fn notices(&self) -> &[FileNotice] {
        &self.notices
    }

    /// Decrypts the keys that the agent does not have.
    ///
    /// The source is asked for keys that the configuration names. It is asked for default keys only if there is no
    /// other way to log in; `has_other_method` is true if there is another authentication method. A passphrase is
    /// tried on all keys before the next question, and wiped from memory at the end.
    ///
    /// # Errors
    /// Returns an error if the source fails for a key that the configuration names and there is no other way to log in.
    pub fn unlock<S: PassphraseSource>(
        &mut self,
        agent: &[AgentKey],
        has_other_method: bool,
        source: &mut S,
    ) -> Result<(), UnlockError<S::Error>> {
        let mut known: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        // Named keys come first: if one of them can be decrypted, the default keys need no question.
        for is_explicit in [true, false] {
            for path in self.encrypted(agent, is_explicit) {
                let has_alternative = has_other_method
                    || !agent.is_empty()
                    || self.files.values().any(|file| file.private_key().is_some());
                if has_alternative && !is_explicit {
                    continue;
                }
                let Some(IdentityFile {
                    private: PrivateHalf::Encrypted(key),
                    batch_mode,
                    ..
                }) = self.files.get(&path)
                else {
                    continue;
                };
                let request = PassphraseRequest {
                    path: &path,
                    batch_mode: *batch_mode,
                };
                match decrypt(key, &request, &mut known, source) {
                    Ok(key) => self.set_open(&path, key),
                    Err(DecryptError::NoPassphrase(source)) if is_explicit && !has_alternative => {
                        return Err(UnlockError { path, source });
                    }
                    // Nobody has named the default keys, so their errors are details.
                    Err(error) => self.note_unused(!is_explicit, &path, error.kind(), &error),
                }
            }
        }
        self.note_absent_keys(agent);
        Ok(())
    }

    /// Returns the paths of the encrypted keys that the agent does not have.
    fn encrypted(&self, agent: &[AgentKey], is_explicit: bool) -> Vec<PathBuf> {
        let is_encrypted = |path: &&PathBuf| {
            self.files.get(*path).is_some_and(|file| {
                file.is_explicit == is_explicit
                    && matches!(file.private, PrivateHalf::Encrypted(_))
                    && !file.is_in_agent(agent)
            })
        };
        self.order.iter().filter(is_encrypted).cloned().collect()
    }

    fn set_open(&mut self, path: &Path, key: PrivateKey) {
        if let Some(identity) = self.files.get_mut(path) {
            // PEM files show their public half only after decryption.
            identity.public = Some(key.public().into());
            identity.private = PrivateHalf::Open(Arc::new(key));
        }
        self.drop_foreign_certificate(path);
    }

    /// Adds notices about files that have only a public half, if the agent does not have the key.
    fn note_absent_keys(&mut self, agent: &[AgentKey]) {
        for path in self.order.clone() {
            let Some(identity) = self.files.get(&path) else {
                continue;
            };
            let Some(public) = &identity.public else {
                continue;
            };
            if !matches!(identity.private, PrivateHalf::Absent) || identity.is_in_agent(agent) {
                continue;
            }
            match KeyType::of_blob(public) {
                Some(KeyType::SkEd25519 | KeyType::SkEcdsa) => self.note_unused(
                    !identity.is_explicit,
                    &path,
                    FileNoticeKind::SecurityKey,
                    &"its private half is in a security key: ssh-add it",
                ),
                _ => self.note_unused(
                    true,
                    &path,
                    FileNoticeKind::Other,
                    &"there is only its public half, and the agent does not have the other",
                ),
            }
        }
    }

    pub(super) fn identity(&self, path: &Path) -> Option<&IdentityFile> {
        self.files.get(path)
    }

    pub(super) fn certificate(&self, path: &Path) -> Option<&Arc<[u8]>> {
        self.certificates.get(path)?.as_ref()
    }

    fn read(&mut self, path: &Path, identity: &mut IdentityFile) {
        match KeyFileContent::read(path) {
            Ok(KeyFileContent::Open(key)) => {
                identity.public = Some(key.public().into());
                identity.private = PrivateHalf::Open(Arc::new(key));
            }
            Ok(KeyFileContent::Encrypted(key)) => {
                identity.public = key.public().map(Into::into);
                identity.private = PrivateHalf::Encrypted(key);
            }
            Ok(KeyFileContent::Public(public)) => identity.public = Some(public.into()),
            Err(error) => {
                let is_missing = error.is_missing();
                // The default files need not exist.
                if identity.is_explicit || !is_missing {
                    self.note_unused(is_missing, path, error.kind(), &error);
                }
            }
        }
        if identity.public.is_none() {
            // With the public half, the key can be found in the agent. The user is then not asked for a passphrase.
            identity.public = read_public(&with_suffix(path, ".pub"))
                .ok()
                .filter(|blob| KeyType::of_blob(blob).is_some())
                .map(Into::into);
        }
        // `ssh-keygen -s` gives certificates this name.
        let certificate = with_suffix(path, "-cert.pub");
        if certificate.exists() {
            identity.certificate = self.read_certificate(&certificate, identity.public.as_deref());
        }
    }

    /// Reads a certificate, which must be one of `key` if that is known.
    fn read_certificate(&mut self, path: &Path, key: Option<&[u8]>) -> Option<Arc<[u8]>> {
        let other = FileNoticeKind::Other;
        let blob = match read_public(path) {
            Ok(blob) => blob,
            Err(error) => {
                self.note_unused(false, path, error.kind(), &error);
                return None;
            }
        };
        let Some(certificate) = Certificate::parse_own(&blob) else {
            self.note_unused(false, path, other, &"it is not a user's certificate");
            return None;
        };
        if key.is_some_and(|key| certificate.key() != key) {
            self.note_unused(false, path, other, &"it is a certificate of another key");
            return None;
        }
        match certificate.validity(SystemTime::now()) {
            CertificateValidity::Valid => {}
            // Servers decide with their own clocks, so the certificate is used although it is not valid yet by this
            // clock.
            CertificateValidity::NotYet => {
                self.note(false, other, format!("{}: not yet valid", path.display()));
            }
            CertificateValidity::Expired => {
                self.note(false, other, format!("{}: expired", path.display()));
            }
        }
        Some(blob.into())
    }

    /// Removes the certificate of a file if it is one of another key, which is known only after decryption.
    fn drop_foreign_certificate(&mut self, path: &Path) {
        let Some(identity) = self.files.get_mut(path) else {
            return;
        };
        let is_foreign = identity.certificate.as_ref().is_some_and(|blob| {
            let key = Certificate::parse_own(blob).map(|certificate| certificate.key().to_vec());
            key.as_deref() != identity.public.as_deref()
        });
        if is_foreign {
            identity.certificate = None;
            let path = with_suffix(path, "-cert.pub");
            let reason = "it is a certificate of another key";
            self.note_unused(false, &path, FileNoticeKind::Other, &reason);
        }
    }

    fn note_unused(
        &mut self,
        is_detail: bool,
        path: &Path,
        kind: FileNoticeKind,
        reason: &dyn Display,
    ) {
        let text = format!("{} is not used: {reason}", path.display());
        self.note(is_detail, kind, text);
    }

    fn note(&mut self, is_detail: bool, kind: FileNoticeKind, text: String) {
        let (kind, text) = match self.notices.len() {
            ..MOST_NOTICES => (kind, text),
            MOST_NOTICES => (FileNoticeKind::Other, "more keys are not used".to_owned()),
            _ => return,
        };
        self.notices.push(FileNotice {
            kind,
            is_detail,
            text,
        });
    }
}

/// The reason why a key stays encrypted.
#[derive(Debug, thiserror::Error)]
enum DecryptError<E> {
    #[error("no passphrase for the key: {0}")]
    NoPassphrase(E),
    #[error("no passphrase was given for the key")]
    EmptyPassphrase,
    #[error("{0}")]
    KeyFile(KeyFileError),
}

impl<E> DecryptError<E> {
    fn kind(&self) -> FileNoticeKind {
        match self {
            DecryptError::KeyFile(error) => error.kind(),
            DecryptError::NoPassphrase(_) | DecryptError::EmptyPassphrase => FileNoticeKind::Other,
        }
    }
}

/// Tries the known passphrases, then those of the source.
fn decrypt<S: PassphraseSource>(
    key: &EncryptedKey,
    request: &PassphraseRequest<'_>,
    known: &mut Vec<Zeroizing<Vec<u8>>>,
    source: &mut S,
) -> Result<PrivateKey, DecryptError<S::Error>> {
    // Several keys often have one passphrase.
    for passphrase in known.iter() {
        match key.decrypt(passphrase) {
            Err(KeyFileError::Passphrase) => {}
            result => return result.map_err(DecryptError::KeyFile),
        }
    }
    for _ in 0..MOST_QUESTIONS {
        let passphrase = source.passphrase(request);
        let passphrase = passphrase.map_err(DecryptError::NoPassphrase)?;
        if passphrase.is_empty() {
            // As in ssh, an empty answer gives up the key.
            return Err(DecryptError::EmptyPassphrase);
        }
        match key.decrypt(&passphrase) {
            Err(KeyFileError::Passphrase) => {}
            result => {
                // Only a passphrase that fits is tried on other keys.
                known.push(passphrase);
                return result.map_err(DecryptError::KeyFile);
            }
        }
    }
    Err(DecryptError::KeyFile(KeyFileError::Passphrase))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    // `with_extension` would replace a part of names such as `id.work`.
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
