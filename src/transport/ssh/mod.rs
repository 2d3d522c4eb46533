//! SSH: whom the user trusts, with which keys the user is known, and the sessions themselves.

pub mod certificate;
pub mod known_hosts;
pub mod public;
#[cfg(test)]
mod testing;
mod wire;
