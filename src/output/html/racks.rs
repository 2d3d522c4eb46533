//! Racks: groups of hosts with similar names, and their times.

use std::collections::HashMap;

use super::times::{HostTimes, Tenths};

/// Minimum number of hosts for racks.
const WORTH_IT: usize = 20;

/// Number of groups of neighbours if names do not form racks.
const PARTS: usize = 50;

/// A group of hosts.
#[derive(Debug)]
pub(super) struct Rack {
    /// The hosts, in the order of all hosts.
    pub(super) hosts: Vec<usize>,
}

/// Times of the hosts of a rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RackTimes {
    pub(super) median: Tenths,
    /// The slowest host.
    pub(super) slowest: usize,
    pub(super) longest: Tenths,
}

/// Groups hosts whose names differ only in their last number. If that gives one group or too many, groups neighbours.
/// Returns no racks for a few hosts.
pub(super) fn racks<'a>(labels: impl ExactSizeIterator<Item = &'a str>) -> Vec<Rack> {
    let count = labels.len();
    if count < WORTH_IT {
        return Vec::new();
    }
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut racks: Vec<Rack> = Vec::new();
    for (host, label) in labels.enumerate() {
        let at = *places.entry(key(label)).or_insert(racks.len());
        if at == racks.len() {
            racks.push(Rack { hosts: Vec::new() });
        }
        racks[at].hosts.push(host);
    }
    // Racks of one host each, or one rack of all hosts, show nothing.
    if (2..=count / 2).contains(&racks.len()) {
        return racks;
    }
    let hosts: Vec<usize> = (0..count).collect();
    let size = count.div_ceil(PARTS).max(WORTH_IT / 4);
    let part = |hosts: &[usize]| Rack {
        hosts: hosts.to_vec(),
    };
    hosts.chunks(size).map(part).collect()
}

/// Returns the name without the last number of its first part, as the texts before and after the number. Parts end at
/// dots, but an address is one part.
fn key(label: &str) -> (&str, &str) {
    let first = match label.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "" => label,
        // Digits of a domain do not number hosts.
        _ => label.split('.').next().unwrap_or(label),
    };
    let rest = &label[first.len()..];
    let name = first.trim_end_matches(|c: char| !c.is_ascii_digit());
    (name.trim_end_matches(|c: char| c.is_ascii_digit()), rest)
}

/// Returns the racks with started hosts and their times, the slowest first.
pub(super) fn slowest_first<'a>(
    racks: &'a [Rack],
    times: &[Option<HostTimes>],
) -> Vec<(RackTimes, &'a Rack)> {
    let took = |rack: &'a Rack| Some((rack.took(times)?, rack));
    let mut slow: Vec<_> = racks.iter().filter_map(took).collect();
    slow.sort_by_key(|(took, _)| std::cmp::Reverse((took.median, took.longest)));
    slow
}

impl Rack {
    /// Returns the times of the rack; `None` if no host was started.
    fn took(&self, times: &[Option<HostTimes>]) -> Option<RackTimes> {
        let time = |host: &usize| {
            let times = times[*host]?;
            // A host that was never started would count as a quick one.
            times.began.map(|_| (times.elapsed, *host))
        };
        let mut took: Vec<(Tenths, usize)> = self.hosts.iter().filter_map(time).collect();
        took.sort_unstable();
        let (longest, slowest) = *took.last()?;
        Some(RackTimes {
            median: took[took.len() / 2].0,
            slowest,
            longest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(labels: &[String]) -> Vec<usize> {
        let racks = racks(labels.iter().map(String::as_str));
        racks.iter().map(|rack| rack.hosts.len()).collect()
    }

    fn names(form: impl Fn(usize) -> String, count: usize) -> Vec<String> {
        (0..count).map(form).collect()
    }

    #[test]
    fn names_make_racks() {
        assert_eq!(
            sizes(&names(|n| format!("r{}n{:02}", n / 40, n % 40), 120)),
            [40, 40, 40]
        );
        assert_eq!(
            sizes(&names(|n| format!("10.0.{}.{}", n / 30, n % 30), 60)),
            [30, 30]
        );
        let domains = names(|n| format!("n{}.rack{}.example.org", n % 30, n / 30), 60);
        assert_eq!(sizes(&domains), [30, 30]);
        let heads = names(
            |n| {
                if n < 40 {
                    format!("n{n}-ib")
                } else {
                    format!("gpu{n}")
                }
            },
            60,
        );
        assert_eq!(sizes(&heads), [40, 20]);
    }

    #[test]
    fn neighbours_form_racks_if_names_do_not() {
        assert_eq!(sizes(&names(|n| format!("node{n}"), 5000)), [100; 50]);
        assert_eq!(
            sizes(&names(|n| format!("x{}", char::from(b'a' + n as u8)), 22)),
            [5, 5, 5, 5, 2]
        );
        assert!(sizes(&names(|n| format!("node{n}"), 19)).is_empty());
    }
}
