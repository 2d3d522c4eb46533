//! The state of a run and the decisions of the dispatcher. No method here waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;

use super::cancel::{Cancellation, Canceller, Urgency};
use super::host_task::{self, Attempts, TargetResult, TaskContext, TaskResult};
use super::messages::{failed, panic_text};
use super::reader_timeout::ReaderTimeout;
use super::waiting::{WaitReason, WaitingTargets};
use crate::clock::Alarm;
use crate::event::{
    CancelReason, Chunk, Event, Facts, Failure, FailureClass, Finished, Notice, Outcome,
    PasswordUse, RunStats,
};
use crate::journal::{Journal, NotRecorded};
use crate::targets::{Target, TargetId};
use crate::transport::{Input, Transport};
use waves::Waves;

mod requests;
mod waves;

/// Maximum number of events that wait for the reporter, including outcomes that wait for output.
const MAX_EVENTS: usize = 1024;

/// Number of output bytes in a batch of events after which no further chunk is added.
// Small batches give targets with little output frequent turns beside a target with much output.
const OUTPUT_BYTES: usize = 256 * 1024;

/// Maximum time for which a reader of the reports that takes nothing delays the end of a stopped run; the second one
/// is for a run that stops at once.
const READER_TIMEOUTS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(1)];

/// Usual number of events in a batch for the reporter.
const BATCH: usize = 32;

/// The outcome of a target whose output may still be in the queue.
#[derive(Debug)]
struct UnreportedEnd {
    /// Number of received chunks after which the queue has no chunk of this target.
    after: u64,
    finished: Finished,
}

/// The state of a run. Each method takes one input and never waits.
pub(super) struct Dispatcher<T> {
    targets: Arc<[Target]>,
    context: Arc<TaskContext<T>>,
    canceller: Canceller,
    /// Maximum number of targets in progress, without those that wait.
    pub(super) fanout: usize,
    /// True if retries and waves are reported.
    pub(super) details: bool,
    /// Prints a line that cannot go through the reports.
    pub(super) say: Option<fn(String)>,
    /// Standard input, which must know the targets that have ended.
    pub(super) input: Option<Input>,
    pub(super) journal: Option<Journal>,
    /// Tasks of the targets in progress.
    pub(super) tasks: JoinSet<TaskResult>,
    task_targets: HashMap<task::Id, TargetId>,
    pub(super) waiting: WaitingTargets,
    /// Start times of the targets without an outcome.
    started: HashMap<TargetId, Instant>,
    /// Outcomes that are not reported yet, in their order.
    ending: VecDeque<UnreportedEnd>,
    /// Number of chunks received.
    received: u64,
    /// Index of the first target that has been neither started nor cancelled.
    next: usize,
    /// True if the last task was for a new target, false if it was for one that had waited.
    new_was_last: bool,
    waves: Waves,
    /// The end of the run at the latest, as long as it is not reached. It does not count pauses.
    pub(super) deadline: Option<Alarm>,
    /// Words for a run that a wave has ended: the way to go on with the others.
    pub(super) go_on: String,
    /// Events for the reporter.
    batch: Vec<Event>,
    /// Number of output bytes in `batch`.
    batch_bytes: usize,
    pub(super) reporter_gone: bool,
    reader_timeout: Option<ReaderTimeout>,
    interrupted: Option<Instant>,
    begun: Instant,
    stats: RunStats,
}

impl<T: Transport> Dispatcher<T> {
    pub(super) fn new(
        targets: Arc<[Target]>,
        context: Arc<TaskContext<T>>,
        canceller: Canceller,
    ) -> Self {
        Dispatcher {
            stats: RunStats {
                total: targets.len(),
                ..RunStats::default()
            },
            // Rule of the events: this one is first.
            batch: vec![Event::RunStarted {
                targets: Arc::clone(&targets),
            }],
            waves: Waves::new(context.policy.waves(targets.len()).collect()),
            deadline: None,
            go_on: String::new(),
            targets,
            context,
            canceller,
            fanout: 1,
            details: false,
            say: None,
            input: None,
            journal: None,
            tasks: JoinSet::new(),
            task_targets: HashMap::new(),
            waiting: WaitingTargets::default(),
            started: HashMap::new(),
            ending: VecDeque::new(),
            received: 0,
            next: 0,
            new_was_last: false,
            batch_bytes: 0,
            reporter_gone: false,
            reader_timeout: None,
            interrupted: None,
            begun: Instant::now(),
        }
    }

    fn has_more(&self) -> bool {
        self.next < self.targets.len()
    }

