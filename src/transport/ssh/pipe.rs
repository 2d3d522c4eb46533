//! The bytes under libssh2: its reads and writes go through here, to the socket that tokio watches.
//!
//! libssh2 calls [`Pipe::receive`] and [`Pipe::send`] instead of the system (see [`ffi`](super::ffi)). That
//! bounds what one call may take in, so that no server can keep the loop to itself; it takes every
//! write whole, so that libssh2 never has a half-sent packet for which it would refuse all others; and
//! it reads the server's greeting, of which libssh2 says nothing when it is not one.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

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

/// How much is read at once while the greeting is awaited, of which libssh2 takes one byte at a time.
const EARLY: usize = 1024;

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
    /// What came with the greeting and libssh2 has not taken yet, and how far it has.
    early: Vec<u8>,
    taken: usize,
    /// What the kernel has not taken yet.
    waiting: Vec<u8>,
    greeting: Greeting,
    /// What libssh2 may still take in this call.
    allowance: usize,
    /// The last read found nothing more: waiting for the socket is worth while.
    drained: bool,
    /// Something came in this call.
    fresh: bool,
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
            early: Vec::new(),
            taken: 0,
            waiting: Vec::new(),
            greeting: Greeting::default(),
            allowance: ALLOWANCE,
            drained: true,
            fresh: false,
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
        &self.greeting
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
        self.farewell.as_deref()
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
        if self.taken < self.early.len() {
            let rest = &self.early[self.taken..];
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            self.taken += n;
            return Ok(n);
        }
        if self.allowance == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.greeting.is_complete() {
            // The buffer of the greeting is not needed again.
            self.early = Vec::new();
            self.taken = 0;
            let n = buffer.len().min(self.allowance);
            return self.read(&mut buffer[..n]);
        }
        let mut early = [0; EARLY];
        let n = self.read(&mut early)?;
        self.greeting.feed(&early[..n]);
        if self.greeting.failed().is_some() {
            // It would be waited for until the time runs out.
            self.dead = true;
            return Ok(0);
        }
        let first = n.min(buffer.len());
        buffer[..first].copy_from_slice(&early[..first]);
        self.early.clear();
        self.early.extend_from_slice(&early[first..n]);
        self.taken = 0;
        Ok(first)
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
        match self.fresh || self.held {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(0),
        }
    }

    /// libssh2 writes. All of it is taken. What cannot be sent any more is taken, too: what the server sent
    /// before is read then, which may say why, and after it the end.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.dead || self.waiting.len() + bytes.len() > MAX_WAITING {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
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
        let interest = match self.has_waiting() {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
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
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// A pipe whose other end is in hand, with the greeting behind it.
    fn greeted() -> (Pipe, std::os::unix::net::UnixStream) {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut pipe = Pipe::new(Line::Through(UnixStream::from_std(ours).unwrap()));
        theirs.write_all(b"SSH-2.0-x\r\n").unwrap();
        pipe.greeting.feed(b"SSH-2.0-x\r\n");
        theirs.set_nonblocking(false).unwrap();
        (pipe, theirs)
    }

    #[tokio::test]
    async fn all_that_is_written_is_taken_and_arrives() {
        let (mut pipe, mut theirs) = greeted();
        let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let mut wanted = Vec::new();
        // More than a socket holds, in pieces as libssh2 writes them.
        for piece in bytes.chunks(1000) {
            pipe.ready_to_write().await;
            assert_eq!(pipe.send(piece).unwrap(), piece.len());
            wanted.extend_from_slice(piece);
            if pipe.has_waiting() {
                break;
            }
        }
        assert!(pipe.has_waiting());
        let reader = std::thread::spawn(move || {
            let mut found = vec![0; wanted.len()];
            theirs.read_exact(&mut found).unwrap();
            (found == wanted, theirs)
        });
        while pipe.has_waiting() {
            pipe.ready_to_write().await;
            pipe.flush();
        }
        assert!(reader.join().unwrap().0);
    }

    #[tokio::test]
    async fn what_comes_before_the_end_is_read_first() {
        let (mut pipe, mut theirs) = greeted();
        theirs.write_all(b"last words").unwrap();
        drop(theirs);
        pipe.ready().await.unwrap();
        let mut buffer = [0; 1024];
        pipe.begin();
        let n = pipe.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"SSH-2.0-x\r\nlast words");
        // In the same call the end is hidden, and while something has to be got out first.
        assert!(pipe.receive(&mut buffer).is_err());
        pipe.begin();
        pipe.hold_end();
        assert!(pipe.receive(&mut buffer).is_err());
        pipe.begin();
        assert_eq!(pipe.receive(&mut buffer).unwrap(), 0);
        assert_eq!(pipe.ended(), Some(&Ended::Closed));
    }

    #[tokio::test]
    async fn one_call_takes_so_much_and_a_flood_is_cut_off() {
        let (mut pipe, mut theirs) = greeted();
        let writer = std::thread::spawn(move || {
            let mut sent = 0_u64;
            while let Ok(n) = theirs.write(&[0; 65536]) {
                sent += n as u64;
            }
            sent
        });
        let mut buffer = [0; 40_000];
        while pipe.ended().is_none() {
            let before = pipe.received();
            pipe.begin();
            while let Ok(1..) = pipe.receive(&mut buffer) {}
            assert!(pipe.received() - before <= ALLOWANCE as u64);
            if pipe.is_drained() {
                pipe.ready().await.unwrap();
            }
        }
        assert_eq!(pipe.ended(), Some(&Ended::Flood));
        assert!(pipe.received() <= MAX_BEFORE_START + ALLOWANCE as u64);
        drop(pipe);
        writer.join().unwrap();
    }

    /// What is taken of a server that writes without end once the command has started, if of each piece
    /// so much pays.
    async fn taken_of_a_flood(paying: usize, enough: u64) -> Pipe {
        let (mut pipe, mut theirs) = greeted();
        let writer =
            std::thread::spawn(move || while theirs.write(&[0; 65536]).is_ok_and(|n| n > 0) {});
        pipe.lift_limit(1);
        let mut buffer = vec![0; 40_000];
        while pipe.ended().is_none() && pipe.received() < enough {
            pipe.begin();
            while let Ok(n @ 1..) = pipe.receive(&mut buffer) {
                pipe.pay(n.min(paying));
            }
            if pipe.is_drained() {
                pipe.ready().await.unwrap();
            }
        }
        pipe.kill();
        let _ = pipe.line_shut();
        writer.join().unwrap();
        pipe
    }

    #[tokio::test]
    async fn what_is_of_no_use_is_bounded_and_output_is_not() {
        let enough = 6 * MAX_UNPAID;
        let useless = taken_of_a_flood(0, enough).await;
        assert_eq!(useless.ended(), Some(&Ended::Flood));
        let slack = ALLOWANCE as u64 + PER_SECOND * 600;
        assert!(useless.received() <= MAX_UNPAID + slack);
        // A byte for each of many packets does not make up for them.
        let nearly = taken_of_a_flood(1, enough).await;
        assert_eq!(nearly.ended(), Some(&Ended::Flood));
        let output = taken_of_a_flood(usize::MAX, enough).await;
        assert_eq!(output.ended(), None);
        assert!(output.received() >= enough);
    }

    #[tokio::test]
    async fn a_password_answers_one_hidden_question() {
        let answers = |rounds: &[&[bool]]| {
            let (mut pipe, _theirs) = greeted();
            pipe.answer_with(Zeroizing::new("sesame".to_owned()));
            let answer = |shown: &&[bool]| {
                let hidden: Vec<bool> = shown.iter().map(|shown| !shown).collect();
                let answer = pipe.answer(&hidden).unwrap_or_default();
                let given = hidden
                    .iter()
                    .map(|hidden| if *hidden { answer.as_str() } else { "" });
                given.collect::<Vec<_>>().join(",")
            };
            rounds.iter().map(answer).collect::<Vec<_>>().join(";")
        };
        assert_eq!(answers(&[&[false]]), "sesame");
        assert_eq!(answers(&[&[], &[false], &[false]]), ";sesame;");
        assert_eq!(answers(&[&[true, false]]), ",sesame");
        assert_eq!(answers(&[&[true]]), "");
        assert_eq!(answers(&[&[false, false]]), ",");
    }

    #[tokio::test]
    async fn signs_of_life_may_go_on_for_days() {
        let (mut pipe, _theirs) = greeted();
        pipe.lift_limit(1);
        pipe.unpaid = MAX_UNPAID + 1;
        assert!(pipe.is_flooded());
        let day = Duration::from_secs(24 * 60 * 60);
        pipe.paid_since = Instant::now().checked_sub(day);
        assert!(pipe.paid_since.is_none() || !pipe.is_flooded());
    }

    impl Pipe {
        fn line_shut(&self) -> rustix::io::Result<()> {
            match &self.line {
                Line::Through(stream) => rustix::net::shutdown(stream, rustix::net::Shutdown::Both),
                Line::Direct(_) => Ok(()),
            }
        }

        async fn ready_to_write(&self) {
            self.line.ready(Interest::WRITABLE).await.unwrap();
        }
    }
}
