//! The reactions to the outcomes of tasks, and the steps of a copy over SFTP that change something at the target.

use std::collections::BTreeMap;

use super::super::host::EntryState;
use super::super::result::message;
use super::super::snapshot::EntryKind;
use super::tasks::{Batch, Task, times};
use super::wire::{FileKind, SftpAttributes, code};
use super::{SftpCopy, SftpCopyStep, TaskOutcome};

impl SftpCopy {
    /// Handles the outcome of a task.
    pub(super) fn on_done(&mut self, task: Task, index: usize, outcome: TaskOutcome) {
        if matches!(self.step, SftpCopyStep::Stop | SftpCopyStep::Clean) {
            // The staging directory may be gone, or was never made.
            let is_gone = match &outcome {
                TaskOutcome::Done => true,
                TaskOutcome::Failed(status) => status.code == code::NO_SUCH_FILE,
                _ => false,
            };
            if task == Task::RemoveStaging && is_gone {
                self.result.left = None;
            }
            return;
        }
        match (task, outcome) {
            (Task::Enter, outcome) => self.on_enter(index, outcome),
            (Task::LookAt, TaskOutcome::Attributes(found)) => self.on_look(index, &found),
            (Task::LookAt, TaskOutcome::Failed(status)) if status.code == code::NO_SUCH_FILE => {
                self.states[index] = EntryState::Missing;
            }
            // The attributes are compared already.
            (Task::Compare, TaskOutcome::Done) => {}
            // A file that cannot be read is replaced.
            (Task::Compare, _) => self.states[index] = EntryState::Differs,
            (Task::ReadLink, outcome) => {
                let is_same = match (&self.snapshot().entries[index].kind, &outcome) {
                    (EntryKind::Link(content), TaskOutcome::Link(found)) => **content == **found,
                    _ => false,
                };
                if !is_same {
                    self.states[index] = EntryState::Differs;
                }
            }
            (Task::ReadProbe, outcome) => {
                self.draft_links = !matches!(outcome, TaskOutcome::Link(_));
                let entries = [usize::from(!self.draft_links)].into();
                let task = Task::RemoveProbe;
                // Before the links that are sent.
                self.batches.insert(1, Batch { task, entries });
            }
            (Task::RemoveProbe, TaskOutcome::Failed(_)) => {
                self.fail("the server makes symbolic links in a way that is not known".to_owned());
            }
            (Task::Send, TaskOutcome::Differs) => {
                self.fail("what arrived differs from what was sent".to_owned());
            }
            (Task::RemoveStaging, TaskOutcome::Done) => self.result.left = None,
            // Everything is in its place.
            (Task::RemoveStaging, _) => {}
            (Task::MakeStaging, TaskOutcome::Failed(status)) => {
                self.result.left = None;
                // The name of the staging directory is different at every target.
                let path = self.shared.spec.directory.clone();
                self.fail_at(&path, &status);
            }
            (Task::MakeParent, TaskOutcome::Failed(status)) => {
                let path = self.directories[index].clone();
                self.fail_at(&path, &status);
            }
            (Task::ProbeLink, TaskOutcome::Failed(status)) => {
                self.fail(format!(
                    "the server makes no symbolic links: {}",
                    status.words()
                ));
            }
            (_, TaskOutcome::Failed(status)) => self.fail_at(&self.path(index), &status),
            _ => {}
        }
    }

    /// Compares the attributes of an entry with those of the snapshot.
    fn on_look(&mut self, index: usize, found: &SftpAttributes) {
        let entry = &self.snapshot().entries[index];
        let Some(kind) = found.kind() else {
            return self.fail_as(index, "the server does not send its type");
        };
        let state = match (&entry.kind, kind) {
            (EntryKind::Directory, FileKind::Directory) => EntryState::Same,
            (EntryKind::Directory, _) => return self.fail_as(index, "not a directory"),
            (_, FileKind::Directory) => return self.fail_as(index, "is a directory"),
            (_, FileKind::Other) => {
                return self.fail_as(index, "is a device, socket or fifo");
            }
            // The content is compared later.
            (EntryKind::Link(_), FileKind::Link) => EntryState::Same,
            (EntryKind::Link(_), FileKind::Regular) => EntryState::Differs,
            (EntryKind::File(_) | EntryKind::HardLink(_), FileKind::Link) => EntryState::Differs,
            (EntryKind::File(_) | EntryKind::HardLink(_), FileKind::Regular) => {
                let content = self.snapshot().content_of(index);
                let mode = found.permissions.map(|mode| mode & 0o7777);
                let mtime = found.times.map(|(_, mtime)| mtime);
                if found.size != content.map(|content| content.length) {
                    EntryState::Differs
                } else if mode == Some(entry.mode) && mtime == Some(times(entry.mtime).1) {
                    EntryState::Same
                } else {
                    EntryState::Attributes
                }
            }
        };
        self.states[index] = state;
    }

