//! The rsh transport: the protocol of rshd(8). The remote side closes first, so TIME_WAIT stays there.
//!
//! [`RshTransport`] connects and starts the command. [`RshSession`] carries the output until both connections have
//! ended, and closes only then. [`wire`] and [`wrap`](super::wrap) do no I/O. `callback` has the listeners.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reserved_ports::{PortPool, PortWait, is_shortage, kernel};
use tokio::time::Instant;

use super::dial::dial;
use super::stream::{ReadResult, TcpConnection};
use super::user_change::UserChanges;
use super::wrap::{EndMarker, InputMode};
use super::{
    AttemptError, Budget, CallbackFault, Input, NameResolver, RemoteCommand, Route, StderrMode,
    Transport, TransportError,
};
use crate::clock::ProcessClock;
use crate::event::Phase;
use crate::targets::{Network, Target, TargetId};
use attempt::{
    MainConnection, StartError, StartProgress, next_callback_event, wait_for_callback,
    wait_for_late_callback,
};
use callback::{CallbackEvent, Caller, ExpectedCallback, Listeners};
use feed::InputFeed;
use output::MainStream;
use refusal::{protocol_error, refusal};
use wire::Status;

mod attempt;
mod callback;
mod change;
mod feed;
#[cfg(test)]
mod fuzzed;
pub mod output;
mod refusal;
mod session;
pub mod wire;

pub use session::RshSession;

/// Settings that all rsh sessions of a run share.
#[derive(Debug)]
pub struct RshOptions {
    /// Name of the local user, as sent to the daemon.
    pub local_user: String,
    /// Remote user for targets that name none.
    pub remote_user: String,
    /// Port for targets that name none; 514 is `shell`.
    pub port: u16,
    /// Command without wrapper.
    pub command: RemoteCommand,
    /// Change of the user before the command, if there is one.
    pub user_changes: Option<Arc<UserChanges>>,
    /// True if the command is sent without a wrapper: no end marker, so no exit status.
    pub raw: bool,
    /// Destination of standard error.
    pub stderr: StderrMode,
    /// True if callbacks must come from source ports in 512–1023.
    pub reserved_callers: bool,
    /// Networks from which any host may call back.
    pub callback_from: Arc<[Network]>,
    /// True if at least one target has such networks of its own.
    pub own_callback_from: bool,
    /// True if commands are sent without waiting for the callback. For embedded daemons, which read the whole request
    /// first. Real daemons call back when they have read the port.
    pub at_once: bool,
    /// True if connections of this machine in TIME_WAIT are counted at the end of the run.
    pub count_time_wait: bool,
}

impl RshOptions {
    /// True if the daemons open a callback connection.
    #[must_use]
    pub fn has_callback(&self) -> bool {
        match self.stderr {
            StderrMode::Separate => true,
            // Without a wrapper nothing on the host discards standard error.
            StderrMode::Drop => self.raw,
            StderrMode::Merge => false,
        }
    }
}

/// The rsh transport of a run.
#[derive(Debug)]
pub struct RshTransport {
    options: RshOptions,
    /// Standard input of the commands; `None` is an end of file.
    input: Option<Input>,
    sent_command: SentCommand,
    marker: Option<EndMarker>,
    pool: PortPool,
    begun: std::time::Instant,
    resolver: NameResolver,
    /// `None` if no callbacks are asked for.
    listeners: Option<Listeners>,
}

/// Command in the forms in which it is sent, if they are the same for all targets.
#[derive(Debug, Default)]
struct SentCommand {
    /// Form for a command without input, with input of unknown length, or without a wrapper.
    plain: OnceLock<Vec<u8>>,
    /// Form for a command with input of known length.
    counted: OnceLock<Vec<u8>>,
}

/// Pause before the next listener is tried when other programs hold every port.
const LISTENER_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Longest command that rsh-redone accepts, in bytes. It answers a longer one with a reset.
const RSH_REDONE_MAX_COMMAND: usize = 1023;

impl RshTransport {
    /// Creates a transport that has no open socket yet.
    ///
    /// # Errors
    /// The system has no random bytes for the end marker.
    pub fn new(
        mut options: RshOptions,
        input: Option<Input>,
        pool: PortPool,
        resolver: NameResolver,
    ) -> io::Result<Self> {
        if let Some(command) = input.as_ref().and_then(Input::protocol_command) {
            options.command = RemoteCommand::new(&command, None);
        }
        let marker = if options.raw {
            None
        } else {
            Some(EndMarker::random()?)
        };
        let networks = options.own_callback_from || !options.callback_from.is_empty();
        let listeners = options
            .has_callback()
            .then(|| Listeners::new(pool.clone(), options.reserved_callers, networks));
        Ok(RshTransport {
            options,
            input,
            sent_command: SentCommand::default(),
            marker,
            pool,
            begun: std::time::Instant::now(),
            resolver,
            listeners,
        })
    }

