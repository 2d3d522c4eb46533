//! Events: the only data that goes from a run to the reporters.
//!
//! Rules:
//!
//! - [`Event::RunStarted`] is first.
//! - Every target has exactly one [`Event::Finished`], also if it was cancelled or never started.
//! - All output of a target comes before its [`Event::Finished`]. Its stdout and stderr each keep their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

mod copy_progress;
mod facts;
mod failure;
mod record;

pub use copy_progress::{CopyDirection, CopyProgress, TargetProgress};
pub use facts::{Copied, Facts, LeftRunning, Side};
pub use failure::{Failure, FailureClass, PasswordUse, Phase};
pub use record::{FinishedRecord, INTERNAL, Millis, ReasonRecord};

use crate::targets::{Target, TargetId};

/// A message from the run to the reporter thread. It has many events, because sending costs more than most events.
#[derive(Debug)]
pub enum Message {
    /// Events in their order.
    Events(Vec<Event>),
    /// Numbers of the whole run. This is the last message.
    // Boxed, since it is much larger than a list of events.
    Finished(Box<RunStats>),
}

/// One thing that happened in a run.
#[derive(Debug)]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// All targets; a [`TargetId`] is an index into this.
        targets: Arc<[Target]>,
    },
    /// Work on a target began.
    Started(TargetId),
    /// A target's command wrote something.
    Output(Chunk),
    /// The outcome of a target.
    Finished(Finished),
    /// The user asked for the state (^C, SIGUSR1).
    State {
        /// Running targets with their time so far, longest first.
        running: Vec<(TargetId, Duration)>,
        /// Number of running targets that wait for a source port.
        for_ports: usize,
        /// Number of targets that are not started yet.
        waiting: usize,
        /// Number of targets with an outcome.
        finished: usize,
        /// Effect of a second ^C, if ^C asked for the state.
        hint: Option<&'static str>,
    },
    /// Number of started targets that wait for a source port now. Not every change is reported.
    PortWaits(usize),
    /// A message about the run that is not a result.
    Notice(Notice),
    /// The run waits between two waves. One line, which every user gets, because it says how the run goes on.
    Paused(String),
}

/// A message about the run that is not a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// True if only users who asked for details (`-v`) get it.
    pub verbose: bool,
    /// One line, no full stop.
    pub text: String,
}

/// The outcome of one target, with its times.
#[derive(Debug)]
pub struct Finished {
    /// The target.
    pub target: TargetId,
    /// The outcome of the target.
    pub outcome: Outcome,
    /// Time from the start of the run to the start of the target; `None` if it was never started.
    pub began: Option<Duration>,
    /// Time from the start of the target to its outcome; zero if it was never started.
    pub elapsed: Duration,
    /// Times of its phases, and facts about its connections.
    pub facts: Facts,
}

/// The final result of a target.
#[derive(Debug)]
pub enum Outcome {
    /// The command ended by itself.
    Exited(RemoteExit),
    /// An attempt, the connection or a limit failed.
    Failed(Failure),
    /// The run was cancelled after the target was started.
    Cancelled(CancelReason),
    /// The run was cancelled before the target was started.
    NotStarted(CancelReason),
    /// A defect in this program: the host task panicked.
    Internal(String),
}

impl Outcome {
    /// True for exit status 0, and for an end without a status if none is expected (`--raw`).
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(
            self,
            Outcome::Exited(RemoteExit::Code(0) | RemoteExit::Unknown)
        )
    }
}

/// Reason for an early end of a run, weakest first. Only a stronger reason replaces another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CancelReason {
    /// A report cannot be written any more (a closed pipe, a full disk).
    ReportFailed,
    /// Too many targets failed: those in progress went on, and no other was started.
    Failures,
    /// The user ended the run at a pause between waves.
    Declined,
    /// The time for the whole run ended.
    Deadline,
    /// The journal cannot be written: those in progress went on, and no other was started.
    JournalFailed,
    /// A host refused the password for sudo: no other host gets it, and no other was started.
    PasswordRefused,
    /// A signal with this number asked the run to stop.
    Signal(i32),
}

