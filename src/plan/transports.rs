//! What the transports of a run are told, for those that its targets take.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use super::remote_names;
use crate::cli::Cli;
use crate::error::Error;
use crate::output::ResolvedEndpoint;
use crate::ports::{self, SourcePorts};
use crate::privilege::Privilege;
use crate::targets::{Target, TransportKind};
use crate::transport::exec::openssh::OpenSshOptions;
use crate::transport::exec::{self, ExecOptions, Template};
use crate::transport::rsh::RshOptions;
use crate::transport::rsh::wrap::{self, EndMarker, MAX_COMMAND};
use crate::transport::ssh::config::{HostConfig, SYSTEM_FILE, Sources, SshConfig, UserFile};
use crate::transport::ssh::{self, PasswordSource, SshError, SshOptions};
use crate::transport::{Input, StderrMode};

/// The port of rshd, the only one that the program's own right to reserved source ports is good for.
const RSH_PORT: u16 = 514;

/// Where root names the ports of services.
const SERVICES: &str = "/etc/services";

/// The port of sshd.
const SSH_PORT: u16 = 22;

/// The transports of a run, all decided. Those that no target takes are `None`.
#[derive(Debug)]
pub struct TransportPlan {
    /// For targets that name none.
    pub default: TransportKind,
    /// What the rsh sessions have in common.
    pub rsh: Option<RshOptions>,
    /// What the ssh sessions have in common.
    pub ssh: Option<SshOptions>,
    /// What the `ssh` processes have in common.
    pub openssh: Option<OpenSshOptions>,
    /// What the local commands have in common.
    pub exec: Option<ExecOptions>,
    /// Where rsh connections come from.
    pub source_ports: SourcePorts,
    /// Where ssh connections come from.
    pub ssh_source_ports: SourcePorts,
}

impl TransportPlan {
    /// How many descriptors one host takes at most.
    #[must_use]
    pub fn descriptors_per_host(&self) -> u32 {
        let rsh = self.rsh.as_ref().map_or(0, |rsh| match rsh.stderr {
            StderrMode::Merge => 1,
            StderrMode::Separate | StderrMode::Drop => 2,
        });
        let processes = match (&self.openssh, &self.exec) {
            (None, None) => 0,
            _ => exec::DESCRIPTORS,
        };
        let ssh = self.ssh.as_ref().map_or(0, |_| ssh::DESCRIPTORS);
        rsh.max(processes).max(ssh)
    }

    /// Reads the password that a script has ready.
    ///
    /// # Errors
    /// There is none.
    pub fn read_password(&mut self) -> Result<(), Error> {
        match &mut self.ssh {
            Some(ssh) => Ok(ssh.password.read()?),
            None => Ok(()),
        }
    }

    /// Has all commands read this.
    pub fn feed(&mut self, input: &Input) {
        if let Some(rsh) = &mut self.rsh {
            rsh.input = Some(input.clone());
        }
        if let Some(ssh) = &mut self.ssh {
            ssh.input = Some(input.clone());
        }
        if let Some(openssh) = &mut self.openssh {
            openssh.input = Some(input.clone());
        }
        if let Some(exec) = &mut self.exec {
            exec.input = Some(input.clone());
        }
    }

    /// How the targets are called of which ssh's configuration decides that, by their numbers.
    ///
    /// # Errors
    /// What the configuration says of one of them, or of a host on the way there, cannot be done.
    pub(super) fn resolved(
        &self,
        targets: &[Target],
    ) -> Result<Vec<Option<ResolvedEndpoint>>, Error> {
        let Some(ssh) = &self.ssh else {
            return Ok(Vec::new());
        };
        let mut texts = Texts::default();
        let mut resolved = Vec::with_capacity(targets.len());
        for target in targets {
            if target.transport_or(self.default) != TransportKind::Ssh {
                resolved.push(None);
                continue;
            }
            let unusable = |fault| Error::SshTarget {
                label: target.label.to_string(),
                fault,
            };
            let host = ssh.host(target).map_err(unusable)?;
            let way = match host.jumps.is_empty() {
                true => None,
                false => Some(way(&ssh.hops(&host).map_err(unusable)?)),
            };
            resolved.push(Some(ResolvedEndpoint {
                host: match *host.host_name == *target.host {
                    true => Arc::clone(&target.host),
                    false => host.host_name.into(),
                },
                user: texts.shared(&host.user),
                port: host.port,
                jump_hosts: way.map(|way| texts.shared(&way)),
            }));
        }
        Ok(resolved)
    }