    /// True if no target is in progress, waits or has an outcome to be reported.
    fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.waiting.is_empty() && self.ending.is_empty()
    }

    pub(super) fn is_done(&self) -> bool {
        !self.has_more() && self.is_idle() && self.batch.is_empty()
    }

    /// True if a further event can be taken.
    pub(super) fn accepts_event(&self) -> bool {
        // Outcomes that wait for output count too, or a run of a million targets could collect them all here.
        self.batch.len() + self.ending.len() < MAX_EVENTS
    }

    /// True if a further chunk can be taken. If not, output stays in its queue, which blocks the sessions.
    pub(super) fn accepts_output(&self) -> bool {
        self.batch_bytes < OUTPUT_BYTES && self.batch.len() < MAX_EVENTS
    }

    /// True if a task can be started now for a target of this wave or for one that has waited.
    pub(super) fn may_start(&self) -> bool {
        let has_one =
            self.waiting.has_ready() && !self.canceller.is_stopping() || self.may_start_new();
        has_one && self.tasks.len() < self.fanout
    }

    fn may_start_new(&self) -> bool {
        self.next < self.waves.end() && self.canceller.current().is_none()
    }

    /// True if there are targets that get no task, or no further task, because the run is cancelled.
    pub(super) fn has_cancelled_targets(&self) -> bool {
        let never = self.has_more() && self.canceller.current().is_some();
        never || self.waiting.has_ready() && self.canceller.is_stopping()
    }

    /// Starts a task. New targets and those that have waited alternate, so that neither kind delays the other.
    pub(super) fn start_next(&mut self) {
        let new = self.may_start_new() && !(self.new_was_last && self.waiting.has_ready());
        self.new_was_last = new;
        if !new && let Some(pending) = self.waiting.take() {
            return self.spawn(pending.target, pending.attempts);
        }
        let target = self.take_next();
        self.started.insert(target, Instant::now());
        self.push(Event::Started(target));
        self.spawn(target, Box::default());
    }

    fn spawn(&mut self, target: TargetId, attempts: Box<Attempts>) {
        let context = Arc::clone(&self.context);
        let task = self.tasks.spawn(host_task::run(context, target, attempts));
        self.task_targets.insert(task.id(), target);
    }

    /// Ends the next target that gets no task, or no further task.
    pub(super) fn end_next_cancelled(&mut self) {
        let Some(cancel) = self.canceller.current() else {
            return;
        };
        if self.canceller.is_stopping()
            && let Some(pending) = self.waiting.take()
        {
            let outcome = Outcome::Cancelled(cancel.reason);
            let facts = pending.attempts.into_facts();
            return self.end_started(pending.target, outcome, facts, self.received);
        }
        let target = self.take_next();
        let finished = Finished {
            target,
            outcome: Outcome::NotStarted(cancel.reason),
            began: None,
            elapsed: Duration::ZERO,
            facts: Facts::default(),
        };
        self.end(finished, self.received);
    }

    fn take_next(&mut self) -> TargetId {
        let target = TargetId(u32::try_from(self.next).expect("target lists are below 2^32"));
        self.next += 1;
        target
    }

    /// Adds a notice for users who asked for details.
    fn report_detail(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.details {
            let text = text(self);
            self.push(Event::Notice(Notice {
                verbose: true,
                text,
            }));
        }
    }

    pub(super) fn on_chunk(&mut self, chunk: Chunk) {
        self.received += 1;
        // Nobody takes the batch of a reporter that has ended, so its bytes would stop all output.
        if !self.reporter_gone {
            self.batch_bytes += chunk.data.len();
        }
        self.push(Event::Output(chunk));
        self.report_ends();
    }

    /// Handles the end of a task, which leaves `queued` chunks in the queue.
    pub(super) fn on_end(
        &mut self,
        ended: Result<(task::Id, TaskResult), JoinError>,
        queued: usize,
    ) {
        let (id, next) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let id = error.id();
                // A panic is a defect of this program. It must not end the other targets.
                let outcome = Outcome::Internal(panic_text(error));
                let facts = Facts::default();
                (id, TaskResult::Ended(TargetResult { outcome, facts }))
            }
        };
        let target = self
            .task_targets
            .remove(&id)
            .expect("a task is remembered until it is joined");
        match next {
            TaskResult::Ended(TargetResult { outcome, facts }) => {
                // The task sent its output before it ended, so all of it is among the queued chunks.
                let after = self.received + queued as u64;
                self.end_started(target, outcome, facts, after);
            }
            TaskResult::Waits {
                wait,
                attempts,
                failure,
            } => {
                if let (WaitReason::Retry(pause), Some(failure)) = (&wait, failure) {
                    self.report_retry(target, attempts.failed, *pause, &failure);
                }
                let clocks = (self.context.clock.clone(), self.context.cancelled.clone());
                self.waiting.add(target, attempts, wait, clocks);
            }
        }
    }

    fn report_retry(&mut self, target: TargetId, failed: u32, pause: Duration, cause: &str) {
        let retries = self.context.policy.retries;
        self.report_detail(|this| {
            let label = &this.targets[target.index()].label;
            let pause = pause.as_secs_f64();
            format!("{label}: {cause}: retry {failed} of {retries} in {pause:.1} s")
        });
    }

    fn end_started(&mut self, target: TargetId, outcome: Outcome, facts: Facts, after: u64) {
        let since = self
            .started
            .remove(&target)
            .expect("a target that works or waits has been started");
        let finished = Finished {
            target,
            outcome,
            began: Some(since - self.begun),
            elapsed: since.elapsed(),
            facts,
        };
        self.end(finished, after);
    }

    /// Counts the outcome of a target. It is reported after `after` received chunks. All targets end here.
    fn end(&mut self, finished: Finished, after: u64) {
        if let Some(input) = &self.input {
            // The spool of standard input keeps data as long as a target may still read it.
            input.target_ended(finished.target);
        }
        // A target without a line in the journal needs no second one.
        if let Some(journal) = &self.journal
            && !matches!(finished.outcome, Outcome::NotStarted(_))
        {
            journal.record_end(&finished);
        }
        self.stats.count(&finished);
        let is_refused = is_refused_password(&finished.outcome);
        self.waves.count(&finished);
        self.ending.push_back(UnreportedEnd { after, finished });
        self.report_ends();
        if is_refused {
            // The hosts in progress that wait for the answer to the password end by themselves.
            self.cancel(CancelReason::PasswordRefused, Urgency::Drain);
        }
        self.check_failures();
    }

    /// Reports the outcomes of targets whose output has all been received.
    fn report_ends(&mut self) {
        let received = self.received;
        while let Some(ending) = self.ending.pop_front_if(|ending| ending.after <= received) {
            self.push(Event::Finished(ending.finished));
        }
    }

    fn failures(&self) -> usize {
        self.stats.exit_failed + self.stats.failed
    }

    /// Cancels the run if too many targets have failed and there are targets to be started.
    fn check_failures(&mut self) {
        let failures = self.failures();
        let has_others = self.has_more() || !self.is_idle();
        if self.context.policy.stop_at_failure && failures > 0 && has_others {
            self.cancel(CancelReason::Failures, Urgency::Stop);
        }
        let total = self.targets.len();
        let limit = self.context.policy.max_failures;
        let too_many = limit.is_some_and(|limit| limit.is_reached(failures, total));
        // Without further targets there is nothing to cancel.
        if too_many && self.has_more() && self.canceller.current().is_none() {
            self.drain(failed(failures), CancelReason::Failures);
        }
    }

    /// Starts no further target, and lets those in progress end.
    fn drain(&mut self, cause: String, reason: CancelReason) {
        let mut text = match self.started.len() {
            0 => format!("{cause}: no more hosts are started"),
            running => format!("{cause}: no more hosts are started, {running} run to their end"),
        };
        let ends_waves = matches!(reason, CancelReason::Failures | CancelReason::Declined);
        if ends_waves && self.waves.has_several() && !self.go_on.is_empty() {
            text.push_str(&format!("; {}", self.go_on));
        }
        self.push_notice(text);
        self.cancel(reason, Urgency::Drain);
    }

    /// Handles a commit of the journal. Without a journal no further command may start; those in progress run on.
    pub(super) fn on_journal(&mut self, committed: Result<(), NotRecorded>) {
        if committed.is_err() {
            self.drain(
                "the journal cannot be written".to_owned(),
                CancelReason::JournalFailed,
            );
        }
    }

    /// Stops the run at its deadline.
    pub(super) fn on_deadline(&mut self) {
        self.deadline = None;
        // A run that is stopping has reported these numbers already.
        if !self.canceller.is_stopping() && (self.has_more() || !self.is_idle()) {
            self.push_notice(format!(
                "the deadline is reached: {} running, {} not started",
                self.started.len(),
                self.targets.len() - self.next
            ));
        }
        if !self.is_idle() || self.has_more() {
            self.cancel(CancelReason::Deadline, Urgency::Stop);
        }
        // The deadline also limits the time in which the reports are written.
        self.limit_reader(READER_TIMEOUTS[0]);
    }

    /// Sets the maximum time for which the reader may take nothing.
    fn limit_reader(&mut self, limit: Duration) {
        let context = &self.context;
        let known = self.reader_timeout.take();
        self.reader_timeout = Some(ReaderTimeout::after(
            limit,
            known,
            context.clock.clone(),
            context.reader.clone(),
        ));
    }

    /// Restarts the timeout of the reader, if there is one.
    pub(super) fn on_taken(&mut self) {
        self.reader_timeout = self.reader_timeout.take().map(ReaderTimeout::restart);
    }

    /// Returns the end of the reader's timeout, if there is one.
    pub(super) fn reader_timeout_at(&self) -> Option<Alarm> {
        self.reader_timeout.as_ref().map(ReaderTimeout::at)
    }

    /// Called at the end of the reader's timeout: true if the reader has taken nothing. If it has taken a part of a
    /// batch, the timeout restarts.
    pub(super) fn is_reader_stuck(&mut self) -> bool {
        let timeout = self.reader_timeout.as_ref();
        let idle = timeout.is_some_and(ReaderTimeout::is_reader_idle);
        if !idle {
            self.on_taken();
        }
        idle
    }

    fn cancel(&mut self, reason: CancelReason, urgency: Urgency) {
        self.end_pause();
        self.canceller.cancel(Cancellation { reason, urgency });
    }

    /// Stops the run because one of the reports cannot be written. The others get all further events.
    pub(super) fn on_report_failed(&mut self) {
        self.cancel(CancelReason::ReportFailed, Urgency::Stop);
    }

    pub(super) fn on_reporter_gone(&mut self) {
        self.reporter_gone = true;
        // Nobody takes these events, so they would only fill the memory.
        self.batch.clear();
        self.batch_bytes = 0;
        self.cancel(CancelReason::ReportFailed, Urgency::Stop);
    }

    fn report_state(&mut self, hint: Option<&'static str>) {
        let mut running: Vec<(TargetId, Duration)> = self
            .started
            .iter()
            .map(|(target, since)| (*target, since.elapsed()))
            .collect();
        running.sort_by_key(|&(target, time)| (std::cmp::Reverse(time), target));
        let waiting = self.targets.len() - self.next;
        // Targets that were cancelled before their start are below `next` too.
        let finished = self.next - running.len();
        let for_ports = self.waiting.for_ports();
        self.push(Event::State {
            running,
            for_ports,
            waiting,
            finished,
            hint,
        });
    }

    fn push(&mut self, event: Event) {
        if !self.reporter_gone {
            self.batch.push(event);
        }
    }

    fn push_notice(&mut self, text: String) {
        self.push(notice(text));
    }

    pub(super) fn push_all(&mut self, events: impl Iterator<Item = Event>) {
        events.for_each(|event| self.push(event));
    }

    /// True if there are events for the reporter.
    pub(super) fn has_events(&self) -> bool {
        !self.reporter_gone && (!self.batch.is_empty() || self.waiting.has_changed())
    }

    /// Removes all events for the reporter.
    pub(super) fn take_batch(&mut self) -> Vec<Event> {
        // One event for all changes since the last batch.
        if let Some(count) = self.waiting.take_change() {
            self.push(Event::PortWaits(count));
        }
        self.batch_bytes = 0;
        std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH))
    }

    /// Returns the notices of the transport at the end of the run.
    pub(super) fn notices(&self) -> Vec<Event> {
        self.context
            .transport
            .notices()
            .into_iter()
            .map(notice)
            .collect()
    }

    /// Returns the numbers of the run. All targets must have their outcome.
    pub(super) fn stats(&self) -> RunStats {
        let mut stats = self.stats.clone();
        stats.cancel = self.canceller.current().map(|cancel| cancel.reason);
        // Targets end in any order; reports name them in the order of the list.
        stats.left_running.sort_unstable();
        stats.may_be_running.sort_unstable();
        stats.elapsed = self.begun.elapsed();
        stats.time_wait = self.context.transport.time_wait();
        stats
    }
}

/// True if the host has refused the password for sudo.
fn is_refused_password(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failed(Failure {
            class: FailureClass::BecomePassword,
            password: PasswordUse::Sent,
            ..
        })
    )
}

fn notice(text: String) -> Event {
    Event::Notice(Notice {
        verbose: false,
        text,
    })
}
