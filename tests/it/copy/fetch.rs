//! `--fetch`: trees from far sides with every kind of shell and tool, and files that change meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::far::{Far, FarSide};
use super::tree::{assert_same, disturb, random_tree};

/// True if this far side can tell the nanoseconds of times.
fn tells_nanoseconds(side: FarSide) -> bool {
    side != FarSide::Posix
}

#[test]
fn a_tree_is_fetched_from_every_kind_of_far_side() {
    for side in FarSide::all() {
        let far = Far::new(side, 2);
        let mut random = fastrand::Rng::with_seed(11);
        for host in far.hosts() {
            random_tree(&mut random, &host.join("dst"));
        }
        let ended = far.fetch(&["dst", "--links"]).run();
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{side:?}");
        assert_eq!(ended.stdout, b"", "{side:?}");
        for (number, host) in far.hosts().iter().enumerate() {
            let out = far.path(&format!("out/h{}", number + 1));
            assert_same(&host.join("dst"), &out.join("dst"), tells_nanoseconds(side));
            assert_eq!(
                fs::read_dir(&out).unwrap().count(),
                1,
                "{side:?}: something is left behind"
            );
            assert_eq!(fs::read_dir(host).unwrap().count(), 1, "{side:?}");
        }
        let again = far.fetch(&["dst", "--links", "-v"]).run().status(0);
        assert!(
            again.stderr.contains("unchanged: h[1-2]"),
            "{side:?}: {}",
            again.stderr
        );
    }
}

#[test]
fn random_trees_come_back_as_they_were_copied() {
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    for round in 0..6 {
        let far = Far::new(FarSide::Gnu, 1);
        random_tree(&mut random, &far.source());
        far.copy(&["src/", "--dest", "dst"]).run().status(0);
        far.fetch(&["dst", "--links"]).run().status(0);
        assert_same(&far.source(), &far.path("out/h1/dst"), true);
        // Change local and remote files. A fetch keeps files that exist only locally.
        disturb(&mut random, &far.path("out/h1/dst"));
        far.fetch(&["dst", "--links"]).run().status(0);
        assert_same(&far.source(), &far.path("out/h1/dst"), true);
        let again = far.fetch(&["dst", "--links", "-v"]).run().status(0);
        assert!(
            again.stderr.contains("unchanged: h1"),
            "seed {seed}, round {round}: {}",
            again.stderr
        );
    }
}

#[test]
fn names_with_backslashes_are_no_codes() {
    for side in FarSide::all() {
        let far = Far::new(side, 1);
        let host = far.hosts().remove(0);
        fs::create_dir(host.join("d")).unwrap();
        for name in ["\\n", "a\\101", "end\\", "line\n", "\\\\"] {
            fs::write(host.join("d").join(name), name).unwrap();
        }
        let ended = far.fetch(&["d"]).run();
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{side:?}");
        assert_same(
            &host.join("d"),
            &far.path("out/h1/d"),
            tells_nanoseconds(side),
        );
    }
}

#[test]
fn only_what_differs_is_fetched() {
    let far = Far::new(FarSide::Gnu, 2);
    for host in far.hosts() {
        fs::create_dir(host.join("d")).unwrap();
        for number in 0..50 {
            fs::write(host.join(format!("d/f{number}")), format!("text {number}")).unwrap();
        }
    }
    far.fetch(&["d"]).run().status(0);
    fs::write(far.path("out/h2/d/f7"), "text x").unwrap();
    fs::remove_file(far.path("out/h2/d/f9")).unwrap();
    fs::set_permissions(far.path("out/h1/d/f3"), fs::Permissions::from_mode(0o600)).unwrap();
    let check = far.fetch(&["d", "--check"]).run().status(0);
    let text = String::from_utf8(check.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "h1: would change: modes, times, links or directories",
            "h2: would change: 2 files, 12 bytes"
        ]
    );
    assert_eq!(fs::read(far.path("out/h2/d/f7")).unwrap(), b"text x");
    let inode = fs::metadata(far.path("out/h1/d/f3")).unwrap().ino();
    let ended = far.fetch(&["d", "--json"]).run().status(0);
    let copies: Vec<_> = crate::support::records(&ended)
        .iter()
        .filter_map(|record| record.get("copy").cloned())
        .map(|copy| (copy["changed"].clone(), copy["files"].clone()))
        .collect();
    assert!(copies.contains(&(true.into(), 0.into())), "{copies:?}");
    assert!(copies.contains(&(true.into(), 2.into())), "{copies:?}");
    let mode_only = fs::metadata(far.path("out/h1/d/f3")).unwrap();
    assert_eq!((mode_only.ino(), mode_only.mode() & 0o777), (inode, 0o644));
    assert_eq!(fs::read(far.path("out/h2/d/f7")).unwrap(), b"text 7");
}

