//! Clocks for limits on time. A limit must not blame a target for a delay of this machine.
//!
//! All use tokio's time, so that tests can pause it. There are four ways to measure a limit:
//!
//! | limit | clock | not counted |
//! | --- | --- | --- |
//! | connect timeout (`-t`) | [`Budget`](crate::transport::Budget) | every scheduling delay; waits for a port, a free thread or another host |
//! | deadline, kill delay, pauses before retries, wait for the reader of the reports | [`Alarm`] | time in which the process was stopped |
//! | command timeout (`-u`), `--host-timeout`, `--idle-timeout` | `CommandClock` of the run | time in which the process was stopped, or in which the reader of the reports held the output back |
//! | ssh keep-alives, the wait for a command whose input failed | [`reached`] | nothing: every second counts |
//!
//! [`ProcessClock`] measures the delays for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Interval at which the measuring task wants to run.
const INTERVAL: Duration = Duration::from_millis(20);

/// Maximum delay that is usual on a machine that is not overloaded. It is not counted.
const USUAL_DELAY: Duration = Duration::from_millis(10);

/// Delay above which the process was not slow but stopped: by ^Z, a debugger or a frozen container.
const STOPPED: Duration = Duration::from_millis(500);

/// Returns at `time`. If `time` is `None`, never returns. Cancel safe.
pub(crate) async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Returns when the alarm is due. If there is no alarm, never returns. Cancel safe.
pub(crate) async fn alarm_reached(alarm: Option<&Alarm>) {
    match alarm {
        Some(alarm) => alarm.reached().await,
        None => std::future::pending().await,
    }
}

/// A clock of the time in which this process runs, and of its scheduling delay. Clones share the state.
///
/// The scheduling delay is the time for which the event loop kept a task waiting, summed over the run. On a machine
/// that is too slow for the fan-out, answers of targets wait in the kernel while timers end. The connect timeout does
/// not count such time (see [`Budget`](crate::transport::Budget)). The limits on commands and on the run are exact:
/// they stop only while the process is stopped (see [`Alarm`]).
///
/// A stop is recognized by its length, because SIGSTOP cannot be caught and not every stop ends with SIGCONT.
#[derive(Clone, Debug)]
pub struct ProcessClock(Arc<Sums>);

/// Sums of delays and the times of the measuring task, in microseconds.
#[derive(Debug)]
struct Sums {
    base: Instant,
    delayed: AtomicU64,
    stopped: AtomicU64,
    /// Time since `base` at which the measuring task is due; at first never.
    due: AtomicU64,
    /// Time since `base` at which the measuring task last ran without delay; at first none.
    in_time: AtomicU64,
}

impl Default for ProcessClock {
    fn default() -> Self {
        ProcessClock(Arc::new(Sums {
            base: Instant::now(),
            delayed: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
            // Without a measuring task nothing is due, and so nothing is late.
            due: AtomicU64::new(u64::MAX),
            in_time: AtomicU64::new(u64::MAX),
        }))
    }
}

impl ProcessClock {
    /// Returns the scheduling delay so far. It never decreases.
    #[must_use]
    pub fn delayed(&self) -> Duration {
        self.sum(&self.0.delayed, USUAL_DELAY)
    }

    /// Returns the part of the delay in which the process was stopped.
    #[must_use]
    pub fn stopped(&self) -> Duration {
        self.sum(&self.0.stopped, STOPPED)
    }

    /// Returns the delay that has not ended yet, or zero if it is a usual one.
    #[must_use]
    pub fn current_delay(&self) -> Duration {
        let late = self.late();
        if late > USUAL_DELAY {
            late
        } else {
            Duration::ZERO
        }
    }

    /// Returns the last time at which the event loop ran without delay, or `None` if nothing is measured. Data that is
    /// found now, and was not found then, arrived after this time. It is at most one [`INTERVAL`] ago, unless the
    /// process is or just was delayed.
    #[must_use]
    pub fn last_turn(&self) -> Option<Instant> {
        match self.0.in_time.load(Ordering::Relaxed) {
            u64::MAX => None,
            turn => Some(self.0.base + Duration::from_micros(turn)),
        }
    }

    /// Returns the time since the clock was made, without the time in which the process was stopped.
    #[must_use]
    pub fn running(&self) -> Duration {
        self.0.base.elapsed().saturating_sub(self.stopped())
    }

    /// Returns an alarm that is due after this much [running](Self::running) time.
    #[must_use]
    pub fn alarm(&self, after: Duration) -> Alarm {
        Alarm {
            clock: self.clone(),
            due: self.running().saturating_add(after),
        }
    }

    /// Returns a sum with the delay that has not ended yet.
    fn sum(&self, sum: &AtomicU64, least: Duration) -> Duration {
        // A caller may run before the measuring task does.
        let late = self.late();
        let late = if late > least { late } else { Duration::ZERO };
        Duration::from_micros(sum.load(Ordering::Relaxed)) + late
    }

