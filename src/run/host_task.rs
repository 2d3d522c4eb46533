//! One host's life: find it, connect, carry its output, and say how it ended. The limits on a host and
//! its retries are here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::cancel::Cancelled;
use super::event::Outcome;
use super::idle::Idle;
use super::pace::Pace;
use super::policy::Policy;
use super::retry;
use crate::targets::{Target, TargetId};
use crate::transport::{
    Alarm, Budget, Chunk, Facts, Lag, Phase, RemoteExit, RemoteSignal, Route, Session, Setback,
    Transport, TransportError,
};

/// How long the streams of a killed command have to end, before the connection is reset.
const AFTER_KILL: Duration = Duration::from_millis(500);

/// How long a host rests when this machine was short of something.
const SHORTAGE_REST: Duration = Duration::from_millis(100);

/// How long a host puts up with shortages before it fails: well past what a busy machine needs.
const SHORTAGE_PATIENCE: Duration = Duration::from_secs(60);

/// What all host tasks of a run share.
#[derive(Debug)]
pub(super) struct Context<T> {
    pub(super) transport: T,
    pub(super) targets: Arc<[Target]>,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Option<Duration>,
    pub(super) policy: Policy,
    pub(super) slots: Arc<Semaphore>,
    pub(super) output: mpsc::Sender<Chunk>,
    /// How many hosts wait for a source port.
    pub(super) port_waits: watch::Sender<usize>,
    pub(super) cancelled: Cancelled,
    pub(super) lag: Lag,
    /// With a limit on silence.
    pub(super) idle: Option<Idle>,
    /// With a limit on calls a second.
    pub(super) pace: Option<Pace>,
}

impl<T> Context<T> {
    /// A place among those that work, and a turn to connect. Cancel safe.
    pub(super) async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        slot.map_err(io::Error::other)
    }
}

/// How a host task ended, and what it saw on the way.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) facts: Facts,
}

/// Runs one target to its end. It holds `slot` except while it waits for a port or to be tried again.
pub(super) async fn run<T: Transport>(
    context: Arc<Context<T>>,
    id: TargetId,
    slot: OwnedSemaphorePermit,
) -> Ended {
    let mut facts = Facts::default();
    let mut cancelled = context.cancelled.clone();
    let connected = tokio::select! {
        biased;
        cancel = cancelled.requested() => Err(Outcome::Cancelled(cancel.reason)),
        connected = connect(&context, id, slot, &mut facts) => connected.map_err(Outcome::Failed),
    };
    let Connected {
        mut session,
        slot,
        started,
    } = match connected {
        Ok(connected) => connected,
        Err(outcome) => return Ended { outcome, facts },
    };
    let (outcome, left_running) = carry(&context, id, &mut session, &facts, cancelled).await;
    facts.run = Some(started.elapsed());
    facts.closed_first = session.closes_first();
    facts.left_running = left_running;
    // The next host is started when this one's connections are closed.
    drop(session);
    drop(slot);
    Ended { outcome, facts }
}

/// A command that was started.
struct Connected<S> {
    session: S,
    slot: OwnedSemaphorePermit,
    /// The moment from which it counts as running.
    started: Instant,
}

/// Why a try has led to nothing.
struct Miss {
    error: TransportError,
    /// The command has not started, and may with another try.
    again: bool,
}

/// Connects and starts the command, tried as often as the policy says. What it finds out is in `facts`
/// also if it fails or is dropped.
async fn connect<T: Transport>(
    context: &Context<T>,
    id: TargetId,
    mut slot: OwnedSemaphorePermit,
    facts: &mut Facts,
) -> Result<Connected<T::Session>, TransportError> {
    let mut tries = 0;
    loop {
        let earlier = *facts;
        let Miss { error, again } = match attempt(context, id, slot, &earlier, facts).await {
            Ok(connected) => return Ok(connected),
            Err(miss) => miss,
        };
        tries += 1;
        if !again || tries > context.policy.retries {
            return Err(error);
        }
        let pause = retry::pause(tries, &mut fastrand::Rng::new());
        let waiting = Waiting::new(&mut facts.retry_wait);
        context.lag.alarm(pause).rung().await;
        slot = context
            .place()
            .await
            .map_err(TransportError::LocalResources)?;
        drop(waiting);
    }
}

