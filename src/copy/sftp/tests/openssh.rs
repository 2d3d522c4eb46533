//! The dialogue with OpenSSH's `sftp-server` as a process.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::*;

pub(in crate::copy::sftp) const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// Runs a copy to the server, which starts in a directory.
fn run(spec: CopySpec, directory: &Path) -> CopyResult {
    run_dialogue(dialogue(spec), directory).0
}

/// Runs a dialogue with the server, which starts in a directory. Returns its result and all replies.
pub(in crate::copy::sftp) fn run_dialogue(
    mut copy: impl HostDialogue,
    directory: &Path,
) -> (CopyResult, Vec<u8>) {
    let mut server = Command::new(SERVER)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = server.stdin.take();
    let mut output = server.stdout.take().unwrap();
    let (sender, replies) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut buffer = [0; 7_000];
        while let Ok(n @ 1..) = output.read(&mut buffer) {
            let _ = sender.send(buffer[..n].to_vec());
        }
    });
    let mut all = Vec::new();
    loop {
        match copy.next() {
            Next::Segment(segment) => {
                let bytes = bytes(&segment);
                input.as_mut().unwrap().write_all(&bytes).unwrap();
                copy.advance(bytes.len() as u64);
            }
            Next::Wait => {
                let bytes = replies.recv().expect("the server goes on");
                let _ = copy.receive(&bytes);
                all.extend(bytes);
            }
            Next::End => break,
        }
    }
    drop(input.take());
    assert!(server.wait().unwrap().success());
    reader.join().unwrap();
    (copy.result(), all)
}

#[test]
fn a_tree_arrives_changes_follow_and_a_failure_leaves_nothing() {
    if !Path::new(SERVER).exists() {
        return;
    }
    let tree = tree();
    let far = tempfile::tempdir().unwrap();
    let plan = || CopySpec {
        parents: MissingDirectories::Last,
        ..spec(&[&source(&tree)], "./d")
    };
    let result = run(plan(), far.path());
    assert_eq!((result.error, result.left), (None, None));
    let path = |name: &str| far.path().join("d").join(name);
    let about = |name: &str| fs::symlink_metadata(path(name)).unwrap();
    for name in ["empty", "text", "new/long", "new/deep/script"] {
        let original = fs::metadata(tree.path().join(name)).unwrap();
        assert_eq!(about(name).mode(), original.mode(), "{name}");
        assert_eq!(about(name).mtime(), original.mtime(), "{name}");
        assert_eq!(
            fs::read(path(name)).unwrap(),
            fs::read(tree.path().join(name)).unwrap()
        );
    }
    assert_eq!(about("new/deep").mode() & 0o7777, 0o550);
    assert_eq!(about("text").ino(), about("new/same").ino());
    assert_eq!(
        fs::read_link(path("new/link")).unwrap(),
        Path::new("../text")
    );
    assert!(!run(plan(), far.path()).copied.changed);

    fs::write(path("text"), "TEXT").unwrap();
    fs::remove_file(path("new/link")).unwrap();
    symlink("elsewhere", path("new/link")).unwrap();
    let result = run(plan(), far.path());
    // The file has two names, and both are sent.
    assert_eq!((result.copied.files, result.error), (1, None));
    assert_eq!(fs::read(path("new/same")).unwrap(), b"text");
    assert_eq!(
        fs::read_link(path("new/link")).unwrap(),
        Path::new("../text")
    );
    assert!(!run(plan(), far.path()).copied.changed);

    fs::remove_file(path("text")).unwrap();
    fs::create_dir(path("text")).unwrap();
    let result = run(plan(), far.path());
    assert_eq!(result.error.as_deref(), Some("./d/text: is a directory"));
    assert_eq!(fs::read_dir(far.path().join("d")).unwrap().count(), 3);
}
