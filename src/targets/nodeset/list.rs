//! What an expression names, in the order in which it names it.
//!
//! [`HostList::parse`] is the way in for [`TargetListBuilder`](crate::targets::TargetListBuilder).
//! The list holds the words as ranges; what later operators took away is kept as filters behind the
//! words, so that the given order survives any operator.

use std::convert::Infallible;
use std::sync::Arc;

use super::error::{Fault, NodeSetError};
use super::parse::{self, Item, Op};
use super::set::NodeSet;
use super::words::HostWord;

/// Hosts in the order of their first mention, with users and ports.
#[derive(Clone, Debug, Default)]
pub struct HostList {
    parts: Vec<Part>,
    filters: Vec<Filter>,
}

/// A word, and what the operators after it left of it.
#[derive(Clone, Debug)]
struct Part {
    word: HostWord,
    /// The list's filters from this one on apply.
    filters_from: usize,
    /// What the list had named before, for a word after `^`.
    before: Option<Filter>,
}

/// Names that an operator removes, or the only ones that it leaves.
#[derive(Clone, Debug)]
struct Filter {
    set: NodeSet,
    keeps: bool,
}

/// One host of a list, as it is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// What the user wrote for this one host, with user and port.
    pub label: &'a str,
    /// The name or address, without the brackets of an IPv6 address.
    pub name: &'a str,
    /// The user, if one is given.
    pub user: Option<&'a Arc<str>>,
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl HostList {
    /// Reads an expression that names at most `limit` hosts, before any operator takes some away.
    pub fn parse(text: &str, limit: usize) -> Result<HostList, NodeSetError> {
        let mut list = HostList::default();
        let mut count = 0;
        parse::expression(text, limit, |Item { op, span, word }| {
            if matches!(op, Op::Union | Op::Symmetric) {
                count += word.names.len();
                if count > limit as u128 {
                    return Err(NodeSetError {
                        span,
                        fault: Fault::TooMany { count, limit },
                    });
                }
            }
            list.apply(op, word);
            Ok(())
        })?;
        Ok(list)
    }

    fn apply(&mut self, op: Op, word: HostWord) {
        let set = || NodeSet::from_words([&word.names]);
        match op {
            Op::Union => self.push(word, None),
            Op::Difference => self.filters.push(Filter {
                set: set(),
                keeps: false,
            }),
            Op::Intersection => self.filters.push(Filter {
                set: set(),
                keeps: true,
            }),
            Op::Symmetric => {
                let before = Filter {
                    set: self.to_set(),
                    keeps: false,
                };
                self.filters.push(Filter {
                    set: set(),
                    keeps: false,
                });
                self.push(word, Some(before));
            }
        }
    }

    fn push(&mut self, word: HostWord, before: Option<Filter>) {
        self.parts.push(Part {
            word,
            filters_from: self.filters.len(),
            before,
        });
    }

    fn filters<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = &'a Filter> {
        part.before.iter().chain(&self.filters[part.filters_from..])
    }

    /// The names as a set, without users and ports.
    #[must_use]
    pub fn to_set(&self) -> NodeSet {
        self.set_of(|_| true)
    }

    /// The names that were written without user and port as a set.
    #[must_use]
    pub fn to_plain_set(&self) -> NodeSet {
        self.set_of(|word| word.user.is_none() && word.port.is_none())
    }

    fn set_of(&self, wanted: impl Fn(&HostWord) -> bool) -> NodeSet {
        let wanted = self.parts.iter().filter(|part| wanted(&part.word));
        let (plain, filtered): (Vec<_>, Vec<_>) =
            wanted.partition(|part| self.filters(part).next().is_none());
        let mut set = NodeSet::from_words(plain.iter().map(|part| &part.word.names));
        for part in filtered {
            let mut left = NodeSet::from_words([&part.word.names]);
            for Filter { set, keeps } in self.filters(part) {
                left = if *keeps {
                    left.intersection(set)
                } else {
                    left.difference(set)
                };
            }
            set = set.union(&left);
        }
        set
    }

    /// Calls `each` with every host in the given order, until it fails. A host that is named twice
    /// comes twice: who walks the list knows what makes two of them the same.
    pub fn try_for_each<E>(
        &self,
        mut each: impl FnMut(Host<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut label = String::new();
        for part in &self.parts {
            let word = &part.word;
            let decorated = !(word.before.is_empty() && word.after.is_empty());
            word.names.try_for_each(|name| {
                if self
                    .filters(part)
                    .any(|filter| filter.set.contains(name) != filter.keeps)
                {
                    return Ok(());
                }
                if decorated {
                    label.clear();
                    label.extend([&*word.before, name, &*word.after]);
                }
                let label = if decorated { label.as_str() } else { name };
                each(Host {
                    label,
                    name,
                    user: word.user.as_ref(),
                    port: word.port,
                })
            })?;
        }
        Ok(())
    }

    /// Calls `each` with every host in the given order.
    pub fn for_each(&self, mut each: impl FnMut(Host<'_>)) {
        let Ok(()) = self.try_for_each(|host| {
            each(host);
            Ok::<(), Infallible>(())
        });
    }

    /// Whether nothing was written at all; operators may have left nothing of what was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}
