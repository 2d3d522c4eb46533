//! What an expression names, in the order in which it names it.
//!
//! Built by [`eval`](super::eval) and by the readers of hosts files; walked by
//! [`TargetListBuilder`](crate::targets::TargetListBuilder). A list holds words as ranges, and other
//! lists as they are; what later operators took away is kept as filters behind the words, so that
//! the given order survives any operator.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use regex_lite::Regex;

use super::error::MAX_NAME;
use super::joined::Joined;
use super::set::{NodeSet, Points};
use super::words::{HostWord, NameRun, Names};
use crate::targets::inventory::InventoryVariables;
use crate::targets::{Network, TransportKind};

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
    /// Plain names one after the other, in little memory: lists come with a million of them.
    Names(NameRun),
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
    /// The networks from which the hosts' daemons may call back.
    pub callback_from: Option<Arc<[Network]>>,
    /// The label, instead of what was written.
    pub label: Option<Arc<str>>,
    /// The name or address to call, if it is not the one host's own name.
    pub address: Option<Arc<str>>,
    /// What an inventory says of the host.
    pub inventory: Option<Arc<InventoryVariables>>,
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
    /// The filter that removes these names.
    #[must_use]
    pub fn without(names: NodeSet) -> Filter {
        Filter {
            test: Test::Set(names),
            keeps: false,
        }
    }

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
    /// True if the label was given as one: it makes a target of its own.
    pub labelled: bool,
    /// The name or address, without the brackets of an IPv6 address: what the host is in sets.
    pub name: &'a str,
    /// What to call instead of the name, if that is something else.
    pub address: Option<&'a Arc<str>>,
    /// What an inventory says of it.
    pub inventory: Option<&'a Arc<InventoryVariables>>,
    /// The user, if one is given.
    pub user: Option<&'a Arc<str>>,
    /// The port, if one is given.
    pub port: Option<u16>,
    /// The transport, if one is given.
    pub transport: Option<TransportKind>,
    /// The networks from which its daemon may call back, if they are given.
    pub callback_from: Option<&'a Arc<[Network]>>,
}

impl<'a> Host<'a> {
    /// A host of which only the name is known.
    fn plain(name: &'a str) -> Host<'a> {
        Host {
            label: name,
            labelled: false,
            name,
            address: None,
            inventory: None,
            user: None,
            port: None,
            transport: None,
            callback_from: None,
        }
    }
}

/// The visitor of a walk; it is told of one host after the other until it fails.
type Visitor<'v, E> = &'v mut dyn FnMut(Host<'_>) -> Result<(), E>;

impl HostList {
    /// The list of one host, if the text is nothing but its name: what most lines of long lists are, told
    /// without the parser. Other names it leaves to that.
    #[must_use]
    pub fn of_plain_name(text: &str) -> Option<HostList> {
        let mut bytes = text.bytes();
        let fits = text.len() <= MAX_NAME && bytes.next()?.is_ascii_alphanumeric();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !fits || !bytes.all(plain) {
            return None;
        }
        let mut list = HostList::default();
        list.push_name(text);
        Some(list)
    }

    pub(super) fn push_word(&mut self, word: HostWord) {
        match &word.names {
            Names::One(name) if word.is_plain() => self.push_name(name),
            names => {
                self.mentions = self.mentions.saturating_add(names.len());
                self.push(Mention::Word(word), None);
            }
        }
    }

    /// Adds one host of which only the name is known.
    pub(super) fn push_name(&mut self, name: &str) {
        self.mentions = self.mentions.saturating_add(1);
        let filters = self.filters.len();
        if let Some(Part {
            mention: Mention::Names(run),
            filters_from,
            before: None,
        }) = self.parts.last_mut()
            && *filters_from == filters
            && run.push(name)
        {
            return;
        }
        let mut run = NameRun::default();
        run.push(name);
        self.push(Mention::Names(run), None);
    }

    /// Adds what another list names, part by part where nothing in it depends on what came before.
    pub fn append(&mut self, list: HostList) {
        if !list.filters.is_empty() || !list.overall.is_empty() {
            return self.push_list(Arc::new(list), Options::default());
        }
        for part in list.parts {
            match part.mention {
                Mention::Names(run) => run.iter().for_each(|name| self.push_name(name)),
                Mention::Word(word) => self.push_word(word),
                Mention::List(list, options) => self.push_list(list, options),
            }
        }
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
    pub(in crate::targets) fn push_overall(&mut self, filter: Filter) {
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
                Mention::Names(_) | Mention::List(..) => None,
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
        let mut sets = Vec::new();
        // Parts to which the same filters apply are one set before any is applied.
        for parts in self.parts.chunk_by(|a, b| {
            a.filters_from == b.filters_from && a.before.is_none() && b.before.is_none()
        }) {
            let set = set_of_parts(parts, |list| list.set_of(plain), plain);
            let before = parts[0].before.as_deref().into_iter();
            let filters = before.chain(&self.filters[parts[0].filters_from..]);
            sets.push(filters.fold(set, filtered));
        }
        self.overall.iter().fold(NodeSet::union_all(sets), filtered)
    }

    /// Whether no host is named twice, as far as that can be told without the names: if false, it may
    /// still be that an operator took one of the two away.
    #[must_use]
    pub fn is_distinct(&self) -> bool {
        u128::from(self.unfiltered().len()) == self.mentions
    }

    /// The set of all names that were written, whatever operators took away.
    fn unfiltered(&self) -> NodeSet {
        set_of_parts(&self.parts, HostList::unfiltered, false)
    }

    /// Whether hosts are only their names: nothing is said about users, ports and transports, each label
    /// is the name, and every name folds. Then the list and its [set](HostList::to_set) say the same.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| match &part.mention {
            Mention::Names(run) => run.folds(),
            Mention::Word(word) => word.is_plain() && word.names.fold(),
            Mention::List(list, options) => *options == Options::default() && list.is_plain(),
        })
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

    /// Writes the label of every host in the given order.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
        self.parts.iter().try_for_each(|part| {
            let whole = self.filters(part).next().is_none();
            match &part.mention {
                Mention::Word(word) if whole && word.is_plain() => word.names.write_to(out),
                Mention::List(list, options) if whole && *options == Options::default() => {
                    list.write_to(out)
                }
                _ => self.walk_part(part, &mut |host| out.push(host.label)),
            }
        })
    }

