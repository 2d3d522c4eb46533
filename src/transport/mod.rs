//! Transports: the traits, their data, and the parts that several transports use.

pub mod any;
mod backoff;
mod budget;
mod dial;
mod error;
pub mod exec;
pub mod input;
mod output;
mod remote_command;
mod resolve;
pub mod rsh;
mod scratch;
pub mod ssh;
mod start_request;
mod stream;
mod trials;
pub mod user_change;
pub mod wrap;

pub use backoff::Backoff;
pub use budget::{Budget, Excused};
pub use error::{CallbackFault, HostKeyFault, TransportError};
pub use input::{Input, InputReader};
pub use output::{Output, OutputPermit};
pub use remote_command::{RemoteCommand, ShellCommand, SshCommand};
pub use resolve::{LOOKUP_THREADS, NameResolver};
pub use start_request::StartRequest;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use reserved_ports::PortWait;
use tokio::time::Instant;

use crate::event::{Facts, Phase, RemoteExit, Side};
use crate::targets::{Target, TargetId};

/// Handling of the remote command's standard error (`--stderr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StderrMode {
    /// A stream of its own; rsh needs a second connection for it.
    #[default]
    Separate,
    /// The same stream as standard output, in the order in which the command wrote.
    Merge,
    /// Discarded, at the target if possible.
    Drop,
}

/// The reason why an attempt to connect has no session.
#[derive(Debug)]
pub enum AttemptError {
    /// No source port is free for this peer now. The attempt continues after the wait, in which it holds no resource.
    NoPort(PortWait),
    /// This machine is short of descriptors, processes or memory. The attempt continues after a pause.
    Shortage(io::Error),
    /// The attempt has failed. The error and its phase decide if another attempt is allowed.
    Failed(TransportError),
    /// The attempt has failed after the connection, and the command provably did not start. Another attempt cannot
    /// run it twice.
    Retryable(TransportError),
}

/// State of an attempt: the addresses that are left, the phase and the facts.
#[derive(Debug)]
pub struct Route {
    /// Addresses that are left; the first is next. Empty for transports that make no connection themselves.
    pub addresses: VecDeque<SocketAddr>,
    /// Current phase, for the message of a timeout.
    pub phase: Phase,
    /// Facts of this attempt so far.
    pub facts: Facts,
    /// All addresses of the host's name, also those that failed; empty if there is only one.
    pub resolved: Box<[IpAddr]>,
    /// True if the daemon seems to call back from an unknown address, so that it needs a listener of its own.
    pub own_listener: bool,
    /// Earliest time at which the command can have started, if that was before the session was made.
    pub answered: Option<Instant>,
    /// The request for the command.
    pub request: StartRequest,
}

impl Route {
    /// Returns a route before its first connection.
    #[must_use]
    pub fn new(addresses: impl Into<VecDeque<SocketAddr>>) -> Route {
        Route {
            addresses: addresses.into(),
            phase: Phase::Connect,
            facts: Facts::default(),
            resolved: Box::default(),
            own_listener: false,
            answered: None,
            request: StartRequest::default(),
        }
    }

    /// Returns the route of a transport that makes no connection itself.
    #[must_use]
    pub fn nowhere() -> Route {
        Route::new([])
    }
}

/// A signal for a remote command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteSignal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// A way to reach targets: looks up addresses, connects and starts the command.
pub trait Transport: Send + Sync + 'static {
    /// A command that has been started.
    type Session: Session;

    /// Looks up the target's addresses and charges the budget.
    fn route(
        &self,
        target: &Target,
        budget: &mut Budget,
    ) -> impl Future<Output = Result<Route, TransportError>> + Send;

    /// Connects, starts the command and charges the budget. After [`AttemptError::NoPort`] and
    /// [`AttemptError::Shortage`] it may be called again with the same route. Dropping the future frees all resources.
    fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> impl Future<Output = Result<Self::Session, AttemptError>> + Send;

    /// True if a target can have a subsystem of ssh in the place of the command.
    fn has_subsystems(&self, _: &Target) -> bool {
        false
    }

    /// Returns the number of connections from the run's source ports to its targets that this machine has in TIME_WAIT
    /// since the run began; `None` if it is unknown or the kernel chose the ports.
    fn time_wait(&self) -> Option<usize> {
        None
    }

    /// Returns notices for the end of the run, one line each.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

// rsh boxes its session, since the task of a host holds a session several times.
impl<S: Session> Session for Box<S> {
    fn pump(
        &mut self,
        output: &Output,
    ) -> impl Future<Output = Result<RemoteExit, TransportError>> + Send {
        (**self).pump(output)
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        (**self).signal(signal)
    }

    fn closes_first(&self) -> Option<Side> {
        (**self).closes_first()
    }
}

/// A remote command that has started. Dropping it resets the connections, so that no TIME_WAIT stays on this machine.
pub trait Session: Send {
    /// Passes all output to `output` until the command and its streams have ended. Returns the end of the command.
    ///
    /// It reads only after it has a slot in the queue: a full queue blocks the remote command, and no output is lost.
    /// Cancel safe: it may be dropped and called again.
    fn pump(
        &mut self,
        output: &Output,
    ) -> impl Future<Output = Result<RemoteExit, TransportError>> + Send;

    /// Sends a signal to the command. Returns false if the transport has no way to do it.
    fn signal(&mut self, signal: RemoteSignal) -> bool;

    /// Returns the side that closes the connection first if the session is dropped now, if there is a connection.
    fn closes_first(&self) -> Option<Side>;
}
