//! The thread that takes the output of targets and writes their files.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use crate::copy::Dialogues;
use crate::event::{Chunk, Stream};

/// Maximum number of chunks that wait for the thread. A chunk has at most 64 KiB.
const QUEUED_CHUNKS: usize = 64;

/// The thread.
#[derive(Debug)]
pub(in crate::copy) struct Writer(Mutex<WriterState>);

#[derive(Debug)]
struct WriterState {
    thread: Option<JoinHandle<()>>,
    /// The queue to the thread, and the place for the queue to the reports, until the run takes over.
    connection: Option<(mpsc::Sender<Chunk>, oneshot::Sender<mpsc::Sender<Chunk>>)>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(in crate::copy) fn start(dialogues: Dialogues) -> io::Result<Writer> {
        let (sender, queue) = mpsc::channel::<Chunk>(QUEUED_CHUNKS);
        let (connect, connected) = oneshot::channel();
        let thread = thread::Builder::new().name("fetch".to_owned());
        let thread = thread.spawn(move || {
            // Without reports there was no run.
            if let Ok(reports) = connected.blocking_recv() {
                write(queue, &dialogues, &reports);
            }
        })?;
        Ok(Writer(Mutex::new(WriterState {
            thread: Some(thread),
            connection: Some((sender, connect)),
        })))
    }

    /// Returns the queue to the thread, once. What is no reply goes on to `reports`.
    pub(in crate::copy) fn connect(
        &self,
        reports: mpsc::Sender<Chunk>,
    ) -> Option<mpsc::Sender<Chunk>> {
        let (sender, connect) = self.lock().connection.take()?;
        connect.send(reports).ok()?;
        Some(sender)
    }

    /// Waits for the end of the thread: of the queue, and of what is being written.
    pub(in crate::copy) fn join(&self) {
        let thread = {
            let mut state = self.lock();
            state.connection = None;
            state.thread.take()
        };
        if let Some(thread) = thread {
            // A panic of the thread has printed its message.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, WriterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes chunks until the run has ended.
fn write(mut queue: mpsc::Receiver<Chunk>, dialogues: &Dialogues, reports: &mpsc::Sender<Chunk>) {
    while let Some(chunk) = queue.blocking_recv() {
        let dialogue = dialogues.get(chunk.target);
        match &dialogue {
            Some(dialogue) if chunk.stream == Stream::Stdout => {
                // No command follows, so nothing is its output.
                let _ = dialogue.receive(&chunk.data);
            }
            // At the end of a run nobody takes it any more.
            _ => drop(reports.blocking_send(chunk)),
        }
        if let Some(dialogue) = dialogue {
            dialogue.count();
        }
    }
    // Dialogues that a signal ended remove what they have not finished.
    dialogues.clear();
}
