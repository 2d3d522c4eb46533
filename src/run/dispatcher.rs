//! The one loop of a run: starts targets within the fan-out, passes their output on, counts their ends.
//!
//! Nothing here waits for a host or for a reader: the select makes one input at a time, and the methods
//! of [`Dispatcher`] decide what follows from it, without awaiting. Events are bunched up while there
//! is anything else to do, and go out when the reporter has room; a reporter that has none stops the
//! reading of output, and so in the end the remote commands, but never a signal.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;

use super::cancel::{Cancel, Canceller};
use super::event::{CancelReason, Event, Finished, Message, Note, Outcome, RunStats};
use super::host_task::{self, Context, Ended};
use super::signal::{SignalSource, Wish};
use super::{RunSpec, limits};
use crate::clock::reached;
use crate::targets::{Target, TargetId};
use crate::transport::{Chunk, Facts, Lag, RemoteExit, Transport};

/// How many pieces of output wait for the dispatcher; at 64 KiB each they bound its memory.
const CHUNKS: usize = 32;

/// How many events go to the reporter at once, unless more come of one input.
const BUNCH: usize = 32;

/// How soon a second ^C must follow to stop the run.
const TWICE: Duration = Duration::from_secs(1);

/// How long a reader of the reports that has stopped can hold up the end of a run that is to stop, and
/// of one that is to stop at once.
const PATIENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(1)];

/// The signal of ^C.
const SIGINT: i32 = 2;

/// Runs all targets and returns when the last has ended and everything has been reported.
///
/// `reports` gets the events, then the numbers; the far end is expected to close when it has written
/// all. A signal ends even the wait for that.
pub async fn run<T: Transport>(
    spec: RunSpec,
    transport: T,
    mut signals: SignalSource,
    reports: mpsc::Sender<Message>,
) -> RunStats {
    let (fanout, note) = limits::fit(spec.fanout, spec.descriptors_per_host);
    let (canceller, cancelled) = Canceller::new();
    let (output, mut chunks) = mpsc::channel(CHUNKS);
    let slots = Arc::new(Semaphore::new(fanout.get()));
    let (port_waits, mut waits) = watch::channel(0);
    let lag = Lag::default();
    let mut measuring = JoinSet::new();
    measuring.spawn(lag.clone().measure());
    let context = Arc::new(Context {
        transport,
        targets: Arc::clone(&spec.targets),
        connect_timeout: spec.connect_timeout,
        command_timeout: spec.command_timeout,
        slots: Arc::clone(&slots),
        output,
        port_waits,
        cancelled,
        lag: lag.clone(),
    });
    // Hosts that wait for a port have no slot, and others are started in their place; but only so many.
    let most_tasks = fanout.get().saturating_mul(2);
    let mut dispatcher = Dispatcher::new(spec.targets, context, canceller);
    dispatcher
        .bunch
        .extend(spec.notes.into_iter().chain(note).map(Event::Note));
    let mut received = Vec::new();
    while !dispatcher.is_done() {
        let give_up_at = dispatcher.give_up_at;
        let has_room = dispatcher.bunch.len() < BUNCH;
        let may_start = has_room && dispatcher.has_more() && dispatcher.tasks.len() < most_tasks;
        tokio::select! {
            biased;
            wish = signals.next() => dispatcher.on_wish(wish),
            Some(ended) = dispatcher.tasks.join_next_with_id(), if has_room => {
                // All that the task sent is in the queue by now.
                while let Ok(chunk) = chunks.try_recv() {
                    dispatcher.on_chunk(chunk);
                }
                dispatcher.on_end(ended);
            }
            _ = chunks.recv_many(&mut received, CHUNKS), if has_room => {
                received.drain(..).for_each(|chunk| dispatcher.on_chunk(chunk));
            }
            Ok(()) = waits.changed(), if has_room => {
                let count = *waits.borrow_and_update();
                dispatcher.push(Event::PortWaits(count));
            }
            Ok(slot) = Arc::clone(&slots).acquire_owned(), if may_start => dispatcher.start_next(slot),
            permit = reports.reserve(), if !dispatcher.bunch.is_empty() => match permit {
                Ok(permit) => permit.send(Message::Events(dispatcher.take_bunch())),
                Err(_) => dispatcher.on_reporter_gone(),
            },
            () = reports.closed(), if !dispatcher.reporter_gone => dispatcher.on_reporter_gone(),
            () = reached(give_up_at), if !dispatcher.reporter_gone => dispatcher.on_reporter_gone(),
        }
    }
    if dispatcher.reporter_gone {
        return dispatcher.finish();
    }
    let remarks = dispatcher.remarks();
    let mut stats = dispatcher.finish();
    let told = async {
        // A reader that goes away now is seen at the end of this.
        let _ = reports.send(Message::Events(remarks)).await;
        let _ = reports
            .send(Message::Finished(Box::new(stats.clone())))
            .await;
        reports.closed().await;
    };
    let stopped = async {
        loop {
            match signals.next().await {
                Wish::State => {}
                Wish::Interrupt => break CancelReason::Signal(SIGINT),
                Wish::Stop(signal) => break CancelReason::Signal(signal),
            }
        }
    };
    let stopped = tokio::select! {
        () = told => None,
        reason = stopped => Some(reason),
    };
    stats.cancel = stats.cancel.max(stopped);
    stats
}

