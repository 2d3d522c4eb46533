//! Hosts files: any bytes are read or refused without a panic, and all targets are valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{Limits, TargetListBuilder};

include!("properties/hosts_file.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
