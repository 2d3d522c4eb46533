//! Sets of indexes: the numbers between brackets, without a name around them.

use std::fmt;
use std::ops::Range;

use crate::fold::{FoldStyle, contiguous, push_ranges};
use crate::grid::{Grid, Keep};
use crate::index::{Index, MAX_DIGITS};
use crate::ranges::Ranges;

/// Numbers at equal distances, written with at least `width` digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberRange {
    /// The first number.
    pub first: i64,
    /// No number is larger than this one.
    pub last: i64,
    /// Distance from one number to the next, at least 1.
    pub step: u64,
    /// Minimum number of digits; 0 for none.
    pub width: usize,
}

impl NumberRange {
    /// Returns a range of one number.
    #[must_use]
    pub fn single(number: i64, width: usize) -> NumberRange {
        NumberRange {
            first: number,
            last: number,
            step: 1,
            width,
        }
    }

    /// Maximum number of digits of a number.
    pub const MAX_DIGITS: usize = MAX_DIGITS;
}

/// A set of indexes, held as ranges. `1` and `01` are different indexes, as in names.
///
/// ```
/// use nodeset::{FoldStyle, NumberRange, RangeSet};
///
/// let odd = NumberRange { first: 1, last: 9, step: 2, width: 2 };
/// let set: RangeSet = [odd, NumberRange::single(10, 0)].into_iter().collect();
/// assert_eq!(set.to_string(), "01,03,05,07,09-10");
/// assert_eq!(set.folded(&FoldStyle { autostep: Some(3), ..FoldStyle::default() }), "01-09/2,10");
/// assert_eq!(set.numbers().sum::<i64>(), 35);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    pub(crate) grid: Grid,
}

impl RangeSet {
    /// Number of indexes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.grid.len()
    }

    /// True if there are no indexes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grid.is_empty()
    }

    /// Returns the indexes in at least one of the sets.
    #[must_use]
    pub fn union(&self, other: &RangeSet) -> RangeSet {
        self.combine(other, Keep::UNION)
    }

    /// Returns the indexes of this set that are not in the other one.
    #[must_use]
    pub fn difference(&self, other: &RangeSet) -> RangeSet {
        self.combine(other, Keep::DIFFERENCE)
    }

    /// Returns the indexes in both sets.
    #[must_use]
    pub fn intersection(&self, other: &RangeSet) -> RangeSet {
        self.combine(other, Keep::INTERSECTION)
    }

    /// Returns the indexes in exactly one of the sets.
    #[must_use]
    pub fn symmetric_difference(&self, other: &RangeSet) -> RangeSet {
        self.combine(other, Keep::SYMMETRIC)
    }

    fn combine(&self, other: &RangeSet, keep: Keep) -> RangeSet {
        RangeSet {
            grid: self.grid.combine(&other.grid, keep),
        }
    }

    /// Returns an iterator over the indexes as text: by length, then by value.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.indexes().map(|index| {
            let mut text = String::new();
            index.push_to(&mut text);
            text
        })
    }

    /// Returns an iterator over the numbers, in the order of their texts.
    pub fn numbers(&self) -> impl Iterator<Item = i64> {
        self.indexes().map(Index::number)
    }

    fn indexes(&self) -> impl Iterator<Item = Index> {
        let rows = self.grid.rows().iter();
        rows.flat_map(|row| (row.first..=row.last).map(Index))
    }

    /// Returns the indexes whose positions are in one of these ranges.
    #[must_use]
    pub fn select(&self, positions: &[Range<u64>]) -> RangeSet {
        let mut spans = Vec::new();
        for wanted in positions {
            let mut start = 0;
            for row in self.grid.rows() {
                let end = start + (row.last - row.first + 1);
                let (from, to) = (wanted.start.max(start), wanted.end.min(end));
                if from < to {
                    spans.push((row.first + (from - start), row.first + (to - 1 - start)));
                }
                start = end;
            }
        }
        RangeSet::from_spans(spans)
    }

    /// Divides the set into at most `parts` sets of consecutive indexes, as [`NodeSet::split`](crate::NodeSet::split).
    #[must_use]
    pub fn split(&self, parts: usize) -> Vec<RangeSet> {
        let positions = split_positions(self.len(), parts);
        let part = |range: Range<u64>| self.select(&[range]);
        positions.into_iter().map(part).collect()
    }

    /// Divides the set into ranges without gaps.
    #[must_use]
    pub fn contiguous(&self) -> Vec<RangeSet> {
        let rows = self.grid.rows().iter();
        let spans: Vec<(u64, u64)> = rows.map(|row| (row.first, row.last)).collect();
        let parts = contiguous(&spans).into_iter();
        parts
            .map(|spans| RangeSet::from_spans(spans.to_vec()))
            .collect()
    }

    /// Returns the folded text, without brackets.
    #[must_use]
    pub fn folded(&self, style: &FoldStyle) -> String {
        let rows = self.grid.rows().iter();
        let spans: Vec<(u64, u64)> = rows.map(|row| (row.first, row.last)).collect();
        let mut text = String::new();
        push_ranges(&spans, style.autostep, &mut text);
        text
    }

    fn from_spans(spans: Vec<(u64, u64)>) -> RangeSet {
        RangeSet {
            grid: Grid::from_spans(spans, &None),
        }
    }
}

