//! The one thread that reads standard input.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::store::{self, Room, Write};
use super::{InputError, MAX_PIECE, Shared};

/// Starts it. It ends with the input, or when no target is left that may need more, or with the
/// process: a read from a terminal cannot be called back, so nobody waits for it.
pub(super) fn start(source: File, shared: Arc<Shared>) -> io::Result<()> {
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let ended = copy(source, &shared).map_err(Arc::new);
            shared.lock().end(ended);
            shared.news.notify_waiters();
        })?;
    Ok(())
}

/// Reads to the end, as fast as the store takes it.
fn copy(mut source: File, shared: &Shared) -> Result<(), InputError> {
    let mut buffer = vec![0; MAX_PIECE];
    loop {
        if !wait_for_room(shared)? {
            return Ok(());
        }
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                take_in(&buffer[..n], shared)?;
                shared.news.notify_waiters();
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // Another program has made the terminal or pipe that we share non-blocking.
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

/// Puts bytes where readers find them. The disk is written to without the lock, on which the loop may
/// wait: bytes that do not count as read yet are nobody's else.
pub(super) fn take_in(bytes: &[u8], shared: &Shared) -> Result<(), InputError> {
    let write = shared.lock().prepare(bytes);
    let place = match write {
        Write::Nothing => None,
        Write::Append(file, at) => Some((file, at)),
        Write::Open(so_far) => {
            let file = tempfile::tempfile().map_err(InputError::Spool)?;
            let base = shared.lock().base();
            file.write_all_at(&so_far, base)
                .map_err(InputError::Spool)?;
            Some(shared.lock().opened(file))
        }
    };
    if let Some((file, at)) = place {
        file.write_all_at(bytes, at).map_err(InputError::Spool)?;
    }
    let needless = shared.lock().append(bytes);
    if let Some((file, range)) = needless {
        store::give_back(&file, range);
    }
    Ok(())
}

/// Returns when a piece more can be kept; false if nobody will want it.
fn wait_for_room(shared: &Shared) -> Result<bool, InputError> {
    let mut store = shared.lock();
    let limits = store.limits();
    let mut stuck: Option<(u64, Instant)> = None;
    loop {
        let patience = match store.room() {
            Room::Yes => return Ok(true),
            Room::NeedNoMore => return Ok(false),
            Room::NotYet => {
                let woken = shared.room.wait(store);
                store = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            Room::WhenAllHaveCome => limits.patience,
        };
        let (changes, starving) = store.progress();
        let since = match stuck {
            Some((then, since)) if then == changes => since,
            _ => Instant::now(),
        };
        stuck = Some((changes, since));
        let left = patience.saturating_sub(since.elapsed());
        if left.is_zero() && starving {
            let limit = limits.spool;
            return Err(InputError::TooLong { limit });
        }
        let left = if left.is_zero() { patience } else { left };
        let woken = shared.room.wait_timeout(store, left);
        store = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}
