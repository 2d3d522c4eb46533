//! The wrapper's decoder: any stream gives the same output and the same end, however it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{EndMarker, MainStream, RemoteExit, TransportError};

include!("properties/end_marker.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
