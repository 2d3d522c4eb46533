//! The grammar of expressions: operators, and the words between them.
//!
//! Called with text by [`HostList`](super::HostList). Never expands anything; counts are checked by
//! arithmetic, so an expression costs time and memory in proportion to its own length, plus at most
//! the limit where digits are written together with ranges.

mod word;

use std::ops::Range;

use self::word::WordParser;
use super::error::{Fault, NodeSetError};
use super::words::HostWord;

/// How a word changes what was named before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `,` or white space: add.
    Union,
    /// `!`: take away.
    Difference,
    /// `&`: keep only these.
    Intersection,
    /// `^`: add, but take away what is on both sides.
    Symmetric,
}

impl Op {
    fn from_char(c: char) -> Option<Op> {
        match c {
            ',' => Some(Op::Union),
            '!' => Some(Op::Difference),
            '&' => Some(Op::Intersection),
            '^' => Some(Op::Symmetric),
            _ => None,
        }
    }

    /// As it is written.
    pub(super) fn symbol(self) -> char {
        match self {
            Op::Union => ',',
            Op::Difference => '!',
            Op::Intersection => '&',
            Op::Symmetric => '^',
        }
    }
}

/// One word with the operator before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) op: Op,
    pub(super) span: Range<usize>,
    pub(super) word: HostWord,
}

fn error<T>(span: Range<usize>, fault: Fault) -> Result<T, NodeSetError> {
    Err(NodeSetError { span, fault })
}

/// Splits an expression into words and calls `each` with every one, left to right.
///
/// Commas may stand anywhere, since joined lists have them doubled or at an end; the other operators
/// need a word on both sides.
pub(super) fn expression(
    text: &str,
    limit: usize,
    mut each: impl FnMut(Item) -> Result<(), NodeSetError>,
) -> Result<(), NodeSetError> {
    let mut pending: Option<(Op, usize)> = None;
    let mut words = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
        } else if let Some(op) = Op::from_char(c) {
            let needs_left = op != Op::Union && words == 0;
            let needs_right = pending.is_some_and(|(pending, _)| pending != Op::Union);
            match pending {
                Some((before, place)) if needs_right => {
                    return error(place..place + 1, Fault::MissingOperand(before.symbol()));
                }
                _ if needs_left => return error(at..at + 1, Fault::MissingOperand(c)),
                Some(_) if op != Op::Union => {
                    return error(at..at + 1, Fault::MissingOperand(c));
                }
                _ => pending = Some((op, at)),
            }
            at += 1;
        } else {
            let span = at..word_end(text, at)?;
            at = span.end;
            let op = pending.take().map_or(Op::Union, |(op, _)| op);
            let word = WordParser { text, limit }.word(span.clone(), op)?;
            words += 1;
            each(Item { op, span, word })?;
        }
    }
    match pending {
        Some((op, place)) if op != Op::Union => {
            error(place..place + 1, Fault::MissingOperand(op.symbol()))
        }
        _ => Ok(()),
    }
}

/// Where the word that starts at `start` ends: at an operator or white space outside brackets.
fn word_end(text: &str, start: usize) -> Result<usize, NodeSetError> {
    let mut at = start;
    loop {
        let rest = &text[at..];
        let Some(offset) = rest
            .find(|c: char| c.is_whitespace() || Op::from_char(c).is_some() || "[]".contains(c))
        else {
            return Ok(text.len());
        };
        at += offset;
        match text.as_bytes()[at] {
            b'[' => match text[at..].find(']') {
                Some(length) => at += length + 1,
                None => return error(at..at + 1, Fault::UnclosedBracket),
            },
            b']' => return error(at..at + 1, Fault::StrayBracket),
            _ => return Ok(at),
        }
    }
}
