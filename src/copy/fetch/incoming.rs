//! Data of files as it arrives: as an archive, or one file after the other from a target without tar.

use std::collections::VecDeque;
use std::fs::File;

use super::archive::{ArchiveEvent, ArchiveFault, ArchiveReader};
use super::local::{LocalError, RunningSum, set_attributes};
use super::remote::{FileTime, RemoteEntry};
use crate::copy::blocks::Checksum;

/// A step of the arrival.
#[derive(Debug)]
pub(super) enum ArrivalStep<'d> {
    /// All bytes are taken.
    More,
    /// This file begins. [`Incoming::open`] gives it its place.
    Begins(usize),
    /// Bytes of this file.
    Bytes(&'d [u8], usize),
    /// This file is complete.
    Ends(usize),
    /// All data has arrived. The next byte does not belong to it.
    Done,
}

/// The reason why data cannot be accepted.
#[derive(Debug)]
pub(super) enum IncomingError {
    /// A file was not asked for, or comes twice.
    Name(Vec<u8>),
    Archive(ArchiveFault),
}

/// The data of one batch of files.
#[derive(Debug)]
pub(in crate::copy) struct Incoming {
    /// The reader of an archive; `None` if the files follow each other.
    archive: Option<ArchiveReader>,
    /// Files that are still to come, with their lengths if they follow each other.
    files: VecDeque<(usize, u64)>,
    current: Option<CurrentFile>,
}

struct CurrentFile {
    number: usize,
    file: Option<File>,
    sum: RunningSum,
    left: u64,
}

impl std::fmt::Debug for CurrentFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CurrentFile({}, {} left)", self.number, self.left)
    }
}

impl Incoming {
    /// Returns the data of these files in an archive.
    pub(super) fn archive(files: Vec<usize>) -> Incoming {
        Incoming {
            archive: Some(ArchiveReader::default()),
            files: files.into_iter().map(|number| (number, 0)).collect(),
            current: None,
        }
    }

    /// Returns the data of these files one after the other. Each has exactly its length.
    pub(super) fn raw(files: VecDeque<(usize, u64)>) -> Incoming {
        Incoming {
            archive: None,
            files,
            current: None,
        }
    }

    /// Takes bytes from the start of `data` up to the next step. Sets length, time and checksum of the files.
    ///
    /// # Errors
    /// The data is not what was asked for.
    pub(super) fn take<'d>(
        &mut self,
        data: &mut &'d [u8],
        entries: &mut [RemoteEntry],
        checksum: Checksum,
    ) -> Result<ArrivalStep<'d>, IncomingError> {
        let Some(archive) = &mut self.archive else {
            return Ok(self.take_raw(data, entries, checksum));
        };
        let Some(event) = archive.next(data).map_err(IncomingError::Archive)? else {
            return Ok(ArrivalStep::More);
        };
        Ok(match event {
            ArchiveEvent::File {
                name,
                length,
                mtime,
            } => {
                // bsdtar keeps the `./` of the arguments, and others may not.
                let own = name.strip_prefix(b"./").unwrap_or(&name);
                // A file that went away is left out of the archive.
                let number = loop {
                    match self.files.pop_front() {
                        Some((number, _)) if *entries[number].name == *own => break number,
                        Some(_) => {}
                        None => return Err(IncomingError::Name(name)),
                    }
                };
                let entry = &mut entries[number];
                // A log may have grown since the list was made. The archive has as much as its header says.
                entry.size = length;
                entry.attributes.mtime.get_or_insert(FileTime {
                    seconds: mtime,
                    nanoseconds: 0,
                });
                self.begin(number, length, checksum)
            }
            ArchiveEvent::Content(bytes) => self.bytes(bytes),
            ArchiveEvent::FileEnd => self.end(entries),
            ArchiveEvent::End => ArrivalStep::Done,
        })
    }

    fn take_raw<'d>(
        &mut self,
        data: &mut &'d [u8],
        entries: &mut [RemoteEntry],
        checksum: Checksum,
    ) -> ArrivalStep<'d> {
        match &mut self.current {
            None => match self.files.pop_front() {
                Some((number, length)) => self.begin(number, length, checksum),
                None => ArrivalStep::Done,
            },
            Some(current) if current.left == 0 => self.end(entries),
            Some(_) if data.is_empty() => ArrivalStep::More,
            Some(current) => {
                let length = data
                    .len()
                    .min(usize::try_from(current.left).unwrap_or(data.len()));
                let (bytes, rest) = data.split_at(length);
                *data = rest;
                self.bytes(bytes)
            }
        }
    }

    fn begin<'d>(&mut self, number: usize, left: u64, checksum: Checksum) -> ArrivalStep<'d> {
        self.current = Some(CurrentFile {
            number,
            file: None,
            sum: RunningSum::new(checksum),
            left,
        });
        ArrivalStep::Begins(number)
    }

    fn bytes<'d>(&mut self, bytes: &'d [u8]) -> ArrivalStep<'d> {
        match &mut self.current {
            Some(current) => {
                current.sum.update(bytes);
                current.left -= bytes.len() as u64;
                ArrivalStep::Bytes(bytes, current.number)
            }
            None => ArrivalStep::More,
        }
    }

    fn end<'d>(&mut self, entries: &mut [RemoteEntry]) -> ArrivalStep<'d> {
        let Some(current) = &mut self.current else {
            return ArrivalStep::More;
        };
        let sum = std::mem::replace(&mut current.sum, RunningSum::Cksum(Default::default()));
        entries[current.number].sum = Some(sum.finish().into());
        ArrivalStep::Ends(current.number)
    }

    /// Gives the current file its place.
    pub(super) fn open(&mut self, file: File) {
        if let Some(current) = &mut self.current {
            current.file = Some(file);
        }
    }

    /// Returns the place of the current file.
    pub(super) fn file(&mut self) -> Option<&mut File> {
        self.current.as_mut()?.file.as_mut()
    }

    /// Closes the current file with its mode and time.
    pub(super) fn close(&mut self, entry: &RemoteEntry) -> Result<(), LocalError> {
        match self.current.take().and_then(|current| current.file) {
            Some(file) => set_attributes(&file, &entry.attributes).map_err(|errno| LocalError {
                doing: "set the mode of",
                name: entry.name.to_vec(),
                cause: std::io::Error::from(errno).to_string(),
            }),
            None => Ok(()),
        }
    }
}
