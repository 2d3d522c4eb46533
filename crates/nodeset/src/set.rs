//! Sets of names.
//!
//! The names of a set are grouped by pattern. The text of a set is that of ClusterShell's `nodeset -f`.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::ops::{BitAnd, BitOr, BitXor, Range, Sub};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::NodeSetError;
use crate::fold::{FoldStyle, contiguous, push_folded};
use crate::grid::{self, Grid, Keep, Rest};
use crate::iter::Iter;
use crate::joined::Joined;
use crate::list::NodeList;
use crate::names::Names;
use crate::pattern;
use crate::products::products;
use crate::range_set::{RangeSet, split_positions};

/// Maximum number of names in an expression that [`NodeSet::parse`] reads.
pub const DEFAULT_LIMIT: usize = 1_000_000;

/// A set of host names, held as ranges: its size in memory and the time of set operations depend on the number of
/// ranges.
///
/// ```
/// use nodeset::NodeSet;
///
/// let nodes: NodeSet = "node[1-10]!node[3,5-7]".parse()?;
/// assert_eq!(nodes.to_string(), "node[1-2,4,8-10]");
/// assert_eq!(nodes.len(), 6);
/// assert!(nodes.contains("node4") && !nodes.contains("node04"));
///
/// let more: NodeSet = ["node5", "node3", "gw"].into_iter().collect();
/// assert_eq!((&nodes | &more).to_string(), "gw,node[1-5,8-10]");
/// let names: Vec<String> = more.iter().collect();
/// assert_eq!(names, ["gw", "node3", "node5"]);
/// # Ok::<(), nodeset::NodeSetError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    /// The points of each pattern, in the order of the folded text.
    patterns: BTreeMap<Box<str>, Rest>,
}

impl NodeSet {
    /// Returns a set without names.
    #[must_use]
    pub fn new() -> NodeSet {
        NodeSet::default()
    }

    /// Reads an expression in ClusterShell's syntax, without groups. [`DEFAULT_LIMIT`] bounds the number of its names.
    ///
    /// ```
    /// use nodeset::NodeSet;
    ///
    /// let set = NodeSet::parse("rack[1-2]node[01-04]&rack1node[03-10]")?;
    /// assert_eq!(set.to_string(), "rack1node[03-04]");
    /// # Ok::<(), nodeset::NodeSetError>(())
    /// ```
    ///
    /// # Errors
    /// The expression has a fault, or names too many hosts.
    pub fn parse(text: &str) -> Result<NodeSet, NodeSetError> {
        NodeSet::parse_limited(text, DEFAULT_LIMIT)
    }

    /// Reads an expression that names at most `limit` hosts. Hosts that an operator removes count.
    ///
    /// # Errors
    /// The expression has a fault, or names too many hosts.
    pub fn parse_limited(text: &str, limit: usize) -> Result<NodeSet, NodeSetError> {
        // pdsh's forms are for command lines only.
        Ok(NodeList::<()>::parse_in_file(text, limit)?.to_set())
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.patterns.values().map(grid::count).sum()
    }

