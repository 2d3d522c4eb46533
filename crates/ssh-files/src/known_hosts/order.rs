//! The order of host key algorithms in the key exchange. A host with several keys must offer one that is known.

use super::file::KnownEntry;
use super::line::Marker;
use super::{HostNames, KnownHosts};
use crate::public_key::KeyType;

/// Maximum number of hashed lines that are compared for every host.
// It takes as long as one system call.
const MOST_HASHED: usize = 256;

/// The known keys of a host, before it offers one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKeys {
    /// Types of the known keys.
    pub types: Vec<KeyType>,
    /// True if certificates of some authority are accepted.
    pub has_authority: bool,
    /// True if the types are those of the host. If the files have many hashed names, the types can be those of all
    /// hashed names, since it would take too long to compare each of them.
    pub is_exact: bool,
}

impl KnownHosts {
    /// Returns the types of the known keys of a host.
    #[must_use]
    pub fn known_keys(&self, names: &HostNames) -> KnownKeys {
        let asked = [Some(names.name()), names.fallback()];
        let hashed: usize = self.files.iter().map(|file| file.hashed.len()).sum();
        let all = hashed <= MOST_HASHED;
        let mut entries: Vec<&KnownEntry> = Vec::new();
        let mut authority = false;
        for name in asked.into_iter().flatten() {
            let found = self.files.iter().flat_map(|file| {
                let hashed = if all { file.hashed.as_slice() } else { &[] };
                let lines = file.lines_of(name.as_bytes(), hashed).into_iter();
                lines.map(|line| &file.entries[line])
            });
            let found: Vec<&KnownEntry> = found.collect();
            authority |= found.iter().any(|entry| entry.marker == Marker::Authority);
            // As in the check of a key, the name without the port counts only if the name with it has no key.
            if entries.is_empty() {
                entries = found;
                entries.retain(|entry| entry.marker == Marker::Key);
            }
        }
        let is_exact = !entries.is_empty() || all;
        let mut types: Vec<KeyType> = if is_exact {
            entries.iter().map(|entry| entry.kind).collect()
        } else {
            let types = self.files.iter().flat_map(|file| &file.hashed_types);
            types.copied().collect()
        };
        types.sort_unstable();
        types.dedup();
        let hashed_authority = !all && self.files.iter().any(|file| file.hashed_authority);
        KnownKeys {
            types,
            has_authority: authority || hashed_authority,
            is_exact,
        }
    }
}

impl KnownKeys {
    /// Sorts a list of algorithms, best first, into the order of the request, as OpenSSH does.
    ///
    /// The list is unchanged if a key for the first algorithm is known. If not, the algorithms of known keys come
    /// first. Algorithms of certificates come first if an authority is known, and are removed otherwise.
    #[must_use]
    pub fn order<'a>(&self, algorithms: &[&'a str]) -> Vec<&'a str> {
        let kinds: Vec<_> = algorithms
            .iter()
            .map(|algorithm| (*algorithm, KeyType::of_algorithm(algorithm)))
            // Without an authority, a certificate could not be checked, and the server would not send the plain key.
            .filter(|(_, kind)| self.has_authority || !matches!(kind, Some((_, true))))
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
