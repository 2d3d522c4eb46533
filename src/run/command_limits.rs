//! Limits on the time of a command, and the last read before a limit stops it.
//!
//! None of these limits counts the time in which the reader of the reports holds the command's output back.

use std::time::Duration;

use tokio::time::sleep;

use super::cancel::CancelWatch;
use super::host_task::TaskContext;
use crate::clock::ProcessClock;
use crate::event::{Facts, RemoteExit};
use crate::transport::{Output, Session, TransportError};

/// Maximum number of chunks in the last read.
// More than the buffers of two kernels hold, so the end of the command is found if it came before the limit.
const LAST_CHUNKS: u64 = 128;

/// Maximum time of the last read.
const LAST_READ: Duration = Duration::from_secs(1);

/// Minimum time after which a command that waits for the reader is checked again. Without it, a short rest of the
/// limit would make the loop spin.
///
/// This is polling. The clock runs and stops with each write of the reporters, and a notification for each write would
/// wake all waiting targets at once while the program is already short of time. A notification at the end of the wait
/// is not enough: a write to a file that hangs stops no clock, so the limit must end such a wait.
const HELD_BACK: Duration = Duration::from_millis(200);

/// A clock that stops while this process is stopped or the reader holds the command's output back.
#[derive(Debug)]
pub(super) struct CommandClock<'a> {
    clock: &'a ProcessClock,
    output: &'a Output,
    begun: Duration,
    held_back: Duration,
}

impl<'a> CommandClock<'a> {
    pub(super) fn begin(clock: &'a ProcessClock, output: &'a Output) -> Self {
        CommandClock {
            clock,
            output,
            begun: clock.running(),
            held_back: output.held_back(),
        }
    }

    fn left(&self, limit: Duration) -> Duration {
        // A delay counts as running until it is long enough for a stop: then both sums shrink by it, perhaps below
        // their values at the start.
        let held_back = self.output.held_back().saturating_sub(self.held_back);
        let running = self.clock.running().saturating_sub(self.begun);
        limit.saturating_sub(running.saturating_sub(held_back))
    }

    /// Returns when this much time has passed on this clock. Cancel safe.
    pub(super) async fn passed(&self, limit: Duration) {
        loop {
            match self.left(limit) {
                Duration::ZERO => return,
                left if self.output.is_waiting() => sleep(left.max(HELD_BACK)).await,
                left => sleep(left).await,
            }
        }
    }

    /// Returns when the command has written nothing for this long. Cancel safe.
    async fn silent(&self, limit: Duration) {
        loop {
            // A command that waits for the reader is not idle.
            if self.output.is_waiting() {
                sleep(limit).await;
                continue;
            }
            let since = self.begun.max(self.output.last());
            match limit.saturating_sub(self.clock.running().saturating_sub(since)) {
                Duration::ZERO => return,
                left => sleep(left).await,
            }
        }
    }
}

/// Returns when a limit on the command is reached. Never returns if there is none.
pub(super) async fn out_of_time<T>(
    context: &TaskContext<T>,
    command_clock: &CommandClock<'_>,
    facts: &Facts,
) -> TransportError {
    match (command_limit(context, facts), context.policy.idle_timeout) {
        (None, None) => std::future::pending().await,
        // Boxed, so that host tasks without limits are smaller.
        (command, idle) => Box::pin(first_limit(command_clock, command, idle)).await,
    }
}

/// Returns the limit on the command's time that ends first, with the part of it that is left when the command starts.
fn command_limit<T>(context: &TaskContext<T>, facts: &Facts) -> Option<(Duration, Duration)> {
    let own = context.command_timeout.map(|limit| (limit, limit));
    let spent = [facts.resolve, facts.connect, facts.start];
    let spent: Duration = spent.into_iter().flatten().sum();
    let whole = context.policy.host_timeout;
    let whole = whole.map(|limit| (limit, limit.saturating_sub(spent)));
    own.into_iter().chain(whole).min_by_key(|(_, left)| *left)
}

/// Returns when the first of the command's limits is reached.
async fn first_limit(
    command_clock: &CommandClock<'_>,
    command: Option<(Duration, Duration)>,
    idle: Option<Duration>,
) -> TransportError {
    let whole = async {
        match command {
            Some((after, left)) => {
                command_clock.passed(left).await;
                after
            }
            None => std::future::pending().await,
        }
    };
    let silent = async {
        match idle {
            Some(after) => {
                command_clock.silent(after).await;
                after
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        after = whole => TransportError::CommandTimeout { after },
        after = silent => TransportError::IdleTimeout { after },
    }
}

/// Reads the output that a command had written when its limit was reached. Returns the end of the command if that was
/// among it.
///
/// `wait_for_reader` also reads output that the reader of the reports holds back. A signal that stops the run ends that
/// wait.
pub(super) async fn last_read<S: Session>(
    session: &mut S,
    clock: &ProcessClock,
    output: &Output,
    wait_for_reader: bool,
    mut cancelled: CancelWatch,
) -> Option<Result<RemoteExit, TransportError>> {
    let command_clock = CommandClock::begin(clock, output);
    let most = output.sent() + LAST_CHUNKS;
    let nothing_more = async {
        loop {
            let sent = output.sent();
            // Data in the kernel shows after a turn of the event loop.
            tokio::task::yield_now().await;
            if output.sent() >= most {
                return;
            }
            if output.is_waiting() {
                if !wait_for_reader {
                    return;
                }
                output.freed().await;
            } else if output.sent() == sent {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = cancelled.by_signal(), if wait_for_reader => None,
        // This branch comes before the output: when an endless stream has used up the task's budget in tokio, timers do
        // not fire.
        () = command_clock.passed(LAST_READ) => None,
        ended = session.pump(output) => Some(ended),
        () = nothing_more => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::lose_the_cpu;
    use crate::reader::Reader;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_limit_may_begin_in_a_delay_that_becomes_a_stop() {
        let clock = ProcessClock::default();
        let measuring = tokio::spawn(clock.clone().measure());
        tokio::task::yield_now().await;
        let (sender, _receiver) = mpsc::channel(1);
        let output = Output::new(sender, Reader::default(), clock.clone(), None);
        lose_the_cpu(Duration::from_millis(450));
        let command_clock = CommandClock::begin(&clock, &output);
        lose_the_cpu(Duration::from_millis(100));
        assert_eq!(
            command_clock.left(Duration::from_secs(1)),
            Duration::from_secs(1)
        );
        measuring.abort();
    }
}
