//! The TCP sockets of this machine, as `sock_diag` (netlink) lists them.
//!
//! Works without privileges, in the caller's network namespace. There is one dump for each address family.
//!
//! ```
//! use reserved_ports::kernel::{self, KernelState};
//!
//! let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! let port = server.local_addr().unwrap().port();
//! // Some sandboxes have no sock_diag.
//! if let Ok(sockets) = kernel::sockets(&(port..=port)) {
//!     assert!(sockets.iter().any(|socket| socket.state == KernelState::Listen));
//! }
//! ```

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, Parseable,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE, TCP_FIN_WAIT2, TCP_LISTEN, TCP_TIME_WAIT,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::filter;

/// State of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelState {
    /// The socket listens.
    Listen,
    /// Only the kernel keeps the socket, for this time: in TIME_WAIT, or as an orphan in FIN_WAIT_2.
    Waiting(Duration),
    /// A program has the socket open or is closing it.
    Live,
}

/// A TCP socket of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSocket {
    /// Local address and port.
    pub local: SocketAddr,
    /// Address and port of the peer; unspecified for a listener.
    pub peer: SocketAddr,
    /// State.
    pub state: KernelState,
}

/// Lists the TCP sockets, IPv4 and IPv6, whose local port is in `range`, without those that are only bound.
///
/// # Errors
/// The netlink socket fails. A pool works without this list, by trial.
pub fn sockets(range: &RangeInclusive<u16>) -> io::Result<Vec<KernelSocket>> {
    // A socket that is only bound has no peer. The pool learns of it from bind.
    in_states(StateFlags::all() - StateFlags::CLOSE, range)
}

/// Number of ports of `range` that have a listener of any program. The cost does not depend on the number of
/// connections.
///
/// # Errors
/// The netlink socket fails.
pub fn listened_on(range: &RangeInclusive<u16>) -> io::Result<usize> {
    let listeners = in_states(StateFlags::LISTEN, range)?;
    Ok(listeners
        .iter()
        .map(|socket| socket.local.port())
        .collect::<HashSet<u16>>()
        .len())
}

/// Number of connections between ports of `range` and these peers that went into TIME_WAIT after `begun` and are still
/// in it, of any program.
///
/// # Errors
/// The netlink socket fails.
pub fn in_time_wait_since(
    begun: Instant,
    range: &RangeInclusive<u16>,
    peers: &HashSet<IpAddr>,
) -> io::Result<usize> {
    let sockets = in_states(StateFlags::TIME_WAIT, range)?;
    /// Time in TIME_WAIT, less the error of the kernel's timer.
    const KEPT: Duration = Duration::from_millis(59_900);
    let since = begun.elapsed();
    let is_new = |socket: &&KernelSocket| match socket.state {
        KernelState::Waiting(left) => left + since >= KEPT,
        KernelState::Listen | KernelState::Live => false,
    };
    let is_ours = |socket: &&KernelSocket| peers.contains(&socket.peer.ip());
    Ok(sockets.iter().filter(is_new).filter(is_ours).count())
}

fn in_states(states: StateFlags, range: &RangeInclusive<u16>) -> io::Result<Vec<KernelSocket>> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let before = found.len();
        let mut message = request(family, states.clone());
        let unfiltered = message.clone();
        filter::append(&mut message, range);
        if dump(&message, range, &mut found).is_err() {
            // A kernel that takes no filter lists all sockets.
            found.truncate(before);
            dump(&unfiltered, range, &mut found)?;
        }
    }
    Ok(found)
}

fn dump(
    request: &[u8],
    range: &RangeInclusive<u16>,
    found: &mut Vec<KernelSocket>,
) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;
    // The kernel fills a buffer of up to 32 KiB, which takes fewer calls than one page.
    let mut buffer = vec![0_u8; 32 * 1024];
    loop {
        let n = socket.recv(&mut &mut buffer[..], 0)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read_messages(&buffer[..n], range, found)? {
            return Ok(());
        }
    }
}

