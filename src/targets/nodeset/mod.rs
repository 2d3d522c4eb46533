//! Node sets: many host names written as one expression, and folded back into one.
//!
//! The language is ClusterShell's, since every scheduler's users write it: `node[1-100]`, padding
//! (`[001-100]`; `1` and `001` are different indexes), steps (`[0-10/2]`), several brackets in a
//! name, the operators `,` union, `!` difference, `&` intersection and `^` symmetric difference
//! from left to right, `@group`, `@source:group`, `@*`, `@@source`, and `*` and `?` against all
//! hosts. From pdsh come `^file`, `/regex/`, `-name` and white space as union. `user@` and `:port` may
//! stand around names, `user@` before groups.
//!
//! [`HostList`] keeps what was written, in order; [`NodeSet`] is a set of names without users and
//! ports, for algebra and folding. Both hold ranges, not names. [`Resolver`] makes lists from text.
//!
//! # Where ClusterShell and pdsh disagree
//!
//! ClusterShell's meaning counts, except for what it refuses and pdsh takes without harm, and for what
//! would reach other hosts than the reader of an expression expects:
//!
//! - `foo[1-2][3-4]` is `foo13`, `foo14`, `foo23`, `foo24`; commas may be doubled or at an end; the first
//!   number of a range may set its least width (`[01-100]`). All as in pdsh; ClusterShell refuses them.
//! - `node1[3-13]` is `node13` to `node19` and `node110` to `node113`, as in pdsh. ClusterShell makes
//!   101 hosts of it, `node13` to `node113`.
//! - White space separates names. ClusterShell takes it for a part of a name.
//! - `^` is a file where an operand has to come, else the operator. `-` is an exclusion there, which
//!   holds for everything on the command line, and no number has a sign.
//! - A difference takes away all mentions of a host; pdsh's exclusions take one.
//! - A group that its source does not know is an error; ClusterShell takes it for empty.
//!
//! `tests/it/nodeset_diff.rs` holds these against both programs.
//!
//! # Why not a crate
//!
//! The crates that exist were tried and not taken: `nodeset` brings its command line, its logger and
//! its configuration along and refuses `user@node[1-2]`; `hostlist-parser` has no steps, no operators
//! and no ports; `hostlist` is silently wrong (`node[1-10/2]` gives `node`).

mod error;
mod eval;
mod fold;
mod grid;
mod index;
mod joined;
mod list;
mod lookup;
mod mask;
mod parse;
mod pattern;
mod products;
mod ranges;
mod set;
mod words;

#[cfg(test)]
mod tests;

pub use error::{Fault, NodeSetError};
pub use eval::Resolver;
pub use joined::Joined;
pub use list::{Filter, Host, HostList, Options, Says};
pub use lookup::{Definition, DefinitionPlace, GroupError, GroupSource, HostFiles, Nothing};
pub use parse::positions;
pub use set::{NodeSet, fold};
