//! ssh_config(5), evaluated with the rules of OpenSSH 9.2.
//!
//! [`SshConfig::load`] reads and checks all files; [`SshConfig::host`] then does no I/O and takes microseconds.
//! `keywords` has the table of all keywords with their support.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod algorithms;
mod blocks;
mod conditions;
mod error;
mod host_config;
mod index;
mod jump;
mod keywords;
mod line;
mod read;
mod resolve;
mod select;
#[cfg(test)]
mod tests;
mod tokens;
mod values;

pub use algorithms::{AlgorithmSpec, InvalidAlgorithmName, ListChange};
pub use error::{ConfigError, ConfigLineError, ConfigLineErrorKind};
pub use host_config::{
    AddressFamily, AgentSetting, HostConfig, IgnoredSetting, StrictHostKeyChecking,
};
pub use jump::JumpHost;
pub use tokens::Environment;

use blocks::ParsedConfig;
use index::BlockIndex;
use read::{ConfigReader, FileScope};
use resolve::ResolveContext;
use select::HostQuery;
use tokens::LocalContext;

/// Path of the system's configuration.
pub const SYSTEM_FILE: &str = "/etc/ssh/ssh_config";

/// Default key files, in the order of ssh. ssh also has defaults for DSA keys and security keys, which are not
/// supported.
const DEFAULT_IDENTITIES: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

/// Maximum number of jump hosts for one host. A longer list is a circle.
const MOST_JUMPS: usize = 8;

/// The sources of a configuration, and the local values of its tokens.
#[derive(Clone, Debug)]
pub struct ConfigSources {
    /// The user's file.
    pub user_file: UserFile,
    /// The system's file, usually [`SYSTEM_FILE`]. It is read if `user_file` is [`UserFile::Default`]. The paths of its
    /// includes are relative to its directory.
    pub system_file: PathBuf,
    /// Settings that come before all files, in order.
    pub options: Vec<ConfigOption>,
    /// Home directory of the local user.
    pub home: PathBuf,
    /// Name of the local user, which is the default of the remote user.
    pub local_user: String,
    /// User ID of the local user.
    pub uid: u32,
    /// Name of the local host.
    pub local_host: String,
    /// Local environment variables.
    pub environment: Environment,
}

/// The user's configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserFile {
    /// `~/.ssh/config`, if it exists.
    Default,
    /// Only this file and not the system's file (`ssh -F FILE`).
    Only(PathBuf),
    /// No file, not even the system's (`ssh -F none`).
    Nothing,
}

impl UserFile {
    /// Interprets the argument of `ssh -F`.
    #[must_use]
    pub fn named(path: &Path) -> UserFile {
        if path.as_os_str().eq_ignore_ascii_case("none") {
            UserFile::Nothing
        } else {
            UserFile::Only(path.to_owned())
        }
    }
}

/// A setting from outside the files, such as the argument of `ssh -o`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigOption {
    /// Name of the source in error messages, such as `-o`.
    pub origin: Arc<str>,
    /// The setting: `Keyword=value` or `Keyword value`.
    pub text: String,
}

impl ConfigOption {
    /// Makes an option.
    pub fn new(origin: impl Into<Arc<str>>, text: impl Into<String>) -> ConfigOption {
        ConfigOption {
            origin: origin.into(),
            text: text.into(),
        }
    }
}

/// Returns the names of all known keywords, as the manual writes them.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    keywords::TABLE.iter().map(|info| info.name)
}

/// A configuration that has been read and checked.
///
/// It is evaluated as by OpenSSH 9.2, with these differences:
///
/// - No command is run. `Match exec`, `ProxyCommand` and `KnownHostsCommand` are errors for the hosts to which they
///   apply.
/// - Other settings that would change the trusted keys or the connection in a way that [`HostConfig`] cannot express
///   are errors too. Settings without such an effect are ignored and listed in [`HostConfig::ignored`].
/// - Ports must be numbers, and an abbreviated address such as `127.1` is a name.
/// - Names of algorithms are compared with the supported ones by [`AlgorithmSpec::apply`], not when the file is read.
///
/// ```
/// use ssh_files::{ConfigOption, ConfigSources, Environment, SshConfig, UserFile};
///
/// let config = SshConfig::load(ConfigSources {
///     user_file: UserFile::Nothing,
///     system_file: ssh_files::SYSTEM_FILE.into(),
///     options: vec![ConfigOption::new("-o", "HostName=%h.example.com")],
///     home: "/home/me".into(),
///     local_user: "me".into(),
///     uid: 1000,
///     local_host: "desk".into(),
///     environment: Environment::new(),
/// })?;
/// let host = config.host("web1", None, Some(2222))?;
/// assert_eq!(host.host_name, "web1.example.com");
/// assert_eq!((host.user.as_str(), host.port), ("me", 2222));
/// # Ok::<(), ssh_files::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct SshConfig {
    parsed: ParsedConfig,
    index: BlockIndex,
    two_passes: bool,
    local: LocalContext,
    environment: Environment,
    default_identities: Vec<PathBuf>,
    default_known_hosts: [PathBuf; 2],
}

