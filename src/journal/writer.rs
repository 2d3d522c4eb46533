//! The writer of journals: a thread of its own, so that the event loop never waits for a disk.
//!
//! Group commit: one fdatasync(2) serves all targets that wait at that time. The thread wakes the event loop once for
//! each commit, and the dispatcher wakes the targets ([`Journal::committed`]).

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::file::JournalFile;
use super::record::{WrittenLine, push_line};
use crate::event::{Finished, FinishedRecord};
use crate::targets::{Target, TargetId};

/// Maximum time for which outcomes wait for further lines.
// A write for each outcome of a large run would cost more than the outcome. An outcome that is lost when mrsh is
// killed makes its target uncertain, so the time is short.
const OUTCOME_DELAY: Duration = Duration::from_millis(2);

/// The line of a target cannot be written, so its command must not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRecorded;

/// The journal of a run. Clones share it.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the thread.
    lines: Condvar,
    /// Wakes the event loop after a commit or a failure.
    commits: Notify,
    /// The targets of this session.
    targets: Arc<[Target]>,
    /// Their numbers in the journal; `None` if they are the same.
    numbers: Option<Arc<[u32]>>,
}

/// Lines that are not written yet, and the targets that wait for them.
#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    /// Number of starts that were queued so far.
    queued: u64,
    /// Number of starts that are on the disk.
    committed: u64,
    /// Position of each target's line among the starts.
    positions: HashMap<TargetId, u64>,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    /// True if the thread must be woken for starts.
    is_due: bool,
    failed: bool,
    closed: bool,
}

/// The thread that writes a journal.
#[derive(Debug)]
pub struct JournalWriter {
    journal: Journal,
    thread: JoinHandle<io::Result<()>>,
}

impl JournalWriter {
    /// Starts the thread. `numbers` are the targets' numbers in the journal, if they are not their positions.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        file: JournalFile,
        targets: Arc<[Target]>,
        numbers: Option<Arc<[u32]>>,
    ) -> io::Result<JournalWriter> {
        let journal = Journal(Arc::new(Shared {
            queue: Mutex::default(),
            lines: Condvar::new(),
            commits: Notify::new(),
            targets,
            numbers,
        }));
        let shared = Arc::clone(&journal.0);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&shared, file))?;
        Ok(JournalWriter { journal, thread })
    }

    /// Returns the journal for the run.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// Writes everything and ends the thread.
    ///
    /// # Errors
    /// Lines are missing in the journal.
    pub fn finish(self) -> io::Result<()> {
        let shared = &self.journal.0;
        shared.lock().closed = true;
        shared.lines.notify_one();
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread of the journal panicked")))
    }
}

impl Journal {
    /// Returns when the line that the command of this target may start is on the disk. A target has one such line,
    /// also if it needs several attempts.
    ///
    /// # Errors
    /// The line could not be written. The command must not start.
    pub async fn record_start(&self, target: TargetId) -> Result<(), NotRecorded> {
        let (committed, is_first) = {
            let mut queue = self.0.lock();
            if queue.failed {
                return Err(NotRecorded);
            }
            let position = match queue.positions.get(&target) {
                Some(known) if *known <= queue.committed => return Ok(()),
                Some(known) => *known,
                None => self.queue_start(&mut queue, target),
            };
            let (done, committed) = oneshot::channel();
            queue.waiting.push_back((position, done));
            (committed, !std::mem::replace(&mut queue.is_due, true))
        };
        if is_first {
            // All tasks that are ready now add their lines first. The guard also acts if this future is dropped.
            let _guard = WakeThread(self);
            tokio::task::yield_now().await;
        }
        committed.await.map_err(|_| NotRecorded)
    }

    fn queue_start(&self, queue: &mut Queue, target: TargetId) -> u64 {
        queue.queued += 1;
        queue.positions.insert(target, queue.queued);
        let line = WrittenLine::Started {
            target: self.number(target),
            label: &self.0.targets[target.index()].label,
        };
        push_line(&line, &mut queue.lines);
        queue.queued
    }

    /// Adds the outcome of a target.
    pub fn record_end(&self, finished: &Finished) {
        let label = &self.0.targets[finished.target.index()].label;
        let number = self.number(finished.target);
        let record = FinishedRecord::new(finished, label).with_number(number);
        let line = WrittenLine::Finished(Box::new(record));
        let mut queue = self.0.lock();
        queue.positions.remove(&finished.target);
        if queue.failed {
            return;
        }
        let is_first = queue.lines.is_empty();
        push_line(&line, &mut queue.lines);
        drop(queue);
        if is_first {
            self.0.lines.notify_one();
        }
    }

