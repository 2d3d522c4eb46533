//! `--rate`: connections begin at even intervals, not in bursts.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Maximum delay that later connections may make up for. Without it, timers of a millisecond and a busy loop would
/// lower the rate.
const SLACK: Duration = Duration::from_millis(50);

/// A limit on the number of connections per second, first attempts and retries together.
#[derive(Debug)]
pub(super) struct RateLimiter {
    base: Instant,
    /// Time from one turn to the next, in nanoseconds.
    interval: u64,
    /// Time of the next turn, in nanoseconds from `base`; may be past.
    next: AtomicU64,
}

impl RateLimiter {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        RateLimiter {
            base: Instant::now(),
            interval: 1_000_000_000 / u64::from(rate.get()),
            next: AtomicU64::new(0),
        }
    }

    /// Waits for a turn and takes it. Cancel safe: a dropped future has taken none.
    pub(super) async fn turn(&self) {
        while let Err(at) = self.take() {
            sleep_until(at).await;
        }
    }

    /// Takes a turn, or returns the time of the next one.
    fn take(&self) -> Result<(), Instant> {
        let now = nanos(self.base.elapsed());
        let taken = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                let earliest = now.saturating_sub(nanos(SLACK));
                (next <= now).then(|| next.max(earliest).saturating_add(self.interval))
            });
        match taken {
            Ok(_) => Ok(()),
            Err(next) => Err(self.base + Duration::from_nanos(next)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// At any times of the calls, no second has more turns than the rate and the slack allow, and no call waits
        /// longer than the rate demands.
        #[test]
        fn no_second_has_more_turns_than_the_rate(
            rate in 1..3000_u32,
            pauses in prop::collection::vec(prop_oneof![4 => Just(0_u64), 1 => 0..2500_u64], 1..400),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async move {
                let pace = RateLimiter::new(NonZeroU32::new(rate).unwrap());
                let begun = Instant::now();
                let mut turns = Vec::new();
                for pause in &pauses {
                    tokio::time::sleep(Duration::from_millis(*pause)).await;
                    pace.turn().await;
                    turns.push(begun.elapsed().as_secs_f64());
                }
                let most = f64::from(rate) * (1.0 + SLACK.as_secs_f64()) + 1.0;
                for (i, first) in turns.iter().enumerate() {
                    let within = turns[i..].iter().take_while(|t| **t < first + 1.0).count();
                    assert!(within as f64 <= most + 1e-6, "{within} turns in a second at {rate}");
                }
                let asked: f64 = pauses.iter().map(|ms| *ms as f64 / 1000.0).sum();
                let longest = asked + turns.len() as f64 / f64::from(rate) + 0.002;
                assert!(*turns.last().unwrap() <= longest, "{} of {longest}", turns.last().unwrap());
            });
        }
    }
}
