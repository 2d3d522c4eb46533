//! Suggestions for names that are not known: the nearest one that is.

/// The name that differs from this one in at most two letters, and in less than half of them.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    known
        .into_iter()
        .filter(|known| known.len().abs_diff(name.len()) <= 8)
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= 2 && distance * 2 < length.max(2))
        .min()
        .map(|(_, known)| known)
}

/// How many letters have to be added, removed or changed; two that changed places count once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b)
        && let ([a1, a2, a_rest @ ..], [b1, b2, b_rest @ ..]) = (&a[at..], &b[at..])
        && (a1, a2, a_rest) == (b2, b1, b_rest)
    {
        return 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
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
