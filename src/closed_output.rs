//! The check for a standard output that was closed when the program was started (`>&-`).
//!
//! Before `main`, the standard library opens `/dev/null` in its place, for reading and writing. Other programs open it
//! in the same way on purpose, such as Python's `subprocess.DEVNULL`, so `main` cannot tell the two apart. The check
//! must run earlier: in a function that the C library calls before the standard library starts.

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Returns true if there was no standard output at the start.
pub(crate) fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}

/// Records whether standard output is closed. The C library calls this before `main`, so it uses nothing of the
/// standard library that must be initialised.
extern "C" fn record() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    WAS_CLOSED.store(flags == Err(rustix::io::Errno::BADF), Ordering::Relaxed);
}

#[expect(
    unsafe_code,
    reason = "no safe attribute puts a function before the start of the standard library"
)]
// SAFETY: the section holds pointers to functions that the C library calls once, on the only thread, with arguments
// that an `extern "C"` function may ignore; `record` neither unwinds nor needs anything that is not there yet.
#[unsafe(link_section = ".init_array")]
#[used]
static RECORD: extern "C" fn() = record;
