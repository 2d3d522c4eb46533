//! Random bytes from the system, for tokens and for the order of the port walk.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills a small buffer.
///
/// # Errors
/// The system's, if it has none to give.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    match getrandom(&mut *bytes, GetRandomFlags::empty())? {
        n if n == bytes.len() => Ok(()),
        // getrandom(2) gives up to 256 bytes whole or not at all.
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
