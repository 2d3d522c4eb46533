//! The dialogue over SFTP with a server in memory, with the server of OpenSSH, and with servers that lie.

pub(super) mod openssh;
mod server;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::{CommandStderr, Copies, CopyProtocol, CopySpec, Job, Snapshots, SourceRules};
use super::wire::kind;
use super::*;
use server::{Node, Rules, Server};

/// Returns the plan of a copy of these sources to a directory.
fn spec(sources: &[&Path], directory: &str) -> CopySpec {
    let rules = SourceRules {
        dereference: false,
        preserve_setid: true,
        mode: None,
    };
    let sources: Vec<_> = sources.iter().map(|source| source.to_path_buf()).collect();
    CopySpec {
        snapshots: Snapshots::of_paths(&sources, rules).unwrap(),
        directory: directory.into(),
        parents: MissingDirectories::None,
        owner: None,
        command: Vec::new(),
        variables: None,
        stderr: CommandStderr::Separate,
        only_changed: false,
        check: false,
        swap: false,
        diff: false,
        protocol: CopyProtocol::Shell,
    }
}

fn dialogue(spec: CopySpec) -> SftpCopy {
    let copies = Copies::to_targets(spec).unwrap();
    let Job::Copy(shared) = copies.job else {
        panic!("no copy");
    };
    SftpCopy::new(shared, TargetId(4))
}

/// Returns the bytes of a segment.
fn bytes(segment: &Segment) -> Vec<u8> {
    match segment {
        Segment::Bytes(bytes) => bytes.to_vec(),
        Segment::File { file, at, length } => {
            let mut bytes = vec![0; *length as usize];
            let mut done = 0;
            while done < bytes.len() {
                let n = file.read_at(at + done as u64, &mut bytes[done..]).unwrap();
                assert!(n > 0, "the file is too short");
                done += n;
            }
            bytes
        }
    }
}

/// Runs a dialogue to its end. Replies arrive in pieces of these sizes.
fn run_in_pieces(copy: &mut SftpCopy, server: &mut Server, sizes: &[usize]) {
    let mut sizes = sizes.iter().cycle();
    loop {
        match copy.next() {
            Next::Segment(segment) => {
                let bytes = bytes(&segment);
                server.take(&bytes);
                copy.advance(bytes.len() as u64);
            }
            Next::Wait => {
                let output = server.output();
                assert!(!output.is_empty(), "both sides wait: {copy:?}");
                let mut rest = &*output;
                while !rest.is_empty() {
                    let size = (*sizes.next().unwrap()).clamp(1, rest.len());
                    let (piece, later) = rest.split_at(size);
                    assert_eq!(copy.receive(piece), b"", "there is no command");
                    rest = later;
                }
            }
            Next::End => break,
        }
    }
    assert_eq!(server.open_handles(), 0);
    assert!(server.most_in_flight <= channel::MAX_IN_FLIGHT);
}

fn run(spec: CopySpec, server: &mut Server) -> CopyResult {
    let mut copy = dialogue(spec);
    run_in_pieces(&mut copy, server, &[usize::MAX]);
    copy.result()
}

