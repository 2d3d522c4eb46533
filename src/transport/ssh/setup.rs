//! Set-up of a run before its first connection: reads the files, lists the agents' keys and asks the user for
//! secrets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ssh_files::{
    AgentKey, AgentSetting, HostConfig, Identities, IdentitySettings, PassphraseRequest,
    PassphraseSource, UnlockError,
};
use zeroize::Zeroizing;

use super::SshOptions;
use super::agent::AgentClient;
use super::algorithms::Supported;
use super::config_fault::{self, ConfigFault};
use super::library;
use super::prompt::{self, PromptError, Secret, SecretPrompt};
use super::trust::{Trust, TrustError};
use crate::error_text::with_causes;
use crate::event::Notice;
use crate::targets::Target;
use crate::targets::fold;
use crate::transport::trials::Trials;

/// Maximum length of the names in the password prompt, in characters.
const MAX_LIST: usize = 100;

/// Source of the password (`--password`, `--password-fd`).
#[derive(Clone, Debug, Default)]
pub enum PasswordSource {
    /// No password.
    #[default]
    None,
    /// The user is asked on the terminal.
    Ask,
    /// A script provides it on this descriptor.
    Descriptor(u32),
    /// The password has been read.
    Read(Secret),
}

impl PasswordSource {
    /// Reads the password from the descriptor. It may precede the input of the commands there.
    ///
    /// # Errors
    /// The descriptor has no password.
    pub fn read(&mut self) -> Result<(), SshError> {
        if let PasswordSource::Descriptor(fd) = *self {
            let secret = prompt::from_descriptor(fd).map_err(SshError::Password)?;
            *self = PasswordSource::Read(secret);
        }
        Ok(())
    }
}

/// Sources of the secrets of a run.
pub struct SecretSources<'a> {
    /// Source of the password.
    pub password: PasswordSource,
    /// Prompt for the password and for passphrases of keys.
    pub prompt: &'a mut dyn SecretPrompt,
}

/// Reason why a run cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// An error in the configuration, or in the settings for a host.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// An unreadable file of known hosts or revoked keys.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A key stays encrypted: there is no terminal to ask for its passphrase.
    #[error(
        "the key {} is encrypted, and there is no terminal to ask for its passphrase: load it into \
         ssh-agent with ssh-add first",
        path.display()
    )]
    NoTerminal {
        /// The key's file.
        path: PathBuf,
    },
    /// A key stays encrypted for another reason.
    #[error(transparent)]
    Unlock(UnlockError<PromptError>),
    /// A missing password.
    #[error("cannot read the password: {0}")]
    Password(#[source] PromptError),
    /// A password that the protocol cannot carry.
    #[error("the password is no UTF-8 text, or has a zero byte")]
    PasswordText,
    /// The linked libssh2 is older than the oldest tested one.
    #[error(
        "cannot use the system's libssh2 {found}: version {needed} or later is needed; \
         build mrsh without LIBSSH2_SYS_USE_PKG_CONFIG, or use -R openssh"
    )]
    OldLibrary {
        /// Linked version.
        found: String,
        /// Oldest version that may be used.
        needed: String,
    },
    /// libssh2 cannot be initialized.
    #[error("libssh2: {0}")]
    Library(String),
}

impl From<UnlockError<PromptError>> for SshError {
    fn from(error: UnlockError<PromptError>) -> SshError {
        match error.source {
            PromptError::NoTerminal => SshError::NoTerminal { path: error.path },
            _ => SshError::Unlock(error),
        }
    }
}

/// Asks for the passphrases of keys, with the words of ssh.
struct Passphrases<'a>(&'a mut dyn SecretPrompt);

impl PassphraseSource for Passphrases<'_> {
    type Error = PromptError;

    fn passphrase(
        &mut self,
        request: &PassphraseRequest<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, PromptError> {
        let prompt = format!("Enter passphrase for key '{}': ", request.path.display());
        let secret = if request.batch_mode {
            prompt::NoPrompt.ask(&prompt)
        } else {
            self.0.ask(&prompt)
        };
        Ok(secret?.into_bytes())
    }
}

