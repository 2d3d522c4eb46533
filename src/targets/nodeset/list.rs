//! What an expression names, in the order in which it names it.
//!
//! Built by [`eval`](super::eval) and by the readers of hosts files; walked by
//! [`TargetListBuilder`](crate::targets::TargetListBuilder). A list holds words as ranges, and other
//! lists as they are; what later operators took away is kept as filters behind the words, so that
//! the given order survives any operator.

use std::convert::Infallible;
use std::sync::Arc;

use regex_lite::Regex;

use super::set::NodeSet;
use super::words::HostWord;
use crate::targets::TransportKind;

/// Hosts in the order of their first mention, with users and ports.
#[derive(Clone, Debug, Default)]
pub struct HostList {
    parts: Vec<Part>,
    filters: Vec<Filter>,
    /// What pdsh's forms say about everything in the list, wherever they stand in it.
    overall: Vec<Filter>,
    mentions: u128,
}

/// Something named, and what the operators after it left of it.
#[derive(Clone, Debug)]
struct Part {
    mention: Mention,
    /// The list's filters from this one on apply.
    filters_from: usize,
    /// Takes away what the list had named before, for an operand of `^`.
    before: Option<Arc<Filter>>,
}

#[derive(Clone, Debug)]
enum Mention {
    Word(HostWord),
    List(Arc<HostList>, Options),
}

/// What is said about all hosts of a list, and holds for those that do not say it themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The user.
    pub user: Option<Arc<str>>,
    /// The port.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Option<TransportKind>,
    /// The label, instead of what was written.
    pub label: Option<Arc<str>>,
    /// Whether the label of a host shows the user, as in `user@@group`.
    pub shows_user: bool,
}

/// What is written beside the names of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// Some host has a user.
    pub user: bool,
    /// Some host has a port.
    pub port: bool,
    /// Some host has a transport.
    pub transport: bool,
}

/// Names to be removed, or the only ones to be kept.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(super) test: Test,
    pub(super) keeps: bool,
}

/// How a filter knows its names.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Set(NodeSet),
    Regex(Regex),
}

impl Filter {
    /// Whether a host with this name stays.
    #[must_use]
    pub fn passes(&self, name: &str) -> bool {
        self.matches(name) == self.keeps
    }

    /// Whether this is one of the filter's names.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.test {
            Test::Set(set) => set.contains(name),
            Test::Regex(regex) => regex.is_match(name),
        }
    }

    /// The filter that removes what this one is about.
    #[must_use]
    pub fn removing(self) -> Filter {
        Filter {
            keeps: false,
            ..self
        }
    }

    /// Whether matching names are kept, and not removed.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.keeps
    }
}

/// One host of a list, as it is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// What the user wrote for this one host, with user and port, or the label it was given.
    pub label: &'a str,
    /// The name or address, without the brackets of an IPv6 address.
    pub name: &'a str,
    /// The user, if one is given.
    pub user: Option<&'a Arc<str>>,
    /// The port, if one is given.
    pub port: Option<u16>,
    /// The transport, if one is given.
    pub transport: Option<TransportKind>,
}

