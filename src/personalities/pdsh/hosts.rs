//! Lists of hosts by pdsh's rules: hosts keep their order, and a host that is named twice is in the list twice.
//!
//! The crate `nodeset` removes duplicates, so ranges are expanded and written here.

use std::collections::{HashMap, HashSet};

/// Maximum number of hosts in a list.
const MAX_HOSTS: usize = 1_000_000;

/// Largest number that pdsh takes for a number at the end of a name.
const MAX_NUMBER: u64 = 1 << 25;

/// Characters between hosts.
const SEPARATORS: [char; 4] = ['\t', ',', ' ', '\n'];

/// Hosts in the order in which they were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PdshHostList(Vec<String>);

/// The number at the end of a host's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    value: u64,
    /// Number of digits.
    width: usize,
}

/// Hosts with the same prefix and following numbers; without numbers one host.
struct HostRange<'a> {
    prefix: &'a str,
    numbers: Option<HostNumbers>,
}

/// Numbers from `low` to `high`, with at least `width` digits.
#[derive(Clone, Copy)]
struct HostNumbers {
    low: u64,
    high: u64,
    width: usize,
}

impl PdshHostList {
    pub(super) fn of(names: Vec<String>) -> PdshHostList {
        PdshHostList(names)
    }

    /// Appends the hosts of an expression such as `foo[1-3,5]-bar[1-2],other`.
    ///
    /// # Errors
    /// The message about a range that is wrong.
    pub(super) fn push(&mut self, text: &str) -> Result<(), String> {
        for word in split(text, &SEPARATORS) {
            self.push_word(String::new(), word)?;
        }
        Ok(())
    }

    /// Appends the hosts of `word` with `prefix` before each of them.
    fn push_word(&mut self, prefix: String, word: &str) -> Result<(), String> {
        let brackets = word
            .split_once('[')
            .and_then(|(before, rest)| Some((before, rest.split_once(']')?)));
        let Some((before, (ranges, after))) = brackets else {
            // Several pairs of brackets multiply, so a limit for each range is not enough.
            if self.0.len() >= MAX_HOSTS {
                return Err(format!("Too many hosts in `{word}'"));
            }
            self.0.push(prefix + word);
            return Ok(());
        };
        for range in ranges.split(',') {
            let HostNumbers { low, high, width } = parse_range(range)?;
            for number in low..=high {
                self.push_word(format!("{prefix}{before}{number:0width$}"), after)?;
            }
        }
        Ok(())
    }

    pub(super) fn append(&mut self, other: PdshHostList) {
        self.0.extend(other.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    /// Removes one mention of a host for each mention in `removed`: the first ones.
    pub(super) fn remove_mentions(&mut self, removed: &PdshHostList) {
        let mut left: HashMap<&str, usize> = HashMap::new();
        for name in &removed.0 {
            *left.entry(name).or_default() += 1;
        }
        self.0.retain(|name| match left.get_mut(name.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
    }

    /// Keeps the hosts that `keep` accepts.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|name| keep(name));
    }

    /// Returns the hosts that are in both lists, with the order and the duplicates of this one.
    pub(super) fn common(&self, other: &PdshHostList) -> PdshHostList {
        let known: HashSet<&str> = other.0.iter().map(String::as_str).collect();
        let common = self.0.iter().filter(|name| known.contains(name.as_str()));
        PdshHostList(common.cloned().collect())
    }

    /// Sorts the hosts by prefix and number, and removes duplicates.
    pub(super) fn sort_distinct(&mut self) {
        self.0.sort_by_cached_key(|name| {
            let (prefix, number) = split_number(name);
            // Names of one width, or without zeros at their front, are ordered by their number.
            let order = number.map(|number| {
                let padded = number.width > digits(number.value);
                (if padded { number.width } else { 0 }, number.value)
            });
            (prefix.to_owned(), order)
        });
        self.0.dedup();
    }

    /// Returns all names, separated by commas.
    pub(super) fn expanded(&self) -> String {
        self.0.join(",")
    }

    /// Returns the list in the form `foo[1-3,7],bar`, in its order and with its duplicates.
    pub(super) fn folded(&self) -> String {
        let mut ranges: Vec<HostRange<'_>> = Vec::new();
        for name in &self.0 {
            let (prefix, number) = split_number(name);
            // pdsh joins only neighbours, so that the text keeps the order of the list.
            if let Some(last) = ranges.last_mut()
                && last.prefix == prefix
                && let (Some(numbers), Some(number)) = (&mut last.numbers, number)
                && numbers.takes(number)
            {
                continue;
            }
            let numbers = number.map(|Number { value, width }| HostNumbers {
                low: value,
                high: value,
                width,
            });
            ranges.push(HostRange { prefix, numbers });
        }
        let mut parts = Vec::new();
        for group in ranges
            .chunk_by(|a, b| a.prefix == b.prefix && a.numbers.is_some() && b.numbers.is_some())
        {
            let texts: Vec<String> = group
                .iter()
                .filter_map(|range| range.numbers)
                .map(|numbers| numbers.text())
                .collect();
            let prefix = group.first().map_or("", |range| range.prefix);
            parts.push(match &*texts {
                [] => prefix.to_owned(),
                [one] if !one.contains('-') => format!("{prefix}{one}"),
                _ => format!("{prefix}[{}]", texts.join(",")),
            });
        }
        parts.join(",")
    }
}

impl HostNumbers {
    /// Takes a number that follows and that has the same digits if it is written with the same width.
    fn takes(&mut self, next: Number) -> bool {
        if self.high.checked_add(1) != Some(next.value) {
            return false;
        }
        // `9` and `10` have different widths and no padding, so widths alone cannot be compared.
        let zeros = |value: u64, width: usize| width.saturating_sub(digits(value));
        if zeros(self.low, self.width) == zeros(self.low, next.width) {
            self.width = next.width;
        } else if zeros(next.value, next.width) != zeros(next.value, self.width) {
            return false;
        }
        self.high = next.value;
        true
    }

    fn text(&self) -> String {
        let HostNumbers { low, high, width } = *self;
        if low == high {
            format!("{low:0width$}")
        } else {
            format!("{low:0width$}-{high:0width$}")
        }
    }
}

/// Splits a text at separators that are not in brackets. Empty parts are left out.
pub(super) fn split<'t>(text: &'t str, separators: &[char]) -> Vec<&'t str> {
    let mut depth = 0_i32;
    text.split(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        depth == 0 && separators.contains(&c)
    })
    .filter(|part| !part.is_empty())
    .collect()
}

