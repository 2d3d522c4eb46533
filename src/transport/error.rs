//! Every way in which a host can fail, in words that a person can act on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::input::InputError;
use crate::event::{Failure, FailureClass, PasswordUse, Phase};

/// Why a target failed other than by its command's exit status. The summary folds hosts by these
/// messages, so they name neither host nor address; for those that must, there is [`TransportError::common`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The name service knows no address for the host.
    #[error("name not resolved: {reason}")]
    Name {
        /// The resolver's words.
        reason: String,
    },
    /// The name service could not answer, and may later.
    #[error("name not resolved for now: {reason}")]
    NameService {
        /// The resolver's words.
        reason: String,
    },
    /// The host answered that nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// The network says that the host or its network cannot be reached.
    #[error("unreachable: {0}")]
    Unreachable(#[source] io::Error),
    /// The connect timeout (`-t`) ran out before the command started.
    #[error("timed out after {}: {}", seconds(*after), phase.doing())]
    ConnectTimeout {
        /// What it was waiting for.
        phase: Phase,
        /// The limit that ran out.
        after: Duration,
    },
    /// The daemon gave up, or answered, without opening the connection for standard error.
    #[error("no call-back for stderr: {fault}")]
    NoCallback {
        /// The reason why there is none.
        fault: CallbackFault,
    },
    /// The connection was closed where it should not have been.
    #[error("connection closed while {}{}", phase.doing(), tail(hint.as_deref()))]
    Closed {
        /// What was going on.
        phase: Phase,
        /// What the other side said, or what is likely.
        hint: Option<String>,
    },
    /// The two sides have not come to an agreement on how to encrypt, or what came was no such thing.
    #[error("ssh handshake failed: {reason}")]
    Handshake {
        /// What went wrong.
        reason: String,
    },
    /// The server closes connections before it greets, for it has too many.
    #[error(
        "the server is busy: it closed {attempts} connection{} before the handshake was done, as sshd does \
         beyond its MaxStartups; try a smaller -j or a longer -t{}",
        if *attempts == 1 { "" } else { "s" },
        tail(text.as_deref())
    )]
    Busy {
        /// How many it closed.
        attempts: u32,
        /// What it said.
        text: Option<String>,
    },
    /// The server's key is not known, or not the one that is known, or revoked.
    #[error("{}", fault.text)]
    HostKey {
        /// The fault, in full and as hosts have it in common.
        fault: Box<HostKeyFault>,
    },
    /// The server does not let the user in.
    #[error("permission denied: {text}")]
    AuthFailed {
        /// What was tried, and what the server takes.
        text: String,
        /// The use of the password.
        password: PasswordUse,
    },
    /// The host is reached through another, and that failed.
    #[error("through {jump}: {source}")]
    Jump {
        /// The host between.
        jump: String,
        /// What went wrong there.
        source: Box<TransportError>,
    },
    /// What is configured for the host cannot be done.
    #[error("{reason}")]
    Config {
        /// The key, where it is, and what to do instead.
        reason: String,
    },
    /// The daemon refused to run the command.
    #[error("denied: {text}")]
    Denied {
        /// The daemon's text, on one line and with control characters escaped.
        text: String,
    },
    /// The daemon closed the connection before saying whether it accepts.
    #[error("closed before the command started{}", tail(hint.as_deref()))]
    ClosedBeforeStatus {
        /// What is likely, where something is.
        hint: Option<String>,
    },
    /// The connection was reset.
    #[error("connection reset while {}{}", phase.doing(), tail(hint.as_deref()))]
    Reset {
        /// What was going on.
        phase: Phase,
        /// What is likely, where something is.
        hint: Option<String>,
    },
    /// The stream ended without the wrapper's end marker: the command was killed, or never ran.
    #[error("ended without an exit status: {hint}")]
    NoEndMarker {
        /// What is likely.
        hint: &'static str,
    },
    /// The command timeout (`-u`) ran out.
    #[error("command timed out after {}", seconds(*after))]
    CommandTimeout {
        /// The limit that ran out.
        after: Duration,
    },
    /// The command wrote nothing for as long as the idle timeout (`--idle-timeout`).
    #[error("no output for {}", seconds(*after))]
    IdleTimeout {
        /// The limit that ran out.
        after: Duration,
    },
    /// This machine had no memory, descriptors or the like left, for longer than is worth waiting.
    #[error("out of local resources: {0}")]
    LocalResources(#[source] io::Error),
    /// The other side does not speak the protocol.
    #[error("not {expected}: {text}")]
    Protocol {
        /// What was going on.
        phase: Phase,
        /// Whose protocol it is, with its article.
        expected: &'static str,
        /// What it sent instead.
        text: String,
    },
    /// The command was ended, since our standard input, which it was reading, is not to be had whole.
    #[error("standard input: {0}")]
    Input(#[source] Arc<InputError>),
    /// A local command could not be started.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program, as it was to be found.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// The system's `ssh` could not log in.
    #[error("ssh: {text}")]
    OpenSsh {
        /// Its words, on one line and without the host's name.
        text: String,
    },
    /// Any other error of the network connection.
    #[error("{}: {source}", broken(*phase))]
    Io {
        /// What was going on.
        phase: Phase,
        /// The system's error.
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
    /// The daemon answered without one.
    #[error("the daemon answered without it: try --stderr merge")]
    Answered,
    /// One came from an unknown address. The command was not sent.
    #[error(
        "one came from an address that is not known to be the host's: if it is, name it with callback= in \
         the hosts file or --callback-from, or try --stderr merge"
    )]
    UnknownAddress,
    /// One came from an unknown address. The command was sent.
    #[error(
        "one came from an address that is not known to be the host's, and the command may be running: if \
         the address is the host's, name it with callback= in the hosts file or --callback-from, or try \
         --stderr merge"
    )]
    UnknownAddressAfterCommand,
}

