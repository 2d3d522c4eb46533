//! Finds the blocks that may apply to a name without looking at each: a file may have thousands of
//! `Host` blocks, and a run a hundred thousand hosts.

use std::collections::{BTreeSet, HashMap};

use super::blocks::{Block, Condition};

/// Numbers of blocks by what the names that they are for begin or end with.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Blocks that must be looked at for every name, in order.
    general: Vec<usize>,
    exact: HashMap<Vec<u8>, Vec<usize>>,
    /// By what stands before a pattern's first wildcard.
    prefixes: Table,
    /// By what stands after its last one.
    suffixes: Table,
}

#[derive(Debug, Default)]
struct Table {
    blocks: HashMap<Vec<u8>, Vec<usize>>,
    lengths: BTreeSet<usize>,
}

impl Table {
    fn add(&mut self, key: &[u8], block: usize) {
        self.lengths.insert(key.len());
        self.blocks.entry(key.to_vec()).or_default().push(block);
    }
}

/// The wildcards of a `Host` pattern.
fn is_wild(c: char) -> bool {
    matches!(c, '*' | '?')
}

impl Index {
    /// Sorts blocks by what they ask of a name.
    pub(super) fn new(blocks: &[Block]) -> Index {
        let mut index = Index::default();
        for (number, block) in blocks.iter().enumerate() {
            let Condition::Host(patterns) = &block.condition else {
                index.general.push(number);
                continue;
            };
            let positive = patterns.iter().filter(|each| !each.negated);
            let positive: Vec<&str> = positive.map(|each| each.pattern.as_str()).collect();
            if positive
                .iter()
                .any(|each| each.starts_with(is_wild) && each.ends_with(is_wild))
            {
                index.general.push(number);
                continue;
            }
            for pattern in positive {
                let bytes = pattern.as_bytes();
                match (pattern.find(is_wild), pattern.rfind(is_wild)) {
                    (Some(first), _) if first > 0 => index.prefixes.add(&bytes[..first], number),
                    (Some(_), Some(last)) => index.suffixes.add(&bytes[last + 1..], number),
                    _ => index.exact.entry(bytes.to_vec()).or_default().push(number),
                }
            }
        }
        index
    }

    /// The numbers of all blocks that may apply to a name, in order.
    pub(super) fn candidates(&self, name: &str) -> Vec<usize> {
        let name = name.as_bytes();
        let mut found = self.exact.get(name).cloned().unwrap_or_default();
        for &length in self.prefixes.lengths.range(..=name.len()) {
            found.extend(
                self.prefixes
                    .blocks
                    .get(&name[..length])
                    .into_iter()
                    .flatten(),
            );
        }
        for &length in self.suffixes.lengths.range(..=name.len()) {
            let end = &name[name.len() - length..];
            found.extend(self.suffixes.blocks.get(end).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        merge(&self.general, &found)
    }
}

/// Merges two sorted lists that have nothing in common.
fn merge(a: &[usize], b: &[usize]) -> Vec<usize> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a, b);
    while let ([first, rest_a @ ..], [second, rest_b @ ..]) = (a, b) {
        match first < second {
            true => {
                merged.push(*first);
                a = rest_a;
            }
            false => {
                merged.push(*second);
                b = rest_b;
            }
        }
    }
    merged.extend(a);
    merged.extend(b);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::config::{matching, words};

    #[test]
    fn no_block_that_matches_is_missed() {
        let lines = [
            "Host a",
            "Host a b",
            "Host a*",
            "Host *a",
            "Host *",
            "Host a*b",
            "Host ?",
            "Host a?b *b",
            "Host !a *",
            "Host !a",
            "Host abc",
            "Host ab* !abb",
            "Host *b*",
            "Host *",
        ];
        let blocks: Vec<Block> = lines
            .iter()
            .map(|line| Block {
                parent: None,
                condition: Condition::Host(
                    matching::host_patterns(&words::parse(line).unwrap().unwrap()).unwrap(),
                ),
                settings: Vec::new(),
            })
            .collect();
        let index = Index::new(&blocks);
        let mut skipped = 0;
        for name in ["", "a", "b", "ab", "abb", "abc", "aab", "ba", "c", "é"] {
            let candidates = index.candidates(name);
            assert!(candidates.is_sorted(), "{candidates:?}");
            for (number, block) in blocks.iter().enumerate() {
                let Condition::Host(patterns) = &block.condition else {
                    unreachable!();
                };
                let matches = matching::host_matches(name, patterns);
                assert!(
                    !matches || candidates.contains(&number),
                    "{name} {}",
                    lines[number]
                );
                skipped += usize::from(!candidates.contains(&number));
            }
        }
        assert!(skipped > 50, "{skipped}");
    }
}
