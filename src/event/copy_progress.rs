//! Bytes that copies send: counted while the run goes on, and read by the progress bar.
//!
//! Counters instead of events, since there would be an event for each part that a socket takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of all copies of a run. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CopyProgress(Arc<Counters>);

// The counters are only shown, so they need no order among each other.
#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    to_send: AtomicU64,
    compared: AtomicUsize,
    open: AtomicUsize,
}

/// Bytes of all copies of a run at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyAmounts {
    /// Number of bytes that were sent.
    pub sent: u64,
    /// Number of bytes that were or will be sent to targets that have been compared. Copies that failed count with
    /// what was sent.
    pub to_send: u64,
    /// Number of targets that have been compared.
    pub compared: usize,
    /// Number of them whose copy is in progress.
    pub open: usize,
}

/// Bytes of the copy to one target. Dropping it ends the copy.
#[derive(Debug)]
pub struct TargetProgress {
    all: CopyProgress,
    /// Number of bytes that are not sent yet; `None` before the target was compared.
    left: Option<u64>,
}

impl CopyProgress {
    /// Returns the current numbers.
    #[must_use]
    pub fn amounts(&self) -> CopyAmounts {
        let counters = &self.0;
        CopyAmounts {
            sent: counters.sent.load(Ordering::Relaxed),
            to_send: counters.to_send.load(Ordering::Relaxed),
            compared: counters.compared.load(Ordering::Relaxed),
            open: counters.open.load(Ordering::Relaxed),
        }
    }

    /// Begins the copy to a target.
    #[must_use]
    pub fn begin(&self) -> TargetProgress {
        TargetProgress {
            all: self.clone(),
            left: None,
        }
    }
}

impl TargetProgress {
    /// Records that the target was compared, and the number of bytes that will be sent to it. Further calls do nothing.
    pub fn compared(&mut self, bytes: u64) {
        if self.left.is_none() {
            self.left = Some(bytes);
            let counters = &self.all.0;
            counters.to_send.fetch_add(bytes, Ordering::Relaxed);
            counters.compared.fetch_add(1, Ordering::Relaxed);
            counters.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that a part of these bytes was sent.
    pub fn sent(&mut self, bytes: u64) {
        if let Some(left) = &mut self.left {
            let bytes = bytes.min(*left);
            *left -= bytes;
            self.all.0.sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for TargetProgress {
    fn drop(&mut self) {
        if let Some(left) = self.left {
            let counters = &self.all.0;
            counters.to_send.fetch_sub(left, Ordering::Relaxed);
            counters.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_ends_early_counts_with_what_was_sent() {
        let all = CopyProgress::default();
        let mut whole = all.begin();
        let mut failed = all.begin();
        let unknown = all.begin();
        whole.compared(100);
        whole.compared(7);
        failed.compared(50);
        whole.sent(100);
        failed.sent(20);
        let amounts = |sent, to_send, open| CopyAmounts {
            sent,
            to_send,
            compared: 2,
            open,
        };
        assert_eq!(all.amounts(), amounts(120, 150, 2));
        drop((failed, unknown));
        assert_eq!(all.amounts(), amounts(120, 120, 1));
        drop(whole);
        assert_eq!(all.amounts(), amounts(120, 120, 0));
    }
}
