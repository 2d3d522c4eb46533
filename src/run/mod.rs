//! When things happen: the dispatcher that runs every target within the fan-out, and what it tells.
//!
//! [`run`] knows neither flags nor reporters; it takes a [`RunSpec`], a transport and a source of
//! signals, and sends [events](event).

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::event::Note;
use crate::reader::Reader;
use crate::targets::Target;
use crate::transport::Input;

mod cancel;
mod dispatcher;

mod give_up;
mod host_task;
mod limit;
pub mod limits;
mod pace;
pub mod policy;
mod retry;
pub mod signal;
mod state;
#[cfg(test)]
mod tests;
mod waiting;
mod words;

pub use dispatcher::run;

/// A run as it was decided; read-only from here on.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// All targets, in the order in which they are started.
    pub targets: Arc<[Target]>,
    /// How many hosts at once.
    pub fanout: NonZeroUsize,
    /// From the first SYN or the name look-up to the command's start.
    pub connect_timeout: Duration,
    /// For the command, from its start.
    pub command_timeout: Option<Duration>,
    /// When it goes on, gives up or tries again.
    pub policy: policy::Policy,
    /// How many descriptors one host takes.
    pub descriptors_per_host: u32,
    /// What the commands read, to be told which targets have ended.
    pub input: Option<Input>,
    /// Remarks to be told before anything else.
    pub notes: Vec<Note>,
    /// The reader of the reports, for whose slowness no target is charged.
    pub reader: Reader,
    /// Whether retries and waves are told of.
    pub details: bool,
    /// Prints a line while the reports wait for their reader. Must not block.
    pub say: Option<fn(String)>,
    /// Notified when one of the reports cannot be written. The others still take everything.
    pub report_failed: Arc<Notify>,
}