/// A target that has been started and has not ended.
#[derive(Clone, Copy, Debug)]
struct Running {
    target: TargetId,
    since: Instant,
}

/// The state of a run. Its methods take one input each and never wait.
struct Dispatcher<T> {
    targets: Arc<[Target]>,
    context: Arc<Context<T>>,
    canceller: Canceller,
    tasks: JoinSet<Ended>,
    running: HashMap<task::Id, Running>,
    /// The first target that has been neither started nor given up.
    next: usize,
    bunch: Vec<Event>,
    reporter_gone: bool,
    /// When a reader that has no room is given up, once the run is to stop.
    give_up_at: Option<Instant>,
    interrupted: Option<Instant>,
    begun: Instant,
    stats: RunStats,
}

impl<T: Transport> Dispatcher<T> {
    fn new(targets: Arc<[Target]>, context: Arc<Context<T>>, canceller: Canceller) -> Self {
        Dispatcher {
            stats: RunStats {
                total: targets.len(),
                ..RunStats::default()
            },
            bunch: vec![Event::RunStarted {
                targets: Arc::clone(&targets),
            }],
            targets,
            context,
            canceller,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            next: 0,
            reporter_gone: false,
            give_up_at: None,
            interrupted: None,
            begun: Instant::now(),
        }
    }

    fn has_more(&self) -> bool {
        self.next < self.targets.len()
    }

    fn is_done(&self) -> bool {
        !self.has_more() && self.tasks.is_empty() && self.bunch.is_empty()
    }

    /// Starts the next target in this slot; once the run has been called off, says of one after the
    /// other that it was not started.
    fn start_next(&mut self, slot: OwnedSemaphorePermit) {
        let target = TargetId(u32::try_from(self.next).expect("target lists are below 2^32"));
        self.next += 1;
        if let Some(cancel) = self.canceller.current() {
            let outcome = Outcome::NotStarted(cancel.reason);
            return self.end(Finished {
                target,
                outcome,
                began: None,
                elapsed: Duration::ZERO,
                facts: Facts::default(),
            });
        }
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

    fn on_chunk(&mut self, chunk: Chunk) {
        self.push(Event::Output(chunk));
    }

    fn on_end(&mut self, ended: Result<(task::Id, Ended), JoinError>) {
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
        self.push(Event::Finished(finished));
    }

    fn on_wish(&mut self, wish: Wish) {
        match wish {
            Wish::State => self.tell_state(None),
            Wish::Stop(signal) => self.stop(signal),
            Wish::Interrupt => {
                let now = Instant::now();
                let twice = self
                    .interrupted
                    .replace(now)
                    .is_some_and(|t| now - t <= TWICE);
                if twice || self.canceller.current().is_some() {
                    self.stop(SIGINT);
                } else {
                    self.tell_state(Some("^C again within a second stops the run"));
                }
            }
        }
    }

    /// Asks the remote commands to end; asked again, gives them no time to.
    fn stop(&mut self, signal: i32) {
        let reason = CancelReason::Signal(signal);
        let again = matches!(
            self.canceller.current(),
            Some(Cancel {
                reason: CancelReason::Signal(_),
                ..
            })
        );
        self.cancel(Cancel {
            reason,
            at_once: again,
        });
        let latest = Instant::now() + PATIENCE[usize::from(again)];
        self.give_up_at = Some(self.give_up_at.map_or(latest, |known| known.min(latest)));
    }

    fn cancel(&mut self, cancel: Cancel) {
        self.canceller.cancel(cancel);
    }

    fn on_reporter_gone(&mut self) {
        self.reporter_gone = true;
        self.bunch.clear();
        self.cancel(Cancel {
            reason: CancelReason::ReportFailed,
            at_once: false,
        });
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

    fn push(&mut self, event: Event) {
        if !self.reporter_gone {
            self.bunch.push(event);
        }
    }

    fn take_bunch(&mut self) -> Vec<Event> {
        std::mem::replace(&mut self.bunch, Vec::with_capacity(BUNCH))
    }

    fn remarks(&self) -> Vec<Event> {
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

    fn finish(mut self) -> RunStats {
        self.stats.cancel = self.canceller.current().map(|cancel| cancel.reason);
        self.stats.elapsed = self.begun.elapsed();
        self.stats.time_wait = self.context.transport.time_wait();
        self.stats
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
