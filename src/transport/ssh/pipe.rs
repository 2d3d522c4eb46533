//! Transport below libssh2: its reads and writes go through here to tokio's socket.
//!
//! libssh2 calls [`Pipe::receive`] and [`Pipe::send`] instead of the system (see [`ffi`](super::ffi)). A read is
//! limited, so that no server can occupy the loop. A write is always taken whole: libssh2 refuses all other work
//! while it has a half-sent packet. A [`Gate`] parses all data until the server has proved its identity.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

use super::gate::{Gate, Proof, Violation};
use super::greeting::Greeting;

/// Maximum number of bytes that one call of libssh2 reads.
// This number of bytes takes libssh2 some milliseconds, in which no other target gets a turn.
const MAX_PER_CALL: usize = 256 * 1024;

/// Maximum number of bytes that wait for the kernel.
// Standard input is written only if nothing waits, so this is for libssh2's own messages. A peer that reads none of
// them has failed.
const MAX_WAITING: usize = 256 * 1024;

/// Maximum number of bytes from the server before the command has started.
// The longest messages are lists of algorithms and keys, a few kilobytes.
const MAX_BEFORE_START: u64 = 1024 * 1024;

/// Maximum number of useless bytes after that: keep-alive requests, ignored messages, and data that libssh2 queues
/// for no reader.
const MAX_USELESS: u64 = 16 * 1024 * 1024;

/// Number of useless bytes that one byte of output or input makes up for.
// A packet is never longer than its payload by more than this.
const BYTES_PER_USEFUL_BYTE: u64 = 128;

/// Allowance of useless bytes per second, for keep-alive requests over days.
const KEEP_ALIVE_ALLOWANCE: u64 = 1024;

/// Minimum size of a KEXINIT of this side on the wire.
// No other packet that libssh2 sends within a read is that long, except the next packet of the same key exchange.
const MIN_KEXINIT: usize = 160;

/// Maximum number of bytes read at once before the server has proved its identity.
const EARLY_READ: usize = 4096;

/// The connection to a server: by TCP, or through the session with a jump host.
#[derive(Debug)]
pub(super) enum ServerStream {
    Tcp(TcpStream),
    /// This side's end of a socket pair. A jump session pumps the other end.
    Tunnel(UnixStream),
}

impl ServerStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            ServerStream::Tcp(stream) => stream.try_read(buffer),
            ServerStream::Tunnel(stream) => stream.try_read(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            ServerStream::Tcp(stream) => stream.try_write(bytes),
            ServerStream::Tunnel(stream) => stream.try_write(bytes),
        }
    }

    fn descriptor(&self) -> RawFd {
        match self {
            ServerStream::Tcp(stream) => stream.as_raw_fd(),
            ServerStream::Tunnel(stream) => stream.as_raw_fd(),
        }
    }

    async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            ServerStream::Tcp(stream) => stream.ready(interest).await.map(drop),
            ServerStream::Tunnel(stream) => stream.ready(interest).await.map(drop),
        }
    }

    /// Makes dropping the stream reset the connection: closing first would leave a TIME_WAIT here.
    fn reset_on_drop(&self) {
        // The call fails only on a socket that is closed already.
        let _ = match self {
            ServerStream::Tcp(stream) => stream.set_zero_linger(),
            // A socket pair knows no reset. The jump session at the other end reads an end of file.
            ServerStream::Tunnel(stream) => {
                rustix::net::shutdown(stream, rustix::net::Shutdown::Both).map_err(Into::into)
            }
        };
    }
}

