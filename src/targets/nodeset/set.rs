//! Sets of names: built in bulk, combined by the algebra of [`grid`], written folded.
//!
//! Used by [`list`](super::list) for operators and by everybody who folds names. The names of a set
//! are grouped by pattern; the text of a set is what ClusterShell's `nodeset -f` prints for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::io;

use super::error::MAX_NAME;
use super::fold::{push_folded, push_separator};
use super::grid::{self, Keep, Rest};
use super::joined::Joined;
use super::pattern;
use super::products::products;
use super::words::{Names, foldable};

/// A set of host names, held as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    /// For every pattern the points that fill its holes; sorted as the folded text is.
    patterns: BTreeMap<Box<str>, Rest>,
}

impl NodeSet {
    /// The set of the names that `source` calls its argument with.
    pub fn collect(source: impl FnOnce(&mut dyn FnMut(&str))) -> NodeSet {
        let mut collector = Collector::default();
        source(&mut |name| collector.add(name));
        collector.finish()
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.patterns.values().map(grid::count).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether this name is in the set.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let (mut pattern, mut points) = (String::new(), Vec::new());
        pattern::split(name, &mut pattern, &mut points);
        self.patterns
            .get(pattern.as_str())
            .is_some_and(|rest| grid::contains(rest, &points))
    }

    /// What the set has of the pattern of these names; `None` for a single name, whose pattern nobody
    /// has looked for yet.
    pub(super) fn points_of(&self, names: &Names) -> Option<Points<'_>> {
        match names {
            Names::One(_) => None,
            Names::Product { pattern, .. } => Some(Points(self.patterns.get(pattern))),
        }
    }

    /// The names that are in either set.
    #[must_use]
    pub fn union(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::UNION)
    }

    /// The names that are not in the other set.
    #[must_use]
    pub fn difference(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::DIFFERENCE)
    }

    /// The names that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::INTERSECTION)
    }

    /// The names that are in only one of the two sets.
    #[must_use]
    pub fn symmetric_difference(&self, other: &NodeSet) -> NodeSet {
        self.combine(other, Keep::SYMMETRIC)
    }

    fn combine(&self, other: &NodeSet, keep: Keep) -> NodeSet {
        let mut patterns = BTreeMap::new();
        let only_right = other
            .patterns
            .keys()
            .filter(|key| !self.patterns.contains_key(*key));
        for key in self.patterns.keys().chain(only_right) {
            let (a, b) = (self.patterns.get(key), other.patterns.get(key));
            if let Some(rest) = grid::combine(a, b, keep) {
                patterns.insert(key.clone(), rest);
            }
        }
        NodeSet { patterns }
    }

    /// The names for which `keep` says so.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> NodeSet {
        let mut kept = Collector::default();
        self.for_each(|name| {
            if keep(name) {
                kept.add(name);
            }
        });
        kept.finish()
    }

    /// Calls `each` with every name, in the order of `nodeset -e`.
    pub fn for_each(&self, mut each: impl FnMut(&str)) {
        let Ok(()) = self.try_for_each(|name| {
            each(name);
            Ok::<(), Infallible>(())
        });
    }

    /// Calls `each` with every name, in the order of `nodeset -e`, until it fails.
    pub fn try_for_each<E>(&self, mut each: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        self.products()
            .try_for_each(|names| names.try_for_each(&mut each))
    }

    /// Writes every name, in the order of `nodeset -e`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
        self.products().try_for_each(|names| names.write_to(out))
    }

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

    /// The names that are in any of these sets, joined in pairs, so that many small sets cost no more
    /// than their size.
    pub(super) fn union_all(mut sets: Vec<NodeSet>) -> NodeSet {
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

    /// The set of the names of these words, and of these names.
    pub(super) fn from_words<'a, 'n>(
        words: impl IntoIterator<Item = &'a Names>,
        names: impl IntoIterator<Item = &'n str>,
    ) -> NodeSet {
        let mut singles = Collector::default();
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
        for (pattern, rest) in singles.finish().patterns {
            products.entry(pattern).or_default().push(rest);
        }
        let patterns = products
            .into_iter()
            .filter_map(|(pattern, sets)| Some((pattern, grid::union_all(sets)?)))
            .collect();
        NodeSet { patterns }
    }
}

/// What a set has of one pattern.
pub(super) struct Points<'a>(Option<&'a Rest>);

impl Points<'_> {
    /// Whether the name with these indexes is in the set.
    pub(super) fn contain(&self, point: &[u64]) -> bool {
        self.0.is_some_and(|rest| grid::contains(rest, point))
    }
}

impl<'a> FromIterator<&'a str> for NodeSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> NodeSet {
        let mut collector = Collector::default();
        for name in names {
            collector.add(name);
        }
        collector.finish()
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (pattern, rest) in &self.patterns {
            push_folded(pattern, rest, "", "", &mut text);
        }
        f.write_str(&text)
    }
}

/// Gathers single names by pattern, in a time that does not depend on how many there are already.
#[derive(Default)]
struct Collector {
    /// Which entry of `points` belongs to a pattern.
    ids: HashMap<Box<str>, usize>,
    points: Vec<Vec<u64>>,
    /// The last name's pattern and its entry: names come in groups.
    last: Option<(String, usize)>,
    pattern: String,
    point: Vec<u64>,
}

impl Collector {
    fn add(&mut self, name: &str) {
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
        self.points[id].extend_from_slice(&self.point);
    }

    fn finish(mut self) -> NodeSet {
        let patterns = self
            .ids
            .into_iter()
            .map(|(pattern, id)| {
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

/// Folds labels into one expression: `node1 node2 node3` gives `node[1-3]`.
///
/// For host names this is what `nodeset -f` prints. `user@` and `:port` are kept around the names
/// that share them. Labels that are no host names (addresses with colons, free text) are not folded:
/// they are listed as they are, after the rest, once each.
pub fn fold<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
    // Users and ports are few, so names are collected for each pair of them.
    let mut collectors: BTreeMap<(&str, &str), Collector> = BTreeMap::new();
    let mut plain = Collector::default();
    let mut others = BTreeSet::new();
    for label in labels.into_iter().filter(|label| !label.is_empty()) {
        match split_label(label) {
            Some(("", name, "")) => plain.add(name),
            Some((user, name, port)) => collectors.entry((user, port)).or_default().add(name),
            None => {
                others.insert(label);
            }
        }
    }
    let mut text = plain.finish().to_string();
    for ((user, port), collector) in collectors {
        for (pattern, rest) in collector.finish().patterns {
            push_folded(&pattern, &rest, user, port, &mut text);
        }
    }
    for label in others {
        push_separator(&mut text);
        text.push_str(label);
    }
    text
}

/// Splits `user@name:port` into its parts with their marks; `None` if that is not what it is.
fn split_label(label: &str) -> Option<(&str, &str, &str)> {
    if label.len() > 2 * MAX_NAME {
        return None;
    }
    let (user, rest) = label.split_at(label.rfind('@').map_or(0, |at| at + 1));
    let (name, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
    let digits = port.strip_prefix(':').unwrap_or("0");
    let fits = foldable(name)
        && user
            .split_terminator('@')
            .all(|part| part.is_empty() || foldable(part))
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then_some((user, name, port))
}
