//! The resolved settings of one host.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::algorithms::AlgorithmSpec;
use super::jump::JumpHost;
use super::tokens::Environment;
use crate::wildcard::matches;

/// The resolved settings of a host: connection, authentication, trusted keys and environment.
///
/// The fields have the names of the keywords in ssh_config(5). All tokens and defaults are expanded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostConfig {
    /// Name or address for the connection.
    pub host_name: String,
    /// Remote user.
    pub user: String,
    /// Remote port.
    pub port: u16,
    /// Files with private keys, or with the public halves of keys in the agent, in the order of their use.
    pub identity_files: Vec<PathBuf>,
    /// True if the configuration names the identity files. If not, they are the default files that exist.
    pub identity_explicit: bool,
    /// Files with certificates. The files `KEY-cert.pub` are not included: ssh uses them only if this list is empty.
    pub certificate_files: Vec<PathBuf>,
    /// True if keys in the agent are used only if they are among the identity files.
    pub identities_only: bool,
    /// Agent for signatures.
    pub identity_agent: AgentSetting,
    /// The user's files of known hosts. New keys are added to the first one.
    pub user_known_hosts_files: Vec<PathBuf>,
    /// The system's files of known hosts.
    pub global_known_hosts_files: Vec<PathBuf>,
    /// Treatment of host keys that are not known.
    pub strict: StrictHostKeyChecking,
    /// Name for the search in known hosts, in place of the host name and port.
    pub host_key_alias: Option<String>,
    /// True if names are hashed before they are added to known hosts.
    pub hash_known_hosts: bool,
    /// True if the key of the address is checked too.
    pub check_host_ip: bool,
    /// File with keys that are never trusted.
    pub revoked_host_keys: Option<PathBuf>,
    /// Minimum length of RSA keys, in bits.
    pub required_rsa_size: u32,
    /// Maximum time for a connection.
    pub connect_timeout: Option<Duration>,
    /// Number of attempts to connect, at least 1.
    pub connection_attempts: u32,
    /// Jump hosts in the order of the connections. [`SshConfig::jump_hosts`](crate::SshConfig::jump_hosts) returns
    /// their settings.
    pub jumps: Vec<JumpHost>,
    /// Addresses that are used.
    pub address_family: AddressFamily,
    /// True if TCP keep-alive is on.
    pub tcp_keep_alive: bool,
    /// Time without data after which a keep-alive message is sent. `None` sends no such messages.
    pub server_alive_interval: Option<Duration>,
    /// Maximum number of keep-alive messages without an answer.
    pub server_alive_count_max: u32,
    /// True if the connection is compressed.
    pub compression: bool,
    /// Host key algorithms.
    pub host_key_algorithms: Option<AlgorithmSpec>,
    /// Key exchange algorithms.
    pub kex_algorithms: Option<AlgorithmSpec>,
    /// Ciphers.
    pub ciphers: Option<AlgorithmSpec>,
    /// Message authentication codes.
    pub macs: Option<AlgorithmSpec>,
    /// Signature algorithms for user keys.
    pub pubkey_accepted_algorithms: Option<AlgorithmSpec>,
    /// Signature algorithms for certificate authorities.
    pub ca_signature_algorithms: Option<AlgorithmSpec>,
    /// True if public key authentication is on.
    pub pubkey_authentication: bool,
    /// True if password authentication is on.
    pub password_authentication: bool,
    /// True if keyboard-interactive authentication is on.
    pub kbd_interactive_authentication: bool,
    /// Authentication methods in the order of their use. At least one of `publickey`, `password` and
    /// `keyboard-interactive` is in the list and is on.
    pub preferred_authentications: Vec<String>,
    /// Number of attempts with a password.
    pub number_of_password_prompts: u32,
    /// True if the user must not be asked for passwords or passphrases.
    pub batch_mode: bool,
    /// Environment variables for the remote command.
    pub set_env: Vec<(String, String)>,
    /// Patterns of local environment variables that are sent to the host.
    pub send_env: Vec<String>,
    /// Settings that have no effect, although they have one in ssh.
    pub ignored: Vec<IgnoredSetting>,
}

impl HostConfig {
    /// Returns the environment variables for the host: the local ones that `SendEnv` selects, sorted by name, then
    /// those of `SetEnv`.
    #[must_use]
    pub fn environment(&self, local: &Environment) -> Vec<(String, String)> {
        let sent = |name: &str| {
            let mut patterns = self.send_env.iter();
            patterns.any(|pattern| matches(name, pattern))
        };
        let mut variables: Vec<(String, String)> = Vec::new();
        // Most hosts get no variables (`SendEnv`), so the environment is not searched for each of them.
        if !self.send_env.is_empty() {
            let selected = local.iter().filter(|(name, _)| sent(name));
            variables.extend(selected.map(|(name, value)| (name.clone(), value.clone())));
        }
        // The map has no order, and equal settings must give equal requests.
        variables.sort_unstable();
        // ssh sends these last, so they win if a name is in both lists.
        variables.extend(self.set_env.iter().cloned());
        variables
    }
}

/// The agent for signatures, the value of `IdentityAgent`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AgentSetting {
    /// The agent at `SSH_AUTH_SOCK`, if that is set.
    Default,
    /// No agent.
    None,
    /// The agent at this socket.
    Path(PathBuf),
}

/// Treatment of host keys that are not known, the value of `StrictHostKeyChecking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StrictHostKeyChecking {
    /// The host is refused. `ask` has this value too.
    Yes,
    /// A new key is added. A changed key is refused.
    AcceptNew,
    /// A new key is added. A changed key is accepted; ssh sends no passwords to such a host.
    No,
}

/// Addresses that are used, the value of `AddressFamily`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4 and IPv6.
    Any,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// A setting that has no effect, although it has one in ssh. It can be compared, so that a program with many hosts can
/// report it once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IgnoredSetting {
    /// Path of the file, or [`ConfigOption::origin`](crate::ConfigOption::origin).
    pub origin: Arc<str>,
    /// Line number in the file, from 1. Options have none.
    pub line: Option<usize>,
    /// Keyword of the setting.
    pub keyword: &'static str,
    /// Reason why the setting is ignored.
    pub reason: &'static str,
}

impl fmt::Display for IgnoredSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IgnoredSetting {
            origin,
            line,
            keyword,
            reason,
        } = self;
        match line {
            None => write!(f, "{origin}: {keyword} is ignored: {reason}"),
            Some(line) => write!(f, "{origin}:{line}: {keyword} is ignored: {reason}"),
        }
    }
}
