//! The names of an expression in the written order.
//!
//! Built by [`eval`](crate::eval). A list holds ranges, and other lists as they are. An operator that removes names
//! becomes a filter of the parts before it, so that any operator keeps the written order.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use regex_lite::Regex;

use crate::attributes::Attributes;
use crate::error::MAX_NAME;
use crate::joined::Joined;
use crate::names::{NameRun, Names};
use crate::set::{NodeSet, Points};

/// Names in the written order, with the data of a program ([`Attributes`]). A name may occur twice.
///
/// ```
/// use nodeset::NodeList;
///
/// let list: NodeList = NodeList::parse("login,node[3,1-2]", 1000)?;
/// let mut names = Vec::new();
/// list.for_each(|node| names.push(node.name.to_owned()));
/// assert_eq!(names, ["login", "node3", "node1", "node2"]);
/// assert_eq!(list.to_set().to_string(), "login,node[1-3]");
/// # Ok::<(), nodeset::NodeSetError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NodeList<A = ()> {
    parts: Vec<Part<A>>,
    filters: Vec<Filter>,
    /// Filters of pdsh's forms, which apply to the whole list.
    overall: Vec<Filter>,
    mentions: u128,
    marked: bool,
}

/// Names of a list, and the filters that apply to them.
#[derive(Clone, Debug)]
struct Part<A> {
    mention: Mention<A>,
    /// Index of the first of the list's filters that applies.
    filters_from: usize,
    /// The names in the list before an operator `^`, which removes them from its operand.
    before: Option<Arc<Filter>>,
}

#[derive(Clone, Debug)]
enum Mention<A> {
    /// Names without data.
    // They take little memory, because lists may have a million of them.
    Names(NameRun),
    Word(ListWord<A>),
    List(Arc<NodeList<A>>, Data<A>),
}

/// Data beside names; `None` if it is the default.
// Most names have none, so it is not stored in place.
pub(crate) type Data<A> = Option<Box<A>>;

/// Returns the data in the form in which lists store it.
pub(crate) fn data<A: Attributes>(attributes: A) -> Data<A> {
    (attributes != A::default()).then(|| Box::new(attributes))
}

/// A word with the names of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListWord<A> {
    /// The names.
    pub(crate) names: Names,
    /// Text before each name in its label.
    pub(crate) before: Box<str>,
    /// Text after each name in its label.
    pub(crate) after: Box<str>,
    /// Data of each name.
    pub(crate) attributes: Data<A>,
}

impl<A> ListWord<A> {
    /// True if there are only names.
    fn is_plain(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && self.attributes.is_none()
    }
}

/// A condition on names: those to remove, or the only ones to keep.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(crate) test: Test,
    pub(crate) keeps: bool,
}

/// The names of a filter.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Set(NodeSet),
    Regex(Regex),
}

impl Filter {
    /// Returns the filter that removes these names.
    #[must_use]
    pub fn without(names: NodeSet) -> Filter {
        Filter {
            test: Test::Set(names),
            keeps: false,
        }
    }

    /// True if the filter keeps this name.
    #[must_use]
    pub fn passes(&self, name: &str) -> bool {
        self.matches(name) == self.keeps
    }

    /// True if this is one of the filter's names, to keep or to remove.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.test {
            Test::Set(set) => set.contains(name),
            Test::Regex(regex) => regex.is_match(name),
        }
    }

    /// Returns the filter that removes this filter's names.
    #[must_use]
    pub fn removing(self) -> Filter {
        Filter {
            keeps: false,
            ..self
        }
    }

    /// True if the filter keeps matching names and removes others.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.keeps
    }
}

/// A node of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Node<'a, A = ()> {
    /// The written text of this one node, or the label that the list's data gives.
    pub label: &'a str,
    /// The name, by which sets know the node.
    pub name: &'a str,
    /// The data; `None` if there is none.
    pub attributes: Option<&'a A>,
}

impl<A> Clone for Node<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Node<'_, A> {}

