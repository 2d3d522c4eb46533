//! Waiting for a message up to a time, on a thread without an event loop.

use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Instant;

use tokio::sync::mpsc::Receiver;

/// Result of [`receive`].
#[derive(Debug)]
pub(super) enum Received<T> {
    /// A message.
    Message(T),
    /// All senders are dropped.
    Closed,
    /// The time has come.
    TimeIsUp,
}

/// A waker that unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the next message, no longer than `until`. Must not be called in an event loop.
pub(super) fn receive<T>(messages: &mut Receiver<T>, until: Instant) -> Received<T> {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match messages.poll_recv(&mut context) {
            Poll::Ready(Some(message)) => return Received::Message(message),
            Poll::Ready(None) => return Received::Closed,
            Poll::Pending => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Received::TimeIsUp;
        }
        // A spurious wake-up, or a message that came before the call, is handled by the loop.
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn a_message_a_closed_channel_or_the_time_ends_the_wait() {
        let (sender, mut receiver) = mpsc::channel(1);
        let soon = || Instant::now() + Duration::from_millis(10);
        assert!(matches!(receive(&mut receiver, soon()), Received::TimeIsUp));
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            sender.blocking_send(7).unwrap();
        });
        let late = Instant::now() + Duration::from_secs(30);
        assert!(matches!(receive(&mut receiver, late), Received::Message(7)));
        thread.join().unwrap();
        assert!(matches!(receive(&mut receiver, late), Received::Closed));
        assert!(Instant::now() < late);
    }
}
