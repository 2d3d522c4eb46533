//! A dialogue with replies that are known beforehand, for the fuzz target (tests/fuzz/sftp.rs), and the test that
//! replays its corpus.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, LazyLock};

use super::super::queue::Next;
use super::super::snapshot::Segment;
use super::super::{
    CommandStderr, CopyProtocol, CopyResult, CopyShared, CopySpec, HostDialogue,
    MissingDirectories, Snapshots, SourceRules,
};
use super::SftpCopy;
use crate::event::CopyProgress;
use crate::targets::TargetId;

/// A copy of two files of the bytes `x`, a directory and a link.
static SHARED: LazyLock<Arc<CopyShared>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("the disk has space");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("d")).expect("the disk has space");
    fs::write(path("a"), "xxxx").expect("the disk has space");
    fs::write(path("d/b"), [b'x'; 70]).expect("the disk has space");
    symlink("a", path("l")).expect("the disk has space");
    let rules = SourceRules {
        dereference: false,
        preserve_setid: false,
        mode: Some(0o644),
    };
    let snapshots = Snapshots::of_paths(&[path("")], rules).expect("the files can be read");
    Arc::new(CopyShared {
        spec: CopySpec {
            snapshots,
            directory: b".".to_vec(),
            parents: MissingDirectories::All,
            owner: Some("1:2".to_owned()),
            command: Vec::new(),
            variables: None,
            stderr: CommandStderr::Separate,
            only_changed: false,
            check: false,
            swap: false,
            diff: false,
            protocol: CopyProtocol::Shell,
        },
        nonce: "nonce".to_owned(),
        progress: CopyProgress::default(),
        script: Arc::default(),
    })
});

/// The end of a dialogue.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplayEnd {
    /// Everything that was sent, without the times of files.
    pub sent: Vec<u8>,
    /// Number of packets that were sent.
    pub packets: usize,
    /// The result.
    pub result: CopyResult,
}

/// Runs a dialogue whose replies come in these pieces.
pub fn replay<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> ReplayEnd {
    let mut copy = SftpCopy::new(Arc::clone(&SHARED), TargetId(0));
    let mut end = ReplayEnd {
        sent: Vec::new(),
        packets: 0,
        result: CopyResult::default(),
    };
    for piece in pieces {
        send(&mut copy, &mut end);
        let output = copy.receive(piece);
        assert!(output.is_empty(), "there is no command");
    }
    send(&mut copy, &mut end);
    let mut rest = &*end.sent;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        rest = &after[u32::from_be_bytes(*length) as usize..];
        end.packets += 1;
    }
    end.result = copy.result();
    end
}

fn send(copy: &mut SftpCopy, end: &mut ReplayEnd) {
    while let Next::Segment(segment) = copy.next() {
        copy.advance(segment.length());
        match segment {
            Segment::Bytes(bytes) => end.sent.extend_from_slice(&bytes),
            Segment::File { length, .. } => {
                let length = end.sent.len() + length as usize;
                end.sent.resize(length, b'x');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fuzz/properties/sftp.rs"
    ));

    #[test]
    fn the_fuzz_corpus_passes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/sftp");
        let files: Vec<_> = fs::read_dir(folder).unwrap().collect();
        assert!(files.len() > 5, "{} inputs", files.len());
        for file in files {
            check(&fs::read(file.unwrap().path()).unwrap());
        }
    }

    #[test]
    fn the_corpus_reaches_the_end_of_a_copy() {
        for (name, is_done) in [("new", true), ("changed", true), ("refused", false)] {
            let file = format!(
                "{}/tests/fuzz/corpus/sftp/{name}",
                env!("CARGO_MANIFEST_DIR")
            );
            let steps = fs::read(file).unwrap();
            let end = replay(std::iter::once(&*stream(&steps[1..]).0));
            assert_eq!(end.result.done, is_done, "{name}: {end:?}");
            assert_eq!(end.result.left, None, "{name}: {end:?}");
            assert_eq!(end.result.error.is_none(), is_done, "{name}: {end:?}");
        }
    }

    /// Steps of a dialogue that succeeds, with changes.
    fn steps() -> impl Strategy<Value = Vec<u8>> {
        let seeds = ["new", "changed", "refused", "short", "full"].map(|name| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/sftp");
            fs::read(format!("{folder}/{name}")).unwrap()
        });
        let kind = prop_oneof![4 => prop::sample::select(b"svhdnai".to_vec()), 1 => any::<u8>()];
        let value = prop_oneof![4 => 0..9_u8, 1 => any::<u8>()];
        let change = (any::<prop::sample::Index>(), 0..3_u8, kind, value);
        let changes = prop::collection::vec(change, 0..4);
        (prop::sample::select(seeds.to_vec()), changes, any::<u8>()).prop_map(
            |(mut steps, changes, cut)| {
                for (at, how, kind, value) in changes {
                    let at = 1 + at.index(steps.len() / 2) * 2;
                    match how {
                        0 => drop(steps.splice(at..at + 2, [kind, value])),
                        1 => drop(steps.splice(at..at, [kind, value])),
                        _ => drop(steps.drain(at..at + 2)),
                    }
                }
                steps[0] = cut;
                steps
            },
        )
    }

    proptest! {
        #[test]
        fn changed_replies_keep_the_properties(steps in steps()) {
            check(&steps);
        }
    }
}
