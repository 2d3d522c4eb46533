//! Copies to appliances that have `rcp` or `scp` and no shell (`--protocol`): the dialogue with `rcp -t`, a state machine
//! without I/O.
//!
//! The protocol has no written standard; BSD's `rcp.c` is one. A line announces a file, a directory or times, and a byte
//! answers each line and each content: 0 for success, 1 or 2 for an error with its text. The far side writes files in
//! place, and nothing checks what arrived.

use std::sync::Arc;

use super::queue::{Next, SendQueue};
use super::result::{CopyResult, message};
use super::snapshot::{Entry, EntryKind, Segment, Snapshot};
use super::{CopyProtocol, CopyShared, CopySpec, HostDialogue, blocks};
use crate::event::{Copied, TargetProgress};
use crate::targets::TargetId;

/// Word for a copy whose content nobody checks.
const CHECKSUM: &str = "none";

/// Maximum length of the text of an error, in bytes.
const MAX_TEXT: usize = 2048;

/// Returns the command of the far side.
pub(super) fn command(program: &str, spec: &CopySpec) -> Vec<u8> {
    let mut command = format!("{program} -t -r -p -d ").into_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(byte);
    // The command interpreter of an appliance may know no quotes.
    if spec.directory.iter().all(is_plain) {
        command.extend_from_slice(&spec.directory);
    } else {
        blocks::push_quoted(&spec.directory, &mut command);
    }
    command
}

/// The answer that is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RcpStep {
    /// To nothing: the far side speaks first.
    Start,
    /// To the line with times. The line about the entry follows.
    Times(Line),
    /// To the line about an entry, or to the end of a directory.
    Line(Line),
    /// To the content of a file.
    Content,
    /// The text of an error, up to the end of the line.
    Error,
    Ended,
}

/// A line of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Begins the directory at this index of the entries.
    Enter(usize),
    /// Announces the file at this index.
    File(usize),
    /// Ends the current directory.
    Leave,
}

/// The dialogue with one target.
#[derive(Debug)]
pub(super) struct RcpCopy {
    snapshot: Arc<Snapshot>,
    queue: SendQueue,
    step: RcpStep,
    /// Index of the next entry.
    next: usize,
    /// Indexes of the directories in which the far side is.
    directories: Vec<usize>,
    text: Vec<u8>,
    /// True if times are sent.
    preserve: bool,
    result: CopyResult,
    progress: TargetProgress,
}

impl HostDialogue for RcpCopy {
    fn next(&self) -> Next {
        self.queue.next()
    }

    fn advance(&mut self, n: u64) {
        let of_file = self.queue.advance(n);
        self.progress.moved(of_file);
    }

    fn receive(&mut self, data: &[u8]) -> Vec<u8> {
        for &byte in data {
            match self.step {
                RcpStep::Ended => break,
                RcpStep::Error if byte == b'\n' => {
                    let text = message(&self.text);
                    self.fail(text);
                }
                RcpStep::Error if self.text.len() < MAX_TEXT => self.text.push(byte),
                RcpStep::Error => {}
                _ => match byte {
                    0 => self.go_on(),
                    1 | 2 => self.step = RcpStep::Error,
                    // A text of the shell or of a start-up file, or an error of an old rcp.
                    _ => {
                        self.text.push(byte);
                        self.step = RcpStep::Error;
                    }
                },
            }
        }
        Vec::new()
    }

    fn is_abandoned(&self) -> bool {
        false
    }

    fn result(&self) -> CopyResult {
        let mut result = self.result.clone();
        if result.error.is_none() && !self.text.is_empty() {
            result.error = Some(message(&self.text));
        }
        result
    }
}

impl RcpCopy {
    pub(super) fn new(shared: &CopyShared, target: TargetId) -> RcpCopy {
        RcpCopy {
            progress: shared.progress.begin(),
            snapshot: shared.spec.snapshots.of_target(target),
            queue: SendQueue::default(),
            step: RcpStep::Start,
            next: 0,
            directories: Vec::new(),
            text: Vec::new(),
            preserve: match &shared.spec.protocol {
                CopyProtocol::Sink(sink) => sink.preserve,
                _ => true,
            },
            result: CopyResult {
                copied: Copied {
                    checksum: CHECKSUM,
                    ..Copied::default()
                },
                ..CopyResult::default()
            },
        }
    }

