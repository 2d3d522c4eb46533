//! Random bytes from the system, for tokens and for the order of the port walk, and hexadecimal digits.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// Returns an identifier of 20 hexadecimal digits: the time in seconds, then 48 random bits. So identifiers are in the
/// order of time.
///
/// # Errors
/// The system has no random bytes.
pub(crate) fn time_ordered_id() -> io::Result<String> {
    let mut bytes = [0; 8];
    fill(&mut bytes[2..])?;
    // A clock before 1970 gives 0 instead of an error.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.unwrap_or_default().as_secs();
    Ok(format!("{seconds:08x}{:012x}", u64::from_be_bytes(bytes)))
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
