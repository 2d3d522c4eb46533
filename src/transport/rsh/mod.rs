//! rsh, the reason this program exists: the protocol of rshd(8), with the remote side closing first.
//!
//! [`RshTransport`] connects and starts the command; [`RshSession`] carries its output to the end of both
//! connections, and only then closes. [`wire`] and [`wrap`] do no I/O; [`stderr`] has the listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

use super::dial::dial;
use super::stream::{Connection, Read};
use super::{
    Budget, Input, Lag, Phase, Resolver, Route, Setback, StderrMode, Transport, TransportError,
};
use crate::ports::bind::{self, Outgoing};
use crate::ports::{PortPool, PortWait, kernel};
use crate::targets::{Target, TargetId};
use feed::Feed;
use output::MainStream;
use stderr::{Expected, Listeners};
use wire::{RefusalText, Status};
use wrap::{EndMarker, Reads};

mod feed;
#[cfg(test)]
mod fuzzed;
pub mod output;
mod session;
pub mod stderr;
pub mod wire;
pub mod wrap;

pub use session::RshSession;

/// What all rsh sessions of a run have in common.
#[derive(Debug)]
pub struct RshOptions {
    /// Who asks: the caller's own name.
    pub local_user: String,
    /// The remote user of targets that name none.
    pub remote_user: String,
    /// The port of targets that name none; 514 is `shell`.
    pub port: u16,
    /// The command, unwrapped, without NUL.
    pub command: Vec<u8>,
    /// Send the command as it is: no end marker, so no exit status.
    pub raw: bool,
    /// What becomes of standard error.
    pub stderr: StderrMode,
    /// Whether the daemons' call-backs must come from ports 512–1023.
    pub reserved_callers: bool,
    /// Whether the connections that this machine keeps in TIME_WAIT are counted at the end.
    pub count_time_wait: bool,
    /// What the commands read; `None` is an end of file.
    pub input: Option<Input>,
}

/// The rsh transport of a run.
#[derive(Debug)]
pub struct RshTransport {
    options: RshOptions,
    lines: Lines,
    marker: Option<EndMarker>,
    pool: PortPool,
    begun: std::time::Instant,
    resolver: Resolver,
    /// `None` if no second connection is asked for.
    listeners: Option<Listeners>,
}

/// The command as sent.
#[derive(Debug)]
struct Lines {
    /// For a command that reads nothing, or as much as comes; or as it is.
    plain: Vec<u8>,
    /// For one that reads so many bytes as there are in all: made when that is known.
    counted: OnceLock<Vec<u8>>,
}

/// When the rest of a refusal is no longer waited for.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// How long after the daemon's answer its call may still arrive, though it was made before: the last
/// segment of a handshake that was lost is repeated after a second.
const CALL_PATIENCE: Duration = Duration::from_secs(3);

/// When a machine on which other programs hold every port is asked for a listener again.
const LISTENER_RETRY: Duration = Duration::from_secs(1);

/// rsh-redone's longest command, in bytes: a longer one is answered with a reset.
const SHORTEST_LIMIT: usize = 1023;

const GAVE_UP: &str = "the daemon closed instead; a firewall may block its connection back to a port \
     in 512-1023 here, it may have no port left, not know this host's name, or have been started too often for \
     its inetd: try --stderr merge, or --retries";
const TIMED_OUT: &str = "none came within the connect timeout; a firewall may block it, or the daemon is slow: \
     try --stderr merge, or a longer -t";
const ANSWERED: &str = "the daemon answered without it: try --stderr merge";

