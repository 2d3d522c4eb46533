//! Errors of targets, with messages that name the cause and an action.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::input::InputError;
use super::user_change::{ChangeProgram, UserChangeFault};
use crate::error_text::plain;
use crate::event::{Failure, FailureClass, PasswordUse, Phase};

/// An error of a target, other than the exit status of its command.
///
/// The summary folds targets by these messages, so they name neither host nor address. If a message must, there is
/// [`TransportError::common`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The name service knows no address for the host.
    #[error("name not resolved: {reason}")]
    Name {
        /// The resolver's message.
        reason: String,
    },
    /// The name service could not answer now.
    #[error("name not resolved this time: {reason}")]
    NameService {
        /// The resolver's message.
        reason: String,
    },
    /// The host answered that nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// The network reports that the host or its network cannot be reached.
    #[error("unreachable: {0}")]
    Unreachable(#[source] io::Error),
    /// The connect timeout (`-t`) ran out before the command started.
    #[error("{}", timed_out(*phase, *after))]
    ConnectTimeout {
        /// The phase.
        phase: Phase,
        /// The limit.
        after: Duration,
    },
    /// The daemon closed or answered without a call-back.
    #[error("no call-back for stderr: {fault}")]
    NoCallback {
        /// The reason why there is no call-back.
        fault: CallbackFault,
    },
    /// The other side closed the connection too early.
    #[error("connection closed while {}{}", phase.doing(), suffix(hint.as_deref()))]
    Closed {
        /// The phase.
        phase: Phase,
        /// The message of the other side, or a likely cause.
        hint: Option<String>,
    },
    /// The two sides of ssh did not agree on an encryption, or the server sent invalid data.
    #[error("ssh handshake failed: {reason}")]
    Handshake {
        /// The cause.
        reason: String,
    },
    /// The ssh server closes connections before its greeting, because it has too many.
    #[error(
        "the server is busy: it closed {attempts} connection{} before the handshake was done, as sshd does \
         beyond its MaxStartups; try a smaller -j or a longer -t{}",
        if *attempts == 1 { "" } else { "s" },
        suffix(text.as_deref())
    )]
    Busy {
        /// Number of connections that the server closed.
        attempts: u32,
        /// The message of the server.
        text: Option<String>,
    },
    /// The host key is unknown, has changed, or is revoked.
    #[error("{}", fault.text)]
    HostKey {
        /// The fault.
        fault: Box<HostKeyFault>,
    },
    /// The ssh server refused the login.
    #[error("permission denied: {text}")]
    AuthFailed {
        /// The methods that were tried and those that the server allows.
        text: String,
        /// Use of the password in this login.
        password: PasswordUse,
    },
    /// The jump host failed.
    #[error("through {jump}: {source}")]
    Jump {
        /// The jump host.
        jump: String,
        /// The error of the jump host.
        source: Box<TransportError>,
    },
    /// A setting for this target cannot be used.
    #[error("{reason}")]
    Config {
        /// The setting, its position and the action that helps.
        reason: String,
    },
    /// The rsh daemon refused to run the command.
    #[error("denied: {text}")]
    Denied {
        /// The message of the daemon, on one line and with escaped control characters.
        text: String,
        /// True if the daemon may accept a later attempt.
        is_temporary: bool,
    },
    /// The rsh daemon closed the connection before it accepted or refused.
    #[error("closed before the command started{}", suffix(hint.as_deref()))]
    ClosedBeforeStatus {
        /// A likely cause, if there is one.
        hint: Option<String>,
    },
    /// The connection was reset.
    #[error("connection reset while {}{}", phase.doing(), suffix(hint.as_deref()))]
    Reset {
        /// The phase.
        phase: Phase,
        /// A likely cause, if there is one.
        hint: Option<String>,
    },
    /// The stream ended without the end marker: the command was killed, or never ran.
    #[error("ended without an exit status: {hint}")]
    NoEndMarker {
        /// A likely cause.
        hint: &'static str,
    },
    /// The command timeout (`-u`) ended.
    #[error("command timed out after {}", seconds(*after))]
    CommandTimeout {
        /// The limit.
        after: Duration,
    },
    /// The command wrote nothing for the idle timeout (`--idle-timeout`).
    #[error("no output for {}", seconds(*after))]
    IdleTimeout {
        /// The limit.
        after: Duration,
    },
    /// This machine had no descriptors, processes or memory left, for too long.
    #[error("out of local resources: {0}")]
    LocalResources(#[source] io::Error),
    /// The other side does not speak the protocol.
    #[error("not {expected}: {text}")]
    Protocol {
        /// The phase.
        phase: Phase,
        /// The expected protocol, with its article.
        expected: &'static str,
        /// The data that it sent instead.
        text: String,
    },
    /// The command was stopped, because its standard input could not be read or kept to its end.
    #[error("standard input: {0}")]
    Input(#[source] Arc<InputError>),
    /// A local command could not be started.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program as it was named.
        program: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The program `ssh` could not log in.
    #[error("ssh: {text}")]
    OpenSsh {
        /// The message of `ssh`, on one line and without the name of the host.
        text: String,
    },
    /// The command was not started as another user (`--sudo`).
    #[error("{}", fault.message(*program))]
    UserChange {
        /// The program that changes the user.
        program: ChangeProgram,
        /// The reason.
        fault: UserChangeFault,
    },
    /// The journal could not be written, so the command was not sent.
    #[error("not started, because the journal cannot be written")]
    NotRecorded,
    /// Any other error of the connection.
    #[error("{}: {source}", broken(*phase))]
    Io {
        /// The phase.
        phase: Phase,
        /// The error of the system.
        source: io::Error,
    },
}

/// The reason why a target has no call-back. The text has the usual causes and the actions that help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackFault {
    /// The daemon closed the main connection before its answer.
    #[error(
        "the daemon closed instead; a firewall may block its connection back to a port in 512-1023 here, \
         it may have no port left, not know this host's name, or have been started too often for its inetd: \
         try --stderr merge, or --retries"
    )]
    DaemonClosed,
    /// The connect timeout ended first.
    #[error(
        "none came within the connect timeout; a firewall may block it, or the daemon is slow: try \
         --stderr merge, or a longer -t"
    )]
    TimedOut,
    /// The daemon answered without a call-back.
    #[error("the daemon answered without opening it: try --stderr merge")]
    Answered,
    /// A call-back came from an unknown address. The command was not sent.
    #[error(
        "one came from an address that is not known to be the host's: if it is, name it with callback= in \
         the hosts file or --callback-from, or try --stderr merge"
    )]
    UnknownAddress,
    /// A call-back came from an unknown address. The command was sent.
    #[error(
        "one came from an address that is not known to be the host's, and the command may be running: if \
         the address is the host's, name it with callback= in the hosts file or --callback-from, or try \
         --stderr merge"
    )]
    UnknownAddressAfterCommand,
}

