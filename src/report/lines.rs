//! The default report: every line of output as it comes, `host: text`.
//!
//! Remote standard output goes to standard output and remote standard error to standard error. The
//! bytes are the host's own, whatever they are, unless a terminal shows them. Complete lines are
//! written straight from the chunk that brought them; only the beginning of an unfinished line is
//! kept, and no longer than its target runs.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use memchr::memchr;

use super::color::{Colors, Frame, Palette};
use super::tail::{Tail, print_line};
use super::{Console, LabelFormat, Reporter, RunInfo};
use crate::event::{Chunk, Stream};
use crate::event::{Event, RunStats};
use crate::targets::{Target, TargetId};

/// An unfinished line longer than this goes to a temporary file.
const LONG: usize = 1024 * 1024;

/// The same when all unfinished lines together take more memory than [`MANY`]: a thousand hosts
/// that never end their lines must not fill the machine.
const LONG_AMONG_MANY: usize = 64 * 1024;

/// See [`LONG_AMONG_MANY`].
const MANY: usize = 8 * LONG;

/// Writes each line of output under its host's name.
#[derive(Debug)]
pub(super) struct Lines {
    label: bool,
    format: Option<(LabelFormat, Arc<RunInfo>)>,
    /// The label at hand, where it has a form of its own.
    prefix: Vec<u8>,
    palette: Palette,
    limit: usize,
    targets: Arc<[Target]>,
    tails: HashMap<(TargetId, Stream), Tail>,
    /// The memory of all tails.
    held: usize,
}

impl Lines {
    /// With `label` false a line is the host's text alone.
    pub(super) fn new(label: bool, colors: Colors) -> Self {
        Lines {
            label,
            format: None,
            prefix: Vec::new(),
            palette: Palette::new(colors),
            limit: LONG,
            targets: Arc::default(),
            tails: HashMap::new(),
            held: 0,
        }
    }

    /// The same, with another bound on what it keeps of a line in memory.
    #[cfg(any(test, fuzzing))]
    pub(super) fn keeping(self, limit: usize) -> Self {
        Lines { limit, ..self }
    }

    /// Gives labels another form.
    pub(super) fn with_format(self, format: Option<LabelFormat>, info: &Arc<RunInfo>) -> Self {
        let format = format.map(|format| (format, Arc::clone(info)));
        Lines { format, ..self }
    }

    /// Makes ready what stands before a target's lines.
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
        while let Some(end) = memchr(b'\n', rest) {
            print_line(&rest[..end], frame, stream, console)?;
            rest = &rest[end + 1..];
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.keep(target, stream, Tail::default(), rest, console)
    }

    fn finished(&mut self, target: TargetId, console: &mut Console) -> io::Result<()> {
        if self.tails.is_empty() {
            return Ok(());
        }
        self.prepare(target);
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(tail) = self.take(target, stream) {
                tail.print(b"", self.frame(target, stream), stream, console)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, target: TargetId, stream: Stream) -> Option<Tail> {
        // Most output comes in whole lines: then there is nothing to look for.
        if self.tails.is_empty() {
            return None;
        }
        let tail = self.tails.remove(&(target, stream))?;
        self.held -= tail.memory();
        Some(tail)
    }

    /// Keeps `tail` and `more`, the unfinished line's next bytes.
    fn keep(
        &mut self,
        target: TargetId,
        stream: Stream,
        mut tail: Tail,
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
            let name = self.label_text(target);
            let note = format!(
                "mrsh: {name}: a line was cut after {length} bytes, there is no room to keep it: {error}"
            );
            return console.line(Stream::Stderr, &[note.as_bytes()]);
        }
        self.held += tail.memory();
        self.tails.insert((target, stream), tail);
        Ok(())
    }

    fn frame(&self, target: TargetId, stream: Stream) -> Frame<'_> {
        match self.label {
            true if self.format.is_some() => self.palette.label(stream).prefix(&self.prefix),
            true => self
                .palette
                .label(stream)
                .label(self.label_text(target).as_bytes()),
            false => Frame::default(),
        }
    }

    fn label_text(&self, target: TargetId) -> &str {
        self.targets
            .get(target.index())
            .map_or("?", |target| &target.label)
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
            Event::PortWaits(_) | Event::Notice(_) => Ok(()),
        }
    }

    fn finish(&mut self, _: &RunStats, _: &mut Console) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
