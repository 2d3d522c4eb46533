//! ClusterShell's grammar of expressions: words with ranges, and the operators between them.

use nodeset::{NodeSet, NumberRange, RangeSet};

use super::ClusterShellError;
use super::ranges::{RangeFault, ranges};

/// An operator before a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Union,
    Difference,
    Intersection,
    Symmetric,
}

impl Operator {
    fn new(c: char) -> Option<Operator> {
        match c {
            ',' => Some(Operator::Union),
            '!' => Some(Operator::Difference),
            '&' => Some(Operator::Intersection),
            '^' => Some(Operator::Symmetric),
            _ => None,
        }
    }

    pub(super) fn apply(self, set: &NodeSet, operand: &NodeSet) -> NodeSet {
        match self {
            Operator::Union => set.union(operand),
            Operator::Difference => set.difference(operand),
            Operator::Intersection => set.intersection(operand),
            Operator::Symmetric => set.symmetric_difference(operand),
        }
    }
}

/// A word: texts with ranges between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExpressionWord {
    /// The texts before each of the ranges, and the one after the last.
    texts: Vec<String>,
    ranges: Vec<RangeSet>,
}

impl ExpressionWord {
    /// Reads a name without brackets: every number is a range of one index.
    pub(super) fn single(name: &str) -> Result<ExpressionWord, ClusterShellError> {
        let mut word = ExpressionWord::default();
        word.push_name(name)?;
        Ok(word)
    }

    pub(super) fn is_group(&self) -> bool {
        self.texts.first().is_some_and(|text| text.starts_with('@'))
    }

    pub(super) fn has_wildcard(&self) -> bool {
        self.texts.iter().any(|text| text.contains(['*', '?']))
    }

    pub(super) fn to_set(&self) -> NodeSet {
        let mut texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        texts.resize(self.ranges.len() + 1, "");
        NodeSet::product(&texts, &self.ranges)
    }

    fn push_text(&mut self, text: &str) {
        self.texts.resize(self.ranges.len() + 1, String::new());
        self.texts[self.ranges.len()].push_str(text);
    }

    fn push_ranges(&mut self, ranges: RangeSet) {
        self.push_text("");
        self.ranges.push(ranges);
    }

    /// Appends text and numbers.
    fn push_name(&mut self, name: &str) -> Result<(), ClusterShellError> {
        if name.is_empty() {
            return Err(ClusterShellError::parse("", "parse error"));
        }
        let mut rest = name;
        while !rest.is_empty() {
            let length = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            self.push_text(&rest[..length]);
            rest = &rest[length..];
            let length = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let digits = &rest[..length];
            // ClusterShell refuses such a number. Others that are too long here count as letters.
            if is_too_large(digits) {
                let message = format!("invalid rangeset index : \"{digits}\"");
                return Err(ClusterShellError::parse(&message, "bad range"));
            }
            match digits.parse() {
                Ok(number) if length <= NumberRange::MAX_DIGITS => {
                    self.push_ranges([NumberRange::single(number, length)].into_iter().collect());
                }
                // No digits, or more than an index can have, which count as letters.
                _ => self.push_text(digits),
            }
            rest = &rest[length..];
        }
        Ok(())
    }
}

/// True for a number above the limit of ClusterShell, which is 1e100.
fn is_too_large(digits: &str) -> bool {
    let digits = digits.trim_start_matches('0');
    digits.len() > 101 || digits.len() == 101 && digits.trim_end_matches('0') != "1"
}