/// Numbers of a whole run. `succeeded + exit_failed + failed + cancelled + not_started == total`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStats {
    /// Number of targets in the run.
    pub total: usize,
    /// Targets with exit status 0, or without a status if none is expected (`--raw`).
    pub succeeded: usize,
    /// Targets whose command ended with another exit status or by a signal.
    pub exit_failed: usize,
    /// Targets that could not be reached, timed out or were lost.
    pub failed: usize,
    /// Targets that were stopped while they were in progress.
    pub cancelled: usize,
    /// Targets that were never started.
    pub not_started: usize,
    /// Largest remote exit status (128 + n for a signal n); `None` if no command ended.
    pub worst_status: Option<u8>,
    /// Largest exit status of the commands that no signal ended.
    pub largest_code: Option<u8>,
    /// Number of failed targets by the class of the failure.
    pub failed_by_class: BTreeMap<FailureClass, usize>,
    /// Targets whose command was started and is not known to have ended, in their order.
    pub left_running: Vec<TargetId>,
    /// Targets whose command may run, in their order; see [`LeftRunning::Maybe`].
    pub may_be_running: Vec<TargetId>,
    /// Reason for an early end of the run, if it had one.
    pub cancel: Option<CancelReason>,
    /// Time from the start of the run to the last outcome.
    pub elapsed: Duration,
    /// Number of connections from the run's source ports to its targets that this machine has in TIME_WAIT since the
    /// run began; `None` if it is unknown or the kernel chose the ports.
    pub time_wait: Option<usize>,
}

impl RunStats {
    /// Counts the outcome of a target.
    pub fn count(&mut self, finished: &Finished) {
        match &finished.outcome {
            Outcome::Exited(exit) => {
                let status = match *exit {
                    RemoteExit::Code(code) => Some(code),
                    // Shells report a command that a signal has ended as 128 + n.
                    RemoteExit::Signaled(signal) => Some(signal.saturating_add(128)),
                    RemoteExit::Unknown => None,
                };
                // `None` is less than every status, so it never hides one.
                self.worst_status = self.worst_status.max(status);
                if let RemoteExit::Code(code) = *exit {
                    self.largest_code = self.largest_code.max(Some(code));
                }
                match status {
                    // Only `--raw` has no status. Otherwise a missing one is a failure of the transport.
                    None | Some(0) => self.succeeded += 1,
                    Some(_) => self.exit_failed += 1,
                }
            }
            // A defect of this program leaves the target without a result, so it is no success.
            // The target was reached, as by a command that failed.
            Outcome::Failed(failure) if failure.class == FailureClass::Copy => {
                *self.failed_by_class.entry(failure.class).or_default() += 1;
                self.worst_status = self.worst_status.max(Some(1));
                self.exit_failed += 1;
            }
            Outcome::Failed(failure) => {
                *self.failed_by_class.entry(failure.class).or_default() += 1;
                self.failed += 1;
            }
            Outcome::Internal(_) => self.failed += 1,
            Outcome::Cancelled(_) => self.cancelled += 1,
            Outcome::NotStarted(_) => self.not_started += 1,
        }
        match finished.facts.left_running {
            LeftRunning::No => {}
            LeftRunning::Maybe => self.may_be_running.push(finished.target),
            LeftRunning::Yes => self.left_running.push(finished.target),
        }
    }
}

/// One of the two output streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The remote command's standard output.
    Stdout,
    /// The remote command's standard error.
    Stderr,
}

/// Bytes of a target's output as they arrived: any bytes, cut anywhere, never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The target.
    pub target: TargetId,
    /// The stream of the command.
    pub stream: Stream,
    /// The bytes, at most 64 KiB.
    // The bound makes the length of a queue of chunks a bound of its memory.
    pub data: Vec<u8>,
}

/// End of a remote command, as far as the transport knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemoteExit {
    /// The exit status.
    Code(u8),
    /// The number of the signal that ended the command.
    Signaled(u8),
    /// The command ended, and its status is unknown: plain rsh has no status. It never counts as 0.
    Unknown,
}
