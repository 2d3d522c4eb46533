//! The bytes of copies in the progress bar: sent, to be sent, rate and remaining time.

use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar};

use super::summary::duration;
use crate::event::CopyProgress;

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
    pub(super) sent: u64,
    /// Number of bytes that were or will be sent, as far as it is known.
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

    /// Returns the bytes in a run with this number of targets that have no outcome yet; `None` if nothing is known to be
    /// sent.
    pub(super) fn shown(&self, unfinished: usize) -> Option<ShownBytes> {
        let amounts = self.progress.amounts();
        if amounts.to_send == 0 {
            return None;
        }
        self.rate.set_position(amounts.sent);
        // A target that was not compared yet is taken for an average one.
        let unknown = unfinished.saturating_sub(amounts.open) as u64;
        let average = amounts.to_send / (amounts.compared as u64).max(1);
        let total = amounts.to_send.saturating_add(unknown * average);
        let about = if unknown > 0 { "~" } else { "" };
        Some(ShownBytes {
            sent: amounts.sent,
            total,
            words: words(amounts.sent, total, about, self.rate.per_sec()),
        })
    }
}

/// Returns the text: `sent 1.20 of 8.00 GiB`, `310.00 MiB/s`, `22 s left`. An estimate has `about` before it.
fn words(sent: u64, total: u64, about: &str, rate: f64) -> Vec<String> {
    let total_text = HumanBytes(total).to_string();
    let mut sent_text = HumanBytes(sent).to_string();
    // The terminal is narrow, so a unit is not repeated.
    if let (Some((number, unit)), Some((_, unit_of_total))) =
        (sent_text.split_once(' '), total_text.split_once(' '))
        && unit == unit_of_total
    {
        sent_text = number.to_owned();
    }
    let mut words = vec![format!("sent {sent_text} of {about}{total_text}")];
    let left = total.saturating_sub(sent);
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
        let line = |sent, total, about, rate| words(sent, total, about, rate).join(", ");
        insta::assert_snapshot!(line(GIB, 8 * GIB, "", 325e6), @"sent 1.00 of 8.00 GiB, 309.94 MiB/s, 23 s left");
        insta::assert_snapshot!(line(GIB / 2, 8 * GIB, "~", 1e9), @"sent 512.00 MiB of ~8.00 GiB, 953.67 MiB/s, ~8.0 s left");
        insta::assert_snapshot!(line(0, GIB, "", f64::NAN), @"sent 0 B of 1.00 GiB");
        insta::assert_snapshot!(line(5, GIB, "", 0.0), @"sent 5 B of 1.00 GiB");
        insta::assert_snapshot!(line(GIB, GIB, "", 325e6), @"sent 1.00 of 1.00 GiB");
    }

    #[test]
    fn targets_that_were_not_compared_are_estimated() {
        let progress = CopyProgress::default();
        let bytes = CopyBytes::new(progress.clone());
        let mut first = progress.begin();
        let mut same = progress.begin();
        assert_eq!(bytes.shown(4), None);
        first.compared(3000);
        same.compared(0);
        first.sent(1000);
        let shown = bytes.shown(4).unwrap();
        assert_eq!((shown.sent, shown.total), (1000, 6000));
        assert!(shown.words[0].contains(" of ~"), "{shown:?}");
        let shown = bytes.shown(2).unwrap();
        assert_eq!((shown.sent, shown.total), (1000, 3000));
        assert!(!shown.words.concat().contains('~'), "{shown:?}");
    }
}
