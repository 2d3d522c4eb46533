//! From where: the pool of source ports, which cannot run dry.
//!
//! The unit is not the port but the pair (local port, peer): sockets that all set `SO_REUSEADDR` share a
//! local port as long as their peers differ, so every peer has the whole range to itself. The pool
//! knows what each pair is doing and learns from what the kernel answers; a pair that cannot be had
//! now is waited for, never reported as a failure. There is no socket in this file: [`bind`] makes
//! them, [`kernel`] reads what the machine's ports are doing at the start, and the tests run on a
//! paused clock.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub mod bind;
mod candidates;
mod filter;
pub mod kernel;
mod lease;
mod peer;
#[cfg(test)]
mod tests;

pub use candidates::{Candidates, RESERVED, Skip, candidates};
pub use lease::{ListenerLease, PortLease};
pub use peer::PortWait;

use kernel::{KernelSocket, KernelState};
use peer::{PeerPorts, Use};

/// How long Linux keeps a connection in TIME_WAIT, with the slack of its timer: 60 s by
/// `TCP_TIMEWAIT_LEN`, 62 s as measured. No setting shortens it.
pub const TIME_WAIT: Duration = Duration::from_secs(62);

/// When a port or pair that the kernel refused for a reason it does not give is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// When a kernel that had no ephemeral port left is asked again.
const EPHEMERAL_RETRY: Duration = Duration::from_millis(100);

/// The number of ports from which a run connects as long as nothing is in the way. Different peers can share
/// one port, and every port that is in use here is lost for programs that do not set `SO_REUSEADDR`.
const WINDOW: usize = 16;

/// The number of remembered peers below which forgetting is not worth a look.
const FIRST_SWEEP: usize = 1024;

/// The source ports of a run. Cheap to clone; all clones are one pool.
#[derive(Clone, Debug)]
pub struct PortPool {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The ports in the order of this run's walk; empty if the kernel is to choose. The first [`WINDOW`] are
    /// for connections, the rest for what these cannot serve; listeners come from the end.
    walk: Vec<u16>,
    /// What is known of each port whoever the peer, in the same order.
    ports: Vec<PortUse>,
    /// The place in the window where the next search starts.
    cursor: usize,
    peers: HashMap<SocketAddr, PeerPorts>,
    /// The number of peers at which those with nothing left to remember are dropped.
    sweep_at: usize,
    /// Until when the kernel has no port of its own choice to give.
    ephemeral_after: Option<Instant>,
}

/// What is known of a port, whoever the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortUse {
    /// Nothing stands in the way.
    Open,
    /// Another program has connections on it and may or may not share it: taken after better ones.
    Doubtful { until: Instant },
    /// Another program holds it or listens on it.
    Foreign { until: Instant },
    /// This run listens on it for call-backs.
    Listening,
}

/// How a lease's connection ended, which decides when its pair is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Nothing is left of it on either side: refused, reset, or never made.
    NoTrace,
    /// The other side closed first: its kernel keeps the pair in TIME_WAIT.
    RemoteFirst,
    /// This side closed first: this kernel keeps the pair in TIME_WAIT.
    LocalFirst,
    /// The kernel refused to connect: the pair is in use by something this pool does not know.
    InUse,
    /// The kernel refused to bind: another program holds the port.
    Foreign,
}

impl PortPool {
    /// A pool over `ports`, walked in an order made from `seed`, so that no two runs follow each other or
    /// have the same window.
    #[must_use]
    pub fn new(mut ports: Vec<u16>, seed: u64) -> Self {
        fastrand::Rng::with_seed(seed).shuffle(&mut ports);
        PortPool {
            shared: Arc::new(Mutex::new(State {
                ports: vec![PortUse::Open; ports.len()],
                walk: ports,
                cursor: 0,
                peers: HashMap::new(),
                sweep_at: FIRST_SWEEP,
                ephemeral_after: None,
            })),
        }
    }

    /// A pool that lets the kernel choose among its ephemeral ports.
    #[must_use]
    pub fn ephemeral() -> Self {
        PortPool::new(Vec::new(), 0)
    }

    /// Takes in what the machine's sockets are doing. Called once, before the first lease.
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

    /// Takes a port for a connection to `peer`, the best there is now.
    ///
    /// In order: one that is not known to be anything, first in the run's window and then past it; one whose last connection to this peer the
    /// peer closed first, longest ago; one on which another program has connections; one that this
    /// side closed first, since Linux lets it be used again early where both sides use TCP timestamps.
    ///
    /// # Errors
    /// No pair is free: what to wait for. Waiting holds nothing.
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

    /// Takes one of the `allowed` ports to listen on for call-backs. Connections of this pool that are on the
    /// same port already do no harm; none is put there while the lease lives. `None` if every port is
    /// taken.
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

    /// The lowest and the highest port, and how many there are; `None` if the kernel chooses.
    #[must_use]
    pub fn span(&self) -> Option<(RangeInclusive<u16>, usize)> {
        let state = self.lock();
        let (lowest, highest) = (state.walk.iter().min()?, state.walk.iter().max()?);
        Some((*lowest..=*highest, state.walk.len()))
    }

    /// At most `most` ports, evenly from all of them in random order.
    pub(super) fn sample(&self, most: usize) -> Vec<u16> {
        let state = self.lock();
        let step = (state.walk.len() / most.max(1)).max(1);
        state
            .walk
            .iter()
            .step_by(step)
            .take(most)
            .copied()
            .collect()
    }

    /// The addresses that this run has called of late: those of the last minute at least.
    #[must_use]
    pub fn peers(&self) -> HashSet<IpAddr> {
        let state = self.lock();
        let called = state.peers.iter().filter(|(_, peer)| peer.called);
        called.map(|(address, _)| address.ip()).collect()
    }

    /// The number of ports that a peer with no history could be connected to from at once.
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

    fn release(&self, lease: &PortLease) {
        let now = Instant::now();
        let mut state = self.lock();
        if lease.port == 0 {
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
            (Ending::NoTrace, _) => None,
            (Ending::RemoteFirst, _) => Some(Use::CoolingThere {
                until: now + TIME_WAIT,
            }),
            (Ending::LocalFirst, _) => Some(Use::CoolingHere {
                until: now + TIME_WAIT,
            }),
            // The pair was tried early and the kernel said no: now the time that it needs is known.
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

    fn release_listener(&self, lease: &ListenerLease) {
        let after = match lease.foreign {
            true => PortUse::Foreign {
                until: Instant::now() + RETRY,
            },
            false => PortUse::Open,
        };
        self.lock().set_port(lease.port, after);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below the lock is complete in itself, so a panic elsewhere spoils nothing here.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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
    /// Nothing now; something may be had at this time, or when a lease ends.
    Wait(Option<Instant>),
}

/// One walk over the ports: the first open one at once, else the least bad. The window is walked from
/// `start` on, and what lies past it after that, so that only a conflict leads out of it.
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

/// Which source ports a run uses (`--source-ports`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourcePorts {
    /// 512–1023, which rshd demands, less the ports that others need.
    Reserved,
    /// Whatever the kernel chooses, for daemons that do not check.
    Any,
    /// These.
    Range(RangeInclusive<u16>),
}

impl SourcePorts {
    /// Whether all of them are ports that rshd takes for a privileged caller's.
    #[must_use]
    pub fn are_reserved(&self) -> bool {
        match self {
            SourcePorts::Reserved => true,
            SourcePorts::Any => false,
            SourcePorts::Range(range) => {
                RESERVED.contains(range.start()) && RESERVED.contains(range.end())
            }
        }
    }
}