/// Tries once, with a whole connect timeout, waiting for whatever this machine lacks.
async fn attempt<T: Transport>(
    context: &Context<T>,
    id: TargetId,
    mut slot: OwnedSemaphorePermit,
    earlier: &Facts,
    facts: &mut Facts,
) -> Result<Connected<T::Session>, Miss> {
    let target = &context.targets[id.index()];
    let mut budget = Budget::new(context.connect_timeout, context.lag.clone());
    let route = context.transport.route(target, &mut budget).await;
    let mut seen = Facts {
        resolve: Some(budget.spent()),
        ..Facts::default()
    };
    *facts = earlier.and(&seen);
    let mut route: Route = route.map_err(|error| Miss {
        again: retry::is_worth_it(&error),
        error,
    })?;
    let mut short_since = None;
    loop {
        let connected = context
            .transport
            .connect(id, target, &mut route, &mut budget)
            .await;
        seen = Facts {
            resolve: seen.resolve,
            ..route.facts
        };
        *facts = Facts {
            port_wait: facts.port_wait,
            ..earlier.and(&seen)
        };
        let mut waiting = None;
        match connected {
            Ok(session) => {
                let started = route.answered.unwrap_or_else(Instant::now);
                return Ok(Connected {
                    session,
                    slot,
                    started,
                });
            }
            Err(Setback::Failed(error)) => {
                let again = retry::is_worth_it(&error);
                return Err(Miss { error, again });
            }
            Err(Setback::NotStarted(error)) => return Err(Miss { error, again: true }),
            Err(Setback::NoPort(wait)) => {
                // Who waits for a port is short of nothing meanwhile.
                short_since = None;
                waiting = Some(Waiting::new(&mut facts.port_wait));
                drop(slot);
                let _counted = PortWaiter::new(&context.port_waits);
                wait.wait().await;
            }
            Err(Setback::Shortage(error)) => {
                let since = *short_since.get_or_insert_with(Instant::now);
                if since.elapsed() > SHORTAGE_PATIENCE {
                    return Err(Miss {
                        error: TransportError::LocalResources(error),
                        again: false,
                    });
                }
                drop(slot);
                tokio::time::sleep(SHORTAGE_REST).await;
            }
        }
        slot = context.place().await.map_err(|closed| Miss {
            error: TransportError::LocalResources(closed),
            again: false,
        })?;
        drop(waiting);
    }
}

/// Adds the time for which it lives to a sum: what waits may be dropped meanwhile.
struct Waiting<'a> {
    begin: Instant,
    sum: &'a mut Option<Duration>,
}

impl<'a> Waiting<'a> {
    fn new(sum: &'a mut Option<Duration>) -> Self {
        Waiting {
            begin: Instant::now(),
            sum,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *self.sum.get_or_insert_default() += self.begin.elapsed();
    }
}

/// A host that waits for a port, counted as long as this lives.
struct PortWaiter<'a>(&'a watch::Sender<usize>);

impl<'a> PortWaiter<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        PortWaiter(count)
    }
}

impl Drop for PortWaiter<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Carries a session's output until it ends, by itself or not. Also says whether the command may be
/// running still.
async fn carry<T: Transport>(
    context: &Context<T>,
    id: TargetId,
    session: &mut T::Session,
    facts: &Facts,
    mut cancelled: Cancelled,
) -> (Outcome, bool) {
    let outcome = tokio::select! {
        biased;
        cancel = cancelled.requested() => Outcome::Cancelled(cancel.reason),
        ended = session.pump(&context.output) => {
            let left_running = !has_ended(&ended);
            return match ended {
                Ok(exit) => (Outcome::Exited(exit), left_running),
                Err(error) => (Outcome::Failed(error), left_running),
            };
        }
        error = out_of_time(context, id, facts) => Outcome::Failed(error),
    };
    // Boxed: few hosts come this way, and every host's task would be larger for it.
    let ended = Box::pin(stop(context, session, cancelled)).await;
    (outcome, !ended)
}

