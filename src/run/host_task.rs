//! The work on one target: find it, connect, carry its output, and tell how it ended. A target that has to
//! wait before it can connect leaves its task; see [`waiting`](super::waiting).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cancel::Cancelled;
use super::limit::{Span, last_read, out_of_time};
use super::pace::Pace;
use super::policy::Policy;
use super::retry;
use super::waiting::{SHORTAGE_REST, Wait};
use crate::clock::ProcessClock;
use crate::event::{
    CancelReason, Chunk, Facts, Failure, FailureClass, Left, Outcome, Phase, RemoteExit,
};
use crate::reader::Reader;
use crate::targets::{Target, TargetId};
use crate::transport::{
    Budget, Output, RemoteSignal, Route, Session, Setback, Transport, TransportError,
};

/// How long the streams of a killed command have to end, before the connection is reset.
const AFTER_KILL: Duration = Duration::from_millis(500);

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
    pub(super) output: mpsc::Sender<Chunk>,
    /// The reader of the reports.
    pub(super) reader: Reader,
    pub(super) cancelled: Cancelled,
    pub(super) clock: ProcessClock,
    /// With a limit on calls a second.
    pub(super) pace: Option<Pace>,
}

impl<T> Context<T> {
    /// Waits for a turn to connect. Cancel safe.
    pub(super) async fn turn(&self) {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
    }
}

/// How a host task ended, and what it saw on the way.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) facts: Facts,
}

/// What becomes of a target when its task is over.
#[derive(Debug)]
pub(super) enum Next {
    /// It has ended.
    Ended(Ended),
    /// It waits, and then gets another task with the same attempts.
    Waits {
        wait: Wait,
        attempts: Box<Attempts>,
        /// The reason for another try, if there was one that failed.
        failure: Option<TransportError>,
    },
}

/// The tries to connect to one target.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// What all of them have shown, the present one included.
    facts: Facts,
    /// Number of those that failed.
    pub(super) failed: u32,
    /// The present one, once its addresses are known.
    present: Option<Attempt>,
    /// The wait that leads to the next task of the target.
    waits: Option<PhaseWait>,
}

/// A wait that is a phase of its own among a target's times.
#[derive(Clone, Copy, Debug)]
struct PhaseWait {
    /// True for a port, false for a retry.
    for_port: bool,
    since: Instant,
}

/// One try to connect.
#[derive(Debug)]
struct Attempt {
    route: Route,
    budget: Budget,
    /// What the tries before have shown.
    earlier: Facts,
    /// Time spent looking up the name.
    resolve: Duration,
    /// Time for which this machine has been short of something, without a port wait in between.
    short: Duration,
}

impl Attempts {
    /// What has become known, when no task follows.
    pub(super) fn into_facts(mut self) -> Facts {
        self.end_wait();
        self.facts
    }

    fn begin_wait(&mut self, wait: &Wait) {
        let since = Instant::now();
        self.waits = match wait {
            Wait::Port(_) => Some(true),
            Wait::Retry(_) => Some(false),
            Wait::Shortage => None,
        }
        .map(|for_port| PhaseWait { for_port, since });
    }

    /// Adds the time of the wait to its phase, the time until the target had its turn included.
    fn end_wait(&mut self) {
        let Some(PhaseWait { for_port, since }) = self.waits.take() else {
            return;
        };
        let sum = match for_port {
            true => &mut self.facts.port_wait,
            false => &mut self.facts.retry_wait,
        };
        *sum.get_or_insert_default() += since.elapsed();
    }

    /// True if the host has been asked for the command.
    fn may_have_started(&self) -> bool {
        let present = self.present.as_ref();
        present.is_some_and(|attempt| attempt.route.asked)
    }
}

