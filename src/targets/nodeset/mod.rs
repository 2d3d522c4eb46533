//! Node sets: many host names written as one expression, and folded back into one.
//!
//! The language is ClusterShell's, since every scheduler's users write it: `node[1-100]`, padding
//! (`[001-100]`; `1` and `001` are different indexes), steps (`[0-10/2]`), several brackets in a
//! name, and the operators `,` (or white space) union, `!` difference, `&` intersection and `^`
//! symmetric difference, evaluated left to right. `user@` and `:port` may stand around any of it.
//!
//! [`HostList`] keeps what was written, in order; [`NodeSet`] is a set of names without users and
//! ports, for algebra and folding. Both hold ranges, not names.
//!
//! The crates that exist were tried and not taken: `nodeset` brings its command line, its logger and
//! its configuration along and refuses `user@node[1-2]`; `hostlist-parser` has no steps, no operators
//! and no ports; `hostlist` is silently wrong (`node[1-10/2]` gives `node`).

mod error;
mod eval;
mod fold;
mod grid;
mod index;
mod list;
mod lookup;
mod parse;
mod pattern;
mod ranges;
mod set;
mod words;

#[cfg(test)]
mod tests;

pub use error::{Fault, NodeSetError};
pub use eval::Resolver;
pub use list::{Filter, Host, HostList, Options};
pub use lookup::{GroupError, GroupSource, HostFiles, Nothing};
pub use parse::positions;
pub use set::{NodeSet, fold};
