//! The rules of ClusterShell that its programs have in common: expressions, groups and errors.
//!
//! Sets, folding and group sources are those of the engine. This module has what only ClusterShell does: its grammar,
//! in which white space is a part of names and an unknown group is empty, and its messages.

mod error;
mod expression;
mod groups;
mod ranges;

pub(super) use error::ClusterShellError;
pub(super) use groups::{GroupResolver, shown, single};
pub(super) use ranges::ranges;

/// The version whose behaviour the programs have.
pub(super) const VERSION: &str = "1.9.3";
