//! The failure of a target as data: class, phase and message.

use std::fmt;

/// Phase of an attempt in which a timeout or an error happened.
// The order is that of an attempt: whether an error is retryable depends on `phase <= Phase::Auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Lookup of the name.
    Resolve,
    /// TCP connection.
    Connect,
    /// Key exchange with an ssh server.
    Handshake,
    /// Check of the server's host key.
    HostKey,
    /// Authentication of the user.
    Auth,
    /// Login by the program `ssh`.
    Login,
    /// Wait for the daemon's call-back.
    CallBack,
    /// Wait for the daemon's answer that the command started.
    Start,
    /// Wait for the start of the command as another user.
    Become,
    /// Run of the command.
    Run,
}

impl Phase {
    /// Returns the name of the phase in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        // Scripts compare these names, and src/output/json/schema.json lists them.
        match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Handshake => "handshake",
            Phase::HostKey => "host-key",
            Phase::Auth => "auth",
            Phase::Login => "login",
            Phase::CallBack => "call-back",
            Phase::Start => "start",
            Phase::Become => "become",
            Phase::Run => "run",
        }
    }

    /// Returns the words after "while" in error messages.
    #[must_use]
    pub fn doing(self) -> &'static str {
        match self {
            Phase::Resolve => "looking up the name",
            Phase::Connect => "connecting",
            Phase::Handshake => "waiting for the ssh handshake",
            Phase::HostKey => "checking the host key",
            Phase::Auth => "authenticating",
            Phase::Login => "logging in",
            Phase::CallBack => "waiting for the daemon's call-back for stderr",
            Phase::Start => "waiting for the daemon to start the command",
            Phase::Become => "becoming the other user",
            Phase::Run => "the command was running",
        }
    }
}

/// Kind of a failure without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    /// The name service knows no address for the host, or does not answer.
    Name,
    /// The host answered that nothing listens on the port.
    Refused,
    /// The network reports that the host cannot be reached.
    Unreachable,
    /// The connect timeout ended before the command started.
    ConnectTimeout,
    /// The rsh daemon did not open the callback connection for standard error.
    NoCallback,
    /// The other side closed the connection too early.
    Closed,
    /// The two sides of ssh did not agree on an encryption.
    Handshake,
    /// The ssh server closes connections before its greeting, since it has too many.
    Busy,
    /// The host key is unknown, has changed, or is revoked.
    HostKey,
    /// The ssh server refused the login.
    AuthFailed,
    /// The jump host failed.
    Jump,
    /// A setting for this target cannot be used.
    Config,
    /// The rsh daemon refused to run the command.
    Denied,
    /// The rsh daemon closed the connection before it accepted or refused.
    ClosedBeforeStatus,
    /// The connection was reset.
    Reset,
    /// The command ended without an exit status.
    NoEndMarker,
    /// The command timeout ended.
    CommandTimeout,
    /// The command wrote nothing for the idle timeout.
    IdleTimeout,
    /// This machine had no descriptors, processes or memory left.
    LocalResources,
    /// The other side does not speak the protocol.
    Protocol,
    /// Standard input could not be read or kept to its end.
    Input,
    /// A local command could not be started.
    Spawn,
    /// The program `ssh` could not log in.
    OpenSsh,
    /// Files could not be copied to the target.
    Copy,
    /// The password for sudo was refused on this host or another one.
    BecomePassword,
    /// The program that changes the user asks for a password, and there is none.
    BecomeNeedsPassword,
    /// The user may not become the other user.
    BecomeDenied,
    /// The program that changes the user demands a terminal.
    BecomeNeedsTty,
    /// The program that changes the user has not started the command.
    Become,
    /// Any other error of the connection.
    Io,
}

impl FailureClass {
    /// Returns the name of the class in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        // Scripts compare these names, and src/output/json/schema.json lists them.
        match self {
            FailureClass::Name => "name",
            FailureClass::Refused => "refused",
            FailureClass::Unreachable => "unreachable",
            FailureClass::ConnectTimeout => "connect-timeout",
            FailureClass::NoCallback => "no-callback",
            FailureClass::Closed => "closed",
            FailureClass::Handshake => "handshake",
            FailureClass::Busy => "busy",
            FailureClass::HostKey => "host-key",
            FailureClass::AuthFailed => "auth",
            FailureClass::Jump => "jump",
            FailureClass::Config => "config",
            FailureClass::Denied => "denied",
            FailureClass::ClosedBeforeStatus => "closed-before-status",
            FailureClass::Reset => "reset",
            FailureClass::NoEndMarker => "no-end-marker",
            FailureClass::CommandTimeout => "command-timeout",
            FailureClass::IdleTimeout => "idle-timeout",
            FailureClass::LocalResources => "local-resources",
            FailureClass::Protocol => "protocol",
            FailureClass::Input => "stdin",
            FailureClass::Spawn => "cannot-start",
            FailureClass::OpenSsh => "ssh",
            FailureClass::Copy => "copy",
            FailureClass::BecomePassword => "become-password",
            FailureClass::BecomeNeedsPassword => "become-needs-password",
            FailureClass::BecomeDenied => "become-denied",
            FailureClass::BecomeNeedsTty => "become-needs-tty",
            FailureClass::Become => "become",
            FailureClass::Io => "io",
        }
    }
}

/// The use of a run's password in a failed login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordUse {
    /// There is no password, or it was not used.
    #[default]
    None,
    /// The server got the password and refused the login.
    Sent,
    /// The server did not get the password, because another server has refused it.
    Withheld,
}

/// The reason why a target failed, other than the exit status of its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub class: FailureClass,
    /// The phase in which it happened.
    pub phase: Phase,
    /// The message, one line without the name of the target.
    pub message: String,
    /// The message without details of the single target, if [`message`](Self::message) has such details. The summary
    /// folds targets by it.
    pub common: Option<String>,
    /// The action that helps, if [`common`](Self::common) leaves it out.
    // A constant text, so that the summary can print the help of many targets once.
    pub help: Option<&'static str>,
    /// The use of the run's password, if this is a failed login.
    pub password: PasswordUse,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