/// Connection below a libssh2 session.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: ServerStream,
    gate: Gate,
    /// True if the gate is open and empty, so that reads go past it.
    is_passed: bool,
    /// Data that the kernel has not taken yet.
    waiting: Vec<u8>,
    /// Number of bytes that libssh2 may still read in this call.
    left_in_call: usize,
    /// True if the last read found nothing more, so that waiting for the socket makes sense.
    would_block: bool,
    /// True if this call has read something.
    has_read: bool,
    /// Number of packets of at least [`MIN_KEXINIT`] bytes that libssh2 has sent in this call.
    offers: u32,
    /// True if the last packet that libssh2 has sent in this call has at least [`MIN_KEXINIT`] bytes.
    is_offer_last: bool,
    /// True if the end of the connection is hidden in this call.
    end_held: bool,
    /// Number of bytes received.
    received: u64,
    /// Number of useless bytes received.
    useless: u64,
    /// Maximum number of useless bytes.
    max_useless: u64,
    /// Start of the allowance by time; `None` until the command has started.
    allowance_since: Option<Instant>,
    /// True if nothing can be sent any more.
    write_failed: bool,
    /// True if nothing can be sent or received any more.
    dead: bool,
    ended: Option<StreamEnd>,
    /// Server's reason for the end of the connection.
    disconnect_reason: Option<String>,
    answers: Option<PasswordAnswer>,
}

/// End of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The server closed it.
    Closed,
    /// The server or the network reset it.
    Reset,
    /// The server sent more than an honest one does.
    Flood,
    /// The server broke the rules before the proof of its identity.
    Refused(Violation),
    /// Another error of the system, as text.
    Other(String),
}

/// Password for the server's questions.
#[derive(Debug)]
struct PasswordAnswer {
    password: Zeroizing<String>,
    /// True if the server has asked something.
    asked: bool,
    /// True if the server got the password.
    password_sent: bool,
}

impl Pipe {
    pub(super) fn new(stream: ServerStream) -> Pipe {
        Pipe {
            stream,
            gate: Gate::default(),
            is_passed: false,
            waiting: Vec::new(),
            left_in_call: MAX_PER_CALL,
            would_block: true,
            has_read: false,
            offers: 0,
            is_offer_last: false,
            end_held: false,
            received: 0,
            useless: 0,
            max_useless: MAX_BEFORE_START,
            allowance_since: None,
            write_failed: false,
            dead: false,
            ended: None,
            disconnect_reason: None,
            answers: None,
        }
    }

    /// Returns the socket's descriptor, valid while this exists.
    pub(super) fn descriptor(&self) -> RawFd {
        self.stream.descriptor()
    }

    /// Returns the server's text before the encryption.
    pub(super) fn greeting(&self) -> &Greeting {
        self.gate.greeting()
    }

    /// Returns the proof that the server owns its host key, if there is one.
    pub(super) fn proof(&self) -> Option<&Proof> {
        self.gate.proof()
    }

    /// Lets encrypted packets pass. The host key must have been accepted.
    pub(super) fn open_gate(&mut self) {
        self.gate.open();
    }

    /// Ends the connection for this reason.
    pub(super) fn refuse(&mut self, violation: Violation) {
        self.gate.refuse(violation.clone());
        self.ended.get_or_insert(StreamEnd::Refused(violation));
        self.stream.reset_on_drop();
        self.dead = true;
    }

    /// Returns the end of the connection, if it has ended.
    pub(super) fn ended(&self) -> Option<&StreamEnd> {
        self.ended.as_ref()
    }

    /// Returns the number of bytes received.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Replaces the limit for the start by the one for a running command. `sessions` is the number of sessions in
    /// this connection, each with windows of its own.
    pub(super) fn lift_limit(&mut self, sessions: u64) {
        self.useless = 0;
        self.max_useless = sessions * MAX_USELESS;
        self.allowance_since = Some(Instant::now());
    }

    /// Counts useful bytes: those of a stream, in or out.
    pub(super) fn count_useful(&mut self, bytes: usize) {
        let credit = BYTES_PER_USEFUL_BYTE.saturating_mul(bytes as u64);
        self.useless = self.useless.saturating_sub(credit);
    }

