//! Finds the blocks that may apply to a host without looking at each: a file may have thousands of
//! blocks, and a run a hundred thousand hosts.

use std::collections::{BTreeSet, HashMap};

use super::blocks::{Block, Condition};
use super::matching::{Criterion, Question};

/// The names of a host that blocks ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    /// What `Host` is held against.
    pub(super) host: &'a str,
    /// What `Match originalhost` is held against: as it was given, in small letters.
    pub(super) original: &'a str,
    /// What `Match host` is held against: as it is so far, in small letters.
    pub(super) current: &'a str,
}

/// Numbers of blocks by the names that they are for.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Blocks that must be looked at for every host, in order.
    general: Vec<usize>,
    host: Keys,
    original: Keys,
    current: Keys,
}

impl Index {
    /// Sorts blocks by what they ask of a name. One that no name can satisfy is in none of the lists.
    pub(super) fn new(blocks: &[Block]) -> Index {
        let mut index = Index::default();
        for (number, block) in blocks.iter().enumerate() {
            let found = match &block.condition {
                Condition::Host(patterns) => {
                    let positive = patterns.iter().filter(|each| !each.negated);
                    let positive: Vec<&str> = positive.map(|each| each.pattern.as_str()).collect();
                    index.host.add(&positive, number)
                }
                Condition::Match(criteria, _) => index.by_criterion(criteria, number),
                Condition::Always | Condition::Same(_) => false,
            };
            if !found {
                index.general.push(number);
            }
        }
        index
    }

    /// Puts a `Match` block where one of its conditions belongs that must hold.
    fn by_criterion(&mut self, criteria: &[Criterion], number: usize) -> bool {
        let positive = |list: &str| -> Vec<String> {
            let patterns = list.split(',').filter(|each| !each.starts_with('!'));
            patterns.map(str::to_owned).collect()
        };
        criteria.iter().filter(|each| !each.negated).any(|each| {
            let (keys, patterns) = match &each.question {
                Question::Host(patterns) => (&mut self.current, positive(patterns)),
                Question::OriginalHost(patterns) => (&mut self.original, positive(patterns)),
                _ => return false,
            };
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            keys.add(&patterns, number)
        })
    }

    /// The numbers, from one on, of all blocks that may apply to a host, in order.
    pub(super) fn candidates(&self, names: Names<'_>, from: usize) -> Vec<usize> {
        let mut found = Vec::new();
        self.host.find(names.host, &mut found);
        self.original.find(names.original, &mut found);
        self.current.find(names.current, &mut found);
        found.retain(|number| *number >= from);
        found.sort_unstable();
        found.dedup();
        let start = self.general.partition_point(|number| *number < from);
        merge(&self.general[start..], &found)
    }
}

/// Numbers of blocks by how a name must begin or end.
#[derive(Debug, Default)]
struct Keys {
    exact: HashMap<Vec<u8>, Vec<usize>>,
    /// By what stands before a pattern's first wildcard.
    prefixes: Table,
    /// By what stands after its last one.
    suffixes: Table,
}

impl Keys {
    /// Adds a block that is for names that match one of these patterns; false, and nothing is added, if
    /// one of them says neither how a name begins nor how it ends.
    fn add(&mut self, patterns: &[&str], number: usize) -> bool {
        if patterns
            .iter()
            .any(|each| each.starts_with(is_wild) && each.ends_with(is_wild))
        {
            return false;
        }
        for pattern in patterns {
            let bytes = pattern.as_bytes();
            match (pattern.find(is_wild), pattern.rfind(is_wild)) {
                (Some(first), _) if first > 0 => self.prefixes.add(&bytes[..first], number),
                (Some(_), Some(last)) => self.suffixes.add(&bytes[last + 1..], number),
                _ => self.exact.entry(bytes.to_vec()).or_default().push(number),
            }
        }
        true
    }

    /// Appends the blocks that a name may satisfy.
    fn find(&self, name: &str, found: &mut Vec<usize>) {
        let name = name.as_bytes();
        found.extend(self.exact.get(name).into_iter().flatten());
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
    }
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

/// The wildcards of a pattern.
fn is_wild(c: char) -> bool {
    matches!(c, '*' | '?')
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
    use crate::transport::ssh::config::blocks::Place;
    use crate::transport::ssh::config::matching::{Answer, Facts};
    use crate::transport::ssh::config::{matching, words};

    /// Whether a block's own line holds for a host that has one name.
    fn applies(block: &Block, name: &str) -> bool {
        match &block.condition {
            Condition::Host(patterns) => matching::host_matches(name, patterns),
            Condition::Match(criteria, _) => {
                let facts = Facts {
                    host: name,
                    original: name,
                    user: "root",
                    local_user: "me",
                    last_pass: false,
                };
                matching::answer(criteria, &facts) == Answer::Yes
            }
            _ => true,
        }
    }

    #[test]
    fn no_block_that_matches_is_missed() {
        let lines = [
            "Host a",
            "Host a b",
            "Host a*",
            "Host *a",
            "Match host a",
            "Match host a,b user root",
            "Match user root originalhost a*,!ab",
            "Host *",
            "Match !host a",
            "Match !host a host *b",
            "Match host !a,!b",
            "Match user me host a",
            "Match all",
            "Host a*b",
            "Host ?",
            "Host a?b *b",
            "Host !a *",
            "Host !a",
            "Host abc",
            "Host ab* !abb",
            "Match host a?? originalhost *c",
            "Host *b*",
            "Host *",
        ];
        let place = Place {
            text: 0,
            line: 1,
            span: 0..0,
        };
        let blocks: Vec<Block> = lines
            .iter()
            .map(|text| {
                let line = words::parse(text).unwrap().unwrap();
                Block {
                    parent: None,
                    condition: match text.starts_with("Host") {
                        true => Condition::Host(matching::host_patterns(&line).unwrap()),
                        false => {
                            Condition::Match(matching::criteria(&line).unwrap(), place.clone())
                        }
                    },
                    settings: Vec::new(),
                }
            })
            .collect();
        let index = Index::new(&blocks);
        let mut skipped = 0;
        for name in ["", "a", "b", "ab", "abb", "abc", "aab", "ba", "c", "é"] {
            let names = Names {
                host: name,
                original: name,
                current: name,
            };
            for from in [0, 7] {
                let candidates = index.candidates(names, from);
                assert!(candidates.is_sorted(), "{candidates:?}");
                assert!(candidates.iter().all(|number| *number >= from));
                for (number, block) in blocks.iter().enumerate().skip(from) {
                    let found = candidates.contains(&number);
                    assert!(!applies(block, name) || found, "{name} {}", lines[number]);
                    skipped += usize::from(!found);
                }
            }
        }
        assert!(skipped > 100, "{skipped}");
    }
}
