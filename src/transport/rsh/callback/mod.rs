//! The listeners to which daemons call back for standard error, shared by all sessions of a run.
//!
//! [`table`] has the rules for who gets which call; here are the sockets.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reserved_ports::{ListenerLease, PortPool, RESERVED, listen};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::transport::stream::Connection;
pub(super) use callee::Callee;
pub(super) use table::Strays;
use table::{Place, Table, Word};

mod callee;
mod table;
#[cfg(test)]
mod tests;

/// Pause after an accept that failed, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The most listeners of a run whose ports are the kernel's choice.
const MOST_EPHEMERAL: usize = 256;

/// Attempts to get a port from the kernel that has not been used before.
const EPHEMERAL_ATTEMPTS: usize = 8;

/// All listeners of a run. Dropping it closes them.
#[derive(Debug)]
pub(super) struct Listeners {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: PortPool,
    /// Whether callers must have a source port in 512–1023.
    reserved_callers: bool,
    table: Mutex<Table<Open, Connection>>,
}

/// A listener that accepts calls until this is dropped.
#[derive(Debug)]
struct Open {
    listener: Arc<TcpListener>,
    accepting: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // The task is dropped later, and its port would count as listened on until then. It can fail only on
        // a socket that is gone.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        self.accepting.abort();
    }
}

impl Listeners {
    /// No listener yet; they are opened as sessions need them. With `networks` the user has named networks
    /// from which some hosts call back.
    pub(super) fn new(pool: PortPool, reserved_callers: bool, networks: bool) -> Self {
        // No connection can be made from a port with a listener, so half of them are left for those.
        let (most, ports) = match pool.span() {
            Some((_, ports)) => (ports / 2, ports),
            None => (MOST_EPHEMERAL, usize::MAX),
        };
        let shared = Shared {
            pool,
            reserved_callers,
            table: Mutex::new(Table::new(most, ports, networks)),
        };
        Listeners {
            shared: Arc::new(shared),
        }
    }

