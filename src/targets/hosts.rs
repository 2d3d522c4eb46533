//! Host lists: node lists whose names have users, ports, transports and variables of inventories.
//!
//! Built from expressions by a [`HostResolver`] and by the readers of hosts files and inventories, walked by
//! [`TargetListBuilder`](super::TargetListBuilder). The syntax of one word is in [`word`].

use std::sync::Arc;

use nodeset::{Attributes, Node, NodeSet, Word, WordError};

use super::inventory::InventoryVariables;
use super::{Network, TransportKind, Variable, word};

/// Hosts in the order of their first mention, with their options.
pub type HostList = nodeset::NodeList<Options>;

/// An evaluator of expressions, whose hosts have options.
pub type HostResolver<'a> = nodeset::Resolver<'a, Options>;

/// The definition of a group, whose hosts have options.
pub type GroupDefinition = nodeset::Definition<Options>;

/// Data of a host, or of all hosts of a list that do not have their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The user.
    pub user: Option<Arc<str>>,
    /// The port.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Option<TransportKind>,
    /// The networks from which the hosts' daemons may call back.
    pub callback_from: Option<Arc<[Network]>>,
    /// The label, instead of the written text.
    pub label: Option<Arc<str>>,
    /// The name or address to connect to, if it is not the name of the host.
    pub address: Option<Arc<str>>,
    /// The variables of an inventory.
    pub inventory: Option<Arc<InventoryVariables>>,
    /// The environment variables of the hosts' commands.
    pub variables: Option<Arc<[Variable]>>,
    /// True if the label of a host shows the user, as in `user@@group`.
    pub shows_user: bool,
}

impl Attributes for Options {
    fn split(text: &str, operator: Option<char>) -> Result<Word<Options>, WordError> {
        word::split(text, operator)
    }

    fn or(&self, outer: &Options) -> Options {
        // The inner options come first: a word is more specific than the list around it.
        let own = self.clone();
        Options {
            user: own.user.or_else(|| outer.user.clone()),
            port: own.port.or(outer.port),
            transport: own.transport.or(outer.transport),
            callback_from: own.callback_from.or_else(|| outer.callback_from.clone()),
            label: own.label.or_else(|| outer.label.clone()),
            address: own.address.or_else(|| outer.address.clone()),
            inventory: own.inventory.or_else(|| outer.inventory.clone()),
            variables: joined(own.variables, outer.variables.as_ref()),
            shows_user: own.shows_user,
        }
    }

    fn label(&self, label: &str, own: Option<&Options>) -> Option<String> {
        if let Some(label) = &self.label {
            return Some(label.to_string());
        }
        let user = self.user.as_ref().filter(|_| self.shows_user)?;
        let has_user = own.is_some_and(|own| own.user.is_some());
        (!has_user).then(|| format!("{user}@{label}"))
    }
}

/// Returns the inner variables, with those of the outer list that have other names.
fn joined(
    inner: Option<Arc<[Variable]>>,
    outer: Option<&Arc<[Variable]>>,
) -> Option<Arc<[Variable]>> {
    let (inner, outer) = match (inner, outer) {
        (Some(inner), Some(outer)) => (inner, outer),
        (inner, outer) => return inner.or_else(|| outer.cloned()),
    };
    let is_new = |variable: &&Variable| inner.iter().all(|known| known.name() != variable.name());
    let further = outer.iter().filter(is_new);
    Some(inner.iter().chain(further).cloned().collect())
}

/// One host of a list, with its own options and those of the lists around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// The written text of this one host, with user and port, or the label that it was given.
    pub label: &'a str,
    /// True if the label was given as one: it makes a target of its own.
    pub labelled: bool,
    /// The name or address, without the brackets of an IPv6 address. Sets have the host under this name.
    pub name: &'a str,
    /// The name or address to connect to, if it is not `name`.
    pub address: Option<&'a Arc<str>>,
    /// The variables of an inventory.
    pub inventory: Option<&'a Arc<InventoryVariables>>,
    /// The user, if one is given.
    pub user: Option<&'a Arc<str>>,
    /// The port, if one is given.
    pub port: Option<u16>,
    /// The transport, if one is given.
    pub transport: Option<TransportKind>,
    /// The networks from which its daemon may call back, if they are given.
    pub callback_from: Option<&'a Arc<[Network]>>,
    /// The environment variables of its commands, if there are any.
    pub variables: Option<&'a Arc<[Variable]>>,
}

impl<'a> From<Node<'a, Options>> for Host<'a> {
    fn from(node: Node<'a, Options>) -> Host<'a> {
        let options = node.attributes;
        Host {
            label: node.label,
            labelled: options.is_some_and(|options| options.label.is_some()),
            name: node.name,
            address: options.and_then(|options| options.address.as_ref()),
            inventory: options.and_then(|options| options.inventory.as_ref()),
            user: options.and_then(|options| options.user.as_ref()),
            port: options.and_then(|options| options.port),
            transport: options.and_then(|options| options.transport),
            callback_from: options.and_then(|options| options.callback_from.as_ref()),
            variables: options.and_then(|options| options.variables.as_ref()),
        }
    }
}

/// The options that are written beside the names of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// Some host has a user.
    pub user: bool,
    /// Some host has a port.
    pub port: bool,
    /// Some host has a transport.
    pub transport: bool,
}

impl Says {
    /// Returns the options that the words of a list set. Lists inside the list are not searched.
    #[must_use]
    pub fn of(hosts: &HostList) -> Says {
        let mut says = Says::default();
        for options in hosts.word_attributes() {
            says.user |= options.user.is_some();
            says.port |= options.port.is_some();
            says.transport |= options.transport.is_some();
        }
        says
    }
}

/// Returns the set of the names that were written without user and port.
#[must_use]
pub fn plain_set(hosts: &HostList) -> NodeSet {
    hosts.to_set_where(&|options| {
        options.is_none_or(|options| options.user.is_none() && options.port.is_none())
    })
}

#[cfg(test)]
mod tests;
