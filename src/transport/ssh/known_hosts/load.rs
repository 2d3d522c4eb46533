//! Reading known_hosts files.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::line;
use super::{KnownFile, Place};
use crate::transport::ssh::file_notice::FileNotice;

/// A longer line is no key of anybody: the largest key takes 3 KB, names the rest.
const LONGEST_LINE: usize = 256 * 1024;

/// A million hosts, hashed, with three keys each.
const LARGEST_FILE: u64 = 1 << 30;

/// Not more than these are told of one file.
const MOST_NOTES: usize = 20;

/// A known_hosts file that is there and cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system says why.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line that may revoke a key, which must not be skipped.
    #[error("cannot tell which key {place} revokes: {fault}; correct or remove that line")]
    Revoked {
        /// The line.
        place: Place,
        /// Its fault.
        fault: &'static str,
    },
    /// It does not end.
    #[error("{} is longer than {LARGEST_FILE} bytes, which no known_hosts file is", path.display())]
    Size {
        /// The file.
        path: PathBuf,
    },
}

impl KnownFile {
    /// Reads a file. One that does not exist says nothing. Of one that may not be read there is a note: as with
    /// ssh, it is not known then what it says.
    ///
    /// # Errors
    /// Another failure to read it, or a line that may revoke a key and cannot be read.
    pub fn load(path: &Path) -> Result<KnownFile, LoadError> {
        let mut known = KnownFile::new(path);
        known.read(path)?;
        Ok(known)
    }

    fn read(&mut self, path: &Path) -> Result<(), LoadError> {
        let failed = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return Ok(()),
                io::ErrorKind::PermissionDenied => {
                    self.notes.push(FileNotice {
                        verbose: false,
                        text: format!("known hosts in {} are not known: {error}", path.display()),
                    });
                    return Ok(());
                }
                _ => return Err(failed(error)),
            },
        };
        let mut lines = Lines::new(BufReader::with_capacity(64 * 1024, file));
        let file = Arc::clone(&self.path);
        let mut skipped = Skipped::default();
        let mut number = 0;
        while let Some(read) = lines.next().map_err(failed)? {
            number += 1;
            let (line, parsed) = match read {
                Piece::Line(line) => (line, line::parse(line)),
                Piece::TooLong(beginning) => (beginning, Err("the line is too long")),
            };
            let place = Place {
                file: file.clone(),
                line: number,
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(line)) => self.add(place, line),
                Err(fault) if line::may_revoke(line) => {
                    return Err(LoadError::Revoked { place, fault });
                }
                Err(fault) => skipped.note(self, format_args!("{place}: {fault}; line skipped")),
            }
            if lines.read > LARGEST_FILE {
                return Err(LoadError::Size {
                    path: path.to_owned(),
                });
            }
        }
        skipped.rest(self, path);
        Ok(())
    }
}

/// Counts lines that were skipped, so that a file of garbage does not make a million notes.
#[derive(Default)]
struct Skipped {
    count: usize,
}

impl Skipped {
    fn note(&mut self, known: &mut KnownFile, text: fmt::Arguments<'_>) {
        self.count += 1;
        if self.count <= MOST_NOTES {
            known.notes.push(FileNotice {
                verbose: true,
                text: text.to_string(),
            });
        }
    }

    fn rest(&self, known: &mut KnownFile, path: &Path) {
        if let Some(more @ 1..) = self.count.checked_sub(MOST_NOTES) {
            known.notes.push(FileNotice {
                verbose: true,
                text: format!("{}: {more} more lines skipped", path.display()),
            });
        }
    }
}

/// Splits a file into lines of bounded length.
pub(super) struct Lines<R> {
    from: R,
    line: Vec<u8>,
    read: u64,
}

/// What [`Lines`] gives.
pub(super) enum Piece<'a> {
    /// A line with its end.
    Line(&'a [u8]),
    /// The beginning of one that is longer than any that makes sense.
    TooLong(&'a [u8]),
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R) -> Lines<R> {
        Lines {
            from,
            line: Vec::new(),
            read: 0,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.line.clear();
        let most = LONGEST_LINE as u64 + 1;
        let length = self
            .from
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut self.line)?;
        self.read += length as u64;
        if length == 0 {
            return Ok(None);
        }
        if length <= LONGEST_LINE || self.line.ends_with(b"\n") {
            return Ok(Some(Piece::Line(&self.line)));
        }
        self.skip_line()?;
        Ok(Some(Piece::TooLong(&self.line)))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() || self.read > LARGEST_FILE {
                return Ok(());
            }
            let end = memchr::memchr(b'\n', buffer);
            let length = end.map_or(buffer.len(), |end| end + 1);
            self.read += length as u64;
            self.from.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}
