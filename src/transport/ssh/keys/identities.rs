//! The key files of a run, each read once.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::file::{Fault, KeyFile, Locked, read_public};
use super::secret::Secret;
use crate::transport::ssh::agent::AgentKey;
use crate::transport::ssh::certificate::{Certificate, Validity};
use crate::transport::ssh::file_notice::FileNotice;
use crate::transport::ssh::prompt::{self, PromptError, SecretPrompt};
use crate::transport::ssh::public::KeyType;

/// How often a passphrase is asked before the key is left alone, as in ssh.
const TRIES: usize = 3;

/// Not more than these are told: a path may have the host's name in it.
const MOST_NOTES: usize = 50;

/// Which keys a host's configuration wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// IdentityFile, or ssh's defaults.
    pub identity_files: &'a [PathBuf],
    /// Whether the files are configured by name, not by default.
    pub explicit: bool,
    /// CertificateFile.
    pub certificate_files: &'a [PathBuf],
    /// IdentitiesOnly: of the agent's keys, only those of the files.
    pub identities_only: bool,
    /// BatchMode: nobody is asked for a passphrase.
    pub batch_mode: bool,
}

/// All key files of a run.
#[derive(Default)]
pub struct Identities {
    files: HashMap<PathBuf, Identity>,
    /// In the order in which they were first wanted.
    order: Vec<PathBuf>,
    certificates: HashMap<PathBuf, Option<Arc<[u8]>>>,
    notes: Vec<FileNotice>,
}

/// A private key file and what stands beside it.
#[derive(Default)]
pub(super) struct Identity {
    explicit: bool,
    /// All hosts that want it want nobody to be asked for it.
    batch_mode: bool,
    pub(super) public: Option<Arc<[u8]>>,
    /// The certificate in `FILE-cert.pub`.
    pub(super) certificate: Option<Arc<[u8]>>,
    state: State,
}

#[derive(Default)]
enum State {
    Open(Arc<Secret>),
    Locked(Locked),
    /// There is no private key that could be used.
    #[default]
    Absent,
}

impl Identity {
    /// Whether the agent has it.
    fn is_held(&self, agent: &[AgentKey]) -> bool {
        let public = self.public.as_ref();
        public.is_some_and(|public| agent.iter().any(|held| held.blob == *public))
    }

    pub(super) fn secret(&self) -> Option<&Arc<Secret>> {
        match &self.state {
            State::Open(secret) => Some(secret),
            State::Locked(_) | State::Absent => None,
        }
    }
}

/// A key that the configuration names and that cannot be opened, with nothing in its place.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// Nobody can be asked.
    #[error(
        "the key {} is encrypted, and there is no terminal to ask for its passphrase: load it into \
         ssh-agent with ssh-add first",
        path.display()
    )]
    NoTerminal {
        /// The key's file.
        path: PathBuf,
    },
    /// The question failed or was broken off.
    #[error("no passphrase for the key {}", path.display())]
    Prompt {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PromptError,
    },
}

impl Identities {
    /// Reads what a host wants and has not been read yet. Asks nothing and fails never: what cannot be
    /// used is noted and left out, as ssh does.
    pub fn add(&mut self, wanted: &Wanted<'_>) {
        for path in wanted.identity_files {
            if let Some(identity) = self.files.get_mut(path) {
                identity.explicit |= wanted.explicit;
                identity.batch_mode &= wanted.batch_mode;
                continue;
            }
            let mut identity = Identity {
                explicit: wanted.explicit,
                batch_mode: wanted.batch_mode,
                ..Identity::default()
            };
            self.read(path, &mut identity);
            self.files.insert(path.clone(), identity);
            self.order.push(path.clone());
        }
        for path in wanted.certificate_files {
            if !self.certificates.contains_key(path) {
                let certificate = self.read_certificate(path, None);
                self.certificates.insert(path.clone(), certificate);
            }
        }
    }

    /// What could not be used, and why.
    #[must_use]
    pub fn notes(&self) -> &[FileNotice] {
        &self.notes
    }

