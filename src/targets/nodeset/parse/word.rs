//! The grammar of one word: user, name with its ranges, port, and addresses.
//!
//! Called by [`expression`](super::expression), which finds the words. All spans are places in the
//! whole expression.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::super::error::{Fault, MAX_NAME, NodeSetError};
use super::super::index::Index;
use super::super::pattern;
use super::super::ranges::{ConcatError, Ranges};
use super::super::words::{HostWord, Names};
use super::{Op, error};

/// Parses words of one text; all spans are places in that text.
pub(super) struct WordParser<'a> {
    pub(super) text: &'a str,
    pub(super) limit: usize,
}

impl WordParser<'_> {
    /// Parses `[scheme://][user@]names[:port]`.
    pub(super) fn word(&self, span: Range<usize>, op: Op) -> Result<HostWord, NodeSetError> {
        let whole = span.clone();
        let mut span = self.scheme(span)?;
        if self.is_lookup(span.clone()) {
            return error(span, Fault::NoGroups);
        }
        let user_end = self.text[span.clone()].rfind('@').map(|at| span.start + at);
        let user = match user_end {
            Some(end) => {
                let user = &self.text[span.start..end];
                if user.is_empty() || !user.chars().all(is_user_char) || user.starts_with('-') {
                    return error(span.start..end, Fault::BadUser(user.into()));
                }
                Some(user)
            }
            None => None,
        };
        let names_start = user_end.map_or(span.start, |end| end + 1);
        let before = span.start;
        span.start = names_start;
        let (names_span, port) = self.split_port(span.clone())?;
        if names_span.is_empty() {
            return error(names_span, Fault::EmptyName);
        }
        let names = self.names(names_span.clone())?;
        let bytes = names.max_bytes();
        if bytes > MAX_NAME {
            return error(whole, Fault::NameTooLong(bytes));
        }
        if names.len() > self.limit as u128 {
            return error(
                whole,
                Fault::TooMany {
                    count: names.len(),
                    limit: self.limit,
                },
            );
        }
        if matches!(op, Op::Difference | Op::Intersection) && (user.is_some() || port.is_some()) {
            return error(whole, Fault::Decorated(op.symbol()));
        }
        Ok(HostWord {
            names,
            before: self.text[before..names_span.start].into(),
            after: self.text[names_span.end..span.end].into(),
            user: user.map(Into::into),
            port,
        })
    }

    /// Takes `rsh://` off; other schemes are refused.
    fn scheme(&self, mut span: Range<usize>) -> Result<Range<usize>, NodeSetError> {
        let word = &self.text[span.clone()];
        if let Some(length) = word.find("://") {
            if &word[..length] != "rsh" {
                let scheme = span.start..span.start + length;
                return error(scheme, Fault::UnknownScheme(word[..length].into()));
            }
            if word.ends_with('/') && word.len() > length + 3 {
                span.end -= 1;
            }
            span.start += length + 3;
        } else if word.starts_with("exec:") {
            return error(
                span.start..span.start + 4,
                Fault::UnknownScheme("exec".into()),
            );
        }
        Ok(span)
    }

    /// Whether this word has to be looked up: a group or a wildcard.
    fn is_lookup(&self, span: Range<usize>) -> bool {
        let word = &self.text[span];
        word.starts_with('@') || word.contains("@@") || word.contains(['*', '?'])
    }

    /// Separates the names from the port, and an IPv6 address from its brackets.
    fn split_port(&self, span: Range<usize>) -> Result<(Range<usize>, Option<u16>), NodeSetError> {
        let word = &self.text[span.clone()];
        if let Some(inside) = word.strip_prefix('[')
            && let Some(length) = inside.find(']')
            && inside[..length].contains(':')
        {
            let address = span.start + 1..span.start + 1 + length;
            self.address(address.clone())?;
            let port = match &inside[length + 1..] {
                "" => None,
                after => {
                    let start = address.end + 1;
                    let Some(port) = after.strip_prefix(':') else {
                        return error(start..span.end, Fault::BadPort(after.into()));
                    };
                    Some(self.port(port, start + 1)?)
                }
            };
            return Ok((address, port));
        }
        let mut colons = word.match_indices(':').map(|(at, _)| at);
        match (colons.next(), colons.next()) {
            (None, _) => Ok((span, None)),
            (Some(at), None) => {
                let port = self.port(&word[at + 1..], span.start + at + 1)?;
                Ok((span.start..span.start + at, Some(port)))
            }
            (Some(_), Some(_)) => self.address(span.clone()).map(|()| (span, None)),
        }
    }

    /// Checks an IPv6 address, which may name a zone (`fe80::1%eth0`).
    fn address(&self, span: Range<usize>) -> Result<(), NodeSetError> {
        let text = &self.text[span.clone()];
        let (address, zone) = text
            .split_once('%')
            .map_or((text, None), |(a, z)| (a, Some(z)));
        let zone_fits = zone.is_none_or(|zone| {
            !zone.is_empty()
                && zone
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        });
        if address.parse::<Ipv6Addr>().is_ok() && zone_fits {
            return Ok(());
        }
        error(span, Fault::BadAddress(text.into()))
    }

    fn port(&self, text: &str, start: usize) -> Result<u16, NodeSetError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(port) if digits && port != 0 => Ok(port),
            _ => error(start..start + text.len(), Fault::BadPort(text.into())),
        }
    }

    /// Parses a name with any number of brackets.
    fn names(&self, span: Range<usize>) -> Result<Names, NodeSetError> {
        let word = &self.text[span.clone()];
        if word.starts_with('-') {
            return error(span.start..span.start + 1, Fault::LeadingDash);
        }
        if !word.contains('[') {
            // A colon is left only in an address, which is checked already.
            let address = word.contains(':');
            let bad = word
                .char_indices()
                .find(|&(_, c)| !is_name_char(c) && !address);
            return match bad {
                Some((at, c)) => {
                    let at = span.start + at;
                    error(at..at + c.len_utf8(), Fault::BadCharacter(c))
                }
                None => Ok(Names::One(word.into())),
            };
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
                    None if touches => return error(at..at + digits, Fault::TooManyDigits),
                    None => pattern.push_str(&rest[..digits]),
                }
                at += digits;
            } else {
                flush(&mut number, &mut pattern, &mut dimensions);
                let length = rest
                    .find(|c: char| c == '[' || c.is_ascii_digit())
                    .unwrap_or(rest.len());
                if let Some((bad, c)) = rest[..length]
                    .char_indices()
                    .find(|&(_, c)| !is_name_char(c))
                {
                    return error(at + bad..at + bad + c.len_utf8(), Fault::BadCharacter(c));
                }
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

    /// Writes numbers after those that stand directly before them, if any do.
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

    /// Parses what is between brackets.
    fn ranges(&self, span: Range<usize>) -> Result<Ranges, NodeSetError> {
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
        let Some(last) = last else {
            if step.is_some() {
                return error(trimmed(text, span.start), Fault::StepWithoutRange);
            }
            let (width, value) = self.number(first)?;
            ranges.push_padded(width, value, value, 1);
            return Ok(());
        };
        let (first_width, first) = self.number(first)?;
        let (last_width, last) = self.number(last)?;
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
        let padded =
            Index::new(first_width, first).is_padded() || Index::new(last_width, last).is_padded();
        let here = trimmed(text, span.start);
        if padded && first_width != last_width {
            return error(here, Fault::PaddingMismatch);
        }
        if first > last {
            return error(here, Fault::Backwards(first, last));
        }
        if padded {
            ranges.push_padded(first_width, first, last, step);
        } else {
            ranges.push_plain(first, last, step);
        }
        Ok(())
    }

    /// Parses a number and gives its digits' count and its value.
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

/// Ends a number: it becomes a dimension, and its place in the pattern a hole.
fn flush(number: &mut Option<Ranges>, pattern: &mut String, dimensions: &mut Vec<Ranges>) {
    if let Some(ranges) = number.take() {
        pattern::push_hole(pattern);
        dimensions.push(ranges);
    }
}

/// The span of `text`, which starts at `start`, without white space around it.
fn trimmed(text: &str, start: usize) -> Range<usize> {
    let skipped = text.len() - text.trim_start().len();
    start + skipped..start + skipped + text.trim().len()
}

/// What may be in a name: anything visible that no shell, file name or expression gives a meaning.
fn is_name_char(c: char) -> bool {
    match c {
        '-' | '_' | '.' | '%' | '+' | '~' => true,
        _ if c.is_ascii() => c.is_ascii_alphanumeric(),
        _ => !c.is_control() && !c.is_whitespace(),
    }
}

/// What may be in a user name, which may have a domain (`user@EXAMPLE.COM`, `DOM\user`).
fn is_user_char(c: char) -> bool {
    is_name_char(c) || "@\\$".contains(c)
}
