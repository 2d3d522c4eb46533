//! Copies that fail: nothing changes, nothing is left, and the cause is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::far::{Far, FarSide};

/// A copy of `new` ends with this error on every host, and the destination is as before.
#[track_caller]
fn fails(far: &Far, arguments: &[&str], message: &str) {
    let ended = far.copy(arguments).run();
    assert!(
        ended.stderr.contains(message),
        "{arguments:?}: {}",
        ended.stderr
    );
    ended.status(1);
    for host in far.hosts() {
        for entry in fs::read_dir(&host).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(
                !name.to_string_lossy().starts_with(".mrsh-"),
                "{name:?} is left"
            );
        }
    }
}

#[test]
fn wrong_destinations_change_nothing() {
    let far = Far::new(FarSide::Gnu, 2);
    fs::write(far.path("new"), "new").unwrap();
    for host in far.hosts() {
        fs::create_dir(host.join("directory")).unwrap();
        fs::write(host.join("file"), "old").unwrap();
    }
    fails(
        &far,
        &["new", "--dest", "directory"],
        "h[1-2]: ./directory: is a directory",
    );
    fails(
        &far,
        &["new", "--dest", "file/"],
        "h[1-2]: ./file/: not a directory",
    );
    fails(
        &far,
        &["new", "--dest", "none/new"],
        "h[1-2]: ./none: no such directory; --parents makes it",
    );
    fails(
        &far,
        &["new", "--dest", "none/"],
        "./none/: no such directory; --parents makes it",
    );
    fails(
        &far,
        &["src/", "--dest", "none/dst"],
        "./none: no such directory; --parents makes it",
    );
    far.copy(&["new", "--dest", "none/deep/new", "--parents"])
        .run()
        .status(0);
    for host in far.hosts() {
        assert_eq!(fs::read(host.join("none/deep/new")).unwrap(), b"new");
        assert_eq!(fs::read(host.join("file")).unwrap(), b"old");
    }
}

#[test]
fn a_tree_of_another_shape_changes_nothing() {
    let far = Far::new(FarSide::Gnu, 1);
    let host = far.hosts().remove(0);
    fs::create_dir(far.source().join("x")).unwrap();
    fs::write(far.source().join("x/f"), "new").unwrap();
    fs::write(far.source().join("y"), "new").unwrap();
    fs::create_dir_all(host.join("dst/y")).unwrap();
    fails(
        &far,
        &["src/", "--dest", "dst"],
        "h1: ./dst/y: is a directory",
    );
    assert!(!host.join("dst/x").exists());
    fs::remove_dir(host.join("dst/y")).unwrap();
    fs::write(host.join("dst/x"), "a file").unwrap();
    fails(
        &far,
        &["src/", "--dest", "dst"],
        "h1: ./dst/x: not a directory",
    );
    assert!(!host.join("dst/y").exists());
}

#[test]
fn a_limit_on_the_size_of_files_keeps_the_old_one() {
    // Files of 16 MiB are written without tar.
    for (side, length) in [
        (FarSide::Gnu, 3_000_000),
        (FarSide::NoTar, 3_000_000),
        (FarSide::Gnu, 16 << 20),
        (FarSide::Busybox, 16 << 20),
    ] {
        if !FarSide::all().contains(&side) {
            continue;
        }
        let far = Far::new(side, 1);
        let host = far.hosts().remove(0);
        fs::write(far.path("new"), vec![b'x'; length]).unwrap();
        fs::write(host.join("file"), "old").unwrap();
        let ended = far
            .copy_with("ulimit -f 1000 && exec \"$@\"", &["new", "--dest", "file"])
            .run();
        assert_eq!(ended.status, Some(1), "{side:?} {ended:?}");
        assert!(ended.stderr.contains("h1: "), "{side:?} {ended:?}");
        assert_eq!(fs::read(host.join("file")).unwrap(), b"old");
        assert_eq!(fs::read_dir(&host).unwrap().count(), 1, "something is left");
    }
}

