//! The comparison of a target with the snapshot: the part of the dialogue before anything is sent.

use std::collections::{HashSet, VecDeque};

use super::blocks;
use super::host::{Checks, CopyStep, DetailLines, EntryState, HostCopy};
use super::result::message;
use super::snapshot::EntryKind;

impl HostCopy {
    pub(super) fn check_directories(&mut self) {
        let directories = self.entries(|kind, _| matches!(kind, EntryKind::Directory));
        let batches = self.batches(&directories);
        self.send_block(self.calls("check", &batches));
        self.step = CopyStep::Directories(batches.into());
    }

    pub(super) fn on_directories(&mut self, line: &[u8], mut batches: VecDeque<Vec<usize>>) {
        let Some(batch) = batches.pop_front() else {
            return match line {
                b"." => self.check_files(),
                _ => self.fail_unexpected(line),
            };
        };
        let classes = match line {
            [b't', b' ', classes @ ..] if classes.len() == batch.len() => classes,
            // A checksum over files or links only: none is a directory.
            [b'=', ..] if self.shared.spec.swap => {
                batch
                    .iter()
                    .for_each(|&entry| self.states[entry] = EntryState::OtherKind);
                self.step = CopyStep::Directories(batches);
                return;
            }
            [b'=', ..] => return self.fail(self.not_as(batch[0], "not a directory")),
            _ => return self.fail_unexpected(line),
        };
        for (&entry, class) in batch.iter().zip(classes) {
            self.states[entry] = match class {
                b'd' => EntryState::Same,
                b'-' => EntryState::Missing,
                _ if self.shared.spec.swap => EntryState::OtherKind,
                _ => return self.fail(self.not_as(entry, "not a directory")),
            };
        }
        self.step = CopyStep::Directories(batches);
    }

    /// Returns an error about an entry.
    fn not_as(&self, entry: usize, what: &str) -> String {
        let name = &self.snapshot.entries[entry].name;
        format!("{}: {what}", message(&self.shared.spec.path_of(name)))
    }

    /// Checks all files and links that are not below a missing directory.
    fn check_files(&mut self) {
        let entries = &self.snapshot.entries;
        let mut missing: HashSet<&[u8]> = HashSet::new();
        for (entry, state) in entries.iter().zip(&mut self.states) {
            if entry.is_below(&missing) {
                *state = EntryState::Missing;
            }
            if matches!(entry.kind, EntryKind::Directory) && *state == EntryState::Missing {
                missing.insert(&entry.name);
            }
        }
        let unknown = EntryState::Unknown;
        let files = self.entries(|kind, state| {
            matches!(kind, EntryKind::File(_) | EntryKind::HardLink(_)) && state == unknown
        });
        let links =
            self.entries(|kind, state| matches!(kind, EntryKind::Link(_)) && state == unknown);
        let mut batches = blocks::hashed_batches(&self.snapshot, &files);
        if self.shared.spec.diff {
            // One checksum for several links does not say which of them differs.
            batches.extend(links.iter().map(|link| vec![*link]));
        } else {
            batches.extend(self.batches(&links));
        }
        self.send_block(self.calls("check", &batches));
        self.step = CopyStep::Checks(Checks {
            batches: batches.into(),
            details: Vec::new(),
        });
    }

    pub(super) fn on_check(&mut self, line: &[u8], mut checks: Checks) {
        let Some(batch) = checks.batches.pop_front() else {
            return match line {
                b"." => self.ask_details(&checks.details),
                _ => self.fail_unexpected(line),
            };
        };
        let snapshot = &self.snapshot;
        let are_links = matches!(snapshot.entries[batch[0]].kind, EntryKind::Link(_));
        match line {
            [b'=', b' ', sum @ ..] => {
                let expected = if are_links {
                    blocks::links_sum(snapshot, &batch, self.programs.checksum)
                } else {
                    blocks::files_sum(snapshot, &batch, self.programs)
                };
                if sum == expected.as_bytes() {
                    batch
                        .iter()
                        .for_each(|&entry| self.states[entry] = EntryState::Same);
                } else if are_links {
                    batch
                        .iter()
                        .for_each(|&entry| self.states[entry] = EntryState::Differs);
                } else {
                    checks.details.push(batch);
                }
            }
            [b't', b' ', classes @ ..] if classes.len() == batch.len() => {
                let mut files = Vec::new();
                for (&entry, class) in batch.iter().zip(classes) {
                    self.states[entry] = match class {
                        b'-' => EntryState::Missing,
                        b'd' | b'o' if self.shared.spec.swap => EntryState::OtherKind,
                        b'd' => return self.fail(self.not_as(entry, "is a directory")),
                        b'o' => {
                            return self.fail(self.not_as(entry, "is a device, socket or fifo"));
                        }
                        b'f' if !are_links => {
                            files.push(entry);
                            EntryState::Differs
                        }
                        b'l' if are_links => EntryState::Differs,
                        _ => EntryState::OtherKind,
                    };
                }
                if !files.is_empty() {
                    checks.details.push(files);
                }
            }
            _ => return self.fail_unexpected(line),
        }
        self.step = CopyStep::Checks(checks);
    }

    fn ask_details(&mut self, batches: &[Vec<usize>]) {
        if batches.is_empty() {
            return self.after_checks();
        }
        self.send_block(self.calls("detail", batches));
        self.step = CopyStep::Details(batches.to_vec().into(), DetailLines::default());
    }

    pub(super) fn on_detail(
        &mut self,
        line: &[u8],
        mut batches: VecDeque<Vec<usize>>,
        mut lines: DetailLines,
    ) {
        let most = batches.front().map_or(0, Vec::len);
        match line {
            [b's', b' ', sum @ ..] if lines.sums.len() < most && lines.attributes.is_empty() => {
                lines.sums.push(sum.to_vec());
            }
            [b'a', b' ', text @ ..] if lines.attributes.len() < most => {
                lines.attributes.push(text.to_vec());
            }
            b"-" if most > 0 => {
                let batch = batches.pop_front().unwrap_or_default();
                self.compare(&batch, &lines);
                lines = DetailLines::default();
            }
            b"." if most == 0 => return self.after_checks(),
            _ => return self.fail_unexpected(line),
        }
        self.step = CopyStep::Details(batches, lines);
    }

    fn compare(&mut self, batch: &[usize], lines: &DetailLines) {
        // A file that went away meanwhile has no line, so it is unknown which lines belong to the others.
        let is_whole = lines.sums.len() == batch.len() && lines.attributes.len() == batch.len();
        let snapshot = &self.snapshot;
        for (index, &entry) in batch.iter().enumerate() {
            let is_same = |lines: &[Vec<u8>], text: String| lines[index] == text.as_bytes();
            self.states[entry] = if !is_whole
                || !is_same(
                    &lines.sums,
                    self.programs.checksum.of_entry(snapshot, entry),
                ) {
                EntryState::Differs
            } else if is_same(
                &lines.attributes,
                blocks::attributes(&snapshot.entries[entry], self.programs),
            ) {
                EntryState::Same
            } else {
                EntryState::Attributes
            };
        }
    }
}
