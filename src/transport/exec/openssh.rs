//! The system's `ssh`, one process for each host, for features that libssh2 lacks.
//!
//! `ssh` reports neither when the remote command starts nor if status 255 is its own. So it runs a local command
//! after the login (`LocalCommand`), which writes a random token. A process that ends before the token did not start
//! the command. Output after the token is the command's.
//!
//! Some `ssh` run no local command: other programs of that name, and OpenSSH's if `$SHELL` runs no commands. Then
//! OpenSSH's other guarantees are used: `ssh` itself writes nothing to standard output, and its own status is always
//! 255.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memchr::memmem;

use super::process::{self, LocalProcess};
use crate::event::{Phase, RemoteExit, Side, Stream};
use crate::random;
use crate::targets::{Target, TargetId};
use crate::transport::user_change::UserChanges;
use crate::transport::wrap::script_command;
use crate::transport::{
    AttemptError, Budget, Input, Output, RemoteSignal, Route, Session, SshCommand, StderrMode,
    Transport, TransportError,
};

/// Maximum output of `ssh` before the login, in bytes.
const MAX_PREAMBLE: usize = 64 * 1024;

/// Exit status of `ssh` for its own failures.
const SSH_FAILURE: u8 = 255;

/// Maximum length of a message of `ssh` in an error, in bytes.
const MAX_MESSAGE: usize = 600;

/// Settings that all `ssh` processes of a run share.
#[derive(Debug)]
pub struct OpenSshOptions {
    /// Remote user for targets that name none, if one was given.
    pub user: Option<String>,
    /// Port for targets that name none, if one was given.
    pub port: Option<u16>,
    /// Command, which the user's login shell interprets on the host.
    pub command: SshCommand,
    /// Change of the user before the command, if there is one.
    pub user_changes: Option<Arc<UserChanges>>,
    /// True if the command gets a terminal.
    pub has_tty: bool,
    /// Destination of standard error.
    pub stderr: StderrMode,
    /// Value of `-F`, if given.
    pub config: Option<PathBuf>,
    /// Values of `-o`, as `Key=Value`.
    pub options: Vec<String>,
    /// Connect timeout; `ssh` itself gives up after it.
    pub connect_timeout: Duration,
}

/// The openssh transport of a run.
#[derive(Debug)]
pub struct OpenSshTransport {
    options: OpenSshOptions,
    /// Standard input of the commands; `None` is an end of file.
    input: Option<Input>,
    /// Line that the local command writes after the login.
    token: String,
    /// True if an `ssh` has run the command without the local one.
    has_no_login_token: AtomicBool,
}

/// Output of an `ssh` that may not have logged in yet.
#[derive(Debug, Default)]
struct EarlyOutput {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl OpenSshTransport {
    /// Creates a transport that has started nothing yet.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn new(mut options: OpenSshOptions, input: Option<Input>) -> std::io::Result<Self> {
        if let Some(script) = input.as_ref().and_then(Input::script) {
            let change = options.user_changes.as_deref().map(UserChanges::change);
            options.command = SshCommand::Same(script_command(&script, change));
        }
        if let Some(command) = input.as_ref().and_then(Input::protocol_command) {
            options.command = SshCommand::Same(command);
        }
        Ok(OpenSshTransport {
            options,
            input,
            token: random::token()?,
            has_no_login_token: AtomicBool::new(false),
        })
    }

    /// Returns the arguments for one host, with a subsystem in the place of the command if there is one.
    fn words(&self, id: TargetId, target: &Target, subsystem: Option<&str>) -> Vec<OsString> {
        let OpenSshOptions {
            user,
            port,
            command,
            config,
            options,
            connect_timeout,
            has_tty,
            user_changes: _,
            stderr: _,
        } = &self.options;
        let seconds = connect_timeout.as_secs_f64().ceil();
        let mut words: Vec<OsString> = vec!["ssh".into()];
        // A second `-t` asks for a terminal although standard input is none.
        words.push(if *has_tty && subsystem.is_none() {
            "-tt".into()
        } else {
            "-T".into()
        });
        if let Some(file) = config {
            words.extend(["-F".into(), file.into()]);
        }
        // `ssh` uses the first of two values: options that the user gave come before the defaults.
        let defaults = [
            // No user can answer the prompts of hundreds of hosts.
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={seconds}"),
        ];
        // A shared connection (`ControlPath`) runs no local command.
        let required = [
            "ControlPath=none".to_owned(),
            "PermitLocalCommand=yes".to_owned(),
            format!("LocalCommand=echo {}", self.token),
        ];
        let own = target.inventory.as_ref().map(|from| from.own_settings());
        let own = own.unwrap_or_default();
        for option in required.iter().chain(options).chain(&own).chain(&defaults) {
            words.extend(["-o".into(), option.into()]);
        }
        if let Some(user) = target.user.as_deref().or(user.as_deref()) {
            words.extend(["-l".into(), user.into()]);
        }
        if let Some(port) = target.port.or(*port) {
            words.extend(["-p".into(), port.to_string().into()]);
        }
        if subsystem.is_some() {
            words.push("-s".into());
        }
        words.extend(["--".into(), (*target.host).into()]);
        words.push(match subsystem {
            Some(name) => name.into(),
            None => OsString::from_vec(command.of(id).into_owned()),
        });
        words
    }