/// The rest of an expression, and the operator before it.
pub(super) struct Scanner<'a> {
    rest: Option<&'a str>,
    next: Operator,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Scanner<'a> {
        Scanner {
            // In ClusterShell, an empty expression is an empty set and no error.
            rest: Some(text.trim()).filter(|text| !text.is_empty()),
            next: Operator::Union,
        }
    }

    /// Reads the next word and the operator before it.
    pub(super) fn next(&mut self) -> Result<Option<(Operator, ExpressionWord)>, ClusterShellError> {
        let Some(text) = self.rest.take() else {
            return Ok(None);
        };
        let text = text.trim_start();
        let operator = self.next;
        // A comma after a bracket can be a part of its ranges, so the first of both decides.
        let word = match (next_operator(text), text.find('[')) {
            (end, Some(bracket)) if end.is_none_or(|(at, _)| at > bracket) => {
                self.bracketed(text)?
            }
            (end, _) => self.plain(text, end)?,
        };
        Ok(Some((operator, word)))
    }

    /// Reads a word without brackets.
    fn plain(
        &mut self,
        text: &'a str,
        end: Option<(usize, char)>,
    ) -> Result<ExpressionWord, ClusterShellError> {
        let node = match end {
            None => text,
            Some((at, c)) => {
                let (node, rest) = (&text[..at], &text[at + 1..]);
                if node.is_empty() || rest.is_empty() {
                    let part = if node.is_empty() { rest } else { node };
                    return Err(missing_operand(part, c));
                }
                self.continue_with(c, rest);
                node
            }
        };
        if node.contains(']') {
            return Err(ClusterShellError::parse(node, "illegal closing bracket"));
        }
        // ClusterShell removes white space only at the ends of a name.
        ExpressionWord::single(node.trim_end())
    }

    /// Reads a word with brackets.
    fn bracketed(&mut self, text: &'a str) -> Result<ExpressionWord, ClusterShellError> {
        let mut word = ExpressionWord::default();
        let mut suffix = text;
        loop {
            let more = suffix.find('[').filter(|bracket| {
                next_operator(suffix).is_none_or(|(operator, _)| operator > *bracket)
            });
            let Some(open) = more else { break };
            let (prefix, inside) = (&suffix[..open], &suffix[open + 1..]);
            let Some((inner, after)) = inside.split_once(']') else {
                return Err(ClusterShellError::parse(text, "missing bracket"));
            };
            if prefix.contains(']') {
                return Err(ClusterShellError::parse(prefix, "illegal closing bracket"));
            }
            if let Some(close) = after.find(']')
                && after.find('[').is_none_or(|open| close < open)
            {
                return Err(ClusterShellError::parse(after, "illegal closing bracket"));
            }
            let (after, inner) = with_digits_after(after, inner)?;
            let (prefix, inner) = with_digits_before(prefix, &inner)?;
            if !prefix.is_empty() {
                word.push_name(prefix)?;
            }
            if after.starts_with('[') {
                return Err(ClusterShellError::parse(after, "illegal reopening bracket"));
            }
            word.push_ranges(inside_name(ranges(&inner))?);
            suffix = after;
        }
        if let Some((at, c)) = next_operator(suffix) {
            let rest = &suffix[at + 1..];
            suffix = &suffix[..at];
            if rest.is_empty() {
                // ClusterShell names no part here, unlike after a word without brackets.
                return Err(missing_operand("", c));
            }
            self.continue_with(c, rest);
        }
        let suffix = suffix.trim_end();
        if !suffix.is_empty() {
            word.push_name(suffix)?;
        }
        Ok(word)
    }

    fn continue_with(&mut self, operator: char, rest: &'a str) {
        self.next = Operator::new(operator).unwrap_or(Operator::Union);
        self.rest = Some(rest);
    }
}

fn next_operator(text: &str) -> Option<(usize, char)> {
    text.char_indices()
        .find(|(_, c)| Operator::new(*c).is_some())
}

fn missing_operand(part: &str, operator: char) -> ClusterShellError {
    let message = format!("missing nodeset operand with '{operator}' operator");
    ClusterShellError::parse(part, &message)
}

/// Turns a fault of ranges into the error of the name around them.
fn inside_name(ranges: Result<RangeSet, RangeFault>) -> Result<RangeSet, ClusterShellError> {
    ranges.map_err(|fault| match fault {
        RangeFault::Parse(message) => ClusterShellError::parse(&message, "bad range"),
        RangeFault::Other(error) => error,
    })
}

/// Moves the digits after a bracket into its ranges: `[1-3]0` is `[10-30/10]`.
fn with_digits_after<'t>(
    after: &'t str,
    inner: &str,
) -> Result<(&'t str, String), ClusterShellError> {
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &after[..after.len() - rest.len()];
    if digits.is_empty() {
        return Ok((after, inner.to_owned()));
    }
    // The digits give each range a step, and a range cannot have two steps.
    if inner.contains('/') {
        let message = "illegal trailing digits after range with steps";
        return Err(ClusterShellError::parse(after, message));
    }
    let zeros = "0".repeat(digits.len());
    let ranges = inner.split(',').map(|range| {
        let ends: Vec<String> = range
            .split('-')
            .map(|end| format!("{end}{digits}"))
            .collect();
        // A single number with a step is an error in the grammar of ranges.
        let step = if range.contains('-') {
            format!("/1{zeros}")
        } else {
            String::new()
        };
        ends.join("-") + &step
    });
    Ok((rest, ranges.collect::<Vec<_>>().join(",")))
}

/// Moves the digits before a bracket into its ranges: `1[0-3]` is `[10-13]`, and `1[8-10]` is `[18-110]`.
fn with_digits_before<'t>(
    before: &'t str,
    inner: &str,
) -> Result<(&'t str, String), ClusterShellError> {
    let rest = before.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &before[rest.len()..];
    if digits.is_empty() {
        return Ok((before, inner.to_owned()));
    }
    // ClusterShell writes steps out before it adds the digits, which would make the steps wrong.
    let ranges = inside_name(ranges(inner))?.contiguous();
    let ranges = ranges.iter().map(|range| {
        let range = range.to_string();
        let ends: Vec<String> = range
            .split('-')
            .map(|end| format!("{digits}{end}"))
            .collect();
        ends.join("-")
    });
    Ok((rest, ranges.collect::<Vec<_>>().join(",")))
}
