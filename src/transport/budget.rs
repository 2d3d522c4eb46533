//! The connect timeout as an amount of time that is spent in parts.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::TransportError;
use crate::clock::ProcessClock;
use crate::event::Phase;

/// The rest of a target's connect timeout.
///
/// It is charged for the lookup, the connection and the daemon's answer. It is not charged for delays of this machine:
/// waits for a port, a thread or the rate, and the scheduling delay.
#[derive(Clone, Debug)]
pub struct Budget {
    whole: Duration,
    left: Duration,
    spent: Duration,
    clock: ProcessClock,
    excused: Excused,
}

/// Time within a charged future that is not charged: waits for another target. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Excused(Arc<Mutex<UnchargedTime>>);

#[derive(Debug, Default)]
struct UnchargedTime {
    /// Sum of the waits that have ended.
    ended: Duration,
    /// Start of the current wait.
    since: Option<Instant>,
}

impl Excused {
    /// Runs a future whose time is not charged. Only one such future may run at a time.
    pub async fn wait<F: Future>(&self, future: F) -> F::Output {
        self.lock().since = Some(Instant::now());
        // A guard, since the future may be dropped while it waits.
        let _end = EndOfWait(self);
        future.await
    }

    fn total(&self) -> Duration {
        let wait = self.lock();
        // A wait in progress counts too: the limit of the charged future is checked while it lasts.
        wait.ended + wait.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, UnchargedTime> {
        // A panic cannot leave the sum half changed, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a wait, also if its future is dropped.
struct EndOfWait<'a>(&'a Excused);

impl Drop for EndOfWait<'_> {
    fn drop(&mut self) {
        let mut wait = self.0.lock();
        if let Some(since) = wait.since.take() {
            wait.ended += since.elapsed();
        }
    }
}

impl Budget {
    /// Returns a full budget.
    #[must_use]
    pub fn new(whole: Duration, clock: ProcessClock) -> Self {
        Budget {
            whole,
            left: whole,
            spent: Duration::ZERO,
            clock,
            excused: Excused::default(),
        }
    }

    /// Returns the handle for waits that are not charged.
    #[must_use]
    pub fn excused(&self) -> Excused {
        self.excused.clone()
    }

    /// Returns the clock of the budget, for limits within it.
    #[must_use]
    pub fn clock(&self) -> ProcessClock {
        self.clock.clone()
    }

    /// Returns the time that is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Returns the time that has been charged.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Reduces the whole budget, spent time included, to at most this: a target may have its own limit.
    pub fn limit(&mut self, most: Duration) {
        self.whole = self.whole.min(most);
        // The limit is for the whole attempt, so time that is spent already counts.
        self.left = self.left.min(self.whole.saturating_sub(self.spent));
    }

    /// Runs a future and charges its time. Returns `None` if the budget was spent first.
    pub fn spend<F: IntoFuture>(&mut self, future: F) -> Spend<'_, F::IntoFuture> {
        self.spend_up_to(self.left, future)
    }

    /// Runs a future like [`spend`](Budget::spend), for at most `most`.
    pub fn spend_up_to<F: IntoFuture>(
        &mut self,
        most: Duration,
        future: F,
    ) -> Spend<'_, F::IntoFuture> {
        let most = most.min(self.left);
        Spend {
            inner: future.into_future(),
            timer: sleep(most),
            meter: Meter {
                most,
                start: Instant::now(),
                delayed: self.clock.delayed(),
                excused: self.excused.total(),
                budget: self,
            },
        }
    }

    /// Returns the error of an attempt whose budget was spent in this phase.
    #[must_use]
    pub fn exhausted(&self, phase: Phase) -> TransportError {
        TransportError::ConnectTimeout {
            phase,
            after: self.whole,
        }
    }
}

pin_project! {
    /// A future whose time is charged to a [`Budget`], also if it is dropped before its end.
    ///
    /// It is written by hand because an async function would hold the inner future three times. Its size is part of
    /// every host task.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Spend<'a, F> {
        #[pin]
        inner: F,
        #[pin]
        timer: Sleep,
        meter: Meter<'a>,
    }
}

