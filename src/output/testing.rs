//! Code for the tests and the fuzz target of the reporters: a console that records every write, and events.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lines::Lines;
use super::{Colors, Console, Reporter, RunInfo, Terminals};
use crate::event::{Chunk, Facts, RemoteExit, Stream};
use crate::event::{Event, Finished, Outcome};
use crate::policy::Policy;
use crate::targets::{Target, TargetId, TransportKind};

type Writes = Arc<Mutex<Vec<(Stream, Vec<u8>)>>>;

/// Records each write of its writers, in order.
#[derive(Clone, Default)]
pub(super) struct Recorder(Writes);

/// One of the two writers of the recorder.
pub(super) struct RecordingWriter(Writes, Stream);

impl Recorder {
    pub(super) fn writer(&self, stream: Stream) -> RecordingWriter {
        RecordingWriter(Arc::clone(&self.0), stream)
    }

    pub(super) fn console(&self, terminals: Terminals) -> Console {
        let out = Box::new(self.writer(Stream::Stdout));
        Console::new(out, Box::new(self.writer(Stream::Stderr)), terminals)
    }

    pub(super) fn writes(&self) -> Vec<(Stream, Vec<u8>)> {
        self.0.lock().expect("nobody panics with it").clone()
    }

    pub(super) fn text(&self, stream: Stream) -> Vec<u8> {
        let writes = self.writes().into_iter().filter(|(of, _)| *of == stream);
        writes.flat_map(|(_, write)| write).collect()
    }
}

impl Write for RecordingWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics with it")
            .push((self.1, data.to_vec()));
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The start of a run on these hosts.
pub(super) fn run_started<S: AsRef<str>>(labels: &[S]) -> Event {
    Event::RunStarted {
        targets: labels.iter().map(target).collect(),
    }
}

/// Returns the data of such a run that reporters get before it starts.
#[must_use]
pub fn run_info<S: AsRef<str>>(labels: &[S]) -> RunInfo {
    RunInfo {
        numbers: None,
        targets: labels.iter().map(target).collect(),
        run_id: "6929e000123456789abc".into(),
        run_total: labels.len(),
        command: b"uptime".to_vec(),
        transport: TransportKind::Rsh,
        user: "root".to_owned(),
        user_given: false,
        port: None,
        resolved: Vec::new(),
        fanout: const { NonZeroUsize::new(32).unwrap() },
        connect_timeout: Duration::from_secs(10),
        command_timeout: None,
        policy: Policy::default(),
        stderr: "separate",
        source_ports: "reserved".to_owned(),
        raw: false,
        stdin: false,
        demo: false,
        left_out: Vec::new(),
    }
}

fn target<S: AsRef<str>>(label: &S) -> Target {
    Target {
        label: label.as_ref().into(),
        host: label.as_ref().into(),
        user: None,
        port: None,
        transport: None,
        callback_from: None,
        inventory: None,
        variables: None,
    }
}

/// Output of a target.
pub(super) fn output(target: u32, stream: Stream, data: &[u8]) -> Event {
    Event::Output(Chunk {
        target: TargetId(target),
        stream,
        data: data.to_vec(),
    })
}

/// Returns the event for the end of a target.
pub(super) fn finished(target: u32, outcome: Outcome) -> Event {
    Event::Finished(Finished {
        target: TargetId(target),
        outcome,
        began: Some(Duration::ZERO),
        elapsed: Duration::from_secs(1),
        facts: Facts::default(),
    })
}

/// Returns the event for a target that succeeded.
pub(super) fn succeeded(target: u32) -> Event {
    finished(target, Outcome::Exited(RemoteExit::Code(0)))
}

/// Returns the text of the line report on each of its streams, for these pieces of the output of hosts `a` and `b`.
/// `limit` is the number of bytes of a line that it keeps in memory.
#[must_use]
pub fn printed(limit: usize, pieces: &[(u32, Stream, &[u8])]) -> [Vec<u8>; 2] {
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals {
        out: false,
        err: false,
    });
    let mut lines = Lines::new(true, Colors::default()).keeping(limit);
    let start = std::iter::once(run_started(&["a", "b"]));
    let pieces = pieces
        .iter()
        .map(|&(target, stream, data)| output(target, stream, data));
    let ends = [succeeded(0), succeeded(1)];
    for event in start.chain(pieces).chain(ends) {
        let written = lines.event(&event, &mut console);
        written.expect("a recorder takes everything");
    }
    console.flush().expect("a recorder takes everything");
    [Stream::Stdout, Stream::Stderr].map(|stream| recorder.text(stream))
}