/// Works on one target until it has ended or has to wait.
pub(super) async fn run<T: Transport>(
    context: Arc<Context<T>>,
    id: TargetId,
    mut attempts: Box<Attempts>,
) -> Next {
    attempts.end_wait();
    let mut cancelled = context.cancelled.clone();
    let connected = tokio::select! {
        biased;
        cancel = cancelled.requested() => {
            let mut facts = attempts.facts;
            if attempts.may_have_started() {
                facts.left = Left::MayRun;
            }
            let outcome = Outcome::Cancelled(cancel.reason);
            return Next::Ended(Ended { outcome, facts });
        }
        connected = attempt(&context, id, &mut attempts) => connected,
    };
    let (mut session, started) = match connected {
        Ok(connected) => connected,
        Err(Miss::Waits(wait)) => {
            attempts.begin_wait(&wait);
            return Next::Waits {
                wait,
                attempts,
                failure: None,
            };
        }
        Err(Miss::Failed { error, again }) => {
            return after_failure(&context, attempts, error, again);
        }
    };
    let mut facts = attempts.facts;
    drop(attempts);
    let chunks = context.output.clone();
    let output = Output::new(chunks, context.reader.clone(), context.clock.clone());
    let (outcome, left) = carry(&context, &output, &mut session, &facts, cancelled).await;
    facts.run = Some(started.elapsed());
    facts.closed_first = session.closes_first();
    facts.left = left;
    // The next host is started when this one's connections are closed.
    drop(session);
    Next::Ended(Ended { outcome, facts })
}

/// Why a try has led to nothing.
enum Miss {
    /// It goes on when something has become free.
    Waits(Wait),
    Failed {
        error: TransportError,
        /// The command has not started, and may with another try.
        again: bool,
    },
}

impl From<TransportError> for Miss {
    fn from(error: TransportError) -> Self {
        let again = retry::is_worth_it(&error);
        Miss::Failed { error, again }
    }
}

/// Another try, if the policy has one, or the end.
fn after_failure<T>(
    context: &Context<T>,
    mut attempts: Box<Attempts>,
    error: TransportError,
    again: bool,
) -> Next {
    attempts.failed += 1;
    if again && attempts.failed <= context.policy.retries {
        attempts.present = None;
        let pause = retry::BACKOFF.pause(attempts.failed, &mut fastrand::Rng::new());
        let wait = Wait::Retry(pause);
        attempts.begin_wait(&wait);
        return Next::Waits {
            wait,
            attempts,
            failure: Some(error),
        };
    }
    let mut facts = attempts.facts;
    if !again && retry::may_have_started(&error) {
        facts.left = Left::MayRun;
    }
    let outcome = Outcome::Failed(error.into());
    Next::Ended(Ended { outcome, facts })
}

/// Tries once to connect and to start the command, with a whole connect timeout, or goes on with the try that
/// had to wait. Also gives the moment from which the command counts as running. What it finds out is in `attempts`
/// also if it fails or is dropped.
async fn attempt<T: Transport>(
    context: &Context<T>,
    id: TargetId,
    attempts: &mut Attempts,
) -> Result<(T::Session, Instant), Miss> {
    let target = &context.targets[id.index()];
    let Attempts { facts, present, .. } = attempts;
    let attempt = match present {
        Some(attempt) => attempt,
        None => {
            let earlier = *facts;
            let mut budget = Budget::new(context.connect_timeout, context.clock.clone());
            let route = context.transport.route(target, &mut budget).await;
            let resolve = budget.spent();
            *facts = earlier.and(&Facts {
                resolve: Some(resolve),
                ..Facts::default()
            });
            present.insert(Attempt {
                route: route?,
                budget,
                earlier,
                resolve,
                short: Duration::ZERO,
            })
        }
    };
    let Attempt { route, budget, .. } = attempt;
    route.asked = false;
    let connected = context.transport.connect(id, target, route, budget).await;
    let seen = Facts {
        resolve: Some(attempt.resolve),
        ..attempt.route.facts
    };
    *facts = Facts {
        port_wait: facts.port_wait,
        ..attempt.earlier.and(&seen)
    };
    match connected {
        Ok(session) => {
            let answered = attempt.route.answered;
            Ok((session, answered.unwrap_or_else(Instant::now)))
        }
        Err(Setback::Failed(error)) => Err(error.into()),
        Err(Setback::NotStarted(error)) => Err(Miss::Failed { error, again: true }),
        Err(Setback::NoPort(wait)) => {
            // A target that waits for a port is short of nothing meanwhile.
            attempt.short = Duration::ZERO;
            Err(Miss::Waits(Wait::Port(wait)))
        }
        Err(Setback::Shortage(error)) if attempt.short >= SHORTAGE_PATIENCE => {
            let error = TransportError::LocalResources(error);
            Err(Miss::Failed {
                error,
                again: false,
            })
        }
        Err(Setback::Shortage(_)) => {
            // Only the waits count: between them the target stands in line for its turn.
            attempt.short += SHORTAGE_REST;
            Err(Miss::Waits(Wait::Shortage))
        }
    }
}

