//! How a run is called off: one value that only rises, watched by every host's task.

use tokio::sync::watch;

use super::event::CancelReason;

/// Why and how fast everything is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cancel {
    pub(super) reason: CancelReason,
    /// Without giving the remote commands time to end.
    pub(super) at_once: bool,
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

    /// Calls the run off. A weaker reason does not replace a stronger one, and haste is not taken back.
    pub(super) fn cancel(&self, cancel: Cancel) {
        self.0.send_if_modified(|current| {
            let raised = match *current {
                None => cancel,
                Some(known) => Cancel {
                    reason: known.reason.max(cancel.reason),
                    at_once: known.at_once || cancel.at_once,
                },
            };
            current.replace(raised) != Some(raised)
        });
    }
}

impl Cancelled {
    /// Returns when the run is called off. Cancel safe.
    pub(super) async fn requested(&mut self) -> Cancel {
        self.wait_for(|_| true).await
    }

    /// Returns when the run is called off without grace. Cancel safe.
    pub(super) async fn at_once(&mut self) -> Cancel {
        self.wait_for(|cancel| cancel.at_once).await
    }

    async fn wait_for(&mut self, enough: impl Fn(&Cancel) -> bool) -> Cancel {
        // The guard that `wait_for` gives is not `Send`, so it must not leave this statement.
        let found = self
            .0
            .wait_for(|c| c.as_ref().is_some_and(&enough))
            .await
            .map(|c| *c);
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
        let (canceller, _tasks) = Canceller::new();
        let with = |reason, at_once| Cancel { reason, at_once };
        assert_eq!(canceller.current(), None);
        canceller.cancel(with(CancelReason::Signal(2), true));
        canceller.cancel(with(CancelReason::ReportFailed, false));
        assert_eq!(
            canceller.current(),
            Some(with(CancelReason::Signal(2), true))
        );
    }
}