/// The visitor of a walk, which is called with one node after the other until it fails.
type Visitor<'v, A, E> = &'v mut dyn FnMut(Node<'_, A>) -> Result<(), E>;

impl<A> Default for NodeList<A> {
    fn default() -> Self {
        NodeList {
            parts: Vec::new(),
            filters: Vec::new(),
            overall: Vec::new(),
            mentions: 0,
            marked: false,
        }
    }
}

impl<A: Attributes> NodeList<A> {
    /// Returns the list of one name, if the text is a plain name. Most lines of long lists are, and this is faster than
    /// the parser.
    #[must_use]
    pub fn of_plain_name(text: &str) -> Option<Self> {
        let mut bytes = text.bytes();
        // At the start, other characters have a meaning in expressions.
        let fits = text.len() <= MAX_NAME && bytes.next()?.is_ascii_alphanumeric();
        // Brackets, operators and `@` need the parser.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !fits || !bytes.all(plain) {
            return None;
        }
        let mut list = NodeList::default();
        list.push_name(text);
        Some(list)
    }

    pub(crate) fn push_word(&mut self, word: ListWord<A>) {
        match &word.names {
            Names::One(name) if word.is_plain() => self.push_name(name),
            names => {
                // Saturates: lists in lists can add up to any number, and every limit is smaller.
                self.mentions = self.mentions.saturating_add(names.len());
                self.push(Mention::Word(word), None);
            }
        }
    }

    /// Adds a name without data.
    pub(crate) fn push_name(&mut self, name: &str) {
        self.mentions = self.mentions.saturating_add(1);
        let filters = self.filters.len();
        // Names in a row share one text, if the same filters apply to them.
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

    /// Adds another list: its single parts if it has no filters.
    pub fn append(&mut self, list: Self) {
        self.marked |= list.marked;
        // Filters apply only to the names of their own list, so a list with filters is not taken apart.
        if !list.filters.is_empty() || !list.overall.is_empty() {
            return self.push_list(Arc::new(list), A::default());
        }
        for part in list.parts {
            match part.mention {
                Mention::Names(run) => run.iter().for_each(|name| self.push_name(name)),
                Mention::Word(word) => self.push_word(word),
                Mention::List(list, attributes) => self.push_data(list, attributes, None),
            }
        }
    }

    /// Adds the nodes of another list. A node takes from `attributes` what its own attributes leave open.
    pub fn push_list(&mut self, list: Arc<Self>, attributes: A) {
        self.push_data(list, data(attributes), None);
    }

    /// Adds the nodes of another list that pass the filter `before`.
    pub(crate) fn push_data(
        &mut self,
        list: Arc<Self>,
        attributes: Data<A>,
        before: Option<Filter>,
    ) {
        self.marked |= list.marked;
        self.mentions = self.mentions.saturating_add(list.mentions);
        self.push(Mention::List(list, attributes), before);
    }

    fn push(&mut self, mention: Mention<A>, before: Option<Filter>) {
        self.parts.push(Part {
            mention,
            filters_from: self.filters.len(),
            before: before.map(Arc::new),
        });
    }

    /// Applies a filter to the names in the list so far.
    pub(crate) fn push_filter(&mut self, filter: Filter) {
        self.filters.push(filter);
    }

    /// Applies a filter to all names, also to those that are added later.
    pub fn push_overall(&mut self, filter: Filter) {
        self.overall.push(filter);
    }

    /// Takes the filters of pdsh's `-name` and `/regex/` out of the list. On pdsh's command line they apply to all
    /// lists.
    pub fn take_overall(&mut self) -> Vec<Filter> {
        std::mem::take(&mut self.overall)
    }

    /// Marks the list. Every list that an expression makes from it is marked too, even if an operator removes all of its
    /// names. A program that marks the lists of a group source sees from the mark which expressions use the source.
    pub fn mark(&mut self) {
        self.marked = true;
    }

    /// True if the list, or one from which it was made, was marked.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// Number of names that were written, with repeated ones and those that an operator removed.
    #[must_use]
    pub fn mentions(&self) -> u128 {
        self.mentions
    }

    /// The data of the words in this list. Words of lists inside the list are not included.
    pub fn word_attributes(&self) -> impl Iterator<Item = &A> {
        self.parts.iter().filter_map(|part| match &part.mention {
            Mention::Word(word) => word.attributes.as_deref(),
            Mention::Names(_) | Mention::List(..) => None,
        })
    }

    fn filters<'a>(&'a self, part: &'a Part<A>) -> impl Iterator<Item = &'a Filter> {
        let before = part.before.as_deref().into_iter();
        before
            .chain(&self.filters[part.filters_from..])
            .chain(&self.overall)
    }

    /// Returns the names as a set.
    #[must_use]
    pub fn to_set(&self) -> NodeSet {
        self.to_set_where(&|_| true)
    }

    /// Returns the names of the words whose data passes the test as a set. Data of a list around a word does not count.
    #[must_use]
    pub fn to_set_where(&self, keep: &dyn Fn(Option<&A>) -> bool) -> NodeSet {
        let mut sets = Vec::new();
        // Parts with the same filters are joined to one set before the filters are applied.
        for parts in self.parts.chunk_by(|a, b| {
            a.filters_from == b.filters_from && a.before.is_none() && b.before.is_none()
        }) {
            let set = set_of_parts(parts, |list| list.to_set_where(keep), keep);
            let before = parts[0].before.as_deref().into_iter();
            let filters = before.chain(&self.filters[parts[0].filters_from..]);
            sets.push(filters.fold(set, filtered));
        }
        self.overall.iter().fold(NodeSet::union_all(sets), filtered)
    }

    /// True if no name was written twice. If false, an operator may have removed the repeated names.
    #[must_use]
    pub fn is_distinct(&self) -> bool {
        // A set has every name once.
        u128::from(self.unfiltered().len()) == self.mentions
    }

    /// Returns the set of all names that were written, with those that an operator removed.
    fn unfiltered(&self) -> NodeSet {
        set_of_parts(&self.parts, Self::unfiltered, &|_| true)
    }

    /// True if no name has data, each label is the name, and every name folds. Then the list and its
    /// [set](NodeList::to_set) have the same nodes.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| match &part.mention {
            Mention::Names(run) => run.folds(),
            Mention::Word(word) => word.is_plain() && word.names.fold(),
            Mention::List(list, attributes) => attributes.is_none() && list.is_plain(),
        })
    }

    /// Calls `each` with every node in the written order until it fails. A node that is named twice comes twice.
    ///
    /// # Errors
    /// The first one of `each`.
    pub fn try_for_each<E>(
        &self,
        mut each: impl FnMut(Node<'_, A>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(&mut each)
    }

    /// Calls `each` with every node in the written order. A node that is named twice comes twice.
    pub fn for_each(&self, mut each: impl FnMut(Node<'_, A>)) {
        // The error type has no values, so the walk cannot fail.
        let Ok(()) = self.try_for_each(|node| {
            each(node);
            Ok::<(), Infallible>(())
        });
    }

    /// Writes the label of every node in the written order.
    ///
    /// # Errors
    /// Writing fails.
    pub fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
        self.parts.iter().try_for_each(|part| {
            // A filter must see every name. Without one, ranges are written as a whole.
            let whole = self.filters(part).next().is_none();
            match &part.mention {
                Mention::Word(word) if whole && word.is_plain() => word.names.write_to(out),
                Mention::List(list, None) if whole => list.write_to(out),
                _ => self.walk_part(part, &mut |node| out.push(node.label)),
            }
        })
    }

    fn walk<E>(&self, each: Visitor<'_, A, E>) -> Result<(), E> {
        let mut parts = self.parts.iter();
        parts.try_for_each(|part| self.walk_part(part, each))
    }

    fn walk_part<E>(&self, part: &Part<A>, each: Visitor<'_, A, E>) -> Result<(), E> {
        let mut filtered = |node: Node<'_, A>| {
            if self.filters(part).all(|filter| filter.passes(node.name)) {
                each(node)?;
            }
            Ok(())
        };
        match &part.mention {
            Mention::Names(run) => run.iter().try_for_each(|name| {
                filtered(Node {
                    label: name,
                    name,
                    attributes: None,
                })
            }),
            Mention::Word(word) => {
                // Collected once, since they apply to every name of the word.
                let filters: Vec<&Filter> = self.filters(part).collect();
                walk_word(word, &filters, each)
            }
            Mention::List(list, None) => list.walk(&mut filtered),
            Mention::List(list, Some(outer)) => list.walk(&mut |node: Node<'_, A>| {
                let label = outer.label(node.label, node.attributes);
                let own = node.attributes.map(|own| own.or(outer));
                filtered(Node {
                    label: label.as_deref().unwrap_or(node.label),
                    attributes: Some(own.as_ref().unwrap_or(outer)),
                    ..node
                })
            }),
        }
    }

    /// True if nothing was written. If false, operators may have removed everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// Returns the set of the names of these parts. `of_list` returns the set of a part that is a list.
