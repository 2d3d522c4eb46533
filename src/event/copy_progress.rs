//! Bytes that copies send or fetch: counted while the run goes on, and read by the progress bar.
//!
//! Counters instead of events, since there would be an event for each part that a socket takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of all copies of a run. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CopyProgress {
    counters: Arc<Counters>,
    direction: CopyDirection,
}

/// Direction of the bytes of a run's copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyDirection {
    /// To the targets.
    #[default]
    Sent,
    /// From the targets.
    Fetched,
}

// The counters are only shown, so they need no order among each other.
#[derive(Debug, Default)]
struct Counters {
    moved: AtomicU64,
    total: AtomicU64,
    compared: AtomicUsize,
    open: AtomicUsize,
}

/// Bytes of all copies of a run at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyAmounts {
    /// Number of bytes that were sent or fetched.
    pub moved: u64,
    /// Number of bytes that were or will be moved in copies whose targets have been compared. Copies that failed count
    /// with the bytes that were moved.
    pub total: u64,
    /// Number of targets that have been compared.
    pub compared: usize,
    /// Number of them whose copy is in progress.
    pub open: usize,
}

/// Bytes of the copy to or from one target. Dropping it ends the copy.
#[derive(Debug)]
pub struct TargetProgress {
    all: CopyProgress,
    /// Number of bytes that are not moved yet; `None` before the target was compared.
    left: Option<u64>,
}

impl CopyProgress {
    /// Returns the bytes of copies in this direction.
    #[must_use]
    pub fn new(direction: CopyDirection) -> CopyProgress {
        CopyProgress {
            counters: Arc::default(),
            direction,
        }
    }

    /// Direction of the bytes.
    #[must_use]
    pub fn direction(&self) -> CopyDirection {
        self.direction
    }

    /// Returns the current numbers.
    #[must_use]
    pub fn amounts(&self) -> CopyAmounts {
        let counters = &self.counters;
        CopyAmounts {
            moved: counters.moved.load(Ordering::Relaxed),
            total: counters.total.load(Ordering::Relaxed),
            compared: counters.compared.load(Ordering::Relaxed),
            open: counters.open.load(Ordering::Relaxed),
        }
    }

    /// Begins the copy to or from a target.
    #[must_use]
    pub fn begin(&self) -> TargetProgress {
        TargetProgress {
            all: self.clone(),
            left: None,
        }
    }
}

impl TargetProgress {
    /// Records that the target was compared, and the number of bytes that will be moved. Further calls do nothing.
    pub fn compared(&mut self, bytes: u64) {
        if self.left.is_none() {
            self.left = Some(bytes);
            let counters = &self.all.counters;
            counters.total.fetch_add(bytes, Ordering::Relaxed);
            counters.compared.fetch_add(1, Ordering::Relaxed);
            counters.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that a part of these bytes was moved.
    pub fn moved(&mut self, bytes: u64) {
        if let Some(left) = &mut self.left {
            let bytes = bytes.min(*left);
            *left -= bytes;
            self.all.counters.moved.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for TargetProgress {
    fn drop(&mut self) {
        if let Some(left) = self.left {
            let counters = &self.all.counters;
            counters.total.fetch_sub(left, Ordering::Relaxed);
            counters.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_ends_early_counts_with_the_bytes_that_were_moved() {
        let all = CopyProgress::default();
        let mut whole = all.begin();
        let mut failed = all.begin();
        let unknown = all.begin();
        whole.compared(100);
        whole.compared(7);
        failed.compared(50);
        whole.moved(100);
        failed.moved(20);
        let amounts = |moved, total, open| CopyAmounts {
            moved,
            total,
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
