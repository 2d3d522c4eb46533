//! The spool: bytes of standard input that some target may still need.
//!
//! Nothing here waits: [`super::fill`] appends, readers read, and both learn what to wait for. The window in memory has
//! the latest bytes. The file, if there is one, has all bytes from the position of the slowest reader on, each at its
//! own offset. Bytes that nobody needs any more become a hole in the file.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{InputError, InputLimits, MAX_INPUT_CHUNK};
use crate::spool::SpoolFile;
use crate::targets::TargetId;

/// Minimum number of unneeded bytes in the file before a hole is punched.
const MIN_HOLE: u64 = 1 << 20;

/// The bytes, the positions of the readers, and the end of the input.
#[derive(Debug)]
pub(super) struct InputSpool {
    limits: InputLimits,
    window: VecDeque<u8>,
    file: Option<InputFile>,
    /// Number of bytes read so far.
    read: u64,
    end: Option<Result<(), Arc<InputError>>>,
    /// Number of targets that may still take a reader.
    to_come: usize,
    /// Targets that get no further reader: they read the input, or they have ended.
    done: HashSet<TargetId>,
    /// Positions of the readers by slot; `None` is a free slot.
    positions: Vec<Option<u64>>,
    free: Vec<usize>,
    /// Event that the filling thread waits for, if it waits.
    awaited: Option<Awaited>,
    /// Number of changes by readers and targets.
    changes: u64,
}

/// An event after which the spool may accept more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The slowest reader, at this position, moves on.
    Reader(u64),
    /// Targets without a reader take one or end. Any change may be such an event.
    Targets,
}

/// A file with bytes of the input.
#[derive(Debug)]
struct InputFile {
    file: SpoolFile,
    /// Offset in the file at which the input begins.
    origin: u64,
    /// Position before which the file is a hole.
    returned: u64,
}

/// The data at a position.
#[derive(Debug)]
pub(super) enum SpooledData {
    /// These bytes, and perhaps more.
    Bytes(Vec<u8>),
    /// Bytes in this file.
    InFile {
        file: SpoolFile,
        at: u64,
        length: usize,
    },
    /// Nothing yet.
    NotYet,
    /// The end.
    End,
}

/// Time at which the spool accepts a further chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    Now,
    /// After the slowest reader has moved on.
    AfterReader,
    /// After all further targets have a reader or have ended. That may never happen: they may wait for targets that wait
    /// for more input.
    AfterTargets,
    /// No target needs more bytes.
    Never,
}

/// Write to the disk before new bytes count as read. The filling thread makes it without the lock.
#[derive(Debug)]
pub(super) enum SpoolWrite {
    /// No write: the bytes fit into memory.
    Nothing,
    /// Write the new bytes to the file at this offset.
    Append(SpoolFile, u64),
    /// Create a file, write these bytes at the offset [`InputSpool::base`], and then append the new ones.
    Open(Vec<u8>),
}

impl InputSpool {
    pub(super) fn empty(limits: InputLimits, targets: usize) -> InputSpool {
        InputSpool {
            limits,
            window: VecDeque::new(),
            file: None,
            read: 0,
            end: None,
            to_come: targets,
            done: HashSet::new(),
            positions: Vec::new(),
            free: Vec::new(),
            awaited: None,
            changes: 0,
        }
    }

    /// Returns a spool without bytes, at its end.
    pub(super) fn ended() -> InputSpool {
        let limits = InputLimits {
            memory: 0,
            spool: 0,
            stall_timeout: Duration::ZERO,
        };
        InputSpool {
            end: Some(Ok(())),
            ..InputSpool::empty(limits, 0)
        }
    }

    /// Returns a spool for `length` bytes of a regular file.
    pub(super) fn of_file(file: File, origin: u64, length: u64, targets: usize) -> InputSpool {
        let limits = InputLimits {
            memory: 0,
            spool: length,
            stall_timeout: Duration::ZERO,
        };
        InputSpool {
            file: Some(InputFile {
                file: file.into(),
                origin,
                returned: 0,
            }),
            read: length,
            end: Some(Ok(())),
            ..InputSpool::empty(limits, targets)
        }
    }

    pub(super) fn length(&self) -> Option<u64> {
        match self.end {
            Some(Ok(())) => Some(self.read),
            Some(Err(_)) | None => None,
        }
    }

    pub(super) fn failure(&self) -> Option<Arc<InputError>> {
        match &self.end {
            Some(Err(error)) => Some(Arc::clone(error)),
            Some(Ok(())) | None => None,
        }
    }

    /// True if it makes no sense to wait longer for the end.
    pub(super) fn is_settled(&self) -> bool {
        self.end.is_some() || self.file.is_some()
    }

    // ---- readers

    /// Adds a reader at the first byte. Returns its slot.
    pub(super) fn add_reader(&mut self, target: TargetId) -> usize {
        self.end_target(target);
        match self.free.pop() {
            Some(slot) => {
                self.positions[slot] = Some(0);
                slot
            }
            None => {
                self.positions.push(Some(0));
                self.positions.len() - 1
            }
        }
    }

    /// Records that this target takes no further reader.
    pub(super) fn end_target(&mut self, target: TargetId) {
        self.changes += 1;
        if self.done.insert(target) {
            self.to_come = self.to_come.saturating_sub(1);
        }
    }

    pub(super) fn remove_reader(&mut self, slot: usize) {
        self.changes += 1;
        self.positions[slot] = None;
        self.free.push(slot);
    }

