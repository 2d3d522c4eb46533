//! Parts of files that a session sends itself, without a thread.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::fstatfs;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::InputError;
use crate::spool::SpoolFile;

/// Maximum number of bytes of a file that one step sends.
// sendfile(2) copies nothing, but no other target gets a turn meanwhile.
pub const MAX_FILE_STEP: usize = 256 * 1024;

/// Type of the file system tmpfs (statfs(2)).
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// A part of a file, never empty, that is in the page cache.
#[derive(Debug)]
pub struct FilePart {
    file: SpoolFile,
    at: u64,
    length: usize,
    is_checked: bool,
}

impl FilePart {
    /// Returns the start of a part of a file, if the page cache has it.
    // A read from a disk would block the event loop, so cold parts are read on a thread. Only the first and the last
    // page are checked, since the kernel reads ahead in whole ranges. A page that it has dropped in between costs one
    // read.
    pub(super) fn cached(
        file: &SpoolFile,
        at: u64,
        length: u64,
        is_checked: bool,
    ) -> Option<FilePart> {
        let length = length.min(MAX_FILE_STEP as u64);
        let is_cached = is_cached(file, at) && is_cached(file, at + length - 1);
        is_cached.then(|| FilePart {
            file: file.clone(),
            at,
            length: length as usize,
            is_checked,
        })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Position of the first byte in the file.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Number of bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// True if the target compares a checksum of the content. Only such a part may be sent with sendfile(2).
    // The socket then refers to the pages of the file until the target has acknowledged them. A change of the file
    // changes what is sent, and so does a hole that is punched into the spool.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.is_checked
    }

    /// Reads at most `most` bytes of the part, from its byte `from` on.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter.
    pub fn read(&self, from: usize, most: usize) -> Result<Vec<u8>, Arc<InputError>> {
        let left = self.length.saturating_sub(from);
        super::load(&self.file, self.at + from as u64, left.min(most))
    }
}

/// True if reading the byte at this position does not wait for a disk. The end of the file counts as well.
fn is_cached(file: &SpoolFile, at: u64) -> bool {
    match preadv2(
        file,
        &mut [IoSliceMut::new(&mut [0])],
        at,
        ReadWriteFlags::NOWAIT,
    ) {
        Ok(_) => true,
        // tmpfs does not know the flag, but its pages are memory. Other file systems without it may wait for a network.
        Err(Errno::OPNOTSUPP) => {
            fstatfs(file).is_ok_and(|system| u64::try_from(system.f_type) == Ok(TMPFS_MAGIC.into()))
        }
        Err(_) => false,
    }
}
