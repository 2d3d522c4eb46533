//! The daemons against a client of raw blocking sockets.
//!
//! Clippy lets tests unwrap, and knows these modules as tests by the condition `test`, which always holds here.

#![cfg(target_os = "linux")]

#[cfg(test)]
mod client;
#[cfg(test)]
mod commands;
#[cfg(test)]
#[cfg(feature = "script")]
mod scripts;
