//! The one stream of events that a run makes and reporters read.
//!
//! Rules: [`Event::RunStarted`] is first; every target has exactly one [`Event::Finished`], also one
//! that was cancelled or never started, and all its output comes before it; a target's stdout and
//! stderr each keep their order.

use std::sync::Arc;
use std::time::Duration;

mod facts;
mod failure;

pub use facts::{Facts, Left, Side};
pub use failure::{Failure, FailureClass, PasswordUse, Phase};

use crate::targets::{Target, TargetId};

/// What goes from the run to the reporter thread: events in bunches, since handing over costs more
/// than most events do.
#[derive(Debug)]
pub enum Message {
    /// What happened, in order.
    Events(Vec<Event>),
    /// The numbers of the whole run. Nothing comes after them.
    Finished(Box<RunStats>),
}

/// What happened in a run.
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
    /// A target ended, in this one way.
    Finished(Finished),
    /// Somebody asked (^C, SIGUSR1) which targets are still running.
    State {
        /// The running targets with their time so far, longest first.
        running: Vec<(TargetId, Duration)>,
        /// How many of the running ones wait for a source port.
        for_ports: usize,
        /// How many are not started yet.
        waiting: usize,
        /// How many have ended.
        finished: usize,
        /// What a second ^C would do, where a ^C asked.
        hint: Option<&'static str>,
    },
    /// So many of the started targets wait for a source port now. Not every change is told.
    PortWaits(usize),
    /// Something about the run itself that a person should read.
    Note(Note),
}

/// A remark about the run itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// True if it is only for those who asked for details (`-v`).
    pub verbose: bool,
    /// One line, no full stop.
    pub text: String,
}

/// The end of one target.
#[derive(Debug)]
pub struct Finished {
    /// Which target.
    pub target: TargetId,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was started, counted from the run's beginning; `None` if it never was.
    pub began: Option<Duration>,
    /// Time from its start to its end; zero for one that never started.
    pub elapsed: Duration,
    /// What else is known about it.
    pub facts: Facts,
}

/// How a target ended.
#[derive(Debug)]
pub enum Outcome {
    /// Its command ran to an end.
    Exited(RemoteExit),
    /// Something else failed: see the error for what and when.
    Failed(Failure),
    /// It had been started when the run was cancelled.
    Cancelled(CancelReason),
    /// It had not been started when the run was cancelled.
    NotStarted(CancelReason),
    /// A defect in this program: the host's task panicked.
    Internal(String),
}

impl Outcome {
    /// Whether all is well: exit status 0, or an end without a status where none was to be expected.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(
            self,
            Outcome::Exited(RemoteExit::Code(0) | RemoteExit::Unknown)
        )
    }
}

/// Why a run ends early, weakest first: a reason is replaced only by a stronger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CancelReason {
    /// A report cannot be written any more (a closed pipe, a full disk).
    ReportFailed,
    /// As many hosts failed as are too many: those that ran went on, and no other was started.
    Failures,
    /// The time for the whole run was over.
    Deadline,
    /// A signal with this number asked the run to stop.
    Signal(i32),
}

/// The numbers of a whole run. `succeeded + exit_failed + failed + cancelled + not_started == total`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStats {
    /// Targets in the run.
    pub total: usize,
    /// Exit status 0, or ended without one where none was to be expected (`--raw`).
    pub succeeded: usize,
    /// Ended with another exit status, or by a signal.
    pub exit_failed: usize,
    /// Could not be reached, timed out or were lost.
    pub failed: usize,
    /// Stopped while they ran.
    pub cancelled: usize,
    /// Never started.
    pub not_started: usize,
    /// The largest remote exit status (128 + n for a signal n); `None` if no command ended.
    pub worst_status: Option<u8>,
    /// Targets whose command was started and is not known to have ended, in their order.
    pub left_running: Vec<TargetId>,
    /// Targets whose command may have been started, or may have ended, in their order.
    pub may_be_running: Vec<TargetId>,
    /// Why the run ended early, if it did.
    pub cancel: Option<CancelReason>,
    /// From the first start to the last end.
    pub elapsed: Duration,
    /// Connections between the run's source ports and its hosts that this machine keeps in TIME_WAIT
    /// since it began; `None` if that is not known, or the ports are the kernel's choice.
    pub time_wait: Option<usize>,
}

/// One of a command's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The remote command's standard output.
    Stdout,
    /// The remote command's standard error.
    Stderr,
}

/// A piece of a target's output as it came from the network: any bytes, cut anywhere, never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Whose output it is.
    pub target: TargetId,
    /// Which stream it came on.
    pub stream: Stream,
    /// The bytes, at most 64 KiB.
    pub data: Vec<u8>,
}

/// How a remote command ended, as far as the transport can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemoteExit {
    /// It exited with this status.
    Code(u8),
    /// A signal with this number ended it, and the transport said so.
    Signaled(u8),
    /// It ended, and nothing says how: plain rsh carries no status. Never taken for 0.
    Unknown,
}