    /// Sees to it that there is a listener at all, so that no session connects in vain.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AddrInUse`] if other programs have all ports now.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let mut table = self.shared.lock();
        if !table.has_listener() {
            let (port, open) = self
                .shared
                .open(false, &|port| table.unused(port).or(Some(0)))?;
            table.add(port, open);
        }
        Ok(())
    }

    /// Enlists a session that will name its listener's port to the daemon of `callee`. Waits until there is
    /// a listener that can take it.
    pub(super) async fn expect(&self, callee: Callee) -> Expected {
        let placed = {
            let mut table = self.shared.lock();
            let placed = table.place(callee, &mut self.shared.opener());
            placed.map_err(|callee| table.queue(callee))
        };
        match placed {
            Ok(place) => Expected::new(Arc::clone(&self.shared), place),
            // Boxed, since every session's size would be that of this rarer path.
            Err(place) => {
                let shared = Arc::clone(&self.shared);
                Box::pin(Queuing { shared, place }.wait()).await
            }
        }
    }

    /// True if there may be a port of which no host has been told.
    pub(super) fn have_unused_port(&self) -> bool {
        self.shared.lock().has_unused_port()
    }

    /// The connections so far that no session expected.
    pub(super) fn strays(&self) -> Strays {
        self.shared.lock().strays()
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.shared.lock().close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table<Open, Connection>> {
        // Every change below the lock is complete in itself.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens further listeners for the table.
    fn opener(
        self: &Arc<Self>,
    ) -> impl FnMut(&dyn Fn(u16) -> Option<usize>) -> Option<(u16, Open)> {
        let shared = Arc::clone(self);
        // No port or no descriptor for another listener only means that sessions share.
        move |index| shared.open(true, index).ok()
    }

    /// Opens a listener on a port for which `index` has an index.
    fn open(
        self: &Arc<Self>,
        wanted: bool,
        index: &dyn Fn(u16) -> Option<usize>,
    ) -> io::Result<(u16, Open)> {
        // A session may be dropped after the run's end.
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        for _ in 0..EPHEMERAL_ATTEMPTS {
            let allowed = |port| index(port).is_some();
            let (listener, lease) = listen(&self.pool, wanted, &allowed)?;
            let port = listener.local_addr()?.port();
            if let Some(index) = index(port) {
                let listener = Arc::new(listener);
                let accepting = accept(Arc::clone(self), index, Arc::clone(&listener), lease);
                let accepting = runtime.spawn(accepting);
                return Ok((
                    port,
                    Open {
                        listener,
                        accepting,
                    },
                ));
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Gives an accepted call to the session that it belongs to; dropping it resets it.
    fn dispatch(self: &Arc<Self>, index: usize, call: TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let connection = Connection::new(call);
        let mut table = self.lock();
        match self.reserved_callers && !RESERVED.contains(&from.port()) {
            true => table.refuse(from),
            false => table.dispatch(index, connection, from, &mut self.opener()),
        }
    }

    /// Takes in the calls that the kernel has for a listener already, without waiting.
    fn drain(self: &Arc<Self>, index: usize) {
        let Some(listener) = self.lock().listener(index).map(|o| Arc::clone(&o.listener)) else {
            return;
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let (fd, from) = match rustix::net::acceptfrom_with(&*listener, flags) {
                Ok((fd, Some(from))) => (fd, from),
                Ok((_, None)) | Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(_) => return,
            };
            let stream = TcpStream::from_std(std::net::TcpStream::from(fd));
            if let (Ok(stream), Ok(from)) = (stream, SocketAddr::try_from(from)) {
                self.dispatch(index, stream, from);
            }
        }
    }
}

/// Accepts calls until it is aborted. The lease is given back after the listener is closed.
async fn accept(
    shared: Arc<Shared>,
    index: usize,
    listener: Arc<TcpListener>,
    lease: ListenerLease,
) {
    let _lease = lease;
    let listener = listener;
    loop {
        match listener.accept().await {
            Ok((call, from)) => shared.dispatch(index, call, from),
            // Reset by the daemon before it could be accepted.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A session that waits for a listener. Dropped when it has been given one, it gives it back.
struct Queuing {
    shared: Arc<Shared>,
    place: oneshot::Receiver<Place<Connection>>,
}

impl Queuing {
    async fn wait(mut self) -> Expected {
        match (&mut self.place).await {
            Ok(place) => Expected::new(Arc::clone(&self.shared), place),
            // The listeners are gone, so the run is ending and drops this future.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Queuing {
    fn drop(&mut self) {
        self.place.close();
        if let Ok(place) = self.place.try_recv() {
            drop(Expected::new(Arc::clone(&self.shared), place));
        }
    }
}

/// A session's right to a call. Dropped without one, it takes care that a late call is not taken for another
/// session's.
#[derive(Debug)]
pub(super) struct Expected {
    shared: Arc<Shared>,
    place: Place<Connection>,
}

/// What a session that waits for its call learns.
#[derive(Debug)]
pub(super) enum News {
    /// The call.
    Call(Connection),
    /// A call has come from an address that belongs to no waiting session.
    Elsewhere,
}

impl Expected {
    fn new(shared: Arc<Shared>, place: Place<Connection>) -> Expected {
        Expected { shared, place }
    }

    /// The port to name to the daemon.
    pub(super) fn port(&self) -> u16 {
        self.place.port
    }

    /// True if the command can be sent before the call has come.
    pub(super) fn at_once(&self) -> bool {
        self.place.at_once
    }

    /// True if a call from any address may be taken.
    pub(super) fn is_private(&self) -> bool {
        self.place.private
    }

    /// The next news. Cancel safe. Not to be asked again after the call.
    pub(super) async fn news(&mut self) -> News {
        match (&mut self.place.words).await {
            Ok(Word::Call(call)) => News::Call(call),
            Ok(Word::Elsewhere(more)) => {
                self.place.words = more;
                News::Elsewhere
            }
            // The listeners are gone, so the run is ending and drops this future.
            Err(_) => std::future::pending().await,
        }
    }

    /// The call, if it is there already.
    pub(super) fn arrived(&mut self) -> Option<Connection> {
        self.shared.drain(self.place.listener);
        loop {
            match self.place.words.try_recv() {
                Ok(Word::Call(call)) => return Some(call),
                Ok(Word::Elsewhere(more)) => self.place.words = more,
                Err(_) => return None,
            }
        }
    }

    /// The call, if it is there already: to be asked when the daemon has answered, since every daemon
    /// calls before it does. Takes one from an unexpected address if it can only be this session's.
    pub(super) fn claim(&mut self) -> Option<Connection> {
        if let Some(call) = self.arrived() {
            return Some(call);
        }
        let mut table = self.shared.lock();
        table.claim(&self.place, &mut self.shared.opener())
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut table = self.shared.lock();
        table.leave(&self.place, &mut self.shared.opener());
    }
}