    /// True if the server has sent more useless bytes than an honest one does.
    fn is_flooded(&mut self) -> bool {
        let Some(since) = &mut self.allowance_since else {
            return self.useless > self.max_useless;
        };
        if self.useless > self.max_useless {
            let seconds = since.elapsed().as_secs();
            // Only whole seconds are used up, so that no part of a second is lost.
            *since += Duration::from_secs(seconds);
            self.useless = self
                .useless
                .saturating_sub(seconds.saturating_mul(KEEP_ALIVE_ALLOWANCE));
        }
        self.useless > self.max_useless
    }

    pub(super) fn disconnect_reason(&self) -> Option<&str> {
        self.disconnect_reason
            .as_deref()
            .or(self.gate.disconnect_reason())
    }

    pub(super) fn set_disconnect_reason(&mut self, text: String) {
        self.disconnect_reason = Some(text);
    }

    /// Answers the server's questions with this password, once.
    pub(super) fn answer_with(&mut self, password: Zeroizing<String>) {
        self.answers = Some(PasswordAnswer {
            password,
            asked: false,
            password_sent: false,
        });
    }

    /// Answers no more questions. Returns true if the server has been given the password, false if it has asked for
    /// something else, and `None` if it has asked nothing.
    pub(super) fn end_answers(&mut self) -> Option<bool> {
        let answers = self.answers.take()?;
        answers.asked.then_some(answers.password_sent)
    }

    /// Returns the password as the answer to the server's questions, if exactly one of them is hidden and it is the
    /// first time. `hidden` has one value for each question.
    pub(super) fn answer(&mut self, hidden: &[bool]) -> Option<Zeroizing<String>> {
        let answers = self.answers.as_mut()?;
        // A second question means that the password was wrong.
        if answers.asked || hidden.is_empty() {
            return None;
        }
        answers.asked = true;
        // With several hidden questions it is unknown which one is for the password.
        answers.password_sent = hidden.iter().filter(|hidden| **hidden).count() == 1;
        answers.password_sent.then(|| answers.password.clone())
    }

    /// Lets nothing pass any more, and resets the connection when it is dropped.
    pub(super) fn kill(&mut self) {
        self.dead = true;
        self.waiting.clear();
        if self.ended.is_none() {
            self.stream.reset_on_drop();
        }
    }

    /// Prepares for a call of libssh2; required before each.
    pub(super) fn begin_call(&mut self) {
        self.left_in_call = MAX_PER_CALL;
        self.would_block = false;
        self.has_read = false;
        self.end_held = false;
        self.offers = 0;
        self.is_offer_last = false;
    }

    /// True if a later key exchange has failed in this call, which must have been a read.
    pub(super) fn is_offer_unanswered(&self) -> bool {
        // libssh2 answers the server's KEXINIT with its own. If the two sides agree, it sends the next packet of the
        // key exchange in the same call. If they do not, it sends nothing more and reports no error. The server would
        // then wait for ever, and so would this side.
        self.offers == 1 && self.is_offer_last
    }

    /// Hides the end of the connection from libssh2 during this call.
    pub(super) fn hold_end(&mut self) {
        // After libssh2 knows of the end, it returns no more of its queued data.
        self.end_held = true;
    }

    /// True if libssh2 has read everything. If not, the call must be repeated without waiting.
    pub(super) fn is_drained(&self) -> bool {
        self.would_block
    }

