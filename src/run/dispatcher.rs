//! The one loop of a run: starts targets within the fan-out, passes their output on, counts their ends.
//!
//! Nothing here waits for a host or for a reader: the select makes one input at a time, and the methods
//! of [`Dispatcher`] decide what follows from it, without awaiting. Events are bunched up while there
//! is anything else to do, and go out when the reporter has room; a reporter that has none stops the
//! reading of output, and so in the end the remote commands, but never a signal.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::cancel::Canceller;
use super::event::{CancelReason, Event, Message, RunStats};
use super::host_task::Context;
use super::idle::Idle;
use super::pace::Pace;
use super::signal::{SignalSource, Wish};
use super::state::{Dispatcher, PATIENCE, SIGINT};
use super::{RunSpec, limits};
use crate::transport::{Alarm, Lag, Transport};

/// How many pieces of output wait for the dispatcher; at 64 KiB each they bound its memory.
const CHUNKS: usize = 32;

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
    let (port_waits, mut waits) = watch::channel(0);
    let lag = Lag::default();
    let mut measuring = JoinSet::new();
    measuring.spawn(lag.clone().measure());
    let policy = spec.policy;
    let mut deadline = policy.deadline.map(|after| lag.alarm(after));
    let idle = |after| Idle::new(after, spec.targets.len(), lag.clone());
    let context = Arc::new(Context {
        transport,
        targets: Arc::clone(&spec.targets),
        connect_timeout: spec.connect_timeout,
        command_timeout: spec.command_timeout,
        slots: Arc::new(Semaphore::new(fanout.get())),
        output,
        port_waits,
        cancelled,
        idle: policy.idle_timeout.map(idle),
        pace: policy.rate.map(Pace::new),
        lag: lag.clone(),
        policy,
    });
    // Hosts that wait for a port have no slot, and others are started in their place; but only so many.
    let most_tasks = fanout.get().saturating_mul(2);
    let mut dispatcher = Dispatcher::new(spec.targets, Arc::clone(&context), canceller);
    dispatcher.input = spec.input;
    dispatcher
        .bunch
        .extend(spec.notes.into_iter().chain(note).map(Event::Note));
    let mut received = Vec::new();
    while !dispatcher.is_done() {
        let give_up = dispatcher.give_up.clone();
        let has_room = dispatcher.has_room();
        let may_start = has_room && dispatcher.may_start() && dispatcher.tasks.len() < most_tasks;
        let given_up = has_room && dispatcher.has_given_up();
        tokio::select! {
            biased;
            wish = signals.next() => dispatcher.on_wish(wish),
            () = rung(deadline.as_ref()) => {
                deadline = None;
                dispatcher.on_deadline();
            }
            () = spec.report_failed.notified() => dispatcher.on_report_failed(),
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
                dispatcher.on_port_waits(count);
            }
            () = std::future::ready(()), if given_up => dispatcher.give_up_next(),
            Ok(slot) = context.place(), if may_start => dispatcher.start_next(slot),
            permit = reports.reserve(), if !dispatcher.bunch.is_empty() => match permit {
                Ok(permit) => {
                    permit.send(Message::Events(dispatcher.take_bunch()));
                    dispatcher.on_taken();
                }
                Err(_) => dispatcher.on_reporter_gone(),
            },
            () = reports.closed(), if !dispatcher.reporter_gone => dispatcher.on_reporter_gone(),
            // Polled after the reader: one that takes events is waited for, however long the commands take to end.
            () = rung(give_up.as_ref()), if !dispatcher.bunch.is_empty() => dispatcher.on_reporter_gone(),
        }
        dispatcher.next_wave();
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
    // A reader that has stopped does not hold up the end for longer than a while.
    let late = async {
        match (deadline, stats.cancel) {
            (Some(deadline), _) => deadline.rung().await,
            (None, Some(CancelReason::Deadline)) => {}
            (None, _) => std::future::pending().await,
        }
        lag.alarm(PATIENCE[0]).rung().await;
    };
    let stopped = tokio::select! {
        () = told => None,
        reason = stopped => Some(reason),
        () = late => Some(CancelReason::ReportFailed),
    };
    stats.cancel = match (stats.cancel, stopped) {
        // Weaker, and yet the news: what was to be told has not been.
        (Some(CancelReason::Deadline), Some(unwritten)) => Some(unwritten),
        (known, stopped) => known.max(stopped),
    };
    stats
}

/// Returns when a time has come that may not be set. Cancel safe.
async fn rung(alarm: Option<&Alarm>) {
    match alarm {
        Some(alarm) => alarm.rung().await,
        None => std::future::pending().await,
    }
}
