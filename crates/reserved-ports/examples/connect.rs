//! Opens several connections to one server at once and shows their source ports.
//!
//!     cargo run --example connect -- 192.0.2.1:514 4            from 512-1023, which needs CAP_NET_BIND_SERVICE
//!     cargo run --example connect -- 127.0.0.1:22 4 40000-40003
//!
//! If there are more connections than ports, the last ones wait for the first ones to end.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use reserved_ports::{ConnectError, Outgoing, PortPool, RESERVED, candidates, connect, kernel};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: connect ADDRESS:PORT [COUNT [FIRST-LAST]]";
    let peer: SocketAddr = args.next().ok_or(usage)?.parse()?;
    let count: usize = args.next().map_or(Ok(4), |count| count.parse())?;
    let range: RangeInclusive<u16> = match args.next() {
        Some(range) => {
            let (first, last) = range.split_once('-').ok_or(usage)?;
            first.parse()?..=last.parse()?
        }
        None => RESERVED,
    };
    let pool = PortPool::new(candidates(range.clone()).usable, std::process::id().into());
    // Without the kernel's list, the pool learns the same from failed attempts.
    if let Ok(sockets) = kernel::sockets(&range) {
        pool.observe(&sockets);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=count {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut outgoing = connect_or_wait(&pool, peer).await?;
            println!("connection {number} from port {}", outgoing.lease.port());
            tokio::time::sleep(Duration::from_secs(1)).await;
            // This side closes first, so this kernel keeps the pair in TIME_WAIT.
            outgoing.lease.local_closed_first();
            Ok::<(), std::io::Error>(())
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}

/// Connects, and waits for a port as long as none is free.
async fn connect_or_wait(pool: &PortPool, peer: SocketAddr) -> std::io::Result<Outgoing> {
    loop {
        match connect(pool, peer).await {
            Ok(outgoing) => return Ok(outgoing),
            Err(ConnectError::NoPort(wait)) => wait.wait().await,
            Err(ConnectError::LocalResources(error) | ConnectError::Failed(error)) => {
                return Err(error);
            }
        }
    }
}
