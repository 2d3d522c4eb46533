//! Sets of indexes in any number of dimensions, held as ranges.
//!
//! The names of one pattern (`r%sn%s`) are points with one dimension for each hole. A [`Grid`] is the sorted list of
//! ranges of the first dimension, each with the grid of the other dimensions. Two ranges that touch and have equal
//! grids are joined. So equal sets are equal values, and one function does all set operations. All points of a grid
//! have the same number of dimensions.

use std::sync::Arc;

use crate::ranges::Ranges;

/// The dimensions after an index; `None` after the last.
pub(crate) type Rest = Option<Arc<Grid>>;

/// A range of indexes, by the numbers of [`Index`](crate::index::Index), with the dimensions after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) rest: Rest,
}

/// A set of points: sorted rows that do not overlap and that cannot be joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grid {
    rows: Vec<Row>,
}

/// The points that an operation keeps: those of the left side only, of both sides, and of the right side only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) left: bool,
    pub(crate) both: bool,
    pub(crate) right: bool,
}

impl Keep {
    pub(crate) const UNION: Keep = Keep {
        left: true,
        both: true,
        right: true,
    };
    pub(crate) const DIFFERENCE: Keep = Keep {
        left: true,
        both: false,
        right: false,
    };
    pub(crate) const INTERSECTION: Keep = Keep {
        left: false,
        both: true,
        right: false,
    };
    pub(crate) const SYMMETRIC: Keep = Keep {
        left: true,
        both: false,
        right: true,
    };
}

/// Combines the dimensions after an index in two sets. The outer `None` means that the set has no such index.
pub(crate) fn combine(a: Option<&Rest>, b: Option<&Rest>, keep: Keep) -> Option<Rest> {
    match (a, b) {
        (None, None) => None,
        (Some(a), None) => keep.left.then(|| a.clone()),
        (None, Some(b)) => keep.right.then(|| b.clone()),
        // Grids are often shared, and a shared grid is equal to itself without a comparison.
        (Some(Some(a)), Some(Some(b))) if !Arc::ptr_eq(a, b) => {
            let grid = a.combine(b, keep);
            (!grid.rows.is_empty()).then(|| Some(Arc::new(grid)))
        }
        (Some(a), Some(_)) => keep.both.then(|| a.clone()),
    }
}

/// Number of points after an index.
pub(crate) fn count(rest: &Rest) -> u64 {
    rest.as_ref().map_or(1, |grid| grid.len())
}

/// True if the point is in the dimensions after an index.
pub(crate) fn contains(rest: &Rest, point: &[u64]) -> bool {
    match (rest, point) {
        (None, []) => true,
        (Some(grid), [first, others @ ..]) => {
            // Rows are sorted and do not overlap, so a binary search finds the only candidate.
            let at = grid.rows.partition_point(|row| row.last < *first);
            grid.rows
                .get(at)
                .is_some_and(|row| row.first <= *first && contains(&row.rest, others))
        }
        _ => false,
    }
}

/// Returns all combinations of the dimensions' ranges.
pub(crate) fn product(dimensions: &[Ranges]) -> Rest {
    let mut rest = None;
    for ranges in dimensions.iter().rev() {
        let mut spans = Vec::with_capacity(ranges.runs().len());
        for run in ranges.runs() {
            let (first, last) = run.ends();
            // Indexes with a step do not touch, so each is a row of its own.
            if run.step == 1 {
                spans.push((first.0, last.0));
            } else {
                let indexes = (first.0..=last.0).step_by(run.step as usize);
                spans.extend(indexes.map(|index| (index, index)));
            }
        }
        rest = Some(Arc::new(Grid::from_spans(spans, &rest)));
    }
    rest
}

/// Returns the set of points whose numbers are given one after the other, `dimensions` numbers for each point.
pub(crate) fn from_points(dimensions: usize, mut points: Vec<u64>) -> Rest {
    match dimensions {
        0 => None,
        1 => {
            points.sort_unstable();
            let mut grid = Grid::default();
            for index in points {
                grid.push(index, index, None);
            }
            Some(Arc::new(grid))
        }
        _ => {
            // The points stay in one allocation, and only slices of it are sorted.
            let mut sorted: Vec<&[u64]> = points.chunks_exact(dimensions).collect();
            sorted.sort_unstable();
            from_sorted(&sorted, 0)
        }
    }
}

