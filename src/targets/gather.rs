//! What the builder of lists has gathered so far: ranges while they are enough, else targets.
//!
//! Where every host is only its name, what was written is kept as it was written, and duplicates are
//! the business of whoever walks it. The first host that has more to it (a user, a port, a transport, a label)
//! turns all into targets. Those are known by their host and by the label or the port that was written with it: mentions
//! of one target that say different things are an error, since one of them would be lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use super::error::{Diagnostic, Origin, TargetError};
use nodeset::NodeSet;

use super::{Host, HostList, Limits, Network, Target};

/// Everything that was named.
pub(super) enum Gathered {
    /// Hosts that are nothing but their names, at most as many as there may be.
    Plain(HostList),
    /// Targets, each once.
    Targets(Targets),
}

impl Gathered {
    /// Adds hosts that stand in this part of a text.
    pub(super) fn add(
        &mut self,
        hosts: HostList,
        limits: Limits,
        origin: &Origin,
        text: &str,
        span: Range<usize>,
    ) -> Result<(), TargetError> {
        if let Gathered::Plain(list) = self {
            let mentions = list.mentions().saturating_add(hosts.mentions());
            if mentions <= limits.max_targets as u128 && hosts.is_plain() {
                list.append(hosts);
                return Ok(());
            }
            let mut targets = Targets::default();
            list.for_each(|node| {
                // A mention that says nothing agrees with all others.
                let _ = targets.add(node.into(), Place::default());
            });
            *self = Gathered::Targets(targets);
        }
        let Gathered::Targets(targets) = self else {
            return Ok(());
        };
        let place = targets.place(origin);
        let refuse = |message, help| {
            Err(Diagnostic::new(origin, text, span.clone(), message, Some(help)).into())
        };
        let mut add = |host: Host<'_>| match targets.add(host, place) {
            Ok(()) if targets.list.len() > limits.max_targets => refuse(
                format!("more than {} targets", limits.max_targets),
                "name fewer hosts in one run".to_owned(),
            ),
            Ok(()) => Ok(()),
            Err(known) => refuse(
                format!(
                    "{} is named twice, with {} and with {}",
                    identity(host),
                    said(&Host {
                        address: address_of(&known, host),
                        user: known.user.as_ref(),
                        port: known.port,
                        transport: known.transport,
                        callback_from: known.callback_from.as_ref(),
                        inventory: known.inventory.as_ref(),
                        ..host
                    }),
                    said(&host),
                ),
                format!(
                    "the first is in {}; keep one, or give each a label of its own with label=",
                    targets.place_of(host)
                ),
            ),
        };
        hosts.try_for_each(|node| add(node.into()))
    }
}

impl Gathered {
    /// The names of all hosts.
    pub(super) fn names(&self) -> NodeSet {
        match self {
            Gathered::Plain(list) => list.to_set(),
            Gathered::Targets(targets) => targets.list.iter().map(|target| &*target.host).collect(),
        }
    }
}

/// Where a target was described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Position of the name of the file, or of the option.
    origin: u32,
    /// From 1; 0 if the origin has no lines.
    line: u32,
}

/// Targets in the order of their first mention.
#[derive(Default)]
pub(super) struct Targets {
    list: Vec<Target>,
    /// For each of them, where it was described, if it was.
    places: Vec<Place>,
    positions: HashMap<(Arc<str>, Arc<str>), usize>,
    origins: Vec<Arc<str>>,
}

impl Targets {
    /// The list.
    pub(super) fn into_list(self) -> Vec<Target> {
        self.list
    }

    /// Adds a mention; if it contradicts an earlier one, that is the error.
    fn add(&mut self, host: Host<'_>, place: Place) -> Result<(), Target> {
        let name: Arc<str> = host.name.into();
        let label = if host.label == host.name {
            Arc::clone(&name)
        } else {
            host.label.into()
        };
        let key = (identity(host).into(), Arc::clone(&name));
        let new = Target {
            label,
            host: host.address.unwrap_or(&name).clone(),
            user: host.user.cloned(),
            port: host.port,
            transport: host.transport,
            callback_from: host.callback_from.cloned(),
            inventory: host.inventory.cloned(),
        };
        let says = |target: &Target| target.says_something() || address_of(target, host).is_some();
        match self.positions.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(self.list.len());
                self.list.push(new);
                self.places.push(place);
            }
            Entry::Occupied(entry) => {
                let at = *entry.get();
                let known = &mut self.list[at];
                // A plain mention beside an inventory's is a host of the inventory, too.
                let inventory = known.inventory.clone().or_else(|| new.inventory.clone());
                if !says(known) {
                    *known = new;
                    self.places[at] = place;
                } else if says(&new) && !agree(&new, known) {
                    return Err(known.clone());
                }
                if !known
                    .inventory
                    .as_ref()
                    .is_some_and(|from| from.says_something())
                {
                    known.inventory = inventory;
                }
            }
        }
        Ok(())
    }

    fn place(&mut self, origin: &Origin) -> Place {
        let known = self
            .origins
            .iter()
            .rposition(|name| **name == *origin.name());
        let position = known.unwrap_or_else(|| {
            self.origins.push(origin.name().into());
            self.origins.len() - 1
        });
        let number = |n: usize| u32::try_from(n).unwrap_or(0);
        Place {
            origin: number(position),
            line: number(origin.line_number().unwrap_or(0)),
        }
    }

    /// Where the target that this host is was described, as `hosts:7`.
    fn place_of(&self, host: Host<'_>) -> String {
        let key = (identity(host).into(), host.name.into());
        let place = self.positions.get(&key).map(|&at| self.places[at]);
        let Place { origin, line } = place.unwrap_or_default();
        let name = self.origins.get(origin as usize);
        let name = name.map_or("", |name| name);
        match line {
            0 => name.to_owned(),
            line => format!("{name}:{line}"),
        }
    }
}

/// The text that makes a mention a target of its own beside others of the same host: its label, or the name with
/// the port that is written after it.
///
/// `root@n1` is a mention of `n1`, since one host has one login in a run. `n1:2201` is another server than `n1`: many
/// hosts behind one address are told apart by nothing but their ports.
fn identity<'a>(host: Host<'a>) -> &'a str {
    let user = host.user.filter(|_| !host.labelled);
    let without_user = user.and_then(|user| host.label.strip_prefix(&**user)?.strip_prefix('@'));
    without_user.unwrap_or(host.label)
}

/// Whether two mentions lead to the same place in the same way, whatever they are called.
fn agree(one: &Target, other: &Target) -> bool {
    let said = |target: &Target| Target {
        label: Arc::clone(&one.label),
        inventory: target
            .inventory
            .clone()
            .filter(|from| from.says_something()),
        ..target.clone()
    };
    said(one) == said(other)
}

/// What is called for a target that is this host, if it is not the host's own name.
fn address_of<'a>(target: &'a Target, host: Host<'_>) -> Option<&'a Arc<str>> {
    Some(&target.host).filter(|called| ***called != *host.name)
}

/// What a mention says, as it is written in a hosts file; the address, as in an inventory.
fn said(host: &Host<'_>) -> String {
    let parts = [
        host.address
            .map(|address| format!("ansible_host={address}")),
        host.user.map(|user| format!("user={user}")),
        host.port.map(|port| format!("port={port}")),
        host.transport
            .map(|transport| format!("transport={transport}")),
        host.callback_from
            .map(|networks| format!("callback={}", Network::list(networks))),
        host.inventory
            .filter(|from| from.says_something())
            .map(|_| "ssh's arguments of an inventory".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" ")
}
