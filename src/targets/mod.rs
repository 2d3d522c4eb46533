//! Who a command is run on: targets, and the expressions and files that name them.
//!
//! `plan` gathers a [`TargetList`] with a [`TargetListBuilder`] before anything is connected, or for a
//! listing a [`Selection`], which holds ranges where names are not needed; reports fold labels with [`fold`](fold()). Nothing here
//! knows of transports or of the run. Expressions are those of the crate [`nodeset`], with users, ports and transports in words.

use std::sync::Arc;

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
mod selection;
pub(crate) mod suggest;
mod warnings;
mod word;

#[cfg(test)]
mod tests;

pub use error::{Diagnostic, Origin, TargetError};
pub use fold::fold;
pub(crate) use help::{group_help, help};
pub use hosts::{Definition, Host, HostList, Options, Resolver, Says, plain_set};
pub use inventory::InventoryVariables;
pub use kind::{RSH_PORT, SSH_PORT, TransportKind, UnknownTransport};
pub use list::{TargetList, TargetListBuilder};
pub use network::{Network, NotANetwork};
pub(crate) use order::ranks;
pub use selection::Selection;
pub use warnings::Warnings;

/// The comment in a hosts file that `--failed-to` wrote when every target had succeeded. A file with nothing
/// else means that nothing is left to do.
pub const NO_TARGET_FAILED: &str = "# mrsh --failed-to: no target failed";

/// The place of a target in its run's list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u32);

impl TargetId {
    /// The index into the run's list of targets.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One host to run the command on. Texts are shared: a clone costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// What the user calls it: the name on every line of its output and in every report.
    pub label: Arc<str>,
    /// Host name or literal address (without brackets), as the resolver takes it.
    pub host: Arc<str>,
    /// Remote user, if the target says its own.
    pub user: Option<Arc<str>>,
    /// Remote port, if the target says its own.
    pub port: Option<u16>,
    /// How to reach it, if the target says so itself.
    pub transport: Option<TransportKind>,
    /// The networks from which its daemon may call back, if the target says so.
    pub callback_from: Option<Arc<[Network]>>,
    /// What an inventory says of it, if it is from one.
    pub inventory: Option<Arc<InventoryVariables>>,
}

impl Target {
    /// Whether it says more than what it is called and where it is.
    fn says_something(&self) -> bool {
        self.user.is_some()
            || self.port.is_some()
            || self.transport.is_some()
            || self.callback_from.is_some()
            || self
                .inventory
                .as_ref()
                .is_some_and(|from| from.says_something())
    }
}

impl Target {
    /// How it is reached in a run where the others are reached by `default`.
    #[must_use]
    pub fn transport_or(&self, default: TransportKind) -> TransportKind {
        self.transport.unwrap_or(default)
    }
}

/// How much expressions and files may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most targets in a list, and the most names in one expression.
    pub max_targets: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_targets: 1_000_000,
        }
    }
}
