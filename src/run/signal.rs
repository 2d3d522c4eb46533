//! The signals that steer a run, as a source that tests can feed by hand.
//!
//! HUP, INT and QUIT stay ignored if the process was started so, as ssh and make have it: HUP under nohup(1), INT in
//! what a script has put into the background.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::inherited::ignored;

/// Which keys of the terminal say what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// ^C tells the state, and stops the run if repeated; ^\ is left as it is, a way out of anything.
    #[default]
    Own,
    /// As multi-rsh had it: ^C tells the state, ^\ stops the run.
    MultiRsh,
}

/// What somebody wants of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGINT: tell the state; if repeated within a second, stop.
    Interrupt,
    /// SIGTERM, SIGHUP or, where it is taken, SIGQUIT, with its number: stop.
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

/// The process's signals, but for those that it was started to ignore.
#[derive(Debug)]
pub struct SystemSignals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    user1: Option<Signal>,
    quit: Option<Signal>,
    on_interrupt: Wish,
}

impl SignalSource {
    /// Takes over the process's signals.
    ///
    /// # Errors
    /// The system's.
    pub fn system(keys: Keys) -> io::Result<Self> {
        let ignored = ignored();
        let take = |kind: SignalKind| match ignored >> (kind.as_raw_value() - 1) & 1 {
            0 => signal(kind).map(Some),
            _ => Ok(None),
        };
        Ok(SignalSource::System(Box::new(SystemSignals {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hang_up: take(SignalKind::hangup())?,
            user1: take(SignalKind::user_defined1())?,
            quit: match keys {
                Keys::Own => None,
                Keys::MultiRsh => take(SignalKind::quit())?,
            },
            on_interrupt: match keys {
                Keys::Own => Wish::Interrupt,
                Keys::MultiRsh => Wish::State,
            },
        })))
    }

    /// The next wish; never returns if there will be none. Cancel safe.
    pub(super) async fn next(&mut self) -> Wish {
        match self {
            SignalSource::System(signals) => signals.next().await,
            SignalSource::Injected(wishes) => match wishes.recv().await {
                Some(wish) => wish,
                None => pending().await,
            },
        }
    }
}

impl SystemSignals {
    async fn next(&mut self) -> Wish {
        tokio::select! {
            () = received(&mut self.interrupt) => self.on_interrupt,
            () = received(&mut self.terminate) => Wish::Stop(SignalKind::terminate().as_raw_value()),
            () = received(&mut self.hang_up) => Wish::Stop(SignalKind::hangup().as_raw_value()),
            () = received(&mut self.user1) => Wish::State,
            () = received(&mut self.quit) => Wish::Stop(SignalKind::quit().as_raw_value()),
        }
    }
}

/// Waits for a signal; for ever, if it is ignored or can come no more.
async fn received(signal: &mut Option<Signal>) {
    let more = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if more.is_none() {
        pending().await
    }
}