/// The fault of a host key that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKeyFault {
    /// The fault, with the host's name, its key, the place where that is written, and the action that helps.
    pub text: String,
    /// The fault without what differs from host to host.
    pub common: String,
    /// The action that helps hosts with this fault, if there is one.
    pub help: Option<&'static str>,
}

impl HostKeyFault {
    /// A fault that is the same for all hosts.
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
    /// An error of the connection, or of a pipe, while the command runs.
    pub(super) fn lost(source: io::Error) -> Self {
        TransportError::Io {
            phase: Phase::Run,
            source,
        }
    }

    /// The message as hosts with the same failure have it in common, if the whole message names the host or its key.
    #[must_use]
    pub fn common(&self) -> Option<String> {
        match self {
            TransportError::HostKey { fault } if fault.common != fault.text => {
                Some(fault.common.clone())
            }
            TransportError::Jump { jump, source } => source
                .common()
                .map(|text| format!("through {jump}: {text}")),
            _ => None,
        }
    }

    /// The action that helps, if [`common`](Self::common) leaves it out.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            TransportError::HostKey { fault } => fault.help,
            TransportError::Jump { source, .. } => source.help(),
            _ => None,
        }
    }

    /// The use of the run's password, if this is a failed login.
    #[must_use]
    pub fn password_use(&self) -> PasswordUse {
        match self {
            TransportError::AuthFailed { password, .. } => *password,
            TransportError::Jump { source, .. } => source.password_use(),
            _ => PasswordUse::None,
        }
    }

    /// The kind of this failure.
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
            TransportError::Io { .. } => FailureClass::Io,
        }
    }

    /// What was going on when it failed.
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
            | TransportError::ClosedBeforeStatus { .. } => Phase::Start,
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
            message: error.to_string(),
            common: error.common(),
            help: error.help(),
            password: error.password_use(),
        }
    }
}

/// A further explanation, where there is one.
fn tail(hint: Option<&str>) -> String {
    hint.map(|hint| format!(": {hint}")).unwrap_or_default()
}

/// What was broken off in this phase.
fn broken(phase: Phase) -> String {
    match phase {
        Phase::Run => "connection lost while the command was running".to_owned(),
        phase => format!("{} failed", phase.doing()),
    }
}

/// A duration as people write it on the command line: `10 s`, `0.5 s`.
fn seconds(d: Duration) -> String {
    format!("{} s", d.as_secs_f64())
}