    /// Returns the command for the next request to a target, and true if it reads a counted number of bytes.
    fn sent_command(&self, id: TargetId) -> (Cow<'_, [u8]>, bool) {
        let length = self.input.as_ref().and_then(Input::length);
        // A pipe may end during the run. Later targets then get the form with a known length, without a half-close.
        let counted = length.filter(|_| self.marker.is_some() && !self.has_password());
        let reads = match (counted, &self.input) {
            (Some(0), _) | (None, None) => InputMode::Nothing,
            (Some(n), _) => InputMode::Bytes(n),
            (None, Some(_)) => InputMode::Stream,
        };
        let sent_command = if self.options.command.is_same_for_all() {
            let form = match counted {
                Some(_) => &self.sent_command.counted,
                None => &self.sent_command.plain,
            };
            form.get_or_init(|| self.wrapped(id, reads)).into()
        } else {
            self.wrapped(id, reads).into()
        };
        (sent_command, counted.is_some())
    }

    /// True if the end of the input is the end of the stream, since sudo may read a line before it.
    fn has_password(&self) -> bool {
        let changes = self.options.user_changes.as_ref();
        changes.is_some_and(|changes| changes.change().has_password())
    }

    /// Returns the command of a target with its wrapper, if there is one.
    fn wrapped(&self, id: TargetId, reads: InputMode) -> Vec<u8> {
        let command = self.options.command.of(id);
        let Some(marker) = &self.marker else {
            return command.text.to_owned();
        };
        match self.input.as_ref().and_then(Input::script) {
            Some(script) => marker.wrap_script(&script, command.user_change),
            None => marker.wrap(command, self.options.stderr == StderrMode::Drop, reads),
        }
    }

    /// Registers a session with a listener. The wait is not charged to the host's connect timeout.
    async fn listener(
        &self,
        target: &Target,
        route: &Route,
        peer: SocketAddr,
    ) -> Option<ExpectedCallback> {
        let listeners = self.listeners.as_ref()?;
        let networks = networks(&self.options.callback_from, target);
        let caller = Caller::new(peer.ip(), &route.resolved, networks, route.own_listener);
        Some(listeners.expect(caller).await)
    }

