//! Copies to targets that have SFTP and no shell: the dialogue with one target, a state machine without I/O.
//!
//! The steps are those of a copy through a shell. Each step is a list of batches of tasks. The tasks of a batch run side
//! by side, up to a number of requests without a reply; the next batch begins after the last reply. So a task may
//! depend on those of earlier batches, whatever the order in which the server works.
//!
//! There is no program for checksums at such a target. Files are read back, and mrsh compares what comes. libssh2's own
//! SFTP is not used: its calls are made for blocking sessions, and a state machine has the same bounds and tests as the
//! dialogue with a shell.

mod channel;
mod commit;
mod fetch;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod tasks;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::host::{EntryState, complete_hard_links};
use super::queue::Next;
use super::result::{CopyResult, message};
use super::snapshot::{EntryKind, Segment, Snapshot};
use super::{CopyShared, HostDialogue, MissingDirectories};
use crate::event::TargetProgress;
use crate::targets::TargetId;
use channel::SftpChannel;
pub(super) use fetch::SftpFetch;
use file::{FileRequest, FileTransfer};
use tasks::{Batch, Task};
use wire::{FileKind, SftpAttributes, SftpRequest, SftpStatus, SftpViolation, code};

/// Word for the way in which files are checked.
const CHECKSUM: &str = "sftp-read";

/// Error for a server that sends text.
const TEXT: &str = "the server answered with text";

/// Maximum length of such a text in an error, in bytes.
const MAX_TEXT: usize = 200;

/// Maximum number of tasks in progress. Each has one request in flight at least, or a file that is open.
const MAX_TASKS: usize = 64;

/// Maximum number of files that are open at a target.
const MAX_OPEN: usize = 8;

/// Outcome of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TaskOutcome {
    Done,
    /// The content is another one.
    Differs,
    Attributes(SftpAttributes),
    Link(Vec<u8>),
    Failed(SftpStatus),
}

/// The part of the copy that is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SftpCopyStep {
    /// The server's version is awaited.
    Version,
    /// The destination directory, and those above it if it is missing.
    Enter,
    /// Attributes of directories.
    Directories,
    /// Attributes of files and links.
    Files,
    /// Content of files and links.
    Contents,
    /// Everything that is sent goes to the staging directory.
    Stage,
    /// It moves to its place.
    Commit,
    /// After a failure, the replies to requests in flight.
    Stop,
    /// After that, the staging directory is removed.
    Clean,
    /// Nothing more is expected.
    Ended,
}

/// A task in progress.
#[derive(Debug)]
struct RunningTask {
    task: Task,
    /// Index of the entry or of the directory that the task is about.
    index: usize,
    /// The transfer, if the task has several requests.
    transfer: Option<Box<FileTransfer>>,
}

/// The purpose of a request.
#[derive(Clone, Copy, Debug)]
struct CopyPurpose {
    slot: usize,
    request: Option<FileRequest>,
}

/// The dialogue with one target.
#[derive(Debug)]
pub(super) struct SftpCopy {
    snapshot: Arc<Snapshot>,
    shared: Arc<CopyShared>,
    target: TargetId,
    channel: SftpChannel<CopyPurpose>,
    extensions: BTreeSet<Vec<u8>>,
    step: SftpCopyStep,
    states: Vec<EntryState>,
    batches: VecDeque<Batch>,
    tasks: Vec<Option<RunningTask>>,
    /// The destination directory and those above it, up to the first that may exist.
    directories: Vec<Vec<u8>>,
    /// Number of the first of them that are missing.
    missing: usize,
    /// For entries in directories that are new: the outermost of these.
    roots: HashMap<usize, usize>,
    /// True if SYMLINK has its arguments as in the draft, and not as OpenSSH has them.
    draft_links: bool,
    /// Start of a text that came in the place of packets.
    text: Vec<u8>,
    is_abandoned: bool,
    result: CopyResult,
    progress: TargetProgress,
}

impl HostDialogue for SftpCopy {
    fn next(&self) -> Next {
        self.channel.next()
    }

    fn advance(&mut self, n: u64) {
        let of_file = self.channel.advance(n);
        self.progress.moved(of_file);
    }

