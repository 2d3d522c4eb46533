//! The daemons against a client of raw blocking sockets.
//!
//! Each module has `#[cfg(test)]`, which is always true here. Only with it, clippy knows that the modules are tests, in
//! which it allows `unwrap`.

#![cfg(target_os = "linux")]

#[cfg(test)]
mod client;
#[cfg(test)]
mod commands;
#[cfg(test)]
#[cfg(feature = "script")]
mod scripts;