    fn fail_as(&mut self, index: usize, what: &str) {
        self.fail(format!("{}: {what}", message(&self.path(index))));
    }

    /// Returns entries in groups of equal depth, the outermost first.
    fn by_depth(&self, entries: &[usize]) -> BTreeMap<usize, Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &index in entries {
            let name = &self.snapshot().entries[index].name;
            let depth = memchr::memchr_iter(b'/', name).count();
            groups.entry(depth).or_default().push(index);
        }
        groups
    }

    /// Begins to send everything that differs into the staging directory.
    pub(super) fn stage(&mut self) {
        self.step = SftpCopyStep::Stage;
        for index in (0..self.missing).rev() {
            self.push(Task::MakeParent, [index]);
        }
        self.push(Task::MakeStaging, [0]);
        self.result.left = Some(message(&self.staging()));
        let directories =
            self.entries(|kind, state| matches!(kind, EntryKind::Directory) && state.is_sent());
        for (_, directories) in self.by_depth(&directories) {
            self.push(Task::MakeStaged, directories);
        }
        let can_link = self.has("hardlink@openssh.com");
        let files = self.entries(|kind, state| {
            state.is_sent()
                && match kind {
                    EntryKind::File(_) => true,
                    EntryKind::HardLink(_) => !can_link,
                    EntryKind::Directory | EntryKind::Link(_) => false,
                }
        });
        let links =
            self.entries(|kind, state| matches!(kind, EntryKind::Link(_)) && state.is_sent());
        if !links.is_empty() {
            self.push(Task::ProbeLink, [0]);
            self.push(Task::ReadProbe, [0]);
        }
        self.push(Task::Send, files);
        if can_link {
            self.push(
                Task::HardLink,
                self.entries(|kind, state| {
                    matches!(kind, EntryKind::HardLink(_)) && state.is_sent()
                }),
            );
        }
        self.push(Task::Symlink, links);
    }

    /// Begins to move everything to its place. From here on the destination changes.
    pub(super) fn commit(&mut self) {
        self.step = SftpCopyStep::Commit;
        let mut placed = self.entries(|_, state| state.is_sent());
        placed.retain(|index| !self.roots.contains_key(index));
        self.result.partly = true;
        self.push(Task::Place, placed);
        let is_file =
            |kind: &EntryKind| matches!(kind, EntryKind::File(_) | EntryKind::HardLink(_));
        let new_directories =
            self.entries(|kind, state| matches!(kind, EntryKind::Directory) && state.is_sent());
        if self.owner().is_some() {
            let others = self.entries(|kind, state| is_file(kind) && !state.is_sent());
            self.push(Task::SetOwner, others.iter().copied());
            self.push(Task::SetOwner, new_directories.iter().copied());
            // A change of the owner clears set-user-ID bits.
            self.push(Task::SetAttributes, others);
        } else {
            let touched =
                self.entries(|kind, state| is_file(kind) && state == EntryState::Attributes);
            self.push(Task::SetAttributes, touched);
        }
        // The content of a directory comes before its mode, which may forbid to change it.
        for (_, directories) in self.by_depth(&new_directories).into_iter().rev() {
            self.push(Task::SetAttributes, directories);
        }
        self.push(Task::RemoveStaging, [0]);
    }

    /// Begins to remove the staging directory after a failure.
    pub(super) fn clean(&mut self) {
        self.step = SftpCopyStep::Clean;
        if self.result.left.is_none() {
            return;
        }
        let sent = |is_directory: bool| {
            self.entries(|kind, state| {
                state.is_sent() && matches!(kind, EntryKind::Directory) == is_directory
            })
        };
        let (files, directories) = (sent(false), sent(true));
        if files
            .iter()
            .chain(&directories)
            .any(|index| matches!(self.snapshot().entries[*index].kind, EntryKind::Link(_)))
        {
            self.push(Task::RemoveProbe, [0, 1]);
        }
        self.push(Task::RemoveStaged, files);
        for (_, directories) in self.by_depth(&directories).into_iter().rev() {
            self.push(Task::RemoveStagedDirectory, directories);
        }
        self.push(Task::RemoveStaging, [0]);
    }
}
