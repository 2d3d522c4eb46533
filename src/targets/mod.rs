//! The targets of a command, and the expressions and files that name them.
//!
//! `plan` gathers a [`TargetList`] with a [`TargetListBuilder`] before the first connection. A listing uses a
//! [`Selection`], which holds ranges where names are not needed. Reports fold labels with [`fold`](fold()). This module
//! does not depend on the transports or on the run. The syntax of expressions is that of the crate [`nodeset`], with
//! users, ports and transports in words.

use std::sync::Arc;

mod child;
mod down;
mod error;
mod files;
mod fold;
mod gather;
pub mod groups;
mod help;
mod hosts;
mod hosts_file;
pub mod inventory;
mod kind;
mod list;
mod network;
mod order;
mod placeholder;
mod selection;
pub(crate) mod suggest;
mod variable;
mod warnings;
mod word;

#[cfg(test)]
mod tests;

pub use down::{DownError, DownHosts, DownSource, HostState};
pub use error::{Diagnostic, Origin, TargetError};
pub use fold::{fold, hosts_in_words};
pub(crate) use help::{group_help, help};
pub use hosts::{GroupDefinition, Host, HostList, HostResolver, Options, Says, plain_set};
pub use inventory::{InventoryValue, InventoryVariables};
pub use kind::{RSH_PORT, SSH_PORT, TransportKind};
pub use list::{TargetList, TargetListBuilder};
pub use network::{Network, NotANetwork};
pub(crate) use order::ranks;
pub use placeholder::{Pattern, PatternPart, Placeholder};
pub use selection::Selection;
pub use variable::{NameFault, RunVariable, TargetVariables, Variable};
pub use warnings::Warnings;

/// The comment that `--failed-to` writes to the hosts file if every target has succeeded. A file with only this
/// comment is not an error.
pub const NO_TARGET_FAILED: &str = "# mrsh --failed-to: no target failed";

/// The position of a target in the list of its run, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u32);

impl TargetId {
    /// The index into the run's list of targets.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One entry of the run. The texts are shared, so a clone copies only pointers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The label: the name on every line of its output and in every report.
    pub label: Arc<str>,
    /// Host name, or address without brackets, for the name resolver.
    pub host: Arc<str>,
    /// Remote user, if the target has its own.
    pub user: Option<Arc<str>>,
    /// Remote port, if the target has its own.
    pub port: Option<u16>,
    /// Transport, if the target has its own.
    pub transport: Option<TransportKind>,
    /// Networks from which its daemon may call back, if the target has its own.
    pub callback_from: Option<Arc<[Network]>>,
    /// Variables of the inventory that names the target, if any.
    pub inventory: Option<Arc<InventoryVariables>>,
    /// Environment variables that a hosts file gives to its commands, if any.
    pub variables: Option<Arc<[Variable]>>,
}

impl Target {
    /// True if the target has options beside its label and host.
    fn says_something(&self) -> bool {
        self.user.is_some()
            || self.port.is_some()
            || self.transport.is_some()
            || self.callback_from.is_some()
            || self.variables.is_some()
            || self
                .inventory
                .as_ref()
                .is_some_and(|from| from.says_something())
    }
}

impl Target {
    /// Returns the transport, in a run whose default transport is `default`.
    #[must_use]
    pub fn transport_or(&self, default: TransportKind) -> TransportKind {
        self.transport.unwrap_or(default)
    }
}

/// Limits for expressions and files, and what is read of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of targets in a list, and of names in one expression.
    pub max_targets: usize,
    /// True if variables of inventories for commands are read.
    pub inventory_env: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_targets: 1_000_000,
            inventory_env: false,
        }
    }
}
