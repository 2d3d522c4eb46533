//! The file of a journal, which one process at a time may write.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::record::{Header, SessionRecord, WrittenLine, push_line};
use super::state::{JournalState, ReadFault};

/// Maximum time for which a process that has ended can still hold its journal.
// A lock of flock(2) belongs to the open file. A process of -R exec that was forked just before its parent was killed
// has that file until its execve(2).
const FORK_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause before another try within that time.
const FORK_PAUSE: Duration = Duration::from_millis(10);

/// The reason why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// `--journal` names a file with content.
    #[error("it exists and is not empty")]
    Exists,
    /// Another process writes it.
    #[error("{0}")]
    Busy(Holder),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFault),
    /// The system refuses an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The process that writes a journal, as far as it is known.
#[derive(Debug)]
pub struct Holder(Option<SessionRecord>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(session) => write!(
                f,
                "another run writes it: process {} on {}",
                session.pid, session.machine
            ),
            None => f.write_str("another run writes it"),
        }
    }
}

/// A journal that only this process may write.
#[derive(Debug)]
pub struct JournalFile {
    file: File,
    /// Number of bytes.
    length: u64,
}

impl JournalFile {
    /// Takes over a file that is empty, or has a part of a first line.
    ///
    /// # Errors
    /// Another process writes the file, or it is not empty.
    pub fn of_new_run(file: File) -> Result<JournalFile, JournalFault> {
        lock(&file)?;
        if file.metadata()?.len() > 0 {
            // A run that ended within its first line has started nothing.
            match JournalState::read(BufReader::new(&file)) {
                Err(ReadFault::NoHeader) => file.set_len(0)?,
                _ => return Err(JournalFault::Exists),
            }
        }
        Ok(JournalFile { file, length: 0 })
    }

    /// Takes over a journal and reads it. A last line that is incomplete stays until [`JournalFile::resume`].
    ///
    /// # Errors
    /// Another process writes the file, or it is no journal.
    pub fn of_known_run(file: File) -> Result<(JournalFile, JournalState), JournalFault> {
        lock(&file)?;
        let state = JournalState::read(BufReader::new(&file))?;
        let length = state.length + state.incomplete;
        Ok((JournalFile { file, length }, state))
    }

    /// Reads a journal that another process may write. Returns true if one does.
    ///
    /// # Errors
    /// The file is no journal.
    pub fn look(file: &File) -> Result<(JournalState, bool), JournalFault> {
        let is_locked = match flock(file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => false,
            Err(Errno::WOULDBLOCK) => true,
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let state = JournalState::read(BufReader::new(file))?;
        let is_written = is_locked && !has_ended(&state.last_session);
        Ok((state, is_written))
    }

    /// Writes the first line.
    ///
    /// # Errors
    /// The line is not on the disk.
    pub fn begin(&mut self, header: &Header) -> io::Result<()> {
        self.write_line(&WrittenLine::Journal(header))
    }

    /// Cuts an incomplete last line and begins another session.
    ///
    /// # Errors
    /// The line is not on the disk.
    pub fn resume(&mut self, state: &JournalState, session: &SessionRecord) -> io::Result<()> {
        self.cut(state.length)?;
        self.write_line(&WrittenLine::Resume(session))
    }

    fn write_line(&mut self, line: &WrittenLine<'_>) -> io::Result<()> {
        let length = self.length;
        let mut text = Vec::new();
        push_line(line, &mut text);
        let written = self.write_all(&text).and_then(|()| self.commit());
        if written.is_err() {
            // A file without a whole line can be used again.
            let _ = self.cut(length);
        }
        written
    }

    /// Returns the number of bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Returns when everything that was written is on the disk.
    pub(super) fn commit(&self) -> io::Result<()> {
        match self.file.sync_data() {
            // fdatasync(2): some file systems and devices cannot do it, and have nothing to keep.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    /// Removes everything after this number of bytes.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }
}

fn lock(file: &File) -> Result<(), JournalFault> {
    let until = Instant::now() + FORK_TIMEOUT;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // An earlier try has read the file.
                let mut file = file;
                file.seek(SeekFrom::Start(0))?;
                return Ok(());
            }
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let mut reader = file;
        let session = reader
            .seek(SeekFrom::Start(0))
            .map_err(ReadFault::from)
            .and_then(|_| JournalState::read(BufReader::new(reader)))
            .map(|state| state.last_session);
        if !session.as_ref().is_ok_and(has_ended) || Instant::now() > until {
            return Err(JournalFault::Busy(Holder(session.ok())));
        }
        thread::sleep(FORK_PAUSE);
    }
}

/// True if the process of a session ran on this machine and does not exist any more.
fn has_ended(session: &SessionRecord) -> bool {
    let is_here = session.machine == SessionRecord::of_this_process(Vec::new(), 0).machine;
    let pid = i32::try_from(session.pid).ok().and_then(Pid::from_raw);
    is_here && pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}
