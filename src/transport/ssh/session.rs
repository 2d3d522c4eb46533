//! A running ssh session: reads both streams to their end, then the exit, and closes the connection.

use std::sync::Arc;
use std::time::Duration;

use reserved_ports::PortLease;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::lost;
use super::drive::CallPacer;
use super::ffi::{Channel, Exit, Peer};
use super::pipe::StreamEnd;
use crate::clock::reached;
use crate::event::{Chunk, Phase, RemoteExit, Side, Stream};
use crate::targets::TargetId;
use crate::transport::input::{FilePart, InputData, InputError, InputReader};
use crate::transport::scratch;
use crate::transport::{Output, RemoteSignal, Session, TransportError};

/// Maximum time for the server to close after the exit. The server should close first, so that it gets the TIME_WAIT.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of standard error in libssh2.
pub(super) const STDERR: i32 = 1;

/// Maximum number of reads of one stream before the other one is read.
const MAX_READS: usize = 16;

/// Maximum number of bytes that one write of libssh2 sends: one packet (`_libssh2_channel_write`).
// More bytes of a file would be read and not sent.
const MAX_PACKET: usize = 32_700;

/// A command that an ssh server has started.
#[derive(Debug)]
pub struct SshSession {
    pub(super) id: TargetId,
    /// Declared before the lease, since fields are dropped in this order.
    pub(super) peer: Peer,
    pub(super) channel: Channel,
    /// Lease on the source port; `None` for a connection through a jump host.
    pub(super) lease: Option<PortLease>,
    pub(super) alive: Option<KeepAlive>,
    pub(super) options: StreamOptions,
    /// Standard input, until it has ended.
    pub(super) input: Option<InputReader>,
    /// True if the end of the input was sent.
    pub(super) input_ended: bool,
    pub(super) state: SessionState,
    /// Signal that is not sent yet.
    pub(super) signal: Option<&'static str>,
    /// Output that was read before the start of the command was known.
    pub(super) early: Vec<(Stream, Vec<u8>)>,
    /// Way to send a signal.
    pub(super) signal_way: SignalWay,
}

/// Way to send a signal to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalWay {
    /// A request of the protocol: the server sends the signal with the rights of the login user.
    Request,
    /// A line of its name on standard input, which a process of the command's own user reads.
    Line,
    /// The end of the input. The command is a dialogue of another user, which ends with it.
    EndOfInput,
    /// None: the command belongs to another user, and its input is the user's.
    None,
}

/// Treatment of the streams and of a missing exit.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamOptions {
    /// Output stream for standard error; `None` discards it.
    pub(super) stderr: Option<Stream>,
    /// True if a missing exit is a success (`--raw`).
    pub(super) raw: bool,
}

impl StreamOptions {
    /// Returns the options for a subsystem. Its standard output is a protocol, and some servers send no exit for it.
    pub(super) fn for_subsystem(self) -> StreamOptions {
        StreamOptions {
            stderr: self.stderr.map(|_| Stream::Stderr),
            raw: true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    Running,
    /// Both streams have ended.
    Ending,
    /// The channel is closed. `None` if the server sent no exit.
    Ended(Option<RemoteExit>),
}

/// Keep-alive requests, which check that the server still answers (`ServerAliveInterval`).
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    most: u32,
    next: Instant,
    received: u64,
    missed: u32,
}

impl KeepAlive {
    pub(super) fn new(interval: Duration, most: u32) -> KeepAlive {
        KeepAlive {
            interval,
            most,
            next: Instant::now() + interval,
            received: 0,
            missed: 0,
        }
    }
}

impl SshSession {
    /// Reads both streams until they have ended.
    async fn copy_streams(&mut self, output: &Output) -> Result<(), TransportError> {
        let mut pacer = CallPacer::default();
        let mut looked_again = false;
        loop {
            self.send_pending()?;
            let before = self.peer.queued(self.channel);
            let moved = self.read_streams(output).await?;
            if self.peer.at_end(self.channel) {
                return Ok(());
            }
            let after = self.peer.queued(self.channel);
            let is_foreign = !moved && before.is_readable && before.bytes == after.bytes;
            if is_foreign {
                // Extended data of an unknown type (RFC 4254, section 5.2) is dropped, as ssh does. libssh2 would
                // keep it and never report the end of the channel.
                self.drop_queued(after.bytes)?;
                if self.peer.at_end(self.channel) {
                    return Ok(());
                }
            }
            let has_widened = !before.is_readable && after.is_readable;
            let has_progress = moved || has_widened || (is_foreign && after.bytes > 0);
            // Data that came while one stream was read may belong to the other.
            if has_progress || (after.bytes > 0 && !looked_again) {
                looked_again = !has_progress;
                // A server that writes without end must not delay the timers of this host.
                yield_now().await;
                continue;
            }
            looked_again = false;
            self.wait(&mut pacer).await?;
        }
    }

