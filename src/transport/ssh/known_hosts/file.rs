//! One known_hosts file, as it is looked things up in.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Place;
use super::line::{Line, Marker};
use super::pattern::Names;
use crate::transport::ssh::file_notice::FileNotice;
use crate::transport::ssh::public::KeyType;

/// What one known_hosts file says.
pub struct KnownFile {
    pub(super) path: Arc<Path>,
    pub(super) entries: Vec<Entry>,
    /// The keys of all lines, each once.
    keys: HashMap<Box<[u8]>, KeyId>,
    /// Lines by each of their names, if these are plain.
    exact: HashMap<Box<[u8]>, Vec<usize>>,
    /// The other lines, by what they say and of which key.
    by_key: HashMap<(Marker, KeyId), Candidates>,
    patterned: Vec<usize>,
    pub(super) hashed: Vec<usize>,
    /// What the hashed lines have together, for when there are too many to ask each.
    pub(super) hashed_types: BTreeSet<KeyType>,
    pub(super) hashed_authority: bool,
    pub(super) notes: Vec<FileNotice>,
    /// Lines that were added in this run, so that one host under two labels has one key.
    added: Mutex<Vec<Added>>,
}

/// Stands for a key; equal for equal keys.
type KeyId = usize;

/// A line without its key.
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) marker: Marker,
    pub(super) kind: KeyType,
    key: KeyId,
    names: Names,
}

/// Lines that must be asked one by one whether they are about a host.
#[derive(Default)]
struct Candidates {
    lines: Vec<usize>,
    /// Where the last line was found. Files and runs tend to have hosts in one order: when a whole cluster has
    /// one key, the line of the next host is the next line.
    next: AtomicUsize,
}

/// A line that this run has added.
pub(super) struct Added {
    pub(super) name: Box<[u8]>,
    pub(super) kind: KeyType,
    pub(super) key: Vec<u8>,
}

impl KnownFile {
    /// A file that says nothing yet.
    pub(super) fn new(path: &Path) -> KnownFile {
        KnownFile {
            path: path.into(),
            entries: Vec::new(),
            keys: HashMap::new(),
            exact: HashMap::new(),
            by_key: HashMap::new(),
            patterned: Vec::new(),
            hashed: Vec::new(),
            hashed_types: BTreeSet::new(),
            hashed_authority: false,
            notes: Vec::new(),
            added: Mutex::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was not understood while reading.
    #[must_use]
    pub fn notes(&self) -> &[FileNotice] {
        &self.notes
    }

    /// A line that says this of that key for the host of that name.
    pub(super) fn find(&self, marker: Marker, name: &str, key: &[u8]) -> Option<Place> {
        let name = name.as_bytes();
        if let Some(&key) = self.keys.get(key)
            && let Some(line) = self.find_line(marker, name, key)
        {
            return Some(self.entries[line].place.clone());
        }
        if marker != Marker::Key {
            return None;
        }
        let added = self.added();
        let is_it = |added: &Added| *added.name == *name && added.key == key;
        added.iter().any(is_it).then(|| self.added_place())
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
        let next = candidates.next.load(Ordering::Relaxed) % lines.len();
        let found = (next..lines.len())
            .chain(0..next)
            .find(|&index| self.entries[lines[index]].names.matches(name))?;
        candidates.next.store(found + 1, Ordering::Relaxed);
        Some(lines[found])
    }

    /// All keys that are known for the host of that name, at the cost of asking every line.
    pub(super) fn keys_of(&self, name: &str) -> Vec<(Place, KeyType)> {
        let mut lines = self.lines_of(name.as_bytes(), &self.hashed);
        lines.retain(|&line| self.entries[line].marker == Marker::Key);
        let mut keys: Vec<(Place, KeyType)> = lines
            .into_iter()
            .map(|line| (self.entries[line].place.clone(), self.entries[line].kind))
            .collect();
        let added = self.added();
        let added = added.iter().filter(|added| *added.name == *name.as_bytes());
        keys.extend(added.map(|added| (self.added_place(), added.kind)));
        keys
    }

    /// The lines about the host of that name, in order, as far as those hashed ones are asked.
    pub(super) fn lines_of(&self, name: &[u8], hashed: &[usize]) -> Vec<usize> {
        let mut lines = self.exact.get(name).cloned().unwrap_or_default();
        let asked = self.patterned.iter().chain(hashed).copied();
        lines.extend(asked.filter(|&line| self.entries[line].names.matches(name)));
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    pub(super) fn add(&mut self, place: Place, line: Line) {
        let index = self.entries.len();
        let next = self.keys.len();
        let key = *self.keys.entry(line.key.into()).or_insert(next);
        match &line.names {
            Names::Exact(names) => {
                for name in names {
                    self.exact.entry(name.clone()).or_default().push(index);
                }
            }
            Names::Patterns(_) => self.patterned.push(index),
            Names::Hashed(_) => {
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
        if !matches!(line.names, Names::Exact(_)) {
            let candidates = self.by_key.entry((line.marker, key)).or_default();
            candidates.lines.push(index);
        }
        self.entries.push(Entry {
            place,
            marker: line.marker,
            kind: line.kind,
            key,
            names: line.names,
        });
    }

    /// Where a line is that this run has added.
    fn added_place(&self) -> Place {
        Place {
            file: Arc::clone(&self.path),
            line: 0,
        }
    }

    /// Held for a look or a push, never over an await.
    pub(super) fn added(&self) -> MutexGuard<'_, Vec<Added>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
