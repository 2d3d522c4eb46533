//! The gate before libssh2: of any bytes from a server, only a proof of its identity passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{Gate, Violation};

include!("properties/gate.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