    /// Sends the end of the input and a pending signal.
    fn send_pending(&mut self) -> Result<(), TransportError> {
        let Self { peer, channel, .. } = self;
        // Lines with signals may follow as long as the command runs.
        let is_open = self.signal_way == SignalWay::Line && self.state == SessionState::Running;
        if !self.input_ended && self.input.is_none() && !is_open {
            peer.pipe_mut().begin_call();
            let ended = peer.end_input(*channel);
            self.input_ended = ended
                .map_err(|fault| lost(peer, Phase::Run, fault))?
                .is_some();
        }
        if let Some(name) = self.signal {
            peer.pipe_mut().begin_call();
            let sent = match self.signal_way {
                SignalWay::Line => {
                    let line = format!("{name}\n");
                    peer.write(*channel, line.as_bytes())
                        .map(|sent| sent.map(drop))
                }
                _ => peer.signal(*channel, name),
            };
            match sent {
                Ok(None) => {}
                Ok(Some(())) => self.signal = None,
                // Whoever reads the lines has ended, so the command has too.
                Err(fault) if fault.is_of_channel() => self.signal = None,
                Err(fault) => return Err(lost(peer, Phase::Run, fault)),
            }
        }
        Ok(())
    }

    /// Reads both streams until they are empty or one turn is over; true if there was data.
    async fn read_streams(&mut self, output: &Output) -> Result<bool, TransportError> {
        let mut moved = false;
        while !self.early.is_empty() {
            // The slot comes first, so that a cancelled wait loses nothing.
            let permit = output.reserve().await;
            let (stream, data) = self.early.remove(0);
            let stream = match stream {
                Stream::Stdout => Some(stream),
                Stream::Stderr => self.options.stderr,
            };
            if let (Some(stream), false) = (stream, data.is_empty()) {
                let target = self.id;
                permit.send(Chunk {
                    target,
                    stream,
                    data,
                });
            }
        }
        for (number, stream) in [(0, Some(Stream::Stdout)), (STDERR, self.options.stderr)] {
            for _ in 0..MAX_READS {
                // The slot comes first: a full queue leaves the data in the window, which stops the command.
                let permit = output.reserve().await;
                let data = self.read(number, stream.is_some())?;
                match (data, stream) {
                    (None, _) => break,
                    (Some(data), Some(stream)) => permit.send(Chunk {
                        target: self.id,
                        stream,
                        data,
                    }),
                    (Some(_), None) => {}
                }
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Drops the first bytes of the queue.
    fn drop_queued(&mut self, bytes: usize) -> Result<(), TransportError> {
        let Self { peer, channel, .. } = self;
        peer.pipe_mut().begin_call();
        let dropped = peer.drop_queued(*channel, bytes);
        dropped.map_err(|fault| lost(peer, Phase::Run, fault))
    }

    pub(super) fn read(
        &mut self,
        number: i32,
        wanted: bool,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let Self { peer, channel, .. } = self;
        peer.pipe_mut().begin_call();
        // libssh2 returns no more queued data after it knows of the end.
        if peer.has_output(*channel) {
            peer.pipe_mut().hold_end();
        }
        scratch::with(|buffer| match peer.read(*channel, number, buffer) {
            Ok(Some(0) | None) => Ok(None),
            Ok(Some(n)) => {
                peer.pipe_mut().count_useful(n);
                Ok(Some(if wanted {
                    buffer[..n].to_vec()
                } else {
                    Vec::new()
                }))
            }
            Err(fault) => Err(lost(peer, Phase::Run, fault)),
        })
    }

    /// Waits for data, a keep-alive timer or input. Sends as much input as the server accepts.
    async fn wait(&mut self, pacer: &mut CallPacer) -> Result<(), TransportError> {
        let takes = self.takes_input();
        let Self {
            peer, input, alive, ..
        } = self;
        let keep_alive_at = alive.as_ref().map(|alive| alive.next);
        tokio::select! {
            () = pacer.wait(peer) => Ok(()),
            () = reached(keep_alive_at) => self.keep_alive(),
            data = next_input(input), if takes => self.feed(data),
        }
    }

    /// True if the server and the socket take input.
    fn takes_input(&mut self) -> bool {
        !self.peer.pipe().has_waiting() && self.peer.window(self.channel) > 0
    }

    /// Sends a part of the input, or records its end.
    fn feed(&mut self, data: Result<InputData, Arc<InputError>>) -> Result<(), TransportError> {
        match data {
            Ok(InputData::Bytes(bytes)) if bytes.is_empty() => self.input = None,
            Ok(InputData::Bytes(bytes)) => {
                self.write(&bytes)?;
            }
            Ok(InputData::File(part)) => self.write_file(&part)?,
            Err(error) => return Err(self.input_failed(error)),
        }
        Ok(())
    }

    /// Sends packets of a part of a file, as long as they are taken.
    fn write_file(&mut self, part: &FilePart) -> Result<(), TransportError> {
        let mut done = 0;
        while done < part.length() && self.takes_input() {
            let bytes = match part.read(done, MAX_PACKET) {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.input_failed(error)),
            };
            match self.write(&bytes)? {
                0 => break,
                n => done += n,
            }
        }
        Ok(())
    }

    /// Sends bytes of the input. Returns the number of bytes that were taken.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, TransportError> {
        let Self { peer, channel, .. } = self;
        peer.pipe_mut().begin_call();
        match peer.write(*channel, bytes) {
            Ok(Some(n)) => {
                peer.pipe_mut().count_useful(n);
                if let Some(input) = &mut self.input {
                    input.advance(n);
                }
                Ok(n)
            }
            Ok(None) => Ok(0),
            Err(fault) if fault.is_of_channel() => {
                // The command has closed its input, which says nothing about its exit.
                self.input = None;
                self.input_ended = true;
                Ok(0)
            }
            Err(fault) => Err(lost(peer, Phase::Run, fault)),
        }
    }

    /// Kills the command, which must not treat a failed input as complete.
    fn input_failed(&mut self, error: Arc<InputError>) -> TransportError {
        self.signal = Some("KILL");
        match self.send_pending() {
            Ok(()) => TransportError::Input(error),
            Err(error) => error,
        }
    }

    /// Sends a keep-alive request. Fails if too many are unanswered.
    fn keep_alive(&mut self) -> Result<(), TransportError> {
        let Some(alive) = &mut self.alive else {
            return Ok(());
        };
        alive.next = Instant::now() + alive.interval;
        let received = self.peer.pipe().received();
        // Any data shows that the server lives, not only its answer.
        if received == alive.received {
            alive.missed += 1;
        } else {
            alive.missed = 0;
        }
        alive.received = received;
        if alive.missed > alive.most {
            return Err(TransportError::Closed {
                phase: Phase::Run,
                hint: Some(format!(
                    "the server has not answered for {} s (ServerAliveInterval)",
                    alive.interval.as_secs() * u64::from(alive.missed)
                )),
            });
        }
        self.peer.pipe_mut().begin_call();
        let asked = self.peer.keep_alive();
        asked.map_err(|fault| lost(&self.peer, Phase::Run, fault))
    }

    pub(super) async fn wait_for_exit(&mut self) -> Result<Option<RemoteExit>, TransportError> {
        let channel = self.channel;
        let mut pacer = CallPacer::default();
        // A command may close its streams and still run and read input, so there is no time limit. After the exit,
        // the server has only the close left to send.
        let mut until = None;
        loop {
            self.peer.pipe_mut().begin_call();
            let closed = self.peer.closed(channel);
            let is_said = self.peer.exit(channel) != Exit::Unsaid;
            match closed {
                Ok(Some(())) => break,
                Ok(None) if is_said => {
                    let until = *until.get_or_insert_with(|| Instant::now() + CLOSE_TIMEOUT);
                    if timeout_at(until, pacer.wait(&mut self.peer)).await.is_err() {
                        break;
                    }
                }
                Ok(None) => {
                    self.send_pending()?;
                    self.wait(&mut pacer).await?;
                }
                Err(_) if is_said => break,
                Err(fault) => return Err(lost(&self.peer, Phase::Run, fault)),
            }
        }
        Ok(match self.peer.exit(channel) {
            Exit::Signal(name) => Some(RemoteExit::Signaled(signal_number(&name))),
            Exit::Status(status) => {
                // A status above 255 must not become 0.
                Some(RemoteExit::Code(u8::try_from(status).unwrap_or(u8::MAX)))
            }
            Exit::Unsaid => None,
        })
    }

    /// Closes the connection and lets the server close it first.
    async fn disconnect(&mut self) {
        let Self { peer, channel, .. } = self;
        let channel = *channel;
        let closing = async {
            // The session is over, so errors are ignored.
            let _ = peer.drive(|peer| peer.close(channel)).await;
            let _ = peer.drive(Peer::disconnect).await;
            loop {
                peer.pipe_mut().flush();
                if peer.pipe_mut().read_past() || peer.pipe().ready().await.is_err() {
                    break;
                }
            }
        };
        // After the timeout the connection is reset, which leaves no TIME_WAIT on this side either.
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
        if self.closes_first() == Some(Side::Remote)
            && let Some(lease) = &mut self.lease
        {
            lease.remote_closed_first();
        }
    }
}

/// Waits for input; never returns if there is none. Cancel safe.
async fn next_input(input: &mut Option<InputReader>) -> Result<InputData, Arc<InputError>> {
    match input {
        Some(input) => input.peek_data().await,
        None => std::future::pending().await,
    }
}

impl Session for SshSession {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        if self.state == SessionState::Running {
            self.copy_streams(output).await?;
            self.state = SessionState::Ending;
        }
        let exit = match self.state {
            SessionState::Ended(exit) => exit,
            SessionState::Running | SessionState::Ending => self.wait_for_exit().await?,
        };
        self.state = SessionState::Ended(exit);
        self.disconnect().await;
        match exit {
            Some(exit) => Ok(exit),
            None if self.options.raw => Ok(RemoteExit::Unknown),
            None => Err(TransportError::NoEndMarker {
                hint: "the server sent none; --raw accepts that",
            }),
        }
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        if matches!(self.state, SessionState::Ended(_)) {
            return false;
        }
        match self.signal_way {
            SignalWay::Request | SignalWay::Line => {}
            SignalWay::EndOfInput => {
                self.input = None;
                return self.send_pending().is_ok();
            }
            SignalWay::None => return false,
        }
        let name = match signal {
            RemoteSignal::Term => "TERM",
            RemoteSignal::Kill => "KILL",
        };
        self.signal = Some(name);
        // The session is possibly not polled again, so the signal is sent now.
        self.send_pending().is_ok()
    }

