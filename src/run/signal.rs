//! Signals and keys as control requests, from a source that tests can replace.
//!
//! HUP, INT and QUIT stay ignored if the process was started with them ignored, as in ssh and make. nohup(1) ignores
//! HUP, and shells ignore INT for background commands of scripts.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(test)]
use tokio::sync::mpsc;

use super::keys::PauseKeys;
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
    /// SIGUSR2 or a key: end the pause between two waves and go on.
    GoOn,
    /// A key: end the run at the pause between two waves.
    EndWaves,
    /// A key without a meaning.
    OtherKey,
    /// The terminal is gone, so that there will be no more keys.
    NoKeys,
}

/// Input of the user in the pauses of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseInput {
    /// True if keys of the terminal end a pause. SIGUSR2 always does.
    pub reads_keys: bool,
    /// True if the terminal also shows the text of a pause, because standard error goes elsewhere.
    pub shows_text: bool,
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
    user2: Option<Signal>,
    quit: Option<Signal>,
    on_interrupt: ControlRequest,
    pause: Option<PauseInput>,
    /// The terminal, during a pause.
    keys: Option<PauseKeys>,
}

impl SignalSource {
    /// Installs handlers for the process's signals. `pause` is for runs with pauses.
    ///
    /// # Errors
    /// The error of the system if a handler cannot be installed.
    pub fn system(keys: SignalKeys, pause: Option<PauseInput>) -> io::Result<Self> {
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
            // Without pauses, SIGUSR2 keeps its default, which ends any process.
            user2: match pause {
                Some(_) => take(SignalKind::user_defined2())?,
                None => None,
            },
            quit: match keys {
                SignalKeys::Own | SignalKeys::Batch => None,
                SignalKeys::MultiRsh => take(SignalKind::quit())?,
            },
            on_interrupt: match keys {
                SignalKeys::Own => ControlRequest::Interrupt,
                SignalKeys::MultiRsh => ControlRequest::PrintState,
                SignalKeys::Batch => ControlRequest::Stop(SignalKind::interrupt().as_raw_value()),
            },
            pause,
            keys: None,
        })))
    }

    /// Takes keys of the terminal from now on. Returns false if there are none.
    pub(super) fn take_keys(&mut self) -> bool {
        match self {
            SignalSource::System(signals) => {
                if signals.pause.is_some_and(|pause| pause.reads_keys) {
                    signals.keys = PauseKeys::open();
                }
                signals.keys.is_some()
            }
            #[cfg(test)]
            SignalSource::Injected(_) => true,
        }
    }

    /// Takes no more keys, and restores the terminal.
    pub(super) fn leave_keys(&mut self) {
        match self {
            SignalSource::System(signals) => signals.keys = None,
            #[cfg(test)]
            SignalSource::Injected(_) => {}
        }
    }

    /// Shows a text on the terminal whose keys are taken, if no report is shown there.
    pub(super) fn show(&self, text: &str) {
        match self {
            SignalSource::System(signals) => {
                if let Some(keys) = &signals.keys
                    && signals.pause.is_some_and(|pause| pause.shows_text)
                {
                    keys.show(text);
                }
            }
            #[cfg(test)]
            SignalSource::Injected(_) => {}
        }
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
        let request = tokio::select! {
            () = received(&mut self.interrupt) => self.on_interrupt,
            () = received(&mut self.terminate) => ControlRequest::Stop(SignalKind::terminate().as_raw_value()),
            () = received(&mut self.hang_up) => ControlRequest::Stop(SignalKind::hangup().as_raw_value()),
            () = received(&mut self.user1) => ControlRequest::PrintState,
            () = received(&mut self.user2) => ControlRequest::GoOn,
            () = received(&mut self.quit) => ControlRequest::Stop(SignalKind::quit().as_raw_value()),
            request = next_key(self.keys.as_mut()) => request,
        };
        // A closed channel returns at once, so it would keep the event loop busy.
        if request == ControlRequest::NoKeys {
            self.keys = None;
        }
        request
    }
}

/// Waits for a key. Never returns without a terminal.
async fn next_key(keys: Option<&mut PauseKeys>) -> ControlRequest {
    match keys {
        Some(keys) => keys.next().await,
        None => pending().await,
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