    /// True if there are no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// True if this name is in the set.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let (mut pattern, mut points) = (String::new(), Vec::new());
        pattern::split(name, &mut pattern, &mut points);
        self.patterns
            .get(pattern.as_str())
            .is_some_and(|rest| grid::contains(rest, &points))
    }

    /// Returns the points of the set with the pattern of these names; `None` for a single name, whose pattern is not
    /// known.
    pub(crate) fn points_of(&self, names: &Names) -> Option<Points<'_>> {
        match names {
            Names::One(_) => None,
            Names::Product { pattern, .. } => Some(Points(self.patterns.get(pattern))),
        }
    }

    /// Returns the names in at least one of the sets.
    #[must_use]
    pub fn union(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::UNION)
    }

    /// Returns the names of this set that are not in the other one.
    #[must_use]
    pub fn difference(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::DIFFERENCE)
    }

    /// Returns the names in both sets.
    #[must_use]
    pub fn intersection(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::INTERSECTION)
    }

    /// Returns the names in exactly one of the sets.
    #[must_use]
    pub fn symmetric_difference(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::SYMMETRIC)
    }

    /// True if every name of this set is in the other one.
    #[must_use]
    pub fn is_subset(&self, other: &NodeSet) -> bool {
        self.difference(other).is_empty()
    }

    /// True if the sets have no name in common.
    #[must_use]
    pub fn is_disjoint(&self, other: &NodeSet) -> bool {
        self.intersection(other).is_empty()
    }

    /// Divides the set into at most `parts` sets of consecutive names, none of them empty. The first ones have one name
    /// more if the names cannot be divided evenly.
    ///
    /// ```
    /// use nodeset::NodeSet;
    ///
    /// let parts = NodeSet::parse("node[1-8]")?.split(3);
    /// let texts: Vec<String> = parts.iter().map(NodeSet::to_string).collect();
    /// assert_eq!(texts, ["node[1-3]", "node[4-6]", "node[7-8]"]);
    /// # Ok::<(), nodeset::NodeSetError>(())
    /// ```
    #[must_use]
    pub fn split(&self, parts: usize) -> Vec<NodeSet> {
        let positions = split_positions(self.len(), parts);
        let mut parts = positions.iter().map(|range| range.end - range.start);
        let mut size = parts.next();
        let mut sets = Vec::new();
        let mut builder = NodeSetBuilder::default();
        let mut added = 0;
        // One name after the other, since a product can be in several parts.
        self.for_each(|name| {
            builder.add(name);
            added += 1;
            if Some(added) == size {
                sets.push(std::mem::take(&mut builder).build());
                added = 0;
                size = parts.next();
            }
        });
        sets
    }

    /// Returns the names whose positions are in one of these ranges. The order is that of [`iter`](NodeSet::iter).
    ///
    /// ```
    /// use nodeset::NodeSet;
    ///
    /// let set = NodeSet::parse("gw,node[1-9]")?;
    /// assert_eq!(set.select(&[0..2, 8..100]).to_string(), "gw,node[1,8-9]");
    /// # Ok::<(), nodeset::NodeSetError>(())
    /// ```
    #[must_use]
    pub fn select(&self, positions: &[Range<u64>]) -> NodeSet {
        let mut builder = NodeSetBuilder::default();
        let mut at = 0;
        self.for_each(|name| {
            if positions.iter().any(|range| range.contains(&at)) {
                builder.add(name);
            }
            at += 1;
        });
        builder.build()
    }

    /// Divides the set into sets of names whose numbers follow each other.
    ///
    /// ```
    /// use nodeset::NodeSet;
    ///
    /// let parts = NodeSet::parse("gw,node[1-3,7]")?.contiguous();
    /// let texts: Vec<String> = parts.iter().map(NodeSet::to_string).collect();
    /// assert_eq!(texts, ["gw", "node[1-3]", "node7"]);
    /// # Ok::<(), nodeset::NodeSetError>(())
    /// ```
    #[must_use]
    pub fn contiguous(&self) -> Vec<NodeSet> {
        let mut sets = Vec::new();
        for (pattern, rest) in &self.patterns {
            for product in products(rest) {
                let mut parts: Vec<Rest> = vec![None];
                for spans in product.iter().rev() {
                    let ranges = contiguous(spans);
                    let grids = ranges.iter().flat_map(|range| {
                        let grid = |rest| Some(Arc::new(Grid::from_spans(range.to_vec(), rest)));
                        parts.iter().map(grid)
                    });
                    parts = grids.collect();
                }
                sets.extend(parts.into_iter().map(|rest| NodeSet {
                    patterns: BTreeMap::from([(pattern.clone(), rest)]),
                }));
            }
        }
        sets
    }

    /// Returns all combinations of ranges in a name: `texts` are the parts of the name around and between them.
    ///
    /// ```
    /// use nodeset::{NodeSet, NumberRange, RangeSet};
    ///
    /// let ranges = |last| RangeSet::from_iter([NumberRange { first: 1, last, step: 1, width: 0 }]);
    /// let set = NodeSet::product(&["rack", "node", "-ib"], &[ranges(2), ranges(4)]);
    /// assert_eq!(set.to_string(), "rack[1-2]node[1-4]-ib");
    /// ```
    ///
    /// # Panics
    /// There is not one text more than there are ranges.
    #[must_use]
    pub fn product(texts: &[&str], ranges: &[RangeSet]) -> NodeSet {
        assert_eq!(texts.len(), ranges.len() + 1, "texts surround the ranges");
        // A pattern without names must not be in a set, because equal sets are equal values.
        if ranges.iter().any(RangeSet::is_empty) {
            return NodeSet::default();
        }
        let mut pattern = String::new();
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                pattern::push_hole(&mut pattern);
            }
            pattern::push_literal(&mut pattern, text);
        }
        let rest = ranges.iter().rev().fold(None, |rest, ranges| {
            Some(Arc::new(ranges.grid.with_rest(&rest)))
        });
        NodeSet {
            patterns: BTreeMap::from([(pattern.into(), rest)]),
        }
    }

    fn combine(&self, other: &NodeSet, keep: Keep) -> NodeSet {
        let mut patterns = BTreeMap::new();
        let only_right = other
            .patterns
            .keys()
            .filter(|key| !self.patterns.contains_key(*key));
        for key in self.patterns.keys().chain(only_right) {
            let (a, b) = (self.patterns.get(key), other.patterns.get(key));
            // Patterns without names are left out, so that equal sets are equal values.
            if let Some(rest) = grid::combine(a, b, keep) {
                patterns.insert(key.clone(), rest);
            }
        }
        NodeSet { patterns }
    }

    /// Returns the names for which `keep` returns true.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> NodeSet {
        let mut kept = NodeSetBuilder::default();
        self.for_each(|name| {
            if keep(name) {
                kept.add(name);
            }
        });
        kept.build()
    }

    /// Returns an iterator over the names, in the order of `nodeset -e`.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self.patterns.iter())
    }

    /// Calls `each` with every name, in the order of `nodeset -e`. Faster than [`iter`](NodeSet::iter), because no name
    /// is allocated.
    pub fn for_each(&self, mut each: impl FnMut(&str)) {
        // The error type has no values, so this cannot fail.
        let Ok(()) = self.try_for_each(|name| {
            each(name);
            Ok::<(), Infallible>(())
        });
    }

    /// Calls `each` with every name, in the order of `nodeset -e`, until it fails.
    ///
    /// # Errors
    /// The first one of `each`.
    pub fn try_for_each<E>(&self, mut each: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        self.products()
            .try_for_each(|names| names.try_for_each(&mut each))
    }

    /// Writes every name, in the order of `nodeset -e`.
    ///
    /// # Errors
    /// Writing fails.
    pub fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
        self.products().try_for_each(|names| names.write_to(out))
    }

    /// Returns the folded text with `before` and `after` around each of its names.
    ///
    /// ```
    /// use nodeset::NodeSet;
    ///
    /// let set = NodeSet::parse("gw,node[1-3]")?;
    /// assert_eq!(set.folded_between("root@", ":22"), "root@gw:22,root@node[1-3]:22");
    /// # Ok::<(), nodeset::NodeSetError>(())
    /// ```
    #[must_use]
    pub fn folded_between(&self, before: &str, after: &str) -> String {
        let mut text = String::new();
        for (pattern, rest) in &self.patterns {
            push_folded(
                pattern,
                rest,
                &FoldStyle::default(),
                (before, after),
                &mut text,
            );
        }
        text
    }

    /// Returns the folded text in another form.
    #[must_use]
    pub fn folded(&self, style: &FoldStyle) -> String {
        let mut text = String::new();
        for (pattern, rest) in &self.patterns {
            push_folded(pattern, rest, style, ("", ""), &mut text);
        }
        text
    }

    /// The products of ranges that the set consists of, in the order of the folded text.
    fn products(&self) -> impl Iterator<Item = Names> {
        self.patterns.iter().flat_map(|(pattern, rest)| {
            products(rest).into_iter().map(|dimensions| Names::Product {
                pattern: pattern.clone(),
                dimensions: dimensions
                    .iter()
                    .map(|spans| spans.iter().collect())
                    .collect(),
            })
        })
    }

    /// Returns the union of many sets. Joins them in pairs, so that the work is proportional to their size.
    #[must_use]
    pub fn union_all(mut sets: Vec<NodeSet>) -> NodeSet {
        while sets.len() > 1 {
            let joined = |pair: &[NodeSet]| match pair {
                [one, other] => one.union(other),
                [one, ..] => one.clone(),
                [] => NodeSet::default(),
            };
            sets = sets.chunks(2).map(joined).collect();
        }
        sets.pop().unwrap_or_default()
    }

    /// Returns the set of the names of these words, and of these names.
    pub(crate) fn from_words<'a, 'n>(
        words: impl IntoIterator<Item = &'a Names>,
        names: impl IntoIterator<Item = &'n str>,
    ) -> NodeSet {
        // Names are collected first, because a union for each of them would take quadratic time.
        let mut singles = NodeSetBuilder::default();
        names.into_iter().for_each(|name| singles.add(name));
        let mut products: HashMap<Box<str>, Vec<Rest>> = HashMap::new();
        for names in words {
            match names {
                Names::One(name) => singles.add(name),
                Names::Product { .. } => {
                    let (pattern, rest) = names.to_points();
                    products.entry(pattern.into()).or_default().push(rest);
                }
            }
        }
        for (pattern, rest) in singles.build().patterns {
            products.entry(pattern).or_default().push(rest);
        }
        let patterns = products
            .into_iter()
            .filter_map(|(pattern, sets)| Some((pattern, grid::union_all(sets)?)))
            .collect();
        NodeSet { patterns }
    }
}

