//! Selected targets in an order, or some positions of them. Holds ranges if all targets are plain names.
//!
//! Made by the builder, used by `plan` for runs and by the listing modes. `mrsh --count 'n[1-1000000]'` formats no
//! name. A walk visits the names one after the other, each once.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use nodeset::{Joined, NodeSet, NodeSetBuilder};

use super::Target;
use super::error::{Diagnostic, Origin, TargetError};
use super::list::TargetList;
use super::order::sorted;
use super::{HostList, fold};

/// Targets in the order of the run or listing. Only a listing may be empty.
#[derive(Clone, Debug)]
pub struct Selection {
    from: SelectedHosts,
    /// The selected positions in ascending order; `None` for all.
    positions: Option<Vec<usize>>,
}

/// The hosts of a selection, before positions are taken.
#[derive(Clone, Debug)]
enum SelectedHosts {
    /// Plain names: the written list, and the set of the names that are left of it.
    Names {
        list: HostList,
        set: NodeSet,
        sorted: bool,
    },
    Targets(TargetList),
}

impl Selection {
    /// Returns a selection without targets.
    #[must_use]
    pub fn empty() -> Selection {
        Selection::of_names(HostList::default(), NodeSet::default())
    }

    /// Returns the selection of plain names: the list has their order, the set has the names.
    pub(super) fn of_names(list: HostList, set: NodeSet) -> Selection {
        let from = SelectedHosts::Names {
            list,
            set,
            sorted: false,
        };
        Selection {
            from,
            positions: None,
        }
    }

    /// Returns the selection of targets with options.
    pub(super) fn of_targets(targets: TargetList) -> Selection {
        Selection {
            from: SelectedHosts::Targets(targets),
            positions: None,
        }
    }

    /// Number of targets.
    #[must_use]
    pub fn len(&self) -> usize {
        match (&self.positions, &self.from) {
            (Some(positions), _) => positions.len(),
            (None, SelectedHosts::Names { set, .. }) => {
                usize::try_from(set.len()).unwrap_or(usize::MAX)
            }
            (None, SelectedHosts::Targets(targets)) => targets.len(),
        }
    }

    /// True if there are no targets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the targets, sorted by label in the order of `nodeset -e`. Equal labels keep their order.
    #[must_use]
    pub fn sorted(mut self) -> Selection {
        match &mut self.from {
            // A set has this order already, so no name is written out.
            SelectedHosts::Names { sorted, .. } => *sorted = true,
            SelectedHosts::Targets(targets) => *targets = sorted(targets),
        }
        self
    }

    /// Returns the targets that `keep` accepts, in the order of the list.
    #[must_use]
    pub fn retain(self, keep: impl FnMut(&&Target) -> bool) -> Selection {
        let targets = self.into_targets();
        let kept: Vec<Target> = targets.iter().filter(keep).cloned().collect();
        Selection::of_targets(TargetList::from(kept))
    }

    /// Returns the targets at these positions (`0-9`, `0,5`, `0-100/10`), counted from 0, in the order of the list.
    /// `origin` is the source of the text `positions`, for errors.
    pub fn slice(self, positions: &str, origin: &Origin) -> Result<Selection, TargetError> {
        let mut chosen = nodeset::positions(positions, self.len())
            .map_err(|error| Diagnostic::from_nodeset(origin, positions, &error))?;
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.is_empty() {
            return Err(TargetError::NothingAt(self.len()));
        }
        Ok(self.at(chosen))
    }

    /// Returns `count` targets chosen at random, at least one and at most all, in the order of the list.
    #[must_use]
    pub fn pick(self, count: usize, random: &mut fastrand::Rng) -> Selection {
        let mut positions = random.choose_multiple(0..self.len(), count.max(1));
        // The choice is random, and the order of the list stays.
        positions.sort_unstable();
        self.at(positions)
    }

    /// Returns the targets at these positions of the selection, which are in ascending order.
    fn at(mut self, mut chosen: Vec<usize>) -> Selection {
        // Positions count within the present selection, which may already be a part of the list.
        if let Some(before) = &self.positions {
            for position in &mut chosen {
                *position = before[*position];
            }
        }
        self.positions = Some(chosen);
        self
    }