/// Returns when a limit on the command is reached; never, if there is none.
async fn out_of_time<T>(context: &Context<T>, id: TargetId, facts: &Facts) -> TransportError {
    match (command_limit(context, facts), &context.idle) {
        (None, None) => std::future::pending().await,
        // Boxed: without limits no host's task is larger for them.
        (command, _) => Box::pin(first_limit(context, id, command)).await,
    }
}

/// The tighter one of the limits on the command's time: how long it is, and how much is left of it at the
/// command's start.
fn command_limit<T>(context: &Context<T>, facts: &Facts) -> Option<(Duration, Duration)> {
    let own = context.command_timeout.map(|limit| (limit, limit));
    let spent = [facts.resolve, facts.connect, facts.start];
    let spent: Duration = spent.into_iter().flatten().sum();
    let whole = context.policy.host_timeout;
    let whole = whole.map(|limit| (limit, limit.saturating_sub(spent)));
    own.into_iter().chain(whole).min_by_key(|(_, left)| *left)
}

/// Returns when the first of the command's limits is reached.
async fn first_limit<T>(
    context: &Context<T>,
    id: TargetId,
    command: Option<(Duration, Duration)>,
) -> TransportError {
    let command: Option<(Duration, Alarm)> =
        command.map(|(limit, left)| (limit, context.lag.alarm(left)));
    let whole = async {
        match &command {
            Some((after, alarm)) => {
                alarm.rung().await;
                *after
            }
            None => std::future::pending().await,
        }
    };
    let silent = async {
        match &context.idle {
            Some(idle) => {
                silence(idle, id).await;
                idle.timeout()
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        after = whole => TransportError::CommandTimeout { after },
        after = silent => TransportError::IdleTimeout { after },
    }
}

/// Returns when the host has written nothing for too long.
async fn silence(idle: &Idle, id: TargetId) {
    idle.seen(id);
    loop {
        let left = idle.left(id);
        if !left.is_zero() {
            tokio::time::sleep(left).await;
            continue;
        }
        // What it has written may be on its way to the dispatcher, whose turn this is.
        tokio::task::yield_now().await;
        if idle.left(id).is_zero() {
            return;
        }
    }
}

/// Ends a remote command as far as its transport can: TERM, a grace period, KILL. What is open after
/// that is reset when the session is dropped. True if the command is known to have ended.
async fn stop<T: Transport>(
    context: &Context<T>,
    session: &mut T::Session,
    mut cancelled: Cancelled,
) -> bool {
    for (signal, time) in [
        (RemoteSignal::Term, context.policy.kill_after),
        (RemoteSignal::Kill, AFTER_KILL),
    ] {
        if !session.signal(signal) {
            break;
        }
        let grace = context.lag.alarm(time);
        tokio::select! {
            biased;
            _ = cancelled.at_once() => {
                // It is delivered where TERM is; nobody waits to see what comes of it.
                session.signal(RemoteSignal::Kill);
                break;
            }
            // How it ends no longer matters, but what it still writes does.
            ended = session.pump(&context.output) => return has_ended(&ended),
            () = grace.rung() => {}
        }
    }
    // It may have ended all the same.
    tokio::select! {
        biased;
        ended = session.pump(&context.output) => has_ended(&ended),
        () = std::future::ready(()) => false,
    }
}

/// Whether a session that is over tells that the command is, too: not if the network was lost.
fn has_ended(ended: &Result<RemoteExit, TransportError>) -> bool {
    !matches!(
        ended,
        Err(TransportError::Io {
            phase: Phase::Run,
            ..
        } | TransportError::Closed {
            phase: Phase::Run,
            ..
        })
    )
}
