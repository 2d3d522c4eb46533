//! `--check --diff`: the differences between the files of targets and the sources.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use super::far::{Far, FarSide};

#[test]
fn files_that_differ_are_printed_as_a_diff() {
    for side in FarSide::all() {
        let far = Far::new(side, 2);
        let source = far.source();
        fs::create_dir_all(source.join("sub/deep")).unwrap();
        fs::write(source.join("text"), "1\n2\n3\nnew\n").unwrap();
        fs::write(source.join("empty"), "").unwrap();
        fs::write(source.join("binary"), b"a\0b").unwrap();
        fs::write(source.join("long"), vec![b'x'; 2 << 20]).unwrap();
        fs::write(source.join("mode"), "m\n").unwrap();
        fs::write(source.join("same"), "s\n").unwrap();
        fs::write(source.join("sub/deep/f"), "f\n").unwrap();
        symlink("a", source.join("link")).unwrap();
        symlink("b", source.join("link2")).unwrap();
        far.copy(&["src/", "--dest", "dst"]).run().status(0);
        let host = far.hosts().remove(1).join("dst");
        fs::write(host.join("text"), "1\n2\n3\nold").unwrap();
        fs::write(host.join("empty"), "no longer\n").unwrap();
        fs::write(host.join("binary"), "text\n").unwrap();
        fs::write(host.join("long"), "short\n").unwrap();
        fs::set_permissions(host.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_dir_all(host.join("sub")).unwrap();
        fs::remove_file(host.join("link")).unwrap();
        symlink("other", host.join("link")).unwrap();
        let ended = far
            .copy(&["src/", "--dest", "dst", "--check", "--diff"])
            .run()
            .status(0);
        assert_eq!(ended.stderr, "", "{side:?}");
        let text = String::from_utf8(ended.stdout).unwrap();
        let of = |label: &str| -> Vec<&str> {
            text.lines()
                .filter_map(|line| line.strip_prefix(label))
                .collect()
        };
        assert_eq!(of("h1: "), ["unchanged"], "{side:?}");
        assert_eq!(
            of("h2: "),
            [
                "./dst/link: link differs",
                "./dst/long: differs, binary or longer than 1 MiB",
                "./dst/mode: mode, time or owner differs",
                "./dst/sub: missing",
                "./dst/binary: differs, binary or longer than 1 MiB",
                "--- ./dst/empty\tof the host",
                "+++ ./dst/empty\tof the source",
                "@@ -1 +0,0 @@",
                "-no longer",
                "--- ./dst/text\tof the host",
                "+++ ./dst/text\tof the source",
                "@@ -1,4 +1,4 @@",
                " 1",
                " 2",
                " 3",
                "-old",
                "\\ No newline at end of file",
                "+new",
                "would change: 5 files, 2097167 bytes",
            ],
            "{side:?}"
        );
        assert_eq!(fs::read(host.join("text")).unwrap(), b"1\n2\n3\nold");
    }
}

#[test]
fn patch_makes_the_source_of_a_random_diff() {
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    for _ in 0..5 {
        let far = Far::new(FarSide::Gnu, 1);
        let mut text = |most: usize| -> Vec<u8> {
            let mut text: Vec<u8> = std::iter::repeat_with(|| *random.choice(b"ab\n").unwrap())
                .take(most)
                .collect();
            // An empty file is a diff that deletes it, for patch(1).
            text.push(b'x');
            text
        };
        let (old, new) = (text(3000), text(3000));
        fs::write(far.path("f"), &new).unwrap();
        fs::write(far.hosts()[0].join("f"), &old).unwrap();
        let ended = far
            .copy(&[
                "f", "--dest", "f", "--check", "--diff", "-N", "--only", "output",
            ])
            .run()
            .status(0);
        let mut patch = Command::new("patch")
            .args(["-s", "-p0"])
            .current_dir(&far.hosts()[0])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut patch.stdin.take().unwrap(), &ended.stdout).unwrap();
        assert!(patch.wait().unwrap().success(), "seed {seed}");
        assert_eq!(
            fs::read(far.hosts()[0].join("f")).unwrap(),
            new,
            "seed {seed}"
        );
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_does_not_break_the_dialogue() {
    let far = Far::new(FarSide::Gnu, 1);
    for name in ["a", "b"] {
        fs::write(far.source().join(name), "new\n").unwrap();
    }
    fs::create_dir(far.hosts()[0].join("dst")).unwrap();
    for name in ["a", "b"] {
        fs::write(far.hosts()[0].join("dst").join(name), "old old\n").unwrap();
    }
    // `wc` counts more than `cat` then finds.
    let code = "mkdir w; printf '#!/bin/sh\\necho 700\\n' >w/wc; chmod +x w/wc; PATH=$PWD/w:$PATH exec \"$@\"";
    let ended = far
        .copy_with(code, &["src/", "--dest", "dst", "--check", "--diff"])
        .run()
        .status(0);
    assert_eq!(
        ended.sorted_lines(),
        [
            "h1: ./dst/a: differs, binary or longer than 1 MiB",
            "h1: ./dst/b: differs, binary or longer than 1 MiB",
            "h1: would change: 2 files, 8 bytes"
        ]
    );
}

#[test]
fn equal_differences_of_several_hosts_are_gathered() {
    let far = Far::new(FarSide::Gnu, 3);
    fs::write(far.path("f"), "new\n").unwrap();
    for host in far.hosts() {
        fs::write(host.join("f"), "old\n").unwrap();
    }
    let ended = far
        .copy(&["f", "--dest", "f", "--check", "--diff", "-b"])
        .run()
        .status(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("h[1-3]"), "{text}");
    assert_eq!(text.matches("-old").count(), 1, "{text}");
}
