//! Journals: any bytes are read or refused without a panic, and a target that may have run is never taken for one that
//! has not started.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{JournalState, Progress};

include!("properties/journal.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
