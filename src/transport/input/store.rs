//! What has been read of standard input, as far as some target may still need it.
//!
//! No waiting here: [`super::feed`] appends, readers look, and both are told what to wait for. The
//! window in memory has the latest bytes. The file, once there is one, has everything from the
//! slowest reader's place on, each byte at its own offset, so that what nobody needs is a hole.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};

use super::{InputError, InputLimits, MAX_PIECE};
use crate::targets::TargetId;

/// How much must have become needless before its room on the disk is given back.
const WORTHWHILE: u64 = 1 << 20;

/// The bytes, who still needs them, and how they end.
#[derive(Debug)]
pub(super) struct Store {
    limits: InputLimits,
    window: VecDeque<u8>,
    file: Option<Backing>,
    /// How many bytes have been read so far.
    read: u64,
    end: Option<Result<(), Arc<InputError>>>,
    /// Targets that may still take a reader.
    to_come: usize,
    /// Those that may not.
    seated: HashSet<TargetId>,
    /// The readers' places; free seats are `None`.
    places: Vec<Option<u64>>,
    free: Vec<usize>,
    /// What the feeder waits for, if it does.
    awaited: Option<Awaited>,
    /// Counts what readers and targets do.
    changes: u64,
}

/// What can make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The slowest reader, who stands here.
    Reader(u64),
    /// Targets that have no reader yet, and any change may be one of theirs.
    Targets,
}

/// A file with bytes of the input.
#[derive(Debug)]
struct Backing {
    file: Arc<File>,
    /// Where in the file the input begins.
    origin: u64,
    /// Up to which place the room has been given back to the disk.
    returned: u64,
}

/// What there is at a place.
#[derive(Debug)]
pub(super) enum Held {
    /// These bytes, and perhaps more.
    Bytes(Vec<u8>),
    /// So many bytes in this file.
    InFile {
        file: Arc<File>,
        at: u64,
        length: usize,
    },
    /// Nothing yet.
    NotYet,
    /// The end.
    End,
}

/// Whether the store takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It does.
    Yes,
    /// When the slowest reader has gone on.
    NotYet,
    /// When all targets to come have a reader or have ended. That may never be: they may be waiting
    /// for those that wait for more input.
    WhenAllHaveCome,
    /// Every target has ended or wants no more.
    NeedNoMore,
}

/// What the feeder does with the disk, without the lock, before bytes count as read.
#[derive(Debug)]
pub(super) enum Write {
    /// Memory holds them.
    Nothing,
    /// Write them to the file at this offset.
    Append(Arc<File>, u64),
    /// Make a file, with these bytes at the offset [`Store::base`], and then append.
    Open(Vec<u8>),
}

impl Store {
    pub(super) fn empty(limits: InputLimits, targets: usize) -> Store {
        Store {
            limits,
            window: VecDeque::new(),
            file: None,
            read: 0,
            end: None,
            to_come: targets,
            seated: HashSet::new(),
            places: Vec::new(),
            free: Vec::new(),
            awaited: None,
            changes: 0,
        }
    }