impl RshTransport {
    /// A transport with nothing opened yet.
    ///
    /// # Errors
    /// The system has no random bytes for the end marker.
    pub fn new(options: RshOptions, pool: PortPool, resolver: Resolver) -> io::Result<Self> {
        let marker = match options.raw {
            true => None,
            false => Some(EndMarker::random()?),
        };
        let discard = options.stderr == StderrMode::Drop;
        let reads = match &options.input {
            Some(_) => Reads::Stream,
            None => Reads::Nothing,
        };
        let plain = match &marker {
            Some(marker) => marker.wrap(&options.command, discard, reads),
            None => options.command.clone(),
        };
        // Unwrapped, there is nobody over there to throw it away.
        let call_back = options.stderr == StderrMode::Separate || (discard && options.raw);
        let listeners = call_back.then(|| Listeners::new(pool.clone(), options.reserved_callers));
        Ok(RshTransport {
            options,
            lines: Lines {
                plain,
                counted: OnceLock::new(),
            },
            marker,
            pool,
            begun: std::time::Instant::now(),
            resolver,
            listeners,
        })
    }

    /// The command for a host that is asked now, and whether it counts what it reads.
    fn line(&self) -> (&[u8], bool) {
        let length = self.options.input.as_ref().and_then(Input::length);
        let (Some(marker), Some(length)) = (&self.marker, length) else {
            return (&self.lines.plain, false);
        };
        let line = self.lines.counted.get_or_init(|| {
            let reads = match length {
                0 => Reads::Nothing,
                n => Reads::Bytes(n),
            };
            let discard = self.options.stderr == StderrMode::Drop;
            marker.wrap(&self.options.command, discard, reads)
        });
        (line, true)
    }

    /// Sends the request and reads the answer.
    async fn start(
        &self,
        id: TargetId,
        target: &Target,
        peer: SocketAddr,
        Outgoing { stream, lease }: Outgoing,
        Route {
            phase, answered, ..
        }: &mut Route,
        lag: &Lag,
    ) -> Result<Box<RshSession>, TransportError> {
        *phase = Phase::Start;
        let mut main = Connection::new(stream);
        let mut expected = match &self.listeners {
            Some(listeners) => Some(listeners.expect(peer.ip(), lag).await),
            None => None,
        };
        let port = expected.as_ref().map_or(0, Expected::port);
        let user = target.user.as_deref().unwrap_or(&self.options.remote_user);
        let (line, counted) = self.line();
        let request = wire::request(port, &self.options.local_user, user, line);
        // A daemon that resets at once may have said why: what it sent is read below, and an error of
        // this write shows there too.
        let _ = main.write_all(&request).await;
        let asked = Instant::now();
        if expected.is_some() {
            *phase = Phase::CallBack;
        }
        let mut call = None;
        let (status, rest) = loop {
            // The call comes before the answer, so it is looked for first.
            let ready = tokio::select! {
                biased;
                connection = next_call(&mut expected), if call.is_none() => {
                    call = Some(connection);
                    *phase = Phase::Start;
                    continue;
                }
                ready = main.readable() => ready,
            };
            ready.map_err(|source| TransportError::Io {
                phase: Phase::Start,
                source,
            })?;
            let read = main
                .read(|bytes| (bytes[0], bytes[1..].to_vec()))
                .map_err(|source| TransportError::Io {
                    phase: Phase::Start,
                    source,
                })?;
            match read {
                Read::Data((first, rest)) => break (first, rest),
                Read::Nothing => {}
                Read::End => {
                    call = call.or_else(|| expected.as_mut().and_then(Expected::claim));
                    let called = call.is_some() || expected.is_none();
                    return Err(self.ended_early(&main, called, line.len()));
                }
            }
        };
        *answered = Some(answer_came(asked, !rest.is_empty(), lag));
        match Status::of(status) {
            Status::Accepted => {}
            // Boxed, since a session's size is that of its largest path.
            Status::Refused => return Err(Box::pin(refusal(main, &rest)).await),
            Status::Other => return Err(stranger(status, &rest)),
        }
        if let (None, Some(expected)) = (&call, &mut expected) {
            call = match expected.claim() {
                Some(call) => Some(call),
                None => Some(
                    Box::pin(tokio::time::timeout(CALL_PATIENCE, expected.call()))
                        .await
                        .map_err(|_| TransportError::NoCallback { hint: ANSWERED })?,
                ),
            };
        }
        let decoder = self.marker.as_ref().map(EndMarker::decoder);
        let show_stderr = self.options.stderr != StderrMode::Drop;
        Ok(Box::new(RshSession {
            id,
            main,
            err: call,
            lease,
            show_stderr,
            early: rest,
            stream: MainStream::new(decoder),
            failed_input: None,
            feed: match &self.options.input {
                // Nobody over there reads, and nobody waits for an end.
                Some(input) if counted && input.length() == Some(0) => {
                    input.target_ended(id);
                    None
                }
                Some(input) => Some(Feed::new(input.reader(id), counted)),
                None => None,
            },
        }))
    }

