//! rsh, the reason this program exists: the protocol of rshd(8), with the remote side closing first.

pub mod wire;
pub mod wrap;
