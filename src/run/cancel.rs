//! Cancellation of a run: one value that only becomes stronger. Every host task watches it.

use tokio::sync::watch;

use crate::event::CancelReason;

/// Treatment of the targets in progress, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// The targets in progress run to their end. No other target is started.
    Drain,
    /// The commands of the targets in progress get TERM, and later KILL.
    Stop,
    /// The commands of the targets in progress get KILL at once.
    AtOnce,
}

/// Reason and urgency of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cancellation {
    pub(super) reason: CancelReason,
    pub(super) urgency: Urgency,
}

/// The sender of the cancellation, held by the dispatcher.
#[derive(Debug)]
pub(super) struct Canceller(watch::Sender<Option<Cancellation>>);

/// The receiver of the cancellation, held by a host task.
#[derive(Clone, Debug)]
pub(super) struct CancelWatch(watch::Receiver<Option<Cancellation>>);

impl Canceller {
    pub(super) fn new() -> (Self, CancelWatch) {
        let (sender, receiver) = watch::channel(None);
        (Canceller(sender), CancelWatch(receiver))
    }

    pub(super) fn current(&self) -> Option<Cancellation> {
        *self.0.borrow()
    }

    /// True if a signal has stopped the run.
    pub(super) fn is_by_signal(&self) -> bool {
        let signal = |cancel: Cancellation| matches!(cancel.reason, CancelReason::Signal(_));
        self.current().is_some_and(signal)
    }

    /// True if the remote commands have been asked to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.current()
            .is_some_and(|cancel| cancel.urgency >= Urgency::Stop)
    }

    /// Cancels the run. Neither the reason nor the urgency becomes weaker by it.
    pub(super) fn cancel(&self, cancel: Cancellation) {
        self.0.send_if_modified(|current| {
            let raised = match *current {
                None => cancel,
                // Both only rise: a deadline after a second ^C must not make the stop milder, nor hide the signal in
                // the exit status.
                Some(known) => Cancellation {
                    reason: known.reason.max(cancel.reason),
                    urgency: known.urgency.max(cancel.urgency),
                },
            };
            // Wakes the host tasks only if something has changed.
            current.replace(raised) != Some(raised)
        });
    }
}

impl CancelWatch {
    /// Returns when the remote commands must end. Cancel safe.
    pub(super) async fn requested(&mut self) -> Cancellation {
        self.wait_for(Urgency::Stop).await
    }

    /// Returns when the remote commands must end at once. Cancel safe.
    pub(super) async fn at_once(&mut self) -> Cancellation {
        self.wait_for(Urgency::AtOnce).await
    }

    /// Returns when a signal has stopped the run. Cancel safe.
    pub(super) async fn by_signal(&mut self) {
        let signal = |reason| matches!(reason, CancelReason::Signal(_));
        self.wait_until(|cancel| signal(cancel.reason)).await;
    }

    async fn wait_for(&mut self, least: Urgency) -> Cancellation {
        self.wait_until(|cancel| cancel.urgency >= least).await
    }

    async fn wait_until(&mut self, is_meant: impl Fn(Cancellation) -> bool) -> Cancellation {
        // The guard that `wait_for` gives is not `Send`, so it must not leave this statement.
        let found = self.0.wait_for(|c| c.is_some_and(&is_meant)).await;
        let found = found.map(|c| *c);
        match found {
            Ok(Some(cancel)) => cancel,
            // The dispatcher outlives its tasks.
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_only_rises() {
        use CancelReason::{Deadline, Failures, ReportFailed, Signal};
        use Urgency::{AtOnce, Drain, Stop};
        let (canceller, _tasks) = Canceller::new();
        assert_eq!(canceller.current(), None);
        let call = |reason, urgency| {
            canceller.cancel(Cancellation { reason, urgency });
            let Cancellation { reason, urgency } = canceller.current().unwrap();
            (reason, urgency, canceller.is_stopping())
        };
        assert_eq!(call(Failures, Drain), (Failures, Drain, false));
        assert_eq!(call(Deadline, Stop), (Deadline, Stop, true));
        assert_eq!(call(Signal(2), AtOnce), (Signal(2), AtOnce, true));
        assert_eq!(call(ReportFailed, Stop), (Signal(2), AtOnce, true));
    }
}
