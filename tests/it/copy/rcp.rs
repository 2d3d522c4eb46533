//! Copies by the protocol of rcp, to the real `scp -t`. The `rcp -t` of netkit answers through its standard input, so it
//! needs a socket there; `src/copy/rcp.rs` has its test.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::far::{Far, FarSide};
use crate::support::{Ended, lacks, records};

/// Copies with the programs of this machine.
fn copy(far: &Far, program: &str, arguments: &[&str]) -> Ended {
    let arguments = [arguments, &["--protocol", program]].concat();
    far.copy_with("PATH=/usr/bin:/bin; exec \"$@\"", &arguments)
        .run()
}

#[test]
fn a_tree_arrives_without_its_links() {
    let program = "scp";
    if !lacks(program) {
        let far = Far::new(FarSide::Gnu, 2);
        let source = far.source();
        fs::create_dir_all(source.join("sub/deep")).unwrap();
        let long: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        fs::write(source.join("sub/long"), &long).unwrap();
        fs::write(source.join("sub/deep/empty"), "").unwrap();
        fs::write(source.join("a b*c"), "text").unwrap();
        fs::set_permissions(source.join("a b*c"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(source.join("a b*c"), source.join("same")).unwrap();
        symlink("same", source.join("link")).unwrap();
        let file = fs::File::open(source.join("sub/long")).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_007);
        file.set_modified(time).unwrap();
        for host in far.hosts() {
            fs::create_dir(host.join("d t")).unwrap();
            fs::write(host.join("d t/same"), "an old and longer text").unwrap();
        }
        let ended = copy(&far, program, &["src/", "--dest", "d t", "--json"]);
        assert_eq!(ended.status, Some(0), "{program}: {ended:?}");
        let words = "not copied, since --protocol has no symbolic links: 1 link";
        assert!(format!("{ended:?}").contains(words), "{ended:?}");
        let copied: Vec<_> = records(&ended)
            .into_iter()
            .filter(|record| record["event"] == "finished")
            .map(|record| record["copy"].to_string())
            .collect();
        let facts = r#"{"bytes":300008,"changed":true,"checksum":"none","files":4}"#;
        assert_eq!(copied, [facts; 2], "{program}");
        for host in far.hosts() {
            let path = |name: &str| host.join("d t").join(name);
            assert_eq!(fs::read(path("sub/long")).unwrap(), long);
            assert_eq!(
                fs::metadata(path("sub/long")).unwrap().mtime(),
                1_000_000_007
            );
            assert_eq!(fs::read(path("sub/deep/empty")).unwrap(), b"");
            assert_eq!(fs::read(path("same")).unwrap(), b"text");
            assert_eq!(fs::metadata(path("a b*c")).unwrap().mode() & 0o7777, 0o640);
            assert!(fs::symlink_metadata(path("link")).is_err());
        }
        // One file under another name.
        fs::write(far.path("new"), "new").unwrap();
        let ended = copy(&far, program, &["new", "--dest", "other", "--mode", "600"]);
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{program}");
        let file = far.hosts()[1].join("other");
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    }
}

#[test]
fn failures_of_the_far_side_are_named() {
    let program = "scp";
    if !lacks(program) {
        let far = Far::new(FarSide::Gnu, 1);
        fs::write(far.source().join("f"), "text").unwrap();
        fs::create_dir_all(far.hosts()[0].join("dst/f")).unwrap();
        let missing = copy(&far, program, &["src/", "--dest", "none"]);
        assert_eq!(missing.status, Some(1), "{missing:?}");
        assert!(
            missing.stderr.contains("No such file or directory"),
            "{missing:?}"
        );
        let directory = copy(&far, program, &["src/", "--dest", "dst"]);
        assert_eq!(directory.status, Some(1), "{directory:?}");
        let words = "; some files may have been replaced";
        assert!(directory.stderr.contains(words), "{directory:?}");
    }
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("new"), "new").unwrap();
    // There is no scp among the tools of this far side.
    let ended = far
        .copy(&["new", "--dest", "x", "--protocol", "scp"])
        .run()
        .status(1);
    assert!(
        ended.stderr.contains("the copy ended before it was done"),
        "{ended:?}"
    );
    assert!(!Path::new(&far.hosts()[0]).join("x").exists());
}

#[test]
fn options_that_need_a_shell_are_errors_before_any_connection() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.source().join("a\nb"), "text").unwrap();
    for (option, words) in [
        (
            &[][..],
            "--protocol cannot send a name with a newline: a\\nb",
        ),
        (&["--check"], "cannot be used with"),
        (&["--parents"], "cannot be used with"),
        (&["--owner", "a"], "cannot be used with"),
    ] {
        let arguments = [&["src/", "--dest", "x"], option].concat();
        let ended = copy(&far, "scp", &arguments);
        assert!(ended.stderr.contains(words), "{ended:?}");
        ended.status(2);
    }
}