    fn fail(&mut self, text: String) {
        self.result.error = Some(text);
        self.step = RcpStep::Ended;
        self.queue.end_now();
    }

    /// Sends what follows a success.
    fn go_on(&mut self) {
        match self.step {
            RcpStep::Times(line) => self.send_line(line),
            RcpStep::Line(Line::File(index)) => self.send_content(index),
            RcpStep::Line(Line::Enter(index)) => {
                self.directories.push(index);
                self.next_line();
            }
            RcpStep::Line(Line::Leave) => {
                self.directories.pop();
                self.next_line();
            }
            RcpStep::Start => {
                let snapshot = Arc::clone(&self.snapshot);
                let all = 0..snapshot.entries.len();
                let contents = all.filter_map(|index| snapshot.content_of(index));
                let total = contents.map(|content| content.length).sum();
                self.progress.compared(total);
                self.next_line();
            }
            RcpStep::Content => self.next_line(),
            RcpStep::Error | RcpStep::Ended => {}
        }
    }

    /// Sends the next line: the end of a directory, the begin of one, or a file.
    fn next_line(&mut self) {
        let snapshot = Arc::clone(&self.snapshot);
        let entries = &snapshot.entries;
        // Links are not sent, and a notice of the plan says so.
        while matches!(
            entries.get(self.next).map(|entry| &entry.kind),
            Some(EntryKind::Link(_))
        ) {
            self.next += 1;
        }
        let current = self.directories.last().map(|&index| &entries[index]);
        let Some(entry) = entries.get(self.next) else {
            return match current {
                Some(_) => self.send_line(Line::Leave),
                None => self.finish(),
            };
        };
        let is_in = |current: &Arc<Entry>| {
            let rest = entry.name.strip_prefix(&*current.name);
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        if current.is_some_and(|current| !is_in(current)) {
            return self.send_line(Line::Leave);
        }
        // Sources of the same name are merged, so an entry may be in a directory that has ended.
        let entered = current.map_or(0, |current| current.name.len() + 1);
        let rest = &entry.name[entered..];
        let line = match memchr::memchr(b'/', rest) {
            Some(end) => {
                let name = &entry.name[..entered + end];
                let mut all = entries.iter();
                let directory = all.position(|entry| {
                    matches!(entry.kind, EntryKind::Directory) && *entry.name == *name
                });
                Line::Enter(directory.expect("the directory of an entry is an entry"))
            }
            None => {
                self.next += 1;
                match entry.kind {
                    EntryKind::Directory => Line::Enter(self.next - 1),
                    _ => Line::File(self.next - 1),
                }
            }
        };
        self.send_times(line);
    }

    fn send_times(&mut self, line: Line) {
        if !self.preserve {
            return self.send_line(line);
        }
        let (Line::Enter(index) | Line::File(index)) = line else {
            return;
        };
        let time = self.snapshot.entries[index].mtime.max(0);
        self.queue_bytes(format!("T{time} 0 {time} 0\n").into_bytes());
        self.step = RcpStep::Times(line);
    }

    fn send_line(&mut self, line: Line) {
        let snapshot = Arc::clone(&self.snapshot);
        let bytes = match line {
            Line::Leave => b"E\n".to_vec(),
            Line::Enter(index) | Line::File(index) => {
                let entry = &snapshot.entries[index];
                let length = snapshot
                    .content_of(index)
                    .map_or(0, |content| content.length);
                let letter = if matches!(line, Line::Enter(_)) {
                    'D'
                } else {
                    'C'
                };
                let (_, name) = blocks::split(&entry.name);
                let start = format!("{letter}{:04o} {length} ", entry.mode);
                [start.as_bytes(), name, b"\n"].concat()
            }
        };
        // The far side writes to the place of the old file as soon as it knows its name.
        self.result.partly = true;
        self.queue_bytes(bytes);
        self.step = RcpStep::Line(line);
    }

    /// Sends the content of a file. Its length is that of the snapshot, so the far side always knows where it ends.
    fn send_content(&mut self, index: usize) {
        let snapshot = Arc::clone(&self.snapshot);
        if let Some(content) = snapshot.content_of(index) {
            self.result.copied.files += 1;
            self.result.copied.bytes += content.length;
            let segment = snapshot.content(content);
            self.queue.push(segment);
        }
        self.queue_bytes(vec![0]);
        self.step = RcpStep::Content;
    }

    fn queue_bytes(&mut self, bytes: Vec<u8>) {
        self.queue.push(Segment::Bytes(bytes.into()));
    }

    fn finish(&mut self) {
        self.result.done = true;
        self.result.copied.changed = true;
        self.result.partly = false;
        self.step = RcpStep::Ended;
        self.queue.end();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;

    use super::super::{CommandStderr, Copies, Job, MissingDirectories};
    use super::super::{Snapshots, SourceRules};
    use super::*;

    fn dialogue(source: &Path, directory: &str) -> (RcpCopy, Vec<u8>) {
        let rules = SourceRules {
            dereference: false,
            preserve_setid: false,
            mode: None,
        };
        let spec = CopySpec {
            snapshots: Snapshots::of_paths(&[source.join("")], rules).unwrap(),
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
            protocol: CopyProtocol::Scp,
        };
        let copies = Copies::to_targets(spec).unwrap();
        let command = copies.protocol_command().unwrap();
        let Job::Copy(shared) = copies.job else {
            panic!("no copy");
        };
        (RcpCopy::new(&shared, TargetId(0)), command)
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("d/e")).unwrap();
        fs::write(path("a"), "aaa").unwrap();
        fs::write(path("d/e/b"), "").unwrap();
        fs::write(path("f"), "ff").unwrap();
        symlink("a", path("d/link")).unwrap();
        for (name, mode) in [("a", 0o640), ("d", 0o755), ("d/e", 0o700), ("d/e/b", 0o644)] {
            let file = fs::File::open(path(name)).unwrap();
            file.set_permissions(fs::Permissions::from_mode(mode))
                .unwrap();
        }
        for name in ["a", "d/e/b", "f", "d/e", "d"] {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(7);
            fs::File::open(path(name))
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        fs::set_permissions(path("f"), fs::Permissions::from_mode(0o600)).unwrap();
        folder
    }

    /// Takes everything that is to be sent. `None` is the end.
    fn sent(copy: &mut RcpCopy) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match copy.next() {
                Next::Segment(segment) => {
                    copy.advance(segment.length());
                    match segment {
                        Segment::Bytes(bytes) => all.extend_from_slice(&bytes),
                        Segment::File { file, at, length } => {
                            let mut bytes = vec![0; length as usize];
                            assert_eq!(file.read_at(at, &mut bytes).unwrap(), bytes.len());
                            all.extend(bytes);
                        }
                    }
                }
                Next::Wait => return Some(all),
                Next::End if all.is_empty() => return None,
                Next::End => return Some(all),
            }
        }
    }

