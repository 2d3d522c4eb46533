//! A running command over ssh: both streams to their end, its exit, and the end of the connection.

use std::sync::Arc;
use std::time::Duration;

use reserved_ports::PortLease;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::lost;
use super::drive::Turns;
use super::ffi::{Channel, Exit, Peer};
use super::pipe::Ended;
use crate::clock::reached;
use crate::event::{Chunk, Phase, RemoteExit, Side, Stream};
use crate::targets::TargetId;
use crate::transport::input::{InputError, InputReader};
use crate::transport::scratch;
use crate::transport::{Output, RemoteSignal, Session, TransportError};

/// How long the server may take to close, once all is said: it closes first, so that the TIME_WAIT is its own.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// libssh2's number for the stream of standard error.
const STDERR: i32 = 1;

/// Maximum number of reads of one stream before the other one has its turn.
const MOST_READS: usize = 16;

/// A command that an ssh server has started.
#[derive(Debug)]
pub struct SshSession {
    pub(super) id: TargetId,
    /// Before the lease: fields are dropped in this order.
    pub(super) peer: Peer,
    pub(super) channel: Channel,
    /// The right to the source port; a connection through another host has none.
    pub(super) lease: Option<PortLease>,
    pub(super) alive: Option<KeepAlive>,
    pub(super) options: Streams,
    /// What the command reads, while there is any of it.
    pub(super) input: Option<InputReader>,
    /// The command has been told that its input has ended.
    pub(super) input_ended: bool,
    pub(super) state: State,
    /// A signal that libssh2 could not send at once.
    pub(super) signal: Option<&'static str>,
}

/// What is done with the streams and the end of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// What stderr is shown as, if it is.
    pub(super) stderr: Option<Stream>,
    /// An end of which the server does not say how it was is one, and no failure.
    pub(super) raw: bool,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// Both streams have ended.
    Ending,
    /// The server has said how the command ended, or not.
    Ended(Verdict),
}

/// How a command ended, as far as its server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Exit(RemoteExit),
    Unsaid,
}

