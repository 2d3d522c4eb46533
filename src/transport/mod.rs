//! How a command reaches a host: what every transport carries and how it can fail.

mod error;
pub mod rsh;

pub use error::{FailureClass, Phase, TransportError};

use crate::targets::TargetId;

/// One of a command's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The remote command's standard output.
    Stdout,
    /// The remote command's standard error.
    Stderr,
}

/// A piece of a target's output as it came from the network: any bytes, cut anywhere, never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Whose output it is.
    pub target: TargetId,
    /// Which stream it came on.
    pub stream: Stream,
    /// The bytes, at most 64 KiB.
    pub data: Vec<u8>,
}

/// How a remote command ended, as far as the transport can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemoteExit {
    /// It exited with this status.
    Code(u8),
    /// A signal with this number ended it, and the transport said so.
    Signaled(u8),
    /// It ended, and nothing says how: plain rsh carries no status. Never taken for 0.
    Unknown,
}