    /// The connection ended before the daemon's answer. A daemon that gives up has mostly not read the
    /// whole request, so that its close is a reset.
    fn ended_early(&self, main: &Connection, called: bool, length: usize) -> TransportError {
        let reset = main.was_reset();
        // A call that was reset before it could be accepted has no address and counts as none; that is
        // what follows too long a command, and from an unreserved port there is another likely cause.
        let other_cause = length > SHORTEST_LIMIT || !self.options.reserved_callers;
        if !(called || reset && other_cause) {
            return TransportError::NoCallback { hint: GAVE_UP };
        }
        let hint = Some(self.objection(length));
        match reset {
            true => TransportError::Reset {
                phase: Phase::Start,
                hint,
            },
            false => TransportError::ClosedBeforeStatus { hint },
        }
    }

    /// What daemons that say nothing usually object to.
    fn objection(&self, length: usize) -> String {
        if length > SHORTEST_LIMIT {
            return format!(
                "some daemons take {SHORTEST_LIMIT} bytes of command at most, and with its wrapper \
                 this one has {length}"
            );
        }
        match self.options.reserved_callers {
            true => "the daemon may not know this host's name, or refuse it".to_owned(),
            false => "the daemon may demand a source port in 512-1023".to_owned(),
        }
    }
}

/// The moment from which the command counts as running. If output came in one piece with the answer, or the
/// loop is behind, the answer was here for some time before it was read: the earliest possible moment is taken,
/// since a command must not seem to take less time than it took.
fn answer_came(asked: Instant, with_output: bool, lag: &Lag) -> Instant {
    let now = Instant::now();
    let earliest = if with_output {
        lag.last_turn().unwrap_or(now)
    } else {
        now - lag.current()
    };
    earliest.clamp(asked, now)
}

async fn next_call(expected: &mut Option<Expected>) -> Connection {
    match expected {
        Some(expected) => expected.call().await,
        None => std::future::pending().await,
    }
}

/// Reads the rest of a refusal, within bounds of size and time.
async fn refusal(mut main: Connection, first: &[u8]) -> TransportError {
    let mut text = RefusalText::default();
    text.push(first);
    let rest = async {
        while !text.is_complete() && main.is_open() {
            if main.readable().await.is_err() || main.read(|bytes| text.push(bytes)).is_err() {
                break;
            }
        }
    };
    // However it ends, what came so far is the text.
    let _ = tokio::time::timeout(REFUSAL_PATIENCE, rest).await;
    TransportError::Denied {
        text: text.into_line(),
    }
}

/// Something else than rshd answered.
fn stranger(first: u8, rest: &[u8]) -> TransportError {
    let mut text = RefusalText::default();
    text.push(&[first]);
    text.push(rest);
    TransportError::Protocol {
        phase: Phase::Start,
        expected: "a remote shell daemon",
        text: text.into_line(),
    }
}

impl Transport for RshTransport {
    /// Boxed, since what a host's task holds it holds several times over.
    type Session = Box<RshSession>;

    async fn route(&self, target: &Target, budget: &mut Budget) -> Result<Route, TransportError> {
        let port = target.port.unwrap_or(self.options.port);
        let addresses = self.resolver.lookup(&target.host, port, budget).await?;
        Ok(Route::new(addresses))
    }