/// An agent with the keys that it had at the start.
#[derive(Debug)]
pub(super) struct LoadedAgent {
    pub(super) client: AgentClient,
    pub(super) keys: Vec<AgentKey>,
}

/// Results of the set-up.
pub(super) struct SshSetup {
    pub(super) supported: Supported,
    pub(super) trust: Trust,
    pub(super) identities: Identities,
    pub(super) agents: HashMap<PathBuf, LoadedAgent>,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) trials: Trials,
}

impl std::fmt::Debug for SshSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready")
            .field("trust", &self.trust)
            .field("agents", &self.agents)
            .finish_non_exhaustive()
    }
}

impl SshSetup {
    /// Returns the agent that a host's configuration names.
    pub(super) fn agent(&self, host: &HostConfig, default: Option<&Path>) -> Option<&LoadedAgent> {
        self.agents.get(socket(host, default)?)
    }
}

/// Returns the settings of a host that select its keys.
pub(super) fn identity_settings(host: &HostConfig) -> IdentitySettings<'_> {
    IdentitySettings {
        identity_files: &host.identity_files,
        is_explicit: host.identity_explicit,
        certificate_files: &host.certificate_files,
        identities_only: host.identities_only,
        batch_mode: host.batch_mode,
    }
}

/// Returns the socket of a host's agent, if it has one.
fn socket<'a>(host: &'a HostConfig, default: Option<&'a Path>) -> Option<&'a Path> {
    match &host.identity_agent {
        AgentSetting::Default => default,
        AgentSetting::None => None,
        AgentSetting::Path(path) => Some(path),
    }
}

/// Reads all files and asks for all secrets for these targets.
pub(super) async fn prepare<'t>(
    options: &SshOptions,
    secrets: SecretSources<'_>,
    targets: impl Iterator<Item = &'t Target>,
    notes: &mut Vec<Notice>,
) -> Result<SshSetup, SshError> {
    // The linked library may be the system's, and older than the one that was tested.
    library::check()?;
    let supported = Supported::find().map_err(|fault| SshError::Library(fault.text))?;
    let mut trust = Trust::default();
    let mut identities = Identities::default();
    let mut sockets = BTreeSet::new();
    let mut ignored = BTreeSet::new();
    let mut logins = Logins::default();
    for target in targets {
        let host = options.host(target)?;
        let jump_hosts = options.jump_hosts(&host)?;
        // The logins are only shown in the question for the password.
        if matches!(secrets.password, PasswordSource::Ask) {
            jump_hosts
                .iter()
                .for_each(|jump_host| logins.add(jump_host, &jump_host.host_name));
            logins.add(&host, &target.host);
        }
        for host in jump_hosts.iter().chain([&host]) {
            ignored.extend(host.ignored.iter().cloned());
            // Read before the first connection, so that a file with a fault ends the program and fails no target.
            trust.read(host, notes)?;
            if host.pubkey_authentication {
                identities.add(&identity_settings(host));
                sockets.extend(socket(host, options.agent.as_deref()).map(Path::to_owned));
            }
        }
    }
    notes.extend(ignored.iter().map(|setting| Notice {
        verbose: true,
        text: config_fault::ignored(setting),
    }));
    let password = password(secrets.password, &logins, secrets.prompt)?;
    let mut agents = HashMap::new();
    for socket in sockets {
        let client = AgentClient::new(socket.clone());
        let keys = client.keys().await.map(<[AgentKey]>::to_vec);
        match keys {
            Ok(keys) => drop(agents.insert(socket, LoadedAgent { client, keys })),
            // Keys in files may be enough, so this is no error, as in ssh.
            Err(error) => notes.push(Notice {
                verbose: true,
                text: with_causes(&error),
            }),
        }
    }
    let loaded: Vec<AgentKey> = agents
        .values()
        .flat_map(|loaded| loaded.keys.iter().cloned())
        .collect();
    // After the agents: a key that an agent holds needs no passphrase.
    identities.unlock(
        &loaded,
        password.is_some(),
        &mut Passphrases(secrets.prompt),
    )?;
    notes.extend(identities.notices().iter().map(Notice::from));
    Ok(SshSetup {
        supported,
        trust,
        identities,
        agents,
        password,
        trials: Trials::default(),
    })
}

