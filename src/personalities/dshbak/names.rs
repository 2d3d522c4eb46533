//! Names of hosts as ranges, in the form of dshbak: only the last number of a name becomes a range.

use std::collections::{BTreeMap, HashMap};

/// Returns the value of the digits at the end of a name; 0 if there are none.
pub(super) fn trailing_number(name: &[u8]) -> u128 {
    number(&name[name.len() - trailing_digits(name)..])
}

fn trailing_digits(name: &[u8]) -> usize {
    name.iter().rev().take_while(|b| b.is_ascii_digit()).count()
}

fn number(digits: &[u8]) -> u128 {
    // A name can have any number of digits, and an overflow must not end the program.
    let add = |value: u128, digit: &u8| {
        value
            .saturating_mul(10)
            .saturating_add(u128::from(digit - b'0'))
    };
    digits.iter().fold(0, add)
}

/// Sorts by the number at the end. The sort is stable.
fn sort(names: &mut [&[u8]]) {
    names.sort_by_key(|name| trailing_number(name));
}

/// Writes names, which are sorted as text, with ranges.
pub(super) fn compress(names: &[&[u8]]) -> Vec<u8> {
    let mut names = names.to_vec();
    sort(&mut names);
    // The names by what follows their last number. The order of the suffixes is that of their names.
    let mut suffixes: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for name in names {
        let after = name
            .iter()
            .rev()
            .take_while(|b| !b.is_ascii_digit())
            .count();
        // A name without digits has no suffix.
        let after = if after == name.len() { 0 } else { after };
        let (stem, suffix) = name.split_at(name.len() - after);
        suffixes.entry(suffix).or_default().push(stem);
    }
    let mut out = Vec::new();
    for (suffix, mut stems) in suffixes {
        sort(&mut stems);
        for (prefix, ranges) in ranges(&stems) {
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(prefix);
            let brackets = ranges.len() > 1 || ranges[0].last.is_some();
            if brackets {
                out.push(b'[');
            }
            for (at, range) in ranges.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(range.first);
                if let Some(last) = range.last {
                    out.push(b'-');
                    out.extend_from_slice(last);
                }
            }
            if brackets {
                out.push(b']');
            }
            out.extend_from_slice(suffix);
        }
    }
    out
}

/// A range as it is written.
struct Written<'a> {
    first: &'a [u8],
    last: Option<&'a [u8]>,
}

/// Returns the width of a number that its leading zeros set; 1 without such zeros.
fn padded_width(digits: &[u8]) -> usize {
    // For dshbak, `0` alone has no padding, so `foo0` and `foo1` are one range.
    if digits.len() > 1 && digits[0] == b'0' {
        digits.len()
    } else {
        1
    }
}

/// Returns the ranges of each prefix, in the order in which their first numbers come.
fn ranges<'a>(names: &[&'a [u8]]) -> BTreeMap<&'a [u8], Vec<Written<'a>>> {
    let mut found: BTreeMap<&[u8], Vec<Written<'_>>> = BTreeMap::new();
    // The range that ends with a number of a prefix and a width.
    let mut ends: HashMap<(&[u8], usize, u128), usize> = HashMap::new();
    for name in names {
        let (prefix, digits) = name.split_at(name.len() - trailing_digits(name));
        let (width, value) = (padded_width(digits), number(digits));
        let ranges = found.entry(prefix).or_default();
        let before = value.checked_sub(1).and_then(|before| {
            let same = ends.get(&(prefix, width, before));
            // 10 follows 9 and 09, and 100 follows 99 and 099.
            let padded = || ends.get(&(prefix, digits.len(), before));
            same.or_else(|| (width == 1).then(padded).flatten())
                .copied()
        });
        let at = match before {
            Some(at) => {
                ranges[at].last = Some(digits);
                at
            }
            None => {
                ranges.push(Written {
                    first: digits,
                    last: None,
                });
                ranges.len() - 1
            }
        };
        ends.insert((prefix, width, value), at);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_number_becomes_a_range() {
        for (names, text) in [
            ("foo8 foo9 foo10 foo11", "foo[8-11]"),
            ("foo1x8 foo1x9 foo2x8 foo2x9", "foo1x[8-9],foo2x[8-9]"),
            ("foo0 foo01 foo03 foo2", "foo[0,01,2,03]"),
            ("foo00 foo01 foo02 foo1 foo3 foo5", "foo[00-02,1,3,5]"),
            ("foo09 foo10 foo099 foo100", "foo[09-10,099-100]"),
            ("0 1 2", "[0-2]"),
            ("gw", "gw"),
            ("foo1s foo2s", "foo[1-2]s"),
        ] {
            let mut names: Vec<&[u8]> = names.split(' ').map(str::as_bytes).collect();
            names.sort_unstable();
            assert_eq!(String::from_utf8_lossy(&compress(&names)), text);
        }
    }
}
