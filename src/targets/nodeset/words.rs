//! One word of an expression: the names that it stands for, in the order in which it says them.
//!
//! Made by [`parse`](super::parse). A word is held as ranges; its names are written one after the
//! other into one buffer when somebody walks them.

use std::sync::Arc;

use super::grid::{self, Rest};
use super::index::push_digits;
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
                    .map(|piece| {
                        if let Piece::Text(text) = piece {
                            text.len()
                        } else {
                            0
                        }
                    })
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
        match self {
            Names::One(name) => each(name),
            Names::Product {
                pattern,
                dimensions,
            } => {
                let pieces: Vec<Piece<'_>> = pattern::pieces(pattern).collect();
                walk(&pieces, dimensions, &mut String::new(), &mut each)
            }
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

/// Writes all that can follow what is in `name`, and calls `each` with every whole name.
fn walk<E>(
    pieces: &[Piece<'_>],
    dimensions: &[Ranges],
    name: &mut String,
    each: &mut impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let start = name.len();
    match (pieces, dimensions) {
        ([], _) => each(name)?,
        ([Piece::Text(text), pieces @ ..], _) => {
            name.push_str(text);
            walk(pieces, dimensions, name, each)?;
        }
        ([Piece::Hole, pieces @ ..], [ranges, dimensions @ ..]) => {
            for run in ranges.runs() {
                for value in run.values() {
                    push_digits(name, run.width, value);
                    walk(pieces, dimensions, name, each)?;
                    name.truncate(start);
                }
            }
        }
        ([Piece::Hole, ..], []) => debug_assert!(false, "a hole without its ranges"),
    }
    name.truncate(start);
    Ok(())
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
    /// Names with nothing around them.
    pub(super) fn plain(names: Names) -> HostWord {
        HostWord {
            names,
            before: "".into(),
            after: "".into(),
            user: None,
            port: None,
            transport: None,
        }
    }
}
