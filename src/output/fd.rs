//! Unbuffered writing to a file descriptor of the process.
//!
//! `Stdout` of the standard library has a lock and a line buffer. It fails with "resource temporarily unavailable"
//! if another process made the shared open file non-blocking, as ssh and node do in a shell pipeline. [`FdWriter`]
//! waits instead. Only the console uses it.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::reader::Reader;

/// An unbuffered writer: each call of `write` is one successful write(2).
#[derive(Debug)]
pub(super) struct FdWriter<F> {
    fd: F,
    /// The reader of the output, which is informed about every write.
    reader: Reader,
}

impl<F> FdWriter<F> {
    pub(super) fn new(fd: F, reader: &Reader) -> Self {
        let reader = reader.clone();
        FdWriter { fd, reader }
    }
}

impl<F: AsFd> Write for FdWriter<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // Counts the time in which the reader blocks, which is charged to no command.
        let _write = self.reader.write();
        loop {
            match rustix::io::write(&self.fd, data) {
                Ok(taken) => return Ok(taken),
                // A signal came before anything was written (write(2)).
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait(&self.fd)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until a write makes progress or fails.
fn wait(fd: &impl AsFd) -> io::Result<()> {
    // An error of the descriptor ends the wait too; the next write then returns it.
    match poll(&mut [PollFd::new(fd, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::thread;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    use super::*;

    #[test]
    fn a_full_non_blocking_pipe_is_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        fcntl_setfl(&writer, fcntl_getfl(&writer).unwrap() | OFlags::NONBLOCK).unwrap();
        // Far more than a pipe holds, so that the writer must meet EAGAIN.
        let data: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let sent = data.clone();
        let thread =
            thread::spawn(move || FdWriter::new(writer, &Reader::default()).write_all(&sent));
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        thread.join().unwrap().unwrap();
        assert!(got == data);
    }

    #[test]
    fn errors_come_back() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = FdWriter::new(full, &Reader::default())
            .write_all(b"x")
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);

        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let error = FdWriter::new(writer, &Reader::default())
            .write_all(b"x")
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
