//! The line splitter: output in any pieces becomes complete, labelled lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{Stream, printed};

include!("properties/lines.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
