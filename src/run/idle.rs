//! `--idle-timeout`: for how long each host has written nothing.
//!
//! A host is idle only in time in which something could have been seen of it: not while this process
//! is stopped, nor while a reader of the reports that has no room holds back what hosts write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::targets::TargetId;
use crate::transport::Lag;

/// No such time.
const NEVER: u64 = u64::MAX;

/// What the dispatcher has seen and the hosts' tasks ask for. Times are microseconds in which output was
/// looked at.
#[derive(Debug)]
pub(super) struct Idle {
    timeout: Duration,
    lag: Lag,
    /// When each target last wrote something, or was started.
    last: Box<[AtomicU64]>,
    /// For how long output was held back, before now.
    held_back: AtomicU64,
    /// Since when it is held back.
    since: AtomicU64,
}

impl Idle {
    pub(super) fn new(timeout: Duration, targets: usize, lag: Lag) -> Self {
        Idle {
            timeout,
            lag,
            last: (0..targets).map(|_| AtomicU64::new(0)).collect(),
            held_back: AtomicU64::new(0),
            since: AtomicU64::new(NEVER),
        }
    }

    /// The limit.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The target has written something, or begins.
    pub(super) fn seen(&self, target: TargetId) {
        self.last[target.index()].store(self.now(), Ordering::Relaxed);
    }

    /// Whether output is held back from now on.
    pub(super) fn hold_back(&self, held: bool) {
        let running = self.running();
        match (self.since.load(Ordering::Relaxed), held) {
            (NEVER, true) => self.since.store(running, Ordering::Relaxed),
            (NEVER, false) | (_, true) => {}
            (since, false) => {
                let time = running.saturating_sub(since);
                self.held_back.fetch_add(time, Ordering::Relaxed);
                self.since.store(NEVER, Ordering::Relaxed);
            }
        }
    }

    /// How long the target may still write nothing; zero when its time is up.
    pub(super) fn left(&self, target: TargetId) -> Duration {
        let last = self.last[target.index()].load(Ordering::Relaxed);
        let idle = Duration::from_micros(self.now().saturating_sub(last));
        self.timeout.saturating_sub(idle)
    }

    fn now(&self) -> u64 {
        let running = self.running();
        let since = self.since.load(Ordering::Relaxed);
        let held_back = self.held_back.load(Ordering::Relaxed) + running.saturating_sub(since);
        running.saturating_sub(held_back)
    }

    fn running(&self) -> u64 {
        u64::try_from(self.lag.running().as_micros()).unwrap_or(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn only_time_in_which_output_is_looked_at_counts() {
        let lag = Lag::default();
        let measuring = tokio::spawn(lag.clone().measure());
        let seconds = Duration::from_secs;
        let idle = Idle::new(seconds(10), 2, lag);
        let left = |target| idle.left(TargetId(target)).as_secs_f64().round();
        sleep(seconds(4)).await;
        idle.seen(TargetId(1));
        sleep(seconds(1)).await;
        assert_eq!((left(0), left(1)), (5.0, 9.0));
        idle.hold_back(true);
        sleep(seconds(30)).await;
        // Stopped while it is held back anyway: that counts once.
        tokio::time::advance(seconds(60)).await;
        assert_eq!((left(0), left(1)), (5.0, 9.0));
        idle.hold_back(true);
        idle.hold_back(false);
        idle.hold_back(false);
        sleep(seconds(2)).await;
        assert_eq!((left(0), left(1)), (3.0, 7.0));
        tokio::time::advance(seconds(60)).await;
        sleep(seconds(4)).await;
        assert_eq!((left(0), left(1)), (0.0, 3.0));
        measuring.abort();
    }
}
