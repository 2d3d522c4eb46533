//! The listeners to which daemons call back for standard error, shared by all sessions of a run.
//!
//! A session has a listener to itself while its connection is being set up; then the listener serves
//! the next. Where all are held by slow hosts, sessions to different addresses share one, so that the
//! dead cannot stall the living. A call from the address that a session connected to is that
//! session's. A call from anywhere else may come from a host with several addresses: it is kept until a
//! session of the same listener has the daemon's answer but no call; if it is the only one, it is that
//! session's. Once there has been such a call, listeners are shared with slow sessions only, so that it
//! stays the only one. What nobody waits for is reset and counted.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::ports::{ListenerLease, PortPool, RESERVED, bind};
use crate::transport::stream::Connection;
use crate::transport::{Budget, Lag};

/// The most listeners of a run; past that they are shared.
const MAX_LISTENERS: usize = 64;

/// How long a session waits for a listener of its own, and after which one that waits for its call
/// counts as slow.
const SHARE_AFTER: Duration = Duration::from_millis(200);

/// The most calls from unexpected addresses that one listener keeps.
const MAX_UNCLAIMED: usize = 16;

/// How long to let an accept rest that failed, for want of descriptors for example.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// All listeners of a run. Dropping it closes them.
#[derive(Debug)]
pub struct Listeners {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    pool: PortPool,
    /// Whether callers must have a source port in 512–1023.
    reserved_callers: bool,
    state: Mutex<State>,
    /// As many permits as there are listeners, opened or not, that no session waits on.
    idle: Arc<Semaphore>,
    /// Some session has left a listener.
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// Lines that no session waits on, the last used last.
    idle: Vec<usize>,
    next_id: u64,
    /// A host has called from another address than the one that was called.
    other_addresses: bool,
    strays: Strays,
}

/// One listener.
#[derive(Debug)]
struct Line {
    listener: Arc<TcpListener>,
    waiting: Vec<Waiter>,
    unclaimed: Vec<Call>,
    /// Peers whose sessions gave up while a call may still be on its way: the next session to such a
    /// peer must not get it.
    burnt: HashSet<IpAddr>,
    /// Held while any session waits on it.
    held: Option<OwnedSemaphorePermit>,
    port: u16,
    _lease: ListenerLease,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    peer: IpAddr,
    since: Instant,
    /// The process's lag at that moment: what came later is not the host's.
    behind: Duration,
    give: oneshot::Sender<Connection>,
}

/// A call from an address that no session of its listener connected to.
#[derive(Debug)]
struct Call {
    connection: Connection,
    from: SocketAddr,
}

/// Connections to the listeners that no session expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// How many there were.
    pub count: u64,
    /// Where the first came from.
    pub first: Option<SocketAddr>,
}

impl Listeners {
    /// No listener yet; they are opened as sessions need them.
    #[must_use]
    pub fn new(pool: PortPool, reserved_callers: bool) -> Self {
        let shared = Shared {
            pool,
            reserved_callers,
            state: Mutex::default(),
            idle: Arc::new(Semaphore::new(MAX_LISTENERS)),
            released: Notify::new(),
        };
        Listeners {
            shared: Arc::new(shared),
            tasks: Mutex::default(),
        }
    }

    /// Sees to it that there is a listener at all, so that no session connects in vain.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AddrInUse`] if other programs have all ports now.
    pub fn prepare(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        match state.lines.is_empty() {
            true => {
                let line = self.open(&mut state)?;
                state.idle.push(line);
                Ok(())
            }
            false => Ok(()),
        }
    }

    /// Enlists a session that will name its listener's port to the daemon at `peer`.
    pub async fn expect(&self, peer: IpAddr, lag: &Lag) -> Expected {
        let peer = peer.to_canonical();
        if let Ok(permit) = Arc::clone(&self.shared.idle).try_acquire_owned()
            && let Some(expected) = self.alone(peer, permit, lag)
        {
            return expected;
        }
        // Boxed, since every session's size would be that of this rarer path.
        Box::pin(self.expect_in_line(peer, lag)).await
    }

