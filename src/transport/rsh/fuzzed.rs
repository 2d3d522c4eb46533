//! Runs the properties of tests/fuzz on their corpora and on random bytes, without a fuzzer.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

mod wire {
    use crate::transport::rsh::wire::{OutputStart, RefusalText, classify_start, request};

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fuzz/properties/wire.rs"
    ));

    pub(super) fn run(bytes: &[u8]) {
        check(bytes);
    }
}

mod end_marker {
    use crate::event::RemoteExit;
    use crate::transport::TransportError;
    use crate::transport::rsh::output::MainStream;
    use crate::transport::wrap::EndMarker;

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fuzz/properties/end_marker.rs"
    ));

    pub(super) fn run(bytes: &[u8]) {
        check(bytes);
    }
}

/// Returns every input of a corpus.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let files = fs::read_dir(folder).unwrap();
    let inputs: Vec<_> = files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(inputs.len() > 5, "{name}");
    inputs
}

#[test]
fn the_fuzz_corpora_pass() {
    corpus("wire").iter().for_each(|bytes| wire::run(bytes));
    corpus("end_marker")
        .iter()
        .for_each(|bytes| end_marker::run(bytes));
}

/// Random bytes in which the protocol's own bytes are frequent.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(vec![0xfa, 0xfb, b'\n', b'0', b'7', b'a', b'b', b'c', b':', 0, 1, b' ']),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn wire_properties_hold_for_random_bytes(bytes in input()) {
        wire::run(&bytes);
    }

    #[test]
    fn end_marker_properties_hold_for_random_bytes(bytes in input()) {
        end_marker::run(&bytes);
    }
}
