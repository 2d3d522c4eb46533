//! The pool: the state of every port and of every pair of a port and a peer.
//!
//! The pool learns from the kernel's answers. If no pair is free, the caller waits; that is never an error. This file
//! has no socket: [`bind`](crate::bind) makes them, [`kernel`](crate::kernel) lists those of the machine at the start,
//! and the tests run on a paused clock.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::kernel::{KernelSocket, KernelState};
use crate::lease::{Ending, ListenerLease, PortLease};
use crate::peer::{PeerPorts, PortWait, Use};

#[cfg(test)]
mod tests;

/// Time for which Linux keeps a connection in TIME_WAIT, with the slack of its timer: 60 s by
/// `TCP_TIMEWAIT_LEN`, 62 s as measured. No setting shortens it.
pub const TIME_WAIT: Duration = Duration::from_secs(62);

/// Time until another attempt with a port or pair that the kernel refused without a reason.
const RETRY: Duration = Duration::from_secs(1);

/// Time until another attempt after the kernel had no ephemeral port left.
const EPHEMERAL_RETRY: Duration = Duration::from_millis(100);

/// Number of ports from which a pool connects while they suffice. Different peers can share one port, and every port
/// in use here is lost for programs that do not set `SO_REUSEADDR`.
const WINDOW: usize = 16;

/// Number of remembered peers from which the pool looks for peers to forget.
const FIRST_SWEEP: usize = 1024;

/// A pool of source ports. A clone is cheap and is the same pool.
///
/// ```
/// use reserved_ports::PortPool;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pool = PortPool::new(vec![600, 601], 7);
/// let (one, two) = ("192.0.2.1:514".parse().unwrap(), "192.0.2.2:514".parse().unwrap());
///
/// // Every peer has the whole range.
/// let leases = [one, one, two, two].map(|peer| pool.lease(peer).unwrap());
///
/// // Both ports are in use towards the first peer. A lease that is dropped ends the wait.
/// let wait = pool.lease(one).unwrap_err();
/// drop(leases);
/// wait.wait().await;
/// assert!(pool.lease(one).is_ok());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PortPool {
    shared: Arc<Mutex<PoolState>>,
}

#[derive(Debug)]
struct PoolState {
    /// Ports in the pool's own random order; empty if the kernel chooses. The first [`WINDOW`] are for connections, and
    /// the next ones are used where these are taken. Listeners come from the end.
    walk: Vec<u16>,
    /// State of each port independent of the peer, in the same order.
    ports: Vec<PortUse>,
    /// Index in the window at which the next search starts.
    cursor: usize,
    peers: HashMap<SocketAddr, PeerPorts>,
    /// Number of peers at which those with nothing left to remember are dropped.
    sweep_at: usize,
    /// Time before which the kernel is not asked for an ephemeral port again.
    ephemeral_after: Option<Instant>,
}

/// State of a port independent of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortUse {
    /// Not known to be in use.
    Open,
    /// Another program has connections on it and may or may not share it: used after better ones.
    Doubtful { until: Instant },
    /// Another program holds it or listens on it.
    Foreign { until: Instant },
    /// A listener lease holds it.
    Listening,
}

impl PortPool {
    /// Returns a pool of `ports`, in a random order made from `seed`. Two programs side by side need different seeds,
    /// so that they do not use the same ports first.
    #[must_use]
    pub fn new(mut ports: Vec<u16>, seed: u64) -> Self {
        // Programs that take ports in ascending order compete for the same ones.
        fastrand::Rng::with_seed(seed).shuffle(&mut ports);
        PortPool {
            shared: Arc::new(Mutex::new(PoolState {
                ports: vec![PortUse::Open; ports.len()],
                walk: ports,
                cursor: 0,
                peers: HashMap::new(),
                sweep_at: FIRST_SWEEP,
                ephemeral_after: None,
            })),
        }
    }

    /// Returns a pool that lets the kernel choose among its ephemeral ports.
    #[must_use]
    pub fn ephemeral() -> Self {
        PortPool::new(Vec::new(), 0)
    }

