//! Writes sets of points as ranges in brackets, exactly as ClusterShell does.
//!
//! Called by [`set`](crate::set) for every pattern. [`products`](crate::products) divides a set in several dimensions
//! into products.

use crate::grid::Rest;
use crate::index::Index;
use crate::pattern::{self, Piece};
use crate::products::{Span, products};
use crate::steps::push_stepped;

/// Appends the comma between two parts of an expression, if there is a part before it.
pub(crate) fn push_separator(out: &mut String) {
    if !out.is_empty() {
        out.push(',');
    }
}

/// The form of a folded text.
///
/// ```
/// use nodeset::{FoldStyle, NodeSet};
///
/// let set = NodeSet::parse("rack[1-2]node[2-8/2]")?;
/// assert_eq!(set.to_string(), "rack[1-2]node[2,4,6,8]");
/// let steps = FoldStyle { autostep: Some(3), ..FoldStyle::default() };
/// assert_eq!(set.folded(&steps), "rack[1-2]node[2-8/2]");
/// let nodes_only = FoldStyle { axes: Some(vec![-1]), ..FoldStyle::default() };
/// assert_eq!(set.folded(&nodes_only), "rack1node[2,4,6,8],rack2node[2,4,6,8]");
/// # Ok::<(), nodeset::NodeSetError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldStyle {
    /// Minimum number of indexes at equal distances that become a range with a step; `None` for no steps.
    pub autostep: Option<i64>,
    /// Numbers of a name that may become ranges, counted from 0, or from -1 for the last; `None` for all.
    pub axes: Option<Vec<i64>>,
}

impl FoldStyle {
    /// Returns true for each of the numbers of a name that may become ranges.
    fn folded_axes(&self, dimensions: usize) -> Vec<bool> {
        let Some(axes) = &self.axes else {
            return vec![true; dimensions];
        };
        let mut folded = vec![false; dimensions];
        for &axis in axes {
            let from_end = usize::try_from(axis.unsigned_abs()).unwrap_or(usize::MAX);
            let at = if axis < 0 {
                dimensions.checked_sub(from_end)
            } else {
                Some(from_end)
            };
            if let Some(folds) = at.and_then(|at| folded.get_mut(at)) {
                *folds = true;
            }
        }
        folded
    }
}

/// Appends the names of one pattern with `before` and `after` around each product of ranges.
pub(crate) fn push_folded(
    pattern: &str,
    rest: &Rest,
    style: &FoldStyle,
    (before, after): (&str, &str),
    out: &mut String,
) {
    let pieces: Vec<Piece<'_>> = pattern::pieces(pattern).collect();
    for product in products(rest) {
        let folded = style.folded_axes(product.len());
        let texts = |(spans, folds): (&std::rc::Rc<[Span]>, bool)| axis_texts(spans, folds, style);
        let texts: Vec<Vec<String>> = product.iter().zip(folded).map(texts).collect();
        // Numbers that do not fold are written out. As in ClusterShell, the first one changes fastest.
        let mut chosen = vec![0; texts.len()];
        loop {
            push_separator(out);
            out.push_str(before);
            let mut indexes = texts.iter().zip(&chosen);
            for piece in &pieces {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Hole => {
                        if let Some((texts, &at)) = indexes.next() {
                            out.push_str(&texts[at]);
                        }
                    }
                }
            }
            out.push_str(after);
            let next = chosen.iter_mut().zip(&texts).any(|(at, texts)| {
                *at = (*at + 1) % texts.len();
                *at > 0
            });
            if !next {
                break;
            }
        }
    }
}

/// Returns the texts of one of the numbers of a product: one with all indexes, or one for each.
fn axis_texts(spans: &[Span], folds: bool, style: &FoldStyle) -> Vec<String> {
    let single = matches!(spans, [(first, last)] if first == last);
    let mut text = String::new();
    if folds && !single {
        text.push('[');
        push_ranges(spans, style.autostep, &mut text);
        text.push(']');
        return vec![text];
    }
    let indexes = spans
        .iter()
        .flat_map(|&(first, last)| (first..=last).map(Index));
    let texts = indexes.map(|index| {
        text.clear();
        index.push_to(&mut text);
        text.clone()
    });
    texts.collect()
}

/// Appends sorted ranges without brackets.
pub(crate) fn push_ranges(spans: &[Span], autostep: Option<i64>, out: &mut String) {
    if let Some(autostep) = autostep {
        return push_stepped(spans, autostep, out);
    }
    for (at, part) in contiguous(spans).iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let (Some((first, _)), Some((_, last))) = (part.first(), part.last()) else {
            continue;
        };
        Index(*first).push_to(out);
        if first != last {
            out.push('-');
            Index(*last).push_to(out);
        }
    }
}

/// Divides sorted ranges where an index does not follow the one before it. `9` and `10` follow each other.
pub(crate) fn contiguous(spans: &[Span]) -> Vec<&[Span]> {
    // ClusterShell finds the padding of a range at its first index. But after a single index it keeps the padding of
    // that index while the number of digits fits: [09,16-121] is [09,16-99,100-121].
    let mut padded = false;
    let mut single = None;
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(&(first, mut last)) = spans.get(start) {
        let index = Index(first);
        let width = index.text_len();
        let fits = |before| {
            if padded {
                before == width
            } else {
                !index.is_padded()
            }
        };
        if !single.is_some_and(fits) {
            padded = index.is_padded();
        }
        let mut end = start + 1;
        while let Some(&(next, next_last)) = spans.get(end)
            && !padded
            && Index(last).successor() == Some(Index(next))
        {
            last = next_last;
            end += 1;
        }
        single = (first == last).then_some(width);
        parts.push(&spans[start..end]);
        start = end;
    }
    parts
}
