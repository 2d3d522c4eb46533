//! The pool of source ports of a run.

use std::io;
use std::path::PathBuf;

use crate::error::Error;
use crate::event::Notice;
use crate::plan::range_text;
use crate::random;
use reserved_ports::{PortPool, RESERVED, SourcePorts, candidates, kernel, may_bind};

/// Minimum number of targets for which the kernel is asked for its sockets.
// The kernel looks through a table of all connections, whose size depends on the machine's memory. That takes
// milliseconds, and a try of a port that is taken takes microseconds.
const MIN_TARGETS_FOR_DUMP: usize = 64;

/// Makes the pool of source ports. If there are enough targets, the pool starts with what the kernel knows of the
/// ports.
pub(super) fn pool(
    source_ports: &SourcePorts,
    targets: usize,
    notices: &mut Vec<Notice>,
) -> Result<PortPool, Error> {
    let range = match source_ports {
        SourcePorts::Any => return Ok(PortPool::ephemeral()),
        SourcePorts::Reserved => RESERVED,
        SourcePorts::Range(range) => range.clone(),
    };
    let usable = candidates(range.clone()).usable;
    if usable.is_empty() {
        return Err(Error::NoPorts {
            range: range_text(&range),
        });
    }
    // Tried once before the run: without the right to bind, every target would fail.
    may_bind(&usable).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied if source_ports.are_reserved() => Error::NoRightToBind {
            range: range_text(&range),
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mrsh")),
        },
        io::ErrorKind::PermissionDenied => Error::NoRightToBindOutside {
            range: range_text(&range),
        },
        _ => Error::system("bind a source port")(error),
    })?;
    // Each run tries the ports in an order of its own, so that parallel runs seldom try the same one.
    let mut seed = [0; 8];
    random::fill(&mut seed).map_err(Error::system("get random bytes"))?;
    let pool = PortPool::new(usable, u64::from_ne_bytes(seed));
    if targets < MIN_TARGETS_FOR_DUMP {
        return Ok(pool);
    }
    match kernel::sockets(&range) {
        Ok(sockets) => pool.observe(&sockets),
        // No failure: the pool learns from the ports that it tries, which takes longer.
        Err(error) => notices.push(Notice {
            verbose: true,
            text: format!("cannot read the sockets of the kernel: {error}"),
        }),
    }
    Ok(pool)
}
