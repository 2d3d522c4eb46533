//! The task of one target: looks up its name, connects, passes its output on, and returns its outcome.
//!
//! If the target must wait before it can connect, the task ends; see [`waiting`](super::waiting). Thousands of targets
//! may wait, and a task is as large as the largest future of a transport.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cancel::CancelWatch;
use super::command_limits::{CommandClock, last_read, out_of_time};
use super::rate::RateLimiter;
use super::retry;
use super::waiting::{SHORTAGE_PAUSE, WaitReason};
use crate::clock::ProcessClock;
use crate::copy::{Copies, CopyResult};
use crate::event::{
    CancelReason, Chunk, Facts, Failure, FailureClass, LeftRunning, Outcome, PasswordUse, Phase,
    RemoteExit, Stream,
};
use crate::journal::Journal;
use crate::policy::Policy;
use crate::reader::Reader;
use crate::targets::{Target, TargetId};
use crate::transport::{
    AttemptError, Budget, Output, RemoteSignal, Route, Session, StartRequest, Transport,
    TransportError,
};

/// Maximum time from KILL to the end of the command's streams. After that the connection is reset.
const AFTER_KILL: Duration = Duration::from_millis(500);

/// Maximum time of the pauses for shortages in one attempt.
// A busy machine needs much less.
const SHORTAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Data that all host tasks of a run share.
#[derive(Debug)]
pub(super) struct TaskContext<T> {
    pub(super) transport: T,
    pub(super) targets: Arc<[Target]>,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Option<Duration>,
    pub(super) policy: Policy,
    /// The copies of the run, if its commands install or send files.
    pub(super) copies: Option<Copies>,
    /// The journal of the run.
    pub(super) journal: Option<Journal>,
    /// The queue for the output of commands.
    pub(super) output: mpsc::Sender<Chunk>,
    /// The queue to the reports.
    pub(super) reports: mpsc::Sender<Chunk>,
    /// The reader of the reports.
    pub(super) reader: Reader,
    pub(super) cancelled: CancelWatch,
    pub(super) clock: ProcessClock,
    /// Present with `--rate`.
    pub(super) pace: Option<RateLimiter>,
}

impl<T> TaskContext<T> {
    /// Returns when the target's part of a copy must be stopped; never in a run without copies. Cancel safe.
    async fn abandoned(&self, id: TargetId) {
        match &self.copies {
            Some(copies) => copies.abandoned(id).await,
            None => std::future::pending().await,
        }
    }

    /// Waits until the rate allows a connection. Cancel safe.
    pub(super) async fn turn(&self) {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
    }
}

/// The outcome of a target, and its times and connection facts.
#[derive(Debug)]
pub(super) struct TargetResult {
    pub(super) outcome: Outcome,
    pub(super) facts: Facts,
}

/// The return value of a host task.
#[derive(Debug)]
pub(super) enum TaskResult {
    /// The target has its outcome.
    Ended(TargetResult),
    /// The target waits, and then gets another task with the same attempts.
    Waits {
        wait: WaitReason,
        attempts: Box<Attempts>,
        /// The error of the last attempt in words, if it failed.
        failure: Option<String>,
    },
}

/// The attempts to connect to one target.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Facts of all attempts, the current one included.
    facts: Facts,
    /// Number of failed attempts.
    pub(super) failed: u32,
    /// The current attempt, from the time when its addresses are known.
    current: Option<Attempt>,
    /// The current wait, if it counts as a phase.
    wait: Option<PhaseWait>,
    /// The failure of a copy at a target without a shell, while it is tried over SFTP.
    without_shell: Option<Box<Failure>>,
}

/// A wait whose time is counted as a phase of the target.
#[derive(Clone, Copy, Debug)]
struct PhaseWait {
    /// True for a port, false for a retry.
    for_port: bool,
    since: Instant,
}

/// One attempt to connect.
#[derive(Debug)]
struct Attempt {
    route: Route,
    budget: Budget,
    /// Facts of the earlier attempts.
    earlier: Facts,
    /// Time of the lookup of the name.
    resolve: Duration,
    /// Time of the pauses for shortages since the attempt began or last waited for a port.
    short: Duration,
}

impl Attempts {
    /// Returns the facts of a target that gets no further task.
    pub(super) fn into_facts(mut self) -> Facts {
        self.end_wait();
        self.facts
    }

    fn begin_wait(&mut self, wait: &WaitReason) {
        let since = Instant::now();
        self.wait = match wait {
            WaitReason::Port(_) => Some(true),
            WaitReason::Retry(_) => Some(false),
            WaitReason::Shortage => None,
        }
        .map(|for_port| PhaseWait { for_port, since });
    }

