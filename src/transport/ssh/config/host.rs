//! What the configuration says about one host, with everything decided.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::algorithms::AlgorithmSpec;
use super::jump::Jump;
use super::pattern;
use super::tokens::Environment;

/// How to reach a host, whom to be there, and what to trust.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostConfig {
    /// The name or address to connect to.
    pub host_name: String,
    /// The remote user.
    pub user: String,
    /// The remote port.
    pub port: u16,
    /// Private keys, or public ones of keys that the agent holds, in the order in which they are tried.
    /// Empty if there are none or `IdentityFile none` says so.
    pub identity_files: Vec<PathBuf>,
    /// Whether the files were named; if not they are ssh's defaults that exist.
    pub identity_explicit: bool,
    /// Certificates that were named. Those beside the keys, `-cert.pub`, are not among them; ssh looks
    /// for those only if none were named.
    pub certificate_files: Vec<PathBuf>,
    /// Whether the agent's keys are tried only if they are among the files.
    pub identities_only: bool,
    /// Which agent to ask.
    pub identity_agent: Agent,
    /// Files with the user's known hosts, the first of which new ones are added to.
    pub user_known_hosts_files: Vec<PathBuf>,
    /// Files with the system's known hosts.
    pub global_known_hosts_files: Vec<PathBuf>,
    /// What is done about a key that is not known.
    pub strict: StrictHostKeyChecking,
    /// The name to look for among known hosts, in place of the host's own and without its port.
    pub host_key_alias: Option<String>,
    /// Whether names are hashed when they are added to known hosts.
    pub hash_known_hosts: bool,
    /// Whether the address must be known with the same key, too.
    pub check_host_ip: bool,
    /// Keys that are never trusted: a list of public keys.
    pub revoked_host_keys: Option<PathBuf>,
    /// The shortest RSA key, in bits, that is used or trusted.
    pub required_rsa_size: u32,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// How often connecting is tried. Never 0.
    pub connection_attempts: u32,
    /// The hosts on the way, in the order in which they are visited. The configuration of each is
    /// [`SshConfig::jump`](super::SshConfig::jump)'s.
    pub jumps: Vec<Jump>,
    /// Which addresses are used.
    pub address_family: AddressFamily,
    /// Whether TCP looks for dead connections.
    pub tcp_keep_alive: bool,
    /// After how much silence the server is asked for a sign of life.
    pub server_alive_interval: Option<Duration>,
    /// How many of these questions may stay without an answer.
    pub server_alive_count_max: u32,
    /// Whether streams are compressed.
    pub compression: bool,
    /// Algorithms for host keys.
    pub host_key_algorithms: Option<AlgorithmSpec>,
    /// Algorithms for the exchange of keys.
    pub kex_algorithms: Option<AlgorithmSpec>,
    /// Ciphers.
    pub ciphers: Option<AlgorithmSpec>,
    /// Algorithms for integrity.
    pub macs: Option<AlgorithmSpec>,
    /// Algorithms with which the user's keys may sign.
    pub pubkey_accepted_algorithms: Option<AlgorithmSpec>,
    /// Algorithms with which host certificates may be signed.
    pub ca_signature_algorithms: Option<AlgorithmSpec>,
    /// Whether keys are tried.
    pub pubkey_authentication: bool,
    /// Whether a password is tried.
    pub password_authentication: bool,
    /// Whether questions are answered.
    pub kbd_interactive_authentication: bool,
    /// The methods of logging in that are tried, in order, whether or not there are such here. Of those
    /// that there are, at least one is among them and is not turned off.
    pub preferred_authentications: Vec<String>,
    /// How often a password is tried.
    pub number_of_password_prompts: u32,
    /// Whether nothing may be asked of a person.
    pub batch_mode: bool,
    /// Environment variables for the command.
    pub set_env: Vec<(String, String)>,
    /// Patterns of the caller's environment variables that go with the command.
    pub send_env: Vec<String>,
    /// What was asked for and is not done, to be told once for all hosts.
    pub notes: Vec<Note>,
}

impl HostConfig {
    /// The environment variables to send: the caller's that SendEnv names, sorted, then those of SetEnv.
    #[must_use]
    pub fn environment(&self, caller: &Environment) -> Vec<(String, String)> {
        let sent = |name: &str| {
            let mut patterns = self.send_env.iter();
            patterns.any(|pattern| pattern::matches(name, pattern))
        };
        let mut variables: Vec<(String, String)> = match self.send_env.is_empty() {
            true => Vec::new(),
            false => {
                let named = caller.iter().filter(|(name, _)| sent(name));
                named
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect()
            }
        };
        variables.sort_unstable();
        variables.extend(self.set_env.iter().cloned());
        variables
    }
}

/// Which agent to ask for signatures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Agent {
    /// The one that `SSH_AUTH_SOCK` names, if it does.
    Default,
    /// No agent.
    None,
    /// The one at this socket.
    Path(PathBuf),
}

/// What is done about a host key that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StrictHostKeyChecking {
    /// The host is refused. So it is where ssh would ask a person.
    Yes,
    /// It is added; a changed one is refused.
    AcceptNew,
    /// It is added, and a changed one is used without passwords and the like.
    No,
}

/// Which addresses are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// All.
    Any,
    /// Version 4.
    Inet,
    /// Version 6.
    Inet6,
}

/// Something that was asked for and is not done. Comparable, so that it can be told once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Note {
    /// The file, or `-o`.
    pub(super) file: Arc<str>,
    /// Counted from 1; 0 on the command line.
    pub(super) line: usize,
    /// The keyword.
    pub(super) keyword: &'static str,
    /// Why it isn't done.
    pub(super) why: &'static str,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Note {
            file,
            line,
            keyword,
            why,
        } = self;
        match line {
            0 => write!(f, "{file}: {keyword} is ignored: {why}"),
            _ => write!(f, "{file}:{line}: {keyword} is ignored: {why}"),
        }
    }
}
