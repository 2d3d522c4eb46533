//! Reads known_hosts files.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::line;
use super::{KnownHostsFile, LineLocation};
use crate::bounded_lines::{BoundedLine, BoundedLines, LARGEST_FILE};
use crate::notice::FileNotice;

/// Maximum number of notices about one file, without the last one that counts the rest.
const MOST_NOTICES: usize = 20;

/// An error while a known_hosts file was read.
#[derive(Debug, thiserror::Error)]
pub enum KnownHostsError {
    /// The file exists and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A line may revoke a key and cannot be read. It must not be skipped.
    #[error("cannot tell which key {location} revokes: {error}; correct or remove that line")]
    Revoked {
        /// Location of the line.
        location: LineLocation,
        /// Description of the error.
        error: &'static str,
    },
    /// The file is larger than any real one.
    #[error("{} is longer than {LARGEST_FILE} bytes, the limit for a known_hosts file", path.display())]
    Size {
        /// Path of the file.
        path: PathBuf,
    },
}

impl KnownHostsFile {
    /// Reads a file. A file that does not exist has no lines. As in ssh, the same applies to a file that the user may
    /// not read; there is a notice about it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read for another reason, or if a line that may revoke a key is wrong.
    pub fn load(path: &Path) -> Result<KnownHostsFile, KnownHostsError> {
        let mut known = KnownHostsFile::new(path);
        known.read(path)?;
        Ok(known)
    }

    fn read(&mut self, path: &Path) -> Result<(), KnownHostsError> {
        let failed = |source| KnownHostsError::Read {
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return Ok(()),
                io::ErrorKind::PermissionDenied => {
                    self.notices.push(FileNotice::new(
                        false,
                        format!("cannot read the known hosts in {}: {error}", path.display()),
                    ));
                    return Ok(());
                }
                _ => return Err(failed(error)),
            },
        };
        let mut lines = BoundedLines::new(BufReader::with_capacity(64 * 1024, file));
        let file = Arc::clone(&self.path);
        let mut skipped = SkippedLines::default();
        let mut number = 0;
        while let Some(read) = lines.next().map_err(failed)? {
            number += 1;
            let (line, parsed) = match read {
                BoundedLine::Line(line) => (line, line::parse(line)),
                // The beginning shows whether the line may revoke a key.
                BoundedLine::TooLong(beginning) => (beginning, Err("the line is too long")),
            };
            let location = LineLocation {
                file: file.clone(),
                line: Some(number),
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(line)) => self.add(location, line),
                // Without such a line, a revoked key could be trusted.
                Err(error) if line::may_revoke(line) => {
                    return Err(KnownHostsError::Revoked { location, error });
                }
                Err(error) => {
                    skipped.add(self, format_args!("{location}: {error}; line skipped"));
                }
            }
            // A device without an end must not fill the memory.
            if lines.bytes() > LARGEST_FILE {
                return Err(KnownHostsError::Size {
                    path: path.to_owned(),
                });
            }
        }
        skipped.finish(self, path);
        Ok(())
    }
}

/// Counter of skipped lines. It limits the notices about a file of garbage.
#[derive(Default)]
struct SkippedLines {
    count: usize,
}

impl SkippedLines {
    fn add(&mut self, known: &mut KnownHostsFile, text: fmt::Arguments<'_>) {
        self.count += 1;
        if self.count <= MOST_NOTICES {
            known.notices.push(FileNotice::new(true, text.to_string()));
        }
    }

    fn finish(&self, known: &mut KnownHostsFile, path: &Path) {
        if let Some(more @ 1..) = self.count.checked_sub(MOST_NOTICES) {
            let text = format!("{}: {more} more lines skipped", path.display());
            known.notices.push(FileNotice::new(true, text));
        }
    }
}