    /// Waits for a listener of its own, but not for long; then for one that can be shared.
    async fn expect_in_line(&self, peer: IpAddr, lag: &Lag) -> Expected {
        let turn = Arc::clone(&self.shared.idle).acquire_owned();
        // Calls that wait here unanswered, since this process is behind, say nothing of their hosts.
        if let Some(Ok(permit)) = Budget::new(SHARE_AFTER, lag.clone()).spend(turn).await
            && let Some(expected) = self.alone(peer, permit, lag)
        {
            return expected;
        }
        loop {
            let released = self.shared.released.notified();
            if let Some(expected) = self.shared(peer, lag) {
                return expected;
            }
            // Others become slow, too, and with that shareable.
            let _ = timeout(SHARE_AFTER, released).await;
        }
    }

    /// A place at a listener on which nobody waits; the permit says that there is one.
    fn alone(&self, peer: IpAddr, permit: OwnedSemaphorePermit, lag: &Lag) -> Option<Expected> {
        let mut state = self.shared.lock();
        let clean = |state: &State, i: usize| !state.lines[i].burnt.contains(&peer);
        let line = match state.idle.iter().rposition(|&i| clean(&state, i)) {
            Some(at) => state.idle.remove(at),
            // No port or no descriptor for another listener only means that sessions share.
            None if state.lines.len() < MAX_LISTENERS => self.open(&mut state).ok()?,
            None => return None,
        };
        state.lines[line].held = Some(permit);
        Some(self.enlist(&mut state, line, peer, lag))
    }

    /// A place at the least crowded listener that does not expect `peer` yet.
    fn shared(&self, peer: IpAddr, lag: &Lag) -> Option<Expected> {
        let mut state = self.shared.lock();
        let (now, behind) = (Instant::now(), lag.total());
        let slow = |w: &Waiter| (now - w.since).saturating_sub(behind - w.behind) >= SHARE_AFTER;
        let only_slow = state.other_addresses;
        let fits = |line: &Line| {
            line.waiting
                .iter()
                .all(|w| w.peer != peer && (!only_slow || slow(w)))
        };
        let line = (0..state.lines.len())
            .filter(|&i| fits(&state.lines[i]))
            .min_by_key(|&i| {
                let line = &state.lines[i];
                (line.burnt.contains(&peer), line.waiting.len())
            })?;
        // Idle ones are among them where they were burnt for this peer.
        state.idle.retain(|&i| i != line);
        Some(self.enlist(&mut state, line, peer, lag))
    }

    fn enlist(&self, state: &mut State, line: usize, peer: IpAddr, lag: &Lag) -> Expected {
        let id = state.next_id;
        state.next_id += 1;
        let (give, call) = oneshot::channel();
        let at = &mut state.lines[line];
        at.waiting.push(Waiter {
            id,
            peer,
            since: Instant::now(),
            behind: lag.total(),
            give,
        });
        Expected {
            shared: Arc::clone(&self.shared),
            line,
            id,
            peer,
            port: at.port,
            call,
            ended: false,
        }
    }

