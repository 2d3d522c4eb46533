//! Standard input for the commands of a run (`-i`). One thread reads it once for all targets.
//!
//! The run has one [`Input`]. Each session takes an [`InputReader`], which is only a position: a session that cannot
//! write holds no bytes. Bytes that some target may still need are kept in a spool: in memory up to a limit, then in an
//! unnamed temporary file. If the file is full, reading waits for the slowest session. A regular file is not copied;
//! all readers read it in place.
//!
//! **Use in a transport**: keep the `Option<Input>` of the options. Before the command starts, [`Input::length`] is the
//! number of bytes if it is known: for regular files, and for pipes that have ended. After the command has started,
//! take [`Input::reader`]; not before, because a retry needs all bytes. Then, beside everything else that the session
//! waits for:
//!
//! ```ignore
//! let bytes = reader.peek().await?;        // cancel safe, and advances nothing
//! if bytes.is_empty() { /* the end: close the command's input */ }
//! let n = write_some(&bytes);              // without an await between this and the next line
//! reader.advance(n);
//! ```
//!
//! [`InputReader::peek_data`] does the same for sessions that can send parts of files themselves, without a copy of them.
//!
//! Wait until bytes can be written, and then peek: so a command that does not read needs no memory. After an error the
//! command must not treat the bytes so far as complete. Kill it before its input ends; the target fails with
//! [`TransportError::Input`]. A command that stops reading has not failed: drop the reader and wait for the command.
//! The dispatcher reports every ended target with [`Input::target_ended`].
//!
//! [`TransportError::Input`]: super::TransportError::Input

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio::time::timeout;

use crate::copy::{Copies, Dialogue, Segment};
use crate::spool::SpoolFile;
use crate::targets::TargetId;
pub use file_part::FilePart;
use spool::{InputSpool, SpooledData};

mod file_part;
mod fill;
mod spool;
#[cfg(test)]
mod tests;

/// Maximum number of bytes that [`InputReader::peek`] returns.
pub const MAX_INPUT_CHUNK: usize = 64 * 1024;

/// Number of bytes that the kernel reads ahead of a part of a file that is not in the page cache.
const READ_AHEAD: u64 = 2 << 20;

/// Maximum time for which a run waits for the end of an input that is no file, so that its length is known.
// Without the length, each target needs a half-close.
const LOOK_AHEAD: Duration = Duration::from_millis(250);

/// Limits of the spool for an input that is no regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLimits {
    /// Maximum number of bytes in memory.
    pub memory: usize,
    /// Maximum number of bytes in memory and in the temporary file together. One chunk may exceed it.
    pub spool: u64,
    /// Maximum time without any change while the spool is full and a command waits for more. After it, the input is too
    /// long: targets that have not started probably wait for that command. It must exceed the connect timeout.
    pub stall_timeout: Duration,
}

/// The reason why standard input cannot be passed on.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The input cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The temporary file cannot be created or written: the disk may be full.
    #[error(
        "cannot be kept in a temporary file: {0}; free some space, set TMPDIR, or give a file: -i < FILE"
    )]
    Spool(#[source] io::Error),
    /// The input is longer than the spool, and targets that are not started yet need all of it.
    #[error(
        "longer than the {limit} bytes that are kept for hosts still to be started: raise \
         --stdin-spool, or give a file: -i < FILE"
    )]
    TooLong {
        /// Limit of the spool.
        limit: u64,
    },
    /// The regular file has become shorter since the run began.
    #[error("the file became shorter while it was read")]
    Shrunk,
}

/// The standard input of a run's commands. Clones share it.
#[derive(Clone, Debug)]
pub struct Input {
    /// Bytes that come before those of the source.
    head: Arc<[u8]>,
    source: InputSource,
}

#[derive(Clone, Debug)]
enum InputSource {
    /// The same bytes for all targets.
    Shared(Arc<InputState>),
    /// Bytes that depend on the target's output.
    Copies(Copies),
}

#[derive(Debug)]
struct InputState {
    spool: Mutex<InputSpool>,
    /// Notified when there are more bytes, or the end.
    grown: Notify,
    /// Notified when the spool may accept more, or nobody needs more.
    released: Condvar,
}

