//! The numbers of one pair of brackets: ranges in the written order.
//!
//! Made by [`parse`](crate::parse), expanded by [`names`](crate::names), and turned into a sorted set by
//! [`grid`](crate::grid). No cost here depends on the number of numbers in a range.

use std::io::Write;

use crate::index::{Index, MAX_DIGITS, POW10};

/// Indexes of one width at equal distances, from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Number of digits of each index.
    pub(crate) width: usize,
    /// Value of the first.
    pub(crate) first: u64,
    /// Value of the last, a whole number of steps from the first.
    pub(crate) last: u64,
    /// Distance from one to the next, at least 1.
    pub(crate) step: u64,
    /// True for one negative number, whose magnitude is `first`.
    pub(crate) negative: bool,
}

impl Run {
    /// Returns a run of one index.
    fn single(index: Index) -> Run {
        let magnitude = index.number().unsigned_abs();
        Run {
            width: index.text_len() - usize::from(index.is_negative()),
            first: magnitude,
            last: magnitude,
            step: 1,
            negative: index.is_negative(),
        }
    }

    /// Number of indexes.
    pub(crate) fn len(self) -> u64 {
        (self.last - self.first) / self.step + 1
    }

    /// The value at this position, which must be less than the length.
    pub(crate) fn value(self, position: u64) -> u64 {
        self.first + position * self.step
    }

    /// The values in order.
    pub(crate) fn values(self) -> impl Iterator<Item = u64> {
        (0..self.len()).map(move |i| self.value(i))
    }

    /// The index at this position, which must be less than the length.
    pub(crate) fn index(self, position: u64) -> Index {
        if self.negative {
            return Index::negative(self.first);
        }
        Index::new(self.width, self.value(position))
    }

    /// Appends the digits of the first, after its sign.
    pub(crate) fn first_digits(self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        write!(out, "{:0width$}", self.first, width = self.width)
            .expect("a vector takes all that is written");
    }

    /// The first and the last index.
    pub(crate) fn ends(self) -> (Index, Index) {
        (self.index(0), self.index(self.len() - 1))
    }
}

/// The reason why two lists of ranges cannot be concatenated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConcatError {
    /// There would be too many digits.
    Digits,
    /// There would be this many numbers, more than the limit.
    Count(u128),
}

/// Ranges in the written order. A number may occur twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    runs: Vec<Run>,
}

impl Ranges {
    /// Returns a list of one index.
    pub(crate) fn single(index: Index) -> Ranges {
        Ranges {
            runs: vec![Run::single(index)],
        }
    }

    /// Appends the values from `first` to `last`, each written with at least `width` digits.
    pub(crate) fn push(&mut self, width: usize, first: u64, last: u64, step: u64) {
        let mut from = first;
        // A run has one width, so `8-12` is divided at each power of ten.
        for (width, above) in POW10.iter().enumerate().skip(width.max(1)) {
            let end = last.min(above - 1);
            if from <= end {
                let reached = end - (end - from) % step;
                self.runs.push(Run {
                    width,
                    first: from,
                    last: reached,
                    step,
                    negative: false,
                });
                // A large step can exceed the largest number.
                let Some(next) = reached.checked_add(step) else {
                    return;
                };
                from = next;
            }
        }
    }

    /// The runs in the given order.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Number of numbers, repeated ones included.
    pub(crate) fn len(&self) -> u128 {
        self.runs.iter().map(|run| u128::from(run.len())).sum()
    }

    /// Number of characters of the longest number.
    pub(crate) fn max_width(&self) -> usize {
        let width = |run: &Run| run.width + usize::from(run.negative);
        self.runs.iter().map(width).max().unwrap_or(0)
    }

    /// Appends each number of `next` to each number of `self`: `1` and `[0-2]` give `[10-12]`.
    pub(crate) fn concat(&self, next: &Ranges, limit: usize) -> Result<Ranges, ConcatError> {
        if self.max_width() + next.max_width() > MAX_DIGITS {
            return Err(ConcatError::Digits);
        }
        let count = self.len() * next.len();
        // The product is checked before it is made, so a short text cannot exhaust memory.
        if count > limit as u128 {
            return Err(ConcatError::Count(count));
        }
        let mut runs = Vec::new();
        let tail_is_one = next.len() == 1;
        for head in &self.runs {
            // One number after a run is a run with a larger step, so nothing is expanded.
            if let ([tail], true) = (next.runs.as_slice(), tail_is_one) {
                let shift = POW10[tail.width];
                runs.push(Run {
                    width: head.width + tail.width,
                    first: head.first * shift + tail.first,
                    last: head.last * shift + tail.first,
                    step: head.step * shift,
                    negative: false,
                });
                continue;
            }
            // Several numbers follow each number, so the runs multiply, within the limit.
            for value in head.values() {
                runs.extend(next.runs.iter().map(|tail| {
                    let above = value * POW10[tail.width];
                    Run {
                        width: head.width + tail.width,
                        first: above + tail.first,
                        last: above + tail.last,
                        step: tail.step,
                        negative: false,
                    }
                }));
            }
        }
        Ok(Ranges { runs })
    }
}

impl<'a> FromIterator<&'a (u64, u64)> for Ranges {
    /// Collects ranges of a set, each of indexes of one width.
    fn from_iter<I: IntoIterator<Item = &'a (u64, u64)>>(spans: I) -> Ranges {
        let mut runs = Vec::new();
        for &(first, last) in spans {
            let indexes = (first..=last).map(Index);
            if Index(first).is_negative() {
                // Magnitudes descend, so each is a run of its own.
                runs.extend(indexes.map(Run::single));
                continue;
            }
            runs.push(Run {
                width: Index(first).width(),
                first: Index(first).value(),
                last: Index(last).value(),
                step: 1,
                negative: false,
            });
        }
        Ranges { runs }
    }
}
