//! How a run is called off: one value that only rises, watched by every host's task.

use tokio::sync::watch;

use crate::event::CancelReason;

/// What becomes of the hosts that run, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// They go on to their end; no other is started.
    Drain,
    /// Their commands are asked to end, then killed.
    Stop,
    /// Without giving the remote commands time to end.
    AtOnce,
}

/// Why and how fast everything is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cancel {
    pub(super) reason: CancelReason,
    pub(super) urgency: Urgency,
}

/// The dispatcher's end.
#[derive(Debug)]
pub(super) struct Canceller(watch::Sender<Option<Cancel>>);

/// A host task's end.
#[derive(Clone, Debug)]
pub(super) struct Cancelled(watch::Receiver<Option<Cancel>>);

impl Canceller {
    pub(super) fn new() -> (Self, Cancelled) {
        let (sender, receiver) = watch::channel(None);
        (Canceller(sender), Cancelled(receiver))
    }

    pub(super) fn current(&self) -> Option<Cancel> {
        *self.0.borrow()
    }

    /// True if a signal has stopped the run.
    pub(super) fn is_by_signal(&self) -> bool {
        let signal = |cancel: Cancel| matches!(cancel.reason, CancelReason::Signal(_));
        self.current().is_some_and(signal)
    }

    /// Whether the remote commands have been asked to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.current()
            .is_some_and(|cancel| cancel.urgency >= Urgency::Stop)
    }

    /// Calls the run off. A weaker reason does not replace a stronger one, and haste is not taken back.
    pub(super) fn cancel(&self, cancel: Cancel) {
        self.0.send_if_modified(|current| {
            let raised = match *current {
                None => cancel,
                Some(known) => Cancel {
                    reason: known.reason.max(cancel.reason),
                    urgency: known.urgency.max(cancel.urgency),
                },
            };
            current.replace(raised) != Some(raised)
        });
    }
}

impl Cancelled {
    /// Returns when the remote commands are to end. Cancel safe.
    pub(super) async fn requested(&mut self) -> Cancel {
        self.wait_for(Urgency::Stop).await
    }

    /// Returns when they are to end without grace. Cancel safe.
    pub(super) async fn at_once(&mut self) -> Cancel {
        self.wait_for(Urgency::AtOnce).await
    }

    /// Returns when a signal has asked for that. Cancel safe.
    pub(super) async fn by_signal(&mut self) {
        let signal = |reason| matches!(reason, CancelReason::Signal(_));
        self.wait_until(|cancel| signal(cancel.reason)).await;
    }

    async fn wait_for(&mut self, least: Urgency) -> Cancel {
        self.wait_until(|cancel| cancel.urgency >= least).await
    }

    async fn wait_until(&mut self, is_meant: impl Fn(Cancel) -> bool) -> Cancel {
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
            canceller.cancel(Cancel { reason, urgency });
            let Cancel { reason, urgency } = canceller.current().unwrap();
            (reason, urgency, canceller.is_stopping())
        };
        assert_eq!(call(Failures, Drain), (Failures, Drain, false));
        assert_eq!(call(Deadline, Stop), (Deadline, Stop, true));
        assert_eq!(call(Signal(2), AtOnce), (Signal(2), AtOnce, true));
        assert_eq!(call(ReportFailed, Stop), (Signal(2), AtOnce, true));
    }
}
