//! The default report: every line of output at once, as `host: text`.
//!
//! Remote standard output goes to standard output and remote standard error to standard error. The bytes are passed on
//! unchanged, unless the stream is a terminal. Complete lines are written directly from their chunk. Only an unfinished
//! line is kept, until its newline or the end of its target.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use memchr::memchr;

use super::color::{Colors, Frame, Palette};
use super::label::target_label;
use super::unfinished_line::{UnfinishedLine, print_line};
use super::{Console, LabelFormat, Reporter, RunInfo};
use crate::event::{Chunk, Stream};
use crate::event::{Event, RunStats};
use crate::targets::{Target, TargetId};

/// An unfinished line longer than this goes to a temporary file.
const LONG: usize = 1024 * 1024;

/// The limit if all unfinished lines together take more memory than [`MANY`].
// A thousand hosts that never end their lines must not fill the memory.
const LONG_AMONG_MANY: usize = 64 * 1024;

/// Memory of all unfinished lines from which on [`LONG_AMONG_MANY`] applies.
const MANY: usize = 8 * LONG;

/// The reporter that writes each line of output with its label.
#[derive(Debug)]
pub(super) struct Lines {
    label: bool,
    format: Option<(LabelFormat, Arc<RunInfo>)>,
    /// Buffer for the current label, if it has a format.
    prefix: Vec<u8>,
    palette: Palette,
    limit: usize,
    /// True if a last line without a newline stays without one.
    open_ends: bool,
    targets: Arc<[Target]>,
    tails: HashMap<(TargetId, Stream), UnfinishedLine>,
    /// Memory of all unfinished lines.
    held: usize,
}

impl Lines {
    /// Creates the reporter. With `label` false, lines have no label.
    pub(super) fn new(label: bool, colors: Colors) -> Self {
        Lines {
            label,
            format: None,
            prefix: Vec::new(),
            palette: Palette::new(colors),
            limit: LONG,
            open_ends: false,
            targets: Arc::default(),
            tails: HashMap::new(),
            held: 0,
        }
    }

    /// Sets the limit of an unfinished line in memory.
    #[cfg(any(test, fuzzing))]
    pub(super) fn keeping(self, limit: usize) -> Self {
        Lines { limit, ..self }
    }

    /// Sets whether a last line without a newline stays without one.
    pub(super) fn with_open_ends(self, open_ends: bool) -> Self {
        Lines { open_ends, ..self }
    }

    /// Sets the format of labels.
    pub(super) fn with_format(self, format: Option<LabelFormat>, info: &Arc<RunInfo>) -> Self {
        let format = format.map(|format| (format, Arc::clone(info)));
        Lines { format, ..self }
    }

    /// Formats the label of a target.
    fn prepare(&mut self, target: TargetId) {
        if let Some((format, info)) = &self.format {
            let value = |field, target| info.field(field, target);
            format.write(&[target.index()], value, &mut self.prefix);
        }
    }

    fn output(&mut self, chunk: &Chunk, console: &mut Console) -> io::Result<()> {
        let Chunk {
            target,
            stream,
            ref data,
        } = *chunk;
        self.prepare(target);
        let mut rest = &data[..];
        if let Some(tail) = self.take(target, stream) {
            let Some(end) = memchr(b'\n', rest) else {
                return self.keep(target, stream, tail, rest, console);
            };
            tail.print(&rest[..end], self.frame(target, stream), stream, console)?;
            rest = &rest[end + 1..];
        }
        let frame = self.frame(target, stream);
        // Directly from the chunk: most output has no unfinished lines and is not copied.
        while let Some(end) = memchr(b'\n', rest) {
            print_line(&rest[..end], frame, stream, console)?;
            rest = &rest[end + 1..];
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.keep(target, stream, UnfinishedLine::default(), rest, console)
    }

    fn finished(&mut self, target: TargetId, console: &mut Console) -> io::Result<()> {
        // Most targets end with a whole line, so no label is needed.
        if self.tails.is_empty() {
            return Ok(());
        }
        self.prepare(target);
        for stream in [Stream::Stdout, Stream::Stderr] {
            // A last line without a newline is output, too.
            if let Some(tail) = self.take(target, stream) {
                let frame = self.frame(target, stream);
                if self.open_ends && !console.is_terminal(stream) {
                    tail.print_open(frame, stream, console)?;
                } else {
                    tail.print(b"", frame, stream, console)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, target: TargetId, stream: Stream) -> Option<UnfinishedLine> {
        // The usual case: all output so far ended with a newline.
        if self.tails.is_empty() {
            return None;
        }
        let tail = self.tails.remove(&(target, stream))?;
        self.held -= tail.memory();
        Some(tail)
    }

    /// Keeps an unfinished line, with `more` appended.
    fn keep(
        &mut self,
        target: TargetId,
        stream: Stream,
        mut tail: UnfinishedLine,
        more: &[u8],
        console: &mut Console,
    ) -> io::Result<()> {
        let limit = if self.held > MANY {
            LONG_AMONG_MANY
        } else {
            self.limit
        };
        if let Err(error) = tail.push(more, limit) {
            // A host that never ends its line must not stop the others by filling the disk.
            let length = tail.length();
            tail.print(b"", self.frame(target, stream), stream, console)?;
            let name = target_label(&self.targets, target.index());
            let note = format!(
                "mrsh: {name}: a line was cut after {length} bytes, because the rest cannot be kept: {error}"
            );
            return console.line(Stream::Stderr, &[note.as_bytes()]);
        }
        self.held += tail.memory();
        self.tails.insert((target, stream), tail);
        Ok(())
    }

    fn frame(&self, target: TargetId, stream: Stream) -> Frame<'_> {
        let paint = self.palette.label(stream);
        if !self.label {
            Frame::default()
        } else if self.format.is_some() {
            paint.prefix(&self.prefix)
        } else {
            paint.label(target_label(&self.targets, target.index()).as_bytes())
        }
    }
}

impl Reporter for Lines {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        match event {
            Event::RunStarted { targets } => {
                self.targets = Arc::clone(targets);
                Ok(())
            }
            Event::Output(chunk) => self.output(chunk, console),
            Event::Finished(finished) => self.finished(finished.target, console),
            Event::Started(_) | Event::State { .. } => Ok(()),
            Event::PortWaits(_) | Event::Notice(_) | Event::Paused(_) => Ok(()),
        }
    }

    fn finish(&mut self, _: &RunStats, _: &mut Console) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
