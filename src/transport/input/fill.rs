//! The thread that reads standard input into the spool.

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::spool::{Acceptance, SpoolWrite};
use super::{InputError, InputState, MAX_INPUT_CHUNK};
use crate::spool::SpoolFile;

/// Starts the thread. It ends with the input, or when no target needs more bytes.
pub(super) fn start(source: File, shared: Arc<InputState>) -> io::Result<()> {
    // Nobody joins the thread, because a read from a terminal cannot be cancelled.
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let ended = copy(source, &shared).map_err(Arc::new);
            shared.lock().end(ended);
            shared.grown.notify_waiters();
        })?;
    Ok(())
}

/// Reads to the end, as fast as the spool accepts bytes.
fn copy(mut source: File, shared: &InputState) -> Result<(), InputError> {
    let mut buffer = vec![0; MAX_INPUT_CHUNK];
    loop {
        if !wait_until_accepted(shared)? {
            return Ok(());
        }
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                take_in(&buffer[..n], shared)?;
                shared.grown.notify_waiters();
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // The terminal or pipe is shared with other programs, and one of them made it non-blocking.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let mut readable = [PollFd::new(&source, PollFlags::IN)];
                match poll(&mut readable, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(InputError::Read(error.into())),
                }
            }
            Err(e) => return Err(InputError::Read(e)),
        }
    }
}

/// Adds bytes to the spool.
pub(super) fn take_in(bytes: &[u8], shared: &InputState) -> Result<(), InputError> {
    let write = shared.lock().prepare(bytes);
    let in_file = match write {
        SpoolWrite::Nothing => None,
        SpoolWrite::Append(file, at) => Some((file, at)),
        SpoolWrite::Open(so_far) => {
            let file = SpoolFile::temporary().map_err(InputError::Spool)?;
            let base = shared.lock().base();
            file.write_at(&so_far, base).map_err(InputError::Spool)?;
            let at = shared.lock().opened(file.clone());
            Some((file, at))
        }
    };
    if let Some((file, at)) = in_file {
        // Without the lock, because the event loop may wait for it. Readers use these bytes only after `append`.
        file.write_at(bytes, at).map_err(InputError::Spool)?;
    }
    let unneeded = shared.lock().append(bytes);
    if let Some((file, range)) = unneeded {
        file.punch_hole(range);
    }
    Ok(())
}

/// Waits until the spool accepts a further chunk. Returns false if no target needs more.
fn wait_until_accepted(shared: &InputState) -> Result<bool, InputError> {
    let mut spool = shared.lock();
    let limits = spool.limits();
    let mut stuck: Option<(u64, Instant)> = None;
    loop {
        match spool.acceptance() {
            Acceptance::Now => return Ok(true),
            Acceptance::Never => return Ok(false),
            Acceptance::AfterReader => {
                let woken = shared.released.wait(spool);
                spool = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            Acceptance::AfterTargets => {}
        }
        let (changes, starving) = spool.progress();
        let since = match stuck {
            // Any change restarts the time: only a complete standstill shows that the spool is too small.
            Some((then, since)) if then == changes => since,
            _ => Instant::now(),
        };
        stuck = Some((changes, since));
        let left = limits.stall_timeout.saturating_sub(since.elapsed());
        if left.is_zero() && starving {
            let limit = limits.spool;
            return Err(InputError::TooLong { limit });
        }
        // No command waits for more, so the reader goes on waiting. A wait of zero would never sleep.
        let left = if left.is_zero() {
            limits.stall_timeout
        } else {
            left
        };
        let woken = shared.released.wait_timeout(spool, left);
        spool = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}
