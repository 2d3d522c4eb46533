//! The part of the plan about transports: their options, for those that a target uses.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use reserved_ports::{SourcePorts, candidates};
use ssh_files::{ConfigOption, ConfigSources, HostConfig, SYSTEM_FILE, SshConfig, UserFile};

use super::remote_names::{self, ExecNames};
use super::user_change::{self, UserChangePlan};
use crate::cli::Cli;
use crate::error::Error;
use crate::output::{ResolvedEndpoint, RunInfo};
use crate::privilege::Privilege;
use crate::script;
use crate::targets::{Placeholder, RSH_PORT, SSH_PORT, Target, TransportKind};
use crate::transport::exec::openssh::OpenSshOptions;
use crate::transport::exec::{self, ExecCommand, ExecCommands, ExecOptions, RunValues, Template};
use crate::transport::rsh::RshOptions;
use crate::transport::ssh::config_fault::ConfigFault;
use crate::transport::ssh::{self, PasswordSource, SshError, SshOptions};
use crate::transport::wrap::{EndMarker, MAX_COMMAND, SshStreams};
use crate::transport::{RemoteCommand, ShellCommand, SshCommand, StderrMode};

/// File in which root gives services their ports.
const SERVICES: &str = "/etc/services";

/// Options of the transports of a run. Those of a transport that no target uses are `None`.
#[derive(Debug)]
pub struct TransportPlan {
    /// Transport of targets that name none.
    pub default: TransportKind,
    /// Options of rsh.
    pub rsh: Option<RshOptions>,
    /// Options of ssh through libssh2.
    pub ssh: Option<SshOptions>,
    /// Source of the password, if a target uses ssh through libssh2.
    pub password: PasswordSource,
    /// Options of the system's `ssh`.
    pub openssh: Option<OpenSshOptions>,
    /// Options of local commands.
    pub exec: Option<ExecOptions>,
    /// Source ports of rsh connections.
    pub source_ports: SourcePorts,
    /// Source ports of ssh connections.
    pub ssh_source_ports: SourcePorts,
}

impl TransportPlan {
    /// Returns the maximum number of descriptors for one target.
    #[must_use]
    pub fn descriptors_per_host(&self) -> u32 {
        // The callback needs a second one. With `--raw`, `drop` needs the callback as well.
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

    /// Returns the resolved ssh endpoints, indexed by `TargetId`. It is empty if no target uses ssh.
    ///
    /// # Errors
    /// mrsh cannot do what the configuration says about a target or one of its jump hosts.
    pub(super) fn resolved(
        &self,
        targets: &[Target],
    ) -> Result<Vec<Option<ResolvedEndpoint>>, Error> {
        let Some(ssh) = &self.ssh else {
            return Ok(Vec::new());
        };
        let mut texts = SharedTexts::default();
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
            let jump_hosts = if host.jumps.is_empty() {
                None
            } else {
                Some(jump_hosts_text(&ssh.jump_hosts(&host).map_err(unusable)?))
            };
            resolved.push(Some(ResolvedEndpoint {
                host: if *host.host_name == *target.host {
                    Arc::clone(&target.host)
                } else {
                    host.host_name.into()
                },
                user: texts.shared(&host.user),
                port: host.port,
                jump_hosts: jump_hosts.map(|text| texts.shared(&text)),
            }));
        }
        Ok(resolved)
    }

    /// Sets the command of each target. Its variables can depend on the resolved endpoints.
    ///
    /// # Errors
    /// The command is too long for rsh.
    pub(super) fn set_command(
        &mut self,
        cli: &Cli,
        info: &RunInfo,
        command: &RemoteCommand,
    ) -> Result<(), Error> {
        if let Some(rsh) = &mut self.rsh {
            check_length(cli, command)?;
            rsh.command = command.clone();
        }
        let mode = cli.stderr_mode();
        let streams = SshStreams {
            merged: mode == StderrMode::Merge && !cli.raw,
            discards_stderr: mode == StderrMode::Drop,
            reads: reads_input(cli),
            has_tty: cli.user_change.tty,
        };
        let ssh_command = || SshCommand::new(command.clone(), streams);
        if let Some(ssh) = &mut self.ssh {
            ssh.command = ssh_command();
        }
        if let Some(openssh) = &mut self.openssh {
            openssh.command = ssh_command();
        }
        if let Some(exec) = &mut self.exec {
            exec.run = RunValues {
                id: Arc::clone(&info.run_id),
                count: info.run_total,
                numbers: info.numbers.clone(),
            };
            exec.variables = command.variables();
        }
        Ok(())
    }

