//! The dialogue with one target: a state machine without I/O. It takes the target's output and says what to send.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blocks::{self, Checksum, DataPart};
use super::commit::Commit;
use super::diff::SentFiles;
use super::result::{CopyResult, message};
use super::shell::{FarPrograms, Hello, Next, ShellChannel, TooLong};
use super::snapshot::{Entry, EntryKind, Segment, Snapshot};
use super::swap::OldDirectory;
use super::{CommandStderr, CopyShared, HostDialogue, MissingDirectories};
use crate::event::TargetProgress;
use crate::targets::TargetId;

/// State of an entry at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryState {
    Unknown,
    Same,
    /// The content is the same; the mode, the time or the owner is not.
    Attributes,
    Differs,
    /// There is another kind of entry, or a file that cannot be read.
    OtherKind,
    Missing,
}

impl EntryState {
    /// True if the entry is to be sent.
    pub(super) fn is_sent(self) -> bool {
        matches!(
            self,
            EntryState::Differs | EntryState::OtherKind | EntryState::Missing
        )
    }
}

/// The reply that is awaited.
#[derive(Debug)]
pub(super) enum CopyStep {
    /// The first line of the script.
    Hello,
    Enter,
    /// Classes of batches of directories.
    Directories(VecDeque<Vec<usize>>),
    /// Checks of batches of files and of links.
    Checks(Checks),
    /// Checksums and attributes of single files.
    Details(VecDeque<Vec<usize>>, DetailLines),
    /// Files that the target sends, for their differences.
    Files(SentFiles),
    Staged,
    /// Readiness for the first of these parts.
    Ready(VecDeque<DataPart>),
    /// The end of a part. These are left.
    Received(VecDeque<DataPart>),
    /// The check of what has arrived.
    Verifying,
    /// The moves into place.
    Committing,
    /// The start of the command.
    Finishing,
    /// The command runs: all further output is its own.
    Command,
    /// Nothing more is expected.
    Ended,
}

/// Batches that are being checked.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) batches: VecDeque<Vec<usize>>,
    /// Batches in which single files have to be compared.
    pub(super) details: Vec<Vec<usize>>,
}

#[derive(Debug, Default)]
pub(super) struct DetailLines {
    pub(super) sums: Vec<Vec<u8>>,
    pub(super) attributes: Vec<Vec<u8>>,
}

/// The dialogue with one target.
#[derive(Debug)]
pub(super) struct HostCopy {
    pub(super) shared: Arc<CopyShared>,
    pub(super) snapshot: Arc<Snapshot>,
    target: TargetId,
    cut: u32,
    pub(super) step: CopyStep,
    pub(super) states: Vec<EntryState>,
    pub(super) programs: FarPrograms,
    pub(super) is_new: bool,
    /// The directory that `--swap` replaces.
    pub(super) old: Option<OldDirectory>,
    /// Output that is not yet passed on.
    pub(super) output: Vec<u8>,
    pub(super) shell: ShellChannel,
    /// True if the script could not remove its directory.
    is_left: bool,
    is_abandoned: bool,
    pub(super) result: CopyResult,
    progress: TargetProgress,
}

impl HostDialogue for HostCopy {
    fn next(&self) -> Next {
        self.shell.next()
    }

    fn advance(&mut self, n: u64) {
        let of_file = self.shell.advance(n);
        self.progress.moved(of_file);
    }