#[test]
fn wildcards_are_for_the_host_and_everything_else_is_quoted() {
    let far = Far::new(FarSide::Gnu, 1);
    let host = far.hosts().remove(0);
    fs::create_dir(host.join("log dir")).unwrap();
    for name in [
        "a.log",
        "b.log",
        ".hidden.log",
        "c.txt",
        "$(touch pwned)",
        "*",
    ] {
        fs::write(host.join("log dir").join(name), name).unwrap();
    }
    let names = || {
        let entries = fs::read_dir(far.path("out/h1/log dir")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    far.fetch(&["log dir/[!b]*.log"]).run().status(0);
    assert_eq!(names(), ["a.log"]);
    far.fetch(&["log dir/*.l?g", "--fetch", r"log dir/\*"])
        .run()
        .status(0);
    assert_eq!(names(), ["*", "a.log", "b.log"]);
    far.fetch(&["log dir/$(touch pwned)"]).run().status(0);
    assert!(names().contains(&"$(touch pwned)".to_owned()));
    assert!(!host.join("pwned").exists());
    let none = far.fetch(&["log dir/*.zip"]).run().status(1);
    assert!(
        none.stderr
            .contains("h1: log dir/*.zip: no such file or directory"),
        "{}",
        none.stderr
    );
}

#[test]
fn links_and_special_files_are_named() {
    let far = Far::new(FarSide::Gnu, 1);
    let host = far.hosts().remove(0);
    fs::create_dir(host.join("d")).unwrap();
    fs::write(host.join("d/file"), "text").unwrap();
    symlink("file", host.join("d/one")).unwrap();
    symlink("nothing", host.join("d/two")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        host.join("d/fifo"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    let ended = far.fetch(&["d"]).run().status(0);
    let mut lines: Vec<_> = ended.stderr.lines().collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "h1: not fetched: d/fifo (device, socket or fifo)",
            "h1: not fetched: d/one (symbolic link) and 1 more; --links fetches links"
        ]
    );
    assert_eq!(fs::read_dir(far.path("out/h1/d")).unwrap().count(), 1);
    // A link that is named is followed, as by cat.
    far.fetch(&["d/one"]).run().status(0);
    let one = fs::symlink_metadata(far.path("out/h1/d/one")).unwrap();
    assert!(one.is_file());
    for (path, message) in [
        ("d/two", "h1: d/two: no such file or directory"),
        ("d/fifo", "h1: d/fifo: is a device, socket or fifo"),
    ] {
        let ended = far.fetch(&[path]).run().status(1);
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
    }
}

#[test]
fn links_are_followed_on_request() {
    for side in FarSide::all() {
        let far = Far::new(side, 1);
        let host = far.hosts().remove(0);
        fs::create_dir_all(host.join("d/sub")).unwrap();
        fs::write(host.join("d/file"), "text").unwrap();
        fs::write(host.join("d/sub/x"), "in a directory").unwrap();
        for (content, name) in [
            ("file", "d/one"),
            ("sub", "d/dir"),
            ("nothing", "d/two"),
            ("../file", "d/sub/above"),
        ] {
            symlink(content, host.join(name)).unwrap();
        }
        let ended = far.fetch(&["d", "--dereference"]).run();
        assert_eq!(
            (ended.status, &*ended.stderr),
            (
                Some(0),
                "h1: not fetched: d/two (symbolic link to nothing)\n"
            ),
            "{side:?}"
        );
        let out = far.path("out/h1/d");
        for (name, text) in [
            ("file", "text"),
            ("one", "text"),
            ("sub/x", "in a directory"),
            ("sub/above", "text"),
            ("dir/x", "in a directory"),
            ("dir/above", "text"),
        ] {
            let path = out.join(name);
            let about = fs::symlink_metadata(&path).unwrap();
            assert!(about.is_file(), "{side:?} {name}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{side:?} {name}");
        }
        let again = far.fetch(&["d", "--dereference", "-v"]).run().status(0);
        assert!(again.stderr.contains("unchanged: h1"), "{side:?} {again:?}");
        // A link to a directory beside the links is no loop, and one to a directory above them is.
        symlink("../../d", host.join("d/sub/loop")).unwrap();
        let ended = far.fetch(&["d", "--dereference"]).run();
        let words = "loop: leads back to a directory that contains it; fetch without --dereference";
        assert_eq!(ended.status, Some(1), "{side:?} {ended:?}");
        assert!(ended.stderr.contains(words), "{side:?} {ended:?}");
        let both = far
            .fetch(&["d", "--links", "--dereference"])
            .run()
            .status(2);
        assert!(both.stderr.contains("give one of them"), "{both:?}");
    }
}

/// Shell code in which a file is changed by this code after tar has read it.
fn with_change(change: &str) -> String {
    format!(
        "mkdir ../b; printf '#!/bin/sh\\n/bin/tar \"$@\"; s=$?; case $* in *-chf*) {change};; esac; exit $s\\n' \
         >../b/tar; chmod +x ../b/tar; PATH=$PWD/../b:$PATH exec \"$@\""
    )
}

#[test]
fn a_log_that_grows_is_fetched_and_one_that_is_rewritten_is_not() {
    let far = Far::new(FarSide::Gnu, 1);
    let host = far.hosts().remove(0);
    fs::write(host.join("log"), "one\ntwo\n").unwrap();
    fs::write(host.join("other"), "other").unwrap();
    far.fetch_with(
        &with_change("echo three >>log"),
        &["log", "--fetch", "other"],
    )
    .run()
    .status(0);
    assert_eq!(fs::read(far.path("out/h1/log")).unwrap(), b"one\ntwo\n");
    assert_eq!(fs::read(host.join("log")).unwrap(), b"one\ntwo\nthree\n");
    let ended = far
        .fetch_with(
            &with_change("echo rotated >log"),
            &["log", "--fetch", "other"],
        )
        .run()
        .status(1);
    assert!(
        ended
            .stderr
            .contains("h1: log: changed while it was fetched; try again"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        fs::read(far.path("out/h1/log")).unwrap(),
        b"one\ntwo\n",
        "the old file stays"
    );
    assert_eq!(fs::read_dir(far.path("out/h1")).unwrap().count(), 2);
}

#[test]
fn wrong_paths_and_limits_change_nothing() {
    let far = Far::new(FarSide::Gnu, 2);
    for host in far.hosts() {
        fs::create_dir(host.join("d")).unwrap();
        fs::write(host.join("d/f"), vec![b'x'; 3_000_000]).unwrap();
    }
    let fails = |arguments: &[&str], message: &str| {
        let ended = far.fetch(arguments).run();
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
        ended.status(1);
    };
    fails(
        &["d", "--max-size", "2M"],
        "h[1-2]: the files have 3000000 bytes, more than --max-size 2097152 allows",
    );
    fails(&["none"], "h[1-2]: none: no such file or directory");
    assert!(!far.path("out/h1").exists());
    // What is here has another shape.
    fs::create_dir_all(far.path("out/h1/d/f")).unwrap();
    let shape = "d/f: is a directory in the host's directory here, and not over there";
    fails(&["d"], shape);
    assert!(far.path("out/h1/d/f").is_dir());
    assert!(far.path("out/h2/d/f").is_file());
    // A link here leads nowhere.
    fs::remove_dir_all(far.path("out")).unwrap();
    fs::create_dir_all(far.path("out/h1")).unwrap();
    fs::create_dir(far.path("victim")).unwrap();
    symlink("../../victim", far.path("out/h1/d")).unwrap();
    fails(
        &["d"],
        "h1: d: is no directory in the host's directory here",
    );
    assert_eq!(fs::read_dir(far.path("victim")).unwrap().count(), 0);
    let ended = far.fetch(&["d", "--raw"]).run().status(2);
    assert!(ended.stderr.contains("--raw"), "{}", ended.stderr);
}

#[test]
fn a_signal_or_a_timeout_leaves_nothing_behind() {
    for (options, signal) in [(&[][..], true), (&["-u", "6"][..], false)] {
        let far = Far::new(FarSide::Gnu, 2);
        for host in far.hosts() {
            fs::write(host.join("file"), vec![b'x'; 1_000_000]).unwrap();
        }
        fs::create_dir_all(far.path("out/h1")).unwrap();
        fs::write(far.path("out/h1/file"), "old").unwrap();
        // A tar that sends everything and then does not end.
        let code = with_change("exec /bin/sleep 60");
        let code = code.replace("mkdir ../b", "mkdir -p ../b");
        let arguments = [&["file"][..], options].concat();
        let running = far.fetch_with(&code, &arguments).start();
        let has_staged = |host: &str| {
            let entries = fs::read_dir(far.path("out").join(host));
            let mut entries = entries.into_iter().flatten().flatten();
            entries.any(|entry| entry.file_name().as_encoded_bytes().starts_with(b".mrsh-"))
        };
        let until = Instant::now() + Duration::from_secs(20);
        while !["h1", "h2"].into_iter().all(has_staged) {
            assert!(Instant::now() < until, "nothing arrives");
            std::thread::sleep(Duration::from_millis(20));
        }
        if signal {
            running.signal(Signal::TERM);
        }
        let ended = running.finish();
        assert_ne!(ended.status, Some(0), "{ended:?}");
        assert_eq!(fs::read(far.path("out/h1/file")).unwrap(), b"old");
        assert_eq!(fs::read_dir(far.path("out/h1")).unwrap().count(), 1);
        assert!(!far.path("out/h2").exists(), "{options:?}");
    }
}
