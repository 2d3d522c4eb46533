//! Which host key algorithms to ask for: those whose keys are known come first, so that a host that
//! has several keys shows the one that can be checked.

use super::file::Entry;
use super::line::Marker;
use super::{HostNames, KnownHosts};
use crate::transport::ssh::public::KeyType;

/// So many hashed lines are asked for every host; it takes as long as one system call does.
const MOST_ASKED: usize = 256;

/// What is known of a host's keys before it has shown any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKeys {
    /// The types of keys that are known for it.
    pub types: Vec<KeyType>,
    /// Whether some authority's certificates would be believed.
    pub authority: bool,
    /// Whether the types are the host's own. If not, they are those of all hashed names in files with
    /// so many that it would cost too much to ask each for every host.
    pub certain: bool,
}

impl KnownHosts {
    /// What is known of a host's keys.
    #[must_use]
    pub fn algorithms(&self, names: &HostNames) -> KnownKeys {
        let asked = [Some(names.name()), names.fallback()];
        let hashed: usize = self.files.iter().map(|file| file.hashed.len()).sum();
        let all = hashed <= MOST_ASKED;
        let mut entries: Vec<&Entry> = Vec::new();
        let mut authority = false;
        for name in asked.into_iter().flatten() {
            let found = self.files.iter().flat_map(|file| {
                let hashed = if all { file.hashed.as_slice() } else { &[] };
                let lines = file.lines_of(name.as_bytes(), hashed).into_iter();
                lines.map(|line| &file.entries[line])
            });
            let found: Vec<&Entry> = found.collect();
            authority |= found.iter().any(|entry| entry.marker == Marker::Authority);
            if entries.is_empty() {
                entries = found;
                entries.retain(|entry| entry.marker == Marker::Key);
            }
        }
        let certain = !entries.is_empty() || all;
        let mut types: Vec<KeyType> = match certain {
            true => entries.iter().map(|entry| entry.kind).collect(),
            false => {
                let types = self.files.iter().flat_map(|file| &file.hashed_types);
                types.copied().collect()
            }
        };
        types.sort_unstable();
        types.dedup();
        let hashed_authority = !all && self.files.iter().any(|file| file.hashed_authority);
        KnownKeys {
            types,
            authority: authority || hashed_authority,
            certain,
        }
    }
}

impl KnownKeys {
    /// Puts a list of algorithms, best first, into the order in which to ask for them, as OpenSSH
    /// does: unchanged if a key of the best one's type is known, else those of known keys first.
    /// Algorithms of certificates come first if some authority would be believed, else not at all.
    #[must_use]
    pub fn order<'a>(&self, algorithms: &[&'a str]) -> Vec<&'a str> {
        let kinds: Vec<_> = algorithms
            .iter()
            .map(|algorithm| (*algorithm, KeyType::of_algorithm(algorithm)))
            .filter(|(_, kind)| self.authority || !matches!(kind, Some((_, true))))
            .collect();
        let known = |kind: Option<(KeyType, bool)>| {
            kind.is_some_and(|(kind, _)| self.types.contains(&kind))
        };
        let verbatim = kinds.first().is_some_and(|&(_, best)| known(best));
        let first = |kind: Option<(KeyType, bool)>| {
            verbatim || known(kind) || matches!(kind, Some((_, true)))
        };
        let (first, last): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|&(_, kind)| first(kind));
        first
            .into_iter()
            .chain(last)
            .map(|(algorithm, _)| algorithm)
            .collect()
    }
}