    /// Reads output until the login has succeeded.
    async fn login(
        &self,
        target: &Target,
        process: &mut LocalProcess,
        early: &mut EarlyOutput,
    ) -> Result<(), AttemptError> {
        let lost = |source| {
            AttemptError::Failed(TransportError::Io {
                phase: Phase::Login,
                source,
            })
        };
        let line = format!("{}\n", self.token);
        while process.has_output() {
            match process.readable().await.map_err(lost)? {
                Stream::Stdout => early
                    .out
                    .extend(process.read(Stream::Stdout).map_err(lost)?),
                Stream::Stderr => early
                    .err
                    .extend(process.read(Stream::Stderr).map_err(lost)?),
            }
            if let Some(at) = memmem::find(&early.out, line.as_bytes()) {
                early.out.drain(at..at + line.len());
                return Ok(());
            }
            if early.out.len() > MAX_PREAMBLE {
                self.has_no_login_token.store(true, Ordering::Relaxed);
                return Ok(());
            }
            if early.out.len() + early.err.len() > MAX_PREAMBLE {
                return Err(AttemptError::Failed(TransportError::Protocol {
                    phase: Phase::Start,
                    expected: "an ssh that shows when it has logged in",
                    text: one_line(&[&*early.out, &early.err].concat(), ""),
                }));
            }
        }
        let exit = process.wait().await.map_err(lost)?;
        let is_own = !matches!(exit, RemoteExit::Code(code) if code != SSH_FAILURE);
        if is_own && early.out.is_empty() {
            return Err(login_error(&one_line(&early.err, &target.host), exit));
        }
        self.has_no_login_token.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Returns the output of `ssh` on one line and without the host's name, so that hosts with the same failure are
/// reported together.
fn one_line(said: &[u8], host: &str) -> String {
    let said = String::from_utf8_lossy(said);
    // OpenSSH frames its most important warnings in lines of `@`.
    let lines = said
        .lines()
        .map(|line| line.trim().trim_matches('@').trim());
    let nonempty = lines.filter(|line| !line.is_empty());
    let own = format!("@{host}: ");
    let without_own = |line: &'_ str| match line.split_once(&own) {
        Some((user, rest)) if !user.contains(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let mut words = nonempty.map(without_own).collect::<Vec<_>>().join("; ");
    if !host.is_empty() {
        words = words.replace(&format!(" {host} "), " ");
        words = words.replace(&format!(" {host}:"), ":");
    }
    let mut end = words.len().min(MAX_MESSAGE);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.truncate(end);
    words
        .escape_debug()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}

/// Classifies a failed login by the text of `ssh`, as far as possible. Nothing else reads this text, and `ssh` reports
/// the cause in no other way. A refused login is not retryable: servers count those.
fn login_error(words: &str, exit: RemoteExit) -> AttemptError {
    if let Some((_, reason)) = words.split_once("Could not resolve hostname: ") {
        let reason = reason.to_owned();
        // The text for EAI_AGAIN.
        return if reason.starts_with("Temporary failure") {
            AttemptError::Retryable(TransportError::Name { reason })
        } else {
            AttemptError::Failed(TransportError::Name { reason })
        };
    }
    if words.ends_with(": Connection refused") {
        return AttemptError::Retryable(TransportError::Refused);
    }
    for errno in [
        rustix::io::Errno::HOSTUNREACH,
        rustix::io::Errno::NETUNREACH,
    ] {
        let error = std::io::Error::from(errno);
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        if words.ends_with(text) {
            return AttemptError::Retryable(TransportError::Unreachable(error));
        }
    }
    let text = match (words, exit) {
        ("", RemoteExit::Code(code)) => {
            format!("it ended with status {code} and without a message")
        }
        ("", _) => "it was killed without a message".to_owned(),
        (words, _) => words.to_owned(),
    };
    let error = TransportError::OpenSsh { text };
    // The connection was cut before the server was asked for anything.
    let is_cut = words.contains("kex_exchange_identification: ");
    if is_cut || words.ends_with("Connection timed out") {
        AttemptError::Retryable(error)
    } else {
        AttemptError::Failed(error)
    }
}

impl Transport for OpenSshTransport {
    type Session = OpenSshSession;

    /// Looks up nothing: `ssh` does, and its configuration may know the host by another name.
    async fn route(&self, _: &Target, _: &mut Budget) -> Result<Route, TransportError> {
        Ok(Route::nowhere())
    }

    async fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<OpenSshSession, AttemptError> {
        let excused = budget.excused();
        let turn = match &self.options.user_changes {
            Some(changes) => {
                route.phase = Phase::Become;
                let turn = budget.spend(changes.turn(&excused)).await;
                let turn = turn.unwrap_or_else(|| Err(budget.exhausted(Phase::Become)));
                Some(turn.map_err(AttemptError::Failed)?)
            }
            None => None,
        };
        route.phase = Phase::Login;
        // The program gets the command at its start, and logs in first.
        route.request.allow().await.map_err(AttemptError::Failed)?;
        let before = budget.left();
        let changes = self.options.user_changes.as_deref();
        let has_password = changes.is_some_and(|changes| changes.change().has_password());
        let reads = self.input.is_some() || has_password;
        let subsystem = self.input.as_ref().and_then(|input| input.subsystem(id));
        let stderr = match self.options.stderr {
            // The standard output of a subsystem is a protocol.
            StderrMode::Merge if subsystem.is_some() => StderrMode::Separate,
            // The prompt of sudo is on standard error. That of the command is discarded at the host.
            StderrMode::Drop if changes.is_some() => StderrMode::Separate,
            stderr => stderr,
        };
        let mut process =
            process::start(id, &self.words(id, target, subsystem), &[], stderr, reads)?;
        route.facts.attempts += 1;
        let mut early = EarlyOutput::default();
        let login = budget.spend(self.login(target, &mut process, &mut early));
        let login = login.await;
        route.facts.start = Some(before - budget.left());
        match login {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(error),
            // `ssh` itself writes nothing to standard output, so the command runs.
            None if !early.out.is_empty() => self.has_no_login_token.store(true, Ordering::Relaxed),
            None => return Err(AttemptError::Failed(budget.exhausted(Phase::Login))),
        }
        process.put_back(Stream::Stderr, early.err);
        process.put_back(Stream::Stdout, early.out);
        if let (Some(changes), Some(turn)) = (changes, turn) {
            route.phase = Phase::Become;
            let is_merged = self.options.has_tty || stderr == StderrMode::Merge;
            let prompts = if is_merged {
                Stream::Stdout
            } else {
                Stream::Stderr
            };
            let before = budget.left();
            // Boxed: few runs need it, and it would make every host task larger.
            let start = changes.start(&mut process, prompts, &target.host, turn, &excused);
            let started = budget.spend(Box::pin(start)).await;
            *route.facts.start.get_or_insert_default() += before - budget.left();
            let started = started.unwrap_or_else(|| Err(budget.exhausted(Phase::Become)));
            let started = started.map_err(|error| error.in_phase(Phase::Become));
            for (stream, data) in started.map_err(AttemptError::Failed)? {
                process.put_back(stream, data);
            }
        }
        process.feed(self.input.as_ref());
        Ok(OpenSshSession(process))
    }

    fn has_subsystems(&self, _: &Target) -> bool {
        // A subsystem has the rights of the login user.
        self.options.user_changes.is_none()
    }

    fn notices(&self) -> Vec<String> {
        let ignored = self.has_no_login_token.load(Ordering::Relaxed);
        let remark = "ssh has run no LocalCommand, which shows when it has logged in: some output came late, and the \
                      connect timeout counted for commands as well";
        ignored.then(|| remark.to_owned()).into_iter().collect()
    }
}

/// An `ssh` that has logged in.
#[derive(Debug)]
pub struct OpenSshSession(LocalProcess);

impl Session for OpenSshSession {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        self.0.pump(output).await
    }

    /// Returns false: `ssh` passes no signals on, and a remote command outlives it.
    fn signal(&mut self, _: RemoteSignal) -> bool {
        false
    }

    fn closes_first(&self) -> Option<Side> {
        self.0.closes_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::InventoryVariables;

    fn transport() -> OpenSshTransport {
        let options = OpenSshOptions {
            user: Some("ops".to_owned()),
            port: None,
            command: SshCommand::Same(b"-x; uptime".to_vec()),
            user_changes: None,
            has_tty: false,
            stderr: StderrMode::Separate,
            config: Some("/tmp/config".into()),
            options: vec!["Compression=yes".to_owned()],
            connect_timeout: Duration::from_millis(2500),
        };
        OpenSshTransport::new(options, None).unwrap()
    }

    fn target(user: Option<&str>, port: Option<u16>) -> Target {
        Target {
            label: "n1".into(),
            host: "n1".into(),
            user: user.map(Into::into),
            port,
            transport: None,
            callback_from: None,
            inventory: None,
            variables: None,
        }
    }

    #[test]
    fn settings_of_an_inventory_follow_those_of_the_command_line() {
        let from = InventoryVariables {
            ssh_options: vec![("inv:1".into(), "IdentityFile=\"k\"".to_owned())],
            ..InventoryVariables::default()
        };
        let target = Target {
            inventory: Some(from.into()),
            ..target(None, None)
        };
        let words = transport().words(TargetId(0), &target, None);
        let at = |word: &str| words.iter().position(|found| found == word).unwrap();
        assert!(at("Compression=yes") < at("IdentityFile=\"k\""));
        assert!(at("IdentityFile=\"k\"") < at("BatchMode=yes"));
    }

    #[test]
    fn the_arguments_are_options_the_host_and_the_command() {
        let transport = transport();
        let words = |target| {
            let words = transport.words(TargetId(0), &target, None);
            let words: Vec<_> = words.iter().map(|w| w.to_str().unwrap()).collect();
            words.join(" ").replace(&transport.token, "TOKEN")
        };
        assert_eq!(
            words(target(None, None)),
            "ssh -T -F /tmp/config -o ControlPath=none -o PermitLocalCommand=yes -o LocalCommand=echo TOKEN \
             -o Compression=yes -o BatchMode=yes -o ConnectTimeout=3 -l ops -- n1 -x; uptime"
        );
        let own = words(target(Some("root"), Some(2222)));
        assert!(own.ends_with(" -l root -p 2222 -- n1 -x; uptime"), "{own}");
        let words = transport.words(TargetId(0), &target(None, None), Some("sftp"));
        assert_eq!(words[words.len() - 4..], ["-s", "--", "n1", "sftp"]);
    }

    #[test]
    fn only_temporary_failures_are_retryable() {
        for (said, passes) in [
            ("ssh: connect to host n1 port 22: Connection refused", true),
            (
                "ssh: connect to host n1 port 22: Connection timed out",
                true,
            ),
            (
                "ssh: Could not resolve hostname n1: Temporary failure in name resolution",
                true,
            ),
            (
                "ssh: Could not resolve hostname n1: Name or service not known",
                false,
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer",
                true,
            ),
            ("ops@n1: Permission denied (publickey).", false),
            ("Host key verification failed.", false),
        ] {
            let words = one_line(said.as_bytes(), "n1");
            let error = login_error(&words, RemoteExit::Code(255));
            let is_retryable = matches!(error, AttemptError::Retryable(_));
            assert_eq!(is_retryable, passes, "{said}");
        }
    }

    #[test]
    fn messages_of_ssh_become_errors_of_this_program() {
        let message = |said: &str| {
            let words = one_line(said.as_bytes(), "n1");
            match login_error(&words, RemoteExit::Code(255)) {
                AttemptError::Failed(error) | AttemptError::Retryable(error) => error.to_string(),
                other => panic!("{other:?}"),
            }
        };
        for (said, expected) in [
            (
                "ssh: Could not resolve hostname n1: Name or service not known\r\n",
                "name not resolved: Name or service not known",
            ),
            (
                "ssh: connect to host n1 port 22: Connection refused\r\n",
                "connection refused",
            ),
            (
                "ssh: connect to host n1 port 22: No route to host\r\n",
                "unreachable: No route to host (os error 113)",
            ),
            (
                "@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@\nOffending key in f:1\nHost key verification failed.\n",
                "ssh: WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!; Offending key in f:1; Host key verification failed.",
            ),
            (
                "ops@n1: Permission denied (publickey).\n",
                "ssh: Permission denied (publickey).",
            ),
            ("", "ssh: it ended with status 255 and without a message"),
            ("a\x1b[31m\n", "ssh: a\\u{1b}[31m"),
        ] {
            assert_eq!(message(said), expected);
        }
    }
}
