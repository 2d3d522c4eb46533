//! How far this process is behind, so that its own slowness is not taken for a host's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often the loop is asked for a turn.
const BEAT: Duration = Duration::from_millis(20);

/// Delays up to this are the ordinary course of things.
const ORDINARY: Duration = Duration::from_millis(10);

/// The time for which the loop has kept a task waiting for its turn, summed up over the run.
///
/// On a machine that is too slow for its fan-out, answers wait here while timers run out; time of which
/// this process was the cause is given back to the hosts (see [`Budget`](super::Budget)).
#[derive(Clone, Debug, Default)]
pub struct Lag {
    micros: Arc<AtomicU64>,
}

impl Lag {
    /// The sum so far; it only grows.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    pub(super) fn add(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Measures for as long as it is polled. It has to be a task of its own: what counts is the time in
    /// the queue with the hosts' tasks.
    pub async fn measure(self) {
        loop {
            let due = Instant::now() + BEAT;
            sleep_until(due).await;
            let late = due.elapsed();
            if late > ORDINARY {
                self.add(late);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_is_kept_busy_is_behind() {
        let lag = Lag::default();
        let measuring = tokio::spawn(lag.clone().measure());
        tokio::task::yield_now().await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        while lag.total() == Duration::ZERO {
            tokio::task::yield_now().await;
        }
        assert!(
            lag.total() >= Duration::from_millis(50),
            "{:?}",
            lag.total()
        );
        measuring.abort();
    }
}
