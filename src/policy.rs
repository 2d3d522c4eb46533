//! Limits, retries and waves of a run, as data.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// Limits, retries and waves of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Time from TERM to KILL for a remote command.
    pub kill_after: Duration,
    /// Maximum time of the run.
    pub deadline: Option<Duration>,
    /// Maximum time from one chunk of a command's output to the next.
    pub idle_timeout: Option<Duration>,
    /// Maximum time of a target, from the lookup of its name to the end of its command, without waits for a port.
    pub host_timeout: Option<Duration>,
    /// Maximum number of further attempts for a target after retryable errors.
    pub retries: u32,
    /// Maximum number of connections per second, retries included.
    pub rate: Option<NonZeroU32>,
    /// Number of failed targets after which no other is started.
    pub max_failures: Option<Share>,
    /// True if the first failure ends the commands in progress as well.
    pub stop_at_failure: bool,
    /// Sizes of the waves. The last size repeats. Empty means one wave.
    pub batch: Vec<Share>,
    /// Pause between two waves.
    pub pause: Option<Pause>,
}

/// End of a pause between two waves. A request of the user ends either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Only a request of the user ends it.
    Ask,
    /// It ends after this time.
    For(Duration),
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            kill_after: Duration::from_secs(2),
            deadline: None,
            idle_timeout: None,
            host_timeout: None,
            retries: 0,
            rate: None,
            max_failures: None,
            stop_at_failure: false,
            batch: Vec::new(),
            pause: None,
        }
    }
}

impl Policy {
    /// Returns the waves for this number of targets, each as the index after its last target.
    pub fn waves(&self, total: usize) -> impl Iterator<Item = usize> {
        let last = self.batch.last().copied().unwrap_or(Share::ALL);
        let mut sizes = self.batch.iter().copied();
        let mut end = 0;
        std::iter::from_fn(move || {
            (end < total).then(|| {
                let size = sizes.next().unwrap_or(last).of(total);
                end = end.saturating_add(size).min(total);
                end
            })
        })
    }

    /// Returns the waves as a list; `None` if the run has no waves.
    #[must_use]
    pub fn wave_ends(&self, total: usize) -> Option<Vec<usize>> {
        (!self.batch.is_empty()).then(|| self.waves(total).collect())
    }

    /// True if no further wave is started after this number of failures.
    #[must_use]
    pub fn ends_waves(&self, failures: usize, total: usize) -> bool {
        match self.max_failures {
            Some(most) => most.is_reached(failures, total),
            None => failures > 0,
        }
    }
}

/// A number or a percentage of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// A number of targets.
    Count(NonZeroU32),
    /// A percentage of all targets of the run, 1 to 100.
    Percent(u8),
}

impl Share {
    /// All targets.
    pub const ALL: Share = Share::Percent(100);

    /// Returns the number of targets out of `total`, rounded down, but at least 1.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        match self {
            Share::Count(count) => usize::try_from(count.get()).unwrap_or(usize::MAX),
            // Two parts, so that the product cannot overflow.
            Share::Percent(percent) => {
                let percent = usize::from(percent);
                // A wave of 0 targets would never end.
                (total / 100 * percent + total % 100 * percent / 100).max(1)
            }
        }
    }

    /// True if `count` out of `total` is at least this share.
    #[must_use]
    pub fn is_reached(self, count: usize, total: usize) -> bool {
        match self {
            Share::Count(_) => count >= self.of(total),
            Share::Percent(percent) => {
                // Products, not quotients, so that nothing is rounded; u128, so that nothing overflows.
                let (count, total) = (count as u128, total as u128);
                count > 0 && count * 100 >= total * u128::from(percent)
            }
        }
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be a number from 1 up, or 1% to 100%";
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 1..=100) => Ok(Share::Percent(percent)),
                _ => Err(EXPECTED),
            },
            None => text.parse().map(Share::Count).map_err(|_| EXPECTED),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Count(count) => write!(f, "{count}"),
            Share::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waves(batch: &[&str], total: usize) -> Vec<usize> {
        let policy = Policy {
            batch: batch.iter().map(|share| share.parse().unwrap()).collect(),
            ..Policy::default()
        };
        policy.waves(total).collect()
    }

    #[test]
    fn the_last_size_is_that_of_all_further_waves() {
        assert_eq!(waves(&[], 7), [7]);
        assert_eq!(waves(&["1", "10%", "100%"], 100), [1, 11, 100]);
        assert_eq!(waves(&["40%"], 10), [4, 8, 10]);
        assert_eq!(waves(&["10%"], 3), [1, 2, 3]);
        assert_eq!(waves(&["2", "3"], 9), [2, 5, 8, 9]);
        assert_eq!(waves(&["1"], 0), [0; 0]);
    }

    #[test]
    fn shares_are_numbers_or_percents() {
        for text in ["", "0", "0%", "101%", "-1", "1.5", "%", "5 %"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for text in ["1", "4000000000", "1%", "100%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_share_of_failures_is_reached_exactly() {
        let reached = |share: &str, count, total| {
            let share: Share = share.parse().unwrap();
            share.is_reached(count, total)
        };
        assert!(!reached("2", 1, 10) && reached("2", 2, 10));
        assert!(!reached("10%", 0, 5) && reached("10%", 1, 5));
        assert!(!reached("10%", 1, 11) && reached("10%", 2, 11));
        assert!(!reached("100%", 9, 10) && reached("100%", 10, 10));
    }

    proptest! {
        #[test]
        fn waves_rise_to_the_last_host(
            batch in prop::collection::vec(prop_oneof![
                (1..50_u32).prop_map(|n| Share::Count(NonZeroU32::new(n).unwrap())),
                (1..=100_u8).prop_map(Share::Percent),
            ], 0..5),
            total in 1..2000_usize,
        ) {
            let policy = Policy { batch, ..Policy::default() };
            let waves: Vec<usize> = policy.waves(total).collect();
            prop_assert!(waves.is_sorted_by(|a, b| a < b) && waves[0] > 0);
            prop_assert_eq!(waves.last(), Some(&total));
        }
    }
}
