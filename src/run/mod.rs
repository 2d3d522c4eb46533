//! The dispatcher: runs every target, at most `fanout` at a time, and emits events.
//!
//! [`run`] knows neither options nor reporters. It takes a [`RunSpec`], a transport and a source of signals, and sends
//! [events](crate::event).

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::event::Notice;
use crate::journal::Journal;
use crate::policy::Policy;
use crate::reader::Reader;
use crate::targets::Target;
use crate::transport::Input;

mod cancel;
mod dispatcher;

mod command_limits;
pub mod descriptors;
mod host_task;
mod keys;
mod messages;
mod rate;
mod reader_timeout;
mod retry;
pub mod signal;
mod state;
#[cfg(test)]
mod tests;
mod waiting;

pub use dispatcher::run;

/// The decided input of a run. It never changes afterwards.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// All targets, in the order in which they are started.
    pub targets: Arc<[Target]>,
    /// Maximum number of targets in progress.
    pub fanout: NonZeroUsize,
    /// Maximum time from the lookup of the name to the start of the command.
    pub connect_timeout: Duration,
    /// Maximum time of the command, from its start.
    pub command_timeout: Option<Duration>,
    /// Limits, retries and waves.
    pub policy: Policy,
    /// Number of descriptors that one target needs.
    pub descriptors_per_host: u32,
    /// Standard input of the commands. The dispatcher reports ended targets to it.
    pub input: Option<Input>,
    /// The journal, which has a line for each target before its command may start.
    pub journal: Option<Journal>,
    /// Notices that are reported before anything else.
    pub notices: Vec<Notice>,
    /// The reader of the reports. Time in which it blocks is not charged to a target.
    pub reader: Reader,
    /// True if retries and waves are reported.
    pub details: bool,
    /// Words for a run that a wave has ended: the way to go on with the others.
    pub go_on: String,
    /// Prints a line while the reports wait for their reader. It must not block.
    pub say: Option<fn(String)>,
    /// Notified when one of the reports cannot be written. The others still get all events.
    pub report_failed: Arc<Notify>,
}
