//! Comparison of what a target has with what is here.

use std::collections::VecDeque;

use super::host::{FetchStep, HostFetch, SUMS};
use super::local::{LocalError, display, is_directory, is_file};
use super::remote::{LocalState, RemoteEntry, RemoteKind};
use crate::copy::blocks::Checksum;

/// The reason why an entry cannot be compared.
enum CompareError {
    Here(LocalError),
    Shape(String),
}

impl From<LocalError> for CompareError {
    fn from(error: LocalError) -> Self {
        CompareError::Here(error)
    }
}

impl HostFetch {
    /// Compares the list with what is here, and asks for checksums of what may be the same.
    pub(in crate::copy) fn compare(&mut self) {
        if !self.set_states() {
            return;
        }
        let same_size = self
            .entries(|entry| entry.kind == RemoteKind::File && entry.state == LocalState::Unknown);
        let batches = self.ask(SUMS, &same_size);
        if batches.is_empty() {
            return self.after_compare();
        }
        self.step = FetchStep::Sums(batches, Vec::new());
    }

    /// Sets the states of all entries as far as they are known without a checksum; false after a failure.
    pub(in crate::copy) fn set_states(&mut self) -> bool {
        for index in 0..self.list.entries.len() {
            match self.state(index) {
                Ok(state) => self.list.entries[index].state = state,
                Err(CompareError::Here(error)) => {
                    self.fail_here(&error);
                    return false;
                }
                Err(CompareError::Shape(text)) => {
                    self.fail(text);
                    return false;
                }
            }
        }
        true
    }

    /// Returns the state of an entry as far as it is known without a checksum.
    fn state(&self, index: usize) -> Result<LocalState, CompareError> {
        let entry = &self.list.entries[index];
        let here = self.directory.stat(&entry.name)?;
        let shape = |what: &str| {
            let name = display(&entry.name);
            Err(CompareError::Shape(format!(
                "{name}: is {what} in the host's directory here, and not over there"
            )))
        };
        let Some(here) = here else {
            return Ok(LocalState::Differs);
        };
        Ok(match &entry.kind {
            RemoteKind::Directory if is_directory(&here) => LocalState::Same,
            RemoteKind::Directory => return shape("no directory"),
            _ if is_directory(&here) => return shape("a directory"),
            // Files of another size cannot be the same, so no checksum is asked for.
            RemoteKind::File if is_file(&here) && here.st_size as u64 == entry.size => {
                LocalState::Unknown
            }
            RemoteKind::File => LocalState::Differs,
            RemoteKind::Link(content) => {
                if self.directory.link_content(&entry.name).as_deref() == Some(content) {
                    LocalState::Same
                } else {
                    LocalState::Differs
                }
            }
            RemoteKind::HardLink(first) => {
                let first = self.directory.stat(&self.list.entries[*first].name)?;
                match first {
                    Some(first) if (first.st_dev, first.st_ino) == (here.st_dev, here.st_ino) => {
                        LocalState::Same
                    }
                    _ => LocalState::Differs,
                }
            }
        })
    }

    pub(in crate::copy) fn on_sums(
        &mut self,
        line: &[u8],
        mut batches: VecDeque<Vec<usize>>,
        mut sums: Vec<Vec<u8>>,
    ) {
        let most = batches.front().map_or(0, Vec::len);
        match line {
            [b's', b' ', sum @ ..] if sums.len() < most => sums.push(sum.to_vec()),
            b"-" if most > 0 => {
                let batch = batches.pop_front().unwrap_or_default();
                // A file that went away has no line, so it is unknown which lines belong to the others.
                let is_whole = sums.len() == batch.len();
                for (place, &index) in batch.iter().enumerate() {
                    let state = if is_whole {
                        self.compare_sum(index, &sums[place], self.programs.checksum)
                    } else {
                        Ok(LocalState::Differs)
                    };
                    match state {
                        Ok(state) => self.list.entries[index].state = state,
                        Err(error) => return self.fail_here(&error),
                    }
                }
                sums.clear();
            }
            b"." if most == 0 => return self.after_compare(),
            _ => return self.fail_unexpected(line),
        }
        self.step = FetchStep::Sums(batches, sums);
    }

    /// Compares a file that is here with the checksum of the one over there.
    pub(in crate::copy) fn compare_sum(
        &self,
        index: usize,
        sum: &[u8],
        checksum: Checksum,
    ) -> Result<LocalState, LocalError> {
        let entry = &self.list.entries[index];
        let own = self.directory.checksum(&entry.name, checksum)?;
        if own.as_bytes() != sum {
            return Ok(LocalState::Differs);
        }
        let Some(here) = self.directory.stat(&entry.name)? else {
            return Ok(LocalState::Differs);
        };
        let is_mode = here.st_mode & 0o7777 == entry.attributes.mode;
        // A target without stat knows no time, so the time is no difference.
        let is_time = entry.attributes.mtime.is_none_or(|time| {
            (time.seconds, u64::from(time.nanoseconds)) == (here.st_mtime, here.st_mtime_nsec)
        });
        Ok(if is_mode && is_time {
            LocalState::Same
        } else {
            LocalState::Attributes
        })
    }

    fn after_compare(&mut self) {
        let has_changes = self.count_changes();
        // Without changes, and with --check, there is nothing to fetch.
        let bytes = if has_changes {
            self.result.copied.bytes
        } else {
            0
        };
        self.progress.compared(bytes);
        if !has_changes {
            return self.finish();
        }
        if let Err(error) = self.directory.stage() {
            return self.fail_here(&error);
        }
        let files = self.changed_files();
        self.ask_data(self.batches(&files));
    }

    fn changed_files(&self) -> Vec<usize> {
        self.entries(|entry| entry.kind == RemoteKind::File && entry.state == LocalState::Differs)
    }

    /// Counts what is different, for the result. Returns true if something is to be changed here.
    pub(in crate::copy) fn count_changes(&mut self) -> bool {
        for index in 0..self.list.entries.len() {
            // The file is replaced, so its further names are too.
            if let RemoteKind::HardLink(first) = self.list.entries[index].kind
                && self.list.entries[first].state == LocalState::Differs
            {
                self.list.entries[index].state = LocalState::Differs;
            }
        }
        let files = self.changed_files();
        self.result.copied.files = files.len() as u64;
        self.result.copied.bytes = files.iter().map(|&file| self.list.entries[file].size).sum();
        let is_same = |entry: &RemoteEntry| entry.state == LocalState::Same;
        self.result.copied.changed = !self.list.entries.iter().all(is_same);
        self.result.check = self.shared.spec.check;
        self.result.copied.changed && !self.shared.spec.check
    }
}
