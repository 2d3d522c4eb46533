//! The dialogue with OpenSSH's `sftp-server` as a process, and with replies that were changed on the way.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::copy::fetch::{FetchPattern, FetchSpec};
use crate::copy::sftp::tests::openssh::{SERVER, run_dialogue as run};

/// Returns a dialogue that fetches these paths into a directory.
fn dialogue(paths: &[&str], out: &Path, change: impl FnOnce(&mut FetchSpec)) -> SftpFetch {
    fs::create_dir_all(out).unwrap();
    let pattern = |path: &&str| FetchPattern::new(OsStr::new(path)).unwrap();
    let mut spec = FetchSpec {
        patterns: paths.iter().map(pattern).collect(),
        path: out.to_owned(),
        destination: Some(Arc::new(File::open(out).unwrap().into())),
        directories: vec!["h1".to_owned()],
        links: true,
        dereference: false,
        max_size: 100_000_000,
        mode: None,
        check: false,
    };
    change(&mut spec);
    SftpFetch::new(
        Arc::new(FetchShared::new(spec, "nonce".to_owned())),
        TargetId(0),
    )
}

fn lacks_server() -> bool {
    !Path::new(SERVER).exists()
}

#[test]
fn a_tree_arrives_changes_follow_and_a_failure_changes_nothing() {
    if lacks_server() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let far = folder.path().join("far");
    let out = folder.path().join("out");
    fs::create_dir_all(far.join("d/sub/deep")).unwrap();
    let long: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(far.join("d/long"), &long).unwrap();
    fs::write(far.join("d/empty"), "").unwrap();
    fs::write(far.join("d/sub/new\nline"), "text").unwrap();
    fs::write(far.join("d/sub/deep/.hidden"), "hidden").unwrap();
    symlink("../long", far.join("d/sub/link")).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    mode(&far.join("d/long"), 0o640).unwrap();
    let fetch = |paths: &[&str]| run(dialogue(paths, &out, |_| {}), &far).0;
    let here = |name: &str| out.join("h1").join(name);

    let result = fetch(&["d"]);
    assert_eq!(result.error, None);
    assert_eq!(
        (result.copied.files, result.copied.checksum),
        (4, "sftp-read")
    );
    assert_eq!(fs::read(here("d/long")).unwrap(), long);
    let (one, other) = (
        fs::metadata(here("d/long")).unwrap(),
        fs::metadata(far.join("d/long")).unwrap(),
    );
    assert_eq!((one.mode(), one.mtime()), (other.mode(), other.mtime()));
    assert_eq!(fs::read(here("d/sub/new\nline")).unwrap(), b"text");
    assert_eq!(fs::read(here("d/sub/deep/.hidden")).unwrap(), b"hidden");
    assert_eq!(
        fs::read_link(here("d/sub/link")).unwrap(),
        Path::new("../long")
    );
    assert!(!fetch(&["d"]).copied.changed);

    // The same length and another content.
    fs::write(far.join("d/sub/new\nline"), "TEXT").unwrap();
    let result = fetch(&["d/s*"]);
    assert_eq!((result.copied.files, result.error), (1, None));
    assert_eq!(fs::read(here("d/sub/new\nline")).unwrap(), b"TEXT");

    for (path, error) in [
        ("none", "none: no such file or directory"),
        ("d/*.zip", "d/*.zip: no such file or directory"),
        ("d/long/x", "d/long/x: no such file or directory"),
    ] {
        assert_eq!(fetch(&[path]).error.as_deref(), Some(error));
    }
    let following = dialogue(&["d"], &out, |spec| {
        (spec.links, spec.dereference) = (false, true);
    });
    let text = "--dereference needs a shell, and this host has only SFTP";
    assert_eq!(run(following, &far).0.error.as_deref(), Some(text));
    // Every file is read, and the bytes are counted.
    let counted = dialogue(&["d"], &out, |_| {});
    let progress = counted.shared.progress.clone();
    assert_eq!(run(counted, &far).0.error, None);
    let amounts = progress.amounts();
    assert_eq!(
        (amounts.moved, amounts.total, amounts.open),
        (300_010, 300_010, 0)
    );
    let limited = dialogue(&["d"], &out, |spec| spec.max_size = 1000);
    let text = "the files have 300010 bytes, more than --max-size 1000 allows";
    assert_eq!(run(limited, &far).0.error.as_deref(), Some(text));
    assert_eq!(
        fs::read_dir(out.join("h1")).unwrap().count(),
        1,
        "something is left"
    );
}

#[test]
fn wildcards_name_directories_and_files() {
    if lacks_server() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let far = folder.path().join("far");
    let out = folder.path().join("out");
    for name in ["a1/log", "a2/log", "b1/log", "a3/other", ".a4/log"] {
        fs::create_dir_all(far.join(name).parent().unwrap()).unwrap();
        fs::write(far.join(name), name).unwrap();
    }
    fs::write(far.join("a5"), "a file").unwrap();
    let (result, _) = run(dialogue(&["[!b]*/l?g"], &out, |_| {}), &far);
    assert_eq!((result.error, result.copied.files), (None, 2));
    assert!(out.join("h1/a1/log").exists() && out.join("h1/a2/log").exists());
    let (result, _) = run(dialogue(&["*"], &out, |spec| spec.check = true), &far);
    assert_eq!((result.error, result.copied.files), (None, 3));
    assert!(!out.join("h1/b1").exists(), "a comparison changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changed_replies_stay_in_the_directory_of_the_host(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        names in prop::collection::vec(prop::sample::select(vec!["../../x", "/etc/x", "d/../x", "..", "d//x"]), 0..3),
    ) {
        if lacks_server() {
            return Ok(());
        }
        let folder = tempfile::tempdir().unwrap();
        let far = folder.path().join("far");
        fs::create_dir_all(far.join("d/sub")).unwrap();
        fs::write(far.join("d/sub/name12"), "text").unwrap();
        symlink("name12", far.join("d/sub/link12")).unwrap();
        let out = folder.path().join("first");
        let (_, mut replies) = run(dialogue(&["d"], &out, |_| {}), &far);
        for (index, byte) in changes {
            let at = index.index(replies.len());
            replies[at] = byte;
        }
        for name in names {
            // In the place of a name of the same length or longer.
            if let Some(at) = memchr::memmem::find(&replies, b"name12") {
                replies[at..at + name.len().min(6)].copy_from_slice(&name.as_bytes()[..name.len().min(6)]);
            }
        }
        let out = folder.path().join("out/inner");
        let mut fetch = dialogue(&["d"], &out, |_| {});
        for piece in replies.chunks(97) {
            while let Next::Segment(segment) = fetch.next() {
                fetch.advance(segment.length());
            }
            prop_assert!(fetch.receive(piece).is_empty());
        }
        drop(fetch);
        let entries = |path: &Path| fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        let mut all = entries(folder.path());
        all.sort();
        prop_assert_eq!(all, ["far", "first", "out"]);
        prop_assert_eq!(entries(&folder.path().join("out")), ["inner"]);
        for name in entries(&out) {
            prop_assert_eq!(name, "h1");
            for name in entries(&out.join("h1")) {
                prop_assert_eq!(name, "d");
            }
        }
    }
}
