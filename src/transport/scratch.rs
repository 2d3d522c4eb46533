//! One read buffer for all sessions of a thread, so that thousands of idle sessions need no memory for it.

use std::cell::RefCell;

/// Maximum number of bytes in one read, and so in one chunk of output.
pub(super) const MAX_READ: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_READ].into_boxed_slice());
}

/// Calls `read` with the buffer. Its contents before are undefined.
pub(super) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|buffer| read(buffer))
}