fn request(family: u8, states: StateFlags) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let socket_id = match family {
        AF_INET => SocketId::new_v4(),
        _ => SocketId::new_v6(),
    };
    let mut message = NetlinkMessage::new(
        header,
        SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states,
            socket_id,
        })
        .into(),
    );
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Reads one datagram of answers; true if it has the end of the dump.
fn read_messages(
    mut bytes: &[u8],
    range: &RangeInclusive<u16>,
    found: &mut Vec<KernelSocket>,
) -> io::Result<bool> {
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    let broken = |_| io::Error::from(io::ErrorKind::InvalidData);
    while !bytes.is_empty() {
        let message = NetlinkBuffer::new_checked(bytes).map_err(broken)?;
        match message.message_type() {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                // The payload begins with a negative errno.
                let code = message
                    .payload()
                    .first_chunk()
                    .map_or(0, |b| i32::from_ne_bytes(*b));
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ => found.extend(parse(message.payload(), range)),
        }
        // Messages are aligned to four bytes; the last may lack its padding.
        let length = (message.length() as usize)
            .next_multiple_of(4)
            .min(bytes.len());
        bytes = &bytes[length..];
    }
    Ok(false)
}

/// Reads one `struct inet_diag_msg` (linux/inet_diag.h).
fn parse(payload: &[u8], range: &RangeInclusive<u16>) -> Option<KernelSocket> {
    let header = InetResponseHeader::parse(payload).ok()?;
    let id = &header.socket_id;
    if !range.contains(&id.source_port) {
        return None;
    }
    let state = match header.state {
        TCP_CLOSE => return None,
        TCP_LISTEN => KernelState::Listen,
        // Inode 0 means that no program has it open.
        TCP_TIME_WAIT | TCP_FIN_WAIT2 if header.inode == 0 => {
            // The field idiag_expires, in ms, which the netlink crate reads for the other timers only.
            let expires = payload.get(52..56)?.first_chunk()?;
            KernelState::Waiting(Duration::from_millis(u32::from_ne_bytes(*expires).into()))
        }
        _ => KernelState::Live,
    };
    let address = |ip: std::net::IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
    Some(KernelSocket {
        local: address(id.source_address, id.source_port),
        peer: address(id.destination_address, id.destination_port),
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_listener_a_connection_and_its_time_wait_are_listed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = TcpStream::connect(server).unwrap();
        let local = client.local_addr().unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let begun = Instant::now();
        let range = local.port()..=local.port();
        let here = HashSet::from([server.ip()]);
        let count = |since, peers| in_time_wait_since(since, &range, peers).unwrap();
        assert_eq!(count(begun, &here), 0);

        let listening = sockets(&(server.port()..=server.port())).unwrap();
        assert!(
            listening
                .iter()
                .any(|s| s.state == KernelState::Listen && s.local == server)
        );
        let live = KernelSocket {
            local,
            peer: server,
            state: KernelState::Live,
        };
        assert!(sockets(&range).unwrap().contains(&live));

        // The client closes first and keeps the TIME_WAIT.
        drop(client);
        drop(accepted);
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        let left = loop {
            let waiting = sockets(&range)
                .unwrap()
                .into_iter()
                .find_map(|s| match s.state {
                    KernelState::Waiting(left) if s.local == local => Some(left),
                    _ => None,
                });
            if let Some(left) = waiting {
                break left;
            }
            assert!(std::time::Instant::now() < deadline, "no TIME_WAIT seen");
            std::thread::yield_now();
        };
        assert!(
            left > Duration::from_secs(50) && left < Duration::from_secs(63),
            "{left:?}"
        );
        assert_eq!(count(begun, &here), 1);
        assert_eq!(count(begun, &HashSet::new()), 0);
    }

    #[test]
    fn the_kernel_lists_only_the_ports_of_the_range() {
        let listeners: Vec<TcpListener> = (0..4)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let port = listeners[0].local_addr().unwrap().port();
        let mut message = request(AF_INET, StateFlags::all());
        let mut all = Vec::new();
        dump(&message, &(0..=u16::MAX), &mut all).unwrap();
        assert!(all.len() >= listeners.len());
        filter::append(&mut message, &(port..=port));
        let mut found = Vec::new();
        dump(&message, &(0..=u16::MAX), &mut found).unwrap();
        let ports: HashSet<u16> = found.iter().map(|socket| socket.local.port()).collect();
        assert_eq!(ports, HashSet::from([port]));
    }

    #[test]
    fn a_cut_answer_is_an_error_and_not_a_panic() {
        let mut found = Vec::new();
        for n in 1..16 {
            assert!(read_messages(&vec![7; n], &(0..=65535), &mut found).is_err());
        }
        assert!(found.is_empty());
    }
}