    fn receive(&mut self, mut data: &[u8]) -> Vec<u8> {
        if !self.text.is_empty() {
            self.take_text(data);
        }
        // After the end nothing is of interest.
        while !data.is_empty() && self.step != SftpCopyStep::Ended {
            match self.channel.take_packet(&mut data) {
                Ok(None) => {}
                Ok(Some(packet)) => {
                    if let Err(violation) = self.on_packet(&packet) {
                        self.fail_protocol(violation);
                    }
                }
                Err(_) if self.step == SftpCopyStep::Version => {
                    // Start-up files of a login shell may print something.
                    let start = self.channel.incomplete().to_vec();
                    self.end_with(TEXT.to_owned());
                    self.take_text(&start);
                    self.take_text(data);
                }
                Err(violation) => self.fail_protocol(violation),
            }
        }
        Vec::new()
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    fn result(&self) -> CopyResult {
        CopyResult {
            has_no_answer: self.result.copied.checksum.is_empty(),
            error: match &self.result.error {
                Some(error) if !self.text.is_empty() => {
                    Some(format!("{error}: {}", message(&self.text)))
                }
                error => error.clone(),
            },
            ..self.result.clone()
        }
    }
}

impl SftpCopy {
    pub(super) fn new(shared: Arc<CopyShared>, target: TargetId) -> SftpCopy {
        let snapshot = shared.spec.snapshots.of_target(target);
        SftpCopy {
            channel: SftpChannel::new(),
            extensions: BTreeSet::new(),
            step: SftpCopyStep::Version,
            states: vec![EntryState::Unknown; snapshot.entries.len()],
            batches: VecDeque::new(),
            tasks: Vec::new(),
            directories: Vec::new(),
            missing: 0,
            roots: HashMap::new(),
            draft_links: false,
            text: Vec::new(),
            is_abandoned: false,
            result: CopyResult::default(),
            progress: shared.progress.begin(),
            snapshot,
            shared,
            target,
        }
    }

    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn has(&self, extension: &str) -> bool {
        self.extensions.contains(extension.as_bytes())
    }

    /// Keeps the first line of a text.
    fn take_text(&mut self, data: &[u8]) {
        if !self.text.ends_with(b"\n") {
            let line = data.split_inclusive(|&byte| byte == b'\n').next();
            let line = line.unwrap_or_default();
            let most = MAX_TEXT - self.text.len();
            self.text.extend_from_slice(&line[..line.len().min(most)]);
        }
    }

    /// Ends the dialogue at once. What is staged stays there.
    fn end_with(&mut self, text: String) {
        self.result.error.get_or_insert(text);
        self.step = SftpCopyStep::Ended;
        self.channel.end_now();
        self.batches.clear();
        self.tasks.clear();
    }

    fn fail_protocol(&mut self, violation: SftpViolation) {
        self.end_with(format!("the SFTP server answered with {}", violation.0));
        self.is_abandoned = true;
    }

    /// Records an error. What is staged is removed after the replies that are still to come.
    fn fail(&mut self, text: String) {
        if matches!(
            self.step,
            SftpCopyStep::Stop | SftpCopyStep::Clean | SftpCopyStep::Ended
        ) {
            return;
        }
        self.result.error.get_or_insert(text);
        self.batches.clear();
        for task in self.tasks.iter_mut().flatten() {
            if let Some(transfer) = &mut task.transfer {
                transfer.abort();
            }
        }
        self.step = SftpCopyStep::Stop;
    }

    /// Fails with the status of a request about a path.
    fn fail_at(&mut self, path: &[u8], status: &SftpStatus) {
        self.fail(format!("{}: {}", message(path), status.words()));
    }

    fn on_packet(&mut self, packet: &[u8]) -> Result<(), SftpViolation> {
        if self.step == SftpCopyStep::Version {
            return self.on_version(packet);
        }
        let (purpose, reply) = self.channel.reply(packet)?;
        let slot = self.tasks.get_mut(purpose.slot).and_then(Option::as_mut);
        let running = slot.ok_or(SftpViolation("a reply without a request"))?;
        let outcome = match (&mut running.transfer, purpose.request) {
            (Some(transfer), Some(request)) => {
                transfer.on_reply(request, reply)?;
                transfer.outcome()
            }
            _ => Some(tasks::outcome(running.task, reply)?),
        };
        self.settle(purpose.slot, outcome);
        self.fill();
        Ok(())
    }

    /// Removes a task that has its outcome.
    fn settle(&mut self, slot: usize, outcome: Option<TaskOutcome>) {
        if let Some(outcome) = outcome
            && let Some(RunningTask { task, index, .. }) = self.tasks[slot].take()
        {
            self.on_done(task, index, outcome);
        }
    }

    /// Sends requests while there are some. Begins the next batch, and then the next step.
    fn fill(&mut self) {
        while self.step != SftpCopyStep::Ended {
            while self.channel.has_room() {
                let Some((purpose, request, data)) = self.next_request() else {
                    break;
                };
                self.channel.send(purpose, &request, data);
            }
            // A transfer that was stopped may have nothing more to send.
            for slot in 0..self.tasks.len() {
                let running = self.tasks.get(slot).and_then(Option::as_ref);
                if let Some(transfer) = running.and_then(|task| task.transfer.as_ref()) {
                    let outcome = transfer.outcome();
                    self.settle(slot, outcome);
                }
            }
            if self.tasks.iter().any(Option::is_some) {
                return;
            }
            match self.batches.front() {
                Some(batch) if batch.entries.is_empty() => drop(self.batches.pop_front()),
                Some(_) => {}
                None => self.next_step(),
            }
        }
    }