    /// Returns true if rsh connections come from the ports that rshd trusts.
    #[must_use]
    pub fn binds_reserved(&self) -> bool {
        self.rsh.is_some() && self.source_ports.are_reserved()
    }

    /// Returns true if a transport starts local processes.
    #[must_use]
    pub fn starts_processes(&self) -> bool {
        self.openssh.is_some() || self.exec.is_some()
    }
}

/// Texts that many targets have in common, kept once.
#[derive(Debug, Default)]
struct SharedTexts(HashSet<Arc<str>>);

impl SharedTexts {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

fn jump_hosts_text(jump_hosts: &[HostConfig]) -> String {
    let words: Vec<String> = jump_hosts
        .iter()
        .map(|jump_host| {
            format!(
                "{}@{} port {}",
                jump_host.user, jump_host.host_name, jump_host.port
            )
        })
        .collect();
    words.join(" and ")
}

/// Decides the options of the transports that targets use.
pub(super) fn decide(
    cli: &Cli,
    targets: &[Target],
    user_change: Option<&UserChangePlan>,
    commands: Option<ExecCommands>,
) -> Result<TransportPlan, Error> {
    // Embedded rsh daemons answer for every target.
    let is_used = |kind: TransportKind| {
        if cli.demo {
            return kind == TransportKind::Rsh;
        }
        let mut kinds = targets
            .iter()
            .map(|target| target.transport_or(cli.default_transport()));
        kinds.any(|used| used == kind)
    };
    let stderr = cli.stderr_mode();
    let terminal = user_change::terminal(cli, targets)?;
    let has_tty = terminal.is_some();
    let user_changes = user_change.map(|plan| Arc::clone(&plan.changes));
    let source_ports = cli.source_ports.clone().unwrap_or(SourcePorts::Reserved);
    // sshd accepts every source port, and there are few reserved ones.
    let ssh_source_ports = cli.source_ports.clone().unwrap_or(SourcePorts::Any);
    let ssh = if is_used(TransportKind::Ssh) {
        let mut options = ssh(cli, targets, &ssh_source_ports)?;
        options.terminal = terminal;
        options.user_changes = user_changes.clone();
        Some(options)
    } else {
        None
    };
    // If other targets use ssh, the password is for those.
    if ssh.is_none() && is_used(TransportKind::OpenSsh) {
        let option = match cli.password_fd {
            Some(_) => "--password-fd",
            None => "--password",
        };
        if cli.password || cli.password_fd.is_some() {
            return Err(Error::NoPassword { option });
        }
    }
    let rsh = if is_used(TransportKind::Rsh) {
        let mut options = rsh(cli, targets, &source_ports)?;
        options.user_changes = user_changes.clone();
        Some(options)
    } else {
        None
    };
    let openssh = if is_used(TransportKind::OpenSsh) {
        let options = OpenSshOptions {
            user: cli.user.clone(),
            port: cli.port,
            command: SshCommand::default(),
            user_changes: user_changes.clone(),
            has_tty,
            stderr,
            config: cli.ssh_config.clone(),
            options: ssh_settings(cli)?,
            connect_timeout: cli.connect_timeout,
        };
        must_exist(OsStr::new("ssh"))?;
        Some(options)
    } else {
        None
    };
    let exec = if is_used(TransportKind::Exec) {
        if cli.command.is_empty() && cli.script.script.is_some() {
            return Err(Error::ScriptWithoutWay);
        }
        if cli.command.is_empty() && commands.is_none() {
            return Err(Error::Copy(
                "--copy with -R exec needs a command that runs its words at the host, as in: mrsh -R exec --copy FILE \
                 --dest DIR/ -- kubectl exec -i %h --"
                    .to_owned(),
            ));
        }
        Some(ExecOptions {
            run: RunValues::default(),
            variables: None,
            port: cli.port,
            appended: match &cli.script.script {
                Some(_) => script::exec_words().map(OsString::from).into(),
                None => Vec::new(),
            },
            commands: match commands {
                Some(commands) => commands,
                None => ExecCommands::Same(ExecCommand {
                    template: template(&cli.command)?,
                    joins_words: false,
                }),
            },
            user: match &cli.user {
                Some(name) => name.clone(),
                None => super::caller(),
            },
            stderr,
        })
    } else {
        None
    };
    if openssh.is_some() || exec.is_some() {
        let takes = |placeholder| {
            let exec: Option<&ExecOptions> = exec.as_ref();
            exec.is_some_and(|exec| exec.commands.have(placeholder))
        };
        let taken = ExecNames {
            user: takes(Placeholder::User),
            label: takes(Placeholder::Label),
        };
        remote_names::check(targets, cli.default_transport(), cli.user.as_deref(), taken)?;
    }
    let password = match (&ssh, cli.password_fd) {
        (Some(_), Some(fd)) => PasswordSource::Descriptor(fd),
        (Some(_), None) if cli.password => PasswordSource::Ask,
        _ => PasswordSource::None,
    };
    Ok(TransportPlan {
        default: cli.default_transport(),
        rsh,
        ssh,
        password,
        openssh,
        exec,
        source_ports,
        ssh_source_ports,
    })
}

/// Returns true if commands read the connection. A script arrives on it.
fn reads_input(cli: &Cli) -> bool {
    cli.stdin || cli.script.script.is_some()
}

/// Checks that no target's command is longer than Linux can execute.
fn check_length(cli: &Cli, command: &RemoteCommand) -> Result<(), Error> {
    let reads = reads_input(cli);
    let length = |form: ShellCommand<'_>| {
        if cli.raw {
            form.text.len()
        } else {
            EndMarker::wrapped_len(form, cli.stderr_mode() == StderrMode::Drop, reads)
        }
    };
    let length = command.forms().map(length).max().unwrap_or_default();
    if length > MAX_COMMAND {
        return Err(Error::CommandTooLong {
            length,
            most: MAX_COMMAND,
        });
    }
    Ok(())
}