    /// Adds the time of the wait to its phase. That includes the time until the fan-out allowed the next task.
    fn end_wait(&mut self) {
        let Some(PhaseWait { for_port, since }) = self.wait.take() else {
            return;
        };
        let sum = if for_port {
            &mut self.facts.port_wait
        } else {
            &mut self.facts.retry_wait
        };
        *sum.get_or_insert_default() += since.elapsed();
    }

    /// True if the daemon has been asked for the command.
    fn may_have_started(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|attempt| attempt.route.request.is_sent())
    }
}

/// Works on one target until it has an outcome or must wait.
pub(super) async fn run<T: Transport>(
    context: Arc<TaskContext<T>>,
    id: TargetId,
    mut attempts: Box<Attempts>,
) -> TaskResult {
    attempts.end_wait();
    let mut cancelled = context.cancelled.clone();
    let connected = tokio::select! {
        biased;
        cancel = cancelled.requested() => {
            let mut facts = attempts.facts;
            if attempts.may_have_started() {
                facts.left_running = LeftRunning::Maybe;
            }
            let outcome = Outcome::Cancelled(cancel.reason);
            return TaskResult::Ended(TargetResult { outcome, facts });
        }
        connected = attempt(&context, id, &mut attempts) => connected,
    };
    let (mut session, started) = match connected {
        Ok(connected) => connected,
        Err(NotConnected::Waits(wait)) => {
            attempts.begin_wait(&wait);
            return TaskResult::Waits {
                wait,
                attempts,
                failure: None,
            };
        }
        Err(NotConnected::Failed { error, retryable }) => {
            let is_denied = matches!(error, TransportError::Denied { .. });
            if is_denied && may_use_sftp(&context, id) {
                return with_sftp(attempts.facts, attempts.failed, Failure::from(error));
            }
            return after_failure(&context, id, attempts, error, retryable);
        }
    };
    let mut facts = attempts.facts;
    let (failed, without_shell) = (attempts.failed, attempts.without_shell.take());
    // They hold the addresses of the target, and the task lasts as long as its command.
    drop(attempts);
    let chunks = context.output.clone();
    let (reader, clock) = (context.reader.clone(), context.clock.clone());
    let receiving = context.copies.clone().filter(Copies::receives);
    let output = Output::new(chunks, reader, clock, receiving);
    let (mut outcome, left) = carry(&context, id, &output, &mut session, &facts, cancelled).await;
    *facts.run.get_or_insert_default() += started.elapsed();
    facts.closed_first = session.closes_first();
    facts.left_running = left;
    // The next target starts when this task ends. This one's connections must be closed by then.
    drop(session);
    if let Some(copies) = &context.copies
        && let Some(result) = copies.end(id, output.sent()).await
    {
        let has_no_shell = result.has_no_answer && matches!(outcome, Outcome::Exited(_));
        if has_no_shell && without_shell.is_none() && may_use_sftp(&context, id) {
            return with_sftp(facts, failed, copy_failure(&result));
        }
        if failed < context.policy.retries
            && let Some(cause) = retry::repeatable_copy(&outcome, &result)
        {
            // What goes on at the target is the script, which ends with its input.
            facts.left_running = LeftRunning::No;
            let attempts = Box::new(Attempts {
                facts,
                failed: failed + 1,
                ..Attempts::default()
            });
            return wait_for_retry(attempts, cause);
        }
        facts.copied = Some(result.copied);
        let texts = [
            (Stream::Stdout, result.check_text()),
            (Stream::Stderr, result.note.clone()),
        ];
        for (stream, text) in texts {
            let Some(text) = text else { continue };
            let data = text.into_bytes();
            // A queue without a receiver is the end of the run.
            let _ = context
                .reports
                .send(Chunk {
                    target: id,
                    stream,
                    data,
                })
                .await;
        }
        outcome = match without_shell {
            Some(first) if has_no_shell => Outcome::Failed(*first),
            // There was no command whose status would count.
            Some(_) if result.done => Outcome::Exited(RemoteExit::Code(0)),
            _ => after_copy(outcome, &result),
        };
    }
    TaskResult::Ended(TargetResult { outcome, facts })
}

/// True if a copy to a target without a shell can be tried over SFTP. Records that it is.
fn may_use_sftp<T: Transport>(context: &TaskContext<T>, id: TargetId) -> bool {
    let Some(copies) = &context.copies else {
        return false;
    };
    let target = &context.targets[id.index()];
    context.transport.has_subsystems(target) && copies.use_sftp(id)
}

/// Returns a wait that ends at once, for an attempt over SFTP. `first` stands if that is refused too.
fn with_sftp(facts: Facts, failed: u32, first: Failure) -> TaskResult {
    let mut attempts = Box::new(Attempts {
        facts,
        failed,
        without_shell: Some(Box::new(first)),
        ..Attempts::default()
    });
    let wait = WaitReason::Retry(Duration::ZERO);
    attempts.begin_wait(&wait);
    TaskResult::Waits {
        wait,
        attempts,
        failure: None,
    }
}