    /// True if there is data that the kernel has not taken yet.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Handles a read of libssh2.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.dead {
            return Ok(0);
        }
        if !self.is_passed {
            return self.receive_watched(buffer);
        }
        // EAGAIN makes libssh2 return, so that other tasks get a turn.
        if self.left_in_call == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = buffer.len().min(self.left_in_call);
        self.read(&mut buffer[..n])
    }

    /// Handles a read before the gate is open and empty.
    fn receive_watched(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let taken = self.gate.take(buffer);
            self.is_passed = self.gate.is_passed();
            if taken > 0 {
                return Ok(taken);
            }
            if self.left_in_call == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut early = [0; EARLY_READ];
            let n = self.read(&mut early)?;
            if n == 0 {
                return Ok(0);
            }
            if let Err(violation) = self.gate.check_server(&early[..n]) {
                match violation {
                    // The greeting has more detail, so the connection simply ends.
                    Violation::NoServer => self.dead = true,
                    violation => self.refuse(violation),
                }
                return Ok(0);
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.ended {
            Some(_) => Ok(0),
            None => self.stream.try_read(buffer),
        };
        match read {
            Ok(0) if !buffer.is_empty() => {
                self.ended.get_or_insert(StreamEnd::Closed);
                self.end()
            }
            Ok(n) => {
                self.has_read = true;
                self.left_in_call = self.left_in_call.saturating_sub(n);
                self.received += n as u64;
                self.useless += n as u64;
                if self.is_flooded() {
                    self.ended.get_or_insert(StreamEnd::Flood);
                    self.stream.reset_on_drop();
                    self.dead = true;
                    return Ok(0);
                }
                Ok(n)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.would_block = true;
                    Err(error)
                }
                io::ErrorKind::Interrupted => Err(io::ErrorKind::WouldBlock.into()),
                _ => {
                    self.record_error(&error);
                    self.end()
                }
            },
        }
    }

    /// Reports the end of the connection to libssh2, or EAGAIN if it must first process what it has read.
    fn end(&self) -> io::Result<usize> {
        // After libssh2 knows of the end, it returns no more of what it has read.
        if self.has_read || self.end_held {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(0)
        }
    }

    /// Handles a write of libssh2, which is always taken whole. If sending fails, that is not reported: the server's
    /// data, which may contain its reason, is read first, and then the end.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.dead || self.waiting.len() + bytes.len() > MAX_WAITING {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.gate.is_client_encrypted()
            && let Err(violation) = self.gate.check_client(bytes)
        {
            self.refuse(violation);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.is_offer_last = bytes.len() >= MIN_KEXINIT;
        self.offers += u32::from(self.is_offer_last);
        if self.waiting.is_empty() {
            let sent = self.write(bytes);
            self.waiting.extend_from_slice(&bytes[sent..]);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
        // Always all bytes: libssh2 refuses all other work while it has a packet that is sent in part.
        Ok(bytes.len())
    }

    /// Passes bytes to the kernel; returns the number that it has taken.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && !self.write_failed {
            match self.stream.try_write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return sent,
                    io::ErrorKind::Interrupted => {}
                    _ => self.write_failed = true,
                },
            }
        }
        // After an error the rest is dropped. The reads report the end, after the data that came before it.
        bytes.len()
    }

    /// Passes waiting data to the kernel.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let sent = self.write(&waiting);
        self.waiting = waiting;
        self.waiting.drain(..sent);
    }

    /// Waits until the socket is readable, or writable if data waits. Cancel safe.
    pub(super) async fn ready(&self) -> io::Result<()> {
        let interest = if self.has_waiting() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        self.stream.ready(interest).await
    }

    /// Reads and discards data until the server has closed; true if it has.
    pub(super) fn read_past(&mut self) -> bool {
        let mut buffer = [0; EARLY_READ];
        while self.ended.is_none() {
            self.left_in_call = MAX_PER_CALL;
            match self.read(&mut buffer) {
                Ok(_) => {}
                Err(_) => return self.ended.is_some(),
            }
        }
        true
    }

    fn record_error(&mut self, error: &io::Error) {
        let ended = match error.kind() {
            // EPIPE is a reset after the server's end (`tcp_reset` in the kernel).
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => StreamEnd::Reset,
            _ => StreamEnd::Other(error.to_string()),
        };
        self.ended.get_or_insert(ended);
    }
}

#[cfg(test)]
mod tests;
