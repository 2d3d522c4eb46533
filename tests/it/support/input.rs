//! Standard input for the program under test.

use std::fs::File;
use std::io::{Seek, Write, pipe};
use std::os::fd::OwnedFd;
use std::thread;

/// A file with these bytes, at position 0.
pub(crate) fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// The read end of a pipe. A thread writes these bytes to the pipe without pauses.
pub(crate) fn piped(bytes: Vec<u8>) -> OwnedFd {
    let (reader, mut writer) = pipe().unwrap();
    thread::spawn(move || {
        // The reader may close before it has read all.
        let _ = writer.write_all(&bytes);
    });
    reader.into()
}
