//! The grammar of expressions: operators, and the operands between them.
//!
//! Called by [`eval`](crate::eval). Expands nothing and looks nothing up. Counts are checked by arithmetic, so an
//! expression takes time and memory in proportion to its own length, and up to the limit where digits touch ranges.

mod name;
mod word;

use std::ops::Range;

use self::word::WordParser;
pub use self::word::is_name_char;
use crate::attributes::Attributes;
use crate::error::{Fault, NodeSetError};
use crate::list::{Data, ListWord};
use crate::names::Names;

/// An operator: the effect of an operand on the names before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `,` or white space: adds names.
    Union,
    /// `!`: removes names.
    Difference,
    /// `&`: keeps only these names.
    Intersection,
    /// `^`: adds names, and removes those on both sides.
    Symmetric,
    /// `-` before an operand: removes names from the whole list.
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

    /// The character of the operator.
    pub(crate) fn symbol(self) -> char {
        match self {
            Op::Union => ',',
            Op::Difference => '!',
            Op::Intersection => '&',
            Op::Symmetric => '^',
            Op::Exclusion => '-',
        }
    }

    /// True if only names count in the operand, and data has no meaning.
    pub(crate) fn takes_only_names(self) -> bool {
        matches!(self, Op::Difference | Op::Intersection)
    }
}

/// An operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand<A> {
    /// Names of hosts.
    Hosts(ListWord<A>),
    /// Groups, without the `@`, and the data of all their hosts.
    Groups { attributes: Data<A>, names: Names },
    /// Names with `*` and `?`.
    Masks(ListWord<A>),
    /// `^path`, or `-` for standard input.
    File(Box<str>),
    /// `/expression/`.
    Regex(Box<str>),
}

/// An operand with the operator before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item<A> {
    pub(crate) op: Op,
    pub(crate) span: Range<usize>,
    pub(crate) operand: Operand<A>,
}

/// The grammar of a text, which depends on its source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar {
    /// Maximum number of names of one operand.
    pub(crate) limit: usize,
    /// True if pdsh's `^file`, `/regex/` and `-name` are allowed: on a command line, not in the definition of a group.
    pub(crate) pdsh: bool,
}

fn error<T>(span: Range<usize>, fault: Fault) -> Result<T, NodeSetError> {
    Err(NodeSetError { span, fault })
}

/// Divides an expression into operands and calls `each` with every one, from left to right.
///
/// Commas may be anywhere, because joined lists have doubled ones and some at an end. The other operators need an
/// operand on both sides. A `^` where an operand is expected is not an operator but pdsh's mark of a file.
pub(crate) fn expression<A: Attributes>(
    text: &str,
    grammar: Grammar,
    mut each: impl FnMut(Item<A>) -> Result<(), NodeSetError>,
) -> Result<(), NodeSetError> {
    let mut pending: Option<(Op, usize)> = None;
    let mut operands = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let operator = Op::from_char(c);
        // pdsh's `^file` and ClusterShell's `a^b` share a character. The position decides.
        let file = grammar.pdsh && c == '^' && (pending.is_some() || operands == 0);
        if c.is_whitespace() {
            at += c.len_utf8();
        } else if let Some(op) = operator.filter(|_| !file) {
            // Commas may be doubled or at an end, because joined lists have such commas.
            if op != Op::Union && (pending.is_some() || operands == 0) {
                return error(at..at + 1, Fault::MissingOperand(c));
            }
            // `a!,b`: the operator before the comma has no operand.
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

/// Reads positions below `end`, written as ranges without brackets, in the written order.
///
/// ```
/// assert_eq!(nodeset::positions("0-2,9,4-100/2", 8)?, [0, 1, 2, 4, 6]);
/// # Ok::<(), nodeset::NodeSetError>(())
/// ```
///
/// # Errors
/// The text is not a list of ranges.
pub fn positions(text: &str, end: usize) -> Result<Vec<usize>, NodeSetError> {
    let parser = WordParser { text, limit: end };
    let mut positions = Vec::new();
    for run in parser.ranges(0..text.len())?.runs() {
        // The values of a run ascend, so none fits after the first that does not.
        let below = run.values().take_while(|&value| value < end as u64);
        positions.extend(below.map(|value| value as usize));
    }
    Ok(positions)
}

/// Parses operands: finds the kind and the end of each.
struct OperandParser<'a> {
    text: &'a str,
    grammar: Grammar,
}

impl OperandParser<'_> {
    /// Parses the operand that starts at `start`.
    fn item<A: Attributes>(&self, op: Op, start: usize) -> Result<Item<A>, NodeSetError> {
        let rest = &self.text[start..];
        // After another operator, a name is expected, which cannot start with `-`.
        if self.grammar.pdsh && rest.starts_with('-') && op == Op::Union {
            let after = start + 1;
            // `-` without a name is standard input.
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

    fn operand<A: Attributes>(
        &self,
        op: Op,
        start: usize,
    ) -> Result<(usize, Operand<A>), NodeSetError> {
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
                // `a^/x/`: a symmetric difference needs names on both sides.
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

/// Returns the length of a regular expression after its first slash, and true if there is a second slash. As in pdsh,
/// the second one may be missing; a comma in the expression needs both.
fn regex_length(text: &str) -> (usize, bool) {
    let separates = |c: char| c == ',' || c.is_whitespace();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        // Only a slash at the end of the word closes the expression: `/a/b/` has one within.
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

/// Returns the end of the word that starts at `start`: an operator or white space outside brackets.
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
            // A comma in brackets separates ranges, not words.
            b'[' => match text[at..].find(']') {
                Some(length) => at += length + 1,
                None => return error(at..at + 1, Fault::UnclosedBracket),
            },
            b']' => return error(at..at + 1, Fault::StrayBracket),
            _ => return Ok(at),
        }
    }
}