    /// Decrypts the locked keys that the agent does not have: those configured by name, and the
    /// defaults if there is nothing else to offer (`other_way`: there is, a password). Passphrases are
    /// wiped at the end.
    ///
    /// # Errors
    /// A configured key stays locked for want of an answer, and nothing else can be offered.
    pub fn unlock(
        &mut self,
        agent: &[AgentKey],
        other_way: bool,
        asked: &mut dyn SecretPrompt,
    ) -> Result<(), UnlockError> {
        let mut given: Vec<prompt::Secret> = Vec::new();
        for explicit in [true, false] {
            for path in self.locked(agent, explicit) {
                let usable = other_way
                    || !agent.is_empty()
                    || self.files.values().any(|file| file.secret().is_some());
                if usable && !explicit {
                    continue;
                }
                let Some(Identity {
                    state: State::Locked(locked),
                    batch_mode,
                    ..
                }) = self.files.get(&path)
                else {
                    continue;
                };
                let whom: &mut dyn SecretPrompt = match batch_mode {
                    true => &mut prompt::NoPrompt,
                    false => &mut *asked,
                };
                match open(locked, &path, &mut given, whom) {
                    Ok(secret) => self.opened(&path, secret),
                    Err(Refused::Unanswered(source)) if explicit && !usable => {
                        return Err(match source {
                            PromptError::NoTerminal => UnlockError::NoTerminal { path },
                            source => UnlockError::Prompt { path, source },
                        });
                    }
                    Err(refused) => self.note(explicit, &path, &refused),
                }
            }
        }
        self.note_the_absent(agent);
        Ok(())
    }

    /// The keys that a passphrase would open and that the agent does not have.
    fn locked(&self, agent: &[AgentKey], explicit: bool) -> Vec<PathBuf> {
        let locked = |path: &&PathBuf| {
            self.files.get(*path).is_some_and(|file| {
                file.explicit == explicit
                    && matches!(file.state, State::Locked(_))
                    && !file.is_held(agent)
            })
        };
        self.order.iter().filter(locked).cloned().collect()
    }

    fn opened(&mut self, path: &Path, secret: Secret) {
        if let Some(identity) = self.files.get_mut(path) {
            identity.public = Some(secret.public().into());
            identity.state = State::Open(Arc::new(secret));
        }
        self.match_certificate(path);
    }

    /// Tells of configured keys of which there is only the public half, and no agent that has the other.
    fn note_the_absent(&mut self, agent: &[AgentKey]) {
        for path in self.order.clone() {
            let Some(identity) = self.files.get(&path) else {
                continue;
            };
            let Some(public) = &identity.public else {
                continue;
            };
            if !matches!(identity.state, State::Absent) || identity.is_held(agent) {
                continue;
            }
            match KeyType::of_blob(public) {
                Some(KeyType::SkEd25519 | KeyType::SkEcdsa) => self.note(
                    identity.explicit,
                    &path,
                    &"its private half is in a security key: ssh-add it, or use -R openssh",
                ),
                _ => self.note(
                    false,
                    &path,
                    &"there is only its public half, and the agent does not have the other",
                ),
            }
        }
    }

    pub(super) fn identity(&self, path: &Path) -> Option<&Identity> {
        self.files.get(path)
    }

    pub(super) fn certificate(&self, path: &Path) -> Option<&Arc<[u8]>> {
        self.certificates.get(path)?.as_ref()
    }

