//! Sorting a list of targets, and taking parts of it, as `nodeset` does with `--pick`, `--slice` and
//! `--split`.
//!
//! Called by `plan` after the list is built. Positions count from 0 in the order of the list, which
//! is the given one unless it was sorted.

use std::collections::HashMap;

use super::error::{Diagnostic, Origin, TargetError};
use super::nodeset::{self, NodeSet};
use super::{Target, TargetList};

/// The place of each label in the order of `nodeset -e`.
pub(crate) fn ranks<'a>(labels: impl IntoIterator<Item = &'a str>) -> HashMap<String, usize> {
    let labels: NodeSet = labels.into_iter().collect();
    let mut ranks = HashMap::new();
    labels.for_each(|label| {
        ranks.insert(label.to_owned(), ranks.len());
    });
    ranks
}

impl TargetList {
    /// The targets in the order of `nodeset -e` for their labels; equal labels keep their order.
    #[must_use]
    pub fn sorted(&self) -> TargetList {
        let ranks = ranks(self.iter().map(|target| &*target.label));
        let mut targets = self.to_vec();
        targets.sort_by_key(|target| ranks.get(&*target.label).copied());
        TargetList::from(targets)
    }

    /// This many targets chosen at random, at least one and at most all, in the order of the list.
    #[must_use]
    pub fn pick(&self, count: usize, random: &mut fastrand::Rng) -> TargetList {
        let mut positions = random.choose_multiple(0..self.len(), count.max(1));
        positions.sort_unstable();
        self.at(positions)
    }

    /// The targets at these positions (`0-9`, `0,5`, `0-100/10`), in the order of the list; `origin`
    /// is where the positions were written.
    pub fn slice(&self, positions: &str, origin: &Origin) -> Result<TargetList, TargetError> {
        let mut chosen = nodeset::positions(positions, self.len())
            .map_err(|error| Diagnostic::from_nodeset(origin, positions, &error))?;
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.is_empty() {
            return Err(TargetError::NothingAt(self.len()));
        }
        Ok(self.at(chosen))
    }

    /// The list cut into at most `parts` parts, the first ones longer by one where it does not come
    /// out even.
    #[must_use]
    pub fn split(&self, parts: usize) -> Vec<TargetList> {
        let parts = parts.clamp(1, self.len().max(1));
        let (size, longer) = (self.len() / parts, self.len() % parts);
        let mut rest: &[Target] = self;
        (0..parts)
            .map(|part| {
                let (these, others) = rest.split_at(size + usize::from(part < longer));
                rest = others;
                TargetList::from(these.to_vec())
            })
            .collect()
    }

    fn at(&self, positions: Vec<usize>) -> TargetList {
        let targets: Vec<Target> = positions.into_iter().map(|at| self[at].clone()).collect();
        TargetList::from(targets)
    }
}
