//! The way of a command's output to the dispatcher: a queue with a bound, and for each target the time for
//! which the queue had no place for its output.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::clock::ProcessClock;
use crate::event::Chunk;
use crate::reader::Reader;

/// One target's end of the queue of output.
#[derive(Debug)]
pub struct Output {
    chunks: mpsc::Sender<Chunk>,
    reader: Reader,
    clock: ProcessClock,
    state: Mutex<State>,
    /// Notified when the target has a place it waited for.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    sent: u64,
    /// The time of the last piece, in time of [`ProcessClock::running`].
    last: Duration,
    held_back: Duration,
    /// The beginning of the wait for a place.
    waiting: Option<Moment>,
}

/// A moment on the two clocks that are compared.
#[derive(Clone, Copy, Debug)]
struct Moment {
    running: Duration,
    blocked: Duration,
}

/// A place in the queue for one piece of output.
#[derive(Debug)]
#[must_use = "a place is there to be used"]
pub struct Place<'a> {
    permit: mpsc::Permit<'a, Chunk>,
    output: &'a Output,
}

impl Output {
    /// A target's end of this queue, which `reader` empties in the end.
    #[must_use]
    pub fn new(chunks: mpsc::Sender<Chunk>, reader: Reader, clock: ProcessClock) -> Self {
        Output {
            chunks,
            reader,
            clock,
            state: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Waits for a place in the queue. A queue without a receiver means that the run is being given up: its
    /// host tasks are told so by other means, and until then there is nothing to do. Cancel safe.
    pub async fn room(&self) -> Place<'_> {
        if let Ok(permit) = self.chunks.try_reserve() {
            // A stream without end uses up the task's turn, so that its timers are looked at.
            tokio::task::consume_budget().await;
            let output = self;
            return Place { permit, output };
        }
        let _waiting = Waiting::begin(self);
        match self.chunks.reserve().await {
            Ok(permit) => Place {
                permit,
                output: self,
            },
            Err(_) => std::future::pending().await,
        }
    }

    /// True if the target waits for a place in the queue.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.lock().waiting.is_some()
    }

    /// Returns when the target has had a place that it waited for since the last call. Cancel safe.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Time so far in which the target waited for a place and the reader made the program wait.
    #[must_use]
    pub fn held_back(&self) -> Duration {
        let (known, waiting) = {
            let state = self.lock();
            (state.held_back, state.waiting)
        };
        known
            + waiting
                .map(|since| self.held_since(since))
                .unwrap_or_default()
    }

    /// Number of pieces sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// The time at which the target last had output, in time of [`ProcessClock::running`].
    #[must_use]
    pub fn last(&self) -> Duration {
        self.lock().last
    }

    fn now(&self) -> Moment {
        Moment {
            running: self.clock.running(),
            blocked: self.reader.blocked(),
        }
    }

    /// Time since that moment in which the reader blocked, without the time in which this process was stopped.
    fn held_since(&self, since: Moment) -> Duration {
        let now = self.now();
        let running = now.running.saturating_sub(since.running);
        running.min(now.blocked.saturating_sub(since.blocked))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below the lock is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Puts a piece of output there.
    pub fn send(self, chunk: Chunk) {
        let now = self.output.clock.running();
        let mut state = self.output.lock();
        state.sent += 1;
        state.last = now;
        drop(state);
        self.permit.send(chunk);
    }
}

/// A target that waits for a place, as long as this lives.
struct Waiting<'a>(&'a Output);

impl<'a> Waiting<'a> {
    fn begin(output: &'a Output) -> Self {
        let now = output.now();
        output.lock().waiting = Some(now);
        Waiting(output)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let held = self.0.held_back();
        let now = self.0.clock.running();
        let mut state = self.0.lock();
        state.held_back = held;
        state.waiting = None;
        // A target that waited was not silent.
        state.last = now;
        drop(state);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stream;
    use crate::targets::TargetId;
    use tokio::time::{advance, sleep};

    fn chunk() -> Chunk {
        Chunk {
            target: TargetId(0),
            stream: Stream::Stdout,
            data: vec![b'x'],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_wait_for_a_blocked_reader_is_held_back() {
        let (sender, mut chunks) = mpsc::channel(1);
        let (reader, clock) = (Reader::default(), ProcessClock::default());
        let output = Output::new(sender, reader.clone(), clock);
        let seconds = Duration::from_secs;
        let write = reader.write();
        advance(seconds(3)).await;
        output.room().await.send(chunk());
        assert_eq!(output.held_back(), Duration::ZERO, "there was a place");
        let emptied = async {
            sleep(seconds(5)).await;
            assert_eq!(
                (output.held_back(), output.is_waiting()),
                (seconds(5), true)
            );
            drop(write);
            sleep(seconds(2)).await;
            chunks.recv().await.unwrap();
        };
        tokio::join!(
            async { output.room().await.send(chunk()) },
            emptied,
            output.freed()
        );
        assert_eq!(
            (output.held_back(), output.is_waiting()),
            (seconds(5), false)
        );
        assert_eq!((output.sent(), output.last()), (2, seconds(10)));
    }
}
