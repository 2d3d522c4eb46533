//! The numbers of one pair of brackets as they were written: ranges, in the given order.
//!
//! Made by [`parse`](super::parse), expanded by [`words`](super::words), and turned into a sorted set
//! by [`grid`](super::grid). Nothing here depends on how many numbers a range has.

use std::io::Write;

use super::index::{Index, MAX_DIGITS, POW10};

/// Indexes of one width at equal distances, first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Digits of each index.
    pub(super) width: usize,
    /// Value of the first.
    pub(super) first: u64,
    /// Value of the last, which the steps reach exactly.
    pub(super) last: u64,
    /// Distance from one to the next, at least 1.
    pub(super) step: u64,
}

impl Run {
    /// How many there are.
    pub(super) fn len(self) -> u64 {
        (self.last - self.first) / self.step + 1
    }

    /// The values in order.
    pub(super) fn values(self) -> impl Iterator<Item = u64> {
        (0..self.len()).map(move |i| self.first + i * self.step)
    }

    /// Appends the digits of the first.
    pub(super) fn first_digits(self, out: &mut Vec<u8>) {
        write!(out, "{:0width$}", self.first, width = self.width)
            .expect("a vector takes all that is written");
    }

    /// The first and the last index.
    pub(super) fn ends(self) -> (Index, Index) {
        (
            Index::new(self.width, self.first),
            Index::new(self.width, self.last),
        )
    }
}

/// Why two lists of ranges cannot be written one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConcatError {
    /// The digits together are too many.
    Digits,
    /// The result would have this many numbers.
    Count(u128),
}

/// Ranges in the order in which they were written; a number may occur twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    runs: Vec<Run>,
}

impl Ranges {
    /// A list of one index.
    pub(super) fn single(index: Index) -> Ranges {
        let value = index.value();
        Ranges {
            runs: vec![Run {
                width: index.width(),
                first: value,
                last: value,
                step: 1,
            }],
        }
    }

    /// Appends the values from `first` to `last`, each written with at least `width` digits.
    pub(super) fn push(&mut self, width: usize, first: u64, last: u64, step: u64) {
        let mut from = first;
        for (width, above) in POW10.iter().enumerate().skip(width.max(1)) {
            let end = last.min(above - 1);
            if from <= end {
                let reached = end - (end - from) % step;
                self.runs.push(Run {
                    width,
                    first: from,
                    last: reached,
                    step,
                });
                let Some(next) = reached.checked_add(step) else {
                    return;
                };
                from = next;
            }
        }
    }

    /// The runs in the given order.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How many numbers are written here, repeated ones included.
    pub(super) fn len(&self) -> u128 {
        self.runs.iter().map(|run| u128::from(run.len())).sum()
    }

    /// The most digits that one of the numbers has.
    pub(super) fn max_width(&self) -> usize {
        self.runs.iter().map(|run| run.width).max().unwrap_or(0)
    }

    /// Each number of `self` with each of `next` written after it: `1` and `[0-2]` give `[10-12]`.
    pub(super) fn concat(&self, next: &Ranges, limit: usize) -> Result<Ranges, ConcatError> {
        if self.max_width() + next.max_width() > MAX_DIGITS {
            return Err(ConcatError::Digits);
        }
        let count = self.len() * next.len();
        if count > limit as u128 {
            return Err(ConcatError::Count(count));
        }
        let mut runs = Vec::new();
        let tail_is_one = next.len() == 1;
        for head in &self.runs {
            if let ([tail], true) = (next.runs.as_slice(), tail_is_one) {
                let shift = POW10[tail.width];
                runs.push(Run {
                    width: head.width + tail.width,
                    first: head.first * shift + tail.first,
                    last: head.last * shift + tail.first,
                    step: head.step * shift,
                });
                continue;
            }
            for value in head.values() {
                runs.extend(next.runs.iter().map(|tail| {
                    let above = value * POW10[tail.width];
                    Run {
                        width: head.width + tail.width,
                        first: above + tail.first,
                        last: above + tail.last,
                        step: tail.step,
                    }
                }));
            }
        }
        Ok(Ranges { runs })
    }
}

impl<'a> FromIterator<&'a (u64, u64)> for Ranges {
    /// Collects ranges of indexes of one width each, as sets have them.
    fn from_iter<I: IntoIterator<Item = &'a (u64, u64)>>(spans: I) -> Ranges {
        let run = |&(first, last): &(u64, u64)| Run {
            width: Index(first).width(),
            first: Index(first).value(),
            last: Index(last).value(),
            step: 1,
        };
        Ranges {
            runs: spans.into_iter().map(run).collect(),
        }
    }
}
