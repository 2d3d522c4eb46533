//! The one loop of a run: starts targets within the fan-out, passes their output on, counts their ends.
//!
//! Nothing here waits for a host or for a reader: the select makes one input at a time, and the methods
//! of [`Dispatcher`] decide what follows from it, without awaiting. Signals come first, then the ends of
//! targets and the starts of others, and output comes last, so that one host that writes much holds up
//! nobody else. Events are bunched up while there is anything else to do, and go out when the reporter
//! has room; a reporter that has none stops the reading of output, and so in the end the remote commands, but
//! never a signal.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cancel::Canceller;
use super::host_task::Context;
use super::pace::Pace;
use super::signal::SignalSource;
use super::state::Dispatcher;
use super::{RunSpec, limits};
use crate::clock::{ProcessClock, alarm_reached};
use crate::event::{CancelReason, Event, Message, RunStats};
use crate::transport::Transport;

/// How many pieces of output wait for the dispatcher; at 64 KiB each they bound its memory.
const PIECES: usize = 32;

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
    let (output, mut chunks) = mpsc::channel(PIECES);
    let clock = ProcessClock::default();
    let mut measuring = JoinSet::new();
    measuring.spawn(clock.clone().measure());
    let policy = spec.policy;
    let mut deadline = policy.deadline.map(|after| clock.alarm(after));
    let context = Arc::new(Context {
        transport,
        targets: Arc::clone(&spec.targets),
        connect_timeout: spec.connect_timeout,
        command_timeout: spec.command_timeout,
        output,
        reader: spec.reader,
        cancelled,
        pace: policy.rate.map(Pace::new),
        clock: clock.clone(),
        policy,
    });
    let mut dispatcher = Dispatcher::new(spec.targets, Arc::clone(&context), canceller);
    dispatcher.fanout = fanout.get();
    dispatcher.details = spec.details;
    dispatcher.say = spec.say;
    dispatcher.input = spec.input;
    dispatcher.push_all(spec.notes.into_iter().chain(note).map(Event::Note));
    dispatcher.on_first_wave();
    while !dispatcher.is_done() {
        let give_up = dispatcher.give_up_at();
        let has_room = dispatcher.has_room();
        let takes_output = has_room && dispatcher.has_room_for_output();
        let may_start = has_room && dispatcher.may_start();
        let given_up = has_room && dispatcher.has_given_up();
        let waits = !dispatcher.waiting.is_empty();
        tokio::select! {
            biased;
            wish = signals.next() => dispatcher.on_wish(wish),
            () = alarm_reached(deadline.as_ref()) => {
                deadline = None;
                dispatcher.on_deadline();
            }
            () = spec.report_failed.notified() => dispatcher.on_report_failed(),
            Some(ended) = dispatcher.tasks.join_next_with_id(), if has_room => {
                dispatcher.on_end(ended, chunks.len());
            }
            Some(pending) = dispatcher.waiting.next(), if waits => dispatcher.waiting.is_over(pending),
            () = std::future::ready(()), if given_up => dispatcher.give_up_next(),
            () = context.turn(), if may_start => dispatcher.start_next(),
            Some(chunk) = chunks.recv(), if takes_output => {
                dispatcher.on_chunk(chunk);
                while dispatcher.has_room_for_output() && let Ok(chunk) = chunks.try_recv() {
                    dispatcher.on_chunk(chunk);
                }
            }
            permit = reports.reserve(), if dispatcher.has_news() => match permit {
                Ok(permit) => {
                    permit.send(Message::Events(dispatcher.take_bunch()));
                    dispatcher.on_taken();
                }
                Err(_) => dispatcher.on_reporter_gone(),
            },
            () = reports.closed(), if !dispatcher.reporter_gone => dispatcher.on_reporter_gone(),
            // Polled after the reader: one that takes events is waited for, however long the commands take to end.
            () = alarm_reached(give_up.as_ref()), if dispatcher.has_news() => {
                if dispatcher.is_reader_given_up() {
                    dispatcher.on_reporter_gone();
                }
            }
        }
        dispatcher.next_wave();
    }
    let mut stats = dispatcher.stats();
    if dispatcher.reporter_gone {
        return stats;
    }
    let remarks = dispatcher.remarks();
    let finished = Box::new(stats.clone());
    let told = async {
        // A reader that goes away now is seen at the end of this.
        let _ = reports.send(Message::Events(remarks)).await;
        let _ = reports.send(Message::Finished(finished)).await;
        reports.closed().await;
    };
    tokio::pin!(told);
    dispatcher.on_taken();
    // A reader that has stopped does not hold up the end of a run that is to stop.
    let unwritten = loop {
        let give_up = dispatcher.give_up_at();
        tokio::select! {
            biased;
            wish = signals.next() => if let Some(reason) = dispatcher.on_late_wish(wish) {
                break Some(reason);
            },
            () = &mut told => break None,
            () = alarm_reached(deadline.as_ref()) => {
                deadline = None;
                dispatcher.on_deadline();
            }
            () = alarm_reached(give_up.as_ref()) => if dispatcher.is_reader_given_up() {
                break Some(CancelReason::ReportFailed);
            },
        }
    };
    stats.cancel = match (stats.cancel, unwritten) {
        // Weaker, and yet the news: what was to be told has not been.
        (Some(CancelReason::Deadline), Some(unwritten)) => Some(unwritten),
        (known, unwritten) => known.max(unwritten),
    };
    stats
}
