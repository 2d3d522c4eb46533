//! The bytes of copies in the progress bar: amount, total, rate and remaining time.

use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar};

use super::summary::duration;
use crate::event::{CopyDirection, CopyProgress};

/// Bytes of the copies, and their rate.
#[derive(Debug)]
pub(super) struct CopyBytes {
    progress: CopyProgress,
    /// A bar that is never drawn. It measures the rate.
    rate: ProgressBar,
}

/// Bytes of the copies at one time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShownBytes {
    pub(super) moved: u64,
    /// Number of bytes that were or will be sent or fetched, as far as it is known.
    pub(super) total: u64,
    /// Text about them, in parts.
    pub(super) words: Vec<String>,
}

impl CopyBytes {
    pub(super) fn new(progress: CopyProgress) -> CopyBytes {
        CopyBytes {
            progress,
            rate: ProgressBar::hidden(),
        }
    }

    /// Returns the bytes in a run with this number of targets that have no outcome yet; `None` if no bytes are known to be
    /// sent or fetched.
    pub(super) fn shown(&self, unfinished: usize) -> Option<ShownBytes> {
        let amounts = self.progress.amounts();
        if amounts.total == 0 {
            return None;
        }
        self.rate.set_position(amounts.moved);
        // A target that was not compared yet is taken for an average one.
        let unknown = unfinished.saturating_sub(amounts.open) as u64;
        let average = amounts.total / (amounts.compared as u64).max(1);
        let total = amounts.total.saturating_add(unknown * average);
        let about = if unknown > 0 { "~" } else { "" };
        let verb = match self.progress.direction() {
            CopyDirection::Sent => "sent",
            CopyDirection::Fetched => "fetched",
        };
        Some(ShownBytes {
            moved: amounts.moved,
            total,
            words: words(verb, amounts.moved, total, about, self.rate.per_sec()),
        })
    }
}

/// Returns the text: `sent 1.20 of 8.00 GiB`, `310.00 MiB/s`, `22 s left`. An estimate has `about` before it.
fn words(verb: &str, moved: u64, total: u64, about: &str, rate: f64) -> Vec<String> {
    let total_text = HumanBytes(total).to_string();
    let mut moved_text = HumanBytes(moved).to_string();
    // The terminal is narrow, so a unit is not repeated.
    if let (Some((number, unit)), Some((_, unit_of_total))) =
        (moved_text.split_once(' '), total_text.split_once(' '))
        && unit == unit_of_total
    {
        moved_text = number.to_owned();
    }
    let mut words = vec![format!("{verb} {moved_text} of {about}{total_text}")];
    let left = total.saturating_sub(moved);
    // The rate is not finite before any time was measured, and has no meaning after the last byte.
    if left > 0 && rate.is_finite() && rate >= 1.0 {
        words.push(format!("{}/s", HumanBytes(rate as u64)));
        if let Ok(left) = Duration::try_from_secs_f64(left as f64 / rate) {
            words.push(format!("{about}{} left", duration(left)));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_have_amounts_rate_and_time() {
        const GIB: u64 = 1 << 30;
        let line = |moved, total, about, rate| words("sent", moved, total, about, rate).join(", ");
        insta::assert_snapshot!(line(GIB, 8 * GIB, "", 325e6), @"sent 1.00 of 8.00 GiB, 309.94 MiB/s, 23 s left");
        insta::assert_snapshot!(line(GIB / 2, 8 * GIB, "~", 1e9), @"sent 512.00 MiB of ~8.00 GiB, 953.67 MiB/s, ~8.0 s left");
        insta::assert_snapshot!(line(0, GIB, "", f64::NAN), @"sent 0 B of 1.00 GiB");
        insta::assert_snapshot!(line(5, GIB, "", 0.0), @"sent 5 B of 1.00 GiB");
        insta::assert_snapshot!(line(GIB, GIB, "", 325e6), @"sent 1.00 of 1.00 GiB");
    }

    #[test]
    fn targets_that_were_not_compared_are_estimated() {
        let progress = CopyProgress::new(CopyDirection::Fetched);
        let bytes = CopyBytes::new(progress.clone());
        let mut first = progress.begin();
        let mut same = progress.begin();
        assert_eq!(bytes.shown(4), None);
        first.compared(3000);
        same.compared(0);
        first.moved(1000);
        let shown = bytes.shown(4).unwrap();
        assert_eq!((shown.moved, shown.total), (1000, 6000));
        assert!(shown.words[0].contains(" of ~"), "{shown:?}");
        assert!(shown.words[0].starts_with("fetched "), "{shown:?}");
        let shown = bytes.shown(2).unwrap();
        assert_eq!((shown.moved, shown.total), (1000, 3000));
        assert!(!shown.words.concat().contains('~'), "{shown:?}");
    }
}
