//! A copy over SFTP: any replies of a server give the same in any pieces, and end it or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::replay;

include!("properties/sftp.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
