//! rsh, the reason this program exists: the protocol of rshd(8), with the remote side closing first.
//!
//! [`RshTransport`] connects and starts the command; [`RshSession`] carries its output to the end of both
//! connections, and only then closes. [`wire`] and [`wrap`] do no I/O; `callback` has the listeners.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reserved_ports::{PortPool, PortWait, is_shortage, kernel};
use tokio::time::Instant;

use super::dial::dial;
use super::stream::{Connection, ReadResult};
use super::{
    AttemptError, Budget, CallbackFault, Input, NameResolver, Route, StderrMode, Transport,
    TransportError,
};
use crate::clock::ProcessClock;
use crate::event::Phase;
use crate::targets::{Network, Target, TargetId};
use attempt::{Connected, Progress, Unstarted, call_first, last_call, next_news};
use callback::{Callee, Expected, Listeners, News};
use feed::Feed;
use output::MainStream;
use wire::{RefusalText, Status};
use wrap::{EndMarker, Reads};

mod attempt;
mod callback;
mod feed;
#[cfg(test)]
mod fuzzed;
pub mod output;
mod session;
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
    /// The networks from which any host may call back.
    pub callback_from: Arc<[Network]>,
    /// True if some target names such networks of its own.
    pub own_callback_from: bool,
    /// True if commands are never held back until the daemon has called back. For embedded daemons, which read
    /// the whole request first; real ones call back when they have read the port.
    pub at_once: bool,
    /// Whether the connections that this machine keeps in TIME_WAIT are counted at the end.
    pub count_time_wait: bool,
    /// What the commands read; `None` is an end of file.
    pub input: Option<Input>,
}

impl RshOptions {
    /// True if the daemons make a second connection.
    #[must_use]
    pub fn calls_back(&self) -> bool {
        match self.stderr {
            StderrMode::Separate => true,
            // Unwrapped, there is nobody over there to throw it away.
            StderrMode::Drop => self.raw,
            StderrMode::Merge => false,
        }
    }
}

