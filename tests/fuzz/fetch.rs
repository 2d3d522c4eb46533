//! Replies of hosts from which files are fetched: archives and lists of names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{ArchiveEvent, ArchiveReader, listed_names};

include!("properties/fetch.rs");

fuzz_target!(|bytes: &[u8]| check(bytes));
