//! Writes sets of points as ranges in brackets, exactly as ClusterShell does.
//!
//! Called by [`set`](crate::set) for every pattern. [`products`](crate::products) divides a set in several dimensions
//! into products.

use crate::grid::Rest;
use crate::index::Index;
use crate::pattern::{self, Piece};
use crate::products::{Span, products};

/// Appends the comma between two parts of an expression, if there is a part before it.
pub(crate) fn push_separator(out: &mut String) {
    if !out.is_empty() {
        out.push(',');
    }
}

/// Appends the names of one pattern with `before` and `after` around each product of ranges.
pub(crate) fn push_folded(pattern: &str, rest: &Rest, before: &str, after: &str, out: &mut String) {
    let pieces: Vec<Piece<'_>> = pattern::pieces(pattern).collect();
    for product in products(rest) {
        push_separator(out);
        out.push_str(before);
        let mut dimensions = product.iter();
        for piece in &pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Hole => {
                    if let Some(spans) = dimensions.next() {
                        push_spans(spans, out);
                    }
                }
            }
        }
        out.push_str(after);
    }
}

/// Appends sorted ranges, in brackets if they are more than one index.
fn push_spans(spans: &[Span], out: &mut String) {
    // ClusterShell writes a single index without brackets.
    if let [(first, last)] = spans
        && first == last
    {
        return Index(*first).push_to(out);
    }
    out.push('[');
    let mut spans = spans.iter().copied().peekable();
    // ClusterShell finds the padding of a range at its first index. But after a single index it keeps the padding of
    // that index while the number of digits fits: [09,16-121] is [09,16-99,100-121].
    let mut padded = false;
    let mut single = None;
    while let Some((first, mut last)) = spans.next() {
        let index = Index(first);
        let width = index.width();
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
        while let Some(next) =
            spans.next_if(|next| !padded && Index(last).successor() == Some(Index(next.0)))
        {
            last = next.1;
        }
        single = (first == last).then_some(width);
        index.push_to(out);
        if last > first {
            out.push('-');
            Index(last).push_to(out);
        }
        if spans.peek().is_some() {
            out.push(',');
        }
    }
    out.push(']');
}