    /// Returns the next request of a task in progress, or of a new one.
    fn next_request(&mut self) -> Option<(CopyPurpose, SftpRequest, Option<Segment>)> {
        let mut in_progress = 0;
        let mut free = None;
        for (slot, running) in self.tasks.iter_mut().enumerate() {
            let Some(running) = running else {
                free.get_or_insert(slot);
                continue;
            };
            in_progress += 1;
            if let Some(transfer) = &mut running.transfer
                && let Some((request, packet, data)) = transfer.next()
            {
                let request = Some(request);
                return Some((CopyPurpose { slot, request }, packet, data));
            }
        }
        let batch = self.batches.front_mut()?;
        let task = batch.task;
        let most = if task.is_transfer() {
            MAX_OPEN
        } else {
            MAX_TASKS
        };
        if in_progress >= most {
            return None;
        }
        let index = batch.entries.pop_front()?;
        let slot = free.unwrap_or_else(|| {
            self.tasks.push(None);
            self.tasks.len() - 1
        });
        let mut transfer = self.transfer(task, index).map(Box::new);
        let (request, packet, data) = match &mut transfer {
            Some(transfer) => {
                let (request, packet, data) = transfer.next().expect("a transfer opens a file");
                (Some(request), packet, data)
            }
            None => (None, self.request(task, index), None),
        };
        self.tasks[slot] = Some(RunningTask {
            task,
            index,
            transfer,
        });
        Some((CopyPurpose { slot, request }, packet, data))
    }

    fn push(&mut self, task: Task, entries: impl IntoIterator<Item = usize>) {
        let entries = entries.into_iter().collect();
        self.batches.push_back(Batch { task, entries });
    }

    fn on_version(&mut self, packet: &[u8]) -> Result<(), SftpViolation> {
        let (version, extensions) = wire::read_version(packet)?;
        self.extensions = extensions;
        self.result.copied.checksum = CHECKSUM;
        let spec = &self.shared.spec;
        let refusal = if version != wire::VERSION {
            Some(format!(
                "the server speaks version {version} of SFTP, and mrsh version 3"
            ))
        } else if !spec.command.is_empty() && !spec.check {
            Some("the host has no shell for COMMAND: it offers only SFTP".to_owned())
        } else if spec.owner.is_some() && self.owner().is_none() {
            Some("the host has no shell, so --owner needs numbers: UID:GID".to_owned())
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.end_with(refusal);
            return Ok(());
        }
        self.directories = ancestors(&spec.directory);
        self.step = SftpCopyStep::Enter;
        self.push(Task::Enter, [0]);
        self.fill();
        Ok(())
    }

    /// Returns the owner in numbers.
    fn owner(&self) -> Option<(u32, u32)> {
        let (user, group) = self.shared.spec.owner.as_ref()?.split_once(':')?;
        Some((user.parse().ok()?, group.parse().ok()?))
    }

    /// Takes the attributes of a directory of `directories`.
    fn on_enter(&mut self, index: usize, outcome: TaskOutcome) {
        let path = &self.directories[index];
        let text = message(path);
        match outcome {
            TaskOutcome::Attributes(found) if found.kind() == Some(FileKind::Directory) => {}
            TaskOutcome::Attributes(_) => {
                // The user's own spelling has a slash at its end.
                let path = if index == 0 {
                    message(&self.shared.spec.directory)
                } else {
                    text
                };
                self.fail(format!("{path}: not a directory"));
            }
            TaskOutcome::Failed(status) if status.code == code::NO_SUCH_FILE => {
                let may_make = match self.shared.spec.parents {
                    MissingDirectories::None => false,
                    MissingDirectories::Last => index == 0,
                    MissingDirectories::All => true,
                };
                if !may_make || index + 1 == self.directories.len() {
                    let path = if index == 0 {
                        message(&self.shared.spec.directory)
                    } else {
                        text
                    };
                    return self.fail(format!("{path}: no such directory; --parents makes it"));
                }
                self.missing = index + 1;
                self.push(Task::Enter, [index + 1]);
            }
            TaskOutcome::Failed(status) => {
                let path = path.clone();
                self.fail_at(&path, &status);
            }
            _ => self.fail_protocol(SftpViolation("a reply that does not fit its request")),
        }
    }

