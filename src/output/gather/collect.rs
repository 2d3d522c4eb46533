//! Output and outcome of all hosts, kept until it is shown.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use memchr::memrchr;

use super::super::unfinished_line::UnfinishedLine;
use super::tree::{TextCursor, TextReader, TextTree};
use crate::event::Stream;

/// Maximum length of an unfinished line in memory if streams are merged; longer ones go to a temporary file.
const UNFINISHED: usize = 64 * 1024;

/// The texts and outcomes of all hosts, which are numbered from 0.
#[derive(Debug)]
pub(in crate::output) struct GatheredOutput {
    tree: TextTree,
    /// True if both streams become one text, that of stdout, in the order in which lines were complete.
    merge: bool,
    hosts: Vec<HostOutput>,
    /// Unfinished lines, if streams are merged.
    tails: HashMap<(usize, Stream), UnfinishedLine>,
    /// Descriptions of outcomes, each once; the first is empty and means success.
    ends: Vec<Arc<str>>,
    end_numbers: HashMap<Arc<str>, u32>,
}

/// Texts and outcome of one host.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::output) struct HostOutput {
    texts: [TextCursor; 2],
    /// True if the text does not end with a newline.
    open: [bool; 2],
    end: Option<HostEnd>,
}

/// The outcome of a host, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::output) struct HostEnd {
    /// Index of its description.
    words: u32,
    /// True if the command ended, with any status.
    pub(super) ran: bool,
}

impl HostOutput {
    /// Returns the outcome; `None` if the host has not ended.
    pub(in crate::output) fn end(&self) -> Option<HostEnd> {
        self.end
    }

    fn text_mut(&mut self, stream: Stream) -> (&mut TextCursor, &mut bool) {
        let at = stream_index(stream);
        (&mut self.texts[at], &mut self.open[at])
    }
}

fn stream_index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

impl GatheredOutput {
    /// Creates a collection that keeps about `memory` bytes of text in memory.
    pub(in crate::output) fn new(memory: usize, merge: bool) -> Self {
        GatheredOutput {
            tree: TextTree::new(memory),
            merge,
            hosts: Vec::new(),
            tails: HashMap::new(),
            ends: vec![Arc::default()],
            end_numbers: HashMap::from([(Arc::default(), 0)]),
        }
    }

    /// Returns the number of hosts.
    pub(in crate::output) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Adds `count` hosts.
    pub(in crate::output) fn add_hosts(&mut self, count: usize) {
        self.hosts
            .resize(self.hosts.len() + count, HostOutput::default());
    }

    /// Returns a host.
    pub(in crate::output) fn host(&self, host: usize) -> &HostOutput {
        &self.hosts[host]
    }

    /// Adds output of a host.
    ///
    /// # Errors
    /// The temporary file cannot be made, written or read.
    pub(in crate::output) fn push(
        &mut self,
        host: usize,
        stream: Stream,
        data: &[u8],
    ) -> io::Result<()> {
        if !self.merge {
            return self.append(host, stream, data).map_err(explain);
        }
        // Only complete lines are merged, or bytes of the two streams would mix within a line.
        let whole = memrchr(b'\n', data).map_or(0, |at| at + 1);
        let (lines, rest) = data.split_at(whole);
        if !lines.is_empty() {
            // The newline in `lines` completes the line that was kept, so that line comes first.
            if let Some(tail) = self.tails.remove(&(host, stream)) {
                tail.for_each_piece(|piece| self.append(host, Stream::Stdout, piece))?;
            }
            self.append(host, Stream::Stdout, lines).map_err(explain)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let tail = self.tails.entry((host, stream)).or_default();
        tail.push(rest, UNFINISHED).map_err(explain)
    }

    /// Records the end of a host, and adds a missing newline at the end of its output. `words` describe the outcome;
    /// they are empty for a success.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub(in crate::output) fn finish(
        &mut self,
        host: usize,
        words: &str,
        ran: bool,
    ) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(tail) = self.tails.remove(&(host, stream)) {
                tail.for_each_piece(|piece| self.append(host, Stream::Stdout, piece))?;
                // Both streams go to one text, so the next line must not continue this one.
                self.append(host, Stream::Stdout, b"\n").map_err(explain)?;
            }
            if *self.hosts[host].text_mut(stream).1 {
                self.append(host, stream, b"\n").map_err(explain)?;
            }
        }
        let words = match self.end_numbers.get(words) {
            Some(number) => *number,
            // Many hosts have few different outcomes, so each text is kept once.
            None => {
                let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
                let words: Arc<str> = words.into();
                self.ends.push(Arc::clone(&words));
                self.end_numbers.insert(words, number);
                number
            }
        };
        self.hosts[host].end = Some(HostEnd { words, ran });
        Ok(())
    }

    fn append(&mut self, host: usize, stream: Stream, data: &[u8]) -> io::Result<()> {
        let (text, open) = self.hosts[host].text_mut(stream);
        if let Some(last) = data.last() {
            *open = *last != b'\n';
        }
        self.tree.push(text, data)
    }

    /// Returns a text of a host. Equal texts have equal cursors.
    pub(super) fn text(&self, host: usize, stream: Stream) -> TextCursor {
        // A node may have been split after the cursor was made.
        self.tree
            .settle(self.hosts[host].texts[stream_index(stream)])
    }

    /// Reads a text from its byte `from` on.
    pub(in crate::output) fn reader(&self, text: TextCursor, from: u64) -> TextReader<'_> {
        self.tree.reader(text, from)
    }

    /// Returns the length of the common prefix of two texts.
    pub(super) fn common(&self, a: TextCursor, b: TextCursor) -> u64 {
        self.tree.common(a, b)
    }

    /// Returns the description of an outcome; empty for a success.
    pub(in crate::output) fn words(&self, end: Option<HostEnd>) -> &str {
        end.and_then(|end| self.ends.get(end.words as usize))
            .map_or("", |words| &**words)
    }
}

/// Adds the operation to an error, since the user knows nothing of the temporary file.
fn explain(error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot keep output in a temporary file (see TMPDIR): {error}"),
    )
}
