//! `--copy`: trees of every kind to far sides with several shells and tools.

mod differences;
mod far;
mod faults;
mod fetch;
mod fetch_hostile;
mod own_sources;
mod owners;
mod rcp;
mod retries;
mod sftp;
mod swap;
mod tree;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::{Mrsh, lacks};
use far::{Far, FarSide, write_tool};
use tree::{assert_same, random_tree};

#[test]
fn a_tree_arrives_as_it_is_with_every_kind_of_far_side() {
    for side in FarSide::all() {
        let far = Far::new(side, 2);
        let mut random = fastrand::Rng::with_seed(7);
        random_tree(&mut random, &far.source());
        let ended = far.copy(&["src/", "--dest", "dst"]).run();
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{side:?}");
        assert_eq!(ended.stdout, b"", "{side:?}");
        for host in far.hosts() {
            assert_same(&far.source(), &host.join("dst"), side.keeps_nanoseconds());
            assert_eq!(
                fs::read_dir(&host).unwrap().count(),
                1,
                "{side:?}: something is left behind"
            );
        }
        let again = far.copy(&["src/", "--dest", "dst", "-v"]).run().status(0);
        assert!(
            again.stderr.contains("unchanged: h[1-2]"),
            "{side:?}: {}",
            again.stderr
        );
    }
}

#[test]
fn random_trees_arrive_and_changes_follow() {
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    for round in 0..6 {
        let far = Far::new(FarSide::Gnu, 1);
        let source = far.source();
        random_tree(&mut random, &source);
        far.copy(&["src/", "--dest", "dst"]).run().status(0);
        let host = far.hosts().remove(0).join("dst");
        assert_same(&source, &host, true);
        // Some entries change here, and some over there.
        random_tree(&mut random, &source);
        tree::disturb(&mut random, &host);
        far.copy(&["src/", "--dest", "dst"]).run().status(0);
        tree::assert_contains(&host, &source, &format!("seed {seed}, round {round}"));
        let again = far.copy(&["src/", "--dest", "dst", "-v"]).run().status(0);
        assert!(
            again.stderr.contains("unchanged: h1"),
            "seed {seed}: {}",
            again.stderr
        );
    }
}

#[test]
fn a_file_replaces_a_file_at_once() {
    let far = Far::new(FarSide::Gnu, 1);
    let host = far.hosts().remove(0);
    fs::write(far.path("new"), "new text").unwrap();
    fs::set_permissions(far.path("new"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(host.join("etc")).unwrap();
    fs::write(host.join("etc/app.conf"), "old").unwrap();
    let before = fs::metadata(host.join("etc/app.conf")).unwrap().ino();
    far.copy(&["new", "--dest", "etc/app.conf"]).run().status(0);
    let now = fs::metadata(host.join("etc/app.conf")).unwrap();
    assert_eq!(fs::read(host.join("etc/app.conf")).unwrap(), b"new text");
    assert_eq!(now.mode() & 0o7777, 0o640);
    assert_ne!(
        now.ino(),
        before,
        "the file was renamed into place, not written to"
    );
    far.copy(&["new", "--dest", "etc/"]).run().status(0);
    assert_eq!(fs::read(host.join("etc/new")).unwrap(), b"new text");
    assert_eq!(fs::read_dir(host.join("etc")).unwrap().count(), 2);
}

#[test]
fn links_at_the_destination_are_replaced_and_not_followed() {
    let far = Far::new(FarSide::Gnu, 1);
    let host = far.hosts().remove(0);
    fs::write(far.path("new"), "new").unwrap();
    fs::write(host.join("victim"), "old").unwrap();
    symlink("victim", host.join("link")).unwrap();
    far.copy(&["new", "--dest", "link"]).run().status(0);
    assert_eq!(fs::read(host.join("victim")).unwrap(), b"old");
    assert!(fs::symlink_metadata(host.join("link")).unwrap().is_file());
    // A link to the destination directory is followed, as by rsync.
    fs::create_dir(host.join("real")).unwrap();
    symlink("real", host.join("dir")).unwrap();
    far.copy(&["new", "--dest", "dir/"]).run().status(0);
    assert_eq!(fs::read(host.join("real/new")).unwrap(), b"new");
}

#[test]
fn only_what_differs_is_sent() {
    let far = Far::new(FarSide::Gnu, 2);
    let source = far.source();
    for number in 0..50 {
        fs::write(source.join(format!("f{number}")), format!("text {number}")).unwrap();
    }
    far.copy(&["src/", "--dest", "dst"]).run().status(0);
    fs::write(far.hosts()[1].join("dst/f7"), "other").unwrap();
    fs::remove_file(far.hosts()[1].join("dst/f9")).unwrap();
    let ended = far
        .copy(&["src/", "--dest", "dst", "--json"])
        .run()
        .status(0);
    let records = crate::support::records(&ended);
    let copies: Vec<_> = records
        .iter()
        .filter(|record| record["event"] == "finished")
        .map(|record| (record["label"].as_str().unwrap(), &record["copy"]))
        .map(|(label, copy)| format!("{label} {} {}", copy["changed"], copy["files"]))
        .collect();
    let mut copies = copies;
    copies.sort();
    assert_eq!(copies, ["h1 false 0", "h2 true 2"]);
}

#[test]
fn a_mode_alone_is_set_without_data() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.source().join("f"), "text").unwrap();
    far.copy(&["src/", "--dest", "dst"]).run().status(0);
    let file = far.hosts()[0].join("dst/f");
    let before = fs::metadata(&file).unwrap().ino();
    let ended = far
        .copy(&["src/", "--dest", "dst", "--mode", "600", "-v"])
        .run()
        .status(0);
    assert!(
        ended.stderr.contains("changed: h1 (0 files and 0 bytes"),
        "{}",
        ended.stderr
    );
    let now = fs::metadata(&file).unwrap();
    assert_eq!((now.ino(), now.mode() & 0o7777), (before, 0o600));
}

