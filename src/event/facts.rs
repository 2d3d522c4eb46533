//! Times and connection facts of a target, beside its outcome.

use std::time::Duration;

/// What became known about a host beside how it ended, for reports that tell more than that. A time
/// is `None` if the host did not get so far. What a host's time has beyond all of them is
/// [`delayed`](Facts::delayed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Looking up the name.
    pub resolve: Option<Duration>,
    /// Waiting for a source port, and for a turn to connect after that.
    pub port_wait: Option<Duration>,
    /// Pauses before further attempts, and waiting for a turn to connect after them.
    pub retry_wait: Option<Duration>,
    /// Making connections, all attempts together.
    pub connect: Option<Duration>,
    /// From the connection to the command's start, or to the end of the attempt; all together.
    pub start: Option<Duration>,
    /// From the command's start to the end of its streams.
    pub run: Option<Duration>,
    /// How many connections were tried.
    pub attempts: u32,
    /// The source port of the last connection that was made.
    pub local_port: Option<u16>,
    /// Which side closed the connection first, if there was one.
    pub closed_first: Option<Side>,
    /// What is known of a command that has not been seen to end.
    pub left: Left,
}

impl Facts {
    /// What is known after a further attempt, of which `later` is known.
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
            local_port: later.local_port.or(self.local_port),
            closed_first: later.closed_first.or(self.closed_first),
            left: self.left.max(later.left),
        }
    }

    /// The part of a host's time that belongs to no phase: this process did not get the CPU, or the
    /// machine was short of descriptors, processes or memory.
    #[must_use]
    pub fn delayed(&self, elapsed: Duration) -> Duration {
        let phases = [
            self.resolve,
            self.port_wait,
            self.retry_wait,
            self.connect,
            self.start,
            self.run,
        ];
        elapsed.saturating_sub(phases.into_iter().flatten().sum())
    }
}

/// What is known of a command that has not been seen to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Left {
    /// It has ended, or never started.
    #[default]
    Nothing,
    /// It may have been started, or may have ended: its host was given up after it had been asked for the
    /// command, or the connection was reset while the command ran.
    MayRun,
    /// It was started, and could not be stopped or was lost sight of.
    Runs,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This program, which then resets the connection.
    Local,
    /// The daemon.
    Remote,
}