    fn receive(&mut self, mut data: &[u8]) -> Vec<u8> {
        while !data.is_empty() {
            match &self.step {
                CopyStep::Command => {
                    self.output.extend_from_slice(data);
                    break;
                }
                CopyStep::Files(sent) if sent.is_in_file() => {
                    self.take_file(&mut data);
                    continue;
                }
                _ => {}
            }
            match self.shell.take_line(&mut data) {
                Ok(None) => {}
                // After the end nothing is of interest.
                _ if matches!(self.step, CopyStep::Ended) => {}
                Ok(Some(line)) => self.on_line(&line),
                Err(TooLong) if matches!(self.step, CopyStep::Hello) => {
                    if let Hello::TooMuchNoise = self.shell.noise(0) {
                        self.fail("no POSIX shell answered".to_owned());
                    }
                }
                Err(TooLong) => self.fail_protocol("a line that is too long"),
            }
        }
        std::mem::take(&mut self.output)
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    fn result(&self) -> CopyResult {
        match self.step {
            CopyStep::Hello => self.shell.without_answer(self.result.clone()),
            _ => self.result.clone(),
        }
    }
}

impl HostCopy {
    /// Returns a dialogue that has not begun. `cut` is the number of earlier attempts that may have left a directory.
    pub(super) fn new(shared: Arc<CopyShared>, target: TargetId, cut: u32) -> HostCopy {
        let snapshot = shared.spec.snapshots.of_target(target);
        HostCopy {
            step: CopyStep::Hello,
            states: vec![EntryState::Unknown; snapshot.entries.len()],
            programs: FarPrograms {
                checksum: Checksum::Cksum,
                has_times: false,
                has_tar: false,
                compares_owner: false,
            },
            is_new: false,
            old: None,
            output: Vec::new(),
            shell: ShellChannel::new(&shared.script),
            is_left: false,
            is_abandoned: false,
            result: CopyResult::default(),
            progress: shared.progress.begin(),
            snapshot,
            shared,
            target,
            cut,
        }
    }

    pub(super) fn fail(&mut self, text: String) {
        self.result.error.get_or_insert(text);
        self.step = CopyStep::Ended;
        self.shell.end();
    }

    fn fail_protocol(&mut self, what: &str) {
        self.fail(format!("the host's shell answered with {what}"));
        // It might send without end.
        self.is_abandoned = true;
    }

    fn on_line(&mut self, line: &[u8]) {
        if let CopyStep::Hello = self.step {
            return self.on_hello(line);
        }
        match line {
            [b'E', b' ', text @ ..] => {
                // The script has removed its directory, or named it.
                if !self.is_left {
                    self.result.left = None;
                }
                return self.fail(message(text));
            }
            [b'L', b' ', path @ ..] => {
                self.is_left = true;
                self.result.left = Some(message(path));
                return;
            }
            _ => {}
        }
        match std::mem::replace(&mut self.step, CopyStep::Ended) {
            // The first is handled above. After an error more may follow.
            CopyStep::Hello | CopyStep::Command | CopyStep::Ended => {}
            CopyStep::Enter => self.on_enter(line),
            CopyStep::Directories(batches) => self.on_directories(line, batches),
            CopyStep::Checks(checks) => self.on_check(line, checks),
            CopyStep::Details(batches, lines) => self.on_detail(line, batches, lines),
            CopyStep::Files(sent) => self.on_sent_file(line, sent),
            CopyStep::Staged if line == b"." => self.send_data(),
            CopyStep::Ready(mut parts) if line == b"G" => {
                if let Some(part) = parts.pop_front() {
                    self.shell.send(part.segments);
                }
                self.step = CopyStep::Received(parts);
            }
            CopyStep::Received(parts) if line == b"." => self.send_part(parts),
            CopyStep::Verifying if line == b"." => self.place(),
            CopyStep::Committing if line == b"." => {
                self.result.partly = false;
                self.finish();
            }
            CopyStep::Finishing if line == b"K" => self.step = CopyStep::Command,
            CopyStep::Staged
            | CopyStep::Ready(_)
            | CopyStep::Received(_)
            | CopyStep::Verifying
            | CopyStep::Committing
            | CopyStep::Finishing => self.fail_unexpected(line),
        }
    }

    fn on_hello(&mut self, line: &[u8]) {
        match self.shell.hello(line, &self.shared.nonce) {
            Hello::Programs(programs) => {
                self.programs = FarPrograms {
                    compares_owner: programs.has_times && self.shared.spec.owner.is_some(),
                    ..programs
                };
                self.result.answered = true;
                self.result.copied.checksum = programs.checksum.program();
                let may_make = match self.shared.spec.parents {
                    MissingDirectories::None => "enter -",
                    MissingDirectories::Last => "enter C",
                    MissingDirectories::All => "enter P",
                };
                let mut block = may_make.to_owned();
                if self.shared.spec.swap {
                    block = format!("swappable\n{block}\nbeside");
                }
                if self.cut > 0 {
                    block.push_str(&format!("\nsweep {}", self.target.0));
                }
                self.send_block(block.into_bytes());
                self.step = CopyStep::Enter;
            }
            Hello::Noise => {}
            Hello::TooMuchNoise => self.fail("no POSIX shell answered".to_owned()),
            Hello::Unexpected => self.fail_unexpected(line),
        }
    }