/// Returns the outcome of a command that was to install files.
fn after_copy(outcome: Outcome, result: &CopyResult) -> Outcome {
    match outcome {
        Outcome::Exited(_) if result.done => outcome,
        // The message of the target says more than the end of its connection.
        Outcome::Exited(_) => Outcome::Failed(copy_failure(result)),
        Outcome::Failed(_) if result.error.is_some() => Outcome::Failed(copy_failure(result)),
        Outcome::Failed(mut failure) if !result.done => {
            failure.message.push_str(&result.remains());
            Outcome::Failed(failure)
        }
        other => other,
    }
}

fn copy_failure(result: &CopyResult) -> Failure {
    Failure {
        class: FailureClass::Copy,
        phase: Phase::Run,
        message: result.message(),
        common: result.common(),
        help: None,
        password: PasswordUse::None,
    }
}

/// The reason why an attempt has no session.
enum NotConnected {
    /// The attempt goes on after a wait.
    Waits(WaitReason),
    Failed {
        error: TransportError,
        retryable: bool,
    },
}

impl From<TransportError> for NotConnected {
    fn from(error: TransportError) -> Self {
        let retryable = retry::is_retryable(&error);
        NotConnected::Failed { error, retryable }
    }
}

/// Returns a wait for the next attempt if the policy allows one, or else the outcome.
fn after_failure<T>(
    context: &TaskContext<T>,
    id: TargetId,
    mut attempts: Box<Attempts>,
    error: TransportError,
    retryable: bool,
) -> TaskResult {
    if matches!(error, TransportError::NotRecorded) {
        let outcome = Outcome::NotStarted(CancelReason::JournalFailed);
        let facts = attempts.facts;
        return TaskResult::Ended(TargetResult { outcome, facts });
    }
    attempts.failed += 1;
    if retryable && attempts.failed <= context.policy.retries {
        return wait_for_retry(attempts, error.to_string());
    }
    let mut facts = attempts.facts;
    if !retryable && retry::may_have_started(&error) {
        facts.left_running = LeftRunning::Maybe;
    }
    let mut failure = match (attempts.without_shell, &error) {
        (Some(first), TransportError::Denied { .. }) => *first,
        _ => Failure::from(error),
    };
    // An earlier attempt may have been cut off in the middle of a copy.
    let remains = context.copies.as_ref().map(|copies| copies.remains(id));
    if let Some(remains) = remains.filter(|text| !text.is_empty()) {
        failure
            .common
            .get_or_insert_with(|| failure.message.clone());
        failure.message.push_str(&remains);
    }
    let outcome = Outcome::Failed(failure);
    TaskResult::Ended(TargetResult { outcome, facts })
}

/// Returns a wait for the next attempt.
fn wait_for_retry(mut attempts: Box<Attempts>, cause: String) -> TaskResult {
    // The next attempt looks the name up again and gets a full connect timeout.
    attempts.current = None;
    let pause = retry::BACKOFF.pause(attempts.failed, &mut fastrand::Rng::new());
    let wait = WaitReason::Retry(pause);
    attempts.begin_wait(&wait);
    TaskResult::Waits {
        wait,
        attempts,
        failure: Some(cause),
    }
}

/// Begins an attempt with a full connect timeout, or continues the attempt that had to wait.
///
/// Returns the session and the time from which the command counts as running. The facts are in `attempts`, also if
/// the attempt fails or the future is dropped.
async fn attempt<T: Transport>(
    context: &TaskContext<T>,
    id: TargetId,
    attempts: &mut Attempts,
) -> Result<(T::Session, Instant), NotConnected> {
    let target = &context.targets[id.index()];
    let Attempts { facts, current, .. } = attempts;
    let attempt = match current {
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
            let mut route = route?;
            if let Some(journal) = &context.journal {
                route.request = StartRequest::recorded(journal.clone(), id, budget.excused());
            }
            current.insert(Attempt {
                route,
                budget,
                earlier,
                resolve,
                short: Duration::ZERO,
            })
        }
    };
    let Attempt { route, budget, .. } = attempt;
    // A failure before the request must not count as one after the request of an earlier attempt.
    route.request.reset();
    let connected = context.transport.connect(id, target, route, budget).await;
    let seen = Facts {
        resolve: Some(attempt.resolve),
        ..attempt.route.facts
    };
    // Waits for a port come between the tasks of an attempt, so the route does not know them.
    *facts = Facts {
        port_wait: facts.port_wait,
        ..attempt.earlier.and(&seen)
    };
    match connected {
        Ok(session) => {
            let answered = attempt.route.answered;
            Ok((session, answered.unwrap_or_else(Instant::now)))
        }
        Err(AttemptError::Failed(error)) => Err(error.into()),
        Err(AttemptError::Retryable(error)) => Err(NotConnected::Failed {
            error,
            retryable: true,
        }),
        Err(AttemptError::NoPort(wait)) => {
            // The wait for a port shows that the shortage is over.
            attempt.short = Duration::ZERO;
            Err(NotConnected::Waits(WaitReason::Port(wait)))
        }
        Err(AttemptError::Shortage(error)) if attempt.short >= SHORTAGE_TIMEOUT => {
            let error = TransportError::LocalResources(error);
            Err(NotConnected::Failed {
                error,
                retryable: false,
            })
        }
        Err(AttemptError::Shortage(_)) => {
            // Only the pauses count: after each, the target may wait long for the fan-out.
            attempt.short += SHORTAGE_PAUSE;
            Err(NotConnected::Waits(WaitReason::Shortage))
        }
    }
}