/// A tree with everything that a copy keeps.
fn tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("new/deep")).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("text"), "text").unwrap();
    let long: Vec<u8> = (0..200_001_u32).map(|number| number as u8).collect();
    fs::write(path("new/long"), long).unwrap();
    fs::write(path("new/deep/script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path("new/deep/script"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(path("new/deep"), fs::Permissions::from_mode(0o550)).unwrap();
    fs::hard_link(path("text"), path("new/same")).unwrap();
    symlink("../text", path("new/link")).unwrap();
    folder
}

fn source(tree: &TempDir) -> std::path::PathBuf {
    // The content of the directory.
    tree.path().join("")
}

/// Returns the names at the server, with their content.
fn content(server: &Server) -> Vec<(String, String)> {
    let nodes = server.nodes.iter().map(|(path, node)| {
        let text = match node {
            Node::Directory { mode } => format!("d {mode:o}"),
            Node::Link(content) => format!("l {}", content.escape_ascii()),
            Node::File(index) => {
                let file = &server.files[*index];
                let sum = openssl::sha::sha256(&file.content);
                format!("f {:o} {} {:?}", file.mode, file.mtime, &sum[..4])
            }
        };
        (path.escape_ascii().to_string(), text)
    });
    nodes.collect()
}

fn servers() -> Vec<Rules> {
    let rules = Rules::default;
    vec![
        rules(),
        Rules {
            extensions: &[],
            ..rules()
        },
        Rules {
            draft_links: true,
            ..rules()
        },
        Rules {
            reversed: true,
            most_read: 7_777,
            ..rules()
        },
    ]
}

#[test]
fn a_tree_arrives_at_every_server_and_is_then_unchanged() {
    for rules in servers() {
        let tree = tree();
        let mut server = Server::new(rules.clone());
        server
            .nodes
            .insert("/home/d".into(), Node::Directory { mode: 0o700 });
        let result = run(spec(&[&source(&tree)], "./d"), &mut server);
        assert_eq!((result.error, result.left), (None, None), "{rules:?}");
        assert!(result.done && result.copied.changed && !result.partly);
        assert_eq!(
            (result.copied.files, result.copied.checksum),
            (4, "sftp-read")
        );
        let names: Vec<_> = content(&server).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "/",
                "/home",
                "/home/d",
                "/home/d/empty",
                "/home/d/new",
                "/home/d/new/deep",
                "/home/d/new/deep/script",
                "/home/d/new/link",
                "/home/d/new/long",
                "/home/d/new/same",
                "/home/d/text",
            ]
        );
        assert_eq!(server.file("d/new/deep/script").unwrap().mode, 0o4755);
        assert_eq!(server.file("d/new/long").unwrap().content.len(), 200_001);
        let link = &server.nodes[b"/home/d/new/link".as_slice()];
        assert_eq!(*link, Node::Link(b"../text".to_vec()));
        assert_eq!(
            server.nodes[b"/home/d/new/deep".as_slice()],
            Node::Directory { mode: 0o550 }
        );
        let is_linked = server.nodes[b"/home/d/new/same".as_slice()]
            == server.nodes[b"/home/d/text".as_slice()];
        assert_eq!(is_linked, !rules.extensions.is_empty());
        let before = content(&server);
        server.requests.clear();
        let again = run(spec(&[&source(&tree)], "./d"), &mut server);
        assert!(again.done && !again.copied.changed, "{again:?}");
        assert_eq!(content(&server), before);
        assert!(!server.requests.contains(&kind::WRITE));
    }
}

#[test]
fn only_what_differs_is_sent_and_modes_alone_are_set() {
    let tree = tree();
    let mut server = Server::new(Rules::default());
    run(spec(&[&source(&tree)], "/home"), &mut server);
    // The same length, so only the content is different.
    server.write("/home/new/long", &[b'x'; 200_001]);
    let Node::File(index) = server.nodes[b"/home/empty".as_slice()] else {
        panic!("no file");
    };
    server.files[index].mode = 0o600;
    let before = server.requests.len();
    let result = run(spec(&[&source(&tree)], "/home"), &mut server);
    assert_eq!(
        (result.copied.files, result.copied.bytes, result.error),
        (1, 200_001, None)
    );
    let opened = server.requests[before..]
        .iter()
        .filter(|request| **request == kind::OPEN);
    // Four files are compared, one of them under two names, and one is sent.
    assert_eq!(opened.count(), 6);
    assert_eq!(server.file("empty").unwrap().mode, 0o644);
    let again = run(spec(&[&source(&tree)], "/home"), &mut server);
    assert!(!again.copied.changed);
}

#[test]
fn a_server_without_posix_rename_replaces_nothing() {
    let tree = tree();
    let mut server = Server::new(Rules {
        extensions: &["fsync@openssh.com"],
        ..Rules::default()
    });
    server.write("text", b"old");
    let before = content(&server);
    let result = run(spec(&[&source(&tree)], "."), &mut server);
    assert_eq!(
        result.error.as_deref(),
        Some(
            "the server cannot replace files at once (it lacks posix-rename@openssh.com), so nothing was changed"
        )
    );
    assert_eq!(content(&server), before);
}