/// The points of one pattern in a set.
pub(crate) struct Points<'a>(Option<&'a Rest>);

impl Points<'_> {
    /// True if the name with these indexes is in the set.
    pub(crate) fn contain(&self, point: &[u64]) -> bool {
        self.0.is_some_and(|rest| grid::contains(rest, point))
    }
}

impl<S: AsRef<str>> FromIterator<S> for NodeSet {
    /// Collects names, in which brackets have no meaning.
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> NodeSet {
        let mut builder = NodeSetBuilder::default();
        for name in names {
            builder.add(name.as_ref());
        }
        builder.build()
    }
}

impl<S: AsRef<str>> Extend<S> for NodeSet {
    /// Adds names, in which brackets have no meaning.
    fn extend<I: IntoIterator<Item = S>>(&mut self, names: I) {
        // One union for all names, not one for each.
        *self = self.union(&names.into_iter().collect());
    }
}

impl<'a> IntoIterator for &'a NodeSet {
    type Item = String;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromStr for NodeSet {
    type Err = NodeSetError;

    fn from_str(text: &str) -> Result<NodeSet, NodeSetError> {
        NodeSet::parse(text)
    }
}

impl fmt::Display for NodeSet {
    /// Writes the folded text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As for a str, the width of the format applies.
        f.pad(&self.folded_between("", ""))
    }
}

