//! Keeps output that goes elsewhere from what is shown.

use std::io;

use super::{Console, Reporter};
use crate::event::Stream;
use crate::event::{Event, RunStats};

/// Passes everything on to another reporter, except the output of the streams that are not shown.
#[derive(Debug)]
pub(super) struct Shown {
    hidden: Vec<Stream>,
    inner: Box<dyn Reporter>,
}

impl Shown {
    pub(super) fn without(hidden: Vec<Stream>, inner: Box<dyn Reporter>) -> Self {
        Shown { hidden, inner }
    }
}

impl Reporter for Shown {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        match event {
            Event::Output(chunk) if self.hidden.contains(&chunk.stream) => Ok(()),
            event => self.inner.event(event, console),
        }
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        self.inner.finish(stats, console)
    }
}
