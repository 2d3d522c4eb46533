//! `--json`: one JSON object a line on standard output for every event, for programs.
//!
//! The records and their names are in [`record`]. `json/schema.json` describes them for other programs, and a test
//! compares the output with it. Within a version, only fields are added.
//!
//! Output of a host is `text` if it is UTF-8, and `base64` if not. It is cut anywhere but within a character. A program
//! that joins the pieces of one stream of a target gets exactly the bytes that the host sent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::terminal::partial_character;
use super::{Console, Reporter, RunInfo};
use crate::event::{Chunk, Stream};
use crate::event::{Event, Finished, INTERNAL, Notice, Outcome, RunStats};
use crate::targets::TargetId;
use record::{Bytes, Record};

mod record;

/// Start of every line: the version of the format and the name of the next field.
const START: &str = "{\"v\":1,\"run\":";

/// The reporter that writes every event as a line of JSON.
#[derive(Debug)]
pub(super) struct Json {
    info: Arc<RunInfo>,
    /// Start of every line: the version of the format, and the identifier of the run.
    // Lines of several runs may be in one file.
    start: Vec<u8>,
    /// Incomplete characters at the end of the output so far.
    held: HashMap<(TargetId, Stream), Vec<u8>>,
    /// Number of failed targets by class.
    failures: BTreeMap<&'static str, usize>,
    ports: HashSet<u16>,
    /// Buffer for the current line, kept to reuse its memory.
    line: Vec<u8>,
}

impl Json {
    pub(super) fn new(info: &Arc<RunInfo>) -> Self {
        Json {
            info: Arc::clone(info),
            // The identifier of a resumed run is the text of a file.
            start: format!("{START}{},", serde_json::json!(&*info.run_id)).into_bytes(),
            held: HashMap::new(),
            failures: BTreeMap::new(),
            ports: HashSet::new(),
            line: Vec::new(),
        }
    }

    fn output(&mut self, chunk: &Chunk, console: &mut Console) -> io::Result<()> {
        let key = (chunk.target, chunk.stream);
        let joined;
        let data = match self.held.remove(&key) {
            Some(held) => {
                joined = [&held[..], &chunk.data].concat();
                &joined[..]
            }
            None => &chunk.data[..],
        };
        // Neither part of a character that is cut would be UTF-8.
        let (whole, partial) = data.split_at(data.len() - partial_character(data));
        if !partial.is_empty() {
            self.held.insert(key, partial.to_vec());
        }
        self.bytes(key, whole, console)
    }

    fn bytes(
        &mut self,
        (target, stream): (TargetId, Stream),
        data: &[u8],
        console: &mut Console,
    ) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let info = Arc::clone(&self.info);
        let record = Record::Output {
            target: target.0,
            label: info.label(target),
            stream: record::stream(stream),
            bytes: Bytes::of(data),
        };
        self.write(&record, console)
    }

    fn finished(&mut self, finished: &Finished, console: &mut Console) -> io::Result<()> {
        let target = finished.target;
        for stream in [Stream::Stdout, Stream::Stderr] {
            // The output ended within a character, so these bytes are not text.
            if let Some(held) = self.held.remove(&(target, stream)) {
                self.bytes((target, stream), &held, console)?;
            }
        }
        let class = match &finished.outcome {
            Outcome::Failed(failure) => Some(failure.class.name()),
            Outcome::Internal(_) => Some(INTERNAL),
            Outcome::Exited(_) | Outcome::Cancelled(_) | Outcome::NotStarted(_) => None,
        };
        if let Some(class) = class {
            *self.failures.entry(class).or_default() += 1;
        }
        self.ports.extend(finished.facts.local_port);
        let info = Arc::clone(&self.info);
        let record = Record::finished(finished, info.label(target));
        self.write(&record, console)
    }

    fn write(&mut self, record: &Record, console: &mut Console) -> io::Result<()> {
        self.line.clear();
        record
            .serialize(&mut serde_json::Serializer::new(&mut self.line))
            .map_err(io::Error::other)?;
        // The start has the opening brace, so that the version comes before all other fields.
        let line = &self.line[1..];
        if console.is_terminal(Stream::Stdout) {
            let [start, line] = [&self.start, line].map(escape_controls);
            return console.line(Stream::Stdout, &[&start, &line]);
        }
        console.line(Stream::Stdout, &[&self.start, line])
    }
}

impl Reporter for Json {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        match event {
            Event::RunStarted { .. } => {
                let info = Arc::clone(&self.info);
                self.write(&Record::run_start(&info), console)
            }
            Event::Started(target) => {
                let info = Arc::clone(&self.info);
                let record = Record::Started {
                    target: target.0,
                    label: info.label(*target),
                };
                self.write(&record, console)
            }
            Event::Output(chunk) => self.output(chunk, console),
            Event::Finished(finished) => self.finished(finished, console),
            Event::State {
                running,
                for_ports,
                waiting,
                finished,
                hint: _,
            } => {
                let record = Record::State {
                    running: running.iter().copied().map(Into::into).collect(),
                    for_ports: *for_ports,
                    waiting: *waiting,
                    finished: *finished,
                };
                self.write(&record, console)
            }
            // `State` has this number; SIGUSR1 asks for it.
            Event::PortWaits(_) => Ok(()),
            Event::Notice(Notice { verbose, text }) => {
                let record = Record::Note {
                    verbose: *verbose,
                    text,
                };
                self.write(&record, console)
            }
            // A version of the format gains no events, and this is a message as well.
            Event::Paused(text) => {
                let record = Record::Note {
                    verbose: false,
                    text,
                };
                self.write(&record, console)
            }
        }
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        let failures = std::mem::take(&mut self.failures);
        let record = Record::run_end(stats, failures, self.ports.len());
        self.write(&record, console)
    }
}

/// Escapes the delete character and the eight-bit control characters. JSON allows them in strings, and a terminal can
/// obey them. The escaped text means the same. They occur in strings only.
fn escape_controls(line: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, after) {
            // RFC 8259, section 7, requires escapes only below U+0020.
            (0x7f, _) => escaped.extend(b"\\u007f"),
            (0xc2, [second @ 0x80..=0x9f, ..]) => {
                escaped.extend(format!("\\u00{second:02x}").bytes());
                rest = &rest[1..];
            }
            _ => escaped.push(byte),
        }
        rest = &rest[1..];
    }
    escaped
}

#[cfg(test)]
mod tests;
