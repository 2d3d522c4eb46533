//! The hosts that a builder of lists has gathered: ranges while every host is a plain name, else targets.
//!
//! Plain names stay in their written form, and the code that walks the list removes duplicates. The first host with
//! a user, port, transport or label turns all hosts into targets. The key of a target is its host, and the label or
//! port that was written with it. Two mentions of one target with different options are an error, because one of
//! them would be lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use super::error::{Diagnostic, Origin, TargetError};
use nodeset::NodeSet;

use super::{Host, HostList, Limits, Network, Target};

/// The hosts that were named so far.
pub(super) enum Gathered {
    /// Hosts without options, at most [`Limits::max_targets`] of them.
    Plain(HostList),
    /// Targets, each once.
    Targets(Targets),
}

impl Gathered {
    /// Adds the hosts that the part `span` of `text` names.
    pub(super) fn add(
        &mut self,
        hosts: HostList,
        limits: Limits,
        origin: &Origin,
        text: &str,
        span: Range<usize>,
    ) -> Result<(), TargetError> {
        if let Gathered::Plain(list) = self {
            // Repeated names count here. Above the limit, targets are made, which count each host once.
            let mentions = list.mentions().saturating_add(hosts.mentions());
            if mentions <= limits.max_targets as u128 && hosts.is_plain() {
                list.append(hosts);
                return Ok(());
            }
            let mut targets = Targets::default();
            list.for_each(|node| {
                // Plain names have no options, so they cannot contradict each other.
                let _ = targets.add(node.into(), MentionPlace::default());
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
                    written_options(&Host {
                        address: address_of(&known, host),
                        user: known.user.as_ref(),
                        port: known.port,
                        transport: known.transport,
                        callback_from: known.callback_from.as_ref(),
                        inventory: known.inventory.as_ref(),
                        variables: known.variables.as_ref(),
                        ..host
                    }),
                    written_options(&host),
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

/// The origin and the line of the mention that gave a target its options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MentionPlace {
    /// Index of the name of the file or option in [`Targets::origins`].
    origin: u32,
    /// Line number, counted from 1; 0 if the origin has no lines.
    line: u32,
}

/// Targets in the order of their first mention.
#[derive(Default)]
pub(super) struct Targets {
    list: Vec<Target>,
    /// The mention that gave each target its options, in the order of `list`.
    places: Vec<MentionPlace>,
    positions: HashMap<(Arc<str>, Arc<str>), usize>,
    origins: Vec<Arc<str>>,
}

impl Targets {
    /// The list.
    pub(super) fn into_list(self) -> Vec<Target> {
        self.list
    }

    /// Adds a mention.
    ///
    /// # Errors
    /// The earlier target that the mention contradicts.
    fn add(&mut self, host: Host<'_>, place: MentionPlace) -> Result<(), Target> {
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
            variables: host.variables.cloned(),
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
                // A host of an inventory that is also named plainly keeps the variables of the inventory.
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

    fn place(&mut self, origin: &Origin) -> MentionPlace {
        let known = self
            .origins
            .iter()
            // Mentions in a row are usually from one origin, so the last one is compared first.
            .rposition(|name| **name == *origin.name());
        let position = known.unwrap_or_else(|| {
            self.origins.push(origin.name().into());
            self.origins.len() - 1
        });
        let number = |n: usize| u32::try_from(n).unwrap_or(0);
        MentionPlace {
            origin: number(position),
            line: number(origin.line_number().unwrap_or(0)),
        }
    }

    /// Returns the place that gave the target of this host its options, for example `hosts:7`.
    fn place_of(&self, host: Host<'_>) -> String {
        let key = (identity(host).into(), host.name.into());
        let place = self.positions.get(&key).map(|&at| self.places[at]);
        let MentionPlace { origin, line } = place.unwrap_or_default();
        let name = self.origins.get(origin as usize);
        let name = name.map_or("", |name| name);
        match line {
            0 => name.to_owned(),
            line => format!("{name}:{line}"),
        }
    }
}

/// Returns the text that distinguishes targets of the same host: the label, or the name with its written port.
///
/// `root@n1` is a mention of `n1`, because a host has one login in a run. `n1:2201` is another server than `n1`:
/// hosts that share an address, as with port forwarding, differ only in their ports.
fn identity<'a>(host: Host<'a>) -> &'a str {
    let user = host.user.filter(|_| !host.labelled);
    let without_user = user.and_then(|user| host.label.strip_prefix(&**user)?.strip_prefix('@'));
    without_user.unwrap_or(host.label)
}

/// True if two mentions have the same host and options. Labels do not count.
fn agree(one: &Target, other: &Target) -> bool {
    let unlabelled = |target: &Target| Target {
        label: Arc::clone(&one.label),
        inventory: target
            .inventory
            .clone()
            .filter(|from| from.says_something()),
        ..target.clone()
    };
    unlabelled(one) == unlabelled(other)
}

/// Returns the address of a target, if it differs from the name of this host.
fn address_of<'a>(target: &'a Target, host: Host<'_>) -> Option<&'a Arc<str>> {
    Some(&target.host).filter(|called| ***called != *host.name)
}

/// Returns the options of a mention in the syntax of a hosts file; the address in that of an inventory.
fn written_options(host: &Host<'_>) -> String {
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
    let variables = host.variables.into_iter().flat_map(|all| all.iter());
    let variables = variables.map(|variable| format!("env.{variable}"));
    let parts: Vec<String> = parts.into_iter().flatten().chain(variables).collect();
    parts.join(" ")
}