fn ssh(cli: &Cli, targets: &[Target], source_ports: &SourcePorts) -> Result<SshOptions, Error> {
    // The privilege of the program's file is for rshd's port only, and sshd has another one.
    if Privilege::of_this_process() == Privilege::File
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
    let sources = ConfigSources {
        user_file: match &cli.ssh_config {
            Some(file) => UserFile::named(file),
            None => UserFile::Default,
        },
        system_file: SYSTEM_FILE.into(),
        options: ssh_settings(cli)?
            .into_iter()
            .map(|text| ConfigOption::new("--ssh-option", text))
            .collect(),
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
        command: SshCommand::default(),
        user_changes: None,
        terminal: None,
        stderr: cli.stderr_mode(),
        raw: cli.raw,
        config: load(sources.clone()).map_err(SshError::from)?,
        own_configs: own_configs(targets.iter().filter(of_ssh), &sources)?,
        agent: env::var_os("SSH_AUTH_SOCK")
            .filter(|socket| !socket.is_empty())
            .map(PathBuf::from),
    })
}

fn load(sources: ConfigSources) -> Result<SshConfig, ConfigFault> {
    Ok(SshConfig::load(sources)?)
}

/// Returns the configurations of targets that have settings of their own, by those settings.
fn own_configs<'t>(
    targets: impl Iterator<Item = &'t Target>,
    sources: &ConfigSources,
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
        let mut sources = sources.clone();
        let settings = from.ssh_options.iter();
        sources.options.extend(
            settings.map(|(origin, text)| ConfigOption::new(Arc::clone(origin), text.as_str())),
        );
        let config = load(sources).map_err(|fault| Error::SshTarget {
            label: target.label.to_string(),
            fault,
        })?;
        configs.insert(own, config);
    }
    Ok(configs)
}