/// Returns the set of sorted points that are equal before dimension `at`.
fn from_sorted(points: &[&[u64]], at: usize) -> Rest {
    if points.first().is_none_or(|point| at == point.len()) {
        return None;
    }
    let mut grid = Grid::default();
    for block in points.chunk_by(|a, b| a[at] == b[at]) {
        let index = block[0][at];
        grid.push(index, index, from_sorted(block, at + 1));
    }
    Some(Arc::new(grid))
}

/// Returns the union of many sets. Joins them in pairs, so that the work is proportional to their size.
pub(crate) fn union_all(mut sets: Vec<Rest>) -> Option<Rest> {
    while sets.len() > 1 {
        sets = sets
            .chunks(2)
            .filter_map(|pair| combine(pair.first(), pair.get(1), Keep::UNION))
            .collect();
    }
    sets.pop()
}

impl Grid {
    /// Returns the set of ranges in any order, each with the same other dimensions.
    pub(crate) fn from_spans(mut spans: Vec<(u64, u64)>, rest: &Rest) -> Grid {
        spans.sort_unstable();
        let mut grid = Grid::default();
        for (first, last) in spans {
            match grid.rows.last_mut() {
                // Written ranges may overlap or touch. All have equal other dimensions here, so they are joined.
                Some(row) if first <= row.last + 1 => row.last = row.last.max(last),
                _ => grid.rows.push(Row {
                    first,
                    last,
                    rest: rest.clone(),
                }),
            }
        }
        grid
    }

    /// Returns this set with other dimensions after each of its indexes, which must have none yet.
    pub(crate) fn with_rest(&self, rest: &Rest) -> Grid {
        let rows = self.rows.iter().map(|row| Row {
            rest: rest.clone(),
            ..*row
        });
        Grid {
            rows: rows.collect(),
        }
    }

    /// True if there are no points.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Number of points.
    pub(crate) fn len(&self) -> u64 {
        self.rows
            .iter()
            .map(|row| (row.last - row.first + 1) * count(&row.rest))
            .sum()
    }

    /// Appends a range that does not start before the end of the last one, and joins the two if possible.
    fn push(&mut self, first: u64, last: u64, rest: Rest) {
        match self.rows.last_mut() {
            Some(row) if first <= row.last + 1 && row.rest == rest => row.last = row.last.max(last),
            _ => self.rows.push(Row { first, last, rest }),
        }
    }

    /// Combines two lists of rows, which are divided where a row of either starts or ends.
    pub(crate) fn combine(&self, other: &Grid, keep: Keep) -> Grid {
        let mut out = Grid::default();
        let (mut left, mut right) = (self.rows.iter().peekable(), other.rows.iter().peekable());
        let mut done = 0; // All indexes below this one are in `out`.
        loop {
            let (a, b) = (left.peek().copied(), right.peek().copied());
            let starts = [a, b].map(|row| row.map(|row| row.first.max(done)));
            let Some(first) = starts.into_iter().flatten().min() else {
                return out;
            };
            // A row counts only if it covers the start of this stretch.
            let in_a = a.filter(|_| starts[0] == Some(first));
            let in_b = b.filter(|_| starts[1] == Some(first));
            let ends = [in_a, in_b].map(|row| row.map(|row| row.last));
            // The stretch ends before the next row of either side starts.
            let next = starts
                .into_iter()
                .flatten()
                .filter(|start| *start > first)
                .map(|s| s - 1);
            let Some(last) = ends.into_iter().flatten().chain(next).min() else {
                return out;
            };
            if let Some(rest) = combine(in_a.map(|row| &row.rest), in_b.map(|row| &row.rest), keep)
            {
                out.push(first, last, rest);
            }
            done = last + 1;
            left.next_if(|row| row.last == last);
            right.next_if(|row| row.last == last);
        }
    }
}
