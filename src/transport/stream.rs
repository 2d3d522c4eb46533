//! A TCP connection that is reset unless the other side has closed it. It reads into the shared buffer.

use std::io;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;

use rustix::fs::sendfile;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::scratch;

/// A TCP connection whose other side is expected to close first.
#[derive(Debug)]
pub(super) struct TcpConnection {
    stream: TcpStream,
    state: ReadState,
    writing: WriteState,
}

/// State of the writing half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteState {
    Open,
    /// This side has ended its direction, so it closes first.
    Ended,
    /// A write has failed: the other side has reset the connection.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadState {
    Open,
    /// The other side has closed, so it keeps the TIME_WAIT.
    RemoteClosed,
    /// The connection was reset; neither side keeps anything.
    Reset,
}

/// Result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadResult<T> {
    /// The result of the closure that took the bytes.
    Data(T),
    /// No data yet.
    Nothing,
    /// The other side has closed, or reset: see [`TcpConnection::was_reset`].
    End,
}

impl TcpConnection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Without this, closing first leaves a TIME_WAIT here or an orphan in FIN_WAIT_2, also when the kernel closes
        // the socket of a killed process. The call can fail only on a socket that does not exist any more.
        let _ = stream.set_zero_linger();
        TcpConnection {
            stream,
            state: ReadState::Open,
            writing: WriteState::Open,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == ReadState::Open
    }

    pub(super) fn was_reset(&self) -> bool {
        self.state == ReadState::Reset
    }

    /// True if this side closes first when the connection is dropped now.
    pub(super) fn closes_first(&self) -> bool {
        self.is_open() || self.writing == WriteState::Ended && !self.was_reset()
    }

    /// Waits until there is data to read. Never returns after the end of the stream. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self.state {
            ReadState::Open => self.stream.readable().await,
            ReadState::RemoteClosed | ReadState::Reset => std::future::pending().await,
        }
    }

    /// Reads the data that has arrived and passes it to `take`. Linux delivers data before it reports a reset, so a
    /// reset counts as the end of the stream.
    pub(super) fn read<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> io::Result<ReadResult<T>> {
        scratch::with(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => {
                // The kernel reports a reset once, and the failed write got that report.
                self.state = match self.writing {
                    WriteState::Broken => ReadState::Reset,
                    WriteState::Open | WriteState::Ended => {
                        // The other side has closed first and keeps the TIME_WAIT, so no reset is needed any more.
                        let _ = SockRef::from(&self.stream).set_linger(None);
                        ReadState::RemoteClosed
                    }
                };
                Ok(ReadResult::End)
            }
            Ok(n) => Ok(ReadResult::Data(take(&buffer[..n]))),
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(ReadResult::Nothing),
                // For a reset after the other side's end, the kernel reports EPIPE (`tcp_reset`).
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    self.state = ReadState::Reset;
                    Ok(ReadResult::End)
                }
                _ => Err(e),
            },
        })
    }

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

    /// Waits until bytes can be written. Cancel safe.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Writes as many bytes as the socket takes now. Returns their number.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        // One write may be cut short by the send buffer, and only EAGAIN shows that it is full.
        while written < bytes.len() {
            match self.stream.try_write(&bytes[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(written)
    }

    /// Sends as many bytes of a file as the socket takes now, without copying them. Returns their number.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends at the first byte.
    pub(super) fn send_file(
        &self,
        file: BorrowedFd<'_>,
        at: u64,
        length: usize,
    ) -> io::Result<usize> {
        let send = || {
            let mut at = at;
            Ok(sendfile(&self.stream, file, Some(&mut at), length)?)
        };
        match self.stream.try_io(Interest::WRITABLE, send) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// Ends the writing half: the other side reads an end of file, and this side closes first.
    pub(super) fn half_close(&mut self) {
        // shutdown(2) never waits. After a reset it fails with ENOTCONN.
        self.writing = match SockRef::from(&self.stream).shutdown(Shutdown::Write) {
            Ok(()) => WriteState::Ended,
            Err(_) => WriteState::Broken,
        };
    }

    /// Records that a write has failed. Data that arrived before can still be read.
    pub(super) fn write_failed(&mut self) {
        self.writing = WriteState::Broken;
    }

    /// Writes one byte if the socket takes it now.
    pub(super) fn try_write_byte(&self, byte: u8) -> bool {
        // Without a wait: rsh-redone never reads its call-back.
        self.is_open() && self.stream.try_write(&[byte]).is_ok()
    }
}
