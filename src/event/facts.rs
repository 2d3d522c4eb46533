//! Times and connection facts of a target, beside its outcome.

use std::num::NonZeroU32;
use std::time::Duration;

/// Times and connection facts of a target, for reports with details. A time is `None` if the target did not reach
/// that phase. The rest of the target's time is [`delayed`](Facts::delayed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Lookup of the name.
    pub resolve: Option<Duration>,
    /// Waits for a source port, and then for the fan-out and the rate.
    pub port_wait: Option<Duration>,
    /// Pauses before further attempts, and then waits for the fan-out and the rate.
    pub retry_wait: Option<Duration>,
    /// Connecting, all attempts together.
    pub connect: Option<Duration>,
    /// From the connection to the start of the command or to the end of the attempt, all attempts together.
    pub start: Option<Duration>,
    /// From the start of the command to the end of its streams.
    pub run: Option<Duration>,
    /// Number of connections that were tried.
    pub attempts: u32,
    /// Source port of the last connection that was made.
    pub local_port: Option<u16>,
    /// Number of the local process, if the transport started one.
    pub process: Option<NonZeroU32>,
    /// Side that closed the connection first, if there was a connection.
    pub closed_first: Option<Side>,
    /// True, false or unknown: the command goes on at the target.
    pub left_running: LeftRunning,
    /// Result of a copy of files, if there was one.
    pub copied: Option<Copied>,
}

/// Result of a copy of files to a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// True if something was changed.
    pub changed: bool,
    /// Number of files whose content was sent.
    pub files: u64,
    /// Number of bytes of their content.
    pub bytes: u64,
    /// Program that calculated the checksums over there; empty if the target did not answer.
    pub checksum: &'static str,
}

impl Facts {
    /// Returns the facts of this attempt and of a `later` one together.
    #[must_use]
    pub fn and(&self, later: &Facts) -> Facts {
        let sum = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        Facts {
            resolve: sum(self.resolve, later.resolve),
            port_wait: sum(self.port_wait, later.port_wait),
            retry_wait: sum(self.retry_wait, later.retry_wait),
            connect: sum(self.connect, later.connect),
            start: sum(self.start, later.start),
            run: sum(self.run, later.run),
            attempts: self.attempts + later.attempts,
            // A later attempt can end before it has a connection. Then the facts of the last connection stay.
            local_port: later.local_port.or(self.local_port),
            process: later.process.or(self.process),
            closed_first: later.closed_first.or(self.closed_first),
            // A command of an earlier attempt can go on, whatever became of the later one.
            left_running: self.left_running.max(later.left_running),
            copied: later.copied.or(self.copied),
        }
    }

    /// Returns the times of the phases, in their order.
    #[must_use]
    pub fn phases(&self) -> [Option<Duration>; 6] {
        [
            self.resolve,
            self.port_wait,
            self.retry_wait,
            self.connect,
            self.start,
            self.run,
        ]
    }

    /// Returns the part of a target's time that belongs to no phase: this process did not get the CPU, or the machine
    /// was short of descriptors, processes or memory.
    #[must_use]
    pub fn delayed(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(self.phases().into_iter().flatten().sum())
    }
}

/// True, false or unknown: a command goes on at the target after the target's outcome.
// The order counts: `Facts::and` takes the maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeftRunning {
    /// The command has ended, or never started.
    #[default]
    No,
    /// The command may run: the attempt failed after the daemon was asked for it, or the connection was reset while
    /// it ran.
    Maybe,
    /// The command was started, and then the connection was lost or the command could not be stopped.
    Yes,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This program, which resets the connection when it closes first.
    Local,
    /// The daemon.
    Remote,
}