    fn closes_first(&self) -> Option<Side> {
        // A tunnelled connection is no TCP connection of this machine.
        self.lease.as_ref()?;
        Some(match self.peer.pipe().ended() {
            Some(StreamEnd::Closed) => Side::Remote,
            _ => Side::Local,
        })
    }
}

/// Returns the number of a signal by its name in the protocol, which may end with `@` and a domain. Returns 0 for an
/// unknown name, because the command was killed also then.
fn signal_number(name: &str) -> u8 {
    // RFC 4254, section 6.10: names that are not in the standard have a domain.
    let name = name.split('@').next().unwrap_or(name);
    let is = |number: &i32| {
        signal_hook::low_level::signal_name(*number)
            .and_then(|full| full.strip_prefix("SIG"))
            .is_some_and(|known| known == name)
    };
    (1..=64)
        .find(is)
        .and_then(|number| u8::try_from(number).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_found_by_name() {
        for (name, number) in [
            ("TERM", 15),
            ("KILL", 9),
            ("SEGV", 11),
            ("ABRT", 6),
            ("HUP", 1),
            ("USR1", 10),
            ("BUS@openssh.com", 7),
            ("SIG@openssh.com", 0),
            ("", 0),
        ] {
            assert_eq!(signal_number(name), number, "{name}");
        }
    }
}
