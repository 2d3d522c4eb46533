//! Writing to a file descriptor of the process, with nothing in between.
//!
//! The standard library's `Stdout` sits behind a lock and a line buffer, and fails with "resource
//! temporarily unavailable" when somebody who shares the open file made it non-blocking (a shell
//! pipeline with ssh or node in it does). [`FdWriter`] waits instead. The console alone uses it.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::reader::Reader;

/// An unbuffered writer: each call of `write` is one write(2) that has taken something.
#[derive(Debug)]
pub(super) struct FdWriter<F> {
    fd: F,
    /// Told of every write.
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
        let _write = self.reader.write();
        loop {
            match rustix::io::write(&self.fd, data) {
                Ok(taken) => return Ok(taken),
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

/// Waits until a write can make progress, or can say why it never will.
fn wait(fd: &impl AsFd) -> io::Result<()> {
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