    /// Moves a reader. Returns true if the filling thread waits for it.
    pub(super) fn advance(&mut self, slot: usize, to: u64) -> bool {
        self.changes += 1;
        let from = self.positions[slot].replace(to);
        match self.awaited {
            Some(Awaited::Reader(position)) => from == Some(position),
            Some(Awaited::Targets) => true,
            None => false,
        }
    }

    /// Returns the data at a position.
    pub(super) fn at(&self, position: u64) -> Result<SpooledData, Arc<InputError>> {
        // Also before the position of the error: the command will not get all bytes in any case.
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let left = self.read - position;
        if left == 0 {
            return Ok(match self.end {
                Some(_) => SpooledData::End,
                None => SpooledData::NotYet,
            });
        }
        let length =
            usize::try_from(left).map_or(MAX_INPUT_CHUNK, |left| left.min(MAX_INPUT_CHUNK));
        Ok(match &self.file {
            Some(backing) if position < self.base() => SpooledData::InFile {
                file: backing.file.clone(),
                at: backing.origin + position,
                length,
            },
            _ => SpooledData::Bytes(self.copy(position, length)),
        })
    }

    // ---- the filling thread

    /// Returns the position from which bytes are needed, or `None` if nobody needs any.
    fn needed_from(&self) -> Option<u64> {
        match self.to_come {
            0 => self.positions.iter().flatten().copied().min(),
            _ => Some(0),
        }
    }

    /// Returns the time at which a further chunk is accepted. One chunk may exceed the limit, so that an input of exactly
    /// that length is read to its end.
    pub(super) fn acceptance(&mut self) -> Acceptance {
        self.awaited = None;
        let Some(needed_from) = self.needed_from() else {
            return Acceptance::Never;
        };
        if self.read - needed_from <= self.limits.spool {
            return Acceptance::Now;
        }
        if self.to_come == 0 {
            self.awaited = Some(Awaited::Reader(needed_from));
            Acceptance::AfterReader
        } else {
            self.awaited = Some(Awaited::Targets);
            Acceptance::AfterTargets
        }
    }

    /// Returns the number of changes by readers and targets, and true if some reader waits for more bytes.
    pub(super) fn progress(&self) -> (u64, bool) {
        let starving = self
            .positions
            .iter()
            .flatten()
            .any(|&position| position == self.read);
        (self.changes, starving)
    }

    pub(super) fn limits(&self) -> InputLimits {
        self.limits
    }

    /// Returns the write to the disk that these bytes need before they are appended.
    pub(super) fn prepare(&mut self, bytes: &[u8]) -> SpoolWrite {
        if let Some(backing) = &self.file {
            return SpoolWrite::Append(backing.file.clone(), self.read);
        }
        let memory = self.limits.memory;
        if self.window.len() + bytes.len() <= memory {
            return SpoolWrite::Nothing;
        }
        let base = self.base();
        let needed_from = self.needed_from().unwrap_or(self.read);
        let unneeded = usize::try_from(needed_from - base).unwrap_or(usize::MAX);
        self.window.drain(..unneeded.min(self.window.len()));
        if self.window.len() + bytes.len() <= memory {
            SpoolWrite::Nothing
        } else {
            SpoolWrite::Open(self.copy(self.base(), self.window.len()))
        }
    }

    /// Records a new file that has all bytes of the window. Returns the offset of the next byte.
    pub(super) fn opened(&mut self, file: SpoolFile) -> u64 {
        self.file = Some(InputFile {
            file,
            origin: 0,
            returned: self.base(),
        });
        self.read
    }

    /// Returns the position of the first byte in memory. It is also its offset in a new file.
    pub(super) fn base(&self) -> u64 {
        self.read - self.window.len() as u64
    }

    /// Appends bytes that are already in the file, if there is one. Returns the range of the file that nobody needs any
    /// more, if it is large enough for a hole.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Option<(SpoolFile, Range<u64>)> {
        if self.file.is_some() {
            // The file has the bytes that leave the window.
            let over = (self.window.len() + bytes.len()).saturating_sub(self.limits.memory);
            self.window.drain(..over.min(self.window.len()));
        }
        self.window.extend(bytes);
        self.read += bytes.len() as u64;
        let needed_from = self.needed_from()?;
        let backing = self.file.as_mut()?;
        if needed_from.saturating_sub(backing.returned) < MIN_HOLE {
            return None;
        }
        let unneeded = backing.returned..needed_from;
        backing.returned = needed_from;
        Some((backing.file.clone(), unneeded))
    }

    pub(super) fn end(&mut self, ended: Result<(), Arc<InputError>>) {
        self.end = Some(ended);
    }

    #[cfg(test)]
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    #[cfg(test)]
    pub(super) fn file(&self) -> Option<SpoolFile> {
        self.file.as_ref().map(|backing| backing.file.clone())
    }

    /// Returns a copy of bytes of the window.
    fn copy(&self, position: u64, length: usize) -> Vec<u8> {
        let skip = usize::try_from(position - self.base()).expect("the window is in memory");
        let (first, second) = self.window.as_slices();
        let until = skip + length;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&first[skip.min(first.len())..until.min(first.len())]);
        let within = |at: usize| at.saturating_sub(first.len());
        bytes.extend_from_slice(&second[within(skip)..within(until)]);
        bytes
    }
}