#[test]
fn a_check_changes_nothing() {
    let far = Far::new(FarSide::Gnu, 2);
    fs::write(far.source().join("f"), "text").unwrap();
    far.copy(&["src/", "--dest", "dst"]).run().status(0);
    fs::write(far.hosts()[1].join("dst/f"), "other").unwrap();
    let ended = far
        .copy(&["src/", "--dest", "dst", "--check", "-n"])
        .run()
        .status(0);
    assert_eq!(
        ended.sorted_lines(),
        ["h1: unchanged", "h2: would change: 1 file, 4 bytes"]
    );
    assert_eq!(fs::read(far.hosts()[1].join("dst/f")).unwrap(), b"other");
}

#[test]
fn targets_that_share_a_directory_do_not_disturb_each_other() {
    let far = Far::new(FarSide::Gnu, 8);
    fs::write(far.path("new"), vec![b'x'; 100_000]).unwrap();
    let shared = far.path("shared");
    fs::create_dir(&shared).unwrap();
    let destination = format!("{}/", shared.display());
    far.copy(&["new", "--dest", &destination]).run().status(0);
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 1);
    assert_eq!(fs::metadata(shared.join("new")).unwrap().len(), 100_000);
}

#[test]
fn large_and_small_files_arrive_over_rsh() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("src");
    let mut random = fastrand::Rng::with_seed(5);
    fs::create_dir(&source).unwrap();
    random_tree(&mut random, &source);
    // Files of this size are sent from their places, the others from one temporary file. One of them ends with a block
    // of a tar archive, so it has no padding.
    let mut large = vec![0; (16 << 20) + 77];
    random.fill(&mut large);
    fs::write(source.join("whole blocks"), &large[..16 << 20]).unwrap();
    fs::write(source.join("large"), large).unwrap();
    let destination = folder.path().join("dst");
    let ended = Mrsh::new()
        .args(&["--demo", "-q", "-w", "h1", "--copy"])
        .arg(format!("{}/", source.display()))
        .arg("--dest")
        .arg(&destination)
        .run();
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
    assert_same(&source, &destination, true);
}

