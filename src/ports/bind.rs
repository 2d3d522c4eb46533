//! The one privileged act: sockets on the pool's ports, and what the kernel's answers mean.
//!
//! Every errno of `bind`, `connect` and `listen` that is about a port is evidence for the pool and never
//! a host's result.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use super::{ListenerLease, PortLease, PortPool, PortWait, kernel};

/// Why no connection was made.
#[derive(Debug)]
pub enum ConnectError {
    /// No port is free for this peer now. The host waits; it has not failed.
    NoPort(PortWait),
    /// This machine is short of descriptors or memory. Worth trying again when a host has ended.
    LocalResources(io::Error),
    /// The network's or the host's answer.
    Failed(io::Error),
}

/// A connection and the right to its port, in the order in which they are to be dropped.
#[derive(Debug)]
pub struct Outgoing {
    /// The connection.
    pub stream: TcpStream,
    /// The right to its source port.
    pub lease: PortLease,
}

/// Connects to `peer` from a port of the pool, trying the next one as long as ports are what is wrong.
///
/// Cancel safe: dropped before it is done, the attempt leaves nothing behind.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(pool: &PortPool, peer: SocketAddr) -> Result<Outgoing, ConnectError> {
    let mut wanted = Wanted(Some(start(pool, peer)?));
    let stream = wanted.stream();
    stream.writable().await.map_err(ConnectError::Failed)?;
    match stream.take_error() {
        Ok(None) => Ok(wanted.0.take().expect("it is taken here only")),
        Ok(Some(error)) | Err(error) => Err(ConnectError::Failed(error)),
    }
}

/// A connection on its way. It may come about while it is given up: then it is reset, for closing it would
/// leave its port in TIME_WAIT here.
struct Wanted(Option<Outgoing>);

impl Wanted {
    fn stream(&self) -> &TcpStream {
        let outgoing = self.0.as_ref();
        &outgoing.expect("it is taken at the end only").stream
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if let Some(outgoing) = &self.0 {
            // It can fail only on a socket that is gone already.
            let _ = outgoing.stream.set_zero_linger();
        }
    }
}

/// How long a peer may say nothing at all before it is asked whether it is there, how often it is asked
/// again, and how many questions it may leave open: a network that has ended is noticed within a
/// minute, and a peer that is there is asked twice a minute at most.
const SILENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(10);
const QUESTIONS: u32 = 3;

/// How long a signal to a remote command may go unacknowledged. While it does, the kernel does not ask.
///
/// This is for connections on which next to nothing is sent. A peer that takes no more data for so long
/// would be given up, too (measured: `ETIMEDOUT` from a window that stays zero), and a command may
/// let its standard input wait for hours.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Has the kernel find out whether a silent peer is still there.
fn keep_watch(socket: &Socket) -> io::Result<()> {
    let questions = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(AGAIN)
        .with_retries(QUESTIONS);
    socket.set_tcp_keepalive(&questions)
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
            Err(error) => return Err(sort(error)),
        };
        match socket.connect(&peer.into()) {
            Err(error) if is(&error, Errno::ADDRNOTAVAIL) || is(&error, Errno::ADDRINUSE) => {
                // The same errno says that this machine has no address to reach such a peer from.
                source_address(peer).map_err(ConnectError::Failed)?;
                lease.pair_in_use();
            }
            Err(error) if !is(&error, Errno::INPROGRESS) => return Err(sort(error)),
            _ => {
                let stream = TcpStream::from_std(socket.into()).map_err(sort)?;
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
    keep_watch(&socket)?;
    if port == 0 {
        return Ok(socket);
    }
    // All or none: one socket on the port without it, and nobody else can bind.
    socket.set_reuse_address(true)?;
    let local: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => {
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
    UdpSocket::bind(any)?.connect(peer)
}

/// Opens a listener for call-backs on an allowed port of the pool, for IPv4 and IPv6 where the machine has
/// both.
///
/// No connection can be made from a port with a listener, by this run or another. So a listener that
/// is only `wanted`, not needed, is not opened once half of the ports have one: any number of runs side
/// by side leave each other ports to connect from.
///
/// # Errors
/// The system's, where the port is not what is wrong; [`io::ErrorKind::AddrInUse`] if no port is left.
pub fn listen(
    pool: &PortPool,
    wanted: bool,
    allowed: &dyn Fn(u16) -> bool,
) -> io::Result<(TcpListener, ListenerLease)> {
    if wanted && is_crowded(pool)? {
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

/// The number of ports that are tried where the kernel does not tell which of them have listeners.
const SAMPLE: usize = 16;

/// True if half of the pool's ports, or more, have listeners, of whatever program.
fn is_crowded(pool: &PortPool) -> io::Result<bool> {
    let Some((range, ports)) = pool.span() else {
        return Ok(false);
    };
    if let Ok(listened_on) = kernel::listened_on(&range) {
        return Ok(listened_on >= ports / 2);
    }
    // No sock_diag, as in gVisor or behind a seccomp filter. A bind tells, for one port.
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

/// Room for every session of a large run to be called back at once; the kernel caps it at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

fn listening(port: u16) -> io::Result<Socket> {
    let open = |domain, any: SocketAddr| {
        let socket = Socket::new(
            domain,
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        // The connections that it accepts have it from here.
        keep_watch(&socket)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        if any.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&any.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    match open(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()) {
        // A machine without IPv6: no such family, or no such address.
        Err(error) if is(&error, Errno::AFNOSUPPORT) || is(&error, Errno::ADDRNOTAVAIL) => {
            open(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())
        }
        other => other,
    }
}

/// Whether this process may bind the ports of the pool: tries one that it may use, and nothing is sent.
///
/// # Errors
/// `EACCES` if it may bind none of them, or the system's error.
pub fn may_bind(ports: &[u16]) -> io::Result<()> {
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    let mut denied = None;
    // `net.ipv4.ip_unprivileged_port_start` may lie within the range, so the highest counts too.
    for &port in ports.iter().rev() {
        match bound(any, port) {
            Err(error) if is(&error, Errno::ACCESS) => denied = Some(error),
            // Taken by another, but not forbidden.
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

/// True for what another host's end can mend: no descriptors, no memory.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|&e| is(error, e))
}

fn sort(error: io::Error) -> ConnectError {
    match is_shortage(&error) {
        true => ConnectError::LocalResources(error),
        false => ConnectError::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_given_up_as_it_comes_about_is_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pool = PortPool::ephemeral();
        tokio::select! {
            biased;
            // On loopback the handshake is done when the first poll returns, and nobody knows it yet.
            _ = connect(&pool, listener.local_addr().unwrap()) => panic!("not given up"),
            () = std::future::ready(()) => {}
        }
        let (mut accepted, _) = listener.accept().unwrap();
        let error = accepted.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
