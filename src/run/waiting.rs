//! Targets that wait before they connect: for a source port, for resources of this machine, or for the next attempt.
//! They do not count for the fan-out, and their tasks are small.

use std::collections::VecDeque;
use std::time::Duration;

use reserved_ports::PortWait;
use tokio::task::JoinSet;

use super::cancel::CancelWatch;
use super::host_task::Attempts;
use crate::clock::ProcessClock;
use crate::targets::TargetId;

/// Pause before an attempt goes on after a shortage of this machine.
pub(super) const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Reason why a target waits.
#[derive(Debug)]
pub(super) enum WaitReason {
    /// No source port is free.
    Port(PortWait),
    /// This machine lacks descriptors, processes or memory.
    Shortage,
    /// An attempt has failed; the next one follows after this time.
    Retry(Duration),
}

/// A target that waits or has waited, with its attempts so far.
#[derive(Debug)]
pub(super) struct WaitingTarget {
    pub(super) target: TargetId,
    pub(super) attempts: Box<Attempts>,
    for_port: bool,
}

/// All targets of a run that wait, and those whose wait is over.
#[derive(Debug, Default)]
pub(super) struct WaitingTargets {
    // Dropped with the run, the set ends all waits.
    waits: JoinSet<WaitingTarget>,
    ready: VecDeque<WaitingTarget>,
    for_ports: usize,
    /// Number of waits for ports in the last report.
    reported: usize,
}

impl WaitingTargets {
    /// Adds a target. A cancellation with [`Urgency::Stop`](super::cancel::Urgency::Stop) ends its wait.
    pub(super) fn add(
        &mut self,
        target: TargetId,
        attempts: Box<Attempts>,
        wait: WaitReason,
        (clock, mut cancelled): (ProcessClock, CancelWatch),
    ) {
        let for_port = matches!(wait, WaitReason::Port(_));
        self.for_ports += usize::from(for_port);
        // Thousands of targets may wait, so this task holds no future of a transport.
        self.waits.spawn(async move {
            let over = async {
                match wait {
                    WaitReason::Port(wait) => wait.wait().await,
                    WaitReason::Shortage => tokio::time::sleep(SHORTAGE_PAUSE).await,
                    WaitReason::Retry(pause) => clock.alarm(pause).reached().await,
                }
            };
            tokio::select! {
                _ = cancelled.requested() => {}
                () = over => {}
            }
            WaitingTarget {
                target,
                attempts,
                for_port,
            }
        });
    }

    /// Returns a target whose wait is over, or `None` at once if no target waits. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<WaitingTarget> {
        match self.waits.join_next().await? {
            Ok(pending) => Some(pending),
            // Nothing aborts these tasks, so the error is a panic: a defect that must not stay hidden.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Records that the wait of a target is over.
    pub(super) fn end_wait(&mut self, pending: WaitingTarget) {
        self.for_ports -= usize::from(pending.for_port);
        self.ready.push_back(pending);
    }

    /// Removes the target whose wait has been over for the longest time.
    pub(super) fn take(&mut self) -> Option<WaitingTarget> {
        self.ready.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.ready.is_empty()
    }

    /// Returns the number of targets that wait for a port.
    pub(super) fn for_ports(&self) -> usize {
        self.for_ports
    }

    /// True if the number of waits for ports has changed since it was reported.
    pub(super) fn has_changed(&self) -> bool {
        self.for_ports != self.reported
    }

    /// Returns the number of waits for ports if it has changed since it was reported.
    pub(super) fn take_change(&mut self) -> Option<usize> {
        let has_changed = self.has_changed();
        self.reported = self.for_ports;
        has_changed.then_some(self.for_ports)
    }
}
