//! The tasks of a copy over SFTP: their requests, and what their replies mean.

use std::collections::VecDeque;

use super::super::snapshot::EntryKind;
use super::file::{FileSource, FileTransfer};
use super::wire::{Reply, SftpAttributes, SftpRequest, SftpViolation, kind};
use super::{SftpCopy, TaskOutcome};

/// A task. Its index is that of an entry, if nothing else is written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Looks at a directory of `directories`, through links.
    Enter,
    /// Looks at an entry.
    LookAt,
    /// Reads a file back.
    Compare,
    ReadLink,
    /// Makes a directory of `directories`.
    MakeParent,
    MakeStaging,
    /// Makes a link, to learn the order of the arguments.
    ProbeLink,
    /// Reads the name that is a link if the order is that of OpenSSH.
    ReadProbe,
    /// Removes one end of the link: 0 or 1.
    RemoveProbe,
    MakeStaged,
    /// Writes a file, reads it back, and sets its attributes.
    Send,
    HardLink,
    Symlink,
    /// Moves a staged entry to its place.
    Place,
    SetOwner,
    SetAttributes,
    RemoveStaged,
    RemoveStagedDirectory,
    RemoveStaging,
}

impl Task {
    /// True if the task has several requests about an open file.
    pub(super) fn is_transfer(self) -> bool {
        matches!(self, Task::Compare | Task::Send)
    }
}

/// Tasks of one kind that may run side by side.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) task: Task,
    /// Indexes of tasks that have not begun.
    pub(super) entries: VecDeque<usize>,
}

/// Names of the two ends of the link that is made first.
const PROBES: [&[u8]; 2] = [b"/link-a", b"/link-b"];

impl SftpCopy {
    /// Returns the staging directory.
    pub(super) fn staging(&self) -> Vec<u8> {
        let name = format!(".mrsh-{}-{}", self.shared.nonce, self.target.0);
        self.shared.spec.path_of(name.as_bytes())
    }

    /// Returns the path of an entry at the destination.
    pub(super) fn path(&self, index: usize) -> Vec<u8> {
        let name = &self.snapshot().entries[index].name;
        self.shared.spec.path_of(name)
    }

    /// Returns the path of an entry in the staging directory. Directories that are new are there as a whole.
    fn staged(&self, index: usize) -> Vec<u8> {
        let root = self.roots.get(&index).copied().unwrap_or(index);
        let entries = &self.snapshot().entries;
        let rest = &entries[index].name[entries[root].name.len()..];
        [&*self.staging(), format!("/{root}").as_bytes(), rest].concat()
    }

    fn probe(&self, number: usize) -> Vec<u8> {
        [&*self.staging(), PROBES[number]].concat()
    }

    /// Returns the transfer of a task, if it is one.
    pub(super) fn transfer(&self, task: Task, index: usize) -> Option<FileTransfer> {
        if !task.is_transfer() {
            return None;
        }
        let snapshot = self.snapshot();
        let content = snapshot.content_of(index)?;
        match task {
            Task::Compare => Some(FileTransfer::compare(
                self.path(index),
                content.length,
                content.sha256,
            )),
            Task::Send => {
                let entry = &snapshot.entries[index];
                let source = FileSource {
                    content: snapshot.content(content),
                    owner: self.owner(),
                    permissions: entry.mode,
                    times: times(entry.mtime),
                    can_sync: self.has("fsync@openssh.com"),
                };
                let path = self.staged(index);
                Some(FileTransfer::send(
                    path,
                    content.length,
                    content.sha256,
                    source,
                ))
            }
            _ => None,
        }
    }

