//! The decoder of the end marker: the output and the end do not depend on the pieces in which the stream arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{EndMarker, MainStream, RemoteExit, TransportError};

include!("properties/end_marker.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
