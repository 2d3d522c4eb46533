//! The order of host names where no order was given: that of a folded node set.

use super::pattern;
use super::set::split_label;

/// What names are sorted by: `node2` before `node10`, then as ClusterShell sorts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// Labels that are no host names come last.
    other: bool,
    /// The user and the port.
    around: (String, String),
    /// The name without its numbers, and these.
    pattern: String,
    points: Vec<u64>,
}

/// The place of a label among others; [`fold`](super::fold()) mentions them in this order.
#[must_use]
pub fn sort_key(label: &str) -> SortKey {
    let mut key = SortKey {
        other: false,
        around: Default::default(),
        pattern: String::new(),
        points: Vec::new(),
    };
    match split_label(label) {
        Some((user, name, port)) => {
            pattern::split(name, &mut key.pattern, &mut key.points);
            key.around = (user.to_owned(), port.to_owned());
        }
        None => {
            key.other = true;
            key.pattern = label.to_owned();
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut labels = ["fe80::2", "b@n1", "n10", "n2:22", "a", "n2", "n1-ib", "n1"];
        labels.sort_by_cached_key(|label| sort_key(label));
        let expected = ["a", "n1", "n2", "n10", "n1-ib", "n2:22", "b@n1", "fe80::2"];
        assert_eq!(labels, expected);
    }
}
