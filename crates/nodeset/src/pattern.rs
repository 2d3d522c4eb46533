//! Names as patterns and indexes: `r1n07-ib` is `r%sn%s-ib` with `1` and `07`.
//!
//! A pattern has `%s` for each hole and `%%` for a percent sign, as ClusterShell's patterns do. So patterns sorted as
//! text give ClusterShell's order of names. Every run of digits is a hole, except runs too long for an [`Index`].

use crate::index::Index;

/// The mark of an index in a pattern.
const HOLE: &str = "%s";

/// Splits a name: appends its pattern to `pattern` and its indexes to `points`.
pub(crate) fn split(name: &str, pattern: &mut String, points: &mut Vec<u64>) {
    let mut rest = name;
    while !rest.is_empty() {
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        push_literal(pattern, &rest[..letters]);
        rest = &rest[letters..];
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        match Index::parse(&rest.as_bytes()[..digits]) {
            Some(index) => {
                pattern.push_str(HOLE);
                points.push(index.0);
            }
            // Too long for an index, so the digits count as letters.
            None => pattern.push_str(&rest[..digits]),
        }
        rest = &rest[digits..];
    }
}

/// Appends text that has no holes.
pub(crate) fn push_literal(pattern: &mut String, text: &str) {
    // Percent signs are rare, and most names are copied as they are.
    if text.contains('%') {
        pattern.push_str(&text.replace('%', "%%"));
    } else {
        pattern.push_str(text);
    }
}

pub(crate) fn push_hole(pattern: &mut String) {
    pattern.push_str(HOLE);
}

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text of the name.
    Text(&'a str),
    /// Place of the next index.
    Hole,
}

impl<'a> Piece<'a> {
    /// The text; none in a hole.
    pub(crate) fn text(&self) -> &'a str {
        match self {
            Piece::Text(text) => text,
            Piece::Hole => "",
        }
    }
}

/// The pieces of a pattern in order.
pub(crate) fn pieces(pattern: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = pattern;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, used) = match rest.strip_prefix('%') {
            Some(after) if after.starts_with('s') => (Piece::Hole, 2),
            // The second character of `%%`.
            Some(_) => (Piece::Text(&rest[..1]), 2),
            None => {
                let end = rest.find('%').unwrap_or(rest.len());
                (Piece::Text(&rest[..end]), end)
            }
        };
        // No pattern ends in a single percent sign; if one did, it must not panic.
        rest = rest.get(used..).unwrap_or("");
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_digits() {
        let split = |name: &str| {
            let (mut pattern, mut points) = (String::new(), Vec::new());
            super::split(name, &mut pattern, &mut points);
            (pattern, points.len())
        };
        assert_eq!(split("r1n07-ib"), ("r%sn%s-ib".to_owned(), 2));
        assert_eq!(split("plain"), ("plain".to_owned(), 0));
        assert_eq!(split("50%s"), ("%s%%s".to_owned(), 1));
        assert_eq!(
            split("é1234567890123456789x2"),
            ("é1234567890123456789x%s".to_owned(), 1)
        );
    }

    #[test]
    fn pieces_give_the_text_back() {
        let pieces: Vec<_> = super::pieces("%s%%s%sx").collect();
        let text = Piece::Text;
        assert_eq!(
            pieces,
            [Piece::Hole, text("%"), text("s"), Piece::Hole, text("x")]
        );
    }
}
