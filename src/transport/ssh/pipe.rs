//! The bytes under libssh2: its reads and writes go through here, to the socket that tokio watches.
//!
//! libssh2 calls [`Pipe::receive`] and [`Pipe::send`] instead of the system (see [`ffi`](super::ffi)). That
//! bounds what one call may take in, so that no server can keep the loop to itself; it takes every
//! write whole, so that libssh2 never has a half-sent packet for which it would refuse all others; and
//! a [`Gate`] watches everything that passes before the server has proved its identity.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

use super::gate::{Gate, Proof, Violation};
use super::greeting::Greeting;

/// The most that one call of libssh2 takes from the network: some milliseconds of its work.
const ALLOWANCE: usize = 256 * 1024;

/// The most that waits for the kernel to take it. Standard input is not written unless nothing waits, so
/// this is for libssh2's own messages; a peer that reads none of so many is not alive.
const MAX_WAITING: usize = 256 * 1024;

/// What a server may send before the command has started. Its longest messages then are lists of
/// algorithms and keys of a few kilobytes.
const MAX_BEFORE_START: u64 = 1024 * 1024;

/// What a server may send after that without anything coming of it: questions whether we are there, things
/// to be ignored, and what libssh2 keeps that nobody will ask for.
const MAX_UNPAID: u64 = 16 * 1024 * 1024;

/// So many bytes on the wire are paid for by one byte of output, or of input that was sent: a packet is never
/// more than this longer than what it carries.
const WORTH: u64 = 128;

/// And so many by a second, for those who say for days that they are there.
const PER_SECOND: u64 = 1024;

/// Minimum size of a KEXINIT of ours on the wire, and more than any other packet that libssh2 sends within a read has,
/// but for the next packet of the same key exchange.
const MIN_OFFER: usize = 160;

/// Maximum number of bytes read at once before the server has proved its identity.
const EARLY: usize = 4096;

/// The connection to a server: by TCP, or through the session with a jump host.
#[derive(Debug)]
pub(super) enum Line {
    Direct(TcpStream),
    /// Our end of a pair whose other end is pumped through another session.
    Through(UnixStream),
}

impl Line {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Direct(stream) => stream.try_read(buffer),
            Line::Through(stream) => stream.try_read(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Direct(stream) => stream.try_write(bytes),
            Line::Through(stream) => stream.try_write(bytes),
        }
    }

    fn descriptor(&self) -> RawFd {
        match self {
            Line::Direct(stream) => stream.as_raw_fd(),
            Line::Through(stream) => stream.as_raw_fd(),
        }
    }

    async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            Line::Direct(stream) => stream.ready(interest).await.map(drop),
            Line::Through(stream) => stream.ready(interest).await.map(drop),
        }
    }

    /// Makes sure that dropping it resets the connection: closing first would leave a TIME_WAIT here.
    fn reset_on_drop(&self) {
        // It can fail only on a socket that is gone already.
        let _ = match self {
            Line::Direct(stream) => stream.set_zero_linger(),
            Line::Through(stream) => {
                rustix::net::shutdown(stream, rustix::net::Shutdown::Both).map_err(Into::into)
            }
        };
    }
}

/// A connection as libssh2 sees it.
#[derive(Debug)]
pub(super) struct Pipe {
    line: Line,
    gate: Gate,
    /// True if the gate is open and empty, so that reads go past it.
    is_passed: bool,
    /// What the kernel has not taken yet.
    waiting: Vec<u8>,
    /// What libssh2 may still take in this call.
    allowance: usize,
    /// The last read found nothing more: waiting for the socket is worth while.
    drained: bool,
    /// Something came in this call.
    fresh: bool,
    /// Number of packets of at least [`MIN_OFFER`] bytes that libssh2 has sent in this call.
    offers: u32,
    /// True if the last packet that libssh2 has sent in this call is one of them.
    is_offer_last: bool,
    /// The end is not to be told yet.
    held: bool,
    /// All bytes that came.
    received: u64,
    /// What came of it that nothing has paid for.
    unpaid: u64,
    /// How much that may be.
    most: u64,
    /// Since when time pays; `None` until the command has started, when nothing does.
    paid_since: Option<Instant>,
    /// Nothing can be sent any more.
    mute: bool,
    /// Nothing passes any more.
    dead: bool,
    ended: Option<Ended>,
    /// Why the server says that it ends the connection.
    farewell: Option<String>,
    answers: Option<Answers>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server closed it.
    Closed,
    /// The server, or something on the way, reset it.
    Reset,
    /// The server sent more than any honest one would.
    Flood,
    /// The server cannot be trusted to prove its identity.
    Refused(Violation),
    /// The system's words for anything else.
    Other(String),
}