fn set_of_parts<A>(
    parts: &[Part<A>],
    of_list: impl Fn(&NodeList<A>) -> NodeSet,
    keep: &dyn Fn(Option<&A>) -> bool,
) -> NodeSet {
    let (mut runs, mut words, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match &part.mention {
            // A word keeps its ranges, so that nothing is expanded.
            Mention::Word(word) if keep(word.attributes.as_deref()) => words.push(&word.names),
            Mention::Word(_) => {}
            Mention::Names(run) => runs.push(run),
            Mention::List(list, _) => sets.push(of_list(list)),
        }
    }
    let names = runs.into_iter().flat_map(NameRun::iter);
    sets.push(NodeSet::from_words(words, names));
    NodeSet::union_all(sets)
}

/// Applies a filter to a set.
fn filtered(set: NodeSet, Filter { test, keeps }: &Filter) -> NodeSet {
    match (test, keeps) {
        (Test::Set(kept), true) => set.intersection(kept),
        (Test::Set(removed), false) => set.difference(removed),
        // A regular expression needs the names, so the set is expanded.
        (Test::Regex(regex), keeps) => set.filtered(|name| regex.is_match(name) == *keeps),
    }
}

fn walk_word<A, E>(
    word: &ListWord<A>,
    filters: &[&Filter],
    each: Visitor<'_, A, E>,
) -> Result<(), E> {
    let decorated = !(word.before.is_empty() && word.after.is_empty());
    // One buffer for the labels of all names.
    let mut label = String::new();
    let mut pass = |name: &str| {
        if decorated {
            label.clear();
            label.extend([&*word.before, name, &*word.after]);
        }
        each(Node {
            label: if decorated { &label } else { name },
            name,
            attributes: word.attributes.as_deref(),
        })
    };
    // Ranges are compared with sets by their indexes, so that no name has to be split.
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
        // A filter without points needs the names.
        None => word.names.try_for_each(|name| {
            if filters.iter().all(|filter| filter.passes(name)) {
                pass(name)
            } else {
                Ok(())
            }
        }),
    }
}