    fn read(&mut self, path: &Path, identity: &mut Identity) {
        match KeyFile::read(path) {
            Ok(KeyFile::Open(secret)) => {
                identity.public = Some(secret.public().into());
                identity.state = State::Open(Arc::new(secret));
            }
            Ok(KeyFile::Locked(locked)) => {
                identity.public = locked.public().map(Into::into);
                identity.state = State::Locked(locked);
            }
            Ok(KeyFile::Public(public)) => identity.public = Some(public.into()),
            Err(fault) => {
                let missing = is_missing(&fault);
                // ssh's defaults need not exist.
                if identity.explicit || !missing {
                    self.note(!missing, path, &fault);
                }
            }
        }
        if identity.public.is_none() {
            // Says whether the agent has it, so that nobody is asked in vain.
            identity.public = read_public(&with(path, ".pub"))
                .ok()
                .filter(|blob| KeyType::of_blob(blob).is_some())
                .map(Into::into);
        }
        let beside = with(path, "-cert.pub");
        if beside.exists() {
            identity.certificate = self.read_certificate(&beside, identity.public.as_deref());
        }
    }

    /// Reads a certificate, which must be for that key, if one is known.
    fn read_certificate(&mut self, path: &Path, key: Option<&[u8]>) -> Option<Arc<[u8]>> {
        let blob = match read_public(path) {
            Ok(blob) => blob,
            Err(fault) => {
                self.note(true, path, &fault);
                return None;
            }
        };
        let Some(certificate) = Certificate::parse_own(&blob) else {
            self.note(true, path, &"it is not a user's certificate");
            return None;
        };
        if key.is_some_and(|key| certificate.key() != key) {
            self.note(true, path, &"it is a certificate of another key");
            return None;
        }
        match certificate.validity(SystemTime::now()) {
            Validity::Valid => {}
            // Servers decide, by their own clocks.
            Validity::NotYet => self.tell(true, format!("{}: not yet valid", path.display())),
            Validity::Expired => self.tell(true, format!("{}: expired", path.display())),
        }
        Some(blob.into())
    }

    /// Lets a certificate go that turns out to be another key's.
    fn match_certificate(&mut self, path: &Path) {
        let Some(identity) = self.files.get_mut(path) else {
            return;
        };
        let other = identity.certificate.as_ref().is_some_and(|blob| {
            let key = Certificate::parse_own(blob).map(|certificate| certificate.key().to_vec());
            key.as_deref() != identity.public.as_deref()
        });
        if other {
            identity.certificate = None;
            let beside = with(path, "-cert.pub");
            self.note(true, &beside, &"it is a certificate of another key");
        }
    }

    fn note(&mut self, loud: bool, path: &Path, why: &dyn std::fmt::Display) {
        self.tell(loud, format!("{} is not used: {why}", path.display()));
    }

    fn tell(&mut self, loud: bool, text: String) {
        let text = match self.notes.len() {
            ..MOST_NOTES => text,
            MOST_NOTES => "more keys are not used".to_owned(),
            _ => return,
        };
        self.notes.push(FileNotice {
            verbose: !loud,
            text,
        });
    }
}

/// Why a locked key stays locked.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no passphrase for it: {0}")]
    Unanswered(PromptError),
    #[error("no passphrase was given for it")]
    Empty,
    #[error("{0}")]
    Fault(Fault),
}

/// Tries the passphrases that there are, then asks for another.
fn open(
    locked: &Locked,
    path: &Path,
    given: &mut Vec<prompt::Secret>,
    asked: &mut dyn SecretPrompt,
) -> Result<Secret, Refused> {
    for passphrase in given.iter() {
        match locked.unlock(passphrase.bytes()) {
            Err(Fault::Passphrase) => {}
            opened => return opened.map_err(Refused::Fault),
        }
    }
    let prompt = format!("Enter passphrase for key '{}': ", path.display());
    for _ in 0..TRIES {
        let passphrase = asked.ask(&prompt).map_err(Refused::Unanswered)?;
        if passphrase.is_empty() {
            return Err(Refused::Empty);
        }
        match locked.unlock(passphrase.bytes()) {
            Err(Fault::Passphrase) => {}
            opened => {
                given.push(passphrase);
                return opened.map_err(Refused::Fault);
            }
        }
    }
    Err(Refused::Fault(Fault::Passphrase))
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn is_missing(fault: &Fault) -> bool {
    matches!(fault, Fault::Io(error) if error.kind() == io::ErrorKind::NotFound)
}
