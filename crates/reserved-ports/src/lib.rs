//! TCP source ports for many connections at once, from a range too small for them.
//!
//! rshd, rlogind and rexecd accept a connection only from a port below 1024, and 512 of these exist. A program that
//! takes a port for each connection, as `rresvport(3)` does, runs out of them: Linux keeps a closed connection in
//! TIME_WAIT for a minute.
//!
//! The limit is not on ports but on pairs of a local port and a peer. Sockets that all set `SO_REUSEADDR` can share a
//! local port if their peers differ, so every peer has the whole range to itself. A [`PortPool`] leases such
//! pairs. It learns from the kernel's answers which pairs are in use or in TIME_WAIT. If no pair is free, the caller
//! gets a [`PortWait`] instead of an error.
//!
//! [`connect`] and [`listen`] make sockets on ports of a pool. They are the only code that binds: a
//! program needs `CAP_NET_BIND_SERVICE` for them and for nothing else. [`kernel`] lists the machine's sockets.
//!
//! ```no_run
//! use reserved_ports::{ConnectError, PortPool, RESERVED, candidates, connect};
//!
//! # async fn run() -> std::io::Result<()> {
//! let pool = PortPool::new(candidates(RESERVED).usable, 7);
//! let peer = "192.0.2.1:514".parse().expect("an address");
//! let outgoing = loop {
//!     match connect(&pool, peer).await {
//!         Ok(outgoing) => break outgoing,
//!         Err(ConnectError::NoPort(wait)) => wait.wait().await,
//!         Err(ConnectError::LocalResources(error) | ConnectError::Failed(error)) => return Err(error),
//!     }
//! };
//! println!("connected from port {}", outgoing.lease.port());
//! # Ok(())
//! # }
//! ```
//!
//! The crate is for Linux; on other systems it is empty.

// The rules of SO_REUSEADDR and TIME_WAIT, and sock_diag, are those of Linux.
#![cfg(target_os = "linux")]
#![deny(unreachable_pub)]

mod bind;
mod candidates;
mod filter;
pub mod kernel;
mod lease;
mod peer;
mod pool;

pub use bind::{ConnectError, Outgoing, connect, is_shortage, listen, may_bind};
pub use candidates::{Candidates, RESERVED, Skip, SourcePorts, candidates};
pub use lease::{ListenerLease, PortLease};
pub use peer::PortWait;
pub use pool::{PortPool, TIME_WAIT};
