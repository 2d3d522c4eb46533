//! An index of blocks by host name. A file may have thousands of blocks and a program a hundred thousand hosts, so it
//! must not evaluate every block for every host.

use std::collections::{BTreeSet, HashMap};

use super::blocks::{BlockCondition, SettingBlock};
use super::conditions::{MatchCondition, MatchCriterion};
use crate::wildcard::is_wildcard;

/// The names of a host that conditions use.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookupNames<'a> {
    /// Name for `Host`.
    pub(super) host: &'a str,
    /// Name for `Match originalhost`: as given by the user, in lower case.
    pub(super) original: &'a str,
    /// Name for `Match host`: the name so far, in lower case.
    pub(super) current: &'a str,
}

/// Indices of blocks, by the names to which they can apply.
#[derive(Debug, Default)]
pub(super) struct BlockIndex {
    /// Blocks that can apply to every host, in order.
    general: Vec<usize>,
    host: NameIndex,
    original: NameIndex,
    current: NameIndex,
}

impl BlockIndex {
    /// Builds the index. Blocks that cannot apply to any name are left out.
    pub(super) fn new(blocks: &[SettingBlock]) -> BlockIndex {
        let mut index = BlockIndex::default();
        for (number, block) in blocks.iter().enumerate() {
            let found = match &block.condition {
                BlockCondition::Host(patterns) => {
                    // A negated pattern alone never makes a line apply, so it cannot be a key.
                    let positive = patterns.iter().filter(|each| !each.negated);
                    let positive: Vec<&str> = positive.map(|each| each.pattern.as_str()).collect();
                    index.host.add(&positive, number)
                }
                BlockCondition::Match(criteria, _) => index.by_criterion(criteria, number),
                BlockCondition::Always | BlockCondition::Same(_) => false,
            };
            if !found {
                index.general.push(number);
            }
        }
        index
    }

    /// Adds a `Match` block by one of its criteria. Returns false if none of them restricts the name.
    fn by_criterion(&mut self, criteria: &[MatchCriterion], number: usize) -> bool {
        let positive = |list: &str| -> Vec<String> {
            let patterns = list.split(',').filter(|each| !each.starts_with('!'));
            patterns.map(str::to_owned).collect()
        };
        // One criterion is enough: the others are checked when the block is evaluated.
        criteria.iter().filter(|each| !each.negated).any(|each| {
            let (keys, patterns) = match &each.condition {
                MatchCondition::Host(patterns) => (&mut self.current, positive(patterns)),
                MatchCondition::OriginalHost(patterns) => (&mut self.original, positive(patterns)),
                _ => return false,
            };
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            keys.add(&patterns, number)
        })
    }

    /// Returns the blocks from `from` on that can apply to a host, in order.
    pub(super) fn candidates(&self, names: LookupNames<'_>, from: usize) -> Vec<usize> {
        let mut found = Vec::new();
        self.host.find(names.host, &mut found);
        self.original.find(names.original, &mut found);
        self.current.find(names.current, &mut found);
        found.retain(|number| *number >= from);
        found.sort_unstable();
        // Several patterns of a block can fit one name.
        found.dedup();
        let start = self.general.partition_point(|number| *number < from);
        merge(&self.general[start..], &found)
    }
}

/// Indices of blocks. The key is the text with which a name must start or end to match a pattern of the block.
#[derive(Debug, Default)]
struct NameIndex {
    exact: HashMap<Vec<u8>, Vec<usize>>,
    /// Indices by the text before the first wildcard of a pattern.
    prefixes: AffixTable,
    /// Indices by the text after the last wildcard of a pattern.
    suffixes: AffixTable,
}

impl NameIndex {
    /// Adds a block whose name must match one of these patterns. Returns false and adds nothing if a pattern starts and
    /// ends with a wildcard.
    fn add(&mut self, patterns: &[&str], number: usize) -> bool {
        // Such a pattern can match any name, so every host must look at its block.
        if patterns
            .iter()
            .any(|each| each.starts_with(is_wildcard) && each.ends_with(is_wildcard))
        {
            return false;
        }
        for pattern in patterns {
            let bytes = pattern.as_bytes();
            match (pattern.find(is_wildcard), pattern.rfind(is_wildcard)) {
                (Some(first), _) if first > 0 => self.prefixes.add(&bytes[..first], number),
                (Some(_), Some(last)) => self.suffixes.add(&bytes[last + 1..], number),
                _ => self.exact.entry(bytes.to_vec()).or_default().push(number),
            }
        }
        true
    }

    /// Appends the blocks that can apply to a name.
    fn find(&self, name: &str, found: &mut Vec<usize>) {
        let name = name.as_bytes();
        found.extend(self.exact.get(name).into_iter().flatten());
        // Few lengths occur, so this takes few look-ups, not one for each pattern.
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

/// Indices of blocks by the start (or the end) of a name.
#[derive(Debug, Default)]
struct AffixTable {
    blocks: HashMap<Vec<u8>, Vec<usize>>,
    lengths: BTreeSet<usize>,
}

impl AffixTable {
    fn add(&mut self, key: &[u8], block: usize) {
        self.lengths.insert(key.len());
        self.blocks.entry(key.to_vec()).or_default().push(block);
    }
}

/// Merges two sorted lists without common elements.
fn merge(a: &[usize], b: &[usize]) -> Vec<usize> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a, b);
    while let ([first, rest_a @ ..], [second, rest_b @ ..]) = (a, b) {
        if first < second {
            merged.push(*first);
            a = rest_a;
        } else {
            merged.push(*second);
            b = rest_b;
        }
    }
    merged.extend(a);
    merged.extend(b);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::blocks::SourceSpan;
    use crate::config::conditions::{MatchContext, MatchResult};
    use crate::config::{conditions, line};

    /// True if the line of a block applies to a host with a single name.
    fn applies(block: &SettingBlock, name: &str) -> bool {
        match &block.condition {
            BlockCondition::Host(patterns) => conditions::host_matches(name, patterns),
            BlockCondition::Match(criteria, _) => {
                let facts = MatchContext {
                    host: name,
                    original: name,
                    user: "root",
                    local_user: "me",
                    last_pass: false,
                };
                conditions::evaluate(criteria, &facts) == MatchResult::Yes
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
        let position = SourceSpan {
            text: 0,
            line: 1,
            bytes: 0..0,
        };
        let blocks: Vec<SettingBlock> = lines
            .iter()
            .map(|text| {
                let line = line::parse(text).unwrap().unwrap();
                SettingBlock {
                    parent: None,
                    condition: if text.starts_with("Host") {
                        BlockCondition::Host(conditions::host_patterns(&line).unwrap())
                    } else {
                        let criteria = conditions::criteria(&line).unwrap();
                        BlockCondition::Match(criteria, position.clone())
                    },
                    settings: Vec::new(),
                }
            })
            .collect();
        let index = BlockIndex::new(&blocks);
        let mut skipped = 0;
        for name in ["", "a", "b", "ab", "abb", "abc", "aab", "ba", "c", "é"] {
            let names = LookupNames {
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