/// Returns the settings of the command line, which come before the configuration files of ssh.
fn ssh_settings(cli: &Cli) -> Result<Vec<String>, Error> {
    let mut settings = Vec::new();
    for file in &cli.identities {
        let path = std::path::absolute(file).map_err(Error::system("find the identity's file"))?;
        // The public half is enough if the agent has the private half.
        let mut public = path.clone().into_os_string();
        public.push(".pub");
        fs::metadata(&path)
            .or_else(|error| fs::metadata(public).map_err(|_| error))
            .map_err(|source| Error::Identity {
                file: file.clone(),
                source,
            })?;
        // In ssh_config, a percent sign starts a token, and a value with blanks needs quotes.
        let path = path.display().to_string().replace('%', "%%");
        settings.push(format!("IdentityFile=\"{path}\""));
    }
    settings.extend(cli.ssh_options.iter().cloned());
    Ok(settings)
}

fn rsh(cli: &Cli, targets: &[Target], source_ports: &SourcePorts) -> Result<RshOptions, Error> {
    if Privilege::of_this_process() == Privilege::File && source_ports.are_reserved() {
        only_rshd(cli, targets)?;
    }
    let local_user = super::local_user()?;
    let options = RshOptions {
        remote_user: cli.user.clone().unwrap_or_else(|| local_user.clone()),
        local_user,
        port: cli.port.unwrap_or(RSH_PORT),
        command: RemoteCommand::default(),
        user_changes: None,
        raw: cli.raw,
        stderr: cli.stderr_mode(),
        reserved_callers: source_ports.are_reserved(),
        callback_from: cli.callback_from.as_slice().into(),
        own_callback_from: targets.iter().any(|target| target.callback_from.is_some()),
        at_once: cli.demo,
        // Counting needs a dump of the kernel's sockets.
        count_time_wait: cli.stats || cli.json,
    };
    if let SourcePorts::Range(range) = source_ports
        && options.has_callback()
        && candidates(range.clone()).usable.len() == 1
    {
        return Err(Error::TooFewPorts {
            range: super::range_text(range),
        });
    }
    Ok(options)
}

/// Refuses targets on other ports than rshd's.
fn only_rshd(cli: &Cli, targets: &[Target]) -> Result<(), Error> {
    // With the privilege of the program's file, the caller could otherwise reach other services from a reserved port.
    let is_rsh =
        |target: &&Target| target.transport_or(cli.default_transport()) == TransportKind::Rsh;
    let port = |target: &Target| target.port.or(cli.port).unwrap_or(RSH_PORT);
    let mut rsh_targets = targets.iter().filter(is_rsh);
    // The file is read only if a target has another port, which is rare.
    let services = LazyCell::new(|| fs::read_to_string(SERVICES).unwrap_or_default());
    let is_rshd = |port| port == RSH_PORT || shell_service(&services) == Some(port);
    match rsh_targets.find(|target| !is_rshd(port(target))) {
        Some(other) => Err(Error::RemotePort {
            label: other.label.to_string(),
            port: port(other),
        }),
        None => Ok(()),
    }
}

/// Returns the port of the `shell` service in the text of [`SERVICES`]. Root may have changed it.
fn shell_service(services: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        match (words.next(), words.next()?.split_once('/')) {
            (Some("shell"), Some((port, "tcp"))) => port.parse().ok(),
            _ => None,
        }
    })
}

/// Returns the words of a local command, checked as far as they are the same for every host.
fn template(words: &[OsString]) -> Result<Template, Error> {
    let template = Template::new(words).map_err(Error::Placeholder)?;
    if let Some(program) = template.program() {
        must_exist(program)?;
    }
    Ok(template)
}

/// Refuses a program that does not exist.
fn must_exist(program: &OsStr) -> Result<(), Error> {
    let is_file = |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file());
    let path = env::var_os("PATH");
    // As in execvp(3), a name with a slash is not searched for.
    let exists = if program.as_bytes().contains(&b'/') {
        is_file(Path::new(program))
    } else {
        // Without PATH the system searches folders of its own.
        path.is_none_or(|path| env::split_paths(&path).any(|folder| is_file(&folder.join(program))))
    };
    if exists {
        return Ok(());
    }
    let is_for_shell = |byte: &u8| byte.is_ascii_whitespace() || b"|;&<>$`'\"*()".contains(byte);
    Err(Error::NoProgram {
        program: program.to_string_lossy().into_owned(),
        shell: program.as_bytes().iter().any(is_for_shell),
    })
}

#[cfg(test)]
mod tests {
    use super::shell_service;

    #[test]
    fn the_port_of_the_shell_service_is_read_from_services() {
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