/// Makes a large file with three names in two directories, the first of which is not next to the others, and a small file.
fn large_tree(source: &Path) {
    fs::create_dir(source.join("sub")).unwrap();
    let mut large = vec![0; (16 << 20) + 77];
    fastrand::Rng::with_seed(6).fill(&mut large);
    fs::write(source.join("a large file"), large).unwrap();
    let opened = fs::File::open(source.join("a large file")).unwrap();
    let time = Duration::new(1_700_000_000, 123_456_789);
    opened.set_modified(SystemTime::UNIX_EPOCH + time).unwrap();
    for name in ["sub/again", "z"] {
        fs::hard_link(source.join("a large file"), source.join(name)).unwrap();
    }
    fs::write(source.join("sub/small"), "small").unwrap();
}

#[test]
fn large_files_arrive_at_every_far_side() {
    let mut sides = FarSide::all();
    // It would read sixteen million single bytes.
    sides.retain(|side| *side != FarSide::Posix);
    for side in sides {
        let far = Far::new(side, 1);
        large_tree(&far.source());
        let ended = far.copy(&["src/", "--dest", "dst"]).run();
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{side:?}");
        let host = far.hosts().remove(0).join("dst");
        assert_same(&far.source(), &host, side.keeps_nanoseconds());
        let ended = far.copy(&["src/", "--dest", "dst", "-v"]).run();
        assert!(ended.stderr.contains("unchanged: h1"), "{side:?} {ended:?}");
    }
}

#[test]
fn openssl_computes_the_checksums_of_large_files() {
    if lacks("openssl") {
        return;
    }
    let far = Far::new(FarSide::Openssl, 2);
    let code = "#!/bin/sh\nfor i; do case $i in ./sub/small) ;; ./*) exit 1 ;; esac; done\n\
                exec /usr/bin/sha256sum \"$@\"\n";
    write_tool(&far.path("bin/sha256sum"), code);
    large_tree(&far.source());
    // One openssl is too old to know SHA-256, so sha256sum is asked, which fails for large files here.
    let code = "case $0 in h2) PATH=$PWD/b:$PATH ;; esac; exec \"$@\"";
    let broken = far.hosts().remove(1).join("b");
    fs::create_dir(&broken).unwrap();
    write_tool(&broken.join("openssl"), "#!/bin/sh\nexit 1\n");
    let ended = far.copy_with(code, &["src/", "--dest", "dst"]).run();
    assert!(
        ended
            .stderr
            .contains("1 failed: h2: what arrived differs from what was sent"),
        "{ended:?}"
    );
    assert_same(&far.source(), &far.hosts()[0].join("dst"), true);
}

#[test]
fn directories_of_several_sources_are_merged() {
    let far = Far::new(FarSide::Gnu, 1);
    for file in ["a/1", "b/1"] {
        let file = far.source().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "first").unwrap();
    }
    fs::create_dir_all(far.path("more/a")).unwrap();
    fs::write(far.path("more/a/2"), "second").unwrap();
    let more = format!("{}/", far.path("more").display());
    let arguments = ["src/", "--copy", &more, "--dest", "dst/", "--parents"];
    far.copy(&arguments).run().status(0);
    let host = far.hosts().remove(0);
    assert_eq!(fs::read(host.join("dst/a/1")).unwrap(), b"first");
    assert_eq!(fs::read(host.join("dst/a/2")).unwrap(), b"second");
    assert_eq!(fs::read(host.join("dst/b/1")).unwrap(), b"first");
}

#[test]
fn empty_files_and_files_of_whole_blocks_do_not_end_the_input() {
    for side in [FarSide::Gnu, FarSide::NoTar] {
        let far = Far::new(side, 1);
        fs::write(far.source().join("a"), "").unwrap();
        // It stays in place, and its last block is full.
        fs::write(far.source().join("b"), vec![b'x'; 16 << 20]).unwrap();
        fs::write(far.source().join("c"), "last").unwrap();
        let ended = far.copy(&["src/", "--dest", "dst"]).run();
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{side:?}");
        let host = far.hosts().remove(0).join("dst");
        assert_same(&far.source(), &host, side.keeps_nanoseconds());
    }
}