    /// Sends the request and reads the answer.
    async fn start(
        &self,
        id: TargetId,
        target: &Target,
        MainConnection { mut main, lease }: MainConnection,
        mut expected: Option<ExpectedCallback>,
        progress: &mut StartProgress<'_>,
        clock: &ProcessClock,
    ) -> Result<Box<RshSession>, StartError> {
        progress.phase = Phase::Start;
        let port = expected.as_ref().map_or(0, ExpectedCallback::port);
        let user = target.user.as_deref().unwrap_or(&self.options.remote_user);
        let (sent_command, counted) = self.sent_command(id);
        let request = wire::request(port, &self.options.local_user, user, &sent_command);
        let mut callback = None;
        if expected.is_some() {
            progress.phase = Phase::CallBack;
        }
        // A write error is ignored here: a daemon that resets may have sent its reason first. The loop below reads
        // the reason or finds the error.
        let rest_of_request = match &mut expected {
            Some(expected) if !expected.at_once() && !self.options.at_once => {
                let (port, rest) = wire::split(&request);
                let _ = main.write_all(port).await;
                // Boxed, since every session's size would be that of this rarer path.
                let listeners = self.listeners.as_ref();
                let first = wait_for_callback(&mut main, expected, progress, listeners, clock);
                callback = Box::pin(first).await?;
                callback.as_ref().map(|_| rest)
            }
            _ => Some(request.as_slice()),
        };
        if let Some(rest) = rest_of_request {
            if let Some(changes) = &self.options.user_changes {
                // Boxed, since few runs need it.
                let turn = Box::pin(changes.turn(&progress.excused));
                progress.turn = Some(turn.await?);
            }
            progress.request.allow().await?;
            let _ = main.write_all(rest).await;
        }
        let asked = Instant::now();
        if callback.is_some() {
            progress.phase = Phase::Start;
        }
        let (status, rest) = loop {
            // Every daemon calls back before it answers, so the callback is polled first.
            let ready = tokio::select! {
                biased;
                event = next_callback_event(&mut expected), if callback.is_none() => {
                    match event {
                        CallbackEvent::Connection(connection) => {
                            callback = Some(connection);
                            progress.phase = Phase::Start;
                        }
                        CallbackEvent::UnknownAddress => progress.unknown_address = true,
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
                // The daemon closed because its callback was reset.
                ReadResult::End if progress.can_restart && !progress.request.is_sent() => {
                    return Err(StartError::NeedsOwnListener);
                }
                ReadResult::End => {
                    callback =
                        callback.or_else(|| expected.as_mut().and_then(ExpectedCallback::claim));
                    let called = callback.is_some() || expected.is_none();
                    return Err(self
                        .ended_early(&main, called, sent_command.len(), progress)
                        .into());
                }
            }
        };
        progress.answered = Some(answered_at(asked, !rest.is_empty(), clock));
        match Status::of(status) {
            Status::Accepted => {}
            // Boxed, since the future would have the size of this rare path.
            Status::Refused => return Err(Box::pin(refusal(main, &rest)).await.into()),
            Status::Other => return Err(protocol_error(status, &rest).into()),
        }
        if let (None, Some(expected)) = (&callback, &mut expected) {
            callback = match expected.claim() {
                Some(callback) => Some(callback),
                None => Some(Box::pin(wait_for_late_callback(expected, progress)).await?),
            };
        }
        let decoder = self.marker.as_ref().map(EndMarker::decoder);
        let show_stderr = self.options.stderr != StderrMode::Drop;
        Ok(Box::new(RshSession {
            id,
            main,
            err: callback,
            lease,
            show_stderr,
            early: rest,
            decoded: Vec::new(),
            input_ended: false,
            stream: MainStream::new(decoder),
            failed_input: None,
            feed: match &self.input {
                // The command gets an end of file from `/dev/null`, so nothing is sent.
                Some(input) if counted && input.length() == Some(0) => {
                    input.target_ended(id);
                    None
                }
                Some(input) => Some(InputFeed::new(input.reader(id), counted)),
                None => None,
            },
        }))
    }

    /// Returns the error for a connection that ended before the answer.
    fn ended_early(
        &self,
        main: &TcpConnection,
        called: bool,
        length: usize,
        progress: &StartProgress<'_>,
    ) -> TransportError {
        // A daemon that gives up has usually not read the whole request, so its close is a reset.
        let reset = main.was_reset();
        // A callback that was reset before it was accepted has no address and counts as none. Such a reset also
        // follows a command that is too long, and an unreserved port has another likely cause.
        let other_cause = length > RSH_REDONE_MAX_COMMAND || !self.options.reserved_callers;
        if !(called || reset && other_cause) {
            let fault = if progress.unknown_address {
                CallbackFault::UnknownAddress
            } else {
                CallbackFault::DaemonClosed
            };
            return TransportError::NoCallback { fault };
        }
        let hint = Some(self.likely_objection(length));
        if reset {
            TransportError::Reset {
                phase: Phase::Start,
                hint,
            }
        } else {
            TransportError::ClosedBeforeStatus { hint }
        }
    }

    /// Returns the most likely reason for a daemon that closes without a text.
    fn likely_objection(&self, length: usize) -> String {
        if length > RSH_REDONE_MAX_COMMAND {
            return format!(
                "some daemons take {RSH_REDONE_MAX_COMMAND} bytes of command at most, and with its wrapper \
                 this one has {length}"
            );
        }
        if self.options.reserved_callers {
            "the daemon may not know this host's name, or refuse it".to_owned()
        } else {
            "the daemon may demand a source port in 512-1023".to_owned()
        }
    }
}

/// Returns the networks from which a target may call back, in addition to its addresses.
fn networks(common: &Arc<[Network]>, target: &Target) -> Option<Arc<[Network]>> {
    match &target.callback_from {
        None if common.is_empty() => None,
        None => Some(Arc::clone(common)),
        Some(own) if common.is_empty() => Some(Arc::clone(own)),
        Some(own) => Some(own.iter().chain(common.iter()).copied().collect()),
    }
}

/// Returns the time from which the command counts as running.
fn answered_at(asked: Instant, with_output: bool, clock: &ProcessClock) -> Instant {
    let now = Instant::now();
    // If output came together with the answer, or this process got the CPU late, the answer had arrived before it was
    // read. Then the earliest possible time is used: the reported duration must not be too short.
    let earliest = if with_output {
        clock.last_turn().unwrap_or(now)
    } else {
        now - clock.current_delay()
    };
    earliest.clamp(asked, now)
}

impl Transport for RshTransport {
    /// Boxed, since the task of a host holds the session several times.
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
        // Before the connection, so that no daemon waits for a request while there is no port to listen on.
        if let Some(listeners) = &self.listeners {
            listeners.prepare().map_err(no_listener)?;
        }
        let (peer, outgoing) = dial(&self.pool, route, budget).await?;
        let connected = MainConnection::new(outgoing);
        let expected = self.listener(target, route, peer).await;
        let private = expected.as_ref().is_some_and(ExpectedCallback::is_private);
        let (before, clock, begun) = (budget.left(), budget.clock(), Instant::now());
        let excused = budget.excused();
        let mut progress = StartProgress::new(route.own_listener, &mut route.request, excused);
        let start = self.start(id, target, connected, expected, &mut progress, &clock);
        let started = budget.spend(start).await;
        route.phase = progress.phase;
        route.answered = progress.answered;
        let charged = before - budget.left();
        let until_answered = route.answered.map(|at| at - begun);
        *route.facts.start.get_or_insert_default() +=
            charged.min(until_answered.unwrap_or(charged));
        let turn = progress.turn.take();
        let error = match started {
            Some(Ok(mut session)) => {
                if let (Some(changes), Some(turn)) = (&self.options.user_changes, turn) {
                    let change =
                        self.change_user(&mut session, changes, turn, target, route, budget);
                    Box::pin(change).await.map_err(AttemptError::Failed)?;
                }
                return Ok(session);
            }
            Some(Err(StartError::NeedsOwnListener)) => {
                // The daemon has not got the command. The next attempt follows at once and costs the host no time.
                route.own_listener = true;
                return Err(AttemptError::NoPort(PortWait::until(Instant::now())));
            }
            Some(Err(StartError::Failed(error))) => error,
            None => match progress.phase {
                // A private listener gets no callbacks of other hosts: the callback was the host's own and was not
                // claimed yet.
                Phase::CallBack if progress.unknown_address && private => {
                    budget.exhausted(Phase::Start)
                }
                Phase::CallBack if progress.unknown_address => progress.unknown_address_error(),
                Phase::CallBack => TransportError::NoCallback {
                    fault: CallbackFault::TimedOut,
                },
                phase => budget.exhausted(phase),
            },
        };
        Err(attempt_error(error, route.request.is_sent()))
    }

    fn time_wait(&self) -> Option<usize> {
        // The kernel walks a table whose size grows with the machine's memory. That took a third of the CPU time of a
        // run on one host.
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

/// Classifies a failure before the command started.
fn attempt_error(error: TransportError, sent: bool) -> AttemptError {
    let not_started = match &error {
        // A daemon does not run a command without its last byte.
        TransportError::NoCallback { .. } if !sent => true,
        // Every daemon answers before it runs the command, and data that is sent before a close arrives before it. So
        // no answer means that the command did not run.
        TransportError::ClosedBeforeStatus { .. }
        | TransportError::Reset {
            phase: Phase::Start,
            ..
        } => true,
        TransportError::NoCallback { fault } => matches!(
            fault,
            CallbackFault::DaemonClosed | CallbackFault::UnknownAddress
        ),
        TransportError::Denied { is_temporary, .. } => *is_temporary,
        // After a timeout the daemon may still read the request. A refusal for good would only be repeated.
        _ => false,
    };
    if not_started {
        AttemptError::Retryable(error)
    } else {
        AttemptError::Failed(error)
    }
}

fn no_listener(error: io::Error) -> AttemptError {
    if error.kind() == io::ErrorKind::AddrInUse {
        let again = Instant::now() + LISTENER_RETRY_DELAY;
        return AttemptError::NoPort(PortWait::until(again));
    }
    if is_shortage(&error) {
        AttemptError::Shortage(error)
    } else {
        AttemptError::Failed(TransportError::Io {
            phase: Phase::Connect,
            source: error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::lose_the_cpu;

    #[tokio::test(start_paused = true)]
    async fn a_command_runs_from_the_earliest_possible_time() {
        let clock = ProcessClock::default();
        let measuring = tokio::spawn(clock.clone().measure());
        let asked = Instant::now();
        tokio::time::sleep(Duration::from_secs(3)).await;
        // The answer is read when it comes.
        assert_eq!(answered_at(asked, false, &clock), Instant::now());
        // The process gets no CPU for a second. The answer comes in that time, with or without output after it.
        let in_time = Instant::now();
        lose_the_cpu(Duration::from_secs(1));
        for with_output in [false, true] {
            let answered = answered_at(asked, with_output, &clock);
            let difference = answered.max(in_time) - answered.min(in_time);
            assert!(difference <= Duration::from_millis(20), "{difference:?}");
        }
        // The result is never earlier than the request.
        let asked = Instant::now();
        assert_eq!(answered_at(asked, true, &clock), asked);
        measuring.abort();
    }

    #[test]
    fn without_a_lag_measurement_the_read_time_counts() {
        let asked = Instant::now() - Duration::from_secs(1);
        assert!(answered_at(asked, true, &ProcessClock::default()) > asked);
    }
}
