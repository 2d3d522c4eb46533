//! A standard output that was closed when the program was started (`>&-`).
//!
//! The standard library opens `/dev/null` in its place before `main`, for reading and writing. Others open it in
//! that way on purpose, such as Python's `subprocess.DEVNULL`, so that a look from `main` cannot tell the two
//! apart. The look must be earlier: in a function that the C library calls before the standard library starts.

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// True if there was no standard output at the start.
pub(crate) fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}

/// Called by the C library before `main`. It uses one system call and nothing of the standard library that would
/// have to be initialised.
extern "C" fn look() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    WAS_CLOSED.store(flags == Err(rustix::io::Errno::BADF), Ordering::Relaxed);
}

#[expect(
    unsafe_code,
    reason = "no safe attribute puts a function before the start of the standard library"
)]
// SAFETY: the section holds pointers to functions that the C library calls once, on the only thread, with arguments
// that an `extern "C"` function may ignore; `look` neither unwinds nor needs anything that is not there yet.
#[unsafe(link_section = ".init_array")]
#[used]
static LOOK: extern "C" fn() = look;
