//! ClusterShell's grammar of ranges: `1-9/2,12,007`.

use nodeset::{NumberRange, RangeSet};

use super::ClusterShellError;
use crate::personalities::python::text::{int, is_int};

/// A fault of ranges. ClusterShell reports it in different ways inside and outside of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::personalities) enum RangeFault {
    /// A range cannot be parsed.
    Parse(String),
    /// Another exception.
    Other(ClusterShellError),
}

impl RangeFault {
    fn parse(part: &str, message: &str) -> RangeFault {
        if part.is_empty() {
            return RangeFault::Parse(message.to_owned());
        }
        RangeFault::Parse(format!("{message} : \"{part}\""))
    }
}

impl From<RangeFault> for ClusterShellError {
    fn from(fault: RangeFault) -> ClusterShellError {
        match fault {
            RangeFault::Parse(message) => ClusterShellError::Parse(message),
            RangeFault::Other(error) => error,
        }
    }
}

/// Number of numbers in a range from which on ClusterShell refuses it.
const MAX_RANGE: u64 = 1_000_000_000;

/// Maximum length of a range with a step.
// Each of its numbers takes memory.
const MAX_STEPPED: u64 = 50_000_000;

const NO_INTEGER: &str = "cannot convert string to integer";

/// Reads ranges.
pub(in crate::personalities) fn ranges(text: &str) -> Result<RangeSet, RangeFault> {
    let parts: Result<Vec<NumberRange>, RangeFault> = text.split(',').map(range).collect();
    Ok(parts?.into_iter().collect())
}

/// The two ends of a range, each with its sign.
struct Ends<'a> {
    first: &'a str,
    last: &'a str,
    first_negative: bool,
    last_negative: bool,
}

fn range(text: &str) -> Result<NumberRange, RangeFault> {
    let text = text.trim();
    let fault = |message| RangeFault::parse(text, message);
    let (base, step) = match text.split_once('/') {
        Some((base, step)) => (base, int(step).ok_or_else(|| fault(NO_INTEGER))?),
        None => (text, 1),
    };
    let ends = ends(base)?;
    if !base.contains('-') && step != 1 {
        return Err(fault("invalid step usage"));
    }
    let no_integer = || {
        fault(if text.is_empty() {
            "empty range"
        } else {
            NO_INTEGER
        })
    };
    let value = |text: &str| match int(text) {
        Some(value) => Ok(value),
        // Numbers that are too large for this program are no ranges of nodes.
        None if is_int(text) => Err(fault("invalid values in range")),
        None => Err(no_integer()),
    };
    let (first, last) = (value(ends.first)?, value(ends.last)?);
    let is_padded = |text: &str, value: i64| {
        let zeros = text.len() - text.trim_start_matches('0').len();
        zeros > 0 && (value != 0 || text.len() > 1)
    };
    let padded = is_padded(ends.first, first);
    // As in ClusterShell, a zero at the end sets no padding.
    let padded_end = last != 0 && is_padded(ends.last, last);
    // In ClusterShell, one width applies to a whole range.
    if (padded || padded_end) && ends.first.len() != ends.last.len() {
        return Err(fault("padding length mismatch"));
    }
    if padded && ends.first_negative {
        return Err(fault("padding not supported in negative ranges"));
    }
    let signed = |value: i64, negative: bool| if negative { -value } else { value };
    let first = signed(first, ends.first_negative);
    let last = signed(last, ends.last_negative);
    let digits = |value: i64| value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    let too_long = [digits(first), digits(last), ends.first.len()];
    if first > last || step < 1 || too_long.iter().any(|n| *n > NumberRange::MAX_DIGITS) {
        return Err(fault("invalid values in range"));
    }
    let step = step.unsigned_abs();
    if last.abs_diff(first) >= MAX_RANGE - 1
        || step > 1 && last.abs_diff(first) / step > MAX_STEPPED
    {
        return Err(RangeFault::Other(ClusterShellError::Fault(
            "range too large".to_owned(),
        )));
    }
    Ok(NumberRange {
        first,
        last,
        step,
        width: if padded { ends.first.len() } else { 0 },
    })
}

/// Divides a range at its dashes, which are also signs.
fn ends(base: &str) -> Result<Ends<'_>, RangeFault> {
    let parts: Vec<&str> = base.split('-').map(str::trim).collect();
    let (first, last, first_negative, last_negative) = match parts[..] {
        [_] => (base, base, false, false),
        ["", number] => (number, number, true, true),
        [first, last] => (first, last, false, false),
        [_, first, last] => (first, last, true, false),
        [_, first, _, last] => (first, last, true, true),
        _ => {
            // ClusterShell does not catch this exception, so Python's message is shown.
            let message = "too many values to unpack (expected 4)".to_owned();
            return Err(RangeFault::Other(ClusterShellError::Fault(message)));
        }
    };
    Ok(Ends {
        first,
        last,
        first_negative,
        last_negative,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_the_grammar_of_clustershell() {
        for (text, folded) in [
            ("1-9/2,12", "1,3,5,7,9,12"),
            (" 1 - 3 , 007", "1-3,007"),
            ("-3-2", "-3-2"),
            ("-8--4", "-8--4"),
            ("-5", "-5"),
            ("0,00,000", "0,00,000"),
            ("5/1", "5"),
        ] {
            assert_eq!(ranges(text).unwrap().to_string(), folded, "{text}");
        }
    }

    #[test]
    fn faults_have_the_words_of_clustershell() {
        for (text, message) in [
            ("", "empty range"),
            ("1,", "empty range"),
            ("a-b", "cannot convert string to integer : \"a-b\""),
            ("01-100", "padding length mismatch : \"01-100\""),
            ("1/2", "invalid step usage : \"1/2\""),
            ("5-3", "invalid values in range : \"5-3\""),
            ("1-3/0", "invalid values in range : \"1-3/0\""),
            ("-05", "padding not supported in negative ranges : \"-05\""),
        ] {
            let fault = ranges(text).unwrap_err();
            assert_eq!(fault, RangeFault::Parse(message.to_owned()), "{text}");
        }
        for (text, message) in [
            ("1-2-3-4-5", "too many values to unpack (expected 4)"),
            ("1-9999999999", "range too large"),
        ] {
            let fault = ClusterShellError::Fault(message.to_owned());
            assert_eq!(
                ranges(text).unwrap_err(),
                RangeFault::Other(fault),
                "{text}"
            );
        }
    }
}
