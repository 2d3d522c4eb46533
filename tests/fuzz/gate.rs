//! The gate before libssh2: whatever a server sends, nothing passes but a proof of its identity.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{Gate, Violation};

include!("properties/gate.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
