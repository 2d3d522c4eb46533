//! ssh_config(5): what OpenSSH's files and `-o` options say about a host, evaluated as OpenSSH 9.2 does.
//!
//! The files are read once for a run by [`SshConfig::load`], which checks every line whether it applies
//! or not; [`SshConfig::host`] then does no I/O and costs microseconds. Nothing is ever run: what would
//! need that, or would change who is trusted or how a host is reached in a way that this program cannot
//! follow, is an error that names the line; `keywords` has the table of what is made of each keyword.
//!
//! It differs from ssh in this: the names of services are no ports, `127.1` is a name like any other, the
//! names of algorithms are held against what there is only by [`AlgorithmSpec::apply`], and the values
//! of keywords that are ignored are hardly looked at.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod algorithms;
mod blocks;
mod decide;
mod error;
mod evaluate;
mod file;
mod host;
mod index;
mod jump;
mod keywords;
mod matching;
mod pattern;
#[cfg(test)]
mod tests;
mod tokens;
mod value;
mod words;

pub use algorithms::{AlgorithmSpec, Change};
pub use error::{ConfigError, LineFault};
pub use host::{AddressFamily, Agent, HostConfig, Note, StrictHostKeyChecking};
pub use jump::Jump;
pub use tokens::Environment;

use blocks::Parsed;
use decide::Surroundings;
use evaluate::Query;
use file::{Kind, Reader};
use index::Index;
use tokens::Local;

/// The system's configuration.
pub const SYSTEM_FILE: &str = "/etc/ssh/ssh_config";

/// The keys that ssh tries if none is named, in its order. It tries DSA keys and those on security
/// keys, too, which cannot be used here.
const DEFAULT_IDENTITIES: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

/// Where a configuration comes from, and what its tokens stand for.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The user's file.
    pub user_file: UserFile,
    /// The system's file, which is not read if the user's was named. Files that it includes are looked
    /// for beside it.
    pub system_file: PathBuf,
    /// As given with `-o`, in order: `Keyword=value` or `Keyword value`.
    pub options: Vec<String>,
    /// The caller's home directory.
    pub home: PathBuf,
    /// The caller's name: the remote user if nothing says another.
    pub local_user: String,
    /// The caller's number.
    pub uid: u32,
    /// This machine's name.
    pub local_host: String,
    /// The caller's environment.
    pub environment: Environment,
}

/// Which file is the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserFile {
    /// `~/.ssh/config`, if it is there.
    Default,
    /// This one and no other (`-F`).
    Only(PathBuf),
    /// None, and not the system's either (`-F none`).
    Nothing,
}

impl UserFile {
    /// What `-F` means.
    #[must_use]
    pub fn named(path: &Path) -> UserFile {
        match path.as_os_str().eq_ignore_ascii_case("none") {
            true => UserFile::Nothing,
            false => UserFile::Only(path.to_owned()),
        }
    }
}

/// The names of all keywords that are known, as the manual spells them.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    keywords::TABLE.iter().map(|row| row.name)
}

/// A configuration that has been read.
#[derive(Debug)]
pub struct SshConfig {
    parsed: Parsed,
    index: Index,
    two_passes: bool,
    local: Local,
    environment: Environment,
    default_identities: Vec<PathBuf>,
    default_known_hosts: [PathBuf; 2],
}

impl SshConfig {
    /// Reads and checks all files.
    ///
    /// # Errors
    /// The first line that is wrong, or a file that cannot be read or that others could have written. A
    /// default file that isn't there, or that the caller may not read, is passed over as by ssh.
    pub fn load(sources: Sources) -> Result<SshConfig, ConfigError> {
        SshConfig::load_for(sources, &[])
    }

    /// The same for targets with settings of their own, which come after the options and before all files. Each has
    /// the place that it is from.
    ///
    /// # Errors
    /// As [`load`](SshConfig::load).
    pub fn load_for(
        sources: Sources,
        settings: &[(Arc<str>, String)],
    ) -> Result<SshConfig, ConfigError> {
        let local = Local {
            home: sources.home,
            user: sources.local_user,
            uid: sources.uid,
            host: sources.local_host,
        };
        let environment = sources.environment;
        let own = local.home.join(".ssh");
        let user = Kind {
            directory: &own,
            user: true,
            checked: false,
        };
        let mut reader = Reader::new(&local, &environment);
        let option: Arc<str> = "--ssh-option".into();
        let options = sources.options.iter().map(|text| (&option, text));
        reader.options(options.chain(settings.iter().map(|(place, text)| (place, text))))?;
        match &sources.user_file {
            UserFile::Nothing => {}
            UserFile::Only(path) => reader.file(path, user)?,
            UserFile::Default => {
                let system = Kind {
                    directory: sources.system_file.parent().unwrap_or(Path::new("/")),
                    user: false,
                    checked: false,
                };
                let checked = Kind {
                    checked: true,
                    ..user
                };
                let path = own.join("config");
                if_there(&path, reader.file(&path, checked))?;
                if_there(
                    &sources.system_file,
                    reader.file(&sources.system_file, system),
                )?;
            }
        }
        let parsed = reader.parsed;
        Ok(SshConfig {
            index: Index::new(&parsed.blocks),
            two_passes: parsed.wants_two_passes(),
            parsed,
            default_identities: DEFAULT_IDENTITIES
                .iter()
                .map(|name| own.join(name))
                .filter(|path| path.exists() || path.with_extension("pub").exists())
                .collect(),
            default_known_hosts: ["known_hosts", "known_hosts2"].map(|name| own.join(name)),
            local,
            environment,
        })
    }

    /// What the configuration says about a host: `given` is its name as typed, `user` and `port` are
    /// those that the target or the command line says, which come before all files.
    ///
    /// # Errors
    /// What applies to this host and cannot be done, with the line that says it.
    pub fn host(
        &self,
        given: &str,
        user: Option<&str>,
        port: Option<u16>,
    ) -> Result<HostConfig, ConfigError> {
        let query = Query {
            given,
            user,
            local: &self.local,
            options: true,
            way_settled: false,
        };
        self.evaluated(query, port)
    }

    /// What the configuration says about a host on the way to another. As for ssh, which starts another
    /// ssh there, `-o` options do not count; `first` is whether it is the first one on the way: only
    /// that one may itself be reached through others.
    ///
    /// # Errors
    /// As [`host`](SshConfig::host).
    pub fn jump(&self, jump: &Jump, first: bool) -> Result<HostConfig, ConfigError> {
        let query = Query {
            given: &jump.host,
            user: jump.user.as_deref(),
            local: &self.local,
            options: false,
            way_settled: !first,
        };
        self.evaluated(query, jump.port)
    }

    /// The caller's variables, of which SendEnv chooses.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    fn evaluated(&self, query: Query<'_>, port: Option<u16>) -> Result<HostConfig, ConfigError> {
        let chosen = evaluate::evaluate(&self.parsed, &self.index, self.two_passes, query)?;
        let surroundings = Surroundings {
            parsed: &self.parsed,
            environment: &self.environment,
            default_identities: &self.default_identities,
            default_known_hosts: &self.default_known_hosts,
        };
        decide::decide(surroundings, query, port, &chosen)
    }
}

/// Passes over a default file that isn't there or may not be read.
fn if_there(path: &Path, result: Result<(), ConfigError>) -> Result<(), ConfigError> {
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
