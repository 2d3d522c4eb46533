//! Sockets on the pool's ports, and the meaning of the kernel's answers. Nothing else binds a port.
//!
//! Every errno of `bind`, `connect` and `listen` that is about a port goes to the pool. It is never the result of a
//! connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::kernel;
use crate::lease::{ListenerLease, PortLease};
use crate::peer::PortWait;
use crate::pool::PortPool;

/// The reason why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// No port is free for this peer now. The caller waits and tries again.
    NoPort(PortWait),
    /// This machine is short of descriptors or memory. Another attempt makes sense after other connections have ended.
    LocalResources(io::Error),
    /// The answer of the network or of the peer.
    Failed(io::Error),
}

/// A connection and the lease of its port, in the order in which they must be dropped.
#[derive(Debug)]
pub struct Outgoing {
    /// The connection.
    pub stream: TcpStream,
    /// The lease of its source port.
    pub lease: PortLease,
}

/// Connects to `peer` from a port of the pool. If a port or a pair is in use, tries the next one.
///
/// The kernel checks a peer that is silent for half a minute, so that a peer that is gone is noticed within a minute.
///
/// Cancel safe: if the future is dropped, the connection is reset, and its port is free at once.
///
/// # Errors
/// See [`ConnectError`].
///
/// ```
/// use reserved_ports::{PortPool, connect};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let pool = PortPool::ephemeral();
/// let outgoing = connect(&pool, server.local_addr().unwrap()).await.unwrap();
/// assert_eq!(outgoing.stream.peer_addr().unwrap(), server.local_addr().unwrap());
/// # }
/// ```
pub async fn connect(pool: &PortPool, peer: SocketAddr) -> Result<Outgoing, ConnectError> {
    let mut pending = Pending(Some(start(pool, peer)?));
    let stream = pending.stream();
    // A connecting socket becomes writable when the peer has answered or the attempt has failed (connect(2)).
    stream.writable().await.map_err(ConnectError::Failed)?;
    match stream.take_error() {
        Ok(None) => Ok(pending.0.take().expect("it is taken here only")),
        Ok(Some(error)) | Err(error) => Err(ConnectError::Failed(error)),
    }
}

/// A connection that is not established yet.
struct Pending(Option<Outgoing>);

impl Pending {
    fn stream(&self) -> &TcpStream {
        let outgoing = self.0.as_ref();
        &outgoing.expect("it is taken at the end only").stream
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(outgoing) = &self.0 {
            // It may have been established meanwhile. A close would then leave its port in TIME_WAIT here.
            // This fails only on a socket that is gone already.
            let _ = outgoing.stream.set_zero_linger();
        }
    }
}

/// Time without any packet from a peer after which the kernel sends it a keep-alive probe.
// With the next two values, a network that fails is noticed within a minute. A peer gets at most two probes a minute.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);

/// Time between two probes without an answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Number of probes without an answer after which the connection fails.
const KEEPALIVE_PROBES: u32 = 3;

/// Time for which data on an accepted connection may stay unacknowledged. Meanwhile the kernel sends no probes.
// Only for connections on which almost nothing is sent, as rshd's second one. The limit would also end a connection
// whose peer takes no more data (measured: `ETIMEDOUT` from a window that stays zero), and a remote command may not
// read its standard input for hours.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Turns on keep-alive probes.
fn set_keepalive(socket: &Socket) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)
}