/// The questions that only show whether the server is there (`ServerAliveInterval`).
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
    /// Carries both streams until they have ended.
    async fn carry(&mut self, output: &Output) -> Result<(), TransportError> {
        let mut turns = Turns::default();
        let mut looked_again = false;
        loop {
            self.say()?;
            let before = self.peer.queued(self.channel);
            let moved = self.round(output).await?;
            if self.peer.at_end(self.channel) {
                return Ok(());
            }
            let after = self.peer.queued(self.channel);
            let is_foreign = !moved && before.is_readable && before.bytes == after.bytes;
            if is_foreign {
                // Extended data of a type that does not exist (RFC 4254, section 5.2), thrown away as ssh does it.
                // libssh2 would keep it for ever, and never tell of the channel's end.
                self.drop_queued(after.bytes)?;
                if self.peer.at_end(self.channel) {
                    return Ok(());
                }
            }
            let has_widened = !before.is_readable && after.is_readable;
            let has_progress = moved || has_widened || (is_foreign && after.bytes > 0);
            // What came while one stream was read may be the other's.
            if has_progress || (after.bytes > 0 && !looked_again) {
                looked_again = !has_progress;
                // A server that writes without end must not keep the timers of this host from being looked at.
                yield_now().await;
                continue;
            }
            looked_again = false;
            self.wait(&mut turns).await?;
        }
    }

    /// Sends what is to be sent: the end of the input, a signal.
    fn say(&mut self) -> Result<(), TransportError> {
        let Self { peer, channel, .. } = self;
        if !self.input_ended && self.input.is_none() {
            peer.pipe_mut().begin();
            let ended = peer.end_input(*channel);
            self.input_ended = ended
                .map_err(|fault| lost(peer, Phase::Run, fault))?
                .is_some();
        }
        if let Some(name) = self.signal {
            peer.pipe_mut().begin();
            let sent = peer.signal(*channel, name);
            if sent
                .map_err(|fault| lost(peer, Phase::Run, fault))?
                .is_some()
            {
                self.signal = None;
            }
        }
        Ok(())
    }

    /// Reads both streams until there is nothing, or as much as one turn takes; true if there was anything.
    async fn round(&mut self, output: &Output) -> Result<bool, TransportError> {
        let mut moved = false;
        for (number, stream) in [(0, Some(Stream::Stdout)), (STDERR, self.options.stderr)] {
            for _ in 0..MOST_READS {
                let permit = output.reserve().await;
                let data = self.read(number, stream.is_some())?;
                match (data, stream) {
                    (Read::Nothing, _) => break,
                    (Read::Some(data), Some(stream)) => permit.send(Chunk {
                        target: self.id,
                        stream,
                        data,
                    }),
                    (Read::Some(_), None) => {}
                }
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Throws away what is first in the queue.
    fn drop_queued(&mut self, bytes: usize) -> Result<(), TransportError> {
        let Self { peer, channel, .. } = self;
        peer.pipe_mut().begin();
        let dropped = peer.drop_queued(*channel, bytes);
        dropped.map_err(|fault| lost(peer, Phase::Run, fault))
    }

    fn read(&mut self, number: i32, wanted: bool) -> Result<Read, TransportError> {
        let Self { peer, channel, .. } = self;
        peer.pipe_mut().begin();
        if peer.has_output(*channel) {
            peer.pipe_mut().hold_end();
        }
        scratch::with(|buffer| match peer.read(*channel, number, buffer) {
            Ok(Some(0) | None) => Ok(Read::Nothing),
            Ok(Some(n)) => {
                peer.pipe_mut().pay(n);
                Ok(Read::Some(match wanted {
                    true => buffer[..n].to_vec(),
                    false => Vec::new(),
                }))
            }
            Err(fault) => Err(lost(peer, Phase::Run, fault)),
        })
    }

    /// Waits for anything to happen, and sends of the input what the server takes.
    async fn wait(&mut self, turns: &mut Turns) -> Result<(), TransportError> {
        let Self {
            peer,
            channel,
            input,
            alive,
            ..
        } = self;
        let takes = !peer.pipe().has_waiting() && peer.window(*channel) > 0;
        let ask_at = alive.as_ref().map(|alive| alive.next);
        tokio::select! {
            () = turns.wait(peer) => Ok(()),
            () = reached(ask_at) => self.ask(),
            bytes = next_input(input), if takes => self.feed(bytes),
        }
    }

    /// Sends some of the input, or notes its end.
    fn feed(&mut self, bytes: Result<Vec<u8>, Arc<InputError>>) -> Result<(), TransportError> {
        let Self { peer, channel, .. } = self;
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                // An end that is none must not be shown to the command.
                self.signal = Some("KILL");
                self.say()?;
                return Err(TransportError::Input(error));
            }
        };
        if bytes.is_empty() {
            self.input = None;
            return Ok(());
        }
        peer.pipe_mut().begin();
        match peer.write(*channel, &bytes) {
            Ok(Some(n)) => {
                peer.pipe_mut().pay(n);
                if let Some(input) = &mut self.input {
                    input.advance(n);
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(fault) if fault.is_of_channel() => {
                // The command reads no more; how it ends is another matter.
                self.input = None;
                self.input_ended = true;
                Ok(())
            }
            Err(fault) => Err(lost(peer, Phase::Run, fault)),
        }
    }

    /// Asks the server for a sign of life, unless it owes too many.
    fn ask(&mut self) -> Result<(), TransportError> {
        let Some(alive) = &mut self.alive else {
            return Ok(());
        };
        alive.next = Instant::now() + alive.interval;
        let received = self.peer.pipe().received();
        match received == alive.received {
            true => alive.missed += 1,
            false => alive.missed = 0,
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
        self.peer.pipe_mut().begin();
        let asked = self.peer.keep_alive();
        asked.map_err(|fault| lost(&self.peer, Phase::Run, fault))
    }

    /// Waits for the server to say how the command ended.
    async fn verdict(&mut self) -> Result<Verdict, TransportError> {
        let channel = self.channel;
        let mut turns = Turns::default();
        // A command can close its streams and go on, with its input too, so this takes as long as it takes;
        // but a server that has said how it ended has nothing more to say.
        let mut until = None;
        loop {
            self.peer.pipe_mut().begin();
            let closed = self.peer.closed(channel);
            let is_said = self.peer.exit(channel) != Exit::Unsaid;
            match closed {
                Ok(Some(())) => break,
                Ok(None) if is_said => {
                    let until = *until.get_or_insert_with(|| Instant::now() + CLOSE_PATIENCE);
                    if timeout_at(until, turns.wait(&mut self.peer)).await.is_err() {
                        break;
                    }
                }
                Ok(None) => {
                    self.say()?;
                    self.wait(&mut turns).await?;
                }
                Err(_) if is_said => break,
                Err(fault) => return Err(lost(&self.peer, Phase::Run, fault)),
            }
        }
        Ok(match self.peer.exit(channel) {
            Exit::Signal(name) => Verdict::Exit(RemoteExit::Signaled(signal_number(&name))),
            Exit::Status(status) => {
                // Never 0 for what is not.
                Verdict::Exit(RemoteExit::Code(u8::try_from(status).unwrap_or(u8::MAX)))
            }
            Exit::Unsaid => Verdict::Unsaid,
        })
    }

    /// Ends the connection, and lets the server close it first.
    async fn part(&mut self) {
        let Self { peer, channel, .. } = self;
        let channel = *channel;
        let closing = async {
            // It is over whatever these say.
            let _ = peer.drive(|peer| peer.close(channel)).await;
            let _ = peer.drive(Peer::disconnect).await;
            loop {
                peer.pipe_mut().flush();
                if peer.pipe_mut().read_past() || peer.pipe().ready().await.is_err() {
                    break;
                }
            }
        };
        // Past that it is reset, which leaves no TIME_WAIT here either.
        let _ = timeout(CLOSE_PATIENCE, closing).await;
        if self.closes_first() == Some(Side::Remote)
            && let Some(lease) = &mut self.lease
        {
            lease.remote_closed_first();
        }
    }
}

/// Waits for some of the input; for ever if there is none. Cancel safe.
async fn next_input(input: &mut Option<InputReader>) -> Result<Vec<u8>, Arc<InputError>> {
    match input {
        Some(input) => input.peek().await,
        None => std::future::pending().await,
    }
}

/// What a read brought.
enum Read {
    Some(Vec<u8>),
    Nothing,
}

impl Session for SshSession {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        if self.state == State::Running {
            self.carry(output).await?;
            self.state = State::Ending;
        }
        let verdict = match self.state {
            State::Ended(verdict) => verdict,
            State::Running | State::Ending => self.verdict().await?,
        };
        self.state = State::Ended(verdict);
        self.part().await;
        match verdict {
            Verdict::Exit(exit) => Ok(exit),
            Verdict::Unsaid if self.options.raw => Ok(RemoteExit::Unknown),
            Verdict::Unsaid => Err(TransportError::NoEndMarker {
                hint: "the server sent none; --raw takes that for an end like any other",
            }),
        }
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        if matches!(self.state, State::Ended(_)) {
            return false;
        }
        let name = match signal {
            RemoteSignal::Term => "TERM",
            RemoteSignal::Kill => "KILL",
        };
        self.signal = Some(name);
        // What is sent now needs no more pumping.
        self.say().is_ok()
    }

    fn closes_first(&self) -> Option<Side> {
        // A connection within another one is not this machine's.
        self.lease.as_ref()?;
        Some(match self.peer.pipe().ended() {
            Some(Ended::Closed) => Side::Remote,
            _ => Side::Local,
        })
    }
}

/// The number of a signal by the name that the protocol has for it, which may end with `@` and a domain.
/// 0 if there is none: a signal it was.
fn signal_number(name: &str) -> u8 {
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
    fn signals_by_name() {
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