/// What to say when the server asks questions.
#[derive(Debug)]
struct Answers {
    password: Zeroizing<String>,
    /// The server has asked something.
    given: bool,
    /// The server has been given the password.
    shown: bool,
}

impl Pipe {
    pub(super) fn new(line: Line) -> Pipe {
        Pipe {
            line,
            gate: Gate::default(),
            is_passed: false,
            waiting: Vec::new(),
            allowance: ALLOWANCE,
            drained: true,
            fresh: false,
            offers: 0,
            is_offer_last: false,
            held: false,
            received: 0,
            unpaid: 0,
            most: MAX_BEFORE_START,
            paid_since: None,
            mute: false,
            dead: false,
            ended: None,
            farewell: None,
            answers: None,
        }
    }

    /// The socket's, as long as this lives.
    pub(super) fn descriptor(&self) -> RawFd {
        self.line.descriptor()
    }

    /// What the server said before anything was encrypted.
    pub(super) fn greeting(&self) -> &Greeting {
        self.gate.greeting()
    }

    /// The proof that the server owns its host key, once there is one.
    pub(super) fn proof(&self) -> Option<&Proof> {
        self.gate.proof()
    }

    /// Lets encrypted packets through: the host key that was proved has been judged.
    pub(super) fn open_gate(&mut self) {
        self.gate.open();
    }

    /// Ends the connection for this reason.
    pub(super) fn refuse(&mut self, violation: Violation) {
        self.gate.refuse(violation.clone());
        self.ended.get_or_insert(Ended::Refused(violation));
        self.line.reset_on_drop();
        self.dead = true;
    }

    /// How the connection ended, if it has.
    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// All bytes that came so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The command has started: from here on what comes of it may be much, if it is of use.
    /// `sessions` is how many may go through it, each with windows of its own.
    pub(super) fn lift_limit(&mut self, sessions: u64) {
        self.unpaid = 0;
        self.most = sessions * MAX_UNPAID;
        self.paid_since = Some(Instant::now());
    }

    /// So many bytes of a stream have passed, in or out.
    pub(super) fn pay(&mut self, bytes: usize) {
        let worth = WORTH.saturating_mul(bytes as u64);
        self.unpaid = self.unpaid.saturating_sub(worth);
    }

    /// Whether the server has sent more than any honest one would.
    fn is_flooded(&mut self) -> bool {
        let Some(since) = &mut self.paid_since else {
            return self.unpaid > self.most;
        };
        if self.unpaid > self.most {
            let seconds = since.elapsed().as_secs();
            *since += Duration::from_secs(seconds);
            self.unpaid = self
                .unpaid
                .saturating_sub(seconds.saturating_mul(PER_SECOND));
        }
        self.unpaid > self.most
    }

    pub(super) fn farewell(&self) -> Option<&str> {
        self.farewell.as_deref().or(self.gate.farewell())
    }

    pub(super) fn set_farewell(&mut self, text: String) {
        self.farewell = Some(text);
    }

    /// Answers the server's questions with this password, once.
    pub(super) fn answer_with(&mut self, password: Zeroizing<String>) {
        self.answers = Some(Answers {
            password,
            given: false,
            shown: false,
        });
    }

    /// Answers no more questions. Returns true if the server has been given the password, false if it has asked for
    /// something else, and `None` if it has asked nothing.
    pub(super) fn end_answers(&mut self) -> Option<bool> {
        let answers = self.answers.take()?;
        answers.given.then_some(answers.shown)
    }

    /// Returns the answer to the hidden ones of the server's questions, if there is one; the others have none.
    pub(super) fn answer(&mut self, hidden: &[bool]) -> Option<Zeroizing<String>> {
        let answers = self.answers.as_mut()?;
        // Asked again, the password was wrong: nothing else is known here.
        if answers.given || hidden.is_empty() {
            return None;
        }
        answers.given = true;
        // Of several secrets it would not be known which is the password.
        answers.shown = hidden.iter().filter(|hidden| **hidden).count() == 1;
        answers.shown.then(|| answers.password.clone())
    }

    /// Lets nothing pass any more, and resets the connection when it is dropped.
    pub(super) fn kill(&mut self) {
        self.dead = true;
        self.waiting.clear();
        if self.ended.is_none() {
            self.line.reset_on_drop();
        }
    }

