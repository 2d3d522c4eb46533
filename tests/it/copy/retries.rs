//! `--retries` with copies: what was cut off before anything changed is repeated.

use std::fs;
use std::path::Path;

use super::far::{Far, FarSide};
use crate::support::FakeRshd;
use fake_rshd::{Connection, Script, Step};

/// Shell code that makes a program of the host kill the whole far side, the first time or always.
fn deadly(program: &str, always: bool) -> String {
    let once = if always { "" } else { "test -e $DEAD || " };
    format!(
        "DEAD=$PWD/../dead-$0; export DEAD; mkdir -p b; printf '#!/bin/sh\n{once}{{ echo x >>$DEAD; kill -9 0; }}\nexec \
         /bin/{program} \"$@\"\n' >b/{program}; chmod +x b/{program}; PATH=$PWD/b:$PATH exec \"$@\""
    )
}

fn names(host: &Path) -> Vec<String> {
    let entries = fs::read_dir(host).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_copy_that_was_cut_off_is_repeated() {
    for side in [FarSide::Gnu, FarSide::Busybox] {
        let far = Far::new(side, 3);
        fs::write(far.path("new"), vec![b'x'; 300_000]).unwrap();
        let ended = far
            .copy_with(
                &deadly("tar", false),
                &["new", "--dest", "file", "--retries", "2", "--json"],
            )
            .run();
        assert_eq!(ended.status, Some(0), "{side:?}: {ended:?}");
        for record in crate::support::records(&ended) {
            if record["event"] == "finished" {
                assert_eq!(record["attempts"], 2, "{record}");
                assert_eq!(record["copy"]["changed"], true, "{record}");
            }
        }
        for host in far.hosts() {
            assert_eq!(fs::read(host.join("file")).unwrap().len(), 300_000);
            // What the first attempt left is gone.
            assert_eq!(names(&host), ["b", "file"], "{side:?}");
        }
    }
}

#[test]
fn what_is_left_of_an_attempt_is_removed_only_if_it_is_a_directory() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("new"), "x").unwrap();
    fs::create_dir(far.path("victim")).unwrap();
    fs::write(far.path("victim/f"), "keep").unwrap();
    // Between the attempts, another user of the directory puts a link in the place of what was left.
    let code = format!(
        "for i in .mrsh-*; do if [ -d \"$i\" ]; then mv \"$i\" old; ln -s ../../victim \"$i\"; fi; done; {}",
        deadly("tar", false)
    );
    let ended = far
        .copy_with(&code, &["new", "--dest", "file", "--retries", "2"])
        .run()
        .status(0);
    assert!(far.path("victim/f").exists(), "{ended:?}");
    assert_eq!(fs::read(far.hosts()[0].join("file")).unwrap(), b"x");
}

#[test]
fn a_copy_is_not_repeated_after_the_change_has_begun() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("new"), "x").unwrap();
    let ended = far
        .copy_with(
            &deadly("mv", true),
            &["new", "--dest", "file", "--retries", "3"],
        )
        .run()
        .status(1);
    let words = "some files may have been replaced; this directory may be left: ./.mrsh-";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert_eq!(fs::read(far.path("hosts/dead-h1")).unwrap(), b"x\n");
}

#[test]
fn an_error_of_the_host_is_not_repeated() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("new"), "x").unwrap();
    let ended = far
        .copy_with(
            "echo x >>../tried; exec \"$@\"",
            &["new", "--dest", "none/file", "--retries", "3"],
        )
        .run()
        .status(1);
    assert!(ended.stderr.contains("no such directory"), "{ended:?}");
    assert_eq!(fs::read(far.path("hosts/tried")).unwrap(), b"x\n");
}

#[test]
fn retries_of_copies_end() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("new"), "x").unwrap();
    let ended = far
        .copy_with(
            &deadly("tar", true),
            &["new", "--dest", "file", "--retries", "2", "-v"],
        )
        .run()
        .status(1);
    for words in [
        "h1: the copy ended before it was done: retry 1 of 2 in ",
        "h1: the copy ended before it was done: retry 2 of 2 in ",
        "this directory may be left: ./.mrsh-",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert_eq!(fs::read(far.path("hosts/dead-h1")).unwrap(), b"x\nx\nx\n");
    let left = names(&far.hosts()[0]);
    assert_eq!(
        left.len(),
        2,
        "only the last attempt left something: {left:?}"
    );
}

#[test]
fn a_copy_over_a_connection_that_is_reset_is_repeated() {
    let script = Script::after_start().then(Step::Reset(Connection::Main));
    let daemon = FakeRshd::playing(script);
    let file = tempfile::NamedTempFile::new().unwrap();
    let ended = daemon
        .mrsh()
        .args(&["--retries", "1", "--json"])
        .args(&["--copy", &file.path().display().to_string(), "--dest", "x"])
        .run();
    let records = crate::support::records(&ended);
    let finished = records.iter().find(|record| record["event"] == "finished");
    assert_eq!(finished.unwrap()["attempts"], 2, "{ended:?}");
}
