//! Addresses of sockets, and connections from reserved ports.

use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

pub(crate) fn local_address(socket: &OwnedFd) -> Option<Ipv4Addr> {
    let address = SocketAddrV4::try_from(rustix::net::getsockname(socket).ok()?);
    address.ok().map(|address| *address.ip())
}

pub(crate) fn peer_address(socket: &OwnedFd) -> Option<Ipv4Addr> {
    let address = SocketAddrV4::try_from(rustix::net::getpeername(socket).ok()??);
    address.ok().map(|address| *address.ip())
}

/// Starts a connection from a reserved port of `from`. Every call starts one port lower: without TCP timestamps, a port
/// cannot connect to the same client again for a minute.
pub(crate) fn connect_reserved(
    from: Ipv4Addr,
    to: SocketAddrV4,
    next_port: &mut u16,
    flags: SocketFlags,
) -> Option<OwnedFd> {
    for _ in 512..=1023 {
        let port = *next_port;
        *next_port = if port == 512 { 1023 } else { port - 1 };
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).ok()?;
        sockopt::set_socket_reuseaddr(&socket, true).ok()?;
        match rustix::net::bind(&socket, &SocketAddrV4::new(from, port)) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE) => continue,
            Err(_) => return None,
        }
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => return Some(socket),
            Err(Errno::ADDRNOTAVAIL) => {}
            Err(_) => return None,
        }
    }
    None
}
