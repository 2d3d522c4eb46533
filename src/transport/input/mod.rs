//! Standard input for the commands of a run (`-i`): read once, by one thread, for all targets.
//!
//! [`Input`] is the run's; a session that has started its command takes an [`InputReader`], which is a
//! place in what was read and nothing more: a session that cannot write holds no bytes. What any target
//! may still need is kept: in memory up to a bound, then in an unnamed temporary file, and past the
//! file's bound the slowest session sets the pace. A regular file is not kept at all, but read where
//! it lies.
//!
//! **For a transport**: keep the `Option<Input>` of its options. Before a command is started,
//! [`Input::length`] says how many bytes there will be, if that is known by then; it is for regular
//! files, and for a pipe that had ended. When the command has started, and not before, since a host
//! that is tried again must still find everything, take [`Input::reader`]. Then, beside everything else
//! that the session waits for:
//!
//! ```ignore
//! let bytes = reader.peek().await?;        // cancel safe, and advances nothing
//! if bytes.is_empty() { /* the end: close the command's input */ }
//! let n = write_some(&bytes);              // without an await between this and the next line
//! reader.advance(n);
//! ```
//!
//! Wait for room first and then peek: so a command that reads nothing costs nothing. An error means
//! that the rest cannot be had; the command must not take what it got for all, so it is to be killed
//! before its input ends, and the target fails with [`TransportError::Input`]. A command that reads no
//! more is no failure: drop the reader and go by the command's own end. The dispatcher says of every
//! target when it has ended ([`Input::target_ended`]).
//!
//! [`TransportError::Input`]: super::TransportError::Input

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::targets::TargetId;
use store::{Held, Store};

mod feed;
mod store;
#[cfg(test)]
mod tests;

/// The most bytes that [`InputReader::peek`] gives at once.
pub const MAX_PIECE: usize = 64 * 1024;

/// How long a run waits before its first host for an input that is no file to end, so that its length
/// is known. One that goes on costs a half-close for each host, and nothing else.
const LOOK_AHEAD: Duration = Duration::from_millis(250);

/// How much of an input that is no regular file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLimits {
    /// In memory.
    pub memory: usize,
    /// In all, but for a piece; what memory does not hold is in the temporary file.
    pub spool: u64,
    /// How long nothing may happen, with the spool full and a command waiting for more, before targets
    /// that have not started count as waiting for that very command. Longer than it takes to connect.
    pub patience: Duration,
}

/// Why standard input cannot be passed on, or no further.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The temporary file cannot be made, written or read: the disk may be full.
    #[error(
        "cannot be kept in a temporary file: {0}; free some space, set TMPDIR, or give a file: -i < FILE"
    )]
    Spool(#[source] io::Error),
    /// It is longer than the spool, and hosts that are still to be started, when others have ended, need
    /// all of it.
    #[error(
        "longer than the {limit} bytes that are kept for hosts still to be started: raise \
         --stdin-spool, or give a file: -i < FILE"
    )]
    TooLong {
        /// The spool's bound.
        limit: u64,
    },
    /// A regular file that has lost its end since the run began.
    #[error("the file became shorter while it was read")]
    Shrunk,
}

