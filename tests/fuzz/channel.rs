//! The channel layer: the session ends in order for any bytes from a server that has proved its identity.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{SessionEnd, session};

#[path = "../it/support/sshd/mod.rs"]
mod sshd;

include!("properties/channel.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