/// The rsh transport of a run.
#[derive(Debug)]
pub struct RshTransport {
    options: RshOptions,
    lines: Lines,
    marker: Option<EndMarker>,
    pool: PortPool,
    begun: std::time::Instant,
    resolver: NameResolver,
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

/// When a machine on which other programs hold every port is asked for a listener again.
const LISTENER_RETRY: Duration = Duration::from_secs(1);

/// rsh-redone's longest command, in bytes: a longer one is answered with a reset.
const SHORTEST_LIMIT: usize = 1023;

impl RshTransport {
    /// A transport with nothing opened yet.
    ///
    /// # Errors
    /// The system has no random bytes for the end marker.
    pub fn new(options: RshOptions, pool: PortPool, resolver: NameResolver) -> io::Result<Self> {
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
        let networks = options.own_callback_from || !options.callback_from.is_empty();
        let listeners = options
            .calls_back()
            .then(|| Listeners::new(pool.clone(), options.reserved_callers, networks));
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

    /// Finds a listener that can take a session with this host. Costs the host no time.
    async fn listener(&self, target: &Target, route: &Route, peer: SocketAddr) -> Option<Expected> {
        let listeners = self.listeners.as_ref()?;
        let networks = networks(&self.options.callback_from, target);
        let callee = Callee::new(peer.ip(), &route.resolved, networks, route.own_listener);
        Some(listeners.expect(callee).await)
    }

    /// Sends the request and reads the answer.
    async fn start(
        &self,
        id: TargetId,
        target: &Target,
        Connected { mut main, lease }: Connected,
        mut expected: Option<Expected>,
        progress: &mut Progress<'_>,
        clock: &ProcessClock,
    ) -> Result<Box<RshSession>, Unstarted> {
        progress.phase = Phase::Start;
        let port = expected.as_ref().map_or(0, Expected::port);
        let user = target.user.as_deref().unwrap_or(&self.options.remote_user);
        let (line, counted) = self.line();
        let request = wire::request(port, &self.options.local_user, user, line);
        let mut call = None;
        if expected.is_some() {
            progress.phase = Phase::CallBack;
        }
        // A daemon that resets at once may have said why: what it sent is read below, and an error of
        // this write shows there too.
        let rest_of_request = match &mut expected {
            Some(expected) if !expected.at_once() && !self.options.at_once => {
                let (port, rest) = wire::split(&request);
                let _ = main.write_all(port).await;
                // Boxed, since every session's size would be that of this rarer path.
                let listeners = self.listeners.as_ref();
                let first = call_first(&mut main, expected, progress, listeners, clock);
                call = Box::pin(first).await?;
                call.as_ref().map(|_| rest)
            }
            _ => Some(request.as_slice()),
        };
        if let Some(rest) = rest_of_request {
            *progress.sent = true;
            let _ = main.write_all(rest).await;
        }
        let asked = Instant::now();
        if call.is_some() {
            progress.phase = Phase::Start;
        }
        let (status, rest) = loop {
            // The call comes before the answer, so it is looked for first.
            let ready = tokio::select! {
                biased;
                news = next_news(&mut expected), if call.is_none() => {
                    match news {
                        News::Call(connection) => {
                            call = Some(connection);
                            progress.phase = Phase::Start;
                        }
                        News::Elsewhere => progress.elsewhere = true,
                    }
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
                ReadResult::Data((first, rest)) => break (first, rest),
                ReadResult::Nothing => {}
                // Its call was reset, and it has noticed.
                ReadResult::End if progress.may_move && !*progress.sent => {
                    return Err(Unstarted::NeedsOwnListener);
                }
                ReadResult::End => {
                    call = call.or_else(|| expected.as_mut().and_then(Expected::claim));
                    let called = call.is_some() || expected.is_none();
                    return Err(self.ended_early(&main, called, line.len(), progress).into());
                }
            }
        };
        progress.answered = Some(answer_came(asked, !rest.is_empty(), clock));
        match Status::of(status) {
            Status::Accepted => {}
            // Boxed, since a session's size is that of its largest path.
            Status::Refused => return Err(Box::pin(refusal(main, &rest)).await.into()),
            Status::Other => return Err(stranger(status, &rest).into()),
        }
        if let (None, Some(expected)) = (&call, &mut expected) {
            call = match expected.claim() {
                Some(call) => Some(call),
                None => Some(Box::pin(last_call(expected, progress)).await?),
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
    fn ended_early(
        &self,
        main: &Connection,
        called: bool,
        length: usize,
        progress: &Progress<'_>,
    ) -> TransportError {
        let reset = main.was_reset();
        // A call that was reset before it could be accepted has no address and counts as none; that is
        // what follows too long a command, and from an unreserved port there is another likely cause.
        let other_cause = length > SHORTEST_LIMIT || !self.options.reserved_callers;
        if !(called || reset && other_cause) {
            let fault = if progress.elsewhere {
                CallbackFault::UnknownAddress
            } else {
                CallbackFault::DaemonClosed
            };
            return TransportError::NoCallback { fault };
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

/// The networks from which a target may call back, beside its addresses.
fn networks(common: &Arc<[Network]>, target: &Target) -> Option<Arc<[Network]>> {
    match &target.callback_from {
        None if common.is_empty() => None,
        None => Some(Arc::clone(common)),
        Some(own) if common.is_empty() => Some(Arc::clone(own)),
        Some(own) => Some(own.iter().chain(common.iter()).copied().collect()),
    }
}

/// The moment from which the command counts as running. If output came in one piece with the answer, or the
/// loop is behind, the answer was here for some time before it was read: the earliest possible moment is taken,
/// since a command must not seem to take less time than it took.
fn answer_came(asked: Instant, with_output: bool, clock: &ProcessClock) -> Instant {
    let now = Instant::now();
    let earliest = if with_output {
        clock.last_turn().unwrap_or(now)
    } else {
        now - clock.current_delay()
    };
    earliest.clamp(asked, now)
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
        let resolved: Vec<IpAddr> = match addresses.as_slice() {
            [_] => Vec::new(),
            several => several.iter().map(SocketAddr::ip).collect(),
        };
        let mut route = Route::new(addresses);
        route.resolved = resolved.into();
        Ok(route)
    }

    async fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<Box<RshSession>, AttemptError> {
        if let Some(listeners) = &self.listeners {
            listeners.prepare().map_err(no_listener)?;
        }
        let (peer, outgoing) = dial(&self.pool, route, budget).await?;
        let connected = Connected::new(outgoing);
        let expected = self.listener(target, route, peer).await;
        let private = expected.as_ref().is_some_and(Expected::is_private);
        let (before, clock, begun) = (budget.left(), budget.clock(), Instant::now());
        let mut progress = Progress::new(route.own_listener, &mut route.asked);
        let start = self.start(id, target, connected, expected, &mut progress, &clock);
        let started = budget.spend(start).await;
        route.phase = progress.phase;
        route.answered = progress.answered;
        let charged = before - budget.left();
        let until_answered = route.answered.map(|at| at - begun);
        *route.facts.start.get_or_insert_default() +=
            charged.min(until_answered.unwrap_or(charged));
        let error = match started {
            Some(Ok(session)) => return Ok(session),
            Some(Err(Unstarted::NeedsOwnListener)) => {
                // Nothing was started: the next attempt follows at once, and the host has lost no time.
                route.own_listener = true;
                return Err(AttemptError::NoPort(PortWait::until(Instant::now())));
            }
            Some(Err(Unstarted::Failed(error))) => error,
            None => match progress.phase {
                // With a listener to itself it is the host's own call, which was not taken yet.
                Phase::CallBack if progress.elsewhere && private => budget.exhausted(Phase::Start),
                Phase::CallBack if progress.elsewhere => progress.called_from_elsewhere(),
                Phase::CallBack => TransportError::NoCallback {
                    fault: CallbackFault::TimedOut,
                },
                phase => budget.exhausted(phase),
            },
        };
        Err(setback(error, route.asked))
    }

    fn time_wait(&self) -> Option<usize> {
        if !self.options.count_time_wait {
            return None;
        }
        let (range, _) = self.pool.span()?;
        kernel::in_time_wait_since(self.begun, &range, &self.pool.peers()).ok()
    }

    fn notices(&self) -> Vec<String> {
        const HELP: &str =
            "; if that is the address of a host, name it with callback= or --callback-from";
        let strays = self
            .listeners
            .as_ref()
            .map(Listeners::strays)
            .unwrap_or_default();
        match (strays.count, strays.first) {
            (0, _) | (_, None) => Vec::new(),
            (1, Some(from)) => vec![format!(
                "reset a connection from {from} to a port for stderr: no session expected it{HELP}"
            )],
            (count, Some(from)) => vec![format!(
                "reset {count} connections to ports for stderr, the first from {from}: no session expected \
                 them{HELP}"
            )],
        }
    }
}

/// Whether another try may follow. Every daemon says that it accepts before it runs the command, and what
/// it sent before it closed arrives before its close: no answer means no command. A daemon that was given
/// up while it may still have read the request proves nothing, and what it refuses for good it refuses
/// again.
fn setback(error: TransportError, sent: bool) -> AttemptError {
    let not_started = match &error {
        // Without the command's last byte no daemon runs it.
        TransportError::NoCallback { .. } if !sent => true,
        TransportError::ClosedBeforeStatus { .. }
        | TransportError::Reset {
            phase: Phase::Start,
            ..
        } => true,
        TransportError::NoCallback { fault } => matches!(
            fault,
            CallbackFault::DaemonClosed | CallbackFault::UnknownAddress
        ),
        TransportError::Denied { text } => wire::is_temporary(text),
        _ => false,
    };
    match not_started {
        true => AttemptError::Retryable(error),
        false => AttemptError::Failed(error),
    }
}

fn no_listener(error: io::Error) -> AttemptError {
    if error.kind() == io::ErrorKind::AddrInUse {
        let again = Instant::now() + LISTENER_RETRY;
        return AttemptError::NoPort(PortWait::until(again));
    }
    match is_shortage(&error) {
        true => AttemptError::Shortage(error),
        false => AttemptError::Failed(TransportError::Io {
            phase: Phase::Connect,
            source: error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::lose_the_cpu;

    #[tokio::test(start_paused = true)]
    async fn a_command_runs_from_the_earliest_moment_that_is_possible() {
        let clock = ProcessClock::default();
        let measuring = tokio::spawn(clock.clone().measure());
        let asked = Instant::now();
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Read in time.
        assert_eq!(answer_came(asked, false, &clock), Instant::now());
        // The process gets no CPU for a second, in which the answer comes, and output after it or none.
        let in_time = Instant::now();
        lose_the_cpu(Duration::from_secs(1));
        for with_output in [false, true] {
            let answered = answer_came(asked, with_output, &clock);
            let difference = answered.max(in_time) - answered.min(in_time);
            assert!(difference <= Duration::from_millis(20), "{difference:?}");
        }
        // Never before the daemon was asked.
        let asked = Instant::now();
        assert_eq!(answer_came(asked, true, &clock), asked);
        measuring.abort();
    }

    #[test]
    fn without_measuring_the_answer_came_when_it_was_read() {
        let asked = Instant::now() - Duration::from_secs(1);
        assert!(answer_came(asked, true, &ProcessClock::default()) > asked);
    }
}
