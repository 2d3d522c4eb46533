//! What a run stands at, and what follows from each thing that happens: the decisions of the dispatcher,
//! none of which waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;

use super::cancel::{Cancel, Canceller, Urgency};
use super::give_up::GiveUp;
use super::host_task::{self, Attempts, Context, Ended, Next};
use super::signal::Wish;
use super::waiting::{Wait, Waiting};
use super::words::{failed, hosts_in_words, panic_text};
use crate::clock::Alarm;
use crate::event::{CancelReason, Event, Finished, Note, Outcome, RunStats};
use crate::event::{Chunk, Facts, Left, RemoteExit};
use crate::targets::{Target, TargetId};
use crate::transport::{Input, Transport, TransportError};

/// The most events that wait for the reporter, those included that wait for the output before them.
const MOST_EVENTS: usize = 1024;

/// Output of this many bytes waits for the reporter, and one piece more. A bunch that is small lets the
/// hosts that write little have their turn often beside one that writes much.
const OUTPUT_BYTES: usize = 256 * 1024;

/// How soon a second ^C must follow to stop the run.
const TWICE: Duration = Duration::from_secs(1);

/// How long a reader of the reports that has stopped can hold up the end of a run that is to stop, and
/// of one that is to stop at once.
const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(1)];

/// What a first ^C says.
const AGAIN: &str = "^C again within a second stops the run";

/// The usual number of events that go to the reporter at once.
const BUNCH: usize = 32;

/// The signal of ^C.
const SIGINT: i32 = 2;

/// A target that has ended while output of its own is still in the queue.
#[derive(Debug)]
struct Ending {
    /// The number of pieces of output after which nothing of it is in the queue.
    after: u64,
    finished: Finished,
}

/// The state of a run. Its methods take one input each and never wait.
pub(super) struct Dispatcher<T> {
    targets: Arc<[Target]>,
    context: Arc<Context<T>>,
    canceller: Canceller,
    /// The most targets at once, without those that wait.
    pub(super) fanout: usize,
    /// True if retries and waves are reported.
    pub(super) details: bool,
    /// Called with a line that cannot go through the reports.
    pub(super) say: Option<fn(String)>,
    /// Standard input, which keeps nothing for targets that have ended.
    pub(super) input: Option<Input>,
    /// The targets that are being connected to or run.
    pub(super) tasks: JoinSet<Next>,
    working: HashMap<task::Id, TargetId>,
    pub(super) waiting: Waiting,
    /// When each target was started that has not ended.
    started: HashMap<TargetId, Instant>,
    /// Targets whose end is not reported yet, in their order.
    ending: VecDeque<Ending>,
    /// Number of pieces of output that have come.
    received: u64,
    /// The first target that has been neither started nor given up.
    next: usize,
    /// True if the last target that was started had not been tried before.
    new_was_last: bool,
    /// The places after the last targets of the waves.
    waves: Vec<usize>,
    /// Which wave is on its way.
    wave: usize,
    bunch: Vec<Event>,
    /// The output in it.
    bunch_bytes: usize,
    pub(super) reporter_gone: bool,
    give_up: Option<GiveUp>,
    interrupted: Option<Instant>,
    begun: Instant,
    stats: RunStats,
}

impl<T: Transport> Dispatcher<T> {
    pub(super) fn new(
        targets: Arc<[Target]>,
        context: Arc<Context<T>>,
        canceller: Canceller,
    ) -> Self {
        Dispatcher {
            stats: RunStats {
                total: targets.len(),
                ..RunStats::default()
            },
            bunch: vec![Event::RunStarted {
                targets: Arc::clone(&targets),
            }],
            waves: context.policy.waves(targets.len()).collect(),
            wave: 0,
            targets,
            context,
            canceller,
            fanout: 1,
            details: false,
            say: None,
            input: None,
            tasks: JoinSet::new(),
            working: HashMap::new(),
            waiting: Waiting::default(),
            started: HashMap::new(),
            ending: VecDeque::new(),
            received: 0,
            next: 0,
            new_was_last: false,
            bunch_bytes: 0,
            reporter_gone: false,
            give_up: None,
            interrupted: None,
            begun: Instant::now(),
        }
    }

    fn has_more(&self) -> bool {
        self.next < self.targets.len()
    }