/// Carries a session's output until it ends, by itself or not. Also tells what is left of the command.
async fn carry<T: Transport>(
    context: &Context<T>,
    output: &Output,
    session: &mut T::Session,
    facts: &Facts,
    mut cancelled: Cancelled,
) -> (Outcome, Left) {
    let span = Span::begin(&context.clock, output);
    let outcome = loop {
        let outcome = tokio::select! {
            biased;
            cancel = cancelled.requested() => Outcome::Cancelled(cancel.reason),
            // Before the output: timers do not fire once a stream without end has used up the task's turn.
            error = out_of_time(context, &span, facts) => Outcome::Failed(error.into()),
            ended = session.pump(output) => return by_itself(ended),
        };
        let patient = match outcome {
            Outcome::Cancelled(reason) => reason == CancelReason::Deadline,
            _ => true,
        };
        let sent = output.sent();
        // Boxed: few hosts come this way, and every host's task would be larger for it.
        let last = last_read(session, &context.clock, output, patient, cancelled.clone());
        if let Some(ended) = Box::pin(last).await {
            return by_itself(ended);
        }
        match outcome {
            // It was not silent after all.
            Outcome::Failed(Failure {
                class: FailureClass::IdleTimeout,
                ..
            }) if output.sent() > sent => {}
            outcome => break outcome,
        }
    };
    let left = Box::pin(stop(context, output, session, cancelled)).await;
    (outcome, left)
}

/// The end of a command that was not stopped.
fn by_itself(ended: Result<RemoteExit, TransportError>) -> (Outcome, Left) {
    let left = left(&ended);
    match ended {
        Ok(exit) => (Outcome::Exited(exit), left),
        Err(error) => (Outcome::Failed(error.into()), left),
    }
}

/// Ends a remote command as far as its transport can: TERM, a grace period, KILL. What is open after
/// that is reset when the session is dropped. Tells what is left of the command.
async fn stop<T: Transport>(
    context: &Context<T>,
    output: &Output,
    session: &mut T::Session,
    mut cancelled: Cancelled,
) -> Left {
    for (signal, time) in [
        (RemoteSignal::Term, context.policy.kill_after),
        (RemoteSignal::Kill, AFTER_KILL),
    ] {
        if !session.signal(signal) {
            break;
        }
        // Also where a reader holds the output back: a signal comes to its host in time.
        let grace = context.clock.alarm(time);
        tokio::select! {
            biased;
            _ = cancelled.at_once() => {
                // It is delivered where TERM is; nobody waits to see what comes of it.
                session.signal(RemoteSignal::Kill);
                break;
            }
            () = grace.reached() => {}
            // How it ends no longer matters, but what it still writes does.
            ended = session.pump(output) => return left(&ended),
        }
    }
    // It may have ended all the same.
    tokio::select! {
        biased;
        ended = session.pump(output) => left(&ended),
        // Its end may be behind output that the reader holds back.
        held_back = async { output.is_waiting() } => match held_back {
            true => Left::MayRun,
            false => Left::Runs,
        },
    }
}

/// What is left of a command whose session is over. The end of its streams is its own end, and the loss of
/// the network is not. A reset may have come from the end of either.
fn left(ended: &Result<RemoteExit, TransportError>) -> Left {
    match ended {
        Err(TransportError::Io { phase, .. } | TransportError::Closed { phase, .. })
            if *phase == Phase::Run =>
        {
            Left::Runs
        }
        Err(TransportError::Reset { phase, .. }) if *phase == Phase::Run => Left::MayRun,
        _ => Left::Nothing,
    }
}
