//! What the pool remembers of the ports towards one peer: nothing for most, a few words for the rest.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use crate::clock::reached;

/// What a (port, peer) pair is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A connection of this run has it.
    Leased,
    /// The peer's kernel keeps it in TIME_WAIT: usable on most systems, but better left alone.
    CoolingThere { until: Instant },
    /// This kernel keeps it in TIME_WAIT: usable only where TCP timestamps are in use.
    CoolingHere { until: Instant },
    /// This kernel has said that it cannot be had.
    Blocked { until: Instant },
}

/// The ports towards one peer of which there is anything to say, sorted by port: small, since a run
/// of twenty thousand hosts keeps twenty thousand of these.
#[derive(Debug, Default)]
pub(super) struct PeerPorts {
    /// This run has asked for a port towards it; without that, other programs' sockets are all that is
    /// known of it.
    pub(super) called: bool,
    uses: Vec<(u16, Use)>,
    waiters: Option<Arc<Notify>>,
}

impl PeerPorts {
    pub(super) fn get(&self, port: u16) -> Option<Use> {
        let at = self.uses.binary_search_by_key(&port, |u| u.0).ok()?;
        Some(self.uses[at].1)
    }

    /// Remembers a use and gives the one before.
    pub(super) fn set(&mut self, port: u16, to: Use) -> Option<Use> {
        match self.uses.binary_search_by_key(&port, |u| u.0) {
            Ok(at) => Some(std::mem::replace(&mut self.uses[at].1, to)),
            Err(at) => {
                if self.uses.capacity() == 0 {
                    // Most peers get one connection in a run.
                    self.uses.reserve_exact(1);
                }
                self.uses.insert(at, (port, to));
                None
            }
        }
    }

    pub(super) fn clear(&mut self, port: u16) {
        if let Ok(at) = self.uses.binary_search_by_key(&port, |u| u.0) {
            self.uses.remove(at);
        }
    }

    /// Enlists a waiter for this peer's next release, at the latest for `until`.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> PortWait {
        let notify = self.waiters.get_or_insert_with(|| Arc::new(Notify::new()));
        let mut released = Box::pin(Arc::clone(notify).notified_owned());
        // In the queue from now on: a release between this and the first poll is not missed.
        released.as_mut().enable();
        PortWait {
            released: Some(released),
            until,
        }
    }

    pub(super) fn wake_one(&self) {
        if let Some(waiters) = &self.waiters {
            waiters.notify_one();
        }
    }

    /// True if dropping all this loses nothing.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        let waited_for = self
            .waiters
            .as_ref()
            .is_some_and(|w| Arc::strong_count(w) > 1);
        !waited_for
            && self.uses.iter().all(|(_, u)| match u {
                Use::Leased => false,
                Use::CoolingThere { until }
                | Use::CoolingHere { until }
                | Use::Blocked { until } => *until <= now,
            })
    }
}

/// What a host waits for when no port is free for its peer. It holds nothing while it waits.
#[derive(Debug)]
pub struct PortWait {
    released: Option<Pin<Box<OwnedNotified>>>,
    until: Option<Instant>,
}

impl PortWait {
    /// Waits for a point in time alone.
    #[must_use]
    pub fn until(until: Instant) -> Self {
        PortWait {
            released: None,
            until: Some(until),
        }
    }

    /// When it ends at the latest, if that is known.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Returns when it is worth asking the pool again.
    pub async fn wait(self) {
        let PortWait { released, until } = self;
        let released = async {
            match released {
                Some(released) => released.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = released => {}
            () = reached(until) => {}
        }
    }
}
