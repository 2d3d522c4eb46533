//! What is done once for a run, before its first connection: files are read, agents are asked what they
//! have, and the user is asked for what only the user knows.

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
use super::note::Note;
use super::prompt::{self, Ask, PromptError, Secret};
use super::trials::Trials;
use super::trust::{Trust, TrustError};
use crate::error_text::with_causes;
use crate::targets::Target;
use crate::targets::fold;

/// The names in the question for the password take up to this many characters.
const LONGEST_LIST: usize = 100;

/// Where the password comes from (`--password`, `--password-fd`).
#[derive(Clone, Debug, Default)]
pub enum PasswordSource {
    /// There is none.
    #[default]
    None,
    /// The user is asked.
    Ask,
    /// A script has it ready on this descriptor.
    Descriptor(u32),
    /// It has been read.
    Held(Secret),
}

impl PasswordSource {
    /// Reads what a script has ready. It may stand before what the commands are to read.
    ///
    /// # Errors
    /// There is no password.
    pub fn read(&mut self) -> Result<(), SshError> {
        if let PasswordSource::Descriptor(fd) = *self {
            let secret = prompt::from_descriptor(fd).map_err(SshError::Password)?;
            *self = PasswordSource::Held(secret);
        }
        Ok(())
    }
}

/// Why nothing can be begun.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The configuration, or what it says of one of the hosts.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// Known hosts.
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
    /// No password.
    #[error("no password: {0}")]
    Password(#[source] PromptError),
    /// A password that the protocol cannot carry.
    #[error("the password is no UTF-8 text, or has a zero byte")]
    PasswordText,
    /// The libssh2 that is linked is older than what was tested.
    #[error(
        "cannot use the system's libssh2 {found}: version {needed} or later is needed; \
         build mrsh without LIBSSH2_SYS_USE_PKG_CONFIG, or use -R openssh"
    )]
    OldLibrary {
        /// The version that is linked.
        found: String,
        /// The oldest version that may be used.
        needed: String,
    },
    /// libssh2 cannot be set up.
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
struct Passphrases<'a>(&'a mut dyn Ask);

impl PassphraseSource for Passphrases<'_> {
    type Error = PromptError;

    fn passphrase(
        &mut self,
        request: &PassphraseRequest<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, PromptError> {
        let prompt = format!("Enter passphrase for key '{}': ", request.path.display());
        let secret = if request.batch_mode {
            prompt::Nobody.ask(&prompt)
        } else {
            self.0.ask(&prompt)
        };
        Ok(secret?.into_bytes())
    }
}

/// An agent, and the keys that it had at the start.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) client: AgentClient,
    pub(super) keys: Vec<AgentKey>,
}

/// All that was found out.
pub(super) struct Ready {
    pub(super) supported: Supported,
    pub(super) trust: Trust,
    pub(super) identities: Identities,
    pub(super) agents: HashMap<PathBuf, Held>,
    pub(super) password: Option<Zeroizing<String>>,
    /// The hosts that try the password before the others.
    pub(super) trials: Trials,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready")
            .field("trust", &self.trust)
            .field("agents", &self.agents)
            .finish_non_exhaustive()
    }
}

impl Ready {
    /// The agent that a host's configuration names.
    pub(super) fn agent(&self, host: &HostConfig, default: Option<&Path>) -> Option<&Held> {
        self.agents.get(socket(host, default)?)
    }
}

/// The settings of a host that select its keys.
pub(super) fn identity_settings(host: &HostConfig) -> IdentitySettings<'_> {
    IdentitySettings {
        identity_files: &host.identity_files,
        is_explicit: host.identity_explicit,
        certificate_files: &host.certificate_files,
        identities_only: host.identities_only,
        batch_mode: host.batch_mode,
    }
}

/// Where the agent of a host listens, if there is one.
fn socket<'a>(host: &'a HostConfig, default: Option<&'a Path>) -> Option<&'a Path> {
    match &host.identity_agent {
        AgentSetting::Default => default,
        AgentSetting::None => None,
        AgentSetting::Path(path) => Some(path),
    }
}