/// The reason why a host key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKeyFault {
    /// The message, with the name of the host, its key, the position in the file and the action that helps.
    pub text: String,
    /// The message without details of the single host.
    pub common: String,
    /// The action that helps, if there is one.
    pub help: Option<&'static str>,
}

impl HostKeyFault {
    /// Returns a fault whose message is the same for all hosts.
    #[must_use]
    pub fn same(text: String) -> HostKeyFault {
        HostKeyFault {
            common: text.clone(),
            text,
            help: None,
        }
    }
}

impl TransportError {
    /// Returns the error for a refusal that is not temporary.
    #[must_use]
    pub fn denied(text: impl Into<String>) -> Self {
        TransportError::Denied {
            text: text.into(),
            is_temporary: false,
        }
    }

    /// Returns the same error with another phase, if it is one of the connection.
    pub(super) fn in_phase(mut self, new: Phase) -> TransportError {
        if let TransportError::Closed { phase, .. }
        | TransportError::Protocol { phase, .. }
        | TransportError::Reset { phase, .. }
        | TransportError::Io { phase, .. } = &mut self
        {
            *phase = new;
        }
        self
    }

    /// Returns an error of the connection or a pipe while the command runs.
    pub(super) fn lost(source: io::Error) -> Self {
        TransportError::Io {
            phase: Phase::Run,
            source,
        }
    }

    /// Returns the message without details of the single target, if the whole message has such details.
    #[must_use]
    pub fn common(&self) -> Option<String> {
        match self {
            // Equal texts fold by themselves.
            TransportError::HostKey { fault } if fault.common != fault.text => {
                Some(fault.common.clone())
            }
            TransportError::Jump { jump, source } => source
                .common()
                .map(|text| format!("through {jump}: {text}")),
            _ => None,
        }
    }

