//! What all hosts wrote and how they ended, until it is shown.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use memchr::memrchr;

use super::super::tail::Tail;
use super::tree::{Cursor, TextReader, Tree};
use crate::event::Stream;

/// An unfinished line longer than this waits in a temporary file, where two streams are merged.
const UNFINISHED: usize = 64 * 1024;

/// The texts and ends of all hosts. Hosts are numbers here, from 0.
#[derive(Debug)]
pub(in crate::output) struct Collected {
    tree: Tree,
    /// Both streams become one text, stdout's, in the order in which their lines were complete.
    merge: bool,
    hosts: Vec<Host>,
    /// Unfinished lines, where streams are merged.
    tails: HashMap<(usize, Stream), Tail>,
    /// How hosts ended, each way once; the first is the good end, of which nothing is said.
    ends: Vec<Arc<str>>,
    end_numbers: HashMap<Arc<str>, u32>,
}

/// One host.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::output) struct Host {
    texts: [Cursor; 2],
    /// The text does not end with a newline.
    open: [bool; 2],
    end: Option<End>,
}

/// How a host ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::output) struct End {
    /// The place of its words in the list of all ends.
    words: u32,
    /// Its command ran to an end, whichever that was.
    pub(super) ran: bool,
}

impl Host {
    /// How it ended, if it did.
    pub(in crate::output) fn end(&self) -> Option<End> {
        self.end
    }

    fn text_mut(&mut self, stream: Stream) -> (&mut Cursor, &mut bool) {
        let at = place(stream);
        (&mut self.texts[at], &mut self.open[at])
    }
}

fn place(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

impl Collected {
    /// Keeps about `memory` bytes of text in memory.
    pub(in crate::output) fn new(memory: usize, merge: bool) -> Self {
        Collected {
            tree: Tree::new(memory),
            merge,
            hosts: Vec::new(),
            tails: HashMap::new(),
            ends: vec![Arc::default()],
            end_numbers: HashMap::from([(Arc::default(), 0)]),
        }
    }

    /// How many hosts there are.
    pub(in crate::output) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Adds so many hosts.
    pub(in crate::output) fn add_hosts(&mut self, count: usize) {
        self.hosts.resize(self.hosts.len() + count, Host::default());
    }

    /// A host.
    pub(in crate::output) fn host(&self, host: usize) -> &Host {
        &self.hosts[host]
    }

    /// Takes output of a host.
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
        let whole = memrchr(b'\n', data).map_or(0, |at| at + 1);
        let (lines, rest) = data.split_at(whole);
        if !lines.is_empty() {
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

    /// Takes the end of a host: of its output, with a last newline where there was none, and of its
    /// command. `words` tell of anything but a good end.
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
                self.append(host, Stream::Stdout, b"\n").map_err(explain)?;
            }
            if *self.hosts[host].text_mut(stream).1 {
                self.append(host, stream, b"\n").map_err(explain)?;
            }
        }
        let words = match self.end_numbers.get(words) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
                let words: Arc<str> = words.into();
                self.ends.push(Arc::clone(&words));
                self.end_numbers.insert(words, number);
                number
            }
        };
        self.hosts[host].end = Some(End { words, ran });
        Ok(())
    }

    fn append(&mut self, host: usize, stream: Stream, data: &[u8]) -> io::Result<()> {
        let (text, open) = self.hosts[host].text_mut(stream);
        if let Some(last) = data.last() {
            *open = *last != b'\n';
        }
        self.tree.push(text, data)
    }

    /// A host's text: equal ones are equal here.
    pub(super) fn text(&self, host: usize, stream: Stream) -> Cursor {
        self.tree.settle(self.hosts[host].texts[place(stream)])
    }

    /// Reads a text from its byte `from` on.
    pub(in crate::output) fn reader(&self, text: Cursor, from: u64) -> TextReader<'_> {
        self.tree.reader(text, from)
    }

    /// How many bytes two texts have in common at their beginning.
    pub(super) fn common(&self, a: Cursor, b: Cursor) -> u64 {
        self.tree.common(a, b)
    }

    /// What there is to say about an end; nothing about a good one.
    pub(in crate::output) fn words(&self, end: Option<End>) -> &str {
        end.and_then(|end| self.ends.get(end.words as usize))
            .map_or("", |words| &**words)
    }
}

/// Says what failed: the user knows of no temporary file.
fn explain(error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot keep output in a temporary file (see TMPDIR): {error}"),
    )
}