    fn on_enter(&mut self, line: &[u8]) {
        match line {
            b"D 0" | b"D 1" => {
                self.is_new = line == b"D 0";
                self.step = CopyStep::Enter;
            }
            [b'R', b' ', line @ ..] if self.shared.spec.swap && self.old.is_none() => {
                match OldDirectory::of_line(line) {
                    Some(old) if old.has_mount => {
                        let directory = message(&self.shared.spec.directory);
                        return self.fail(format!("{directory}: has a mount point in it"));
                    }
                    Some(old) => self.old = Some(old),
                    None => return self.fail_unexpected(line),
                }
                self.step = CopyStep::Enter;
            }
            b"." if self.is_new => {
                self.states.fill(EntryState::Missing);
                self.after_checks();
            }
            b"." => self.check_directories(),
            _ => self.fail_unexpected(line),
        }
    }

    pub(super) fn entries(&self, is_wanted: impl Fn(&EntryKind, EntryState) -> bool) -> Vec<usize> {
        let entries = &self.snapshot.entries;
        let all = entries.iter().zip(&self.states).enumerate();
        all.filter(|(_, (entry, state))| is_wanted(&entry.kind, **state))
            .map(|(index, _)| index)
            .collect()
    }

    pub(super) fn batches(&self, entries: &[usize]) -> Vec<Vec<usize>> {
        blocks::batches(&self.snapshot, entries)
    }

    /// Returns a block that calls a function for each batch.
    pub(super) fn calls(&self, call: &str, batches: &[Vec<usize>]) -> Vec<u8> {
        let mut block = Vec::new();
        for batch in batches {
            blocks::push_hash_call(&self.snapshot, call, batch, &mut block);
        }
        block
    }

    pub(super) fn send_block(&mut self, block: Vec<u8>) {
        self.shell.send_block(block);
    }

    pub(super) fn after_checks(&mut self) {
        if self.shared.spec.diff {
            self.show_differences();
        } else {
            self.decide();
        }
    }

    /// Decides what has to be sent.
    pub(super) fn decide(&mut self) {
        let snapshot = Arc::clone(&self.snapshot);
        complete_hard_links(&snapshot.entries, &mut self.states);
        if self.shared.spec.swap {
            self.decide_swap();
        }
        self.result.count(&snapshot.entries, &self.states);
        if self.shared.spec.check || !self.has_work() {
            return self.finish();
        }
        // The script of an earlier attempt may still run, and removes its own directory when it ends. So each attempt has
        // another name.
        let number = match self.cut {
            0 => self.target.0.to_string(),
            cut => format!("{}-{cut}", self.target.0),
        };
        let directory = format!(".mrsh-{}-{number}", self.shared.nonce);
        self.result.left = Some(message(&self.shared.spec.staged_path(directory.as_bytes())));
        let call = if self.shared.spec.swap {
            "stage_beside"
        } else {
            "stage"
        };
        self.send_block(format!("{call} {number}\n").into_bytes());
        self.step = CopyStep::Staged;
    }

    fn has_work(&self) -> bool {
        // Without stat the owner is unknown, so it is set each time.
        let sets_owner = self.shared.spec.owner.is_some() && !self.programs.compares_owner;
        self.result.copied.changed || self.is_new || sets_owner
    }

    fn sent_entries(&self) -> Vec<usize> {
        self.entries(|_, state| state.is_sent())
    }

