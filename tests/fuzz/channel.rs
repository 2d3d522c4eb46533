//! The channel layer: whatever a server sends once it has proved its identity, the session ends in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{SessionEnd, session};

#[path = "../it/support/sshd/mod.rs"]
mod sshd;

include!("properties/channel.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
