//! The callback: the daemon's connection to its client, for standard error and signals.
//!
//! Real daemons make it from a reserved port. Here that port is bound on the called address only,
//! so thousands of daemons can use port 1023 at the same time.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time;

use crate::address;

/// Maximum time to connect to a client, which is on loopback too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Kind of source port of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackPort {
    /// A port from 1023 down to 512, as rsh demands. A process that may not bind these ports uses
    /// any port instead.
    Reserved,
    /// A port above 1023 that the kernel chooses.
    Any,
}

impl CallbackPort {
    /// Returns the best kind that this process may bind.
    pub(crate) fn available() -> CallbackPort {
        if may_bind_reserved() {
            CallbackPort::Reserved
        } else {
            CallbackPort::Any
        }
    }
}

/// Connects from the address `from` to the client's port.
pub(crate) async fn connect(
    from: Ipv4Addr,
    to: SocketAddrV4,
    port: CallbackPort,
) -> io::Result<TcpStream> {
    time::timeout(CONNECT_TIMEOUT, async {
        if port == CallbackPort::Reserved {
            // From the highest down, as rresvport(3) does for the real daemons.
            for port in (512..=1023).rev() {
                match connect_from(SocketAddrV4::new(from, port), to).await {
                    // The port has a listener, or this pair of addresses is in use: try the next.
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                        ) => {}
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                    result => return result,
                }
            }
        }
        connect_from(SocketAddrV4::new(from, 0), to).await
    })
    .await?
}

async fn connect_from(from: SocketAddrV4, to: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Without this option the port could not be shared with the client's own connections.
    socket.set_reuseaddr(true)?;
    socket.bind(from.into())?;
    socket.connect(to.into()).await
}

/// True if this process may bind reserved ports.
fn may_bind_reserved() -> bool {
    // Root, capabilities and sysctls can all grant the right, so only an attempt shows it. A UDP port is free at once
    // after the attempt, and the right is the same as for TCP.
    (512..=1023)
        .rev()
        .any(|port| std::net::UdpSocket::bind(SocketAddrV4::new(address::address(0), port)).is_ok())
}