/// Passes a session's output on until the command ends or a limit or cancellation stops it.
async fn carry<T: Transport>(
    context: &TaskContext<T>,
    id: TargetId,
    output: &Output,
    session: &mut T::Session,
    facts: &Facts,
    mut cancelled: CancelWatch,
) -> (Outcome, LeftRunning) {
    let command_clock = CommandClock::begin(&context.clock, output);
    let outcome = loop {
        let outcome = tokio::select! {
            biased;
            cancel = cancelled.requested() => Outcome::Cancelled(cancel.reason),
            // This branch comes before the output: when an endless stream has used up the task's budget in tokio,
            // timers do not fire.
            error = out_of_time(context, &command_clock, facts) => Outcome::Failed(error.into()),
            () = context.abandoned(id) => {
                // The result of the copy takes the place of this outcome.
                let outcome = Outcome::Failed(copy_failure(&CopyResult::default()));
                let left = Box::pin(stop(context, output, session, cancelled)).await;
                return (outcome, left);
            }
            ended = session.pump(output) => return unstopped(ended),
        };
        // Only a signal or a report that fails ends a run without waiting for the reader.
        let wait_for_reader = match outcome {
            Outcome::Cancelled(reason) => reason == CancelReason::Deadline,
            _ => true,
        };
        let sent = output.sent();
        // Boxed: few targets need it, and it would make every host task larger.
        let last = last_read(
            session,
            &context.clock,
            output,
            wait_for_reader,
            cancelled.clone(),
        );
        if let Some(ended) = Box::pin(last).await {
            return unstopped(ended);
        }
        match outcome {
            // Output was on its way: the command was not idle.
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

/// Returns the outcome of a command that was not stopped.
fn unstopped(ended: Result<RemoteExit, TransportError>) -> (Outcome, LeftRunning) {
    let left = left(&ended);
    match ended {
        Ok(exit) => (Outcome::Exited(exit), left),
        Err(error) => (Outcome::Failed(error.into()), left),
    }
}

/// Stops a remote command as far as its transport can: TERM, a pause, KILL. Connections that are still open then are
/// reset when the session is dropped.
async fn stop<T: Transport>(
    context: &TaskContext<T>,
    output: &Output,
    session: &mut T::Session,
    mut cancelled: CancelWatch,
) -> LeftRunning {
    for (signal, time) in [
        (RemoteSignal::Term, context.policy.kill_after),
        (RemoteSignal::Kill, AFTER_KILL),
    ] {
        if !session.signal(signal) {
            break;
        }
        // This clock runs also while the reader holds the output back, because the signal must reach the target in time.
        let grace = context.clock.alarm(time);
        tokio::select! {
            biased;
            _ = cancelled.at_once() => {
                // The run ends without waiting for the effect.
                session.signal(RemoteSignal::Kill);
                break;
            }
            () = grace.reached() => {}
            // The exit status no longer matters, but the output until then does.
            ended = session.pump(output) => return left(&ended),
        }
    }
    // The end of the command may have arrived meanwhile.
    tokio::select! {
        biased;
        ended = session.pump(output) => left(&ended),
        // The end may come after output that the reader holds back.
        held_back = async { output.is_waiting() } => if held_back {
            LeftRunning::Maybe
        } else {
            LeftRunning::Yes
        },
    }
}

/// Returns the state of a command after its session. A command whose streams have ended has ended. After a lost
/// connection it goes on. A reset can mean either.
fn left(ended: &Result<RemoteExit, TransportError>) -> LeftRunning {
    match ended {
        Err(TransportError::Io { phase, .. } | TransportError::Closed { phase, .. })
            if *phase == Phase::Run =>
        {
            LeftRunning::Yes
        }
        Err(TransportError::Reset { phase, .. }) if *phase == Phase::Run => LeftRunning::Maybe,
        _ => LeftRunning::No,
    }
}
