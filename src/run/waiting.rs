//! Targets that wait between two tries to connect: for a source port, for something that this machine lacks,
//! or to be tried again. They hold neither a place in the fan-out nor a task of a host's size.

use std::collections::VecDeque;
use std::time::Duration;

use reserved_ports::PortWait;
use tokio::task::JoinSet;

use super::cancel::Cancelled;
use super::host_task::Attempts;
use crate::clock::ProcessClock;
use crate::targets::TargetId;

/// The time between two tries when this machine was short of something.
pub(super) const SHORTAGE_REST: Duration = Duration::from_millis(100);

/// What a target waits for.
#[derive(Debug)]
pub(super) enum Wait {
    /// A source port.
    Port(PortWait),
    /// Something that this machine lacks.
    Shortage,
    /// Its next try, after this time.
    Retry(Duration),
}

/// A target that waits, or has waited, and what is known of its tries.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) target: TargetId,
    pub(super) attempts: Box<Attempts>,
    for_port: bool,
}

/// The targets of a run that wait, and those whose wait is over.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waits: JoinSet<Pending>,
    ready: VecDeque<Pending>,
    for_ports: usize,
    /// The number of waits for ports that was reported last.
    reported: usize,
}

impl Waiting {
    /// Adds a target. A run that stops ends its wait.
    pub(super) fn add(
        &mut self,
        target: TargetId,
        attempts: Box<Attempts>,
        wait: Wait,
        (clock, mut cancelled): (ProcessClock, Cancelled),
    ) {
        let for_port = matches!(wait, Wait::Port(_));
        self.for_ports += usize::from(for_port);
        self.waits.spawn(async move {
            let over = async {
                match wait {
                    Wait::Port(wait) => wait.wait().await,
                    Wait::Shortage => tokio::time::sleep(SHORTAGE_REST).await,
                    Wait::Retry(pause) => clock.alarm(pause).reached().await,
                }
            };
            tokio::select! {
                _ = cancelled.requested() => {}
                () = over => {}
            }
            Pending {
                target,
                attempts,
                for_port,
            }
        });
    }

    /// Returns when the wait of a target is over; at once with `None` if none waits. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Pending> {
        match self.waits.join_next().await? {
            Ok(pending) => Some(pending),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Notes that the wait of a target is over.
    pub(super) fn is_over(&mut self, pending: Pending) {
        self.for_ports -= usize::from(pending.for_port);
        self.ready.push_back(pending);
    }

    /// The target whose wait has been over for the longest time.
    pub(super) fn take(&mut self) -> Option<Pending> {
        self.ready.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.ready.is_empty()
    }

    /// Number of targets that wait for a port.
    pub(super) fn for_ports(&self) -> usize {
        self.for_ports
    }

    /// True if that number has changed since it was reported.
    pub(super) fn has_news(&self) -> bool {
        self.for_ports != self.reported
    }

    /// The number to report, if it has changed.
    pub(super) fn news(&mut self) -> Option<usize> {
        let has_news = self.has_news();
        self.reported = self.for_ports;
        has_news.then_some(self.for_ports)
    }
}
