//! The order of `nodeset -e`, for `--sort` and for reports.

use std::collections::HashMap;

use nodeset::NodeSet;

use super::{Target, TargetList};

/// Returns the position of each label in the order of `nodeset -e`.
pub(crate) fn ranks<'a>(labels: impl IntoIterator<Item = &'a str>) -> HashMap<String, usize> {
    let labels: NodeSet = labels.into_iter().collect();
    let mut ranks = HashMap::new();
    labels.for_each(|label| {
        ranks.insert(label.to_owned(), ranks.len());
    });
    ranks
}

/// Returns the targets in the order of their labels. Equal labels keep their order.
pub(super) fn sorted(targets: &[Target]) -> TargetList {
    let ranks = ranks(targets.iter().map(|target| &*target.label));
    let mut targets = targets.to_vec();
    targets.sort_by_key(|target| ranks.get(&*target.label).copied());
    TargetList::from(targets)
}
