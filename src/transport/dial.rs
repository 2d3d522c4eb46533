//! The connection to the first address of a route that answers, for transports that make their own.

use reserved_ports::{ConnectError, Outgoing, PortPool, connect};
use rustix::io::Errno;

use std::io;
use std::net::SocketAddr;

use super::{Budget, Route, Setback, TransportError};
use crate::event::Phase;

/// Connects at the budget's cost, and writes down what that showed. Addresses that fail are taken off the
/// route, all but the last.
pub(super) async fn dial(
    pool: &PortPool,
    route: &mut Route,
    budget: &mut Budget,
) -> Result<(SocketAddr, Outgoing), Setback> {
    loop {
        route.phase = Phase::Connect;
        let tries = u32::try_from(route.addresses.len()).unwrap_or(u32::MAX);
        let peer = *route.addresses.front().expect("a route has an address");
        // Every address gets its share, so that a dead first one leaves time for the next.
        let before = budget.left();
        let attempt = budget.spend_up_to(before / tries, connect(pool, peer));
        let connected = attempt.await;
        if !matches!(connected, Some(Err(ConnectError::NoPort(_)))) {
            route.facts.attempts += 1;
            *route.facts.connect.get_or_insert_default() += before - budget.left();
        }
        let failure = match connected {
            Some(Ok(outgoing)) => {
                route.facts.local_port = local_port(&outgoing);
                return Ok((peer, outgoing));
            }
            Some(Err(ConnectError::NoPort(wait))) => return Err(Setback::NoPort(wait)),
            Some(Err(ConnectError::LocalResources(e))) => return Err(Setback::Shortage(e)),
            Some(Err(ConnectError::Failed(error))) => connect_failure(error),
            None => budget.exhausted(Phase::Connect),
        };
        if route.addresses.len() == 1 {
            return Err(Setback::Failed(failure));
        }
        route.addresses.pop_front();
    }
}

/// The source port, also where the kernel chose it.
fn local_port(outgoing: &Outgoing) -> Option<u16> {
    match outgoing.lease.port() {
        0 => Some(outgoing.stream.local_addr().ok()?.port()),
        port => Some(port),
    }
}

/// What an errno of `connect` says about the host.
fn connect_failure(error: io::Error) -> TransportError {
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