/// Returns the positions of the parts of a set of `len` members, none of them empty.
pub(crate) fn split_positions(len: u64, parts: usize) -> Vec<Range<u64>> {
    // Neither 0 parts nor an empty set may cause a division by 0.
    let parts = (parts.max(1) as u64).min(len).max(1);
    let (size, longer) = (len / parts, len % parts);
    let mut start = 0;
    let mut ranges = Vec::new();
    for part in 0..parts {
        let end = start + size + u64::from(part < longer);
        if end > start {
            ranges.push(start..end);
        }
        start = end;
    }
    ranges
}

impl fmt::Display for RangeSet {
    /// Writes the folded text, without brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.folded(&FoldStyle::default()))
    }
}

impl FromIterator<NumberRange> for RangeSet {
    /// Collects ranges. Numbers with more than [`NumberRange::MAX_DIGITS`] digits are left out.
    fn from_iter<I: IntoIterator<Item = NumberRange>>(ranges: I) -> RangeSet {
        let mut spans = Vec::new();
        for range in ranges {
            push_spans(range, &mut spans);
        }
        RangeSet::from_spans(spans)
    }
}

fn push_spans(range: NumberRange, spans: &mut Vec<(u64, u64)>) {
    let NumberRange {
        mut first,
        last,
        step,
        width,
    } = range;
    let step = step.max(1);
    let negative_end = last.min(-1);
    if first <= negative_end {
        let index = |number| Index::of_number(number).map(|index| index.0);
        // The numbers from 0 on must continue at the same distance.
        let reached = negative_end - (negative_end.abs_diff(first) % step) as i64;
        if step == 1 {
            spans.extend(index(first).zip(index(reached)));
        } else {
            let numbers = (first..=reached).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            spans.extend(numbers.filter_map(index).map(|index| (index, index)));
        }
        let Some(next) = reached.checked_add_unsigned(step) else {
            return;
        };
        first = next;
    }
    let (Ok(first), Ok(last)) = (u64::try_from(first), u64::try_from(last)) else {
        return;
    };
    let mut ranges = Ranges::default();
    if first <= last {
        ranges.push(width, first, last, step);
    }
    for run in ranges.runs() {
        let (first, last) = run.ends();
        if run.step == 1 {
            spans.push((first.0, last.0));
        } else {
            let step = usize::try_from(run.step).unwrap_or(usize::MAX);
            let indexes = (first.0..=last.0).step_by(step);
            spans.extend(indexes.map(|index| (index, index)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, step: u64, width: usize) -> NumberRange {
        NumberRange {
            first,
            last,
            step,
            width,
        }
    }

    fn set(ranges: &[NumberRange]) -> RangeSet {
        ranges.iter().copied().collect()
    }

    #[test]
    fn negative_numbers_come_before_the_others() {
        let set = set(&[range(-12, 3, 1, 0), range(-20, -14, 3, 0)]);
        assert_eq!(set.to_string(), "-20,-17,-14,-12-3");
        assert_eq!(set.len(), 19);
        assert_eq!(set.numbers().next(), Some(-20));
        assert_eq!(set.iter().last().as_deref(), Some("3"));
        assert_eq!(set.select(&[3..5, 18..30]).to_string(), "-12--11,3");
    }

    #[test]
    fn names_can_have_negative_numbers() {
        let names = crate::NodeSet::product(&["n", "x"], &[set(&[range(-2, 1, 1, 0)])]);
        assert_eq!(names.to_string(), "n[-2-1]x");
        assert_eq!(
            names.iter().collect::<Vec<_>>(),
            ["n-2x", "n-1x", "n0x", "n1x"]
        );
        let mut text = Vec::new();
        let mut joined = crate::Joined::new(&mut text, ",");
        names.write_to(&mut joined).unwrap();
        joined.finish().unwrap();
        assert_eq!(text, b"n-2x,n-1x,n0x,n1x,");
    }

    #[test]
    fn operations_know_the_padding() {
        let (a, b) = (set(&[range(1, 10, 1, 2)]), set(&[range(9, 12, 1, 0)]));
        assert_eq!(a.union(&b).to_string(), "9,01-12");
        assert_eq!(a.intersection(&b).to_string(), "10");
        assert_eq!(a.difference(&b).to_string(), "01-09");
        assert_eq!(a.symmetric_difference(&b).to_string(), "9,01-09,11-12");
    }

    #[test]
    fn parts_are_consecutive() {
        let set = set(&[range(1, 3, 1, 0), range(7, 12, 1, 0)]);
        let text = |parts: Vec<RangeSet>| {
            let texts: Vec<String> = parts.iter().map(RangeSet::to_string).collect();
            texts.join(" ")
        };
        assert_eq!(text(set.contiguous()), "1-3 7-12");
        assert_eq!(text(set.split(2)), "1-3,7-8 9-12");
        assert_eq!(text(set.split(100)).split(' ').count(), 9);
        assert_eq!(text(RangeSet::default().split(3)), "");
    }

    #[test]
    fn steps_need_enough_numbers() {
        let text = |ranges: &[NumberRange], autostep| {
            set(ranges).folded(&FoldStyle {
                autostep: Some(autostep),
                ..FoldStyle::default()
            })
        };
        let odd = [range(1, 9, 2, 0)];
        assert_eq!(text(&odd, 5), "1-9/2");
        assert_eq!(text(&odd, 6), "1,3,5,7,9");
        assert_eq!(
            text(&[range(1, 3, 1, 0), range(5, 9, 2, 0)], 3),
            "1-3,5-9/2"
        );
        assert_eq!(text(&[range(4, 16, 4, 3)], 3), "004-016/4");
        assert_eq!(
            text(&[range(8, 12, 2, 0), range(98, 102, 2, 0)], 3),
            "8-12/2,98-102/2"
        );
    }
}
