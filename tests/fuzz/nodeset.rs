//! Expressions: any text is read or refused without a panic, and folding does not change a set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::internals::{HostList, fold};
use nodeset::NodeSet;

include!("properties/nodeset.rs");

fuzz_target!(|text: &str| check(text));
