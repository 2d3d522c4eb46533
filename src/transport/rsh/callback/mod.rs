//! Sockets of the callback listeners, which all sessions of a run share. Daemons connect to them for standard error.
//!
//! [`table`] decides which session gets a callback.

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

use crate::transport::stream::TcpConnection;
pub(super) use caller::Caller;
pub(super) use table::Strays;
use table::{CallbackMessage, ListenerTable, Registration};

mod caller;
mod table;
#[cfg(test)]
mod tests;

/// Pause after a failed accept, for example without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Maximum number of listeners if the kernel chooses their ports.
const MAX_EPHEMERAL: usize = 256;

/// Number of attempts to get an unused port from the kernel.
const EPHEMERAL_ATTEMPTS: usize = 8;

/// All listeners of a run. Dropping this closes them.
#[derive(Debug)]
pub(super) struct Listeners {
    shared: Arc<SharedListeners>,
}

#[derive(Debug)]
struct SharedListeners {
    pool: PortPool,
    /// True if callbacks must come from a source port in 512–1023.
    reserved_callers: bool,
    table: Mutex<ListenerTable<OpenListener, TcpConnection>>,
}

/// A listener that accepts callbacks until it is dropped.
#[derive(Debug)]
struct OpenListener {
    listener: Arc<TcpListener>,
    accepting: JoinHandle<()>,
}

impl Drop for OpenListener {
    fn drop(&mut self) {
        // The task and its socket are dropped later, and the port would count as listened on until then. A shutdown
        // can fail only on a socket that is closed already.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        self.accepting.abort();
    }
}

impl Listeners {
    /// Creates an empty set; listeners are opened when sessions need them. `networks` is true if the user has named
    /// networks from which some hosts call back.
    pub(super) fn new(pool: PortPool, reserved_callers: bool, networks: bool) -> Self {
        // No connection can start at a port with a listener, so half of the ports are left for connections.
        let (most, ports) = match pool.span() {
            Some((_, ports)) => (ports / 2, ports),
            None => (MAX_EPHEMERAL, usize::MAX),
        };
        let shared = SharedListeners {
            pool,
            reserved_callers,
            table: Mutex::new(ListenerTable::new(most, ports, networks)),
        };
        Listeners {
            shared: Arc::new(shared),
        }
    }

    /// Opens the first listener, so that no session connects without one.
    ///
    /// # Errors
    /// A system error; [`io::ErrorKind::AddrInUse`] if other programs use all ports.
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

    /// Registers a session whose daemon `caller` gets the listener's port. Waits until a listener can take it.
    pub(super) async fn expect(&self, caller: Caller) -> ExpectedCallback {
        let registered = {
            let mut table = self.shared.lock();
            let registered = table.register(caller, &mut self.shared.opener());
            registered.map_err(|caller| table.queue(caller))
        };
        match registered {
            Ok(registration) => ExpectedCallback::new(Arc::clone(&self.shared), registration),
            // Boxed, since the future would have the size of this rare path.
            Err(registration) => {
                let shared = Arc::clone(&self.shared);
                Box::pin(
                    QueuedSession {
                        shared,
                        registration,
                    }
                    .wait(),
                )
                .await
            }
        }
    }

    /// True if a listener may use a port that was not sent to any host yet.
    pub(super) fn have_unused_port(&self) -> bool {
        self.shared.lock().has_unused_port()
    }

    /// Returns the connections so far that no session expected.
    pub(super) fn strays(&self) -> Strays {
        self.shared.lock().strays()
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.shared.lock().close();
    }
}

impl SharedListeners {
    fn lock(&self) -> MutexGuard<'_, ListenerTable<OpenListener, TcpConnection>> {
        // Every change under the lock is complete in itself.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a function that opens further listeners for the table.
    fn opener(
        self: &Arc<Self>,
    ) -> impl FnMut(&dyn Fn(u16) -> Option<usize>) -> Option<(u16, OpenListener)> {
        let shared = Arc::clone(self);
        // Without a port or descriptor for another listener the sessions share.
        move |index| shared.open(true, index).ok()
    }