    /// Called before each call of libssh2.
    pub(super) fn begin(&mut self) {
        self.allowance = ALLOWANCE;
        self.drained = false;
        self.fresh = false;
        self.held = false;
        self.offers = 0;
        self.is_offer_last = false;
    }

    /// True if a later key exchange has failed in this call, which must have been a read.
    ///
    /// libssh2 answers the server's KEXINIT with its own, and sends the next packet of the key exchange in the same call
    /// if the two sides agree. If they do not, it sends nothing more and reports no error. The server then waits for
    /// ever, and so would we.
    pub(super) fn is_offer_unanswered(&self) -> bool {
        self.offers == 1 && self.is_offer_last
    }

    /// Hides the end from libssh2 during this call: once it knows, it gives nothing of what it has.
    pub(super) fn hold_end(&mut self) {
        self.held = true;
    }

    /// Whether libssh2 has taken all that there is. If not, it is to be called again instead of waiting.
    pub(super) fn is_drained(&self) -> bool {
        self.drained
    }

    /// Whether something of ours has not been taken by the kernel.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// libssh2 reads.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.dead {
            return Ok(0);
        }
        if !self.is_passed {
            return self.receive_watched(buffer);
        }
        if self.allowance == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = buffer.len().min(self.allowance);
        self.read(&mut buffer[..n])
    }

    /// libssh2 reads what the gate lets through.
    fn receive_watched(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let taken = self.gate.take(buffer);
            self.is_passed = self.gate.is_passed();
            if taken > 0 {
                return Ok(taken);
            }
            if self.allowance == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut early = [0; EARLY];
            let n = self.read(&mut early)?;
            if n == 0 {
                return Ok(0);
            }
            if let Err(violation) = self.gate.from_server(&early[..n]) {
                match violation {
                    // The greeting says more, and the end is like any other.
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
            None => self.line.try_read(buffer),
        };
        match read {
            Ok(0) if !buffer.is_empty() => {
                self.ended.get_or_insert(Ended::Closed);
                self.end()
            }
            Ok(n) => {
                self.fresh = true;
                self.allowance = self.allowance.saturating_sub(n);
                self.received += n as u64;
                self.unpaid += n as u64;
                if self.is_flooded() {
                    self.ended.get_or_insert(Ended::Flood);
                    self.line.reset_on_drop();
                    self.dead = true;
                    return Ok(0);
                }
                Ok(n)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.drained = true;
                    Err(error)
                }
                io::ErrorKind::Interrupted => Err(io::ErrorKind::WouldBlock.into()),
                _ => {
                    self.note(&error);
                    self.end()
                }
            },
        }
    }

    /// Tells libssh2 that nothing more will come, unless it has something to give before.
    fn end(&self) -> io::Result<usize> {
        if self.fresh || self.held {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(0)
        }
    }

    /// libssh2 writes. All of it is taken. What cannot be sent any more is taken, too: what the server sent
    /// before is read then, which may say why, and after it the end.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.dead || self.waiting.len() + bytes.len() > MAX_WAITING {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.gate.is_client_encrypted()
            && let Err(violation) = self.gate.from_client(bytes)
        {
            self.refuse(violation);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.is_offer_last = bytes.len() >= MIN_OFFER;
        self.offers += u32::from(self.is_offer_last);
        if self.waiting.is_empty() {
            let sent = self.write(bytes);
            self.waiting.extend_from_slice(&bytes[sent..]);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    /// Gives the kernel what it takes.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && !self.mute {
            match self.line.try_write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return sent,
                    io::ErrorKind::Interrupted => {}
                    _ => self.mute = true,
                },
            }
        }
        bytes.len()
    }

    /// Gives the kernel what has been waiting, as far as it takes it.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let sent = self.write(&waiting);
        self.waiting = waiting;
        self.waiting.drain(..sent);
    }

    /// Waits until the socket has something, or takes something if there is something for it. Cancel safe.
    pub(super) async fn ready(&self) -> io::Result<()> {
        let interest = if self.has_waiting() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        self.line.ready(interest).await
    }

    /// Reads past all that still comes until the server has closed; true if it has.
    pub(super) fn read_past(&mut self) -> bool {
        let mut buffer = [0; EARLY];
        while self.ended.is_none() {
            self.allowance = ALLOWANCE;
            match self.read(&mut buffer) {
                Ok(_) => {}
                Err(_) => return self.ended.is_some(),
            }
        }
        true
    }

    fn note(&mut self, error: &io::Error) {
        let ended = match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ended::Reset,
            _ => Ended::Other(error.to_string()),
        };
        self.ended.get_or_insert(ended);
    }
}

#[cfg(test)]
mod tests;