impl SshConfig {
    /// Reads and checks all files.
    ///
    /// # Errors
    /// Returns the error of the first wrong line, whether or not its block would apply to a host. A file that cannot be
    /// read, or to which other users can write, is an error too. As in ssh, a default file that does not exist or that
    /// the user may not read is left out.
    pub fn load(sources: ConfigSources) -> Result<SshConfig, ConfigError> {
        let local = LocalContext {
            home: sources.home,
            user: sources.local_user,
            uid: sources.uid,
            host: sources.local_host,
        };
        let environment = sources.environment;
        let directory = local.home.join(".ssh");
        // As in ssh, the owner of a file that the user names is not checked.
        let named = FileScope {
            directory: &directory,
            is_user: true,
            checks_owner: false,
        };
        let mut reader = ConfigReader::new(&local, &environment);
        reader.options(&sources.options)?;
        match &sources.user_file {
            UserFile::Nothing => {}
            UserFile::Only(path) => reader.file(path, named)?,
            UserFile::Default => {
                let system = FileScope {
                    directory: sources.system_file.parent().unwrap_or(Path::new("/")),
                    is_user: false,
                    checks_owner: false,
                };
                let user = FileScope {
                    checks_owner: true,
                    ..named
                };
                let path = directory.join("config");
                if_readable(&path, reader.file(&path, user))?;
                if_readable(
                    &sources.system_file,
                    reader.file(&sources.system_file, system),
                )?;
            }
        }
        let parsed = reader.parsed;
        Ok(SshConfig {
            index: BlockIndex::new(&parsed.blocks),
            two_passes: parsed.wants_two_passes(),
            parsed,
            default_identities: DEFAULT_IDENTITIES
                .iter()
                .map(|name| directory.join(name))
                .filter(|path| path.exists() || path.with_extension("pub").exists())
                .collect(),
            default_known_hosts: ["known_hosts", "known_hosts2"].map(|name| directory.join(name)),
            local,
            environment,
        })
    }

    /// Returns the settings of a host, which has the name `given` on the command line. `user` and `port` come before
    /// the configuration.
    ///
    /// # Errors
    /// Returns an error if a setting of the host is not supported.
    pub fn host(
        &self,
        given: &str,
        user: Option<&str>,
        port: Option<u16>,
    ) -> Result<HostConfig, ConfigError> {
        let query = HostQuery {
            given,
            user,
            local: &self.local,
            options: true,
            ignores_proxies: false,
        };
        self.evaluate(query, port)
    }

    /// Returns the settings of all jump hosts for a host, in the order of the connections. The jump hosts of the first
    /// jump host are included.
    ///
    /// # Errors
    /// Returns an error if a setting of a jump host is not supported, or if there are more than 8 jump hosts.
    pub fn jump_hosts(&self, host: &HostConfig) -> Result<Vec<HostConfig>, ConfigError> {
        let mut all = self.jumps(host)?;
        while let Some(first) = all.first()
            && !first.jumps.is_empty()
        {
            if all.len() >= MOST_JUMPS {
                return Err(ConfigError::TooManyJumps {
                    host: host.host_name.clone(),
                    limit: MOST_JUMPS,
                });
            }
            let before = self.jumps(first)?;
            all[0].jumps.clear();
            all.splice(0..0, before);
        }
        Ok(all)
    }

    fn jumps(&self, host: &HostConfig) -> Result<Vec<HostConfig>, ConfigError> {
        let jumps = host.jumps.iter().enumerate();
        jumps
            .map(|(index, jump)| self.jump_host(jump, index == 0))
            .collect()
    }

    /// Returns the settings of one jump host. Options do not apply, since ssh starts another ssh for it without them.
    /// Only the first jump host can have jump hosts of its own.
    fn jump_host(&self, jump: &JumpHost, is_first: bool) -> Result<HostConfig, ConfigError> {
        let query = HostQuery {
            given: &jump.host,
            user: jump.user.as_deref(),
            local: &self.local,
            options: false,
            ignores_proxies: !is_first,
        };
        self.evaluate(query, jump.port)
    }

    /// The local environment variables, the argument of [`HostConfig::environment`].
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    fn evaluate(&self, query: HostQuery<'_>, port: Option<u16>) -> Result<HostConfig, ConfigError> {
        let selected = select::select(&self.parsed, &self.index, self.two_passes, query)?;
        let context = ResolveContext {
            parsed: &self.parsed,
            environment: &self.environment,
            default_identities: &self.default_identities,
            default_known_hosts: &self.default_known_hosts,
        };
        resolve::resolve(context, query, port, &selected)
    }
}

/// Ignores the error of a default file that does not exist or that the user may not read.
fn if_readable(path: &Path, result: Result<(), ConfigError>) -> Result<(), ConfigError> {
    match result {
        Err(ConfigError::Read { file, source })
            if file == path
                && matches!(
                    source.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::PermissionDenied
                ) =>
        {
            Ok(())
        }
        other => other,
    }
}
