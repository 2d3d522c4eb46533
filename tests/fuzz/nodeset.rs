//! Expressions: any text is read or refused without a panic, and what was read survives folding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mrsh::targets::nodeset::{HostList, NodeSet, fold};

include!("properties/nodeset.rs");

fuzz_target!(|text: &str| check(text));