/// Logins for which a password may be used: hosts by remote user.
#[derive(Debug, Default)]
struct Logins(BTreeMap<String, BTreeSet<String>>);

impl Logins {
    fn add(&mut self, host: &HostConfig, name: &str) {
        if host.password_authentication || host.kbd_interactive_authentication {
            let hosts = self.0.entry(host.user.clone()).or_default();
            hosts.insert(name.to_owned());
        }
    }

    /// Returns the password prompt with the logins, folded, or counted if the list is long.
    fn prompt(&self) -> String {
        let logins: Vec<String> = self
            .0
            .iter()
            .map(|(user, hosts)| format!("{user}@{}", fold(hosts.iter().map(String::as_str))))
            .collect();
        let mut whom = logins.join(", ");
        if whom.chars().count() > MAX_LIST {
            let hosts: usize = self.0.values().map(BTreeSet::len).sum();
            whom = match self.0.first_key_value() {
                Some((user, _)) if self.0.len() == 1 => format!("{user} on {hosts} hosts"),
                _ => format!("{} users on {hosts} hosts", self.0.len()),
            };
        }
        if whom.is_empty() {
            return "Password: ".to_owned();
        }
        // Control characters in a name must not reach the terminal.
        let whom = whom.replace(char::is_control, "?");
        format!("Password for {whom}: ")
    }
}

fn password(
    source: PasswordSource,
    logins: &Logins,
    prompt: &mut dyn SecretPrompt,
) -> Result<Option<Zeroizing<String>>, SshError> {
    let secret = match source {
        PasswordSource::None => return Ok(None),
        PasswordSource::Ask => prompt.ask(&logins.prompt()),
        PasswordSource::Descriptor(fd) => prompt::from_descriptor(fd),
        PasswordSource::Read(secret) => Ok(secret),
    };
    let secret = secret.map_err(SshError::Password)?;
    // RFC 4252, section 8: a password is sent as UTF-8.
    let text = str::from_utf8(secret.bytes()).map_err(|_| SshError::PasswordText)?;
    if text.contains('\0') {
        Err(SshError::PasswordText)
    } else {
        Ok(Some(Zeroizing::new(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::testing::configured;

    /// Returns the password prompt for these users on these hosts.
    fn prompt(logins: &[(&str, &str)]) -> String {
        let mut all = Logins::default();
        for (user, host) in logins {
            let user = format!("User={user}");
            all.add(&configured(host, &[&user]), host);
        }
        all.prompt()
    }

    #[test]
    fn the_password_prompt_names_users_and_hosts() {
        let hosts: Vec<String> = (1..=40).map(|n| format!("node{n}")).collect();
        let of = |user: &'static str| hosts.iter().map(move |host| (user, &**host));
        let one: Vec<_> = of("admin").collect();
        assert_eq!(prompt(&one), "Password for admin@node[1-40]: ");
        let mut two = one.clone();
        two.extend([("root", "gate"), ("admin", "node1")]);
        assert_eq!(prompt(&two), "Password for admin@node[1-40], root@gate: ");
        let words: Vec<String> = (0..60).map(|n| format!("h{n}x{}", n * n)).collect();
        let mut many: Vec<_> = words.iter().map(|host| ("admin", &**host)).collect();
        assert_eq!(prompt(&many), "Password for admin on 60 hosts: ");
        many.push(("root", "gate"));
        assert_eq!(prompt(&many), "Password for 2 users on 61 hosts: ");
        assert_eq!(prompt(&[]), "Password: ");
    }
}
