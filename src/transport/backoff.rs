//! Growing, random pauses between attempts: for `--retries`, and for ssh servers that are busy.

use std::time::Duration;

/// The bounds of the pauses after failed attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Maximum pause after the first failure.
    pub first: Duration,
    /// Maximum pause after any later failure.
    pub longest: Duration,
}

impl Backoff {
    /// Returns the pause after this many failures. Its maximum doubles with each failure, and a random part of up to a
    /// half is taken off.
    #[must_use]
    pub fn pause(self, failures: u32, random: &mut fastrand::Rng) -> Duration {
        // Saturating, because --retries may be any number.
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let longest = self.first.saturating_mul(doubled).min(self.longest);
        // Targets that failed together must not connect together again.
        longest.mul_f64(1.0 - random.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_random() {
        let backoff = Backoff {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        };
        let mut random = fastrand::Rng::with_seed(7);
        for (failures, longest) in [
            (1, 500),
            (2, 1000),
            (3, 2000),
            (7, 30_000),
            (100, 30_000),
            (4_000_000_000, 30_000),
        ] {
            let longest = Duration::from_millis(longest);
            let pauses: Vec<Duration> = (0..100)
                .map(|_| backoff.pause(failures, &mut random))
                .collect();
            assert!(pauses.iter().all(|p| *p <= longest && *p >= longest / 2));
            let spread = *pauses.iter().max().unwrap() - *pauses.iter().min().unwrap();
            assert!(spread > longest / 3, "{spread:?}");
        }
    }
}