    /// Takes over the state of the machine's sockets, as [`kernel::sockets`](crate::kernel::sockets) lists them. To be
    /// called once, before the first lease.
    pub fn observe(&self, sockets: &[KernelSocket]) {
        let now = Instant::now();
        let mut state = self.lock();
        let place: HashMap<u16, usize> = state
            .walk
            .iter()
            .enumerate()
            .map(|(i, &p)| (p, i))
            .collect();
        for socket in sockets {
            let Some(&i) = place.get(&socket.local.port()) else {
                continue;
            };
            let until = match socket.state {
                // A bind to the port of a listener fails even with SO_REUSEADDR.
                KernelState::Listen => {
                    state.ports[i] = PortUse::Foreign { until: now + RETRY };
                    continue;
                }
                KernelState::Waiting(left) => {
                    let until = now + left;
                    let peer = state.peers.entry(socket.peer).or_default();
                    peer.set(socket.local.port(), Use::CoolingHere { until });
                    until
                }
                KernelState::Live => {
                    let peer = state.peers.entry(socket.peer).or_default();
                    peer.set(socket.local.port(), Use::Blocked { until: now + RETRY });
                    // The connection may end at any time, and then stays in TIME_WAIT.
                    now + TIME_WAIT
                }
            };
            state.ports[i] = match state.ports[i] {
                PortUse::Open => PortUse::Doubtful { until },
                PortUse::Doubtful { until: known } => PortUse::Doubtful {
                    until: until.max(known),
                },
                other => other,
            };
        }
    }

    /// Leases a port for a connection to `peer`.
    ///
    /// The first of these that exists:
    ///
    /// 1. a port that is not known to be in use;
    /// 2. a port whose last connection to this peer was closed first by the peer, the longest ago;
    /// 3. a port on which another program has connections;
    /// 4. a port whose last connection to this peer was closed first by this side: Linux lets it be used again early
    ///    if both sides use TCP timestamps.
    ///
    /// # Errors
    /// No pair is free. The [`PortWait`] holds no port.
    pub fn lease(&self, peer: SocketAddr) -> Result<PortLease, PortWait> {
        let now = Instant::now();
        let mut state = self.lock();
        let state = &mut *state;
        if state.walk.is_empty() {
            return match state.ephemeral_after {
                Some(until) if until > now => Err(PortWait::until(until)),
                _ => Ok(self.grant(peer, 0, None)),
            };
        }
        let known = state.peers.entry(peer).or_default();
        known.called = true;
        let window = WINDOW.min(state.walk.len());
        match best(&state.walk, &state.ports, state.cursor, known, now) {
            Search::Found(i) => {
                state.cursor = (state.cursor + 1) % window;
                let port = state.walk[i];
                let before = known.set(port, Use::Leased);
                Ok(self.grant(peer, port, before))
            }
            Search::Wait(until) => Err(known.wait(until)),
        }
    }

    /// Leases one of the `allowed` ports for a listener; `None` if each is taken. The port may have connections of this
    /// pool. It gets no new one until the lease is dropped.
    #[must_use]
    pub fn lease_listener(&self, allowed: &dyn Fn(u16) -> bool) -> Option<ListenerLease> {
        let now = Instant::now();
        let mut state = self.lock();
        if state.walk.is_empty() {
            return Some(ListenerLease {
                pool: self.clone(),
                port: 0,
                foreign: false,
            });
        }
        let free = |wanted: fn(PortUse, Instant) -> bool| {
            // Listeners start at the end of the order, away from the window for connections.
            let places = (0..state.walk.len()).rev();
            let mut allowed = places.filter(|&i| allowed(state.walk[i]));
            allowed.find(|&i| wanted(state.ports[i], now))
        };
        let i = free(|p, _| p == PortUse::Open).or_else(|| {
            free(|p, now| match p {
                PortUse::Open | PortUse::Doubtful { .. } => true,
                PortUse::Foreign { until } => until <= now,
                PortUse::Listening => false,
            })
        })?;
        state.ports[i] = PortUse::Listening;
        Some(ListenerLease {
            pool: self.clone(),
            port: state.walk[i],
            foreign: false,
        })
    }

    /// The lowest port, the highest port, and the number of ports; `None` if the kernel chooses.
    #[must_use]
    pub fn span(&self) -> Option<(RangeInclusive<u16>, usize)> {
        let state = self.lock();
        let (lowest, highest) = (state.walk.iter().min()?, state.walk.iter().max()?);
        Some((*lowest..=*highest, state.walk.len()))
    }

    /// At most `most` ports of the pool, chosen at random.
    pub(crate) fn sample(&self, most: usize) -> Vec<u16> {
        let state = self.lock();
        // The order is random already, so equal steps through it give a random sample.
        let step = (state.walk.len() / most.max(1)).max(1);
        state
            .walk
            .iter()
            .step_by(step)
            .take(most)
            .copied()
            .collect()
    }

    /// Addresses to which connections were leased, those of the last minute at least.
    #[must_use]
    pub fn peers(&self) -> HashSet<IpAddr> {
        let state = self.lock();
        let called = state.peers.iter().filter(|(_, peer)| peer.called);
        called.map(|(address, _)| address.ip()).collect()
    }

    /// Number of ports from which a new peer could be connected to at once.
    #[cfg(test)]
    fn capacity(&self) -> usize {
        let state = self.lock();
        state
            .ports
            .iter()
            .filter(|p| matches!(p, PortUse::Open | PortUse::Doubtful { .. }))
            .count()
    }