    fn number(&self, target: TargetId) -> u32 {
        let numbers = self.0.numbers.as_ref();
        numbers.map_or(target.0, |numbers| numbers[target.index()])
    }

    /// Waits for the next commit, and wakes the targets whose lines are on the disk. Cancel safe.
    ///
    /// # Errors
    /// The journal cannot be written. No target gets its line any more.
    pub async fn committed(&self) -> Result<(), NotRecorded> {
        self.0.commits.notified().await;
        let mut queue = self.0.lock();
        while let Some((position, _)) = queue.waiting.front()
            && *position <= queue.committed
        {
            if let Some((_, done)) = queue.waiting.pop_front() {
                // The target may have been cancelled meanwhile.
                let _ = done.send(());
            }
        }
        if queue.failed {
            // A commit and the failure after it may wake this task only once, so the targets of the commit come first.
            // The others learn it when their senders are dropped.
            queue.waiting.clear();
            return Err(NotRecorded);
        }
        Ok(())
    }
}

/// Wakes the thread when it is dropped.
struct WakeThread<'a>(&'a Journal);

impl Drop for WakeThread<'_> {
    fn drop(&mut self) {
        self.0.0.lines.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic cannot leave the queue half changed, so a poisoned lock is usable.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines. Returns the position of the last start among them; `None` without lines at the end.
    fn next_lines(&self, lines: &mut Vec<u8>) -> Option<(u64, bool)> {
        let mut queue = self.lock();
        while queue.lines.is_empty() && !queue.closed {
            queue = wait(&self.lines, queue, None);
        }
        if !queue.is_due && !queue.closed {
            queue = wait(&self.lines, queue, Some(OUTCOME_DELAY));
        }
        lines.clear();
        std::mem::swap(lines, &mut queue.lines);
        let needs_commit = std::mem::take(&mut queue.is_due);
        (!lines.is_empty()).then_some((queue.queued, needs_commit))
    }
}

fn wait<'a>(
    woken: &Condvar,
    queue: MutexGuard<'a, Queue>,
    most: Option<Duration>,
) -> MutexGuard<'a, Queue> {
    match most {
        None => woken.wait(queue).unwrap_or_else(PoisonError::into_inner),
        Some(most) => {
            let waited = woken.wait_timeout(queue, most);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

/// Writes lines until the end of the run, or until a write fails.
fn write_all(shared: &Shared, file: JournalFile) -> io::Result<()> {
    let written = write_lines(shared, file);
    if written.is_err() {
        let mut queue = shared.lock();
        queue.failed = true;
        queue.lines = Vec::new();
        drop(queue);
        shared.commits.notify_one();
    }
    written
}

fn write_lines(shared: &Shared, mut file: JournalFile) -> io::Result<()> {
    let mut lines = Vec::new();
    while let Some((last, needs_commit)) = shared.next_lines(&mut lines) {
        let length = file.length();
        let mut written = file.write_all(&lines);
        if written.is_ok() && needs_commit {
            written = file.commit();
        }
        if let Err(error) = written {
            // Without the lines of this batch, its targets have provably not started. If this fails too, they are
            // uncertain for --resume, which is safe.
            let _ = file.cut(length);
            return Err(error);
        }
        if needs_commit {
            shared.lock().committed = last;
            shared.commits.notify_one();
        }
    }
    file.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_target_whose_line_is_on_the_disk_starts_also_if_the_next_write_fails() {
        let journal = Journal(Arc::new(Shared {
            queue: Mutex::default(),
            lines: Condvar::new(),
            commits: Notify::new(),
            targets: Arc::from([]),
            numbers: None,
        }));
        let (on_disk, first) = oneshot::channel();
        let (missing, second) = oneshot::channel();
        {
            let mut queue = journal.0.lock();
            queue.waiting = VecDeque::from([(1, on_disk), (2, missing)]);
            queue.committed = 1;
            queue.failed = true;
        }
        journal.0.commits.notify_one();
        assert_eq!(journal.committed().await, Err(NotRecorded));
        assert_eq!(first.await, Ok(()));
        assert!(second.await.is_err());
    }
}
