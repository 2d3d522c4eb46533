//! Suggestions for unknown names: the nearest known name.

/// Returns the known name that is nearest to this one, if it differs by at most two edits and in less than half of the
/// letters. An edit adds, removes or replaces a letter, or swaps two neighbours.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    known
        .into_iter()
        // A quick check: two edits change the length by at most two characters, which have up to four bytes each.
        .filter(|known| known.len().abs_diff(name.len()) <= 8)
        .map(|known| (strsim::osa_distance(name, known), known))
        .filter(|(distance, _)| *distance <= 2 && distance * 2 < length.max(2))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["user", "port", "label", "transport"];
        for (name, expected) in [
            ("usr", Some("user")),
            ("prot", Some("port")),
            ("lable", Some("label")),
            ("transprot", Some("transport")),
            ("x", None),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