/// A guard that charges the budget when it is dropped.
#[derive(Debug)]
struct Meter<'a> {
    most: Duration,
    start: Instant,
    /// Scheduling delay of the process before `start`.
    delayed: Duration,
    /// Excused time before `start`.
    excused: Duration,
    budget: &'a mut Budget,
}

impl Meter<'_> {
    /// Returns the time since the start that is not charged.
    fn uncharged(&self) -> Duration {
        let delayed = self.budget.clock.delayed().saturating_sub(self.delayed);
        let excused = self.budget.excused.total();
        delayed + excused.saturating_sub(self.excused)
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        // In `drop`, because a future that is dropped early, such as in `select!`, has spent its time as well.
        let spent = self.start.elapsed().saturating_sub(self.uncharged());
        self.budget.left = self.budget.left.saturating_sub(spent);
        self.budget.spent += spent;
    }
}

impl<F: Future> Future for Spend<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // The future is polled before the timer: a result that is ready now came in time.
        if let Poll::Ready(done) = this.inner.poll(context) {
            return Poll::Ready(Some(done));
        }
        // The timer counts all time, so its end is moved by the time that is not charged. The loop polls it again after
        // `reset`, because a timer wakes its task only if it was polled.
        while this.timer.as_mut().poll(context).is_ready() {
            let end = this.meter.start + this.meter.most + this.meter.uncharged();
            if end <= Instant::now() {
                return Poll::Ready(None);
            }
            this.timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn only_time_within_spend_is_charged() {
        let mut budget = Budget::new(Duration::from_secs(10), ProcessClock::default());
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
        assert_eq!(error.to_string(), "connection timed out after 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_counts_what_was_spent_before() {
        let mut budget = Budget::new(Duration::from_secs(10), ProcessClock::default());
        let some = Duration::from_secs(2);
        assert_eq!(budget.spend_up_to(some, pending::<()>()).await, None);
        budget.limit(Duration::from_secs(5));
        budget.limit(Duration::from_secs(60));
        assert_eq!(budget.left(), Duration::from_secs(3));
        assert_eq!(budget.spend(pending::<()>()).await, None);
        assert_eq!(budget.spent(), Duration::from_secs(5));
        let error = budget.exhausted(Phase::Connect);
        assert_eq!(error.to_string(), "connection timed out after 5 s");
        budget.limit(Duration::from_secs(1));
        assert_eq!(budget.left(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn scheduling_delay_is_not_charged() {
        let clock = ProcessClock::default();
        let mut budget = Budget::new(Duration::from_secs(2), clock.clone());
        let start = Instant::now();
        let busy = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.add(Duration::from_secs(30));
            pending::<()>().await;
        };
        assert_eq!(budget.spend(busy).await, None);
        assert_eq!(start.elapsed(), Duration::from_secs(32));
        assert_eq!(budget.left(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_another_host_is_not_charged() {
        let second = Duration::from_secs(1);
        let mut budget = Budget::new(2 * second, ProcessClock::default());
        let excused = budget.excused();
        let start = Instant::now();
        let waits = async {
            tokio::time::sleep(second).await;
            excused.wait(tokio::time::sleep(60 * second)).await;
            pending::<()>().await;
        };
        assert_eq!(budget.spend(waits).await, None);
        assert_eq!(start.elapsed(), 62 * second);
        // A wait ends also when its future is dropped.
        let mut budget = Budget::new(2 * second, ProcessClock::default());
        let excused = budget.excused();
        let broken_off = tokio::time::timeout(60 * second, excused.wait(pending::<()>()));
        assert!(budget.spend(broken_off).await.unwrap().is_err());
        let start = Instant::now();
        assert_eq!(budget.spend(pending::<()>()).await, None);
        assert_eq!(start.elapsed(), 2 * second);
    }
}