    /// Sends the entries that differ: large files one after the other, and all others as an archive if the target has tar.
    fn send_data(&mut self) {
        let sent = self.sent_entries();
        let snapshot = Arc::clone(&self.snapshot);
        // tar would copy a file in blocks of 10 KiB, after a pipe.
        let (single, archived): (Vec<usize>, Vec<usize>) = sent.iter().partition(|&&index| {
            !self.programs.has_tar
                || matches!(&snapshot.entries[index].kind, EntryKind::File(_))
                    && snapshot.is_large(index)
        });
        let mut parts = blocks::single_parts(&snapshot, &single);
        // Further names of a large file are in the archive, so it comes last.
        if !archived.is_empty() {
            let mut segments = Vec::new();
            snapshot.archive(archived.into_iter(), &mut segments);
            let length: u64 = segments.iter().map(Segment::length).sum();
            parts.push_back(DataPart {
                block: format!("echo G\nunpack {length}\n").into_bytes(),
                segments,
            });
        }
        let segments = parts.iter().flat_map(|part| &part.segments);
        let files = segments.filter(|segment| matches!(segment, Segment::File { .. }));
        self.progress.compared(files.map(Segment::length).sum());
        self.send_part(parts);
    }

    fn send_part(&mut self, parts: VecDeque<DataPart>) {
        let Some(part) = parts.front() else {
            return self.verify();
        };
        self.send_block(part.block.clone());
        self.step = CopyStep::Ready(parts);
    }

    /// Sends the commands that check what has arrived.
    fn verify(&mut self) {
        let block = self.commit().verify();
        self.send_block(block);
        self.step = CopyStep::Verifying;
    }

    /// Sends the commands that move what has arrived into place.
    fn place(&mut self) {
        let block = self.commit().place();
        // From here on the destination changes, even if the connection ends before the target can say so.
        self.result.partly = true;
        self.send_block(block);
        self.step = CopyStep::Committing;
    }

    fn commit(&self) -> Commit<'_> {
        Commit {
            spec: &self.shared.spec,
            snapshot: &self.snapshot,
            states: &self.states,
            programs: self.programs,
            old: self.old.as_ref(),
        }
    }

    /// Ends the script, or starts the command.
    fn finish(&mut self) {
        self.result.done = true;
        // Without data there was nothing to send.
        self.progress.compared(0);
        if !self.is_left {
            self.result.left = None;
        }
        self.result.check = self.shared.spec.check;
        let spec = &self.shared.spec;
        let runs = !spec.command.is_empty()
            && !spec.check
            && (self.result.copied.changed || !spec.only_changed);
        if !runs {
            self.send_block(b"exit 0\n".to_vec());
            self.step = CopyStep::Ended;
            return;
        }
        let stderr: &[u8] = match spec.stderr {
            CommandStderr::Separate => b"",
            CommandStderr::Merged => b"exec 9>&1\n",
            CommandStderr::Dropped => b"exec 9>/dev/null\n",
        };
        let mut block = [stderr, b"run "].concat();
        blocks::push_quoted(&spec.command, &mut block);
        let variables = spec.variables.as_ref();
        for variable in variables.iter().flat_map(|all| &all[self.target.index()]) {
            let text = [variable.name().as_bytes(), b"=", variable.value()].concat();
            block.push(b' ');
            blocks::push_quoted(&text, &mut block);
            if variable.is_unknown_user() {
                block.extend_from_slice(b"\"${LOGNAME:-$USER}\"");
            }
        }
        block.push(b'\n');
        self.send_block(block);
        self.step = CopyStep::Finishing;
    }

    pub(super) fn fail_unexpected(&mut self, line: &[u8]) {
        let text = format!("an unexpected line: {}", message(line));
        self.fail_protocol(&text);
    }
}

/// Marks all names of a file as sent if one of them is, since they are one file.
pub(super) fn complete_hard_links(entries: &[Arc<Entry>], states: &mut [EntryState]) {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let EntryKind::HardLink(first) = entry.kind {
            groups.push((first, index));
        }
    }
    for &(first, link) in &groups {
        if states[link].is_sent() && !states[first].is_sent() {
            states[first] = EntryState::Differs;
        }
    }
    for &(first, link) in &groups {
        if states[first].is_sent() && !states[link].is_sent() {
            states[link] = EntryState::Differs;
        }
    }
}
