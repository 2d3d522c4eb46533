//! Replays the corpus of the channel layer's fuzz target.

use std::fs;
use std::path::Path;

use super::{SessionEnd, session};

#[path = "../../../../tests/it/support/sshd/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the integration tests use more of it"
)]
mod sshd;

include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fuzz/properties/channel.rs"
));

#[test]
fn the_corpus_of_the_channel_layer_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/channel");
    let files: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert!(files.len() > 20, "{} inputs", files.len());
    for file in files {
        check(&fs::read(file.unwrap().path()).unwrap());
    }
}

#[test]
fn a_session_with_a_valid_server_succeeds() {
    use crate::event::RemoteExit;

    let (end, _) = play(&[]);
    assert!(matches!(end.exit, Ok(RemoteExit::Code(7))), "{end:?}");
    assert_eq!(end.output, sshd::OUTPUT.len());
}