    /// Returns the entries of some kinds and states.
    fn entries(&self, is_wanted: impl Fn(&EntryKind, EntryState) -> bool) -> Vec<usize> {
        let entries = self.snapshot().entries.iter();
        let all = entries.zip(&self.states).enumerate();
        all.filter(|(_, (entry, state))| is_wanted(&entry.kind, **state))
            .map(|(index, _)| index)
            .collect()
    }

    /// Begins the step after the current one.
    fn next_step(&mut self) {
        let is_directory = |kind: &EntryKind| matches!(kind, EntryKind::Directory);
        match self.step {
            SftpCopyStep::Version | SftpCopyStep::Ended => {}
            SftpCopyStep::Enter if self.missing > 0 => {
                self.states.fill(EntryState::Missing);
                self.after_checks();
            }
            SftpCopyStep::Enter => {
                self.step = SftpCopyStep::Directories;
                self.push(Task::LookAt, self.entries(|kind, _| is_directory(kind)));
            }
            SftpCopyStep::Directories => {
                self.find_roots();
                for &index in self.roots.keys() {
                    self.states[index] = EntryState::Missing;
                }
                self.step = SftpCopyStep::Files;
                let files =
                    self.entries(|kind, state| !is_directory(kind) && state == EntryState::Unknown);
                self.push(Task::LookAt, files);
            }
            SftpCopyStep::Files => {
                self.step = SftpCopyStep::Contents;
                let is_link = |kind: &EntryKind| matches!(kind, EntryKind::Link(_));
                // Those of the same size, whose attributes are known.
                let is_alike = |state| matches!(state, EntryState::Same | EntryState::Attributes);
                let files = self.entries(|kind, state| {
                    !is_directory(kind) && !is_link(kind) && is_alike(state)
                });
                self.push(Task::Compare, files);
                self.push(
                    Task::ReadLink,
                    self.entries(|kind, state| is_link(kind) && is_alike(state)),
                );
            }
            SftpCopyStep::Contents => self.after_checks(),
            SftpCopyStep::Stage => self.commit(),
            SftpCopyStep::Commit => {
                self.result.partly = false;
                self.finish();
            }
            SftpCopyStep::Stop => self.clean(),
            SftpCopyStep::Clean => {
                self.step = SftpCopyStep::Ended;
                self.channel.end();
            }
        }
    }

    /// Decides what has to be sent.
    fn after_checks(&mut self) {
        let shared = Arc::clone(&self.shared);
        for (is_set, option) in [(shared.spec.swap, "--swap"), (shared.spec.diff, "--diff")] {
            if is_set {
                return self.fail(format!(
                    "{option} needs a shell at the host, which offers only SFTP; nothing was changed"
                ));
            }
        }
        let snapshot = Arc::clone(&self.snapshot);
        let entries = &snapshot.entries;
        complete_hard_links(entries, &mut self.states);
        self.result.count(entries, &self.states);
        let has_work =
            self.result.copied.changed || self.missing > 0 || shared.spec.owner.is_some();
        if shared.spec.check || !has_work {
            return self.finish();
        }
        let replaces = self.states.contains(&EntryState::Differs);
        if replaces && !self.has("posix-rename@openssh.com") {
            return self.fail(
                "the server cannot replace files at once (it lacks posix-rename@openssh.com), so nothing was changed"
                    .to_owned(),
            );
        }
        self.progress.compared(self.result.copied.bytes);
        self.find_roots();
        self.stage();
    }

    fn finish(&mut self) {
        self.progress.compared(0);
        self.result.done = true;
        self.result.check = self.shared.spec.check;
        self.step = SftpCopyStep::Ended;
        self.channel.end();
    }

    /// Records for each entry in a missing directory the outermost of these.
    fn find_roots(&mut self) {
        let snapshot = Arc::clone(&self.snapshot);
        let entries = &snapshot.entries;
        let mut missing: HashMap<&[u8], usize> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if matches!(entry.kind, EntryKind::Directory)
                && self.states[index] == EntryState::Missing
            {
                missing.insert(&entry.name, index);
            }
        }
        self.roots.clear();
        for (index, entry) in entries.iter().enumerate() {
            let slashes = memchr::memchr_iter(b'/', &entry.name);
            let root = slashes.map(|at| &entry.name[..at]);
            if let Some(root) = root.filter_map(|name| missing.get(name)).next() {
                self.roots.insert(index, *root);
            }
        }
    }
}

/// Returns a directory and those above it, up to the root or the directory in which the server starts.
fn ancestors(directory: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut rest = directory;
    loop {
        while let [shorter @ .., b'/'] = rest
            && !shorter.is_empty()
        {
            rest = shorter;
        }
        all.push(rest.to_vec());
        match memchr::memrchr(b'/', rest) {
            Some(0) if rest != b"/" => rest = b"/",
            Some(at) if at > 0 => rest = &rest[..at],
            _ => return all,
        }
    }
}
