//! The wire format: any answer of a daemon is read within bounds, however it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{OutputStart, RefusalText, classify_start, request};

include!("properties/wire.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
