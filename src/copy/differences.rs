//! The part of the dialogue for `--check --diff`: asks for the files that differ and prints what differs.

use std::collections::HashSet;

use super::blocks::push_call;
use super::diff::{MAX_LENGTH, SentFiles, SentHeader, unified};
use super::host::{CopyStep, EntryState, HostCopy};
use super::snapshot::{EntryKind, Segment};
use crate::error_text::printable;

impl HostCopy {
    /// Prints what differs except for the content of files, and asks for that.
    pub(super) fn show_differences(&mut self) {
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        if self.is_new {
            self.print_fact("missing", b"");
            return self.decide();
        }
        let mut missing: HashSet<&[u8]> = HashSet::new();
        let mut files = Vec::new();
        for (index, entry) in snapshot.entries.iter().enumerate() {
            if entry.is_below(&missing) {
                continue;
            }
            let name = &entry.name;
            match (self.states[index], &entry.kind) {
                (EntryState::Missing, kind) => {
                    if matches!(kind, EntryKind::Directory) {
                        missing.insert(name);
                    }
                    self.print_fact("missing", name);
                }
                (EntryState::OtherKind, _) => {
                    self.print_fact("another kind, or not readable", name);
                }
                (EntryState::Attributes, _) => self.print_fact("mode, time or owner differs", name),
                (EntryState::Differs, EntryKind::Link(_)) => self.print_fact("link differs", name),
                (EntryState::Differs, _) => {
                    let content = snapshot.content_of(index);
                    if content.is_some_and(|content| content.length <= MAX_LENGTH as u64) {
                        files.push(index);
                    } else {
                        self.print_binary(index);
                    }
                }
                (EntryState::Same | EntryState::Unknown, _) => {}
            }
        }
        if files.is_empty() {
            return self.decide();
        }
        let mut block = Vec::new();
        for batch in self.batches(&files) {
            push_call(&snapshot, &format!("show {MAX_LENGTH}"), &batch, &mut block);
        }
        self.send_block(block);
        self.step = CopyStep::Files(SentFiles::new(&files));
    }

    pub(super) fn on_sent_file(&mut self, line: &[u8], mut sent: SentFiles) {
        let Some(&file) = sent.files.front() else {
            return match line {
                b"." => self.decide(),
                _ => self.fail_unexpected(line),
            };
        };
        match SentHeader::of_line(line) {
            Some(SentHeader::Content(0)) => {
                self.print_diff(file, b"");
                sent.files.pop_front();
            }
            Some(SentHeader::Content(length)) => sent.expect(length),
            Some(SentHeader::Long) => {
                self.print_binary(file);
                sent.files.pop_front();
            }
            Some(SentHeader::Gone) => {
                self.print_fact(
                    "another kind, or not readable",
                    self.name_of(file).as_slice(),
                );
                sent.files.pop_front();
            }
            None => return self.fail_unexpected(line),
        }
        self.step = CopyStep::Files(sent);
    }

    /// Takes bytes of a file that the target sends.
    pub(super) fn take_file(&mut self, data: &mut &[u8]) {
        let CopyStep::Files(sent) = &mut self.step else {
            return;
        };
        sent.take(data);
        if sent.is_in_file() {
            return;
        }
        let content = sent.content();
        if let Some(file) = sent.files.pop_front() {
            self.print_diff(file, &content);
        }
    }

    fn name_of(&self, entry: usize) -> Vec<u8> {
        self.snapshot.entries[entry].name.to_vec()
    }

    fn print_diff(&mut self, file: usize, old: &[u8]) {
        let new = self.read_source(file);
        let path = self.path(&self.name_of(file));
        match new.and_then(|new| unified(&path, old, &new)) {
            Some(diff) => self.output.extend_from_slice(&diff),
            None => self.print_binary(file),
        }
    }

    /// Returns the content of a file of the snapshot, if it can be read.
    fn read_source(&self, file: usize) -> Option<Vec<u8>> {
        let content = self.snapshot.content_of(file)?;
        let Segment::File { file, at, length } = self.snapshot.content(content) else {
            return None;
        };
        let mut bytes = vec![0; length as usize];
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(at + done as u64, &mut bytes[done..]) {
                Ok(n) if n > 0 => done += n,
                _ => return None,
            }
        }
        Some(bytes)
    }

    fn print_binary(&mut self, file: usize) {
        let name = self.name_of(file);
        self.print_fact("differs, binary or longer than 1 MiB", &name);
    }

    fn print_fact(&mut self, fact: &str, name: &[u8]) {
        let line = format!("{}: {fact}\n", self.path(name));
        self.output.extend_from_slice(line.as_bytes());
    }

    fn path(&self, name: &[u8]) -> String {
        printable(&String::from_utf8_lossy(&self.shared.spec.path_of(name)))
    }
}
