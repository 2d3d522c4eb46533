//! Time for which the reader of this program's output, such as a pager, blocks the program.
//!
//! The reporters measure their writes to standard output and standard error here. Limits on a command do not count
//! this time if the command's output waits for the reader.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Maximum time of a write that was not blocked.
// Writes to a file or to /dev/null take less.
const UNBLOCKED: Duration = Duration::from_micros(50);

/// The time for which writes were blocked. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Reader(Arc<Mutex<BlockedTime>>);

#[derive(Debug, Default)]
struct BlockedTime {
    blocked: Duration,
    /// Start of the current write.
    since: Option<Instant>,
    writes: u64,
}

impl Reader {
    /// Records the start of a write. It ends when the guard is dropped.
    #[must_use]
    pub fn write(&self) -> WriteGuard<'_> {
        self.lock().since = Some(Instant::now());
        WriteGuard(self)
    }

    /// Returns the time so far for which the reader has blocked writes.
    #[must_use]
    pub fn blocked(&self) -> Duration {
        let times = self.lock();
        let current = times.since.map(|since| since.elapsed()).unwrap_or_default();
        times.blocked + counted(current)
    }

    /// Returns the number of finished writes.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    fn lock(&self) -> MutexGuard<'_, BlockedTime> {
        // A panic cannot leave the times half changed, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guard for the current write.
#[derive(Debug)]
pub struct WriteGuard<'a>(&'a Reader);

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        let mut times = self.0.lock();
        if let Some(since) = times.since.take() {
            times.blocked += counted(since.elapsed());
        }
        times.writes += 1;
    }
}

fn counted(time: Duration) -> Duration {
    if time > UNBLOCKED {
        time
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn only_blocked_writes_are_counted() {
        let reader = Reader::default();
        for _ in 0..100 {
            let write = reader.write();
            advance(Duration::from_micros(40)).await;
            drop(write);
        }
        assert_eq!((reader.blocked(), reader.writes()), (Duration::ZERO, 100));
        let write = reader.write();
        advance(Duration::from_secs(3)).await;
        assert_eq!(reader.blocked(), Duration::from_secs(3));
        drop(write);
        advance(Duration::from_secs(3)).await;
        let known = (reader.blocked(), reader.writes());
        assert_eq!(known, (Duration::from_secs(3), 101));
    }
}