    /// Whether rsh connections come from the ports that rshd trusts: what a lent right to bind is for.
    #[must_use]
    pub fn binds_reserved(&self) -> bool {
        self.rsh.is_some() && self.source_ports.are_reserved()
    }

    /// Whether hosts are run by local processes.
    #[must_use]
    pub fn starts_processes(&self) -> bool {
        self.openssh.is_some() || self.exec.is_some()
    }
}

/// Texts that many targets have in common, held once.
#[derive(Debug, Default)]
struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// The hosts on the way, for people.
fn way(hops: &[HostConfig]) -> String {
    let words: Vec<String> = hops
        .iter()
        .map(|hop| format!("{}@{} port {}", hop.user, hop.host_name, hop.port))
        .collect();
    words.join(" and ")
}

/// Decides what the targets' transports are told.
pub(super) fn decide(
    cli: &Cli,
    targets: &[Target],
    command: &[u8],
) -> Result<TransportPlan, Error> {
    // Embedded rsh daemons answer for every target.
    let takes = |kind: TransportKind| match cli.demo {
        true => kind == TransportKind::Rsh,
        false => targets
            .iter()
            .any(|target| target.transport_or(cli.default_transport()) == kind),
    };
    let stderr = cli.stderr_mode();
    let source_ports = cli.source_ports.clone().unwrap_or(SourcePorts::Reserved);
    let ssh_source_ports = cli.source_ports.clone().unwrap_or(SourcePorts::Any);
    let ssh = match takes(TransportKind::Ssh) {
        true => Some(ssh(cli, targets, command, &ssh_source_ports)?),
        false => None,
    };
    if ssh.is_none() && takes(TransportKind::OpenSsh) {
        let option = match cli.password_fd {
            Some(_) => "--password-fd",
            None => "--password",
        };
        if cli.password || cli.password_fd.is_some() {
            return Err(Error::NoPassword { option });
        }
    }
    let rsh = match takes(TransportKind::Rsh) {
        true => Some(rsh(cli, targets, command, &source_ports)?),
        false => None,
    };
    let openssh = match takes(TransportKind::OpenSsh) {
        true => Some(OpenSshOptions {
            user: cli.user.clone(),
            port: cli.port,
            command: ssh_command(cli, command),
            stderr,
            config: cli.ssh_config.clone(),
            options: ssh_settings(cli)?,
            connect_timeout: cli.connect_timeout,
            input: None,
        }),
        false => None,
    };
    if openssh.is_some() {
        must_exist(OsStr::new("ssh"))?;
    }
    let exec = match takes(TransportKind::Exec) {
        true => Some(ExecOptions {
            template: template(&cli.command)?,
            user: match &cli.user {
                Some(name) => name.clone(),
                None => super::caller(),
            },
            stderr,
            input: None,
        }),
        false => None,
    };
    if openssh.is_some() || exec.is_some() {
        let takes_user = exec.as_ref().is_some_and(|exec| exec.template.has_user());
        remote_names::check(
            targets,
            cli.default_transport(),
            cli.user.as_deref(),
            takes_user,
        )?;
    }
    Ok(TransportPlan {
        default: cli.default_transport(),
        rsh,
        ssh,
        openssh,
        exec,
        source_ports,
        ssh_source_ports,
    })
}