fn parse_range(text: &str) -> Result<HostNumbers, String> {
    let invalid = || format!("Invalid range: `{text}'");
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // pdsh reads `1-` as the single number 1.
    let (first, last) = text.split_once('-').unwrap_or((text, ""));
    if !is_number(first) {
        return Err(invalid());
    }
    let low: u64 = first.parse().map_err(|_| invalid())?;
    let high = match last {
        "" => low,
        last if is_number(last) => last.parse().map_err(|_| invalid())?,
        _ => return Err(invalid()),
    };
    if low > high {
        return Err(invalid());
    }
    // A check after the expansion would come too late: the names would already be in memory.
    if high - low >= MAX_HOSTS as u64 {
        return Err(format!("Too many hosts in range `{text}'"));
    }
    Ok(HostNumbers {
        low,
        high,
        width: first.len(),
    })
}

/// Splits the number at the end from a name.
fn split_number(name: &str) -> (&str, Option<Number>) {
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &name[prefix.len()..];
    match number.parse() {
        Ok(value) if value <= MAX_NUMBER => {
            let width = number.len();
            (prefix, Some(Number { value, width }))
        }
        _ => (name, None),
    }
}

fn digits(value: u64) -> usize {
    value.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> PdshHostList {
        let mut list = PdshHostList::default();
        list.push(text).unwrap();
        list
    }

    #[test]
    fn expressions_are_expanded_in_their_order() {
        for (text, expected) in [
            ("foo[0-3]", "foo0,foo1,foo2,foo3"),
            ("foo[00-02]", "foo00,foo01,foo02"),
            ("foo[9-11]", "foo9,foo10,foo11"),
            ("foo[2,1,1]", "foo2,foo1,foo1"),
            ("a,,b a", "a,b,a"),
            ("foo[1-2]-[0-1]x", "foo1-0x,foo1-1x,foo2-0x,foo2-1x"),
            ("foo[1-]", "foo1"),
            ("foo[1-2", "foo[1-2"),
        ] {
            assert_eq!(list(text).expanded(), expected, "{text}");
        }
    }

    #[test]
    fn wrong_ranges_are_errors() {
        for text in ["a[3-1]", "a[a-b]", "a[]", "a[--2]", "a[1-2-3]"] {
            let error = PdshHostList::default().push(text).unwrap_err();
            assert!(error.starts_with("Invalid range: `"), "{text}: {error}");
        }
        let error = PdshHostList::default().push("a[1-9999999]").unwrap_err();
        assert!(error.starts_with("Too many hosts"), "{error}");
        let error = PdshHostList::default()
            .push("a[1-9999]b[1-9999]")
            .unwrap_err();
        assert!(error.starts_with("Too many hosts"), "{error}");
    }

    /// The answers are those of pdsh 2.34 (`pdsh -q`).
    #[test]
    fn folded_lists_keep_order_and_duplicates() {
        for text in [
            "foo[1-2,2,1]",
            "foo[2,1]",
            "foo[8-11,008-011]",
            "foo1a,foo2a",
            "foo,foo",
            "foo[01-10]",
            "foo[9-11],bar",
            "n[1-49,101-199,301-1000]",
            "10.0.0.[1-2]",
        ] {
            assert_eq!(list(text).folded(), text);
        }
        assert_eq!(list("foo1,foo2,foo3").folded(), "foo[1-3]");
        assert_eq!(list("foo1,bar1,foo2").folded(), "foo1,bar1,foo2");
    }

    #[test]
    fn each_mention_removes_one_host() {
        let mut hosts = list("foo1,foo1,foo2,foo1");
        hosts.remove_mentions(&list("foo1,bar"));
        assert_eq!(hosts.folded(), "foo[1-2,1]");
        hosts.remove_mentions(&list("foo1,foo1"));
        assert_eq!(hosts.folded(), "foo2");
        let mut hosts = list("foo[01-10]");
        hosts.remove_mentions(&list("foo1"));
        assert_eq!(hosts.len(), 10);
    }

    #[test]
    fn sorted_lists_have_no_duplicates() {
        let mut hosts = list("foo10,foo5,foo4,foo3,foo3,bar,foo");
        hosts.sort_distinct();
        assert_eq!(hosts.folded(), "bar,foo,foo[3-5,10]");
    }
}
