//! The daemon's connection back to its client, for standard error and signals.
//!
//! Real daemons make it from a reserved port. Here that port is bound on the called address only,
//! so thousands of targets can all use 1023 at the same time.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time;

use super::FIRST;

/// A client on loopback answers at once or not at all.
const LIMIT: Duration = Duration::from_secs(10);

/// What port a call-back comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePort {
    /// One of 1023 down to 512, as rsh demands, where this process may bind them; else any.
    Reserved,
    /// One that the kernel chooses, above 1023.
    Any,
}

/// Connects from `from` to the client's port.
pub(super) async fn connect(
    from: Ipv4Addr,
    to: SocketAddrV4,
    port: SourcePort,
) -> io::Result<TcpStream> {
    time::timeout(LIMIT, async {
        if port == SourcePort::Reserved {
            for port in (512..=1023).rev() {
                match connect_from(SocketAddrV4::new(from, port), to).await {
                    // Somebody listens on it, or this pair of addresses is in use: try the next.
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
    // Without it the port could not be shared with the client's own connections.
    socket.set_reuseaddr(true)?;
    socket.bind(from.into())?;
    socket.connect(to.into()).await
}

/// Whether this process may bind reserved ports: tried, since several things can grant the right.
/// The right is the same for UDP, where no port waits after its last use.
pub(super) fn may_bind_reserved() -> bool {
    (512..=1023)
        .rev()
        .any(|port| std::net::UdpSocket::bind(SocketAddrV4::new(FIRST, port)).is_ok())
}