impl InputState {
    fn new(spool: InputSpool) -> Arc<InputState> {
        Arc::new(InputState {
            spool: Mutex::new(spool),
            grown: Notify::new(),
            released: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, InputSpool> {
        // A panic cannot leave the spool half changed, so a poisoned lock is usable.
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Input {
    /// Starts reading `source` for this number of targets. A regular file is read from its current position, and its
    /// position is then at its end.
    ///
    /// # Errors
    /// The source cannot be read at all.
    pub fn start(source: impl AsFd, limits: InputLimits, targets: usize) -> io::Result<Input> {
        let mut source = File::from(source.as_fd().try_clone_to_owned()?);
        let about = source.metadata()?;
        // Files in /proc have length 0 and yet have content.
        if about.is_file() && about.len() > 0 {
            let from = source.stream_position()?;
            let length = about.len().saturating_sub(from);
            // A file that cannot be read is an error now, before the first connection.
            source.read_at(&mut [0], from)?;
            // As if it had been read, for programs that read the same descriptor after this one.
            source.seek(SeekFrom::Start(from + length))?;
            let spool = InputSpool::of_file(source, from, length, targets);
            return Ok(Input::of_source(InputSource::Shared(InputState::new(
                spool,
            ))));
        }
        let shared = InputState::new(InputSpool::empty(limits, targets));
        fill::start(source, Arc::clone(&shared))?;
        Ok(Input::of_source(InputSource::Shared(shared)))
    }

    fn of_source(source: InputSource) -> Input {
        Input {
            head: Arc::default(),
            source,
        }
    }

    /// Returns an input of these bytes.
    #[must_use]
    pub fn of_bytes(bytes: Arc<[u8]>) -> Input {
        let spool = InputSpool::ended();
        Input::of_source(InputSource::Shared(InputState::new(spool))).after(bytes)
    }

    /// Returns the input with these bytes before all others.
    #[must_use]
    pub fn after(self, head: Arc<[u8]>) -> Input {
        Input { head, ..self }
    }

    /// Returns the state that all targets share.
    #[cfg(test)]
    fn shared(&self) -> &Arc<InputState> {
        match &self.source {
            InputSource::Shared(shared) => shared,
            InputSource::Copies(_) => panic!("no input of its own"),
        }
    }

    /// Returns the input of commands that install files.
    #[must_use]
    pub fn of_copies(copies: Copies) -> Input {
        Input::of_source(InputSource::Copies(copies))
    }

    /// Returns the script of mrsh that reads this input. `None` if another command reads it.
    #[must_use]
    pub fn script(&self) -> Option<String> {
        let copies = self.copies()?;
        copies
            .protocol_command()
            .is_none()
            .then(|| copies.command())
    }

    /// Returns the server that reads this input, such as `rcp -t`. `None` if the user's command or a script reads it.
    #[must_use]
    pub fn protocol_command(&self) -> Option<Vec<u8>> {
        self.copies()?.protocol_command()
    }

    /// Returns the copies, if the commands install files.
    #[must_use]
    pub fn copies(&self) -> Option<&Copies> {
        match &self.source {
            InputSource::Copies(copies) => Some(copies),
            InputSource::Shared(_) => None,
        }
    }

    /// Returns the subsystem of ssh that takes the place of the command at a target, if one does.
    #[must_use]
    pub fn subsystem(&self, target: TargetId) -> Option<&'static str> {
        self.copies()?.subsystem(target)
    }

    /// Waits up to `LOOK_AHEAD` for the end, so that the length is known for all targets. Returns earlier if the input
    /// exceeds the memory limit.
    ///
    /// # Errors
    /// The input could not be read.
    pub async fn look_ahead(&self) -> Result<(), Arc<InputError>> {
        let InputSource::Shared(shared) = &self.source else {
            return Ok(());
        };
        let settled = async {
            loop {
                let mut grown = pin!(shared.grown.notified());
                // Registered before the check, so that no notification between the two is lost.
                grown.as_mut().enable();
                if shared.lock().is_settled() {
                    return;
                }
                grown.await;
            }
        };
        // A timeout is no error: the length is then unknown.
        let _ = timeout(LOOK_AHEAD, settled).await;
        match shared.lock().failure() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Returns the number of bytes of the whole input, if it is known now.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.source {
            InputSource::Shared(shared) => {
                let length = shared.lock().length()?;
                Some(length + self.head.len() as u64)
            }
            InputSource::Copies(_) => None,
        }
    }

    /// Returns a reader at the first byte, for a target whose command has started. A target takes one reader.
    #[must_use]
    pub fn reader(&self, target: TargetId) -> InputReader {
        let source = match &self.source {
            InputSource::Shared(shared) => {
                let slot = shared.lock().add_reader(target);
                shared.released.notify_all();
                ReaderSource::Shared {
                    shared: Arc::clone(shared),
                    slot,
                }
            }
            InputSource::Copies(copies) => ReaderSource::Dialogue(copies.begin(target)),
        };
        InputReader::new(Arc::clone(&self.head), source)
    }

    /// Records that a target has ended or will not be started. Nothing is kept for it any more.
    pub fn target_ended(&self, target: TargetId) {
        if let InputSource::Shared(shared) = &self.source {
            shared.lock().end_target(target);
            shared.released.notify_all();
        }
    }
}

/// Source of one target's input.
#[derive(Debug)]
enum ReaderSource {
    Shared {
        shared: Arc<InputState>,
        /// Index of the reader in the spool.
        slot: usize,
    },
    Dialogue(Arc<Dialogue>),
}

/// Input at the position of a reader.
#[derive(Debug)]
pub enum InputData {
    /// Bytes; none at the end of the input.
    Bytes(Vec<u8>),
    /// A part of a file.
    File(FilePart),
}

/// The position of one target in the input.
#[derive(Debug)]
pub struct InputReader {
    /// Bytes that come before those of the source.
    head: Arc<[u8]>,
    source: ReaderSource,
    position: u64,
    /// A read from the disk in progress. It is kept here, so that dropping the future of `peek` does not lose it.
    loading: Option<JoinHandle<Result<Vec<u8>, Arc<InputError>>>>,
    /// True if other tasks had a turn since the last part of a file.
    has_yielded: bool,
    /// True if parts of files are read on a thread.
    only_bytes: bool,
}

impl InputReader {
    fn new(head: Arc<[u8]>, source: ReaderSource) -> InputReader {
        InputReader {
            head,
            source,
            position: 0,
            loading: None,
            has_yielded: false,
            only_bytes: false,
        }
    }

    /// Returns a reader of these segments.
    #[cfg(test)]
    pub(super) fn of_segments(segments: Vec<Segment>) -> InputReader {
        let dialogue = crate::copy::testing::dialogue(segments);
        InputReader::new(Arc::default(), ReaderSource::Dialogue(dialogue))
    }

    /// Waits for bytes at the position and returns some of them, or none at the end. Returns the same bytes again until
    /// [`advance`](InputReader::advance) moves the position. Cancel safe.
    ///
    /// # Errors
    /// The rest of the input cannot be read. The command must then not see an end of its input.
    pub async fn peek(&mut self) -> Result<Vec<u8>, Arc<InputError>> {
        match self.peek_data().await? {
            InputData::Bytes(bytes) => Ok(bytes),
            InputData::File(part) => part.read(0, MAX_INPUT_CHUNK),
        }
    }

    /// Does the same as [`peek`](InputReader::peek) for a session that can send parts of files. Cancel safe.
    ///
    /// # Errors
    /// The same as those of `peek`.
    pub async fn peek_data(&mut self) -> Result<InputData, Arc<InputError>> {
        if let Some(head) = self.left_of_head() {
            let length = head.len().min(MAX_INPUT_CHUNK);
            return Ok(InputData::Bytes(head[..length].to_vec()));
        }
        loop {
            if let Some(loading) = &mut self.loading {
                let loaded = loading.await;
                self.loading = None;
                return match loaded {
                    Ok(loaded) => loaded.map(InputData::Bytes),
                    Err(error) => Err(Arc::new(InputError::Read(io::Error::other(error)))),
                };
            }
            let (file, at, length, is_checked) = match &self.source {
                ReaderSource::Dialogue(dialogue) => match dialogue.next().await {
                    Some(Segment::Bytes(bytes)) => {
                        let length = bytes.len().min(MAX_INPUT_CHUNK);
                        return Ok(InputData::Bytes(bytes[..length].to_vec()));
                    }
                    Some(Segment::File { file, at, length }) => (file, at, length, true),
                    None => return Ok(InputData::Bytes(Vec::new())),
                },
                ReaderSource::Shared { shared, .. } => {
                    let mut grown = pin!(shared.grown.notified());
                    // Registered before the check, so that no notification between the two is lost.
                    grown.as_mut().enable();
                    let held = shared.lock().at(self.position - self.head.len() as u64)?;
                    match held {
                        SpooledData::Bytes(bytes) => return Ok(InputData::Bytes(bytes)),
                        SpooledData::InFile { file, at, length } => {
                            (file, at, length as u64, false)
                        }
                        SpooledData::NotYet => {
                            grown.await;
                            continue;
                        }
                        SpooledData::End => return Ok(InputData::Bytes(Vec::new())),
                    }
                }
            };
            if !self.only_bytes
                && let Some(part) = FilePart::cached(&file, at, length, is_checked)
            {
                // A target that reads as fast as this program sends must not delay the others. The flag keeps the turn
                // if the future is dropped.
                if !std::mem::replace(&mut self.has_yielded, true) {
                    yield_now().await;
                }
                self.has_yielded = false;
                return Ok(InputData::File(part));
            }
            // On a thread, because a slow disk would block the event loop.
            let length = length.min(MAX_INPUT_CHUNK as u64) as usize;
            self.loading = Some(spawn_blocking(move || {
                file.read_ahead(at, READ_AHEAD);
                load(&file, at, length)
            }));
        }
    }

    /// Makes [`peek_data`](InputReader::peek_data) return bytes instead of parts of files from now on.
    pub fn refuse_files(&mut self) {
        self.only_bytes = true;
    }

    /// Moves the position by `n` bytes that [`peek`](InputReader::peek) has returned.
    pub fn advance(&mut self, n: usize) {
        self.position += n as u64;
        match &self.source {
            ReaderSource::Shared { shared, slot } => {
                // A variable, so that the lock is released before the notification.
                let position = self.position.saturating_sub(self.head.len() as u64);
                let awaited = shared.lock().advance(*slot, position);
                if awaited {
                    shared.released.notify_all();
                }
            }
            ReaderSource::Dialogue(dialogue) => dialogue.advance(n as u64),
        }
    }

    /// True if the command knows by itself how much it has to read, and ends without an end of its input.
    #[must_use]
    pub fn is_dialogue(&self) -> bool {
        matches!(self.source, ReaderSource::Dialogue(_))
    }

    /// Returns the number of bytes after the position, if it is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let ReaderSource::Shared { shared, .. } = &self.source else {
            return None;
        };
        let length = shared.lock().length()? + self.head.len() as u64;
        Some(length.saturating_sub(self.position))
    }

    /// Returns the bytes of the head from the position on, if there are any.
    fn left_of_head(&self) -> Option<&[u8]> {
        let position = usize::try_from(self.position).ok()?;
        self.head.get(position..).filter(|left| !left.is_empty())
    }
}

impl Drop for InputReader {
    fn drop(&mut self) {
        if let ReaderSource::Shared { shared, slot } = &self.source {
            shared.lock().remove_reader(*slot);
            shared.released.notify_all();
        }
    }
}

/// Reads up to `length` bytes at an offset.
fn load(file: &SpoolFile, offset: u64, length: usize) -> Result<Vec<u8>, Arc<InputError>> {
    let mut bytes = vec![0; length];
    match file.read_at(offset, &mut bytes) {
        // The file had the bytes at the start, so an early end means that it was cut.
        Ok(0) => Err(Arc::new(InputError::Shrunk)),
        Ok(length) => {
            bytes.truncate(length);
            Ok(bytes)
        }
        Err(error) => Err(Arc::new(InputError::Read(error))),
    }
}