    /// The far side answers every message with success.
    #[test]
    fn each_line_and_each_content_waits_for_its_answer() {
        let tree = tree();
        let (mut copy, command) = dialogue(tree.path(), "./x");
        assert_eq!(command, b"scp -t -r -p -d ./x");
        assert_eq!(sent(&mut copy), Some(Vec::new()), "the far side is first");
        let mut messages = Vec::new();
        loop {
            let _ = copy.receive(b"\0");
            let Some(message) = sent(&mut copy) else {
                break;
            };
            messages.push(String::from_utf8(message).unwrap());
        }
        assert_eq!(
            messages,
            [
                "T7 0 7 0\n",
                "C0640 3 a\n",
                "aaa\0",
                "T7 0 7 0\n",
                "D0755 0 d\n",
                "T7 0 7 0\n",
                "D0700 0 e\n",
                "T7 0 7 0\n",
                "C0644 0 b\n",
                "\0",
                "E\n",
                "E\n",
                "T7 0 7 0\n",
                "C0600 2 f\n",
                "ff\0",
            ]
        );
        let result = copy.result();
        assert!(result.done && result.copied.changed && !result.partly);
        assert_eq!(
            (
                result.copied.files,
                result.copied.bytes,
                result.copied.checksum
            ),
            (3, 5, "none")
        );
    }

