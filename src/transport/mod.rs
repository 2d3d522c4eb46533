//! How a command reaches a host: what every transport carries and how it can fail.

pub mod any;
mod backoff;
mod budget;
mod dial;
mod error;
pub mod exec;
pub mod input;
mod output;
mod resolve;
pub mod rsh;
mod scratch;
pub mod ssh;
mod stream;

pub use backoff::Backoff;
pub use budget::{Budget, Excused};
pub use error::{CallbackFault, HostKeyFault, TransportError};
pub use input::{Input, InputReader};
pub use output::{Output, Place};
pub use resolve::{LOOKUP_THREADS, Resolver};

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use reserved_ports::PortWait;
use tokio::time::Instant;

use crate::event::{Facts, Phase, RemoteExit, Side};
use crate::targets::{Target, TargetId};

/// What becomes of the remote command's standard error (`--stderr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StderrMode {
    /// It is carried apart; by rsh, over a second connection.
    #[default]
    Separate,
    /// It comes in standard output's stream, in the order in which the command wrote.
    Merge,
    /// It is thrown away, on the far side where possible.
    Drop,
}

/// Why an attempt to connect has not led to a session.
#[derive(Debug)]
pub enum Setback {
    /// No source port is free for this peer now. To be tried again after the wait, during which the
    /// host holds nothing.
    NoPort(PortWait),
    /// This machine is short of descriptors or memory. To be tried again when another host has ended.
    Shortage(io::Error),
    /// The host has failed.
    Failed(TransportError),
    /// The host has failed after it was connected, and provably before it ran the command: trying again
    /// cannot run the command twice, and may help.
    NotStarted(TransportError),
}

/// Where an attempt stands: the addresses still to be tried, and what it is doing.
#[derive(Debug)]
pub struct Route {
    /// In the order in which they are tried; the first is next. Empty for what makes no connection itself.
    pub addresses: VecDeque<SocketAddr>,
    /// What the attempt is doing now, for the message when its time runs out.
    pub phase: Phase,
    /// What the attempts so far have shown.
    pub facts: Facts,
    /// All addresses of the host's name, also those that were tried in vain; empty if there is only one.
    pub resolved: Box<[IpAddr]>,
    /// True if the host's daemon seems to call back from an address that nobody has named.
    pub own_listener: bool,
    /// Earliest moment at which the command can have started, where the session was made after it.
    pub answered: Option<Instant>,
    /// True from the moment at which the host has been asked for the command. Also right if the attempt is dropped.
    pub asked: bool,
}

impl Route {
    /// A route on which nothing has been tried.
    #[must_use]
    pub fn new(addresses: impl Into<VecDeque<SocketAddr>>) -> Route {
        Route {
            addresses: addresses.into(),
            phase: Phase::Connect,
            facts: Facts::default(),
            resolved: Box::default(),
            own_listener: false,
            answered: None,
            asked: false,
        }
    }

    /// The route of a transport that makes no connection itself.
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

/// What every transport does: find the host and start the command.
pub trait Transport: Send + Sync + 'static {
    /// A command that has been started.
    type Session: Session;

    /// Finds the target's addresses, at the budget's cost.
    fn route(
        &self,
        target: &Target,
        budget: &mut Budget,
    ) -> impl Future<Output = Result<Route, TransportError>> + Send;

    /// Connects and starts the command, at the budget's cost. After a setback that is not final it may
    /// be called again with the same route. Dropping the future leaves nothing behind.
    fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> impl Future<Output = Result<Self::Session, Setback>> + Send;

    /// How many connections between the run's source ports and its hosts this machine keeps in
    /// TIME_WAIT since it began; `None` if that is not known or not asked for, or the ports are the kernel's
    /// choice.
    fn time_wait(&self) -> Option<usize> {
        None
    }

    /// What a person should read when the run has ended, a line each.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

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

/// A remote command that has been started. Dropping it resets the connections, which leaves nothing
/// behind on this machine.
pub trait Session: Send {
    /// Carries all output to `output` until the command and its streams have ended, and says how.
    ///
    /// Reads only what the queue has room for: a queue that is not emptied stops the remote command,
    /// and nothing is dropped. Cancel safe: it may be dropped and called again.
    fn pump(
        &mut self,
        output: &Output,
    ) -> impl Future<Output = Result<RemoteExit, TransportError>> + Send;

    /// Sends a signal to the command, if there is a way; false if there is none.
    fn signal(&mut self, signal: RemoteSignal) -> bool;

    /// Which side ends the connection, if the session is dropped now and there is one.
    fn closes_first(&self) -> Option<Side>;
}
