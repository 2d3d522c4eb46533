//! The grammar of expressions: operators, and the operands between them.
//!
//! Called with text by [`eval`](super::eval). Never expands anything and looks nothing up; counts are
//! checked by arithmetic, so an expression costs time and memory in proportion to its own length,
//! plus at most the limit where digits are written together with ranges.

mod name;
mod word;

use std::ops::Range;

use self::word::WordParser;
use super::error::{Fault, NodeSetError};
use super::list::Options;
use super::words::{HostWord, Names};

/// How an operand changes what was named before it.
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
    /// `-` before the operand, where a name could begin: take away from all there will be.
    Exclusion,
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
            Op::Exclusion => '-',
        }
    }

    /// Whether the operand adds names.
    pub(super) fn adds(self) -> bool {
        matches!(self, Op::Union | Op::Symmetric)
    }
}

/// What an operator is applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Names of hosts.
    Hosts(HostWord),
    /// `@group`, without the `@`, and what is said before it about all its hosts.
    Groups { options: Options, names: Names },
    /// Names with `*` and `?` in them.
    Masks(HostWord),
    /// `^path`, or `-` for standard input.
    File(Box<str>),
    /// `/expression/`.
    Regex(Box<str>),
}

/// One operand with the operator before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) op: Op,
    pub(super) span: Range<usize>,
    pub(super) operand: Operand,
}

/// What a text may contain, which depends on where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grammar {
    /// The most names that one operand may stand for.
    pub(super) limit: usize,
    /// Whether pdsh's `^file`, `/regex/` and `-name` are understood: on a command line they are, in
    /// the definition of a group they are not.
    pub(super) pdsh: bool,
}

fn error<T>(span: Range<usize>, fault: Fault) -> Result<T, NodeSetError> {
    Err(NodeSetError { span, fault })
}

/// Splits an expression into operands and calls `each` with every one, left to right.
///
/// Commas may stand anywhere, since joined lists have them doubled or at an end; the other operators
/// need an operand on both sides. A `^` where an operand has to come is not an operator but pdsh's
/// mark of a file.
pub(super) fn expression(
    text: &str,
    grammar: Grammar,
    mut each: impl FnMut(Item) -> Result<(), NodeSetError>,
) -> Result<(), NodeSetError> {
    let mut pending: Option<(Op, usize)> = None;
    let mut operands = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let operator = Op::from_char(c);
        let file = grammar.pdsh && c == '^' && (pending.is_some() || operands == 0);
        if c.is_whitespace() {
            at += c.len_utf8();
        } else if let Some(op) = operator.filter(|_| !file) {
            if op != Op::Union && (pending.is_some() || operands == 0) {
                return error(at..at + 1, Fault::MissingOperand(c));
            }
            if let Some((before, place)) = pending
                && before != Op::Union
            {
                return error(place..place + 1, Fault::MissingOperand(before.symbol()));
            }
            pending = Some((op, at));
            at += 1;
        } else {
            let op = pending.take().map_or(Op::Union, |(op, _)| op);
            let item = OperandParser { text, grammar }.item(op, at)?;
            at = item.span.end;
            operands += 1;
            each(item)?;
        }
    }
    match pending {
        Some((op, place)) if op != Op::Union => {
            error(place..place + 1, Fault::MissingOperand(op.symbol()))
        }
        _ => Ok(()),
    }
}

/// Reads positions below `end`, written like the ranges in brackets, in the given order.
pub fn positions(text: &str, end: usize) -> Result<Vec<usize>, NodeSetError> {
    let parser = WordParser { text, limit: end };
    let mut positions = Vec::new();
    for run in parser.ranges(0..text.len())?.runs() {
        let below = run.values().take_while(|&value| value < end as u64);
        positions.extend(below.map(|value| value as usize));
    }
    Ok(positions)
}

/// Finds out what kind of operand comes, and where it ends.
struct OperandParser<'a> {
    text: &'a str,
    grammar: Grammar,
}

impl OperandParser<'_> {
    /// Parses the operand that starts at `start`.
    fn item(&self, op: Op, start: usize) -> Result<Item, NodeSetError> {
        let rest = &self.text[start..];
        if self.grammar.pdsh && rest.starts_with('-') && op == Op::Union {
            let after = start + 1;
            let lone = self.text[after..]
                .chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || c == ',');
            if lone {
                let operand = Operand::File("-".into());
                return Ok(Item {
                    op,
                    span: start..after,
                    operand,
                });
            }
            let (end, operand) = self.operand(Op::Exclusion, after)?;
            return Ok(Item {
                op: Op::Exclusion,
                span: start..end,
                operand,
            });
        }
        let (end, operand) = self.operand(op, start)?;
        Ok(Item {
            op,
            span: start..end,
            operand,
        })
    }

    fn operand(&self, op: Op, start: usize) -> Result<(usize, Operand), NodeSetError> {
        let rest = &self.text[start..];
        if self.grammar.pdsh {
            if let Some(path) = rest.strip_prefix('^') {
                let length = path
                    .find(|c: char| c == ',' || c.is_whitespace())
                    .unwrap_or(path.len());
                if length == 0 {
                    return error(start..start + 1, Fault::MissingFile);
                }
                return Ok((start + 1 + length, Operand::File(path[..length].into())));
            }
            if let Some(regex) = rest.strip_prefix('/') {
                let (length, closed) = regex_length(regex);
                if length == 0 || op == Op::Symmetric {
                    return error(start..start + 1 + length, Fault::MisplacedRegex);
                }
                let end = start + 1 + length + usize::from(closed);
                return Ok((end, Operand::Regex(regex[..length].into())));
            }
        }
        let span = start..word_end(self.text, start)?;
        let parser = WordParser {
            text: self.text,
            limit: self.grammar.limit,
        };
        Ok((span.end, parser.word(span, op)?))
    }
}

/// How long a regular expression is whose first slash is behind us, and whether it has a second one.
/// As in pdsh, the second may be missing; a comma inside needs both.
fn regex_length(text: &str) -> (usize, bool) {
    let separates = |c: char| c == ',' || c.is_whitespace();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        let last = text[at + c.len_utf8()..]
            .chars()
            .next()
            .is_none_or(|next| separates(next) || Op::from_char(next).is_some());
        if c == '/' && !escaped && last {
            return (at, true);
        }
        escaped = c == '\\' && !escaped;
    }
    (text.find(separates).unwrap_or(text.len()), false)
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