    #[test]
    fn a_directory_with_special_characters_is_quoted() {
        let tree = tree();
        assert_eq!(dialogue(tree.path(), "./a b").1, b"scp -t -r -p -d './a b'");
        assert_eq!(
            dialogue(tree.path(), "/it's").1,
            b"scp -t -r -p -d '/it'\\''s'"
        );
    }

    #[test]
    fn errors_and_texts_end_the_copy() {
        let tree = tree();
        for (said, error, is_partly) in [
            (
                &b"\x01scp: ./x: No such file\n"[..],
                "scp: ./x: No such file",
                false,
            ),
            (b"\0\0\x02full\x1b\n", "full\\u{1b}", true),
            (b"% Unknown command\n", "% Unknown command", false),
            (b"% Unknown", "% Unknown", false),
        ] {
            let (mut copy, _) = dialogue(tree.path(), ".");
            let _ = copy.receive(said);
            let result = copy.result();
            assert_eq!(result.error.as_deref(), Some(error));
            assert_eq!((result.done, result.partly), (false, is_partly));
            assert_eq!(sent(&mut copy).is_none(), said.ends_with(b"\n"));
        }
    }

    /// `rcp -t` answers through its standard input, which is a socket under rshd and sshd.
    #[test]
    fn the_rcp_of_netkit_takes_a_tree() {
        let program = Path::new("/usr/bin/rcp");
        if !program.exists() {
            return;
        }
        let (tree, far) = (tree(), tempfile::tempdir().unwrap());
        let (mut copy, _) = dialogue(tree.path(), ".");
        let (mut near, socket) = UnixStream::pair().unwrap();
        let output: OwnedFd = socket.try_clone().unwrap().into();
        let mut rcp = Command::new(program)
            .args(["-t", "-r", "-p", "-d", "."])
            .current_dir(far.path())
            .stdin(OwnedFd::from(socket))
            .stdout(output)
            .spawn()
            .unwrap();
        let mut answer = [0; 64];
        while let Some(bytes) = sent(&mut copy) {
            near.write_all(&bytes).unwrap();
            let n = near.read(&mut answer).unwrap();
            assert!(n > 0, "rcp has ended: {copy:?}");
            let _ = copy.receive(&answer[..n]);
        }
        near.shutdown(Shutdown::Write).unwrap();
        assert!(rcp.wait().unwrap().success());
        assert!(copy.result().done, "{copy:?}");
        for name in ["a", "d/e/b", "f"] {
            let (from, to) = (tree.path().join(name), far.path().join(name));
            assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
            let about = |path| {
                let about = fs::metadata(path).unwrap();
                (about.mode(), about.mtime())
            };
            assert_eq!(about(from), about(to), "{name}");
        }
        assert!(!far.path().join("d/link").exists());
    }

    proptest! {
        #[test]
        fn any_answers_in_any_pieces_give_the_same(
            answers in prop::collection::vec(prop_oneof![8 => Just(0_u8), 1 => any::<u8>()], 0..40),
            size in 1..9_usize,
        ) {
            let tree = tree();
            let (mut whole, _) = dialogue(tree.path(), ".");
            let (mut pieces, _) = dialogue(tree.path(), ".");
            let _ = whole.receive(&answers);
            for piece in answers.chunks(size) {
                let _ = pieces.receive(piece);
            }
            prop_assert_eq!(whole.result(), pieces.result());
        }
    }
}