/// Returns the command as an ssh server gets it. Standard error is merged by the remote shell, for the server loses the
/// order of the two streams.
fn ssh_command(cli: &Cli, command: &[u8]) -> Vec<u8> {
    if cli.stderr_mode() == StderrMode::Merge && !cli.raw {
        wrap::merged(command)
    } else {
        command.to_owned()
    }
}

fn ssh(
    cli: &Cli,
    targets: &[Target],
    command: &[u8],
    source_ports: &SourcePorts,
) -> Result<SshOptions, Error> {
    if Privilege::of_this_process() == Privilege::Lent
        && source_ports.are_reserved()
        && let Some(target) = targets
            .iter()
            .find(|target| target.transport_or(cli.default_transport()) == TransportKind::Ssh)
    {
        return Err(Error::RemotePort {
            label: target.label.to_string(),
            port: target.port.or(cli.port).unwrap_or(SSH_PORT),
        });
    }
    let (local_user, home) = super::account()?;
    let sources = Sources {
        user_file: match &cli.ssh_config {
            Some(file) => UserFile::named(file),
            None => UserFile::Default,
        },
        system_file: SYSTEM_FILE.into(),
        options: ssh_settings(cli)?,
        home,
        local_user,
        uid: uzers::get_current_uid(),
        local_host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        environment: env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    let of_ssh =
        |target: &&Target| target.transport_or(cli.default_transport()) == TransportKind::Ssh;
    Ok(SshOptions {
        user: cli.user.clone(),
        port: cli.port,
        command: ssh_command(cli, command),
        stderr: cli.stderr_mode(),
        raw: cli.raw,
        input: None,
        config: SshConfig::load(sources.clone()).map_err(SshError::from)?,
        own_configs: own_configs(targets.iter().filter(of_ssh), &sources)?,
        agent: env::var_os("SSH_AUTH_SOCK")
            .filter(|socket| !socket.is_empty())
            .map(PathBuf::from),
        password: match (cli.password, cli.password_fd) {
            (_, Some(fd)) => PasswordSource::Descriptor(fd),
            (true, None) => PasswordSource::Ask,
            (false, None) => PasswordSource::None,
        },
    })
}

/// The configurations of targets that have settings of their own, by those settings.
fn own_configs<'t>(
    targets: impl Iterator<Item = &'t Target>,
    sources: &Sources,
) -> Result<BTreeMap<Vec<String>, SshConfig>, Error> {
    let mut configs = BTreeMap::new();
    for target in targets {
        let Some(from) = &target.inventory else {
            continue;
        };
        let own = from.own_settings();
        if own.is_empty() || configs.contains_key(&own) {
            continue;
        }
        let config = SshConfig::load_for(sources.clone(), &from.ssh_options);
        let config = config.map_err(|fault| Error::SshTarget {
            label: target.label.to_string(),
            fault,
        })?;
        configs.insert(own, config);
    }
    Ok(configs)
}

/// What comes before the configuration files of ssh.
fn ssh_settings(cli: &Cli) -> Result<Vec<String>, Error> {
    let mut settings = Vec::new();
    for file in &cli.identities {
        let path = std::path::absolute(file).map_err(Error::system("find the identity's file"))?;
        // The public half is enough if the agent has the other.
        let mut public = path.clone().into_os_string();
        public.push(".pub");
        fs::metadata(&path)
            .or_else(|error| fs::metadata(public).map_err(|_| error))
            .map_err(|source| Error::Identity {
                file: file.clone(),
                source,
            })?;
        // A token of ssh_config's begins with a percent sign; quotes keep blanks together.
        let path = path.display().to_string().replace('%', "%%");
        settings.push(format!("IdentityFile=\"{path}\""));
    }
    settings.extend(cli.ssh_options.iter().cloned());
    Ok(settings)
}