/// The visitor of a walk; it is told of one host after the other until it fails.
type Visitor<'v, E> = &'v mut dyn FnMut(Host<'_>) -> Result<(), E>;

impl HostList {
    pub(super) fn push_word(&mut self, word: HostWord, before: Option<Filter>) {
        self.mentions = self.mentions.saturating_add(word.names.len());
        self.push(Mention::Word(word), before);
    }

    /// Adds the hosts of another list, in its order.
    pub fn push_list(&mut self, list: Arc<HostList>, options: Options) {
        self.push_list_except(list, options, None);
    }

    pub(super) fn push_list_except(
        &mut self,
        list: Arc<HostList>,
        options: Options,
        before: Option<Filter>,
    ) {
        self.mentions = self.mentions.saturating_add(list.mentions);
        self.push(Mention::List(list, options), before);
    }

    fn push(&mut self, mention: Mention, before: Option<Filter>) {
        self.parts.push(Part {
            mention,
            filters_from: self.filters.len(),
            before: before.map(Arc::new),
        });
    }

    /// Removes from what was named so far.
    pub(super) fn push_filter(&mut self, filter: Filter) {
        self.filters.push(filter);
    }

    /// Removes from what was and will be named.
    pub(super) fn push_overall(&mut self, filter: Filter) {
        self.overall.push(filter);
    }

    /// Takes out the filters that hold for all lists of a command line, not for this one alone.
    pub fn take_overall(&mut self) -> Vec<Filter> {
        std::mem::take(&mut self.overall)
    }

    /// How many hosts were written, repeated ones and those that were taken away included.
    #[must_use]
    pub fn mentions(&self) -> u128 {
        self.mentions
    }

    /// What hosts in the list say themselves, lists in it not searched.
    #[must_use]
    pub fn says(&self) -> Says {
        let words = || {
            self.parts.iter().filter_map(|part| match &part.mention {
                Mention::Word(word) => Some(word),
                Mention::List(..) => None,
            })
        };
        Says {
            user: words().any(|word| word.user.is_some()),
            port: words().any(|word| word.port.is_some()),
            transport: words().any(|word| word.transport.is_some()),
        }
    }

    fn filters<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = &'a Filter> {
        let before = part.before.as_deref().into_iter();
        before
            .chain(&self.filters[part.filters_from..])
            .chain(&self.overall)
    }

    /// The names as a set, without users and ports.
    #[must_use]
    pub fn to_set(&self) -> NodeSet {
        self.set_of(false)
    }

    /// The names that were written without user and port as a set.
    #[must_use]
    pub fn to_plain_set(&self) -> NodeSet {
        self.set_of(true)
    }

    fn set_of(&self, plain: bool) -> NodeSet {
        let mut words = Vec::new();
        let mut set = NodeSet::default();
        for part in &self.parts {
            let mut left = match &part.mention {
                Mention::Word(word) if plain && (word.user.is_some() || word.port.is_some()) => {
                    continue;
                }
                Mention::Word(word) if self.filters(part).next().is_none() => {
                    words.push(&word.names);
                    continue;
                }
                Mention::Word(word) => NodeSet::from_words([&word.names]),
                Mention::List(list, _) => list.set_of(plain),
            };
            for Filter { test, keeps } in self.filters(part) {
                left = match (test, keeps) {
                    (Test::Set(set), true) => left.intersection(set),
                    (Test::Set(set), false) => left.difference(set),
                    (Test::Regex(regex), keeps) => {
                        left.filtered(|name| regex.is_match(name) == *keeps)
                    }
                };
            }
            set = set.union(&left);
        }
        set.union(&NodeSet::from_words(words))
    }

    /// Calls `each` with every host in the given order, until it fails. A host that is named twice
    /// comes twice: who walks the list knows what makes two of them the same.
    pub fn try_for_each<E>(
        &self,
        mut each: impl FnMut(Host<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(&mut each)
    }

    /// Calls `each` with every host in the given order.
    pub fn for_each(&self, mut each: impl FnMut(Host<'_>)) {
        let Ok(()) = self.try_for_each(|host| {
            each(host);
            Ok::<(), Infallible>(())
        });
    }

    fn walk<E>(&self, each: Visitor<'_, E>) -> Result<(), E> {
        for part in &self.parts {
            let mut filtered = |host: Host<'_>| {
                if self.filters(part).all(|filter| filter.passes(host.name)) {
                    each(host)?;
                }
                Ok(())
            };
            match &part.mention {
                Mention::Word(word) => walk_word(word, &mut filtered)?,
                Mention::List(list, options) => {
                    list.walk(&mut |host: Host<'_>| options.apply(host, &mut filtered))?;
                }
            }
        }
        Ok(())
    }

    /// Whether nothing was written at all; operators may have left nothing of what was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

fn walk_word<E>(word: &HostWord, each: Visitor<'_, E>) -> Result<(), E> {
    let decorated = !(word.before.is_empty() && word.after.is_empty());
    let mut label = String::new();
    word.names.try_for_each(|name| {
        if decorated {
            label.clear();
            label.extend([&*word.before, name, &*word.after]);
        }
        each(Host {
            label: if decorated { &label } else { name },
            name,
            user: word.user.as_ref(),
            port: word.port,
            transport: word.transport,
        })
    })
}

impl Options {
    /// Hands a host on with what it does not say itself.
    fn apply<E>(&self, host: Host<'_>, each: Visitor<'_, E>) -> Result<(), E> {
        let shown = match &self.user {
            Some(user) if self.shows_user && host.user.is_none() => {
                Some(format!("{user}@{}", host.label))
            }
            _ => None,
        };
        let label = self.label.as_deref().or(shown.as_deref());
        each(Host {
            label: label.unwrap_or(host.label),
            user: host.user.or(self.user.as_ref()),
            port: host.port.or(self.port),
            transport: host.transport.or(self.transport),
            ..host
        })
    }
}
