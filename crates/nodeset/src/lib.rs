//! Node sets: many host names as one expression, and back.
//!
//! ```
//! use nodeset::NodeSet;
//!
//! let free = NodeSet::parse("node[001-100]!node[017,040-049]")?;
//! assert_eq!(free.to_string(), "node[001-016,018-039,050-100]");
//! assert_eq!(free.len(), 89);
//! assert_eq!(free.iter().next().as_deref(), Some("node001"));
//! # Ok::<(), nodeset::NodeSetError>(())
//! ```
//!
//! # The language
//!
//! The language is that of ClusterShell, which users of every scheduler know:
//!
//! | Expression | Meaning |
//! | --- | --- |
//! | `node[1-3,7]` | `node1`, `node2`, `node3`, `node7` |
//! | `node[001-100]` | padding: `node1` and `node001` are different names |
//! | `node[0-10/2]` | a step |
//! | `rack[1-2]node[1-4]` | all combinations |
//! | `a,b` or `a b` | union |
//! | `a!b` | difference |
//! | `a&b` | intersection |
//! | `a^b` | symmetric difference |
//! | `@group`, `@source:group` | the hosts of a group |
//! | `@*`, `@source:*` | all hosts |
//! | `@@source` | the names of the groups |
//! | `node*`, `node?` | all hosts whose names fit |
//!
//! Operators have no precedence and apply from left to right. From pdsh come `^file`, `/regex/`, `-name` and white
//! space as a separator.
//!
//! [`NodeSet`] is a set of names. [`NodeList`] keeps the written order, and may hold data of the program, as a user for
//! each name: see [`Attributes`]. Both hold ranges instead of names. [`Resolver`] evaluates expressions with groups and
//! files, which the program supplies ([`GroupSource`], [`HostFiles`]). The crate itself does no input and no output.
//!
//! # Differences between ClusterShell and pdsh
//!
//! ClusterShell's meaning counts. The exceptions are texts that ClusterShell refuses and pdsh accepts without harm, and
//! texts that would name other hosts than the reader expects:
//!
//! - `foo[1-2][3-4]` is `foo13`, `foo14`, `foo23`, `foo24`. Commas may be doubled or at an end. The first number of a
//!   range may set its minimum width (`[01-100]`). ClusterShell refuses all of these, and pdsh accepts them.
//! - `node1[3-13]` is `node13` to `node19` and `node110` to `node113`, as in pdsh. ClusterShell makes 101 hosts of it,
//!   `node13` to `node113`.
//! - White space separates names. For ClusterShell it is a part of a name.
//! - `^` before an operand is a file, and otherwise the operator. `-` before an operand is an exclusion, which applies
//!   to the whole command line. No number has a sign.
//! - A difference removes all mentions of a host. An exclusion of pdsh removes one.
//! - An unknown group is an error. For ClusterShell it is empty.
//!
//! # Limits
//!
//! Every expression has a maximum number of names, which is checked before anything is expanded. Names have at most
//! [`MAX_NAME`] bytes, and indexes at most 18 digits. No text makes the parser panic.

#![deny(unreachable_pub)]

mod attributes;
mod error;
mod eval;
mod fold;
mod grid;
mod index;
mod iter;
mod joined;
mod list;
mod lookup;
mod mask;
mod names;
mod parse;
mod pattern;
mod products;
mod range_set;
mod ranges;
mod set;
mod steps;

#[cfg(test)]
mod tests;

pub use attributes::{Attributes, Word};
pub use error::{Fault, MAX_NAME, NodeSetError, WordError};
pub use eval::Resolver;
pub use fold::FoldStyle;
pub use iter::Iter;
pub use joined::Joined;
pub use list::{Filter, Node, NodeList};
pub use lookup::{Definition, DefinitionPlace, GroupError, GroupSource, HostFiles, NoLookup};
pub use mask::fits_mask;
pub use names::is_name;
pub use parse::{is_name_char, positions};
pub use range_set::{NumberRange, RangeSet};
pub use set::{DEFAULT_LIMIT, NodeSet, NodeSetBuilder};
