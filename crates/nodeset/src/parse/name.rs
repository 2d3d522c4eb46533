//! The grammar of a name with brackets, and of the ranges in them.
//!
//! Part of [`WordParser`]. Digits that touch a bracket belong to its numbers: `n1[0-2]` is `n[10-12]`.

use std::ops::Range;

use super::error;
use super::word::WordParser;
use crate::error::{Fault, NodeSetError};
use crate::index::Index;
use crate::names::Names;
use crate::pattern;
use crate::ranges::{ConcatError, Ranges};

impl WordParser<'_> {
    /// Parses a name of allowed characters with any number of brackets.
    pub(crate) fn names(
        &self,
        span: Range<usize>,
        allowed: fn(char) -> bool,
    ) -> Result<Names, NodeSetError> {
        let check = |start: usize, text: &str| match text.char_indices().find(|&(_, c)| !allowed(c))
        {
            None => Ok(()),
            Some((at, c)) => {
                let at = start + at;
                error(at..at + c.len_utf8(), Fault::BadCharacter(c))
            }
        };
        let word = &self.text[span.clone()];
        if !word.contains('[') {
            check(span.start, word)?;
            return Ok(Names::One(word.into()));
        }
        let mut pattern = String::new();
        let mut dimensions = Vec::new();
        let mut number: Option<Ranges> = None;
        let mut at = span.start;
        while at < span.end {
            let rest = &self.text[at..span.end];
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            if rest.starts_with('[') {
                let length = rest.find(']').unwrap_or(rest.len());
                let ranges = self.ranges(at + 1..at + length)?;
                self.append(&mut number, ranges, at..at + length + 1)?;
                at += length + 1;
            } else if digits > 0 {
                let touches = number.is_some() || rest[digits..].starts_with('[');
                match Index::parse(&rest.as_bytes()[..digits]) {
                    Some(index) => {
                        self.append(&mut number, Ranges::single(index), at..at + digits)?;
                    }
                    // Only numbers around brackets must fit in an index. Other long digits count as letters.
                    None if touches => return error(at..at + digits, Fault::TooManyDigits),
                    None => pattern.push_str(&rest[..digits]),
                }
                at += digits;
            } else {
                flush(&mut number, &mut pattern, &mut dimensions);
                let length = rest
                    .find(|c: char| c == '[' || c.is_ascii_digit())
                    .unwrap_or(rest.len());
                check(at, &rest[..length])?;
                // A pattern has two percent signs for one in the name.
                pattern::push_literal(&mut pattern, &rest[..length]);
                at += length;
            }
        }
        flush(&mut number, &mut pattern, &mut dimensions);
        Ok(Names::Product {
            pattern: pattern.into(),
            dimensions: dimensions.into(),
        })
    }

    /// Appends numbers to those directly before them, if there are any.
    fn append(
        &self,
        number: &mut Option<Ranges>,
        next: Ranges,
        span: Range<usize>,
    ) -> Result<(), NodeSetError> {
        let joined = match number.take() {
            None => Ok(next),
            Some(before) => before.concat(&next, self.limit),
        };
        match joined {
            Ok(ranges) => *number = Some(ranges),
            Err(ConcatError::Digits) => return error(span, Fault::TooManyDigits),
            Err(ConcatError::Count(count)) => {
                return error(
                    span,
                    Fault::TooMany {
                        count,
                        limit: self.limit,
                    },
                );
            }
        }
        Ok(())
    }

    /// Parses the text between brackets.
    pub(crate) fn ranges(&self, span: Range<usize>) -> Result<Ranges, NodeSetError> {
        let mut ranges = Ranges::default();
        let mut start = span.start;
        for part in self.text[span].split(',') {
            self.range(start..start + part.len(), &mut ranges)?;
            start += part.len() + 1;
        }
        Ok(ranges)
    }

    /// Parses `7`, `1-9` or `0-10/2`.
    fn range(&self, span: Range<usize>, ranges: &mut Ranges) -> Result<(), NodeSetError> {
        let text = &self.text[span.clone()];
        let split = |from: Range<usize>, mark: char| match self.text[from.clone()].find(mark) {
            Some(at) => (
                from.start..from.start + at,
                Some(from.start + at + 1..from.end),
            ),
            None => (from, None),
        };
        let (bounds, step) = split(span.clone(), '/');
        let (first, last) = split(bounds, '-');
        let (first_width, first) = self.number(first)?;
        let step = match step {
            None => 1,
            Some(step) => match self.number(step.clone())? {
                (_, 0) => {
                    return error(
                        trimmed(&self.text[step.clone()], step.start),
                        Fault::ZeroStep,
                    );
                }
                (_, step) => step,
            },
        };
        let here = trimmed(text, span.start);
        let Some(last) = last else {
            // A step of 1 after a single number changes nothing.
            if step > 1 {
                return error(here, Fault::StepWithoutRange);
            }
            ranges.push(first_width, first, first, 1);
            return Ok(());
        };
        let (last_width, last) = self.number(last)?;
        // pdsh accepts `[01-100]`: the first number sets the minimum width. A padded last number must have that width.
        let padded = Index::new(last_width, last).is_padded();
        if padded && first_width != last_width {
            return error(here, Fault::PaddingMismatch);
        }
        if first > last {
            return error(here, Fault::Backwards(first, last));
        }
        // `[01-100]` is padded, `[1-100]` is not.
        let padded = Index::new(first_width, first).is_padded();
        ranges.push(if padded { first_width } else { 1 }, first, last, step);
        Ok(())
    }

    /// Parses a number and returns the number of its digits and its value.
    fn number(&self, span: Range<usize>) -> Result<(usize, u64), NodeSetError> {
        let text = self.text[span.clone()].trim();
        let here = trimmed(&self.text[span.clone()], span.start);
        if text.is_empty() {
            return error(span, Fault::MissingNumber);
        }
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return error(here, Fault::NotANumber(text.into()));
        }
        match Index::parse(text.as_bytes()) {
            Some(index) => Ok((index.width(), index.value())),
            None => error(here, Fault::TooManyDigits),
        }
    }
}

/// Ends a number, which becomes a dimension and a hole in the pattern.
fn flush(number: &mut Option<Ranges>, pattern: &mut String, dimensions: &mut Vec<Ranges>) {
    if let Some(ranges) = number.take() {
        pattern::push_hole(pattern);
        dimensions.push(ranges);
    }
}

/// Returns the span of `text`, which starts at `start`, without white space around it.
fn trimmed(text: &str, start: usize) -> Range<usize> {
    let skipped = text.len() - text.trim_start().len();
    start + skipped..start + skipped + text.trim().len()
}