    /// A store over `length` bytes of a regular file.
    pub(super) fn of_file(file: File, origin: u64, length: u64, targets: usize) -> Store {
        let limits = InputLimits {
            memory: 0,
            spool: length,
            patience: Duration::ZERO,
        };
        Store {
            file: Some(Backing {
                file: Arc::new(file),
                origin,
                returned: 0,
            }),
            read: length,
            end: Some(Ok(())),
            ..Store::empty(limits, targets)
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

    /// Whether waiting longer for the end makes no sense.
    pub(super) fn is_settled(&self) -> bool {
        self.end.is_some() || self.file.is_some()
    }

    // ---- readers

    pub(super) fn take_seat(&mut self, target: TargetId) -> usize {
        self.excuse(target);
        match self.free.pop() {
            Some(seat) => {
                self.places[seat] = Some(0);
                seat
            }
            None => {
                self.places.push(Some(0));
                self.places.len() - 1
            }
        }
    }

    /// Notes that this target will take no reader any more.
    pub(super) fn excuse(&mut self, target: TargetId) {
        self.changes += 1;
        if self.seated.insert(target) {
            self.to_come = self.to_come.saturating_sub(1);
        }
    }

    pub(super) fn leave(&mut self, seat: usize) {
        self.changes += 1;
        self.places[seat] = None;
        self.free.push(seat);
    }

    /// Moves a reader; true if the feeder waits for just that.
    pub(super) fn advance(&mut self, seat: usize, to: u64) -> bool {
        self.changes += 1;
        let from = self.places[seat].replace(to);
        match self.awaited {
            Some(Awaited::Reader(place)) => from == Some(place),
            Some(Awaited::Targets) => true,
            None => false,
        }
    }

    /// What there is at a place.
    pub(super) fn at(&self, place: u64) -> Result<Held, Arc<InputError>> {
        // A reader that is behind learns of it at once, too: its command will not get all.
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let left = self.read - place;
        if left == 0 {
            return Ok(match self.end {
                Some(_) => Held::End,
                None => Held::NotYet,
            });
        }
        let length = usize::try_from(left).map_or(MAX_PIECE, |left| left.min(MAX_PIECE));
        Ok(match &self.file {
            Some(backing) if place < self.base() => Held::InFile {
                file: Arc::clone(&backing.file),
                at: backing.origin + place,
                length,
            },
            _ => Held::Bytes(self.copy(place, length)),
        })
    }

    // ---- the feeder

    /// From where on bytes are needed; `None` if nobody needs any.
    fn needed_from(&self) -> Option<u64> {
        match self.to_come {
            0 => self.places.iter().flatten().copied().min(),
            _ => Some(0),
        }
    }

    /// Whether a piece more can be taken. The bound may be overstepped by a piece, so that what is not
    /// longer than it is known to end.
    pub(super) fn room(&mut self) -> Room {
        self.awaited = None;
        let Some(needed_from) = self.needed_from() else {
            return Room::NeedNoMore;
        };
        if self.read - needed_from <= self.limits.spool {
            return Room::Yes;
        }
        match self.to_come {
            0 => {
                self.awaited = Some(Awaited::Reader(needed_from));
                Room::NotYet
            }
            _ => {
                self.awaited = Some(Awaited::Targets);
                Room::WhenAllHaveCome
            }
        }
    }

    /// A number that changes when a reader or a target does anything, and whether some reader has
    /// nothing left to read.
    pub(super) fn progress(&self) -> (u64, bool) {
        let starving = self
            .places
            .iter()
            .flatten()
            .any(|&place| place == self.read);
        (self.changes, starving)
    }

    /// The bounds.
    pub(super) fn limits(&self) -> InputLimits {
        self.limits
    }

    /// What is to be done with the disk before these bytes are taken in.
    pub(super) fn prepare(&mut self, bytes: &[u8]) -> Write {
        if let Some(backing) = &self.file {
            return Write::Append(Arc::clone(&backing.file), self.read);
        }
        let memory = self.limits.memory;
        if self.window.len() + bytes.len() <= memory {
            return Write::Nothing;
        }
        let base = self.base();
        let needed_from = self.needed_from().unwrap_or(self.read);
        let needless = usize::try_from(needed_from - base).unwrap_or(usize::MAX);
        self.window.drain(..needless.min(self.window.len()));
        match self.window.len() + bytes.len() <= memory {
            true => Write::Nothing,
            false => Write::Open(self.copy(self.base(), self.window.len())),
        }
    }

    /// The file has what was in memory.
    pub(super) fn opened(&mut self, file: File) -> (Arc<File>, u64) {
        let file = Arc::new(file);
        self.file = Some(Backing {
            file: Arc::clone(&file),
            origin: 0,
            returned: self.base(),
        });
        (file, self.read)
    }

    /// The place of the first byte in memory, which a new file has at this offset.
    pub(super) fn base(&self) -> u64 {
        self.read - self.window.len() as u64
    }

    /// Takes bytes in, which the file, if there is one, has. Gives the range of the file that nobody
    /// needs any more, if its room is worth giving back.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Option<(Arc<File>, Range<u64>)> {
        if self.file.is_some() {
            // The file has what the window loses.
            let over = (self.window.len() + bytes.len()).saturating_sub(self.limits.memory);
            self.window.drain(..over.min(self.window.len()));
        }
        self.window.extend(bytes);
        self.read += bytes.len() as u64;
        let needed_from = self.needed_from()?;
        let backing = self.file.as_mut()?;
        if needed_from.saturating_sub(backing.returned) < WORTHWHILE {
            return None;
        }
        let needless = backing.returned..needed_from;
        backing.returned = needed_from;
        Some((Arc::clone(&backing.file), needless))
    }

    /// Notes the end.
    pub(super) fn end(&mut self, ended: Result<(), Arc<InputError>>) {
        self.end = Some(ended);
    }

    /// How many bytes have been read.
    #[cfg(test)]
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The file, if there is one.
    #[cfg(test)]
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.file.as_ref().map(|backing| Arc::clone(&backing.file))
    }

    /// Bytes of the window.
    fn copy(&self, place: u64, length: usize) -> Vec<u8> {
        let skip = usize::try_from(place - self.base()).expect("the window is in memory");
        let (first, second) = self.window.as_slices();
        let until = skip + length;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&first[skip.min(first.len())..until.min(first.len())]);
        let within = |at: usize| at.saturating_sub(first.len());
        bytes.extend_from_slice(&second[within(skip)..within(until)]);
        bytes
    }
}

/// Gives the room of a range of a file back to the disk. Where the file system can't do that, it stays
/// taken until the end of the run.
pub(super) fn give_back(file: &File, range: Range<u64>) {
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let _ = fallocate(file, hole, range.start, range.end - range.start);
}

/// Reads up to `length` bytes at an offset; none only at the end of the file.
pub(super) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    loop {
        match file.read_at(&mut bytes, offset) {
            Ok(n) => {
                bytes.truncate(n);
                return Ok(bytes);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
