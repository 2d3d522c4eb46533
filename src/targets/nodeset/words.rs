//! One word of an expression: the names that it stands for, in the order in which it says them.
//!
//! Made by [`parse`](super::parse). A word is held as ranges; its names are written one after the
//! other into one buffer when somebody walks them.

use std::io;
use std::sync::Arc;

use super::grid::{self, Rest};
use super::joined::{Joined, count_up};
use super::pattern::{self, Piece};
use super::ranges::Ranges;
use crate::targets::TransportKind;

/// The names of one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// A name without brackets.
    One(Box<str>),
    /// All combinations of the ranges, the last dimension fastest.
    Product {
        /// Where the ranges stand in the name.
        pattern: Box<str>,
        /// The ranges, one for each hole.
        dimensions: Box<[Ranges]>,
    },
}

impl Names {
    /// How many names, repeated ones included.
    pub(super) fn len(&self) -> u128 {
        match self {
            Names::One(_) => 1,
            Names::Product { dimensions, .. } => dimensions.iter().map(Ranges::len).product(),
        }
    }

    /// Bytes of the longest name.
    pub(super) fn max_bytes(&self) -> usize {
        match self {
            Names::One(name) => name.len(),
            Names::Product {
                pattern,
                dimensions,
            } => {
                let text: usize = pattern::pieces(pattern)
                    .map(|piece| piece.text().len())
                    .sum();
                text + dimensions.iter().map(Ranges::max_width).sum::<usize>()
            }
        }
    }

    /// Calls `each` with every name in order, until it fails.
    pub(super) fn try_for_each<E>(
        &self,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.try_for_each_point(|name, _| each(name))
    }

    /// The same with the indexes in each name; a single name is not taken apart for them.
    pub(super) fn try_for_each_point<E>(
        &self,
        mut each: impl FnMut(&str, &[u64]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Names::One(name) => each(name, &[]),
            Names::Product {
                pattern,
                dimensions,
            } => {
                let pieces: Vec<Piece<'_>> = pattern::pieces(pattern).collect();
                Walk::new(each).names(&pieces, dimensions)
            }
        }
    }

    /// Writes every name in order: those that differ in the last dimension only at once.
    pub(super) fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
        let (pattern, dimensions) = match self {
            Names::One(name) => return out.push(name),
            Names::Product {
                pattern,
                dimensions,
            } => (pattern, dimensions),
        };
        let pieces: Vec<Piece<'_>> = pattern::pieces(pattern).collect();
        let last = pieces.iter().rposition(|piece| *piece == Piece::Hole);
        let (Some(last), Some((ranges, dimensions))) = (last, dimensions.split_last()) else {
            return self.try_for_each(|name| out.push(name));
        };
        let suffix: String = pieces[last + 1..].iter().map(Piece::text).collect();
        let each = |prefix: &str, _: &[u64]| {
            let mut runs = ranges.runs().iter();
            runs.try_for_each(|run| out.push_run(prefix, *run, &suffix))
        };
        Walk::new(each).names(&pieces[..last], dimensions)
    }

    /// Whether the names are such that sets of them are written folded.
    pub(super) fn fold(&self) -> bool {
        match self {
            Names::One(name) => foldable(name),
            Names::Product { pattern, .. } => foldable(pattern),
        }
    }

    /// The pattern and the set of points of these names.
    pub(super) fn to_points(&self) -> (String, Rest) {
        match self {
            Names::One(name) => {
                let (mut pattern, mut points) = (String::new(), Vec::new());
                pattern::split(name, &mut pattern, &mut points);
                (pattern, grid::from_points(points.len(), points))
            }
            Names::Product {
                pattern,
                dimensions,
            } => (pattern.to_string(), grid::product(dimensions)),
        }
    }
}

/// A name that is being written, and what is done with it.
struct Walk<F> {
    /// Text and digits, of which the digits are counted up where they stand.
    name: Vec<u8>,
    /// The indexes in the name.
    point: Vec<u64>,
    each: F,
}

impl<E, F: FnMut(&str, &[u64]) -> Result<(), E>> Walk<F> {
    fn new(each: F) -> Walk<F> {
        Walk {
            name: Vec::new(),
            point: Vec::new(),
            each,
        }
    }

    /// Writes all that can follow what is in the name.
    fn names(&mut self, pieces: &[Piece<'_>], dimensions: &[Ranges]) -> Result<(), E> {
        let start = self.name.len();
        match (pieces, dimensions) {
            ([], _) => return self.tell(),
            ([Piece::Text(text), pieces @ ..], _) => {
                self.name.extend_from_slice(text.as_bytes());
                self.names(pieces, dimensions)?;
            }
            ([Piece::Hole, pieces @ ..], [ranges, dimensions @ ..]) => {
                for run in ranges.runs() {
                    let (index, _) = run.ends();
                    run.first_digits(&mut self.name);
                    let end = self.name.len();
                    for n in 0..run.len() {
                        if n > 0 {
                            self.name.truncate(end);
                            count_up(&mut self.name[start..], run.step);
                        }
                        self.point.push(index.0 + n * run.step);
                        match pieces {
                            [] => self.tell()?,
                            _ => self.names(pieces, dimensions)?,
                        }
                        self.point.pop();
                    }
                    self.name.truncate(start);
                }
            }
            ([Piece::Hole, ..], []) => debug_assert!(false, "a hole without its ranges"),
        }
        self.name.truncate(start);
        Ok(())
    }

    /// Hands a whole name on.
    fn tell(&mut self) -> Result<(), E> {
        let name = std::str::from_utf8(&self.name).expect("text and digits are text");
        (self.each)(name, &self.point)
    }
}

/// Whether this is a host name, which folds, and no address with colons and no free text.
pub(super) fn foldable(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b"-_.%+~".contains(&b);
    !name.is_empty() && name.bytes().all(fits)
}

/// Names one after the other in one text.
#[derive(Clone, Debug, Default)]
pub(super) struct NameRun {
    text: String,
    /// Where each name ends.
    ends: Vec<u32>,
}

impl NameRun {
    /// Adds a name; false if there is no room for it.
    pub(super) fn push(&mut self, name: &str) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + name.len()) else {
            return false;
        };
        self.text.push_str(name);
        self.ends.push(end);
        true
    }

    /// The names in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = &self.text[start..end as usize];
            start = end as usize;
            name
        })
    }

    /// Whether the names are such that sets of them are written folded.
    pub(super) fn folds(&self) -> bool {
        foldable(&self.text)
    }
}

/// A word that names hosts: the names, and the user and port around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostWord {
    /// The host names, without user, port and the brackets of an IPv6 address.
    pub(super) names: Names,
    /// What the user wrote before each name: `user@`, and the `[` of an address.
    pub(super) before: Box<str>,
    /// What the user wrote after each name: the `]` of an address, and `:port`.
    pub(super) after: Box<str>,
    /// The user, if one is given.
    pub(super) user: Option<Arc<str>>,
    /// The port, if one is given.
    pub(super) port: Option<u16>,
    /// The transport, if one is given.
    pub(super) transport: Option<TransportKind>,
}

impl HostWord {
    /// Whether there is nothing around the names.
    pub(super) fn is_plain(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && !self.says_something()
    }

    /// Whether more is said about the hosts than their names.
    pub(super) fn says_something(&self) -> bool {
        self.user.is_some() || self.port.is_some() || self.transport.is_some()
    }
}
