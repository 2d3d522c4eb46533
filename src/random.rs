//! Random bytes from the system, for tokens and for the order of the port walk.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// A word of 32 hexadecimal digits that nobody can guess.
///
/// # Errors
/// The system's, if it has no random bytes to give.
pub(crate) fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

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
