//! The names of one word of an expression, in the written order.
//!
//! Made by [`parse`](crate::parse). Names are held as ranges. A walk writes one name after the other into one buffer.

use std::io;

use crate::grid::{self, Rest};
use crate::joined::{Joined, count_up};
use crate::pattern::{self, Piece};
use crate::ranges::Ranges;

/// The names of one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// A name without brackets.
    One(Box<str>),
    /// All combinations of the ranges. The last dimension changes fastest.
    Product {
        /// The name with a hole for each of the ranges.
        pattern: Box<str>,
        /// The ranges, one for each hole.
        dimensions: Box<[Ranges]>,
    },
}

impl Names {
    /// Number of names, repeated ones included.
    pub(crate) fn len(&self) -> u128 {
        match self {
            Names::One(_) => 1,
            // The product of several brackets can exceed 64 bits.
            Names::Product { dimensions, .. } => dimensions.iter().map(Ranges::len).product(),
        }
    }

    /// Length of the longest name in bytes.
    pub(crate) fn max_bytes(&self) -> usize {
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

    /// Calls `each` with every name in order until it fails.
    pub(crate) fn try_for_each<E>(
        &self,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.try_for_each_point(|name, _| each(name))
    }

    /// Calls `each` with every name and its indexes in order until it fails. A single name is given without indexes.
    pub(crate) fn try_for_each_point<E>(
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
                NameWalk::new(each).names(&pieces, dimensions)
            }
        }
    }

    /// Writes every name in order. Names that differ in the last dimension only are written in one go.
    pub(crate) fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
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
            // Only the last dimension changes, so a run is written as copies of its first name.
            runs.try_for_each(|run| out.push_run(prefix, *run, &suffix))
        };
        NameWalk::new(each).names(&pieces[..last], dimensions)
    }

    /// True if all are host names, which fold.
    pub(crate) fn fold(&self) -> bool {
        match self {
            Names::One(name) => is_name(name),
            Names::Product { pattern, .. } => is_name(pattern),
        }
    }

    /// Returns the pattern and the set of points of these names.
    pub(crate) fn to_points(&self) -> (String, Rest) {
        match self {
            Names::One(name) => {
                let (mut pattern, mut points) = (String::new(), Vec::new());
                // A name without brackets can have digits, too.
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

/// A walk over names, which are written into one buffer.
struct NameWalk<F> {
    /// The name. Its digits are incremented in place.
    name: Vec<u8>,
    /// The indexes of the name.
    point: Vec<u64>,
    each: F,
}

impl<E, F: FnMut(&str, &[u64]) -> Result<(), E>> NameWalk<F> {
    fn new(each: F) -> NameWalk<F> {
        NameWalk {
            name: Vec::new(),
            point: Vec::new(),
            each,
        }
    }

    /// Visits every name that starts with the present text of the buffer.
    fn names(&mut self, pieces: &[Piece<'_>], dimensions: &[Ranges]) -> Result<(), E> {
        let start = self.name.len();
        match (pieces, dimensions) {
            ([], _) => return self.visit(),
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
                            // The inner dimensions have appended their digits.
                            self.name.truncate(end);
                            count_up(&mut self.name[start..], run.step);
                        }
                        self.point.push(index.0 + n * run.step);
                        match pieces {
                            [] => self.visit()?,
                            _ => self.names(pieces, dimensions)?,
                        }
                        self.point.pop();
                    }
                    self.name.truncate(start);
                }
            }
            // The parser makes a hole for each of the ranges.
            ([Piece::Hole, ..], []) => debug_assert!(false, "a hole without its ranges"),
        }
        self.name.truncate(start);
        Ok(())
    }

    /// Calls `each` with the complete name.
    fn visit(&mut self) -> Result<(), E> {
        let name = std::str::from_utf8(&self.name).expect("text and digits are text");
        (self.each)(name, &self.point)
    }
}

/// An iterator over the names of a product.
#[derive(Clone, Debug)]
pub(crate) struct ProductNames {
    pattern: Box<str>,
    dimensions: Box<[Ranges]>,
    /// For each dimension, the run and the position in it of the next name; `None` after the last name.
    next: Option<Vec<(usize, u64)>>,
}

impl ProductNames {
    /// Returns an iterator over the names of a pattern with these ranges. No range is empty.
    pub(crate) fn new(pattern: Box<str>, dimensions: Box<[Ranges]>) -> ProductNames {
        let next = Some(vec![(0, 0); dimensions.len()]);
        ProductNames {
            pattern,
            dimensions,
            next,
        }
    }
}

impl Iterator for ProductNames {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let at = self.next.as_mut()?;
        let mut name = String::new();
        let mut indexes = self.dimensions.iter().zip(&*at);
        for piece in pattern::pieces(&self.pattern) {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Hole => {
                    let (ranges, &(run, position)) = indexes.next()?;
                    let run = ranges.runs().get(run)?;
                    run.index(position).push_to(&mut name);
                }
            }
        }
        // The last dimension changes fastest.
        let mut dimensions = self.dimensions.iter().zip(at).rev();
        let advanced = dimensions.any(|(ranges, (run, position))| {
            let runs = ranges.runs();
            if *position + 1 < runs[*run].len() {
                *position += 1;
            } else if *run + 1 < runs.len() {
                (*run, *position) = (*run + 1, 0);
            } else {
                // This dimension starts again, and the one before it advances.
                (*run, *position) = (0, 0);
                return false;
            }
            true
        });
        if !advanced {
            self.next = None;
        }
        Some(name)
    }
}

/// True if the text has only characters of host names. Other texts, such as addresses with colons, do not fold.
///
/// ```
/// assert!(nodeset::is_name("node-7.cluster"));
/// assert!(!nodeset::is_name("2001:db8::7"));
/// ```
#[must_use]
pub fn is_name(text: &str) -> bool {
    // Bytes from 0x80 on are parts of letters beyond ASCII.
    let fits = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b"-_.%+~".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

/// Names in one text, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameRun {
    text: String,
    /// End of each name in the text.
    ends: Vec<u32>,
}

impl NameRun {
    /// Adds a name. Returns false if the text is full.
    pub(crate) fn push(&mut self, name: &str) -> bool {
        // 32 bits, since a list can have a million of these.
        let Ok(end) = u32::try_from(self.text.len() + name.len()) else {
            return false;
        };
        self.text.push_str(name);
        self.ends.push(end);
        true
    }

    /// The names in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = &self.text[start..end as usize];
            start = end as usize;
            name
        })
    }

    /// True if all are host names, which fold.
    pub(crate) fn folds(&self) -> bool {
        // One check for all names: a name folds if its characters do.
        is_name(&self.text)
    }
}