/// The standard input of a run. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Input {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    /// There is more to read, or an end.
    news: Notify,
    /// There is room for more, or nobody to read it.
    room: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Store> {
        // Every change below the lock is complete in itself.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Input {
    /// Starts reading `source`, for so many targets. A regular file is taken from where it stands, and
    /// left at its end.
    ///
    /// # Errors
    /// The source cannot be read at all.
    pub fn start(source: impl AsFd, limits: InputLimits, targets: usize) -> io::Result<Input> {
        let mut source = File::from(source.as_fd().try_clone_to_owned()?);
        let about = source.metadata()?;
        // One that is said to be empty may be of /proc, and have a lot to say.
        if about.is_file() && about.len() > 0 {
            let from = source.stream_position()?;
            let length = about.len().saturating_sub(from);
            store::read_at(&source, from, 1)?;
            source.seek(SeekFrom::Start(from + length))?;
            return Ok(Input::new(Store::of_file(source, from, length, targets)));
        }
        let input = Input::new(Store::empty(limits, targets));
        feed::start(source, Arc::clone(&input.shared))?;
        Ok(input)
    }

    fn new(store: Store) -> Input {
        Input {
            shared: Arc::new(Shared {
                store: Mutex::new(store),
                news: Notify::new(),
                room: Condvar::new(),
            }),
        }
    }

    /// Waits a moment for the end, so that the length is known to the first hosts too; less, once more
    /// has come than memory holds.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn look_ahead(&self) -> Result<(), Arc<InputError>> {
        let settled = async {
            loop {
                let mut news = pin!(self.shared.news.notified());
                news.as_mut().enable();
                if self.shared.lock().is_settled() {
                    return;
                }
                news.await;
            }
        };
        // Not settled in time is as good: its length is then not known.
        let _ = timeout(LOOK_AHEAD, settled).await;
        match self.shared.lock().failure() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// How many bytes there are in all, if that is known by now.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.shared.lock().length()
    }

    /// A reader for a target whose command has started, from the first byte on. A target takes one.
    #[must_use]
    pub fn reader(&self, target: TargetId) -> InputReader {
        let seat = self.shared.lock().take_seat(target);
        self.shared.room.notify_all();
        InputReader {
            seat,
            shared: Arc::clone(&self.shared),
            position: 0,
            loading: None,
        }
    }

    /// Says that a target has ended, or will not be started: nothing is kept for it any more.
    pub fn target_ended(&self, target: TargetId) {
        self.shared.lock().excuse(target);
        self.shared.room.notify_all();
    }
}

/// One target's place in the input.
#[derive(Debug)]
pub struct InputReader {
    shared: Arc<Shared>,
    seat: usize,
    position: u64,
    /// A piece on its way from the disk, so that a wait that is dropped is not for nothing.
    loading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl InputReader {
    /// Waits for bytes at this reader's place and gives some of them; none at the end. Gives the same
    /// again until [`advance`](InputReader::advance) says that they are used. Cancel safe.
    ///
    /// # Errors
    /// The rest cannot be had. The end must then not be shown to the command.
    pub async fn peek(&mut self) -> Result<Vec<u8>, Arc<InputError>> {
        loop {
            if let Some(loading) = &mut self.loading {
                let loaded = loading.await;
                self.loading = None;
                return match loaded.map_err(io::Error::other).flatten() {
                    Ok(bytes) if bytes.is_empty() => Err(Arc::new(InputError::Shrunk)),
                    Ok(bytes) => Ok(bytes),
                    Err(error) => Err(Arc::new(InputError::Read(error))),
                };
            }
            let mut news = pin!(self.shared.news.notified());
            news.as_mut().enable();
            let held = self.shared.lock().at(self.position)?;
            match held {
                Held::Bytes(bytes) => return Ok(bytes),
                Held::InFile { file, at, length } => {
                    // Not in the loop: a file may be on a disk that is slow to answer.
                    let load = move || store::read_at(&file, at, length);
                    self.loading = Some(spawn_blocking(load));
                }
                Held::NotYet => news.await,
                Held::End => return Ok(Vec::new()),
            }
        }
    }

    /// Says that so many of the bytes that [`peek`](InputReader::peek) gave are used.
    pub fn advance(&mut self, n: usize) {
        self.position += n as u64;
        // Named, for the lock's guard lives as long as its statement.
        let awaited = self.shared.lock().advance(self.seat, self.position);
        if awaited {
            self.shared.room.notify_all();
        }
    }

    /// How many bytes are left, if that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let length = self.shared.lock().length()?;
        Some(length.saturating_sub(self.position))
    }
}

impl Drop for InputReader {
    fn drop(&mut self) {
        self.shared.lock().leave(self.seat);
        self.shared.room.notify_all();
    }
}
