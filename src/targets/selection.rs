//! Chosen targets, in an order, of which only some positions may count: ranges where that is enough.
//!
//! Made by the builder, used by `plan` for runs and by the listing modes: `mrsh --count 'n[1-1000000]'` never
//! makes a name. Names come out one after the other, each once.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use nodeset::{Joined, NodeSet, NodeSetBuilder};

use super::Target;
use super::error::{Diagnostic, Origin, TargetError};
use super::list::TargetList;
use super::order::sorted;
use super::{HostList, fold};

/// Targets, in the order in which they are wanted. Empty only for listings.
#[derive(Clone, Debug)]
pub struct Selection {
    from: Held,
    /// The positions that count, rising; all if there are none given.
    positions: Option<Vec<usize>>,
}

#[derive(Clone, Debug)]
enum Held {
    /// Hosts that are only their names; the set has those that are in the list.
    Names {
        list: HostList,
        set: NodeSet,
        sorted: bool,
    },
    Targets(TargetList),
}

impl Selection {
    /// No target at all.
    #[must_use]
    pub fn empty() -> Selection {
        Selection::of_names(HostList::default(), NodeSet::default())
    }

    /// Hosts that are nothing but their names, as a list for their order and as a set.
    pub(super) fn of_names(list: HostList, set: NodeSet) -> Selection {
        let from = Held::Names {
            list,
            set,
            sorted: false,
        };
        Selection {
            from,
            positions: None,
        }
    }

    /// Targets with more than a name.
    pub(super) fn of_targets(targets: TargetList) -> Selection {
        Selection {
            from: Held::Targets(targets),
            positions: None,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match (&self.positions, &self.from) {
            (Some(positions), _) => positions.len(),
            (None, Held::Names { set, .. }) => usize::try_from(set.len()).unwrap_or(usize::MAX),
            (None, Held::Targets(targets)) => targets.len(),
        }
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets in the order of `nodeset -e` for their labels; equal labels keep their order.
    #[must_use]
    pub fn sorted(mut self) -> Selection {
        match &mut self.from {
            Held::Names { sorted, .. } => *sorted = true,
            Held::Targets(targets) => *targets = sorted(targets),
        }
        self
    }

    /// The targets at these positions (`0-9`, `0,5`, `0-100/10`), counted from 0, in their order;
    /// `origin` is where the positions were written.
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

    /// This many targets chosen at random, at least one and at most all, in their order.
    #[must_use]
    pub fn pick(self, count: usize, random: &mut fastrand::Rng) -> Selection {
        let mut positions = random.choose_multiple(0..self.len(), count.max(1));
        positions.sort_unstable();
        self.at(positions)
    }

    /// Of what is selected only these positions, which rise.
    fn at(mut self, mut chosen: Vec<usize>) -> Selection {
        if let Some(before) = &self.positions {
            for position in &mut chosen {
                *position = before[*position];
            }
        }
        self.positions = Some(chosen);
        self
    }

    /// How many targets each of at most `parts` parts has, the first ones one more where it does not
    /// come out even.
    #[must_use]
    pub fn part_sizes(&self, parts: usize) -> Vec<usize> {
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
    /// Those of `out`.
    pub fn write_to(&self, out: &mut Joined<'_>) -> io::Result<()> {
        match (&self.from, &self.positions) {
            (
                Held::Names {
                    set, sorted: true, ..
                },
                None,
            ) => set.write_to(out),
            (Held::Names { list, .. }, None) if list.is_distinct() => list.write_to(out),
            _ => self.try_for_each(|label| out.push(label)),
        }
    }

    /// The labels folded.
    #[must_use]
    pub fn folded(&self) -> String {
        match (&self.from, &self.positions) {
            (Held::Names { .. }, _) => self.to_set().to_string(),
            (Held::Targets(targets), None) => fold(targets.iter().map(|target| &*target.label)),
            (Held::Targets(targets), Some(positions)) => {
                fold(positions.iter().map(|&at| &*targets[at].label))
            }
        }
    }

    /// The labels as a set of names.
    #[must_use]
    pub fn to_set(&self) -> NodeSet {
        match (&self.from, &self.positions) {
            (Held::Names { set, .. }, None) => set.clone(),
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

    /// The targets themselves.
    #[must_use]
    pub fn into_targets(self) -> TargetList {
        match (self.from, self.positions) {
            (Held::Targets(targets), None) => targets,
            (Held::Targets(targets), Some(positions)) => {
                let chosen = positions.iter().map(|&at| targets[at].clone());
                TargetList::from(chosen.collect::<Vec<Target>>())
            }
            (from @ Held::Names { .. }, positions) => {
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

impl Held {
    /// Calls `each` with every label in order, each target once.
    fn walk<E>(&self, each: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        match self {
            Held::Targets(targets) => targets.iter().try_for_each(|target| each(&target.label)),
            Held::Names {
                set, sorted: true, ..
            } => set.try_for_each(each),
            Held::Names { list, .. } if list.is_distinct() => {
                list.try_for_each(|host| each(host.label))
            }
            Held::Names { list, .. } => {
                let mut seen: HashSet<Box<str>> = HashSet::new();
                list.try_for_each(|host| match seen.contains(host.label) {
                    true => Ok(()),
                    false => {
                        seen.insert(host.label.into());
                        each(host.label)
                    }
                })
            }
        }
    }
}

impl Target {
    /// A host of which only the name is known.
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
        }
    }
}

#[cfg(test)]
mod tests;