    async fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<Box<RshSession>, Setback> {
        if let Some(listeners) = &self.listeners {
            listeners.prepare().map_err(no_listener)?;
        }
        let (peer, outgoing) = dial(&self.pool, route, budget).await?;
        let (before, lag, connected) = (budget.left(), budget.lag(), Instant::now());
        route.answered = None;
        let start = self.start(id, target, peer, outgoing, route, &lag);
        let started = budget.spend(start).await;
        let charged = before - budget.left();
        let until_answered = route.answered.map(|at| at - connected);
        route.facts.start = Some(charged.min(until_answered.unwrap_or(charged)));
        let timed_out = || match route.phase {
            Phase::CallBack => TransportError::NoCallback { hint: TIMED_OUT },
            phase => budget.exhausted(phase),
        };
        started.unwrap_or_else(|| Err(timed_out())).map_err(setback)
    }

    fn time_wait(&self) -> Option<usize> {
        if !self.options.count_time_wait {
            return None;
        }
        let (range, _) = self.pool.span()?;
        kernel::in_time_wait_since(self.begun, &range, &self.pool.peers()).ok()
    }

    fn remarks(&self) -> Vec<String> {
        let strays = self
            .listeners
            .as_ref()
            .map(Listeners::strays)
            .unwrap_or_default();
        match (strays.count, strays.first) {
            (0, _) | (_, None) => Vec::new(),
            (1, Some(from)) => vec![format!(
                "a connection from {from} to a port for stderr was no daemon's that was called: reset"
            )],
            (count, Some(from)) => vec![format!(
                "{count} connections to ports for stderr were no daemon's that was called: reset (the \
                 first was from {from})"
            )],
        }
    }
}

/// Whether another try may follow. Every daemon says that it accepts before it runs the command, and what
/// it sent before it closed arrives before its close: no answer means no command. A daemon that was given
/// up while it may still have read the request proves nothing, and what it refuses for good it refuses
/// again.
fn setback(error: TransportError) -> Setback {
    let not_started = match &error {
        TransportError::ClosedBeforeStatus { .. }
        | TransportError::Reset {
            phase: Phase::Start,
            ..
        } => true,
        TransportError::NoCallback { hint } => *hint == GAVE_UP,
        TransportError::Denied { text } => wire::is_temporary(text),
        _ => false,
    };
    match not_started {
        true => Setback::NotStarted(error),
        false => Setback::Failed(error),
    }
}

fn no_listener(error: io::Error) -> Setback {
    if error.kind() == io::ErrorKind::AddrInUse {
        let again = Instant::now() + LISTENER_RETRY;
        return Setback::NoPort(PortWait::until(again));
    }
    match bind::is_shortage(&error) {
        true => Setback::Shortage(error),
        false => Setback::Failed(TransportError::Io {
            phase: Phase::Connect,
            source: error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::lose_the_cpu;

    #[tokio::test(start_paused = true)]
    async fn a_command_runs_from_the_earliest_moment_that_is_possible() {
        let lag = Lag::default();
        let measuring = tokio::spawn(lag.clone().measure());
        let asked = Instant::now();
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Read in time.
        assert_eq!(answer_came(asked, false, &lag), Instant::now());
        // The process gets no CPU for a second, in which the answer comes, and output after it or none.
        let in_time = Instant::now();
        lose_the_cpu(Duration::from_secs(1));
        for with_output in [false, true] {
            let answered = answer_came(asked, with_output, &lag);
            let difference = answered.max(in_time) - answered.min(in_time);
            assert!(difference <= Duration::from_millis(20), "{difference:?}");
        }
        // Never before the daemon was asked.
        let asked = Instant::now();
        assert_eq!(answer_came(asked, true, &lag), asked);
        measuring.abort();
    }

    #[test]
    fn without_measuring_the_answer_came_when_it_was_read() {
        let asked = Instant::now() - Duration::from_secs(1);
        assert!(answer_came(asked, true, &Lag::default()) > asked);
    }
}
