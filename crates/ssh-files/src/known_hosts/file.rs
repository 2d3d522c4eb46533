//! The contents of a known_hosts file, with indices for searches.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LineLocation;
use super::host_field::HostField;
use super::line::{KnownHostsLine, Marker};
use crate::notice::FileNotice;
use crate::public_key::KeyType;

/// A known_hosts file in memory. Searches in it do no I/O.
pub struct KnownHostsFile {
    pub(super) path: Arc<Path>,
    pub(super) entries: Vec<KnownEntry>,
    /// All keys of the file, each once.
    keys: HashMap<Box<[u8]>, KeyId>,
    /// Lines with plain names, by each name.
    exact: HashMap<Box<[u8]>, Vec<usize>>,
    /// Lines with patterns or hashed names, by marker and key.
    by_key: HashMap<(Marker, KeyId), CandidateLines>,
    patterned: Vec<usize>,
    pub(super) hashed: Vec<usize>,
    /// Key types of all hashed lines.
    // For files with too many hashed lines to search them for every host.
    pub(super) hashed_types: BTreeSet<KeyType>,
    pub(super) hashed_authority: bool,
    pub(super) notices: Vec<FileNotice>,
    /// Keys that this process has added.
    // One host with two names has one key.
    added: Mutex<Vec<AddedKey>>,
}

/// Number of a key. Equal keys have equal numbers.
type KeyId = usize;

/// A line without its key.
pub(super) struct KnownEntry {
    pub(super) location: LineLocation,
    pub(super) marker: Marker,
    pub(super) kind: KeyType,
    key: KeyId,
    names: HostField,
}

/// Lines with one marker and key. Each must be compared with the name of a host.
#[derive(Default)]
struct CandidateLines {
    lines: Vec<usize>,
    /// Index after the last match.
    // Programs often connect to hosts in the order of the file. If a whole cluster has one key, the next host is then
    // on the next line.
    next: AtomicUsize,
}

/// A key that this process has added.
pub(super) struct AddedKey {
    pub(super) name: Box<[u8]>,
    pub(super) kind: KeyType,
    pub(super) key: Vec<u8>,
}

impl KnownHostsFile {
    /// Makes a file without lines.
    pub(super) fn new(path: &Path) -> KnownHostsFile {
        KnownHostsFile {
            path: path.into(),
            entries: Vec::new(),
            keys: HashMap::new(),
            exact: HashMap::new(),
            by_key: HashMap::new(),
            patterned: Vec::new(),
            hashed: Vec::new(),
            hashed_types: BTreeSet::new(),
            hashed_authority: false,
            notices: Vec::new(),
            added: Mutex::default(),
        }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notices about skipped lines, or about a file that the user may not read.
    #[must_use]
    pub fn notices(&self) -> &[FileNotice] {
        &self.notices
    }

    /// Returns the first line with a marker and a key that applies to a host name.
    pub(super) fn find(&self, marker: Marker, name: &str, key: &[u8]) -> Option<LineLocation> {
        let name = name.as_bytes();
        if let Some(&key) = self.keys.get(key)
            && let Some(line) = self.find_line(marker, name, key)
        {
            return Some(self.entries[line].location.clone());
        }
        // A run adds only keys of hosts, no authorities.
        if marker != Marker::Key {
            return None;
        }
        let added = self.lock_added();
        let is_match = |added: &AddedKey| *added.name == *name && added.key == key;
        added.iter().any(is_match).then(|| self.added_location())
    }

    fn find_line(&self, marker: Marker, name: &[u8], key: KeyId) -> Option<usize> {
        let exact = self.exact.get(name).into_iter().flatten().copied();
        let exact = exact.into_iter().find(|&line| {
            let entry = &self.entries[line];
            entry.key == key && entry.marker == marker
        });
        if exact.is_some() {
            return exact;
        }
        let candidates = self.by_key.get(&(marker, key))?;
        let lines = &candidates.lines;
        // Only a hint where to begin, so the order among threads does not matter.
        let next = candidates.next.load(Ordering::Relaxed) % lines.len();
        let found = (next..lines.len())
            .chain(0..next)
            .find(|&index| self.entries[lines[index]].names.matches(name))?;
        candidates.next.store(found + 1, Ordering::Relaxed);
        Some(lines[found])
    }

    /// Returns all keys of a host. This compares the name with every line that has patterns or a hashed name.
    pub(super) fn keys_of(&self, name: &str) -> Vec<(LineLocation, KeyType)> {
        let mut lines = self.lines_of(name.as_bytes(), &self.hashed);
        lines.retain(|&line| self.entries[line].marker == Marker::Key);
        let mut keys: Vec<(LineLocation, KeyType)> = lines
            .into_iter()
            .map(|line| (self.entries[line].location.clone(), self.entries[line].kind))
            .collect();
        let added = self.lock_added();
        let added = added.iter().filter(|added| *added.name == *name.as_bytes());
        keys.extend(added.map(|added| (self.added_location(), added.kind)));
        keys
    }

    /// Returns the lines for a host, in order. `hashed` has the hashed lines that are compared.
    pub(super) fn lines_of(&self, name: &[u8], hashed: &[usize]) -> Vec<usize> {
        let mut lines = self.exact.get(name).cloned().unwrap_or_default();
        let asked = self.patterned.iter().chain(hashed).copied();
        lines.extend(asked.filter(|&line| self.entries[line].names.matches(name)));
        lines.sort_unstable();
        // A line can name a host twice.
        lines.dedup();
        lines
    }

    pub(super) fn add(&mut self, location: LineLocation, line: KnownHostsLine) {
        let index = self.entries.len();
        let next = self.keys.len();
        // Many hosts can have one key, which is then kept once.
        let key = *self.keys.entry(line.key.into()).or_insert(next);
        match &line.names {
            HostField::Exact(names) => {
                for name in names {
                    self.exact.entry(name.clone()).or_default().push(index);
                }
            }
            HostField::Wildcards(_) => self.patterned.push(index),
            HostField::Hashed(_) => {
                self.hashed.push(index);
                match line.marker {
                    Marker::Key => {
                        self.hashed_types.insert(line.kind);
                    }
                    Marker::Authority => self.hashed_authority = true,
                    Marker::Revoked => {}
                }
            }
        }
        if !matches!(line.names, HostField::Exact(_)) {
            let candidates = self.by_key.entry((line.marker, key)).or_default();
            candidates.lines.push(index);
        }
        self.entries.push(KnownEntry {
            location,
            marker: line.marker,
            kind: line.kind,
            key,
            names: line.names,
        });
    }

    /// The location of a line that this process has added.
    fn added_location(&self) -> LineLocation {
        LineLocation {
            file: Arc::clone(&self.path),
            line: None,
        }
    }

    pub(super) fn lock_added(&self) -> MutexGuard<'_, Vec<AddedKey>> {
        // An addition is complete in itself, so a panic elsewhere leaves the list valid.
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
