//! The wire format: any answer of a daemon, in any pieces, is read within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{OutputStart, RefusalText, classify_start, request};

include!("properties/wire.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
