//! A filter for output that goes to files and is not shown.

use std::io;

use super::{Console, Reporter};
use crate::event::Stream;
use crate::event::{Event, RunStats};

/// Passes all events to another reporter, except output of hidden streams.
#[derive(Debug)]
pub(super) struct HiddenStreams {
    hidden: Vec<Stream>,
    inner: Box<dyn Reporter>,
}

impl HiddenStreams {
    pub(super) fn without(hidden: Vec<Stream>, inner: Box<dyn Reporter>) -> Self {
        HiddenStreams { hidden, inner }
    }
}

impl Reporter for HiddenStreams {
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