/// Sends the SYN.
fn start(pool: &PortPool, peer: SocketAddr) -> Result<Outgoing, ConnectError> {
    loop {
        let lease = pool.lease(peer).map_err(ConnectError::NoPort)?;
        let socket = match bound(peer, lease.port()) {
            Ok(socket) => socket,
            Err(error) if is(&error, Errno::ADDRINUSE) || is(&error, Errno::ACCESS) => {
                lease.port_is_foreign();
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        match socket.connect(&peer.into()) {
            Err(error) if is(&error, Errno::ADDRNOTAVAIL) || is(&error, Errno::ADDRINUSE) => {
                // The same errno means that this machine has no source address for such a peer.
                source_address(peer).map_err(ConnectError::Failed)?;
                lease.pair_in_use();
            }
            Err(error) if !is(&error, Errno::INPROGRESS) => return Err(failed(error)),
            _ => {
                let stream = TcpStream::from_std(socket.into()).map_err(failed)?;
                return Ok(Outgoing { stream, lease });
            }
        }
    }
}

fn bound(peer: SocketAddr, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(peer),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    set_keepalive(&socket)?;
    // connect(2) chooses a port by the whole pair. A bind to port 0 would take a port for this socket alone.
    if port == 0 {
        return Ok(socket);
    }
    // All sockets on the port need this option: if one has not, no other can bind.
    socket.set_reuse_address(true)?;
    let local: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => {
            // A socket for both families would conflict with the IPv4 sockets on the port.
            socket.set_only_v6(true)?;
            (Ipv6Addr::UNSPECIFIED, port).into()
        }
    };
    socket.bind(&local.into())?;
    Ok(socket)
}

/// Asks the kernel for a source address towards `peer` without sending anything.
fn source_address(peer: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Connecting a UDP socket looks up the route and sends no packet.
    UdpSocket::bind(any)?.connect(peer)
}

/// Opens a listener on an allowed port of the pool, for IPv4 and, if the machine has it, IPv6.
///
/// No program can connect from a port that has a listener. So an `optional` listener is not opened if half of the
/// pool's ports have one: any number of programs side by side then leave each other ports for connections.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] if no port is left; other errors of the system if they are not about the port.
pub fn listen(
    pool: &PortPool,
    optional: bool,
    allowed: &dyn Fn(u16) -> bool,
) -> io::Result<(TcpListener, ListenerLease)> {
    if optional && is_crowded(pool)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    loop {
        let Some(lease) = pool.lease_listener(allowed) else {
            return Err(io::ErrorKind::AddrInUse.into());
        };
        match listening(lease.port()) {
            Ok(socket) => return Ok((TcpListener::from_std(socket.into())?, lease)),
            Err(error) if is(&error, Errno::ADDRINUSE) || is(&error, Errno::ACCESS) => {
                lease.port_is_foreign();
            }
            Err(error) => return Err(error),
        }
    }
}

/// Number of ports that are tried if the kernel does not list the listeners.
const SAMPLE: usize = 16;

/// True if half of the pool's ports or more have listeners, of any program.
fn is_crowded(pool: &PortPool) -> io::Result<bool> {
    let Some((range, ports)) = pool.span() else {
        return Ok(false);
    };
    if let Ok(listened_on) = kernel::listened_on(&range) {
        return Ok(listened_on >= ports / 2);
    }
    // gVisor and some seccomp filters have no sock_diag. Without it, a bind shows the state of one port.
    let sample = pool.sample(SAMPLE);
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    let mut taken = 0;
    for &port in &sample {
        match bound(any, port) {
            Ok(_) => {}
            Err(error) if is(&error, Errno::ADDRINUSE) || is(&error, Errno::ACCESS) => taken += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(2 * taken >= sample.len())
}

/// Backlog of a listener. The kernel's maximum is `net.core.somaxconn`.
// All peers of a large program may connect at once.
const BACKLOG: i32 = 4096;

fn listening(port: u16) -> io::Result<Socket> {
    let open = |domain, any: SocketAddr| {
        let socket = Socket::new(
            domain,
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        // Accepted connections inherit this.
        set_keepalive(&socket)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        if any.is_ipv6() {
            // One listener for both families, whatever net.ipv6.bindv6only says.
            socket.set_only_v6(false)?;
        }
        socket.bind(&any.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    match open(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()) {
        // A machine without IPv6 has no such family, or no such address.
        Err(error) if is(&error, Errno::AFNOSUPPORT) || is(&error, Errno::ADDRNOTAVAIL) => {
            open(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())
        }
        other => other,
    }
}

/// Checks that this process may bind at least one of the ports. Sends nothing.
///
/// # Errors
/// `EACCES` if this process may bind none of the ports; other errors of the system.
pub fn may_bind(ports: &[u16]) -> io::Result<()> {
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    let mut denied = None;
    // `net.ipv4.ip_unprivileged_port_start` may lie within the range, so the highest are tried first.
    for &port in ports.iter().rev() {
        match bound(any, port) {
            Err(error) if is(&error, Errno::ACCESS) => denied = Some(error),
            // Another program uses the port, so the port is not forbidden to this one.
            Err(error) if is(&error, Errno::ADDRINUSE) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
    }
    match denied {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// True if the error is a shortage of descriptors or memory, which can end when other connections end.
///
/// ```
/// let error = std::io::Error::from_raw_os_error(24); // EMFILE
/// assert!(reserved_ports::is_shortage(&error));
/// ```
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|&e| is(error, e))
}

fn failed(error: io::Error) -> ConnectError {
    if is_shortage(&error) {
        ConnectError::LocalResources(error)
    } else {
        ConnectError::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_dropped_while_it_is_established_is_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pool = PortPool::ephemeral();
        tokio::select! {
            biased;
            // On loopback the handshake is complete when the first poll returns, and this side has not noticed it.
            _ = connect(&pool, listener.local_addr().unwrap()) => panic!("not given up"),
            () = std::future::ready(()) => {}
        }
        let (mut accepted, _) = listener.accept().unwrap();
        let error = accepted.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
