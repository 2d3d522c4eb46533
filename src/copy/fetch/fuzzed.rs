//! The entry point of the fuzz target of `--fetch`, and the replay of its corpus.

use std::ffi::OsStr;

use super::pattern::FetchPattern;
use super::remote::RemoteList;

/// Returns the names that a list has up to its first fault.
///
/// # Panics
/// The pattern is wrong.
#[must_use]
pub fn listed_names(pattern: &str, list: &[u8]) -> Vec<Vec<u8>> {
    let pattern = FetchPattern::new(OsStr::new(pattern)).expect("a pattern");
    let mut names = RemoteList::default();
    for line in list.split(|&byte| byte == b'\n') {
        if names.add(line, &pattern, true).is_err() {
            break;
        }
    }
    if names.end().is_err() {
        return Vec::new();
    }
    let entries = names.entries.iter();
    entries.map(|entry| entry.name.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::listed_names;
    use crate::copy::fetch::archive::{ArchiveEvent, ArchiveReader};

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fuzz/properties/fetch.rs"
    ));

    #[test]
    fn the_corpus_of_the_fuzz_target_holds() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/fetch");
        let mut files = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files > 0);
    }
}