fn rsh(
    cli: &Cli,
    targets: &[Target],
    command: &[u8],
    source_ports: &SourcePorts,
) -> Result<RshOptions, Error> {
    if Privilege::of_this_process() == Privilege::Lent && source_ports.are_reserved() {
        only_rshd(cli, targets)?;
    }
    let stderr = cli.stderr_mode();
    let length = match cli.raw {
        true => command.len(),
        false => EndMarker::wrapped_len(command, stderr == StderrMode::Drop, cli.stdin),
    };
    if length > MAX_COMMAND {
        return Err(Error::CommandTooLong {
            length,
            most: MAX_COMMAND,
        });
    }
    let local_user = super::local_user()?;
    let options = RshOptions {
        remote_user: cli.user.clone().unwrap_or_else(|| local_user.clone()),
        local_user,
        port: cli.port.unwrap_or(RSH_PORT),
        command: command.to_owned(),
        raw: cli.raw,
        stderr,
        reserved_callers: source_ports.are_reserved(),
        callback_from: cli.callback_from.as_slice().into(),
        own_callback_from: targets.iter().any(|target| target.callback_from.is_some()),
        at_once: cli.demo,
        count_time_wait: cli.stats || cli.json,
        input: None,
    };
    if let SourcePorts::Range(range) = source_ports
        && options.calls_back()
        && ports::candidates(range.clone()).usable.len() == 1
    {
        return Err(Error::TooFewPorts {
            range: format!("{}-{}", range.start(), range.end()),
        });
    }
    Ok(options)
}

/// Refuses targets on other ports than rshd's, which a trusted source port is not for.
fn only_rshd(cli: &Cli, targets: &[Target]) -> Result<(), Error> {
    let is_rsh =
        |target: &&Target| target.transport_or(cli.default_transport()) == TransportKind::Rsh;
    let port = |target: &Target| target.port.or(cli.port).unwrap_or(RSH_PORT);
    let mut called = targets.iter().filter(is_rsh);
    // Read only where another port is asked for, which is seldom.
    let services = LazyCell::new(|| fs::read_to_string(SERVICES).unwrap_or_default());
    let is_rshd = |port| port == RSH_PORT || shell_service(&services) == Some(port);
    match called.find(|target| !is_rshd(port(target))) {
        Some(other) => Err(Error::RemotePort {
            label: other.label.to_string(),
            port: port(other),
        }),
        None => Ok(()),
    }
}

/// The port of the `shell` service in the text of [`SERVICES`], where root may have named another.
fn shell_service(services: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        match (words.next(), words.next()?.split_once('/')) {
            (Some("shell"), Some((port, "tcp"))) => port.parse().ok(),
            _ => None,
        }
    })
}

/// The words of a local command, checked as far as they are the same for every host.
fn template(words: &[OsString]) -> Result<Template, Error> {
    let template = Template::new(words.to_owned())?;
    if let Some(program) = template.program() {
        must_exist(program)?;
    }
    Ok(template)
}

/// Refuses a program that no host's command could be started with.
fn must_exist(program: &OsStr) -> Result<(), Error> {
    let is_file = |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file());
    let path = env::var_os("PATH");
    let found = match program.as_bytes().contains(&b'/') {
        true => is_file(Path::new(program)),
        false => path.is_none_or(|path| {
            env::split_paths(&path).any(|folder| is_file(&folder.join(program)))
        }),
    };
    match found {
        true => Ok(()),
        false => Err(Error::NoProgram {
            program: program.to_string_lossy().into_owned(),
            shell: program
                .as_bytes()
                .iter()
                .any(|byte| byte.is_ascii_whitespace() || b"|;&<>$`'\"*()".contains(byte)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::shell_service;

    #[test]
    fn root_may_name_another_port_for_the_shell_service() {
        let services = "# shell 1/tcp\nwho 513/udp whod\nshell\t\t5514/udp\nshell\t\t1514/tcp\tcmd syslog # x\nshell 9/tcp\n";
        assert_eq!(shell_service(services), Some(1514));
        for none in [
            "",
            "shell",
            "shell 514",
            "shell 70000/tcp",
            "xshell 514/tcp",
            "cmd 514/tcp shell",
        ] {
            assert_eq!(shell_service(none), None, "{none}");
        }
    }
}
