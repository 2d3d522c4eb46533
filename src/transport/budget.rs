//! The connect timeout as a sum of time that can be spent in parts.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Timeout};

use super::{Phase, TransportError};

/// What is left of a host's connect timeout. It is charged for look-up, connection and the daemon's
/// answer, and not for waiting for a port, a slot or a turn, which are this machine's own.
#[derive(Clone, Debug)]
pub struct Budget {
    whole: Duration,
    left: Duration,
}

impl Budget {
    /// A full budget.
    #[must_use]
    pub fn new(whole: Duration) -> Self {
        Budget { whole, left: whole }
    }

    /// What is left of it.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Runs a future at the budget's cost; `None` if the budget ran out first.
    pub fn spend<F: IntoFuture>(&mut self, future: F) -> Spend<'_, F::IntoFuture> {
        self.spend_up_to(self.left, future)
    }

    /// Like [`spend`](Budget::spend), with no more than `most` of what is left.
    pub fn spend_up_to<F: IntoFuture>(
        &mut self,
        most: Duration,
        future: F,
    ) -> Spend<'_, F::IntoFuture> {
        let inner = tokio::time::timeout(most.min(self.left), future);
        Spend {
            inner,
            start: Instant::now(),
            budget: self,
        }
    }

    /// The failure of a host whose budget ran out in this phase.
    #[must_use]
    pub fn exhausted(&self, phase: Phase) -> TransportError {
        TransportError::ConnectTimeout {
            phase,
            after: self.whole,
        }
    }
}

pin_project! {
    /// A future that is paid for from a [`Budget`], also if it is dropped before its end.
    ///
    /// By hand, since an async function would hold the inner future three times over: the tasks of a
    /// run are as many as its fan-out, and this one's size is theirs.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Spend<'a, F> {
        #[pin]
        inner: Timeout<F>,
        start: Instant,
        budget: &'a mut Budget,
    }

    impl<F> PinnedDrop for Spend<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.budget.left = this.budget.left.saturating_sub(this.start.elapsed());
        }
    }
}

impl<F: Future> Future for Spend<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(context).map(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_spent_counts() {
        let mut budget = Budget::new(Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(
            budget
                .spend_up_to(Duration::from_secs(4), pending::<()>())
                .await,
            None
        );
        assert_eq!(budget.left(), Duration::from_secs(6));
        assert_eq!(budget.spend(async { 7 }).await, Some(7));
        assert_eq!(budget.spend(pending::<()>()).await, None);
        assert_eq!(budget.left(), Duration::ZERO);
        let error = budget.exhausted(Phase::Connect);
        assert_eq!(error.to_string(), "timed out after 10 s: connecting");
    }
}
