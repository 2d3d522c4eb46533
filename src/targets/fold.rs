//! Folds labels, which may have users and ports around the names.

use std::collections::{BTreeMap, BTreeSet};

use nodeset::{MAX_NAME, NodeSetBuilder, is_name};

/// Returns a number of hosts in words.
pub fn hosts_in_words(count: usize) -> String {
    match count {
        1 => "1 host".to_owned(),
        count => format!("{count} hosts"),
    }
}

/// Folds labels into one expression: `node1 node2 node3` gives `node[1-3]`.
///
/// For host names this is the text of `nodeset -f`. `user@` and `:port` are kept around the names that share them.
/// Labels that are no host names (addresses with colons, free text) are not folded. Each of these is listed once, after
/// the others.
pub fn fold<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
    // Users and ports are few, so names are collected for each pair of them.
    let mut builders: BTreeMap<(&str, &str), NodeSetBuilder> = BTreeMap::new();
    let mut plain = NodeSetBuilder::default();
    let mut others = BTreeSet::new();
    for label in labels.into_iter().filter(|label| !label.is_empty()) {
        match split_label(label) {
            Some(("", name, "")) => plain.add(name),
            Some((user, name, port)) => builders.entry((user, port)).or_default().add(name),
            None => {
                others.insert(label);
            }
        }
    }
    let mut parts = vec![plain.build().to_string()];
    for ((user, port), builder) in builders {
        parts.push(builder.build().folded_between(user, port));
    }
    parts.extend(others.into_iter().map(str::to_owned));
    parts.retain(|part| !part.is_empty());
    parts.join(",")
}

/// Splits `user@name:port` into its parts with their marks; `None` if the label has another form.
fn split_label(label: &str) -> Option<(&str, &str, &str)> {
    // No pair of a user and a host is longer, so free text is not read to its end.
    if label.len() > 2 * MAX_NAME {
        return None;
    }
    // The last `@` separates the user, because a user name may have a domain (`user@EXAMPLE.COM@host`).
    let (user, rest) = label.split_at(label.rfind('@').map_or(0, |at| at + 1));
    let (name, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
    let digits = port.strip_prefix(':').unwrap_or("0");
    let fits = is_name(name)
        && user
            .split_terminator('@')
            .all(|part| part.is_empty() || is_name(part))
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then_some((user, name, port))
}
