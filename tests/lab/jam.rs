//! Leaves every reserved port in TIME_WAIT towards one rsh host, as a client does that closes first: connects from each
//! port of 512–1023 and closes before the host. Used by the lab's test cases.
//!
//! usage: `jam ADDRESS`

use std::env;
use std::error::Error;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("usage: jam ADDRESS")?;
    let host = SocketAddr::new(address.parse()?, 514);
    let any: IpAddr = match host {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    for port in 512..=1023 {
        let socket = Socket::new(Domain::for_address(host), Type::STREAM, None)?;
        // Sockets in TIME_WAIT must not keep other programs with this option from binding the port.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(any, port).into())?;
        match socket.connect(&host.into()) {
            // The connection is dropped here, so this side sends the first FIN.
            Ok(()) => {}
            // The pair is in TIME_WAIT already.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
