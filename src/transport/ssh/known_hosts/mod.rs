//! Which keys hosts have, by OpenSSH's known_hosts files, with the meaning that OpenSSH 9.2 gives them.
//!
//! [`KnownHosts::load`] reads a set of files once. Before a connection [`KnownHosts::algorithms`] says
//! what to ask the host for; after the key exchange [`KnownHosts::check`] says what to think of its key.
//! Plain names are looked up by name, hashed names and patterns by the key that came, so that neither
//! gets slower with the length of the files; only a key that is *not* known costs a walk over all lines.
//!
//! Meant differences from OpenSSH, all on the careful side: markers may be followed by a tab (there, a
//! `@revoked` line with one is skipped); a key that is revoked for a host is refused at all of its ports.

mod append;
mod authority;
mod host;
mod line;
mod load;
mod order;
mod pattern;
mod refusal;
mod revoked;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub use append::AppendError;
pub use host::{HostKey, HostNames};
pub use load::LoadError;
pub use order::KnownKeys;
pub use refusal::{CertificateFault, Changed, HostKeyError, Place, Verdict};
pub use revoked::{RevokedKeys, RevokedKeysError};

use crate::transport::ssh::note::Note;
use crate::transport::ssh::public::KeyType;
use line::{Line, Marker};
use pattern::Names;

/// What a set of known_hosts files says.
#[derive(Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    /// The keys of all lines, each once.
    keys: HashMap<Box<[u8]>, KeyId>,
    /// Lines by each of their names, if these are plain.
    exact: HashMap<Box<[u8]>, Vec<usize>>,
    /// The other lines, by what they say and of which key.
    by_key: HashMap<(Marker, KeyId), Candidates>,
    patterned: Vec<usize>,
    hashed: Vec<usize>,
    /// What the hashed lines have together, for when there are too many to ask each.
    hashed_types: BTreeSet<KeyType>,
    hashed_authority: bool,
    notes: Vec<Note>,
    /// Lines that were added in this run, so that one host under two labels has one key.
    added: Mutex<Vec<Added>>,
}

/// Stands for a key; equal for equal keys.
type KeyId = usize;

/// A line without its key.
struct Entry {
    place: Place,
    marker: Marker,
    kind: KeyType,
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

struct Added {
    name: Box<[u8]>,
    kind: KeyType,
    key: Vec<u8>,
    file: Arc<Path>,
}

impl KnownHosts {
    /// What was not understood while reading.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What the files say of a key that a host sent.
    #[must_use]
    pub fn check(&self, names: &HostNames, offered: &HostKey) -> Verdict {
        self.check_at(names, offered, SystemTime::now())
    }

    fn check_at(&self, names: &HostNames, offered: &HostKey, now: SystemTime) -> Verdict {
        if let Some(place) = self.revoked(names, offered) {
            return Verdict::Revoked(place);
        }
        let mut fault = None;
        if let Some(certificate) = offered.certificate() {
            let asked = [Some(names.name()), names.fallback()];
            let authority = asked
                .into_iter()
                .flatten()
                .find_map(|name| self.find(Marker::Authority, name, certificate.authority()));
            match authority {
                None => fault = Some(CertificateFault::Authority),
                Some(place) => {
                    fault = offered
                        .objection()
                        .or_else(|| authority::vouches(certificate, names.principal(), now).err());
                    if fault.is_none() {
                        return Verdict::Trusted(place);
                    }
                }
            }
        }
        // As in OpenSSH, a certificate that is not good is still a key.
        self.check_plain(names, offered, fault)
    }

    fn revoked(&self, names: &HostNames, offered: &HostKey) -> Option<Place> {
        let authority = offered
            .certificate()
            .map(|certificate| certificate.authority());
        [Some(offered.key()), authority]
            .into_iter()
            .flatten()
            .find_map(|key| {
                names
                    .all()
                    .find_map(|name| self.find(Marker::Revoked, name, key))
            })
    }

    fn check_plain(
        &self,
        names: &HostNames,
        offered: &HostKey,
        certificate: Option<CertificateFault>,
    ) -> Verdict {
        let found = self
            .find(Marker::Key, names.name(), offered.key())
            .or_else(|| self.find_unless_known_otherwise(names, offered));
        match found {
            None => match self.changed(names.name(), offered, certificate) {
                Some(changed) => Verdict::Changed(changed),
                None => Verdict::Unknown { certificate },
            },
            Some(place) => match names.address() {
                Some(address) if self.find(Marker::Key, address, offered.key()).is_none() => self
                    .changed(address, offered, certificate)
                    .map_or(Verdict::Trusted(place), Verdict::Changed),
                _ => Verdict::Trusted(place),
            },
        }
    }

    /// The key under the host's name without the port, if nothing else is known for the port.
    fn find_unless_known_otherwise(&self, names: &HostNames, offered: &HostKey) -> Option<Place> {
        let place = self.find(Marker::Key, names.fallback()?, offered.key())?;
        self.keys_of(names.name()).is_empty().then_some(place)
    }

    fn changed(
        &self,
        name: &str,
        offered: &HostKey,
        certificate: Option<CertificateFault>,
    ) -> Option<Box<Changed>> {
        let keys = self.keys_of(name);
        let (place, kind) = keys
            .iter()
            .find(|(_, kind)| *kind == offered.kind())
            .or(keys.first())?;
        let mut known: Vec<KeyType> = keys.iter().map(|(_, kind)| *kind).collect();
        known.sort_unstable();
        known.dedup();
        Some(Box::new(Changed {
            place: place.clone(),
            kind: *kind,
            name: name.to_owned(),
            known,
            certificate,
        }))
    }

    /// A line that says this of that key for the host of that name.
    fn find(&self, marker: Marker, name: &str, key: &[u8]) -> Option<Place> {
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
        let added = added
            .iter()
            .find(|added| *added.name == *name && added.key == key)?;
        Some(added.place())
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
    fn keys_of(&self, name: &str) -> Vec<(Place, KeyType)> {
        let mut lines = self.lines_of(name.as_bytes(), &self.hashed);
        lines.retain(|&line| self.entries[line].marker == Marker::Key);
        let mut keys: Vec<(Place, KeyType)> = lines
            .into_iter()
            .map(|line| (self.entries[line].place.clone(), self.entries[line].kind))
            .collect();
        let added = self.added();
        let added = added.iter().filter(|added| *added.name == *name.as_bytes());
        keys.extend(added.map(|added| (added.place(), added.kind)));
        keys
    }

    /// The lines about the host of that name, in order, as far as those hashed ones are asked.
    fn lines_of(&self, name: &[u8], hashed: &[usize]) -> Vec<usize> {
        let mut lines = self.exact.get(name).cloned().unwrap_or_default();
        let asked = self.patterned.iter().chain(hashed).copied();
        lines.extend(asked.filter(|&line| self.entries[line].names.matches(name)));
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    fn add(&mut self, place: Place, line: Line) {
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

    /// Held for a look or a push, never over an await.
    fn added(&self) -> std::sync::MutexGuard<'_, Vec<Added>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Added {
    fn place(&self) -> Place {
        Place {
            file: self.file.clone(),
            line: 0,
        }
    }
}