    fn walk<E>(&self, each: Visitor<'_, E>) -> Result<(), E> {
        let mut parts = self.parts.iter();
        parts.try_for_each(|part| self.walk_part(part, each))
    }

    fn walk_part<E>(&self, part: &Part, each: Visitor<'_, E>) -> Result<(), E> {
        let mut filtered = |host: Host<'_>| {
            if self.filters(part).all(|filter| filter.passes(host.name)) {
                each(host)?;
            }
            Ok(())
        };
        match &part.mention {
            Mention::Names(run) => run.iter().try_for_each(|name| filtered(Host::plain(name))),
            Mention::Word(word) => {
                let filters: Vec<&Filter> = self.filters(part).collect();
                walk_word(word, &filters, each)
            }
            Mention::List(list, options) => {
                list.walk(&mut |host: Host<'_>| options.apply(host, &mut filtered))
            }
        }
    }

    /// Whether nothing was written at all; operators may have left nothing of what was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// The set of what these parts name. `of_list` makes the set of a list in them.
fn set_of_parts(parts: &[Part], of_list: impl Fn(&HostList) -> NodeSet, plain: bool) -> NodeSet {
    let (mut runs, mut words, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match &part.mention {
            Mention::Word(word) if plain && (word.user.is_some() || word.port.is_some()) => {}
            Mention::Word(word) => words.push(&word.names),
            Mention::Names(run) => runs.push(run),
            Mention::List(list, _) => sets.push(of_list(list)),
        }
    }
    let names = runs.into_iter().flat_map(NameRun::iter);
    sets.push(NodeSet::from_words(words, names));
    NodeSet::union_all(sets)
}

/// What a filter leaves of a set.
fn filtered(set: NodeSet, Filter { test, keeps }: &Filter) -> NodeSet {
    match (test, keeps) {
        (Test::Set(kept), true) => set.intersection(kept),
        (Test::Set(removed), false) => set.difference(removed),
        (Test::Regex(regex), keeps) => set.filtered(|name| regex.is_match(name) == *keeps),
    }
}

fn walk_word<E>(word: &HostWord, filters: &[&Filter], each: Visitor<'_, E>) -> Result<(), E> {
    let decorated = !(word.before.is_empty() && word.after.is_empty());
    let mut label = String::new();
    let mut pass = |name: &str| {
        if decorated {
            label.clear();
            label.extend([&*word.before, name, &*word.after]);
        }
        each(Host {
            label: if decorated { &label } else { name },
            labelled: false,
            name,
            address: None,
            inventory: None,
            user: word.user.as_ref(),
            port: word.port,
            transport: word.transport,
            callback_from: None,
        })
    };
    // Ranges are compared with sets by their numbers; no name is taken apart for it.
    fn by_points<'f>(filter: &'f Filter, names: &Names) -> Option<(Points<'f>, bool)> {
        match &filter.test {
            Test::Set(set) => Some((set.points_of(names)?, filter.keeps)),
            Test::Regex(_) => None,
        }
    }
    let points = filters.iter().map(|filter| by_points(filter, &word.names));
    match points.collect::<Option<Vec<_>>>() {
        Some(filters) => word.names.try_for_each_point(|name, point| {
            let stays = |(points, keeps): &(Points<'_>, bool)| points.contain(point) == *keeps;
            if filters.iter().all(stays) {
                pass(name)
            } else {
                Ok(())
            }
        }),
        None => word.names.try_for_each(|name| {
            if filters.iter().all(|filter| filter.passes(name)) {
                pass(name)
            } else {
                Ok(())
            }
        }),
    }
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
            labelled: host.labelled || self.label.is_some(),
            address: host.address.or(self.address.as_ref()),
            inventory: host.inventory.or(self.inventory.as_ref()),
            user: host.user.or(self.user.as_ref()),
            port: host.port.or(self.port),
            transport: host.transport.or(self.transport),
            callback_from: host.callback_from.or(self.callback_from.as_ref()),
            ..host
        })
    }
}
