//! Divides a sorted set of indexes into ranges with steps, exactly as ClusterShell does.

use crate::index::Index;
use crate::products::Span;

/// Indexes at equal distances, written with at least `width` digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stepped {
    first: i64,
    last: i64,
    step: i64,
    width: usize,
}

impl Stepped {
    fn push_to(self, out: &mut String) {
        use std::fmt::Write;

        let Stepped {
            first,
            last,
            step,
            width,
        } = self;
        // Writing to a text cannot fail.
        let _ = write!(out, "{first:0width$}");
        if first != last {
            let _ = write!(out, "-{last:0width$}");
        }
        if first != last && step != 1 {
            let _ = write!(out, "/{step}");
        }
    }
}

/// The range that grows while the indexes are read.
#[derive(Clone, Copy)]
struct GrowingSteps {
    first: i64,
    last: i64,
    /// Distance of the indexes; `None` while there is only one.
    step: Option<i64>,
    padded: bool,
    /// Number of characters of the first index.
    width: usize,
}

impl GrowingSteps {
    fn new(index: Index) -> GrowingSteps {
        GrowingSteps {
            first: index.number(),
            last: index.number(),
            step: None,
            padded: index.is_padded(),
            width: index.text_len(),
        }
    }

    fn padding(self) -> usize {
        if self.padded { self.width } else { 0 }
    }

    /// Appends each index up to `last` as a range of its own.
    fn push_singles(self, step: i64, last: i64, out: &mut Vec<Stepped>) {
        let width = self.padding();
        let mut number = self.first;
        while number <= last {
            out.push(Stepped {
                first: number,
                last: number,
                step: 1,
                width,
            });
            number += step;
        }
    }

    fn push_range(self, out: &mut Vec<Stepped>) {
        out.push(Stepped {
            first: self.first,
            last: self.last,
            step: self.step.unwrap_or(1),
            width: self.padding(),
        });
    }
}

/// Appends the ranges of a set. `autostep` is the minimum number of indexes that become a range with a step.
pub(crate) fn push_stepped(spans: &[Span], autostep: i64, out: &mut String) {
    let mut ranges = Vec::new();
    divide(spans, autostep, &mut ranges);
    for (at, range) in ranges.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        range.push_to(out);
    }
}

fn divide(spans: &[Span], autostep: i64, out: &mut Vec<Stepped>) {
    // ClusterShell counts distances, not indexes.
    let distances = autostep.saturating_sub(1);
    // The user chooses `autostep`, so the product can exceed 64 bits.
    let long_enough =
        |first: i64, last: i64, step: i64| last - first >= distances.saturating_mul(step);
    let mut growing: Option<GrowingSteps> = None;
    let indexes = spans
        .iter()
        .flat_map(|&(first, last)| (first..=last).map(Index));
    for index in indexes {
        let Some(now) = &mut growing else {
            growing = Some(GrowingSteps::new(index));
            continue;
        };
        let number = index.number();
        // In ClusterShell, a padded range continues with numbers of the same width: `08-10`.
        let changed_width = if now.padded {
            index.text_len() != now.width
        } else {
            index.is_padded()
        };
        let distance = number - now.last;
        let changed_step = !changed_width && now.step.is_some_and(|step| step != distance);
        if !changed_width && !changed_step {
            now.step = Some(distance);
            now.last = number;
            continue;
        }
        let range = *now;
        match range.step {
            Some(step) if step != 1 && !long_enough(range.first, range.last, step) => {
                if changed_width {
                    range.push_singles(step, range.last, out);
                    *now = GrowingSteps::new(index);
                } else {
                    range.push_singles(step, range.last - step, out);
                    // The last index starts the next range. As in ClusterShell, that keeps the padding.
                    now.first = range.last;
                    now.step = Some(distance);
                    now.last = number;
                }
            }
            _ => {
                range.push_range(out);
                let last = range.last;
                *now = GrowingSteps::new(index);
                // As in ClusterShell, the distance to the range before counts as the step of the new one.
                now.step = changed_step.then_some(number - last);
            }
        }
    }
    let Some(range) = growing else { return };
    match range.step {
        Some(step) if step != 1 && !long_enough(range.first, range.last, step) => {
            range.push_singles(step, range.last, out);
        }
        _ => range.push_range(out),
    }
}