/// Reads and asks everything for these targets.
pub(super) async fn prepare<'t>(
    options: &SshOptions,
    targets: impl Iterator<Item = &'t Target>,
    asked: &mut dyn Ask,
    notes: &mut Vec<Note>,
) -> Result<Ready, SshError> {
    library::check()?;
    let supported = Supported::find().map_err(|fault| SshError::Library(fault.text))?;
    let mut trust = Trust::default();
    let mut identities = Identities::default();
    let mut sockets = BTreeSet::new();
    let mut ignored = BTreeSet::new();
    let mut logins = Logins::default();
    for target in targets {
        let host = options.host(target)?;
        let hops = options.hops(&host)?;
        if matches!(options.password, PasswordSource::Ask) {
            hops.iter().for_each(|hop| logins.add(hop, &hop.host_name));
            logins.add(&host, &target.host);
        }
        for host in hops.iter().chain([&host]) {
            ignored.extend(host.ignored.iter().cloned());
            trust.read(host, notes)?;
            if host.pubkey_authentication {
                identities.add(&identity_settings(host));
                sockets.extend(socket(host, options.agent.as_deref()).map(Path::to_owned));
            }
        }
    }
    notes.extend(ignored.iter().map(|setting| Note {
        verbose: true,
        text: config_fault::ignored(setting),
    }));
    let password = password(&options.password, &logins, asked)?;
    let mut agents = HashMap::new();
    for socket in sockets {
        let client = AgentClient::new(socket.clone());
        let keys = client.keys().await.map(<[AgentKey]>::to_vec);
        match keys {
            Ok(keys) => drop(agents.insert(socket, Held { client, keys })),
            // Keys in files may do, as they do for ssh.
            Err(error) => notes.push(Note {
                verbose: true,
                text: with_causes(&error),
            }),
        }
    }
    let held: Vec<AgentKey> = agents
        .values()
        .flat_map(|held| held.keys.iter().cloned())
        .collect();
    identities.unlock(&held, password.is_some(), &mut Passphrases(asked))?;
    notes.extend(identities.notices().iter().map(Note::from));
    Ok(Ready {
        supported,
        trust,
        identities,
        agents,
        password,
        trials: Trials::default(),
    })
}

/// The logins that a password may be for: hosts by remote user.
#[derive(Debug, Default)]
struct Logins(BTreeMap<String, BTreeSet<String>>);

impl Logins {
    fn add(&mut self, host: &HostConfig, name: &str) {
        if host.password_authentication || host.kbd_interactive_authentication {
            let hosts = self.0.entry(host.user.clone()).or_default();
            hosts.insert(name.to_owned());
        }
    }

    /// The question for the password: for whom it is, folded, and counted if that is long.
    fn prompt(&self) -> String {
        let logins: Vec<String> = self
            .0
            .iter()
            .map(|(user, hosts)| format!("{user}@{}", fold(hosts.iter().map(String::as_str))))
            .collect();
        let mut whom = logins.join(", ");
        if whom.chars().count() > LONGEST_LIST {
            let hosts: usize = self.0.values().map(BTreeSet::len).sum();
            whom = match self.0.first_key_value() {
                Some((user, _)) if self.0.len() == 1 => format!("{user} on {hosts} hosts"),
                _ => format!("{} users on {hosts} hosts", self.0.len()),
            };
        }
        if whom.is_empty() {
            return "Password: ".to_owned();
        }
        // A terminal must not be told more than names.
        let whom = whom.replace(char::is_control, "?");
        format!("Password for {whom}: ")
    }
}

fn password(
    source: &PasswordSource,
    logins: &Logins,
    asked: &mut dyn Ask,
) -> Result<Option<Zeroizing<String>>, SshError> {
    let secret = match source {
        PasswordSource::None => return Ok(None),
        PasswordSource::Ask => asked.ask(&logins.prompt()),
        PasswordSource::Descriptor(fd) => prompt::from_descriptor(*fd),
        PasswordSource::Held(secret) => Ok(secret.clone()),
    };
    let secret = secret.map_err(SshError::Password)?;
    let text = str::from_utf8(secret.bytes()).map_err(|_| SshError::PasswordText)?;
    match text.contains('\0') {
        true => Err(SshError::PasswordText),
        false => Ok(Some(Zeroizing::new(text.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::testing::configured;

    /// The question for the password of these users on these hosts.
    fn prompt(logins: &[(&str, &str)]) -> String {
        let mut all = Logins::default();
        for (user, host) in logins {
            let user = format!("User={user}");
            all.add(&configured(host, &[&user]), host);
        }
        all.prompt()
    }

    #[test]
    fn the_question_for_the_password_names_users_and_hosts() {
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
