//! The signals that steer a run, as a source that tests can feed by hand.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What somebody wants of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGINT: tell the state; if repeated within a second, stop.
    Interrupt,
    /// SIGTERM or SIGHUP, with its number: stop.
    Stop(i32),
    /// SIGUSR1: tell the state.
    State,
}

/// Where wishes come from.
#[derive(Debug)]
pub enum SignalSource {
    /// The process's signals.
    System(Box<SystemSignals>),
    /// A test.
    Injected(mpsc::Receiver<Wish>),
}

/// The process's signals.
#[derive(Debug)]
pub struct SystemSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    user1: Signal,
}

impl SignalSource {
    /// Takes over the process's signals.
    ///
    /// # Errors
    /// The system's.
    pub fn system() -> io::Result<Self> {
        Ok(SignalSource::System(Box::new(SystemSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })))
    }

    /// The next wish; never returns if there will be none. Cancel safe.
    pub(super) async fn next(&mut self) -> Wish {
        match self {
            SignalSource::System(signals) => signals.next().await,
            SignalSource::Injected(wishes) => match wishes.recv().await {
                Some(wish) => wish,
                None => std::future::pending().await,
            },
        }
    }
}

impl SystemSignals {
    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Interrupt,
            _ = self.terminate.recv() => Wish::Stop(SignalKind::terminate().as_raw_value()),
            _ = self.hang_up.recv() => Wish::Stop(SignalKind::hangup().as_raw_value()),
            _ = self.user1.recv() => Wish::State,
        }
    }
}