    /// Opens a listener on a port that `index` accepts.
    fn open(
        self: &Arc<Self>,
        wanted: bool,
        index: &dyn Fn(u16) -> Option<usize>,
    ) -> io::Result<(u16, OpenListener)> {
        // A session may be dropped after the runtime has ended.
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
                    OpenListener {
                        listener,
                        accepting,
                    },
                ));
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Passes an accepted callback to its session. Dropping it resets it.
    fn dispatch(self: &Arc<Self>, index: usize, callback: TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let connection = TcpConnection::new(callback);
        let mut table = self.lock();
        if self.reserved_callers && !RESERVED.contains(&from.port()) {
            table.refuse(from);
        } else {
            table.dispatch(index, connection, from, &mut self.opener());
        }
    }

    /// Accepts the callbacks that the kernel has already queued for a listener, without waiting.
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

/// Accepts callbacks until the task is aborted. The lease is returned after the listener is closed.
async fn accept(
    shared: Arc<SharedListeners>,
    index: usize,
    listener: Arc<TcpListener>,
    lease: ListenerLease,
) {
    let _lease = lease;
    let listener = listener;
    loop {
        match listener.accept().await {
            Ok((callback, from)) => shared.dispatch(index, callback, from),
            // The daemon reset the connection before it was accepted.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A session that waits for a listener. If it is dropped after it got one, it returns it.
struct QueuedSession {
    shared: Arc<SharedListeners>,
    registration: oneshot::Receiver<Registration<TcpConnection>>,
}

impl QueuedSession {
    async fn wait(mut self) -> ExpectedCallback {
        match (&mut self.registration).await {
            Ok(registration) => ExpectedCallback::new(Arc::clone(&self.shared), registration),
            // The listeners are closed, so the run is ending and drops this future.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for QueuedSession {
    fn drop(&mut self) {
        // Closed first: a registration that is sent after the check would be lost, and its listener with it.
        self.registration.close();
        if let Ok(registration) = self.registration.try_recv() {
            drop(ExpectedCallback::new(
                Arc::clone(&self.shared),
                registration,
            ));
        }
    }
}

/// A session's right to a callback. If it is dropped without one, a late callback is not given to another session.
#[derive(Debug)]
pub(super) struct ExpectedCallback {
    shared: Arc<SharedListeners>,
    registration: Registration<TcpConnection>,
}

/// Event for a session that waits for its callback.
#[derive(Debug)]
pub(super) enum CallbackEvent {
    /// Its callback.
    Connection(TcpConnection),
    /// A callback came from an address that belongs to no waiting session.
    UnknownAddress,
}

impl ExpectedCallback {
    fn new(
        shared: Arc<SharedListeners>,
        registration: Registration<TcpConnection>,
    ) -> ExpectedCallback {
        ExpectedCallback {
            shared,
            registration,
        }
    }

    /// Port that the request names to the daemon.
    pub(super) fn port(&self) -> u16 {
        self.registration.port
    }

    /// True if the command can be sent before the callback has come.
    pub(super) fn at_once(&self) -> bool {
        self.registration.at_once
    }

    /// True if a callback from any address may be taken.
    pub(super) fn is_private(&self) -> bool {
        self.registration.private
    }

    /// Waits for the next event. Cancel safe. Must not be called again after the callback.
    pub(super) async fn next_event(&mut self) -> CallbackEvent {
        match (&mut self.registration.messages).await {
            Ok(CallbackMessage::Connection(callback)) => CallbackEvent::Connection(callback),
            Ok(CallbackMessage::UnknownAddress(more)) => {
                self.registration.messages = more;
                CallbackEvent::UnknownAddress
            }
            // The listeners are closed, so the run is ending and drops this future.
            Err(_) => std::future::pending().await,
        }
    }

    /// Returns the callback if it has arrived.
    pub(super) fn arrived(&mut self) -> Option<TcpConnection> {
        self.shared.drain(self.registration.listener);
        loop {
            match self.registration.messages.try_recv() {
                Ok(CallbackMessage::Connection(callback)) => return Some(callback),
                Ok(CallbackMessage::UnknownAddress(more)) => self.registration.messages = more,
                Err(_) => return None,
            }
        }
    }

    /// Returns the callback if it has arrived. For use after the daemon's answer, since every daemon calls back
    /// before it answers. Takes a callback from an unknown address if it can only be this session's.
    pub(super) fn claim(&mut self) -> Option<TcpConnection> {
        if let Some(callback) = self.arrived() {
            return Some(callback);
        }
        // The daemon has answered, so a single unclaimed callback at a private listener can only be its own.
        let mut table = self.shared.lock();
        table.claim(&self.registration, &mut self.shared.opener())
    }
}

impl Drop for ExpectedCallback {
    fn drop(&mut self) {
        let mut table = self.shared.lock();
        table.leave(&self.registration, &mut self.shared.opener());
    }
}