    /// True if no target runs, waits or is still to be reported.
    fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.waiting.is_empty() && self.ending.is_empty()
    }

    pub(super) fn is_done(&self) -> bool {
        !self.has_more() && self.is_idle() && self.bunch.is_empty()
    }

    /// True if there is room for an event. Targets that have ended wait here for the output before their end.
    pub(super) fn has_room(&self) -> bool {
        self.bunch.len() + self.ending.len() < MOST_EVENTS
    }

    /// True if there is room for output. Where there is none, output is left where it is.
    pub(super) fn has_room_for_output(&self) -> bool {
        self.bunch_bytes < OUTPUT_BYTES && self.bunch.len() < MOST_EVENTS
    }

    /// True if a target that has waited, or one of the present wave, can be started now.
    pub(super) fn may_start(&self) -> bool {
        let has_one =
            self.waiting.has_ready() && !self.canceller.is_stopping() || self.may_start_new();
        has_one && self.tasks.len() < self.fanout
    }

    fn may_start_new(&self) -> bool {
        let end = self.waves.get(self.wave).copied().unwrap_or_default();
        self.next < end && self.canceller.current().is_none()
    }

    /// True if there are targets that will never be started, or not again.
    pub(super) fn has_given_up(&self) -> bool {
        let never = self.has_more() && self.canceller.current().is_some();
        never || self.waiting.has_ready() && self.canceller.is_stopping()
    }

    /// Starts a target. Those that have waited and new ones take turns, so that none of both keep the
    /// others from it.
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
        self.working.insert(task.id(), target);
    }

    /// Ends the next target that is not started, or not again.
    pub(super) fn give_up_next(&mut self) {
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

    /// Goes on to the next wave when the last host of this one has ended, if all is well so far.
    pub(super) fn next_wave(&mut self) {
        let over = self.waves.get(self.wave) == Some(&self.next) && self.is_idle();
        if !over || !self.has_more() || self.canceller.current().is_some() {
            return;
        }
        let failures = self.failures();
        // With a limit of its own the run would have been called off by now, were there too many.
        if self.context.policy.ends_waves(failures, self.targets.len()) {
            let wave = self.wave + 1;
            let of = self.waves.len();
            return self.call_off(format!("{} in wave {wave} of {of}", failed(failures)));
        }
        self.wave += 1;
        self.tell_wave();
    }

    /// Tells of the first wave, where there are several.
    pub(super) fn on_first_wave(&mut self) {
        if self.waves.len() > 1 {
            self.tell_wave();
        }
    }

    fn tell_wave(&mut self) {
        let end = self.waves.get(self.wave).copied().unwrap_or_default();
        let (wave, of, hosts) = (self.wave + 1, self.waves.len(), end - self.next);
        self.tell_detail(|_| format!("wave {wave} of {of}: {}", hosts_in_words(hosts)));
    }

    /// Tells something to a user who asked for details.
    fn tell_detail(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.details {
            let text = text(self);
            self.push(Event::Note(Note {
                verbose: true,
                text,
            }));
        }
    }

    pub(super) fn on_chunk(&mut self, chunk: Chunk) {
        self.received += 1;
        if !self.reporter_gone {
            self.bunch_bytes += chunk.data.len();
        }
        self.push(Event::Output(chunk));
        self.report_ends();
    }

    /// Decides what follows from the end of a task, which leaves so many pieces of output in the queue.
    pub(super) fn on_end(&mut self, ended: Result<(task::Id, Next), JoinError>, queued: usize) {
        let (id, next) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let id = error.id();
                let outcome = Outcome::Internal(panic_text(error));
                let facts = Facts::default();
                (id, Next::Ended(Ended { outcome, facts }))
            }
        };
        let target = self
            .working
            .remove(&id)
            .expect("a task is remembered until it is joined");
        match next {
            Next::Ended(Ended { outcome, facts }) => {
                let after = self.received + queued as u64;
                self.end_started(target, outcome, facts, after);
            }
            Next::Waits {
                wait,
                attempts,
                failure,
            } => {
                if let (Wait::Retry(pause), Some(failure)) = (&wait, failure) {
                    self.tell_retry(target, attempts.failed, *pause, &failure);
                }
                let clocks = (self.context.clock.clone(), self.context.cancelled.clone());
                self.waiting.add(target, attempts, wait, clocks);
            }
        }
    }

    fn tell_retry(&mut self, target: TargetId, failed: u32, pause: Duration, why: &TransportError) {
        let retries = self.context.policy.retries;
        self.tell_detail(|this| {
            let label = &this.targets[target.index()].label;
            let pause = pause.as_secs_f64();
            format!("{label}: {why}: retry {failed} of {retries} in {pause:.1} s")
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

    /// The one place in which a target ends. It is reported when so many pieces of output have come.
    fn end(&mut self, finished: Finished, after: u64) {
        if let Some(input) = &self.input {
            input.target_ended(finished.target);
        }
        let stats = &mut self.stats;
        match &finished.outcome {
            Outcome::Exited(exit) => {
                let status = match *exit {
                    RemoteExit::Code(code) => Some(code),
                    RemoteExit::Signaled(signal) => Some(signal.saturating_add(128)),
                    RemoteExit::Unknown => None,
                };
                stats.worst_status = stats.worst_status.max(status);
                match status {
                    None | Some(0) => stats.succeeded += 1,
                    Some(_) => stats.exit_failed += 1,
                }
            }
            Outcome::Failed(_) | Outcome::Internal(_) => stats.failed += 1,
            Outcome::Cancelled(_) => stats.cancelled += 1,
            Outcome::NotStarted(_) => stats.not_started += 1,
        }
        match finished.facts.left {
            Left::Nothing => {}
            Left::MayRun => stats.may_be_running.push(finished.target),
            Left::Runs => stats.left_running.push(finished.target),
        }
        self.ending.push_back(Ending { after, finished });
        self.report_ends();
        self.weigh_failures();
    }

    /// Reports the targets that have ended and whose output has all come.
    fn report_ends(&mut self) {
        let received = self.received;
        while let Some(ending) = self.ending.pop_front_if(|ending| ending.after <= received) {
            self.push(Event::Finished(ending.finished));
        }
    }

    fn failures(&self) -> usize {
        self.stats.exit_failed + self.stats.failed
    }

    /// Starts no more hosts once too many have failed. Where none is left to be started, nothing is
    /// called off.
    fn weigh_failures(&mut self) {
        let failures = self.failures();
        let total = self.targets.len();
        let limit = self.context.policy.max_failures;
        let too_many = limit.is_some_and(|limit| limit.is_reached(failures, total));
        if too_many && self.has_more() && self.canceller.current().is_none() {
            self.call_off(failed(failures));
        }
    }

    fn call_off(&mut self, why: String) {
        let text = match self.started.len() {
            0 => format!("{why}: no more hosts are started"),
            running => format!("{why}: no more hosts are started, {running} run to their end"),
        };
        self.push(Event::Note(Note {
            verbose: false,
            text,
        }));
        self.cancel(CancelReason::Failures, Urgency::Drain);
    }

    /// The time for the run is over.
    pub(super) fn on_deadline(&mut self) {
        if !self.canceller.is_stopping() && (self.has_more() || !self.is_idle()) {
            self.push(Event::Note(Note {
                verbose: false,
                text: format!(
                    "the deadline is reached: {} running, {} not started",
                    self.started.len(),
                    self.targets.len() - self.next
                ),
            }));
        }
        if !self.is_idle() || self.has_more() {
            self.cancel(CancelReason::Deadline, Urgency::Stop);
        }
        self.expect_reader(PATIENCE[0]);
    }

    pub(super) fn on_wish(&mut self, wish: Wish) {
        match wish {
            Wish::State => self.tell_state(None),
            Wish::Stop(signal) => self.stop(signal),
            Wish::Interrupt if self.is_second_interrupt() => self.stop(SIGINT),
            Wish::Interrupt => self.tell_state(Some(AGAIN)),
        }
    }

    /// Decides what follows from a signal when only the reports are left. A reason ends the wait for them.
    pub(super) fn on_late_wish(&mut self, wish: Wish) -> Option<CancelReason> {
        let hint = match wish {
            Wish::State => "",
            Wish::Stop(signal) => return Some(CancelReason::Signal(signal)),
            Wish::Interrupt if self.is_second_interrupt() => {
                return Some(CancelReason::Signal(SIGINT));
            }
            Wish::Interrupt => "; ^C again within a second stops that",
        };
        if let Some(say) = self.say {
            let hosts = hosts_in_words(self.targets.len());
            say(format!("{hosts} done, the reports are being written{hint}"));
        }
        None
    }

    /// True for a ^C that stops the run: one soon after another, or any after a signal that did.
    fn is_second_interrupt(&mut self) -> bool {
        let now = Instant::now();
        let last = self.interrupted.replace(now);
        last.is_some_and(|last| now - last <= TWICE) || self.canceller.is_by_signal()
    }

    /// Asks the remote commands to end; asked again, gives them no time to.
    fn stop(&mut self, signal: i32) {
        let again = self.canceller.is_by_signal();
        let urgency = if again {
            Urgency::AtOnce
        } else {
            Urgency::Stop
        };
        if !self.started.is_empty() {
            let hosts = hosts_in_words(self.started.len());
            let text = match again {
                true => format!("stopping {hosts} at once"),
                false => format!(
                    "stopping {hosts}: TERM now, KILL after {} s; a further signal stops at once",
                    self.context.policy.kill_after.as_secs_f64()
                ),
            };
            self.push(Event::Note(Note {
                verbose: false,
                text,
            }));
        }
        self.cancel(CancelReason::Signal(signal), urgency);
        self.expect_reader(PATIENCE[usize::from(again)]);
    }

    /// Gives the reader up when it has taken nothing for so long from now on.
    fn expect_reader(&mut self, patience: Duration) {
        let context = &self.context;
        let known = self.give_up.take();
        self.give_up = Some(GiveUp::after(
            patience,
            known,
            context.clock.clone(),
            context.reader.clone(),
        ));
    }

    /// Waits anew for a reader that has taken something, if the run waits for it at all.
    pub(super) fn on_taken(&mut self) {
        self.give_up = self.give_up.take().map(GiveUp::anew);
    }

    /// When the reader is given up, if it is to be.
    pub(super) fn give_up_at(&self) -> Option<Alarm> {
        self.give_up.as_ref().map(GiveUp::at)
    }

    /// True if the reader is given up, at the time that was set for it. One that has taken a part of what it was
    /// given is not.
    pub(super) fn is_reader_given_up(&mut self) -> bool {
        let idle = self.give_up.as_ref().is_some_and(GiveUp::is_reader_idle);
        if !idle {
            self.on_taken();
        }
        idle
    }

    fn cancel(&mut self, reason: CancelReason, urgency: Urgency) {
        self.canceller.cancel(Cancel { reason, urgency });
    }

    /// One of the reports cannot be written: the run stops, and the others get the rest.
    pub(super) fn on_report_failed(&mut self) {
        self.cancel(CancelReason::ReportFailed, Urgency::Stop);
    }

    pub(super) fn on_reporter_gone(&mut self) {
        self.reporter_gone = true;
        self.bunch.clear();
        self.bunch_bytes = 0;
        self.cancel(CancelReason::ReportFailed, Urgency::Stop);
    }

    fn tell_state(&mut self, hint: Option<&'static str>) {
        let mut running: Vec<(TargetId, Duration)> = self
            .started
            .iter()
            .map(|(target, since)| (*target, since.elapsed()))
            .collect();
        running.sort_by_key(|&(target, time)| (std::cmp::Reverse(time), target));
        let waiting = self.targets.len() - self.next;
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
            self.bunch.push(event);
        }
    }

    pub(super) fn push_all(&mut self, events: impl Iterator<Item = Event>) {
        events.for_each(|event| self.push(event));
    }

    /// True if there is something for the reporter.
    pub(super) fn has_news(&self) -> bool {
        !self.reporter_gone && (!self.bunch.is_empty() || self.waiting.has_news())
    }

    /// Everything that there is for the reporter.
    pub(super) fn take_bunch(&mut self) -> Vec<Event> {
        // Reported once for all changes meanwhile.
        if let Some(count) = self.waiting.news() {
            self.push(Event::PortWaits(count));
        }
        self.bunch_bytes = 0;
        std::mem::replace(&mut self.bunch, Vec::with_capacity(BUNCH))
    }

    pub(super) fn remarks(&self) -> Vec<Event> {
        let note = |text| {
            Event::Note(Note {
                verbose: false,
                text,
            })
        };
        self.context
            .transport
            .remarks()
            .into_iter()
            .map(note)
            .collect()
    }

    /// The numbers of the run, whose targets have all ended.
    pub(super) fn stats(&self) -> RunStats {
        let mut stats = self.stats.clone();
        stats.cancel = self.canceller.current().map(|cancel| cancel.reason);
        stats.left_running.sort_unstable();
        stats.may_be_running.sort_unstable();
        stats.elapsed = self.begun.elapsed();
        stats.time_wait = self.context.transport.time_wait();
        stats
    }
}
