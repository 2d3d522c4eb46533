//! Signals as control requests, from a source that tests can replace.
//!
//! HUP, INT and QUIT stay ignored if the process was started with them ignored, as in ssh and make. nohup(1) ignores
//! HUP, and shells ignore INT for background commands of scripts.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(test)]
use tokio::sync::mpsc;

use crate::inherited::ignored;

/// Meaning of ^C and ^\ in the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalKeys {
    /// ^C prints the state, and stops the run if repeated. ^\ keeps its default, which ends any process.
    #[default]
    Own,
    /// The keys of multi-rsh: ^C prints the state, ^\ stops the run.
    MultiRsh,
    /// One ^C stops the run.
    Batch,
}

/// A request of the user during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRequest {
    /// SIGINT: print the state; if repeated within a second, stop.
    Interrupt,
    /// SIGTERM, SIGHUP or, with [`SignalKeys::MultiRsh`], SIGQUIT: stop. The number is the signal's.
    Stop(i32),
    /// SIGUSR1: print the state.
    PrintState,
}

/// Source of control requests.
#[derive(Debug)]
pub enum SignalSource {
    /// The process's signals.
    System(Box<SystemSignals>),
    /// The channel of a test.
    #[cfg(test)]
    Injected(mpsc::Receiver<ControlRequest>),
}

/// The process's signals, without those that were ignored when it started.
#[derive(Debug)]
pub struct SystemSignals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    user1: Option<Signal>,
    quit: Option<Signal>,
    on_interrupt: ControlRequest,
}

impl SignalSource {
    /// Installs handlers for the process's signals.
    ///
    /// # Errors
    /// The error of the system if a handler cannot be installed.
    pub fn system(keys: SignalKeys) -> io::Result<Self> {
        let ignored = ignored();
        // Bit n - 1 stands for signal n, as in /proc/PID/status (proc(5)).
        let take = |kind: SignalKind| match ignored >> (kind.as_raw_value() - 1) & 1 {
            0 => signal(kind).map(Some),
            // A handler would replace the ignoring that nohup(1) or a shell has set up.
            _ => Ok(None),
        };
        Ok(SignalSource::System(Box::new(SystemSignals {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hang_up: take(SignalKind::hangup())?,
            user1: take(SignalKind::user_defined1())?,
            quit: match keys {
                SignalKeys::Own | SignalKeys::Batch => None,
                SignalKeys::MultiRsh => take(SignalKind::quit())?,
            },
            on_interrupt: match keys {
                SignalKeys::Own => ControlRequest::Interrupt,
                SignalKeys::MultiRsh => ControlRequest::PrintState,
                SignalKeys::Batch => ControlRequest::Stop(SignalKind::interrupt().as_raw_value()),
            },
        })))
    }

    /// Returns the next request. Never returns if there will be none. Cancel safe.
    pub(super) async fn next(&mut self) -> ControlRequest {
        match self {
            SignalSource::System(signals) => signals.next().await,
            #[cfg(test)]
            SignalSource::Injected(requests) => match requests.recv().await {
                Some(request) => request,
                None => pending().await,
            },
        }
    }
}

impl SystemSignals {
    async fn next(&mut self) -> ControlRequest {
        tokio::select! {
            () = received(&mut self.interrupt) => self.on_interrupt,
            () = received(&mut self.terminate) => ControlRequest::Stop(SignalKind::terminate().as_raw_value()),
            () = received(&mut self.hang_up) => ControlRequest::Stop(SignalKind::hangup().as_raw_value()),
            () = received(&mut self.user1) => ControlRequest::PrintState,
            () = received(&mut self.quit) => ControlRequest::Stop(SignalKind::quit().as_raw_value()),
        }
    }
}

/// Waits for a signal. Never returns if it is ignored or cannot arrive any more.
async fn received(signal: &mut Option<Signal>) {
    let more = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    // A closed source must not look like a signal: the dispatcher would handle it without end.
    if more.is_none() {
        pending().await
    }
}
