//! The limits on a command's time, and what is read before one of them counts.
//!
//! Time in which the reader of the reports holds a command's output back is in none of them.

use std::time::Duration;

use tokio::time::sleep;

use super::cancel::Cancelled;
use super::host_task::Context;
use crate::clock::ProcessClock;
use crate::event::{Facts, RemoteExit};
use crate::transport::{Output, Session, TransportError};

/// The most pieces of output that are read of a command whose time is over, to see whether it had ended:
/// more than the buffers of two kernels hold.
const LAST_PIECES: u64 = 128;

/// The longest time for which they are read.
const LAST_READ: Duration = Duration::from_secs(1);

/// The time after which a command that waits for the reader is looked at again, so that little time that is left to it
/// does not keep the processor busy.
const HELD_BACK: Duration = Duration::from_millis(200);

/// A time from now on in which this process runs and the reader does not hold this output back.
#[derive(Debug)]
pub(super) struct Span<'a> {
    clock: &'a ProcessClock,
    output: &'a Output,
    begun: Duration,
    held_back: Duration,
}

impl<'a> Span<'a> {
    pub(super) fn begin(clock: &'a ProcessClock, output: &'a Output) -> Self {
        Span {
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

    /// Returns when so much time has passed. Cancel safe.
    pub(super) async fn passed(&self, limit: Duration) {
        loop {
            match self.left(limit) {
                Duration::ZERO => return,
                left if self.output.is_waiting() => sleep(left.max(HELD_BACK)).await,
                left => sleep(left).await,
            }
        }
    }

    /// Returns when the command has written nothing for so long. Cancel safe.
    async fn silent(&self, limit: Duration) {
        loop {
            // A command that waits for the reader is not silent.
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

/// Returns when a limit on the command is reached; never, if there is none.
pub(super) async fn out_of_time<T>(
    context: &Context<T>,
    span: &Span<'_>,
    facts: &Facts,
) -> TransportError {
    match (command_limit(context, facts), context.policy.idle_timeout) {
        (None, None) => std::future::pending().await,
        // Boxed: without limits no host's task is larger for them.
        (command, idle) => Box::pin(first_limit(span, command, idle)).await,
    }
}

/// The tighter one of the limits on the command's time: how long it is, and how much is left of it at the
/// command's start.
fn command_limit<T>(context: &Context<T>, facts: &Facts) -> Option<(Duration, Duration)> {
    let own = context.command_timeout.map(|limit| (limit, limit));
    let spent = [facts.resolve, facts.connect, facts.start];
    let spent: Duration = spent.into_iter().flatten().sum();
    let whole = context.policy.host_timeout;
    let whole = whole.map(|limit| (limit, limit.saturating_sub(spent)));
    own.into_iter().chain(whole).min_by_key(|(_, left)| *left)
}

/// Returns when the first of the command's limits is reached.
async fn first_limit(
    span: &Span<'_>,
    command: Option<(Duration, Duration)>,
    idle: Option<Duration>,
) -> TransportError {
    let whole = async {
        match command {
            Some((after, left)) => {
                span.passed(left).await;
                after
            }
            None => std::future::pending().await,
        }
    };
    let silent = async {
        match idle {
            Some(after) => {
                span.silent(after).await;
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

/// Reads what a command whose time is over had written by then, and gives its end if that was among it.
///
/// `patient` waits for the reader of the output; a signal that stops the run ends that wait.
pub(super) async fn last_read<S: Session>(
    session: &mut S,
    clock: &ProcessClock,
    output: &Output,
    patient: bool,
    mut cancelled: Cancelled,
) -> Option<Result<RemoteExit, TransportError>> {
    let span = Span::begin(clock, output);
    let most = output.sent() + LAST_PIECES;
    let nothing_more = async {
        loop {
            let sent = output.sent();
            // What the kernel has for this process shows when the event loop has had a turn.
            tokio::task::yield_now().await;
            if output.sent() >= most {
                return;
            }
            match output.is_waiting() {
                true if patient => output.freed().await,
                true => return,
                false if output.sent() == sent => return,
                false => {}
            }
        }
    };
    tokio::select! {
        biased;
        () = cancelled.by_signal(), if patient => None,
        // Before the output: timers do not fire once a stream without end has used up the task's turn.
        () = span.passed(LAST_READ) => None,
        ended = session.pump(output) => Some(ended),
        () = nothing_more => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Reader;
    use crate::clock::lose_the_cpu;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_limit_may_begin_in_a_delay_that_becomes_a_stop() {
        let clock = ProcessClock::default();
        let measuring = tokio::spawn(clock.clone().measure());
        tokio::task::yield_now().await;
        let (sender, _receiver) = mpsc::channel(1);
        let output = Output::new(sender, Reader::default(), clock.clone());
        lose_the_cpu(Duration::from_millis(450));
        let span = Span::begin(&clock, &output);
        lose_the_cpu(Duration::from_millis(100));
        assert_eq!(span.left(Duration::from_secs(1)), Duration::from_secs(1));
        measuring.abort();
    }
}
