//! What a run stands at, and what follows from each thing that happens: the decisions of the dispatcher,
//! none of which waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;

use super::cancel::{Cancel, Canceller, Urgency};
use super::event::{CancelReason, Event, Finished, Note, Outcome, RunStats};
use super::host_task::{self, Context, Ended};
use super::signal::Wish;
use crate::targets::{Target, TargetId};
use crate::transport::{Alarm, Chunk, Facts, Input, RemoteExit, Transport};

/// How many events go to the reporter at once, unless more come of one input.
pub(super) const BUNCH: usize = 32;

/// How soon a second ^C must follow to stop the run.
const TWICE: Duration = Duration::from_secs(1);

/// How long a reader of the reports that has stopped can hold up the end of a run that is to stop, and
/// of one that is to stop at once.
pub(super) const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(1)];

/// The signal of ^C.
pub(super) const SIGINT: i32 = 2;

/// A target that has been started and has not ended.
#[derive(Clone, Copy, Debug)]
struct Running {
    target: TargetId,
    since: Instant,
}

/// The state of a run. Its methods take one input each and never wait.
pub(super) struct Dispatcher<T> {
    targets: Arc<[Target]>,
    context: Arc<Context<T>>,
    canceller: Canceller,
    /// Standard input, which keeps nothing for targets that have ended.
    pub(super) input: Option<Input>,
    pub(super) tasks: JoinSet<Ended>,
    running: HashMap<task::Id, Running>,
    /// The first target that has been neither started nor given up.
    next: usize,
    /// The places after the last targets of the waves.
    waves: Vec<usize>,
    /// Which wave is on its way.
    wave: usize,
    pub(super) bunch: Vec<Event>,
    pub(super) reporter_gone: bool,
    /// When a reader that has no room is given up, once the run is to stop.
    pub(super) give_up: Option<Alarm>,
    /// The time from the last event that the reader took until it is given up, once the run is to stop.
    patience: Option<Duration>,
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
            input: None,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            next: 0,
            reporter_gone: false,
            give_up: None,
            patience: None,
            interrupted: None,
            begun: Instant::now(),
        }
    }

    fn has_more(&self) -> bool {
        self.next < self.targets.len()
    }

    pub(super) fn is_done(&self) -> bool {
        !self.has_more() && self.tasks.is_empty() && self.bunch.is_empty()
    }

    /// Whether there is room for another event. Where there is none, output is left where it is.
    pub(super) fn has_room(&self) -> bool {
        let room = self.bunch.len() < BUNCH;
        if let Some(idle) = &self.context.idle {
            idle.hold_back(!room);
        }
        room
    }

    /// Whether the wave that is on its way has a target to start.
    pub(super) fn may_start(&self) -> bool {
        let end = self.waves.get(self.wave).copied().unwrap_or_default();
        self.next < end && self.canceller.current().is_none()
    }

    /// Whether there are targets that will never be started.
    pub(super) fn has_given_up(&self) -> bool {
        self.has_more() && self.canceller.current().is_some()
    }

    /// Starts the next target in this slot.
    pub(super) fn start_next(&mut self, slot: OwnedSemaphorePermit) {
        let target = self.take_next();
        let task = self
            .tasks
            .spawn(host_task::run(Arc::clone(&self.context), target, slot));
        self.running.insert(
            task.id(),
            Running {
                target,
                since: Instant::now(),
            },
        );
        self.push(Event::Started(target));
    }

    /// Says of the next target that it was not started.
    pub(super) fn give_up_next(&mut self) {
        let Some(cancel) = self.canceller.current() else {
            return;
        };
        let target = self.take_next();
        self.end(Finished {
            target,
            outcome: Outcome::NotStarted(cancel.reason),
            began: None,
            elapsed: Duration::ZERO,
            facts: Facts::default(),
        });
    }

    fn take_next(&mut self) -> TargetId {
        let target = TargetId(u32::try_from(self.next).expect("target lists are below 2^32"));
        self.next += 1;
        target
    }

    /// Goes on to the next wave when the last host of this one has ended, if all is well so far.
    pub(super) fn next_wave(&mut self) {
        let over = self.waves.get(self.wave) == Some(&self.next) && self.tasks.is_empty();
        if !over || !self.has_more() || self.canceller.current().is_some() {
            return;
        }
        let failures = self.failures();
        // With a limit of its own the run would have been called off by now, were there too many.
        if failures > 0 && self.context.policy.max_failures.is_none() {
            let wave = self.wave + 1;
            let of = self.waves.len();
            return self.call_off(format!("{} in wave {wave} of {of}", failed(failures)));
        }
        self.wave += 1;
    }

    pub(super) fn on_chunk(&mut self, chunk: Chunk) {
        if let Some(idle) = &self.context.idle {
            idle.seen(chunk.target);
        }
        self.push(Event::Output(chunk));
    }

    pub(super) fn on_end(&mut self, ended: Result<(task::Id, Ended), JoinError>) {
        let (id, outcome, facts) = match ended {
            Ok((id, Ended { outcome, facts })) => (id, outcome, facts),
            Err(error) => {
                let id = error.id();
                (id, Outcome::Internal(panic_text(error)), Facts::default())
            }
        };
        let Running { target, since } = self
            .running
            .remove(&id)
            .expect("a task is remembered until it is joined");
        self.end(Finished {
            target,
            outcome,
            began: Some(since - self.begun),
            elapsed: since.elapsed(),
            facts,
        });
    }

    /// The one place in which a target ends.
    fn end(&mut self, finished: Finished) {
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
        if finished.facts.left_running {
            stats.left_running.push(finished.target);
        }
        self.push(Event::Finished(finished));
        self.weigh_failures();
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
        let text = match self.running.len() {
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
        if self.tasks.is_empty() && !self.has_more() {
            // Only the reports are left.
            return self.give_up_within(PATIENCE[0]);
        }
        if !self.canceller.is_stopping() {
            self.push(Event::Note(Note {
                verbose: false,
                text: format!(
                    "the deadline is reached: {} running, {} not started",
                    self.running.len(),
                    self.targets.len() - self.next
                ),
            }));
        }
        self.cancel(CancelReason::Deadline, Urgency::Stop);
        self.give_up_within(PATIENCE[0]);
    }

    pub(super) fn on_wish(&mut self, wish: Wish) {
        match wish {
            Wish::State => self.tell_state(None),
            Wish::Stop(signal) => self.stop(signal),
            Wish::Interrupt => {
                let now = Instant::now();
                let twice = self
                    .interrupted
                    .replace(now)
                    .is_some_and(|t| now - t <= TWICE);
                if twice || self.canceller.is_stopping() {
                    self.stop(SIGINT);
                } else {
                    self.tell_state(Some("^C again within a second stops the run"));
                }
            }
        }
    }

    /// Asks the remote commands to end; asked again, gives them no time to.
    fn stop(&mut self, signal: i32) {
        let again = matches!(
            self.canceller.current(),
            Some(Cancel {
                reason: CancelReason::Signal(_),
                ..
            })
        );
        let urgency = if again {
            Urgency::AtOnce
        } else {
            Urgency::Stop
        };
        self.cancel(CancelReason::Signal(signal), urgency);
        self.give_up_within(PATIENCE[usize::from(again)]);
    }

    /// The reader had room. It is not the one that holds up the end.
    pub(super) fn on_taken(&mut self) {
        self.give_up = self
            .patience
            .map(|patience| self.context.lag.alarm(patience));
    }

    fn give_up_within(&mut self, patience: Duration) {
        self.patience = Some(self.patience.map_or(patience, |known| known.min(patience)));
        let latest = self.context.lag.alarm(patience);
        self.give_up = Some(match self.give_up.take() {
            Some(known) => known.or_sooner(latest),
            None => latest,
        });
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
        self.cancel(CancelReason::ReportFailed, Urgency::Stop);
    }

    fn tell_state(&mut self, hint: Option<&'static str>) {
        let mut running: Vec<(TargetId, Duration)> = self
            .running
            .values()
            .map(|r| (r.target, r.since.elapsed()))
            .collect();
        running.sort_by_key(|&(target, time)| (std::cmp::Reverse(time), target));
        let waiting = self.targets.len() - self.next;
        let finished = self.next - running.len();
        let for_ports = *self.context.port_waits.borrow();
        self.push(Event::State {
            running,
            for_ports,
            waiting,
            finished,
            hint,
        });
    }

    /// Tells how many hosts wait for a source port.
    pub(super) fn on_port_waits(&mut self, count: usize) {
        self.push(Event::PortWaits(count));
    }

    fn push(&mut self, event: Event) {
        if !self.reporter_gone {
            self.bunch.push(event);
        }
    }

    pub(super) fn take_bunch(&mut self) -> Vec<Event> {
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

    pub(super) fn finish(mut self) -> RunStats {
        self.stats.cancel = self.canceller.current().map(|cancel| cancel.reason);
        self.stats.left_running.sort_unstable();
        self.stats.elapsed = self.begun.elapsed();
        self.stats.time_wait = self.context.transport.time_wait();
        self.stats
    }
}

fn failed(count: usize) -> String {
    match count {
        1 => "1 host failed".to_owned(),
        count => format!("{count} hosts failed"),
    }
}

/// What a task that panicked said.
fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic without a text".to_owned()),
        Err(error) => error.to_string(),
    }
}