#[test]
fn a_host_that_dies_in_the_middle_fails_alone() {
    let far = Far::new(FarSide::Gnu, 3);
    fs::write(far.path("new"), vec![b'x'; 3_000_000]).unwrap();
    let code = "case $0 in h2) mkdir b; printf '#!/bin/sh\nkill -9 0\n' >b/tar; chmod +x b/tar; PATH=$PWD/b:$PATH;; \
                esac; exec \"$@\"";
    let ended = far.copy_with(code, &["new", "--dest", "file"]).run();
    let words =
        "1 failed: h2: the copy ended before it was done; this directory may be left: ./.mrsh-";
    assert!(ended.stderr.contains(words), "{ended:?}");
    for host in [0, 2] {
        assert_eq!(
            fs::metadata(far.hosts()[host].join("file")).unwrap().len(),
            3_000_000
        );
    }
    assert!(!far.hosts()[1].join("file").exists());
}

#[test]
fn far_sides_that_lie_are_failures_of_their_own() {
    for (code, message) in [
        ("echo hello", "no POSIX shell answered"),
        ("head -c 100000 /dev/zero", "no POSIX shell answered"),
        ("exit 3", "the copy ended before it was done"),
        ("\"$@\" | sed -u 's/^D 1/D 7/'", "an unexpected line: D 7"),
        ("\"$@\" | sed -u 's/sha256sum/md5/'", "an unexpected line"),
    ] {
        let far = Far::new(FarSide::Gnu, 1);
        fs::write(far.path("new"), "new").unwrap();
        let ended = far.copy_with(code, &["new", "--dest", "file"]).run();
        assert!(ended.stderr.contains(message), "{code}: {}", ended.stderr);
        assert_eq!(ended.status, Some(1), "{code}");
    }
}

#[test]
fn sources_that_cannot_be_used_are_errors_before_any_connection() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("new"), "new").unwrap();
    for (arguments, message) in [
        (&["missing", "--dest", "x"][..], "cannot read "),
        (&["new"], "--copy needs a destination: --dest PATH"),
        (&["new", "--dest", "~/x"], "--dest is not expanded"),
        (&["new", "--dest", "x", "-i"], "cannot be used with -i"),
        (
            &["new", "--dest", "x", "--raw"],
            "cannot be used with --raw",
        ),
        (
            &["new", "--dest", "x", "--mode", "8"],
            "it is no mode in octal",
        ),
    ] {
        let ended = far.copy_with("touch ../started", arguments).run();
        assert!(
            ended.stderr.contains(message),
            "{arguments:?}: {}",
            ended.stderr
        );
        ended.status(2);
    }
    assert!(!far.path("hosts/started").exists());
    fs::set_permissions(far.path("new"), fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_signal_or_a_timeout_leaves_nothing_behind() {
    for (options, signal) in [(&[][..], true), (&["-u", "6"][..], false)] {
        let far = Far::new(FarSide::Gnu, 2);
        fs::write(far.path("new"), vec![b'x'; 1_000_000]).unwrap();
        for host in far.hosts() {
            fs::write(host.join("file"), "old").unwrap();
        }
        // A tar that unpacks everything and then does not end.
        let code = "mkdir b; printf '#!/bin/sh\\n/bin/tar \"$@\"; exec /bin/sleep 60\\n' >b/tar; chmod +x b/tar; \
                    PATH=$PWD/b:$PATH exec \"$@\"";
        let arguments = [&["new", "--dest", "file"][..], options].concat();
        let running = far.copy_with(code, &arguments).start();
        let has_staged = |host: &std::path::PathBuf| {
            let entries = fs::read_dir(host).unwrap().flatten();
            entries
                .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".mrsh-"))
                .any(|entry| entry.path().join("file").exists())
        };
        let until = Instant::now() + Duration::from_secs(20);
        while !far.hosts().iter().all(has_staged) {
            assert!(Instant::now() < until, "nothing arrives");
            std::thread::sleep(Duration::from_millis(20));
        }
        if signal {
            running.signal(Signal::TERM);
        }
        let ended = running.finish();
        assert_ne!(ended.status, Some(0), "{ended:?}");
        for host in far.hosts() {
            assert_eq!(fs::read(host.join("file")).unwrap(), b"old");
            let mut names: Vec<_> = fs::read_dir(&host)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            assert_eq!(
                names,
                ["b", "file"],
                "{options:?}: something is left behind"
            );
        }
    }
}