    fn open(&self, state: &mut State) -> io::Result<usize> {
        let (listener, lease) = bind::listen(&self.shared.pool, !state.lines.is_empty())?;
        let port = listener.local_addr()?.port();
        let listener = Arc::new(listener);
        let line = state.lines.len();
        state.lines.push(Line {
            listener: Arc::clone(&listener),
            waiting: Vec::new(),
            unclaimed: Vec::new(),
            burnt: HashSet::new(),
            held: None,
            port,
            _lease: lease,
        });
        let shared = Arc::clone(&self.shared);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((call, from)) => shared.dispatch(line, call, from),
                    // Reset by the daemon before it could be accepted.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => tokio::time::sleep(ACCEPT_REST).await,
                }
            }
        });
        Ok(line)
    }

    /// The connections so far that no session expected.
    #[must_use]
    pub fn strays(&self) -> Strays {
        self.shared.lock().strays.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below the lock is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an accepted call to whom it belongs; dropping it resets it.
    fn dispatch(&self, line: usize, call: TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let connection = Connection::new(call);
        let mut state = self.lock();
        let State {
            lines,
            strays,
            other_addresses,
            ..
        } = &mut *state;
        let line = &mut lines[line];
        if self.reserved_callers && !RESERVED.contains(&from.port()) {
            strays.add(from);
        } else if let Some(i) = line.waiting.iter().position(|w| w.peer == from.ip()) {
            // Not taken if the session has just ended, which is no news.
            let _ = line.waiting.swap_remove(i).give.send(connection);
        } else if line.burnt.contains(&from.ip()) {
            // Late: its host has been given up and reported.
        } else if line.waiting.is_empty() || line.unclaimed.len() >= MAX_UNCLAIMED {
            strays.add(from);
        } else {
            *other_addresses = true;
            line.unclaimed.push(Call { connection, from });
        }
    }

    /// Takes in the calls that the kernel has for a listener already, without waiting.
    fn drain(&self, line: usize) {
        let listener = Arc::clone(&self.lock().lines[line].listener);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let (fd, from) = match rustix::net::acceptfrom_with(&*listener, flags) {
                Ok((fd, Some(from))) => (fd, from),
                Ok((_, None)) | Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(_) => return,
            };
            let stream = TcpStream::from_std(std::net::TcpStream::from(fd));
            if let (Ok(stream), Ok(from)) = (stream, SocketAddr::try_from(from)) {
                self.dispatch(line, stream, from);
            }
        }
    }
}

impl Strays {
    fn add(&mut self, from: SocketAddr) {
        self.count += 1;
        self.first.get_or_insert(from);
    }
}

/// A session's place at a listener. Dropped without a call, it takes care that a late one is not taken
/// for another session's.
#[derive(Debug)]
pub struct Expected {
    shared: Arc<Shared>,
    line: usize,
    id: u64,
    peer: IpAddr,
    port: u16,
    call: oneshot::Receiver<Connection>,
    ended: bool,
}

impl Expected {
    /// The port to name to the daemon.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The call, when it comes. Cancel safe.
    pub(super) async fn call(&mut self) -> Connection {
        match (&mut self.call).await {
            Ok(call) => {
                self.leave(false);
                call
            }
            // The listeners are gone, so the run is ending and drops this future.
            Err(_) => std::future::pending().await,
        }
    }

    /// The call, if it is there already: to be asked when the daemon has answered, since every daemon
    /// calls before it does. Takes one from an unexpected address if it can only be this session's.
    pub(super) fn claim(&mut self) -> Option<Connection> {
        self.shared.drain(self.line);
        if let Ok(call) = self.call.try_recv() {
            self.leave(false);
            return Some(call);
        }
        let mut state = self.shared.lock();
        let only = match state.lines[self.line].unclaimed.as_slice() {
            [_] => state.lines[self.line].unclaimed.pop()?.connection,
            _ => return None,
        };
        drop(state);
        self.leave(false);
        Some(only)
    }

    /// Ends the wait. `late` says that the call may still come.
    fn leave(&mut self, late: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut state = self.shared.lock();
        let state = &mut *state;
        let line = &mut state.lines[self.line];
        line.waiting.retain(|w| w.id != self.id);
        if late {
            line.burnt.insert(self.peer);
        }
        if line.waiting.is_empty() {
            for call in line.unclaimed.drain(..) {
                state.strays.add(call.from);
            }
            line.held = None;
            if !state.idle.contains(&self.line) {
                state.idle.push(self.line);
            }
        }
        self.shared.released.notify_waiters();
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // A call may have been handed over and not taken.
        let late = self.call.try_recv().is_err();
        self.leave(late);
    }
}
