//! Random bytes from the system, for tokens and for the order of the port walk, and hexadecimal digits.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Returns a word of 32 hexadecimal digits that nobody can guess.
///
/// # Errors
/// The system has no random bytes.
pub(crate) fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fills a buffer of at most 256 bytes.
///
/// # Errors
/// The system has no random bytes.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    match getrandom(&mut *bytes, GetRandomFlags::empty())? {
        n if n == bytes.len() => Ok(()),
        // getrandom(2) gives up to 256 bytes whole or not at all.
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
