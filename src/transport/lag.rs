//! How far this process is behind, so that its own slowness is not taken for a host's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often the loop is asked for a turn.
const BEAT: Duration = Duration::from_millis(20);

/// Delays up to this are the ordinary course of things.
const ORDINARY: Duration = Duration::from_millis(10);

/// From this on the process was not slow but stopped: by ^Z, a debugger, a frozen container.
const STOPPED: Duration = Duration::from_millis(500);

/// The time for which the loop has kept a task waiting for its turn, summed up over the run.
///
/// On a machine that is too slow for its fan-out, answers wait here while timers run out; time of which
/// this process was the cause is given back to the hosts (see [`Budget`](super::Budget)). The limits on
/// commands and on the whole run are exact instead, and wait only while the process is stopped (see
/// [`Alarm`]). Being stopped shows as a gap: SIGSTOP cannot be caught, and not every way of stopping a
/// process ends with SIGCONT.
#[derive(Clone, Debug)]
pub struct Lag(Arc<Sums>);

/// In microseconds.
#[derive(Debug)]
struct Sums {
    base: Instant,
    lag: AtomicU64,
    stopped: AtomicU64,
    /// When the next turn is due, counted from `base`; at first never.
    due: AtomicU64,
    /// The last turn that was in time, counted from `base`; at first none.
    in_time: AtomicU64,
}

impl Default for Lag {
    fn default() -> Self {
        Lag(Arc::new(Sums {
            base: Instant::now(),
            lag: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
            due: AtomicU64::new(u64::MAX),
            in_time: AtomicU64::new(u64::MAX),
        }))
    }
}

impl Lag {
    /// The sum so far; it only grows.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.sum(&self.0.lag, ORDINARY)
    }

    /// The part of it in which the process was stopped.
    #[must_use]
    pub fn stopped(&self) -> Duration {
        self.sum(&self.0.stopped, STOPPED)
    }

    /// The delay that is not over yet, as far as it is more than the ordinary.
    #[must_use]
    pub fn current(&self) -> Duration {
        let late = self.late();
        if late > ORDINARY {
            late
        } else {
            Duration::ZERO
        }
    }

    /// The last turn of the loop that was in time: what is found now, and was not found in that turn, came after
    /// it. At most a beat ago, unless the process is or just was behind. `None` if nothing is measured.
    #[must_use]
    pub fn last_turn(&self) -> Option<Instant> {
        match self.0.in_time.load(Ordering::Relaxed) {
            u64::MAX => None,
            turn => Some(self.0.base + Duration::from_micros(turn)),
        }
    }

    /// The time since this was made in which the process was not stopped.
    #[must_use]
    pub fn running(&self) -> Duration {
        self.0.base.elapsed().saturating_sub(self.stopped())
    }

    /// A moment that comes after so much time in which the process runs.
    #[must_use]
    pub fn alarm(&self, after: Duration) -> Alarm {
        Alarm {
            lag: self.clone(),
            due: self.running().saturating_add(after),
        }
    }

    /// A sum with the delay that is not over yet: who asks may have its turn before the measuring task.
    fn sum(&self, sum: &AtomicU64, least: Duration) -> Duration {
        let late = self.late();
        let late = if late > least { late } else { Duration::ZERO };
        Duration::from_micros(sum.load(Ordering::Relaxed)) + late
    }

    /// How late the turn is that is due. Whoever asks is told in the same whole microseconds, else the sum
    /// could shrink by part of one when the delay is over.
    fn late(&self) -> Duration {
        let due = self.0.due.load(Ordering::Relaxed);
        Duration::from_micros(micros(self.0.base.elapsed()).saturating_sub(due))
    }

    pub(super) fn add(&self, late: Duration) {
        self.0.lag.fetch_add(micros(late), Ordering::Relaxed);
        if late > STOPPED {
            self.0.stopped.fetch_add(micros(late), Ordering::Relaxed);
        }
    }

    /// Measures for as long as it is polled. It has to be a task of its own: what counts is the time in
    /// the queue with the hosts' tasks.
    pub async fn measure(self) {
        let seen = |lag: &Lag| {
            let now = micros(lag.0.base.elapsed());
            lag.0.in_time.store(now, Ordering::Relaxed);
        };
        seen(&self);
        loop {
            let due = Instant::now() + BEAT;
            let at = micros(due - self.0.base);
            self.0.due.store(at, Ordering::Relaxed);
            sleep_until(due).await;
            let late = self.late();
            // After a delay, the tasks that have waited may have their turn later than this one.
            if late > ORDINARY {
                self.add(late);
            } else {
                seen(&self);
            }
        }
    }
}

/// A moment that moves away while the process is stopped: whoever waits for it has what came meanwhile
/// looked at first.
#[derive(Clone, Debug)]
pub struct Alarm {
    lag: Lag,
    /// In time of [`Lag::running`].
    due: Duration,
}

impl Alarm {
    /// Returns when it has come. Cancel safe.
    pub async fn rung(&self) {
        loop {
            let left = self.due.saturating_sub(self.lag.running());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// Lets time pass on a paused clock without a turn for any other task, as if this process had no CPU.
#[cfg(test)]
pub(crate) fn lose_the_cpu(time: Duration) {
    use std::task::{Context, Waker};
    let mut advance = std::pin::pin!(tokio::time::advance(time));
    // The first poll moves the clock; the second would come after a turn for the others.
    let _ = advance
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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

    #[tokio::test(start_paused = true)]
    async fn the_sum_only_grows_to_the_last_nanosecond() {
        let lag = Lag::default();
        // The beats are not at whole microseconds after the beginning.
        tokio::time::advance(Duration::from_nanos(700)).await;
        let measuring = tokio::spawn(lag.clone().measure());
        tokio::task::yield_now().await;
        let mut seen = Duration::ZERO;
        for _ in 0..10 {
            tokio::time::advance(Duration::from_nanos(35_000_333)).await;
            for _ in 0..3 {
                let now = lag.total();
                assert!(now >= seen, "{seen:?}, then {now:?}");
                seen = now;
                tokio::task::yield_now().await;
            }
        }
        assert!(seen > Duration::from_millis(100), "{seen:?}");
        measuring.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_that_is_not_over_is_known() {
        let lag = Lag::default();
        assert_eq!((lag.current(), lag.last_turn()), (Duration::ZERO, None));
        let measuring = tokio::spawn(lag.clone().measure());
        sleep_until(Instant::now() + Duration::from_secs(1)).await;
        assert_eq!(lag.current(), Duration::ZERO);
        let begin = Instant::now();
        lose_the_cpu(Duration::from_secs(3));
        assert!(lag.current().abs_diff(Duration::from_secs(3)) <= BEAT);
        let turn = lag.last_turn().unwrap();
        assert!(turn <= begin && begin - turn <= BEAT, "{:?}", begin - turn);
        measuring.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_waits_while_the_process_is_stopped() {
        let lag = Lag::default();
        let measuring = tokio::spawn(lag.clone().measure());
        let start = Instant::now();
        let alarm = lag.alarm(Duration::from_secs(5));
        let ringing = tokio::spawn(async move { alarm.rung().await });
        tokio::time::sleep(Duration::from_secs(2)).await;
        // Every timer is late by this, whoever has its turn first.
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(lag.stopped().abs_diff(Duration::from_secs(100)) <= BEAT);
        ringing.await.unwrap();
        let took = start.elapsed();
        assert!(
            took.abs_diff(Duration::from_secs(105)) <= Duration::from_millis(50),
            "{took:?}"
        );
        measuring.abort();
    }
}
