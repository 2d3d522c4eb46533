//! The loop of a run: starts targets within the fan-out, passes their output on, counts their outcomes.
//!
//! The loop never waits for a single target or for the reader of the reports. The `select!` takes one input at a time,
//! and the methods of [`Dispatcher`] decide without awaiting. The order of the branches is their priority: signals,
//! then outcomes and starts, then output. So a target with much output delays no other target.
//!
//! Events are collected while there are other inputs. They are sent when the channel to the reporter has a free slot.
//! Without a free slot, the loop stops reading output, which in the end blocks the remote commands. It never stops
//! taking signals.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cancel::Canceller;
use super::host_task::TaskContext;
use super::rate::RateLimiter;
use super::signal::SignalSource;
use super::state::Dispatcher;
use super::{RunSpec, descriptors};
use crate::clock::{ProcessClock, alarm_reached};
use crate::event::{CancelReason, Event, Message, RunStats};
use crate::journal::{Journal, NotRecorded};
use crate::transport::{Input, Transport};

/// Maximum number of chunks in the queue to the dispatcher.
// A chunk has at most 64 KiB, so this bounds the memory.
const QUEUED_CHUNKS: usize = 32;

/// Runs all targets. Returns when the last target has its outcome and all events have been reported.
///
/// `reports` gets the events, then the numbers of the run. The receiver closes the channel when it has written
/// everything. A signal ends the wait for that too.
pub async fn run<T: Transport>(
    spec: RunSpec,
    transport: T,
    mut signals: SignalSource,
    reports: mpsc::Sender<Message>,
) -> RunStats {
    let (fanout, note) = descriptors::fit(spec.fanout, spec.descriptors_per_host);
    let (canceller, cancelled) = Canceller::new();
    let (reports_output, mut chunks) = mpsc::channel(QUEUED_CHUNKS);
    let copies = spec.input.as_ref().and_then(Input::copies).cloned();
    let output = copies.as_ref().map_or_else(
        || reports_output.clone(),
        |copies| copies.connect(&reports_output),
    );
    let clock = ProcessClock::default();
    let mut measuring = JoinSet::new();
    measuring.spawn(clock.clone().measure());
    let policy = spec.policy;
    let deadline = policy.deadline.map(|after| clock.alarm(after));
    let context = Arc::new(TaskContext {
        transport,
        targets: Arc::clone(&spec.targets),
        connect_timeout: spec.connect_timeout,
        command_timeout: spec.command_timeout,
        copies,
        journal: spec.journal.clone(),
        output,
        reports: reports_output,
        reader: spec.reader,
        cancelled,
        pace: policy.rate.map(RateLimiter::new),
        clock: clock.clone(),
        policy,
    });
    let mut dispatcher = Dispatcher::new(spec.targets, Arc::clone(&context), canceller);
    dispatcher.fanout = fanout.get();
    dispatcher.details = spec.details;
    dispatcher.say = spec.say;
    dispatcher.input = spec.input;
    dispatcher.journal = spec.journal.clone();
    dispatcher.deadline = deadline;
    dispatcher.go_on = spec.go_on;
    dispatcher.push_all(spec.notices.into_iter().chain(note).map(Event::Notice));
    dispatcher.on_first_wave();
    while !dispatcher.is_done() {
        let reader_timeout = dispatcher.reader_timeout_at();
        // The deadline does not count pauses.
        let deadline = dispatcher
            .deadline
            .clone()
            .filter(|_| !dispatcher.is_paused());
        let pause_ends = dispatcher.pause_ends_at();
        let accepts_event = dispatcher.accepts_event();
        let takes_output = accepts_event && dispatcher.accepts_output();
        let may_start = accepts_event && dispatcher.may_start();
        let has_cancelled = accepts_event && dispatcher.has_cancelled_targets();
        let waits = !dispatcher.waiting.is_empty();
        tokio::select! {
            biased;
            request = signals.next() => dispatcher.on_request(request),
            () = alarm_reached(deadline.as_ref()) => dispatcher.on_deadline(),
            () = alarm_reached(pause_ends.as_ref()), if pause_ends.is_some() => dispatcher.go_on(),
            () = spec.report_failed.notified() => dispatcher.on_report_failed(),
            committed = next_commit(spec.journal.as_ref()) => dispatcher.on_journal(committed),
            Some(ended) = dispatcher.tasks.join_next_with_id(), if accepts_event => {
                dispatcher.on_end(ended, chunks.len());
            }
            Some(pending) = dispatcher.waiting.next(), if waits => dispatcher.waiting.end_wait(pending),
            () = std::future::ready(()), if has_cancelled => dispatcher.end_next_cancelled(),
            () = context.turn(), if may_start => dispatcher.start_next(),
            Some(chunk) = chunks.recv(), if takes_output => {
                dispatcher.on_chunk(chunk);
                // A turn of the loop polls every branch, so it takes all chunks that are queued.
                while dispatcher.accepts_output() && let Ok(chunk) = chunks.try_recv() {
                    dispatcher.on_chunk(chunk);
                }
            }
            permit = reports.reserve(), if dispatcher.has_events() => match permit {
                Ok(permit) => {
                    permit.send(Message::Events(dispatcher.take_batch()));
                    dispatcher.on_taken();
                }
                Err(_) => dispatcher.on_reporter_gone(),
            },
            () = reports.closed(), if !dispatcher.reporter_gone => dispatcher.on_reporter_gone(),
            // This branch comes after the reporter: while that takes events, the run waits for the commands to end.
            () = alarm_reached(reader_timeout.as_ref()), if dispatcher.has_events() => {
                if dispatcher.is_reader_stuck() {
                    dispatcher.on_reporter_gone();
                }
            }
        }
        if dispatcher.next_wave() {
            let text = dispatcher.announce_pause(signals.take_keys());
            signals.show(&text);
        } else if !dispatcher.is_paused() {
            signals.leave_keys();
        }
    }
    let mut stats = dispatcher.stats();
    if dispatcher.reporter_gone {
        return stats;
    }
    let notices = dispatcher.notices();
    let finished = Box::new(stats.clone());
    let reported = async {
        // If the receiver is dropped now, `closed` returns at once.
        let _ = reports.send(Message::Events(notices)).await;
        let _ = reports.send(Message::Finished(finished)).await;
        reports.closed().await;
    };
    tokio::pin!(reported);
    dispatcher.on_taken();
    // A reader that takes nothing must not keep a cancelled run from ending.
    let unwritten = loop {
        let reader_timeout = dispatcher.reader_timeout_at();
        let deadline = dispatcher.deadline.clone();
        tokio::select! {
            biased;
            request = signals.next() => if let Some(reason) = dispatcher.on_late_request(request) {
                break Some(reason);
            },
            () = &mut reported => break None,
            () = alarm_reached(deadline.as_ref()) => dispatcher.on_deadline(),
            () = alarm_reached(reader_timeout.as_ref()) => if dispatcher.is_reader_stuck() {
                break Some(CancelReason::ReportFailed);
            },
        }
    };
    stats.cancel = match (stats.cancel, unwritten) {
        // The weaker reason wins here: the reports are incomplete, which the deadline does not say.
        (Some(CancelReason::Deadline), Some(unwritten)) => Some(unwritten),
        (known, unwritten) => known.max(unwritten),
    };
    stats
}

/// Returns at the next commit of the journal; never without a journal. Cancel safe.
async fn next_commit(journal: Option<&Journal>) -> Result<(), NotRecorded> {
    match journal {
        Some(journal) => journal.committed().await,
        None => std::future::pending().await,
    }
}
