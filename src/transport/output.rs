//! The bounded queue of output to the dispatcher. For each target it measures the time in which the queue was full.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::clock::ProcessClock;
use crate::copy::Copies;
use crate::event::{Chunk, Stream};
use crate::reader::Reader;

/// The sending end of the queue for one target.
#[derive(Debug)]
pub struct Output {
    chunks: mpsc::Sender<Chunk>,
    reader: Reader,
    clock: ProcessClock,
    /// The copies of the run. They take the output up to the start of the command.
    copies: Option<Copies>,
    state: Mutex<OutputState>,
    /// Notified when a wait of the target for a slot has ended.
    freed: Notify,
}

#[derive(Debug, Default)]
struct OutputState {
    sent: u64,
    /// Time of the last chunk, in time of [`ProcessClock::running`].
    last: Duration,
    held_back: Duration,
    /// Start of the current wait for a slot.
    waiting: Option<ClockReading>,
}

/// The readings of two clocks at one time.
#[derive(Clone, Copy, Debug)]
struct ClockReading {
    running: Duration,
    blocked: Duration,
}

/// A reserved slot in the queue for one chunk.
#[derive(Debug)]
#[must_use = "a reserved slot is for a chunk"]
pub struct OutputPermit<'a> {
    permit: mpsc::Permit<'a, Chunk>,
    output: &'a Output,
}

impl Output {
    /// Returns a target's end of this queue. `reader` is the reader of the reports.
    #[must_use]
    pub fn new(
        chunks: mpsc::Sender<Chunk>,
        reader: Reader,
        clock: ProcessClock,
        copies: Option<Copies>,
    ) -> Self {
        Output {
            chunks,
            reader,
            clock,
            copies,
            state: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Waits for a slot in the queue. Never returns if the queue has no receiver: then the run ends, and the
    /// cancellation ends the host task. Cancel safe.
    pub async fn reserve(&self) -> OutputPermit<'_> {
        if let Ok(permit) = self.chunks.try_reserve() {
            // An endless stream must use up the task's budget in tokio, so that other tasks and timers get a turn.
            tokio::task::consume_budget().await;
            let output = self;
            return OutputPermit { permit, output };
        }
        // A guard, since the wait may be cancelled: its time counts all the same.
        let _waiting = PermitWait::begin(self);
        match self.chunks.reserve().await {
            Ok(permit) => OutputPermit {
                permit,
                output: self,
            },
            // The receiver is dropped only at the end of the run. The cancellation then drops this future.
            Err(_) => std::future::pending().await,
        }
    }

    /// True if the target waits for a slot.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.lock().waiting.is_some()
    }

    /// Returns when a wait of the target for a slot has ended since the last call. Cancel safe.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Returns the time so far in which the target waited for a slot because the reader blocked this program.
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

    /// Returns the number of chunks sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// Returns the time of the target's last output, in time of `ProcessClock::running`.
    #[must_use]
    pub fn last(&self) -> Duration {
        self.lock().last
    }

    fn now(&self) -> ClockReading {
        ClockReading {
            running: self.clock.running(),
            blocked: self.reader.blocked(),
        }
    }

    /// Returns the time since `since` in which the reader blocked, without the time in which this process was stopped.
    fn held_since(&self, since: ClockReading) -> Duration {
        let now = self.now();
        let running = now.running.saturating_sub(since.running);
        // The time of the reader may include a stop of this process (SIGSTOP), which blocks no target.
        running.min(now.blocked.saturating_sub(since.blocked))
    }

    fn lock(&self) -> MutexGuard<'_, OutputState> {
        // A panic cannot leave the state half changed, so a poisoned lock is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputPermit<'_> {
    /// Sends a chunk.
    pub fn send(self, mut chunk: Chunk) {
        let now = self.output.clock.running();
        let mut state = self.output.lock();
        state.sent += 1;
        state.last = now;
        drop(state);
        if let Some(copies) = &self.output.copies
            && chunk.stream == Stream::Stdout
        {
            chunk.data = copies.receive(chunk.target, &chunk.data);
        }
        // The permit frees its slot when it is dropped.
        if !chunk.data.is_empty() {
            self.permit.send(chunk);
        }
    }
}

/// A guard for the wait of a target for a slot.
struct PermitWait<'a>(&'a Output);

impl<'a> PermitWait<'a> {
    fn begin(output: &'a Output) -> Self {
        let now = output.now();
        output.lock().waiting = Some(now);
        PermitWait(output)
    }
}

impl Drop for PermitWait<'_> {
    fn drop(&mut self) {
        let held = self.0.held_back();
        let now = self.0.clock.running();
        let mut state = self.0.lock();
        state.held_back = held;
        state.waiting = None;
        // A target that waited had output, so it was not idle.
        state.last = now;
        drop(state);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let output = Output::new(sender, reader.clone(), clock, None);
        let seconds = Duration::from_secs;
        let write = reader.write();
        advance(seconds(3)).await;
        output.reserve().await.send(chunk());
        assert_eq!(output.held_back(), Duration::ZERO, "there was a slot");
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
            async { output.reserve().await.send(chunk()) },
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
