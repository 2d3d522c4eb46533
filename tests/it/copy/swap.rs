//! `--swap`: a directory is replaced as a whole.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::far::{Far, FarSide};
use super::tree::{assert_same, random_tree};

const SWAP: [&str; 4] = ["src/", "--dest", "dst", "--swap"];

#[test]
fn a_directory_is_replaced_as_a_whole() {
    for side in FarSide::all() {
        let far = Far::new(side, 2);
        let mut random = fastrand::Rng::with_seed(11);
        random_tree(&mut random, &far.source());
        fs::create_dir(far.source().join("empty")).unwrap();
        // On the second host there is something already.
        let host = far.hosts().remove(1).join("dst");
        fs::create_dir_all(host.join("old/deep")).unwrap();
        fs::write(host.join("old/deep/f"), "x").unwrap();
        fs::set_permissions(host.join("old"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(&host, fs::Permissions::from_mode(0o2751)).unwrap();
        let before = fs::metadata(&host).unwrap().ino();
        let ended = far.copy(&SWAP).run();
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{side:?}");
        let now = fs::metadata(&host).unwrap();
        assert_ne!(now.ino(), before, "{side:?}: it is another directory");
        assert_eq!(now.mode() & 0o7777, 0o2751, "{side:?}: the mode stays");
        let other = fs::metadata(far.hosts()[0].join("dst")).unwrap();
        assert_eq!(other.mode() & 0o7777, 0o755, "{side:?}");
        for host in far.hosts() {
            assert_same(&far.source(), &host.join("dst"), side.keeps_nanoseconds());
            let count = fs::read_dir(&host).unwrap().count();
            assert_eq!(count, 1, "{side:?}: something is left behind");
        }
        // Nothing is swapped if nothing differs, and a further name is a difference.
        let inodes = || -> Vec<u64> {
            let hosts = far.hosts();
            let inode = |host: &std::path::PathBuf| fs::metadata(host.join("dst")).unwrap().ino();
            hosts.iter().map(inode).collect()
        };
        let before = inodes();
        fs::write(host.join("empty/more\nlines"), "x").unwrap();
        let check = far
            .copy(&[&SWAP[..], &["--check"]].concat())
            .run()
            .status(0);
        let lines = check.sorted_lines();
        assert_eq!(lines[0], "h1: unchanged", "{side:?}");
        assert!(lines[1].starts_with("h2: would change: "), "{lines:?}");
        assert_eq!(inodes(), before);
        let again = far.copy(&[&SWAP[..], &["-v"]].concat()).run().status(0);
        for words in ["unchanged: h1", "changed: h2"] {
            assert!(again.stderr.contains(words), "{side:?}: {}", again.stderr);
        }
        let after = inodes();
        assert_eq!((after[0], after[1] == before[1]), (before[0], false));
        assert_same(&far.source(), &host, side.keeps_nanoseconds());
    }
}

#[test]
fn a_tree_of_another_shape_is_replaced() {
    let far = Far::new(FarSide::Gnu, 2);
    fs::create_dir_all(far.source().join("x/d")).unwrap();
    fs::write(far.source().join("x/d/f"), "new").unwrap();
    fs::write(far.source().join("y"), "new").unwrap();
    for host in far.hosts() {
        fs::create_dir_all(host.join("dst/y")).unwrap();
        fs::write(host.join("dst/x"), "a file").unwrap();
    }
    fs::remove_file(far.hosts()[1].join("dst/x")).unwrap();
    symlink("y", far.hosts()[1].join("dst/x")).unwrap();
    far.copy(&SWAP).run().status(0);
    for host in far.hosts() {
        assert_same(&far.source(), &host.join("dst"), true);
    }
}

#[test]
fn a_destination_that_is_no_directory_stays_as_it_is() {
    let far = Far::new(FarSide::Gnu, 2);
    fs::write(far.source().join("f"), "new").unwrap();
    let hosts = far.hosts();
    fs::create_dir(hosts[0].join("real")).unwrap();
    fs::write(hosts[0].join("real/keep"), "x").unwrap();
    symlink("real", hosts[0].join("dst")).unwrap();
    fs::write(hosts[1].join("dst"), "a file").unwrap();
    for destination in ["dst", "dst/"] {
        let ended = far
            .copy(&["src/", "--dest", destination, "--swap"])
            .run()
            .status(1);
        for words in [
            "h1: ./dst: is a symbolic link; --swap replaces directories only",
            "h2: ./dst",
            "not a directory",
        ] {
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
    }
    assert_eq!(fs::read(hosts[0].join("real/keep")).unwrap(), b"x");
    assert_eq!(fs::read(hosts[1].join("dst")).unwrap(), b"a file");
}

#[test]
fn the_old_directory_is_put_back_if_the_second_rename_fails() {
    for side in [FarSide::Gnu, FarSide::Bash, FarSide::Busybox] {
        let far = Far::new(side, 1);
        fs::write(far.source().join("f"), "new").unwrap();
        let host = far.hosts().remove(0);
        fs::create_dir(host.join("dst")).unwrap();
        fs::write(host.join("dst/keep"), "x").unwrap();
        let inode = fs::metadata(host.join("dst")).unwrap().ino();
        let code = "mkdir b; printf '#!/bin/sh\\ncase $2 in *.old) ;; */.mrsh-*) echo mv: no: Read-only file system; exit \
                    1;; esac; exec /bin/mv \"$@\"\\n' >b/mv; chmod +x b/mv; PATH=$PWD/b:$PATH exec \"$@\"";
        let ended = far.copy_with(code, &SWAP).run().status(1);
        assert!(
            ended.stderr.contains("./dst: Read-only file system"),
            "{ended:?}"
        );
        assert_eq!(fs::metadata(host.join("dst")).unwrap().ino(), inode);
        assert_eq!(fs::read(host.join("dst/keep")).unwrap(), b"x");
        assert_eq!(
            fs::read_dir(&host).unwrap().count(),
            2,
            "{side:?}: b and dst"
        );
    }
}

#[test]
fn a_swap_without_a_directory_to_replace_is_an_error_before_any_connection() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("file"), "x").unwrap();
    for (arguments, words) in [
        (
            &["src", "--dest", "dst", "--swap"][..],
            "--swap needs one source",
        ),
        (
            &["src/", "--copy", "/", "--dest", "dst", "--swap"],
            "--swap needs one source",
        ),
        (
            &["src/", "--dest", "/", "--swap"],
            "a destination with a name",
        ),
        (
            &["src/", "--dest", "x/..", "--swap"],
            "a destination with a name",
        ),
        (
            &["src/", "--dest", "./", "--swap"],
            "a destination with a name",
        ),
    ] {
        let ended = far.copy_with("touch ../started", arguments).run();
        assert!(
            ended.stderr.contains(words),
            "{arguments:?}: {}",
            ended.stderr
        );
        ended.status(2);
    }
    assert!(!far.path("hosts/started").exists());
}