#[test]
fn failures_leave_nothing_behind_and_are_named() {
    let full = "the server gives no cause; the disk may be full";
    for (request, code, words) in [
        (kind::MKDIR, 3, "./: permission denied".to_owned()),
        (kind::WRITE, 4, format!("./text: {full}")),
        (kind::READ, 4, format!("./text: {full}")),
        (kind::OPEN, 3, "./text: permission denied".to_owned()),
        (
            kind::FSETSTAT,
            8,
            "./text: the server does not support this operation".to_owned(),
        ),
        (
            kind::SYMLINK,
            8,
            "the server makes no symbolic links: ".to_owned(),
        ),
        (kind::STAT, 3, ".: permission denied".to_owned()),
        (kind::LSTAT, 3, "./new: permission denied".to_owned()),
    ] {
        let tree = tree();
        let mut server = Server::new(Rules {
            failing: Some((request, code)),
            ..Rules::default()
        });
        let before = content(&server);
        let result = run(spec(&[&source(&tree)], "./"), &mut server);
        let error = result.error.unwrap();
        let of_another_file = words.replace("./text", "./empty");
        let of_a_third = words.replace("./text", "./new/deep/script");
        assert!(
            [&words, &of_another_file, &of_a_third]
                .iter()
                .any(|words| error.starts_with(*words)),
            "{request}: {error}"
        );
        assert!(!result.done && !result.partly);
        assert_eq!(result.left, None, "{request}");
        assert_eq!(content(&server), before, "{request}");
    }
    // What arrives damaged is noticed.
    let tree = tree();
    let mut server = Server::new(Rules {
        damages: true,
        ..Rules::default()
    });
    let result = run(spec(&[&source(&tree)], "."), &mut server);
    let words = "what arrived differs from what was sent";
    assert_eq!(result.error.as_deref(), Some(words));
    assert_eq!(content(&server).len(), 2);
    // A failure in the middle of the change says so.
    let mut server = Server::new(Rules {
        extensions: &[],
        failing: Some((kind::RENAME, 4)),
        ..Rules::default()
    });
    let result = run(spec(&[&source(&tree)], "."), &mut server);
    assert!(result.partly && result.left.is_none(), "{result:?}");
    assert_eq!(content(&server).len(), 2);
}

#[test]
fn missing_directories_are_made_only_if_asked_for() {
    let tree = tree();
    for (directory, parents, error) in [
        (
            "./a/",
            MissingDirectories::None,
            Some("./a/: no such directory; --parents makes it"),
        ),
        ("./a", MissingDirectories::Last, None),
        (
            "./b/c",
            MissingDirectories::Last,
            Some("./b: no such directory; --parents makes it"),
        ),
        ("./b/c/d", MissingDirectories::All, None),
        ("/x/y", MissingDirectories::All, None),
        (
            "./text/y",
            MissingDirectories::All,
            Some("./text: not a directory"),
        ),
        (
            "./text/",
            MissingDirectories::All,
            Some("./text/: not a directory"),
        ),
    ] {
        let mut server = Server::new(Rules::default());
        server.write("text", b"a file");
        let spec = CopySpec {
            parents,
            ..spec(&[&tree.path().join("empty")], directory)
        };
        let result = run(spec, &mut server);
        assert_eq!(result.error.as_deref(), error, "{directory}");
        let is_there = server.file(&format!("{directory}/empty")).is_some();
        assert_eq!(is_there, error.is_none());
    }
}

#[test]
fn entries_of_another_kind_change_nothing() {
    let tree = tree();
    let mut server = Server::new(Rules::default());
    server
        .nodes
        .insert("/home/text".into(), Node::Directory { mode: 0o755 });
    let result = run(spec(&[&source(&tree)], "."), &mut server);
    assert_eq!(result.error.as_deref(), Some("./text: is a directory"));
    server.nodes.remove("/home/text".as_bytes());
    server.write("new", b"a file");
    let result = run(spec(&[&source(&tree)], "."), &mut server);
    assert_eq!(result.error.as_deref(), Some("./new: not a directory"));
    assert_eq!(content(&server).len(), 3);
}

