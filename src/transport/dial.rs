//! The connection to the first address of a target that answers, for transports with their own sockets.

use reserved_ports::{ConnectError, Outgoing, PortPool, connect};
use rustix::io::Errno;

use std::io;
use std::net::SocketAddr;

use super::{AttemptError, Budget, Route, TransportError};
use crate::event::Phase;

/// Connects, charges the budget and records the facts in the route. Addresses that fail are removed from the route,
/// except the last one.
pub(super) async fn dial(
    pool: &PortPool,
    route: &mut Route,
    budget: &mut Budget,
) -> Result<(SocketAddr, Outgoing), AttemptError> {
    loop {
        route.phase = Phase::Connect;
        let count = u32::try_from(route.addresses.len()).unwrap_or(u32::MAX);
        let peer = *route.addresses.front().expect("a route has an address");
        // An equal share for each address, so that a dead one leaves time for the next.
        let before = budget.left();
        let attempt = budget.spend_up_to(before / count, connect(pool, peer));
        let connected = attempt.await;
        // Without a port nothing was sent, so this was no attempt.
        if !matches!(connected, Some(Err(ConnectError::NoPort(_)))) {
            route.facts.attempts += 1;
            *route.facts.connect.get_or_insert_default() += before - budget.left();
        }
        let failure = match connected {
            Some(Ok(outgoing)) => {
                route.facts.local_port = local_port(&outgoing);
                return Ok((peer, outgoing));
            }
            // The address stays in the route: the same attempt goes on after the wait.
            Some(Err(ConnectError::NoPort(wait))) => return Err(AttemptError::NoPort(wait)),
            Some(Err(ConnectError::LocalResources(e))) => return Err(AttemptError::Shortage(e)),
            Some(Err(ConnectError::Failed(error))) => connect_failure(error),
            None => budget.exhausted(Phase::Connect),
        };
        // The last address stays, for a further attempt.
        if route.addresses.len() == 1 {
            return Err(AttemptError::Failed(failure));
        }
        route.addresses.pop_front();
    }
}

/// Returns the source port, also if the kernel chose it.
fn local_port(outgoing: &Outgoing) -> Option<u16> {
    match outgoing.lease.port() {
        // Port 0 leaves the choice to the kernel (bind(2)).
        0 => Some(outgoing.stream.local_addr().ok()?.port()),
        port => Some(port),
    }
}

/// Returns the error for an errno of `connect`.
fn connect_failure(error: io::Error) -> TransportError {
    // The kernel also turns ICMP errors into these codes (`icmp_err_convert`), EHOSTDOWN and ENONET among them.
    const UNREACHABLE: [Errno; 7] = [
        Errno::HOSTUNREACH,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::NETDOWN,
        Errno::ADDRNOTAVAIL,
        Errno::AFNOSUPPORT,
        Errno::NONET,
    ];
    let code = error.raw_os_error();
    let is = |errno: Errno| code == Some(errno.raw_os_error());
    if is(Errno::CONNREFUSED) {
        TransportError::Refused
    } else if UNREACHABLE.into_iter().any(is) {
        TransportError::Unreachable(error)
    } else if is(Errno::CONNRESET) {
        TransportError::Reset {
            phase: Phase::Connect,
            hint: None,
        }
    } else {
        TransportError::Io {
            phase: Phase::Connect,
            source: error,
        }
    }
}
