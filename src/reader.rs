//! The reader of this program's output, as far as it makes the program wait.
//!
//! Whoever writes to standard output and standard error measures here how long the writes take. A command
//! whose output cannot be passed on meanwhile must not be charged for that time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A write that takes no longer was not held up: a file or /dev/null takes every write so.
const PROMPT: Duration = Duration::from_micros(50);

/// The time for which writes were held up, shared by the writer and those who ask.
#[derive(Clone, Debug, Default)]
pub struct Reader(Arc<Mutex<Times>>);

#[derive(Debug, Default)]
struct Times {
    blocked: Duration,
    /// The beginning of the write that is under way.
    since: Option<Instant>,
    writes: u64,
}

impl Reader {
    /// Notes that a write begins. It ends when the guard is dropped.
    #[must_use]
    pub fn write(&self) -> Write<'_> {
        self.lock().since = Some(Instant::now());
        Write(self)
    }

    /// Time so far for which the reader has made writes wait.
    #[must_use]
    pub fn blocked(&self) -> Duration {
        let times = self.lock();
        let present = times.since.map(|since| since.elapsed()).unwrap_or_default();
        times.blocked + counted(present)
    }

    /// Number of writes that have come to their end.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        // Every change below the lock is complete in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is under way.
#[derive(Debug)]
pub struct Write<'a>(&'a Reader);

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let mut times = self.0.lock();
        if let Some(since) = times.since.take() {
            times.blocked += counted(since.elapsed());
        }
        times.writes += 1;
    }
}

fn counted(time: Duration) -> Duration {
    match time > PROMPT {
        true => time,
        false => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn only_writes_that_are_held_up_count() {
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