#[test]
fn a_command_an_owner_by_name_and_a_check() {
    let tree = tree();
    let plan = || spec(&[&source(&tree)], ".");
    for (spec, error) in [
        (
            CopySpec {
                command: b"true".to_vec(),
                ..plan()
            },
            "the host has no shell for COMMAND: it offers only SFTP",
        ),
        (
            CopySpec {
                owner: Some("root:root".to_owned()),
                ..plan()
            },
            "the host has no shell, so --owner needs numbers: UID:GID",
        ),
    ] {
        let mut server = Server::new(Rules::default());
        let result = run(spec, &mut server);
        assert_eq!(result.error.as_deref(), Some(error));
        assert_eq!(content(&server).len(), 2);
    }
    let mut server = Server::new(Rules::default());
    let check = CopySpec {
        check: true,
        ..plan()
    };
    let result = run(check, &mut server);
    assert!(result.done && result.check && result.copied.changed);
    assert_eq!(content(&server).len(), 2);
    let owner = CopySpec {
        owner: Some("10:20".to_owned()),
        ..plan()
    };
    assert_eq!(run(owner, &mut server).error, None);
    let file = server.file("new/deep/script").unwrap();
    assert_eq!((file.owner, file.mode), ((10, 20), 0o4755));
}

#[test]
fn servers_that_lie_fail_alone() {
    let version = b"\0\0\0\x05\x02\0\0\0\x03".as_slice();
    let reply = |body: &[u8]| [version, &(body.len() as u32).to_be_bytes(), body].concat();
    for (said, error) in [
        (
            b"Welcome!\r\n".to_vec(),
            "the server answered with text: Welcome!",
        ),
        (reply(&[])[9..].to_vec(), "a packet that is too short"),
        (b"\0\0\0\x05\x02\0\0\0\x06".to_vec(), "version 6 of SFTP"),
        (
            b"\0\0\0\x05\x65\0\0\0\x03".to_vec(),
            "another packet than its version",
        ),
        (
            [version, b"\xff\xff\xff\xff"].concat(),
            "a packet that is too long",
        ),
        (
            reply(b"\x65\0\0\0\x09\0\0\0\0"),
            "a reply without a request",
        ),
        (reply(b"\x65\0\0\0\0\0\0\0\0"), "success and nothing else"),
        (
            reply(b"\x66\0\0\0\0\0\0\0\x01h"),
            "a reply that does not fit its request",
        ),
        (
            reply(b"\x66\0\0\0\0\0\0\x01\x01"),
            "a packet that is too short",
        ),
        (
            reply(&[b"\x66\0\0\0\0\0\0\x01\x01".as_slice(), &[0; 257]].concat()),
            "a handle that is too long",
        ),
        (reply(b"\x09\0\0\0\0"), "a packet of an unknown type"),
        (
            reply(b"\x69\0\0\0\0\x80\0\0\0\xff\xff\xff\xff"),
            "a packet that is too short",
        ),
    ] {
        let folder = tree();
        let mut copy = dialogue(spec(&[&source(&folder)], "."));
        assert_eq!(copy.receive(&said), b"");
        let result = copy.result();
        let text = result.error.clone().unwrap_or_default();
        assert!(text.contains(error), "{text} {error}");
        assert!(matches!(copy.next(), Next::End), "{error}");
        assert_eq!(copy.receive(&said), b"");
        assert_eq!(copy.result().error, result.error);
    }
}

#[test]
fn only_a_version_is_an_answer() {
    let folder = tree();
    let mut copy = dialogue(spec(&[&source(&folder)], "."));
    assert!(copy.result().has_no_answer);
    let _ = copy.receive(b"\0\0\0\x05\x02\0\0\0");
    assert!(copy.result().has_no_answer);
    let _ = copy.receive(b"\x03");
    assert!(!copy.result().has_no_answer);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_cutting_of_the_replies_gives_the_same(
        sizes in prop::collection::vec(1..40_000_usize, 1..8),
        number in 0..4_usize,
    ) {
        let folder = tree();
        let mut whole = Server::new(servers()[number].clone());
        run(spec(&[&source(&folder)], "."), &mut whole);
        let mut server = Server::new(servers()[number].clone());
        let mut copy = dialogue(spec(&[&source(&folder)], "."));
        run_in_pieces(&mut copy, &mut server, &sizes);
        prop_assert!(copy.result().done);
        prop_assert_eq!(content(&server), content(&whole));
    }
}
