//! SSH: whom the user trusts, with which keys the user is known, and the sessions themselves.

pub mod agent;
pub mod certificate;
pub mod keys;
pub mod known_hosts;
pub mod note;
pub mod prompt;
pub mod public;
#[cfg(test)]
mod testing;
mod wire;
