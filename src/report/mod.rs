//! What is shown: reporters turn the run's events into text.
//!
//! All of them run on one thread, which alone owns standard output and standard error.

use std::io;

use crate::run::event::{Event, RunStats};

mod console;

pub use console::Console;

/// Turns events into text. One format a file.
pub trait Reporter: Send {
    /// Takes one event, in order.
    ///
    /// # Errors
    /// A write that failed; it ends the run.
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()>;

    /// Takes the numbers of the whole run, after its last event.
    ///
    /// # Errors
    /// A write that failed.
    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()>;
}