impl BitOr for &NodeSet {
    type Output = NodeSet;

    fn bitor(self, other: &NodeSet) -> NodeSet {
        self.union(other)
    }
}

impl Sub for &NodeSet {
    type Output = NodeSet;

    fn sub(self, other: &NodeSet) -> NodeSet {
        self.difference(other)
    }
}

impl BitAnd for &NodeSet {
    type Output = NodeSet;

    fn bitand(self, other: &NodeSet) -> NodeSet {
        self.intersection(other)
    }
}

impl BitXor for &NodeSet {
    type Output = NodeSet;

    fn bitxor(self, other: &NodeSet) -> NodeSet {
        self.symmetric_difference(other)
    }
}

/// A builder of a set from single names. The time to add a name does not depend on the number of names.
///
/// ```
/// let mut builder = nodeset::NodeSetBuilder::default();
/// for number in (1..=5).rev() {
///     builder.add(&format!("node{number}"));
/// }
/// assert_eq!(builder.build().to_string(), "node[1-5]");
/// ```
#[derive(Clone, Debug, Default)]
pub struct NodeSetBuilder {
    /// Index in `points` for each pattern.
    ids: HashMap<Box<str>, usize>,
    points: Vec<Vec<u64>>,
    /// Pattern of the last name and its index.
    // Many names in a row have the same pattern, which saves the look-up.
    last: Option<(String, usize)>,
    pattern: String,
    point: Vec<u64>,
}

impl NodeSetBuilder {
    /// Adds a name, in which brackets have no meaning.
    pub fn add(&mut self, name: &str) {
        self.pattern.clear();
        self.point.clear();
        pattern::split(name, &mut self.pattern, &mut self.point);
        let id = match &self.last {
            Some((pattern, id)) if *pattern == self.pattern => *id,
            _ => {
                let id = match self.ids.get(self.pattern.as_str()) {
                    Some(&id) => id,
                    None => {
                        self.ids
                            .insert(self.pattern.as_str().into(), self.points.len());
                        self.points.push(Vec::new());
                        self.points.len() - 1
                    }
                };
                self.last = Some((self.pattern.clone(), id));
                id
            }
        };
        // The numbers of all names are in one list, without an allocation for each name.
        self.points[id].extend_from_slice(&self.point);
    }

    /// Returns the set.
    #[must_use]
    pub fn build(mut self) -> NodeSet {
        let patterns = self
            .ids
            .into_iter()
            .map(|(pattern, id)| {
                // A pattern without holes has no points: its set is one name.
                let holes = pattern::pieces(&pattern)
                    .filter(|p| *p == pattern::Piece::Hole)
                    .count();
                (
                    pattern,
                    grid::from_points(holes, std::mem::take(&mut self.points[id])),
                )
            })
            .collect();
        NodeSet { patterns }
    }
}