    /// Returns the action that helps, if [`common`](Self::common) leaves it out.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            TransportError::HostKey { fault } => fault.help,
            TransportError::Jump { source, .. } => source.help(),
            _ => None,
        }
    }

    /// Returns the use of the run's password, if this is a failed login.
    #[must_use]
    pub fn password_use(&self) -> PasswordUse {
        match self {
            TransportError::AuthFailed { password, .. } => *password,
            TransportError::UserChange { fault, .. } => fault.password_use(),
            // A jump host takes part in the trial of the password like a target.
            TransportError::Jump { source, .. } => source.password_use(),
            _ => PasswordUse::None,
        }
    }

    /// Returns the class of the error.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            TransportError::Name { .. } | TransportError::NameService { .. } => FailureClass::Name,
            TransportError::Refused => FailureClass::Refused,
            TransportError::Unreachable(_) => FailureClass::Unreachable,
            TransportError::ConnectTimeout { .. } => FailureClass::ConnectTimeout,
            TransportError::NoCallback { .. } => FailureClass::NoCallback,
            TransportError::Closed { .. } => FailureClass::Closed,
            TransportError::Handshake { .. } => FailureClass::Handshake,
            TransportError::Busy { .. } => FailureClass::Busy,
            TransportError::HostKey { .. } => FailureClass::HostKey,
            TransportError::AuthFailed { .. } => FailureClass::AuthFailed,
            TransportError::Jump { .. } => FailureClass::Jump,
            TransportError::Config { .. } => FailureClass::Config,
            TransportError::Denied { .. } => FailureClass::Denied,
            TransportError::ClosedBeforeStatus { .. } => FailureClass::ClosedBeforeStatus,
            TransportError::Reset { .. } => FailureClass::Reset,
            TransportError::NoEndMarker { .. } => FailureClass::NoEndMarker,
            TransportError::CommandTimeout { .. } => FailureClass::CommandTimeout,
            TransportError::IdleTimeout { .. } => FailureClass::IdleTimeout,
            TransportError::LocalResources(_) => FailureClass::LocalResources,
            TransportError::Protocol { .. } => FailureClass::Protocol,
            TransportError::Input(_) => FailureClass::Input,
            TransportError::Spawn { .. } => FailureClass::Spawn,
            TransportError::OpenSsh { .. } => FailureClass::OpenSsh,
            TransportError::UserChange { fault, .. } => fault.class(),
            TransportError::NotRecorded | TransportError::Io { .. } => FailureClass::Io,
        }
    }

    /// Returns the phase in which the attempt failed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match *self {
            TransportError::Jump { ref source, .. } => source.phase(),
            TransportError::Handshake { .. } | TransportError::Busy { .. } => Phase::Handshake,
            TransportError::HostKey { .. } => Phase::HostKey,
            TransportError::AuthFailed { .. } => Phase::Auth,
            TransportError::Name { .. }
            | TransportError::NameService { .. }
            | TransportError::Config { .. } => Phase::Resolve,
            TransportError::Refused
            | TransportError::Unreachable(_)
            | TransportError::LocalResources(_) => Phase::Connect,
            TransportError::NoCallback { .. } => Phase::CallBack,
            TransportError::OpenSsh { .. } => Phase::Login,
            TransportError::Denied { .. }
            | TransportError::Spawn { .. }
            | TransportError::NotRecorded
            | TransportError::ClosedBeforeStatus { .. } => Phase::Start,
            TransportError::UserChange { .. } => Phase::Become,
            TransportError::NoEndMarker { .. }
            | TransportError::CommandTimeout { .. }
            | TransportError::IdleTimeout { .. }
            | TransportError::Input(_) => Phase::Run,
            TransportError::ConnectTimeout { phase, .. }
            | TransportError::Closed { phase, .. }
            | TransportError::Protocol { phase, .. }
            | TransportError::Reset { phase, .. }
            | TransportError::Io { phase, .. } => phase,
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Failure {
        Failure::from(&error)
    }
}

impl From<&TransportError> for Failure {
    fn from(error: &TransportError) -> Failure {
        Failure {
            class: error.class(),
            phase: error.phase(),
            // The standard library adds numbers such as `(os error 111)`, which say the same again.
            message: plain(error),
            common: error.common().map(|text| plain(&text)),
            help: error.help(),
            password: error.password_use(),
        }
    }
}

/// Returns the hint with a colon before it, or nothing.
fn suffix(hint: Option<&str>) -> String {
    hint.map(|hint| format!(": {hint}")).unwrap_or_default()
}

/// Returns the text for an I/O error in this phase.
fn broken(phase: Phase) -> String {
    match phase {
        Phase::Run => "connection lost while the command was running".to_owned(),
        phase => format!("{} failed", phase.doing()),
    }
}

/// Returns the text for a connect timeout.
fn timed_out(phase: Phase, after: Duration) -> String {
    let after = seconds(after);
    // The words of ssh(1), which users search for.
    if phase == Phase::Connect {
        format!("connection timed out after {after}")
    } else {
        format!("timed out after {after} while {}", phase.doing())
    }
}

/// Returns a duration in the form of the command line: `10 s`, `0.5 s`.
fn seconds(d: Duration) -> String {
    format!("{} s", d.as_secs_f64())
}