    /// Returns the request of a task that is no transfer.
    pub(super) fn request(&self, task: Task, index: usize) -> SftpRequest {
        let on = |kind: u8, path: &[u8]| SftpRequest::new(kind).string(path);
        let permissions = |permissions: u32| SftpAttributes {
            permissions: Some(permissions),
            ..SftpAttributes::default()
        };
        match task {
            Task::Enter => on(kind::STAT, &self.directories[index]),
            Task::LookAt => on(kind::LSTAT, &self.path(index)),
            Task::ReadLink => on(kind::READLINK, &self.path(index)),
            Task::MakeParent => {
                on(kind::MKDIR, &self.directories[index]).attributes(&permissions(0o755))
            }
            Task::MakeStaging => on(kind::MKDIR, &self.staging()).attributes(&permissions(0o700)),
            Task::MakeStaged => {
                on(kind::MKDIR, &self.staged(index)).attributes(&permissions(0o700))
            }
            Task::ProbeLink => on(kind::SYMLINK, &self.probe(0)).string(&self.probe(1)),
            Task::ReadProbe => on(kind::READLINK, &self.probe(1)),
            Task::RemoveProbe => on(kind::REMOVE, &self.probe(index)),
            Task::Symlink => {
                let content: &[u8] = match &self.snapshot().entries[index].kind {
                    EntryKind::Link(content) => content,
                    _ => b"",
                };
                let link = &*self.staged(index);
                // The draft has the link first. OpenSSH's server has it last, and most others follow it (its file
                // PROTOCOL, section 4.1).
                let [first, second] = if self.draft_links {
                    [link, content]
                } else {
                    [content, link]
                };
                on(kind::SYMLINK, first).string(second)
            }
            Task::HardLink => {
                let first = match self.snapshot().entries[index].kind {
                    EntryKind::HardLink(first) => first,
                    _ => index,
                };
                SftpRequest::extended("hardlink@openssh.com")
                    .string(&self.staged(first))
                    .string(&self.staged(index))
            }
            Task::Place => {
                let request = if self.has("posix-rename@openssh.com") {
                    SftpRequest::extended("posix-rename@openssh.com")
                } else {
                    SftpRequest::new(kind::RENAME)
                };
                request
                    .string(&self.staged(index))
                    .string(&self.path(index))
            }
            Task::SetOwner => on(kind::SETSTAT, &self.path(index)).attributes(&SftpAttributes {
                owner: self.owner(),
                ..SftpAttributes::default()
            }),
            Task::SetAttributes => {
                let entry = &self.snapshot().entries[index];
                let has_time = !matches!(entry.kind, EntryKind::Directory);
                on(kind::SETSTAT, &self.path(index)).attributes(&SftpAttributes {
                    permissions: Some(entry.mode),
                    times: has_time.then(|| times(entry.mtime)),
                    ..SftpAttributes::default()
                })
            }
            Task::RemoveStaged => on(kind::REMOVE, &self.staged(index)),
            Task::RemoveStagedDirectory => on(kind::RMDIR, &self.staged(index)),
            Task::RemoveStaging => on(kind::RMDIR, &self.staging()),
            Task::Compare | Task::Send => unreachable!("a transfer makes its own requests"),
        }
    }
}

/// Returns the times of a file as SFTP has them: 32 bits, for the last access too.
pub(super) fn times(mtime: i64) -> (u32, u32) {
    let time = u32::try_from(mtime.max(0)).unwrap_or(u32::MAX);
    (time, time)
}

/// Returns the outcome of a task with one request.
pub(super) fn outcome(task: Task, reply: Reply) -> Result<TaskOutcome, SftpViolation> {
    match (task, reply) {
        (Task::Enter | Task::LookAt, Reply::Attributes(found)) => {
            Ok(TaskOutcome::Attributes(found))
        }
        (Task::ReadLink | Task::ReadProbe, Reply::Names(mut names)) => {
            Ok(TaskOutcome::Link(names.swap_remove(0).0))
        }
        (Task::Enter | Task::LookAt | Task::ReadLink | Task::ReadProbe, Reply::Status(status))
            if status.is_ok() =>
        {
            Err(SftpViolation("success and nothing else"))
        }
        (_, Reply::Status(status)) if status.is_ok() => Ok(TaskOutcome::Done),
        (_, Reply::Status(status)) => Ok(TaskOutcome::Failed(status)),
        _ => Err(SftpViolation("a reply that does not fit its request")),
    }
}
