//! The grammar of one word: data, and names with their ranges.
//!
//! Called by [`expression`](crate::parse::expression), which finds the words.

use std::ops::Range;

use super::{Op, Operand, error};
use crate::attributes::{Attributes, Word};
use crate::error::{Fault, MAX_NAME, NodeSetError};
use crate::list::{ListWord, data};
use crate::names::Names;

/// A parser of the words of one text. All spans are bytes of that text.
pub(crate) struct WordParser<'a> {
    pub(crate) text: &'a str,
    pub(crate) limit: usize,
}

impl WordParser<'_> {
    /// Parses data and the names, masks or groups in it.
    pub(crate) fn word<A: Attributes>(
        &self,
        span: Range<usize>,
        op: Op,
    ) -> Result<Operand<A>, NodeSetError> {
        let Word {
            attributes,
            names,
            label,
            address,
        } = self.split(span.clone(), op)?;
        let attributes = data(attributes);
        if self.text[names.clone()].starts_with('@') {
            let names = self.names(names.start + 1..names.end, is_group_char)?;
            self.check(&names, span)?;
            return Ok(Operand::Groups { attributes, names });
        }
        if names.is_empty() {
            return error(names, Fault::EmptyName);
        }
        let text = &self.text[names.clone()];
        // ssh and other programs would take the name for an option.
        if text.starts_with('-') {
            return error(names.start..names.start + 1, Fault::LeadingDash);
        }
        let before = self.text[label.start..names.start].into();
        let after = self.text[names.end..label.end].into();
        let masks = text.contains(['*', '?']);
        let names = if address {
            // An address can have colons and brackets that are no ranges.
            Names::One(text.into())
        } else {
            self.names(names, if masks { is_mask_char } else { is_name_char })?
        };
        self.check(&names, span)?;
        let word = ListWord {
            names,
            before,
            after,
            attributes,
        };
        Ok(if masks {
            Operand::Masks(word)
        } else {
            Operand::Hosts(word)
        })
    }

    /// Divides a word into data and names, whose ranges become bytes of the whole text.
    fn split<A: Attributes>(&self, span: Range<usize>, op: Op) -> Result<Word<A>, NodeSetError> {
        let shifted = |range: Range<usize>| span.start + range.start..span.start + range.end;
        let operator = op.takes_only_names().then(|| op.symbol());
        match A::split(&self.text[span.clone()], operator) {
            Ok(word) => Ok(Word {
                names: shifted(word.names),
                label: shifted(word.label),
                ..word
            }),
            Err(fault) => {
                let (message, help) = (fault.message.into(), fault.help.map(Into::into));
                error(shifted(fault.span), Fault::Word { message, help })
            }
        }
    }

    /// Checks the length and the number of names.
    fn check(&self, names: &Names, span: Range<usize>) -> Result<(), NodeSetError> {
        let (bytes, count, limit) = (names.max_bytes(), names.len(), self.limit);
        // `@` alone has an empty name.
        if bytes == 0 {
            return error(span, Fault::EmptyName);
        }
        if bytes > MAX_NAME {
            return error(span, Fault::NameTooLong(bytes));
        }
        // Computed, so nothing is expanded for a set that is too large.
        if count > limit as u128 {
            return error(span, Fault::TooMany { count, limit });
        }
        Ok(())
    }
}

/// True for a character that expressions allow in a name: any visible one without a meaning in shells, file names and
/// expressions.
#[must_use]
pub fn is_name_char(c: char) -> bool {
    match c {
        '-' | '_' | '.' | '%' | '+' | '~' => true,
        _ if c.is_ascii() => c.is_ascii_alphanumeric(),
        _ => !c.is_control() && !c.is_whitespace(),
    }
}

fn is_mask_char(c: char) -> bool {
    is_name_char(c) || c == '*' || c == '?'
}

/// True for a character of the name of a group and its source. A source may have any names.
fn is_group_char(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}
