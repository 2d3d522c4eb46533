//! The pool's memory of the ports towards one peer: nothing for most ports, a few bytes for the others.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, sleep_until};

/// Use of a pair of a port and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A lease of this pool has the pair.
    Leased,
    /// The peer's kernel keeps the pair in TIME_WAIT: usable on most systems, but other pairs are better.
    CoolingThere { until: Instant },
    /// This kernel keeps the pair in TIME_WAIT: usable only where TCP timestamps are in use.
    CoolingHere { until: Instant },
    /// This kernel refused the pair.
    Blocked { until: Instant },
}

/// The ports with a known use towards one peer, sorted by port.
// Small, since a program that calls twenty thousand hosts has twenty thousand of these.
#[derive(Debug, Default)]
pub(crate) struct PeerPorts {
    /// True if a port towards this peer was requested. If false, only sockets of other programs are known.
    pub(crate) called: bool,
    uses: Vec<(u16, Use)>,
    waiters: Option<Arc<Notify>>,
}

impl PeerPorts {
    pub(crate) fn get(&self, port: u16) -> Option<Use> {
        let at = self.uses.binary_search_by_key(&port, |u| u.0).ok()?;
        Some(self.uses[at].1)
    }

    /// Sets the use of a port and returns its previous use.
    pub(crate) fn set(&mut self, port: u16, to: Use) -> Option<Use> {
        match self.uses.binary_search_by_key(&port, |u| u.0) {
            Ok(at) => Some(std::mem::replace(&mut self.uses[at].1, to)),
            Err(at) => {
                if self.uses.capacity() == 0 {
                    // Most peers get one connection.
                    self.uses.reserve_exact(1);
                }
                self.uses.insert(at, (port, to));
                None
            }
        }
    }

    pub(crate) fn clear(&mut self, port: u16) {
        if let Ok(at) = self.uses.binary_search_by_key(&port, |u| u.0) {
            self.uses.remove(at);
        }
    }

    /// Returns a wait for this peer's next release, which ends at `until` at the latest.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> PortWait {
        let notify = self.waiters.get_or_insert_with(|| Arc::new(Notify::new()));
        let mut released = Box::pin(Arc::clone(notify).notified_owned());
        // The wait is in the queue from now on, so that a release before the first poll is not missed.
        released.as_mut().enable();
        PortWait {
            released: Some(released),
            until,
        }
    }

    pub(crate) fn wake_one(&self) {
        if let Some(waiters) = &self.waiters {
            // One release frees one pair, so only one task can use it.
            waiters.notify_one();
        }
    }

    /// True if nothing here is needed any more.
    pub(crate) fn is_forgettable(&self, now: Instant) -> bool {
        let waited_for = self
            .waiters
            .as_ref()
            // A task that waits holds a reference to the notifier.
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

/// A wait for a free port towards a peer. It holds no port.
#[derive(Debug)]
pub struct PortWait {
    released: Option<Pin<Box<OwnedNotified>>>,
    until: Option<Instant>,
}

impl PortWait {
    /// Returns a wait for a point in time alone.
    #[must_use]
    pub fn until(until: Instant) -> Self {
        PortWait {
            released: None,
            until: Some(until),
        }
    }

    /// Time at which the wait ends at the latest, if that is known.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Waits until another attempt to lease a port makes sense. Several tasks may wait for one peer: each release ends
    /// one wait.
    pub async fn wait(self) {
        let PortWait { released, until } = self;
        let released = async {
            match released {
                Some(released) => released.await,
                None => std::future::pending().await,
            }
        };
        let reached = async {
            match until {
                Some(time) => sleep_until(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = released => {}
            () = reached => {}
        }
    }
}
