//! One buffer for all sessions of the thread: thousands of idle ones cost no memory.

use std::cell::RefCell;

/// The most that is read at once, and so the largest piece of output, in bytes.
pub(super) const MAX_READ: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_READ].into_boxed_slice());
}

/// Calls `read` with the buffer, whose contents are of no meaning.
pub(super) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|buffer| read(buffer))
}