    /// Returns the sizes of at most `parts` parts. The first ones have one target more if the number cannot be
    /// divided evenly.
    #[must_use]
    pub fn part_sizes(&self, parts: usize) -> Vec<usize> {
        // More parts than targets would leave some parts empty.
        let parts = parts.clamp(1, self.len().max(1));
        let (size, longer) = (self.len() / parts, self.len() % parts);
        (0..parts)
            .map(|part| size + usize::from(part < longer))
            .collect()
    }

    /// Calls `each` with the label of every target in order, until it fails.
    pub fn try_for_each<E>(&self, mut each: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let Some(positions) = &self.positions else {
            return self.from.walk(&mut each);
        };
        let (mut at, mut wanted) = (0, positions.iter().peekable());
        self.from.walk(&mut |label| {
            let counts = wanted.next_if(|&&position| position == at).is_some();
            at += 1;
            if counts { each(label) } else { Ok(()) }
        })
    }

    /// Writes the label of every target in order.
    ///
    /// # Errors
    /// Writing fails.
    pub fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
        match (&self.from, &self.positions) {
            (
                SelectedHosts::Names {
                    set, sorted: true, ..
                },
                None,
            ) => set.write_to(out),
            (SelectedHosts::Names { list, .. }, None) if list.is_distinct() => list.write_to(out),
            _ => self.try_for_each(|label| out.push(label)),
        }
    }

    /// Returns the folded labels.
    #[must_use]
    pub fn folded(&self) -> String {
        match (&self.from, &self.positions) {
            (SelectedHosts::Names { .. }, _) => self.to_set().to_string(),
            (SelectedHosts::Targets(targets), None) => {
                fold(targets.iter().map(|target| &*target.label))
            }
            (SelectedHosts::Targets(targets), Some(positions)) => {
                fold(positions.iter().map(|&at| &*targets[at].label))
            }
        }
    }

    /// Returns the labels as a set of names.
    #[must_use]
    pub fn to_set(&self) -> NodeSet {
        match (&self.from, &self.positions) {
            (SelectedHosts::Names { set, .. }, None) => set.clone(),
            _ => {
                let mut builder = NodeSetBuilder::default();
                let Ok(()) = self.try_for_each(|label| {
                    builder.add(label);
                    Ok::<(), std::convert::Infallible>(())
                });
                builder.build()
            }
        }
    }

    /// Returns the targets.
    #[must_use]
    pub fn into_targets(self) -> TargetList {
        match (self.from, self.positions) {
            (SelectedHosts::Targets(targets), None) => targets,
            (SelectedHosts::Targets(targets), Some(positions)) => {
                let chosen = positions.iter().map(|&at| targets[at].clone());
                TargetList::from(chosen.collect::<Vec<Target>>())
            }
            (from @ SelectedHosts::Names { .. }, positions) => {
                let names = Selection { from, positions };
                let mut targets = Vec::with_capacity(names.len());
                let Ok(()) = names.try_for_each(|label| {
                    targets.push(Target::named(label));
                    Ok::<(), std::convert::Infallible>(())
                });
                TargetList::from(targets)
            }
        }
    }
}

impl SelectedHosts {
    /// Calls `each` with every label in order, each target once.
    fn walk<E>(&self, each: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        match self {
            SelectedHosts::Targets(targets) => {
                targets.iter().try_for_each(|target| each(&target.label))
            }
            SelectedHosts::Names {
                set, sorted: true, ..
            } => set.try_for_each(each),
            SelectedHosts::Names { list, .. } if list.is_distinct() => {
                list.try_for_each(|host| each(host.label))
            }
            SelectedHosts::Names { list, .. } => {
                // The list may name a host twice. Labels are allocated only here, where that is possible.
                let mut seen: HashSet<Box<str>> = HashSet::new();
                list.try_for_each(|host| {
                    if seen.contains(host.label) {
                        return Ok(());
                    }
                    seen.insert(host.label.into());
                    each(host.label)
                })
            }
        }
    }
}

impl Target {
    /// Returns the target of a plain name.
    fn named(name: &str) -> Target {
        let name: Arc<str> = name.into();
        Target {
            label: Arc::clone(&name),
            host: name,
            user: None,
            port: None,
            transport: None,
            callback_from: None,
            inventory: None,
            variables: None,
        }
    }
}

#[cfg(test)]
mod tests;