    fn grant(&self, peer: SocketAddr, port: u16, before: Option<Use>) -> PortLease {
        PortLease {
            pool: self.clone(),
            peer,
            port,
            before,
            ending: Ending::NoTrace,
        }
    }

    pub(crate) fn release(&self, lease: &PortLease) {
        let now = Instant::now();
        let mut state = self.lock();
        if lease.port == 0 {
            // The kernel chooses ephemeral ports, so the pool knows no pair to wait for.
            if lease.ending == Ending::InUse {
                state.ephemeral_after = Some(now + EPHEMERAL_RETRY);
            }
            return;
        }
        if lease.ending == Ending::Foreign && !state.is_listening(lease.port) {
            state.set_port(lease.port, PortUse::Foreign { until: now + RETRY });
        }
        let Some(peer) = state.peers.get_mut(&lease.peer) else {
            return;
        };
        let after = match (lease.ending, lease.before) {
            // A refused or reset connection leaves no TIME_WAIT (RFC 9293).
            (Ending::NoTrace, _) => None,
            (Ending::RemoteFirst, _) => Some(Use::CoolingThere {
                until: now + TIME_WAIT,
            }),
            (Ending::LocalFirst, _) => Some(Use::CoolingHere {
                until: now + TIME_WAIT,
            }),
            // The pair was tried early and the kernel refused it: it is needed until TIME_WAIT ends.
            (Ending::InUse, Some(Use::CoolingHere { until })) if until > now => {
                Some(Use::Blocked { until })
            }
            (Ending::InUse, _) => Some(Use::Blocked { until: now + RETRY }),
            (Ending::Foreign, before) => before,
        };
        match after {
            Some(after) => drop(peer.set(lease.port, after)),
            None => peer.clear(lease.port),
        }
        peer.wake_one();
        if state.peers.len() >= state.sweep_at {
            state.peers.retain(|_, peer| !peer.is_forgettable(now));
            // Twice what had to stay, so that sweeping costs each release a constant share.
            state.sweep_at = FIRST_SWEEP.max(2 * state.peers.len());
        }
    }

    pub(crate) fn release_listener(&self, lease: &ListenerLease) {
        let after = if lease.foreign {
            PortUse::Foreign {
                until: Instant::now() + RETRY,
            }
        } else {
            PortUse::Open
        };
        self.lock().set_port(lease.port, after);
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        // Every change under the lock is complete in itself, so a panic elsewhere leaves the state valid.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolState {
    fn set_port(&mut self, port: u16, to: PortUse) {
        if let Some(i) = self.walk.iter().position(|&p| p == port) {
            self.ports[i] = to;
        }
    }

    fn is_listening(&self, port: u16) -> bool {
        let at = self.walk.iter().position(|&p| p == port);
        at.is_some_and(|i| self.ports[i] == PortUse::Listening)
    }
}

enum Search {
    Found(usize),
    /// No port now; there may be one at this time, or when a lease ends.
    Wait(Option<Instant>),
}

/// Searches the ports: returns the first open one, else the one with the lowest rank. The search starts at `start` in
/// the window and leaves the window only if no port in it is open.
fn best(walk: &[u16], ports: &[PortUse], start: usize, known: &PeerPorts, now: Instant) -> Search {
    // Rank, then the time that orders within it (the earlier to be free goes first), then the place.
    let mut found: Option<(u8, Instant, usize)> = None;
    let mut earliest: Option<Instant> = None;
    let mut offer = |rank, at, i| {
        if found.is_none_or(|(r, t, _)| (rank, at) < (r, t)) {
            found = Some((rank, at, i));
        }
    };
    let mut later = |at: Instant| earliest = Some(earliest.map_or(at, |e| e.min(at)));
    let window = WINDOW.min(walk.len());
    for k in 0..walk.len() {
        let i = if k < window { (start + k) % window } else { k };
        let doubtful = match ports[i] {
            PortUse::Listening => continue,
            PortUse::Foreign { until } if until > now => {
                later(until);
                continue;
            }
            PortUse::Doubtful { until } if until > now => true,
            _ => false,
        };
        match known.get(walk[i]) {
            Some(Use::Leased) => {}
            Some(Use::Blocked { until }) if until > now => later(until),
            Some(Use::CoolingThere { until }) if until > now => offer(1, until, i),
            Some(Use::CoolingHere { until }) if until > now => offer(3, until, i),
            _ if doubtful => offer(2, now, i),
            _ => return Search::Found(i),
        }
    }
    match found {
        Some((_, _, i)) => Search::Found(i),
        None => Search::Wait(earliest),
    }
}
