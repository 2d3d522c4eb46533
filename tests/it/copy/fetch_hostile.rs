//! Hosts that lie while files are fetched: they fail alone, and nothing outside their directory changes.

use std::fs;
use std::path::Path;

use tar::{EntryType, Header};

use super::far::{Far, FarSide};

/// Returns the blocks of one entry of an archive.
fn entry(name: &[u8], kind: EntryType, link: &[u8], length: u64, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(length);
    header.set_mode(0o6777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    let fields = header.as_old_mut();
    fields.name[..name.len()].copy_from_slice(name);
    fields.linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    let mut blocks = header.as_bytes().to_vec();
    blocks.extend_from_slice(content);
    blocks.resize(blocks.len().next_multiple_of(512), 0);
    blocks
}

/// Every file and directory below a directory, with its size.
fn names(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        names.push(path.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            names.extend(self::names(&path));
        }
    }
    names.sort();
    names
}

/// A run in which `h2` sends this archive and `h1` is honest: `h2` fails with the message, and only the file of `h1`
/// appears.
#[track_caller]
fn refuses_archive(archive: &[u8], message: &str) {
    refuses(Some(archive), "exec \"$@\"", message);
}

#[track_caller]
fn refuses(archive: Option<&[u8]>, hostile: &str, message: &str) {
    let far = Far::new(FarSide::Gnu, 2);
    for host in far.hosts() {
        fs::create_dir(host.join("d")).unwrap();
        fs::write(host.join("d/file"), "text").unwrap();
        // Shorter than the size in the hostile archives.
        fs::write(host.join("d/other"), "").unwrap();
    }
    if let Some(archive) = archive {
        fs::write(far.path("evil.tar"), archive).unwrap();
        fs::create_dir(far.path("evil")).unwrap();
        let path = far.path("evil/tar");
        fs::write(
            &path,
            "#!/bin/sh\ncase $* in *-chf*) cat ../../evil.tar; exec /bin/sleep 0.2;; esac\n",
        )
        .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    }
    let before = names(&far.path("hosts"));
    let code = format!(
        "case $0 in h1) exec \"$@\";; esac; PATH=$PWD/../../evil:$PATH; cd d/..; {hostile}"
    );
    // The archives name paths as they are for a host in its own directory.
    let ended = far
        .fetch_with(&code, &["d", "--max-size", "1M", "-u", "60"])
        .run();
    assert!(
        ended.stderr.contains(message),
        "{message}: {}",
        ended.stderr
    );
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("h2: "), "{}", ended.stderr);
    let out = far.path("out");
    assert_eq!(
        names(&out),
        ["h1", "h1/d", "h1/d/file", "h1/d/other"].map(|name| out.join(name).display().to_string()),
        "{message}"
    );
    assert_eq!(names(&far.path("hosts")), before, "{message}");
}

#[test]
fn archives_with_other_names_are_refused() {
    for name in [
        "../evil",
        "/tmp/evil",
        "./d/../../evil",
        "./d/evil",
        "d",
        "",
        "./d/file/x",
    ] {
        refuses_archive(
            &entry(name.as_bytes(), EntryType::Regular, b"", 4, b"evil"),
            "the host's shell answered with a file that was not asked for: ",
        );
    }
    // The second time it was not asked for.
    let file = entry(b"./d/file", EntryType::Regular, b"", 4, b"evil");
    refuses_archive(
        &[file.clone(), file].concat(),
        "a file that was not asked for: ./d/file",
    );
}

#[test]
fn archives_with_other_kinds_are_refused() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::Block,
        EntryType::GNUSparse,
    ] {
        refuses_archive(
            &entry(b"./d/file", kind, b"/etc/passwd", 0, b""),
            "an archive with an entry that is no file",
        );
    }
}

#[test]
fn damaged_and_endless_archives_are_refused() {
    let mut damaged = entry(b"./d/file", EntryType::Regular, b"", 4, b"evil");
    damaged[5] ^= 1;
    refuses_archive(&damaged, "an archive with a damaged header");
    refuses_archive(&[b'x'; 600], "an archive with a damaged header");
    let long = entry(b"././@LongLink", EntryType::GNULongName, b"", 1 << 40, b"");
    refuses_archive(&long, "an archive with a damaged long name");
    // More than --max-size allows; the list named a smaller size.
    let large = entry(
        b"./d/file",
        EntryType::Regular,
        b"",
        1 << 40,
        &vec![b'x'; 1_200_000],
    );
    refuses_archive(&large, "beyond the 1048576 bytes that --max-size allows");
    // The content is not what the host's own checksum says.
    let files = [
        entry(b"./d/file", EntryType::Regular, b"", 4, b"evil"),
        entry(b"./d/other", EntryType::Regular, b"", 0, b""),
        vec![0; 1024],
    ];
    refuses_archive(
        &files.concat(),
        "d/file: changed while it was fetched; try again",
    );
}

#[test]
fn lists_that_lie_are_refused() {
    for (line, message) in [
        (
            "f ./d/../../evil",
            "a name that was not asked for: d/../../evil",
        ),
        (
            "f /etc/passwd",
            "a name that was not asked for: /etc/passwd",
        ),
        (
            "f ./etc/passwd",
            "a name that was not asked for: etc/passwd",
        ),
        (
            "f ./d/file/below",
            "a name that was not asked for: d/file/below",
        ),
        ("z ./d/x", "an unexpected line: z ./d/x"),
        ("p", "an unexpected line: p"),
    ] {
        let code = format!("\"$@\" | sed -u 's|^f ./d/other|f ./d/other\\n{line}|'");
        refuses(None, &code, message);
    }
    for (code, message) in [
        ("\"$@\" | sed -u 's/^a -rw/a -zz/'", "an unexpected line"),
        ("\"$@\" | sed -u 's/^s /q /'", "an unexpected line"),
        ("echo hello", "no POSIX shell answered"),
        ("exec cat /dev/zero", "no POSIX shell answered"),
    ] {
        refuses(None, code, message);
    }
}

#[test]
fn a_list_without_end_is_refused() {
    refuses(
        None,
        "\"$@\" | { while read -r l; do echo \"$l\"; case $l in p) break;; esac; done; i=0; \
         while :; do i=$((i+1)); echo \"f ./d/$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i$i\"; done; }",
        "too many files",
    );
}
