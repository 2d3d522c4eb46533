//! A connection that is reset unless it has come to its proper end, read into the buffer that all share.

use std::io;
use std::net::Shutdown;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::scratch;

/// A TCP connection whose other side is expected to close first.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    state: State,
    writing: Writing,
}

/// What can still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// This side has ended it, and so closes first.
    Ended,
    /// A write has failed: the other side has reset the connection.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The other side has closed; closing this one leaves the TIME_WAIT over there.
    RemoteClosed,
    /// It was reset; nothing is left of it.
    Reset,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<T> {
    /// Bytes, already handed over.
    Data(T),
    /// Nothing yet.
    Nothing,
    /// The other side has closed, or reset: see [`Connection::was_reset`].
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Closing first would leave a TIME_WAIT here, or an orphan in FIN_WAIT_2, whether this process closes
        // it or the kernel does for a process that was killed. It can fail only on a socket that is gone.
        let _ = stream.set_zero_linger();
        Connection {
            stream,
            state: State::Open,
            writing: Writing::Open,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn was_reset(&self) -> bool {
        self.state == State::Reset
    }

    /// Whether this side closes first, if it is dropped now.
    pub(super) fn closes_first(&self) -> bool {
        self.is_open() || self.writing == Writing::Ended && !self.was_reset()
    }

    /// Waits until there is something to read; for ever once the stream has ended. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self.state {
            State::Open => self.stream.readable().await,
            State::RemoteClosed | State::Reset => std::future::pending().await,
        }
    }

    /// Reads what is there and hands it to `take`. Linux delivers what was sent before a reset first,
    /// so a reset is an end of the stream.
    pub(super) fn read<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> io::Result<Read<T>> {
        scratch::with(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => {
                // The kernel tells of a reset once, and the write has heard it.
                self.state = match self.writing {
                    Writing::Broken => State::Reset,
                    Writing::Open | Writing::Ended => {
                        let _ = SockRef::from(&self.stream).set_linger(None);
                        State::RemoteClosed
                    }
                };
                Ok(Read::End)
            }
            Ok(n) => Ok(Read::Data(take(&buffer[..n]))),
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Read::Nothing),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    self.state = State::Reset;
                    Ok(Read::End)
                }
                _ => Err(e),
            },
        })
    }

    /// Writes all of `bytes`.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Waits until there is room to write. Cancel safe.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Writes as much as there is room for.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.try_write(&bytes[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(written)
    }

    /// Ends what this side writes: the other side reads an end of file, and this side closes first.
    pub(super) fn half_close(&mut self) {
        self.writing = match SockRef::from(&self.stream).shutdown(Shutdown::Write) {
            Ok(()) => Writing::Ended,
            Err(_) => Writing::Broken,
        };
    }

    /// Notes that a write has failed. What came before can still be read.
    pub(super) fn write_failed(&mut self) {
        self.writing = Writing::Broken;
    }

    /// Writes one byte if there is room for it.
    pub(super) fn try_write_byte(&self, byte: u8) -> bool {
        self.is_open() && self.stream.try_write(&[byte]).is_ok()
    }
}
