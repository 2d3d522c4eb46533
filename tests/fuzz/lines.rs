//! The line splitter: output in any pieces becomes complete, labelled lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::output::testing::printed;
use mrsh::event::Stream;

include!("properties/lines.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
