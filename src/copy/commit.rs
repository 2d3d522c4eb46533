//! Text of the blocks of code that check what has arrived at a target and move it into place.

use std::collections::{BTreeMap, HashSet};

use super::CopySpec;
use super::blocks::{
    batches, content_sum, exact_touch_time, hashed_batches, push_calls, push_hash_call, push_name,
    push_quoted, split, touch_time,
};
use super::host::EntryState;
use super::shell::FarPrograms;
use super::snapshot::{EntryKind, Snapshot};
use super::swap::OldDirectory;

/// Everything on which the last blocks for a target depend.
#[derive(Debug)]
pub(super) struct Commit<'h> {
    pub(super) spec: &'h CopySpec,
    pub(super) snapshot: &'h Snapshot,
    pub(super) states: &'h [EntryState],
    pub(super) programs: FarPrograms,
    /// The directory that `--swap` replaces, if there is one.
    pub(super) old: Option<&'h OldDirectory>,
}

impl Commit<'_> {
    /// Returns the commands that check what has arrived and give it its attributes. The destination stays as it is.
    pub(super) fn verify(&self) -> Vec<u8> {
        let entries = &self.snapshot.entries;
        let sent_files = self.all(|kind, state| is_file(kind) && state.is_sent());
        let mut block = Vec::new();
        for batch in hashed_batches(self.snapshot, &sent_files) {
            let sum = content_sum(self.snapshot, &batch, self.programs.checksum);
            let call = format!("verify '{sum}'");
            push_hash_call(self.snapshot, &call, &batch, &mut block);
        }
        self.push_times(&sent_files, &mut block);
        if let Some(owner) = self.owner() {
            // Before the modes: chown(2) clears set-user-ID bits.
            self.push(&format!("in_ chown {owner}"), &sent_files, &mut block);
        }
        for (mode, files) in grouped(&sent_files, |file| entries[file].mode) {
            self.push(&format!("in_ chmod {mode:o}"), &files, &mut block);
        }
        if self.spec.swap {
            self.push_directories(&mut block);
        }
        block
    }

    /// Appends the commands that set the times of files that no archive has set.
    fn push_times(&self, sent_files: &[usize], block: &mut Vec<u8>) {
        let entries = &self.snapshot.entries;
        if !self.programs.has_tar {
            for (time, files) in grouped(sent_files, |file| entries[file].mtime) {
                self.push(&format!("in_ stamp {}", touch_time(time)), &files, block);
            }
            return;
        }
        for &file in sent_files {
            if self.snapshot.is_large(file) {
                let entry = &entries[file];
                let exact = exact_touch_time(entry.mtime, entry.mtime_nanoseconds);
                let call = format!("in_ stamp_exactly {exact} {}", touch_time(entry.mtime));
                self.push(&call, &[file], block);
            }
        }
    }

    /// Appends the commands that give the staged directories their attributes, the topmost last.
    fn push_directories(&self, block: &mut Vec<u8>) {
        let mut directories = self.all(|kind, _| matches!(kind, EntryKind::Directory));
        directories.reverse();
        if let Some(owner) = self.owner() {
            self.push(&format!("in_ chown {owner}"), &directories, block);
            block.extend_from_slice(format!("in_ chown {owner} .\n").as_bytes());
        } else if let Some(old) = self.old {
            block.extend_from_slice(format!("own_as {}\n", old.owner).as_bytes());
        }
        for directory in directories {
            let mode = self.snapshot.entries[directory].mode;
            self.push(&format!("in_ chmod {mode:o}"), &[directory], block);
        }
        let mode = self.old.map_or(0o755, |old| old.mode);
        block.extend_from_slice(format!("in_ chmod {mode:o} .\n").as_bytes());
    }

    /// Returns the commands that move what has arrived into place, and change the attributes of what is there.
    pub(super) fn place(&self) -> Vec<u8> {
        if self.spec.swap {
            return b"swap\nclean\n".to_vec();
        }
        let entries = &self.snapshot.entries;
        let mut block = Vec::new();
        self.push_moves(&mut block);
        let touched = self.all(|kind, state| is_file(kind) && state == EntryState::Attributes);
        // Where the owner cannot be compared, it is set.
        let chowned = if self.programs.compares_owner {
            touched.clone()
        } else {
            self.all(|kind, state| is_file(kind) && !state.is_sent())
        };
        let mut new_directories = self.all(|kind, state| {
            matches!(kind, EntryKind::Directory) && state == EntryState::Missing
        });
        // The content of a directory comes before its mode, which may forbid to change it.
        new_directories.reverse();
        if let Some(owner) = self.owner() {
            self.push(&format!("do_ chown {owner}"), &chowned, &mut block);
            self.push(&format!("do_ chown {owner}"), &new_directories, &mut block);
        }
        // chown(2) clears set-user-ID bits.
        let is_special = |file: &usize| {
            self.states[*file] == EntryState::Attributes || entries[*file].mode & 0o6000 != 0
        };
        let mut modes = touched.clone();
        if self.owner().is_some() {
            modes = chowned.into_iter().filter(is_special).collect();
        }
        for (mode, files) in grouped(&modes, |file| entries[file].mode) {
            self.push(&format!("do_ chmod {mode:o}"), &files, &mut block);
        }
        for (time, files) in grouped(&touched, |file| entries[file].mtime) {
            self.push(
                &format!("do_ stamp {}", touch_time(time)),
                &files,
                &mut block,
            );
        }
        for directory in new_directories {
            let mode = entries[directory].mode;
            self.push(&format!("do_ chmod {mode:o}"), &[directory], &mut block);
        }
        block.extend_from_slice(b"clean\n");
        block
    }

    fn all(&self, is_wanted: impl Fn(&EntryKind, EntryState) -> bool) -> Vec<usize> {
        let entries = &self.snapshot.entries;
        (0..entries.len())
            .filter(|&index| is_wanted(&entries[index].kind, self.states[index]))
            .collect()
    }

    fn push(&self, call: &str, entries: &[usize], block: &mut Vec<u8>) {
        push_calls(self.snapshot, call, entries, block);
    }

    /// Returns the owner as a word of the shell.
    fn owner(&self) -> Option<String> {
        let owner = self.spec.owner.as_deref()?;
        let mut word = Vec::new();
        push_quoted(owner.as_bytes(), &mut word);
        String::from_utf8(word).ok()
    }

    /// Appends the calls that move staged entries into place. A directory that is new moves as a whole.
    fn push_moves(&self, block: &mut Vec<u8>) {
        let entries = &self.snapshot.entries;
        // Two sources may have one directory, so its content need not follow it at once.
        let mut new_directories: HashSet<&[u8]> = HashSet::new();
        let mut moves: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if entry.is_below(&new_directories) || !self.states[index].is_sent() {
                continue;
            }
            if matches!(entry.kind, EntryKind::Directory) {
                new_directories.insert(&entry.name);
            }
            moves.entry(split(&entry.name).0).or_default().push(index);
        }
        for (directory, moved) in moves {
            for batch in batches(self.snapshot, &moved) {
                block.extend_from_slice(b"place ");
                push_quoted(&[b"./", directory].concat(), block);
                for entry in batch {
                    push_name(split(&entries[entry].name).1, block);
                }
                block.push(b'\n');
            }
        }
    }
}

fn is_file(kind: &EntryKind) -> bool {
    matches!(kind, EntryKind::File(_) | EntryKind::HardLink(_))
}

/// Groups entries by a key, in the order of the keys.
fn grouped<K: Ord>(entries: &[usize], key: impl Fn(usize) -> K) -> BTreeMap<K, Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for &entry in entries {
        groups.entry(key(entry)).or_default().push(entry);
    }
    groups
}