    /// Returns the delay of the measuring task, in whole microseconds.
    fn late(&self) -> Duration {
        let due = self.0.due.load(Ordering::Relaxed);
        // All callers get the same number: else a sum could decrease by a part of a microsecond when the delay ends.
        Duration::from_micros(micros(self.0.base.elapsed()).saturating_sub(due))
    }

    pub(crate) fn add(&self, late: Duration) {
        self.0.delayed.fetch_add(micros(late), Ordering::Relaxed);
        if late > STOPPED {
            self.0.stopped.fetch_add(micros(late), Ordering::Relaxed);
        }
    }

    /// Measures for as long as it is polled. It must be a task of its own, so that it waits in the same queue as the
    /// tasks of the targets.
    pub async fn measure(self) {
        let ran_in_time = |clock: &ProcessClock| {
            let now = micros(clock.0.base.elapsed());
            clock.0.in_time.store(now, Ordering::Relaxed);
        };
        ran_in_time(&self);
        loop {
            let due = Instant::now() + INTERVAL;
            let at = micros(due - self.0.base);
            self.0.due.store(at, Ordering::Relaxed);
            sleep_until(due).await;
            let late = self.late();
            // After a delay, `in_time` keeps its value: tasks that have waited may not run until after this one.
            if late > USUAL_DELAY {
                self.add(late);
            } else {
                ran_in_time(&self);
            }
        }
    }
}

/// A time that moves on while the process is stopped. After a stop, data that has arrived meanwhile is handled before
/// the alarm is due.
#[derive(Clone, Debug)]
pub struct Alarm {
    clock: ProcessClock,
    /// Due time, in time of [`ProcessClock::running`].
    due: Duration,
}

impl Alarm {
    /// Returns when the alarm is due. Cancel safe.
    pub async fn reached(&self) {
        // After a stop there is time left, because the running time has not moved on.
        loop {
            let left = self.due.saturating_sub(self.clock.running());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// Moves the due time into the future, for time that the alarm does not count.
    pub fn postpone(&mut self, time: Duration) {
        self.due = self.due.saturating_add(time);
    }
}

/// Moves a paused clock without running any other task, as if this process had no CPU.
#[cfg(test)]
pub(crate) fn lose_the_cpu(time: Duration) {
    use std::task::{Context, Waker};
    let mut advance = std::pin::pin!(tokio::time::advance(time));
    // The first poll moves the clock. The second one would run other tasks before.
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
    async fn a_busy_loop_adds_to_the_delay() {
        let clock = ProcessClock::default();
        let measuring = tokio::spawn(clock.clone().measure());
        tokio::task::yield_now().await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        while clock.delayed() == Duration::ZERO {
            tokio::task::yield_now().await;
        }
        assert!(
            clock.delayed() >= Duration::from_millis(50),
            "{:?}",
            clock.delayed()
        );
        measuring.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_never_decreases_by_a_nanosecond() {
        let clock = ProcessClock::default();
        // The measuring task is not due at whole microseconds after the start.
        tokio::time::advance(Duration::from_nanos(700)).await;
        let measuring = tokio::spawn(clock.clone().measure());
        tokio::task::yield_now().await;
        let mut seen = Duration::ZERO;
        for _ in 0..10 {
            tokio::time::advance(Duration::from_nanos(35_000_333)).await;
            for _ in 0..3 {
                let now = clock.delayed();
                assert!(now >= seen, "{seen:?}, then {now:?}");
                seen = now;
                tokio::task::yield_now().await;
            }
        }
        assert!(seen > Duration::from_millis(100), "{seen:?}");
        measuring.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_that_has_not_ended_is_counted() {
        let clock = ProcessClock::default();
        assert_eq!(
            (clock.current_delay(), clock.last_turn()),
            (Duration::ZERO, None)
        );
        let measuring = tokio::spawn(clock.clone().measure());
        sleep_until(Instant::now() + Duration::from_secs(1)).await;
        assert_eq!(clock.current_delay(), Duration::ZERO);
        let begin = Instant::now();
        lose_the_cpu(Duration::from_secs(3));
        assert!(clock.current_delay().abs_diff(Duration::from_secs(3)) <= INTERVAL);
        let turn = clock.last_turn().unwrap();
        assert!(
            turn <= begin && begin - turn <= INTERVAL,
            "{:?}",
            begin - turn
        );
        measuring.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_waits_while_the_process_is_stopped() {
        let clock = ProcessClock::default();
        let measuring = tokio::spawn(clock.clone().measure());
        let start = Instant::now();
        let alarm = clock.alarm(Duration::from_secs(5));
        let waiting = tokio::spawn(async move { alarm.reached().await });
        tokio::time::sleep(Duration::from_secs(2)).await;
        // This makes every timer late, in whatever order the tasks run.
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(clock.stopped().abs_diff(Duration::from_secs(100)) <= INTERVAL);
        waiting.await.unwrap();
        let took = start.elapsed();
        assert!(
            took.abs_diff(Duration::from_secs(105)) <= Duration::from_millis(50),
            "{took:?}"
        );
        measuring.abort();
    }
}
