//! What the tests of the reporters share: a console that remembers every write, and targets.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Console, Rules, RunInfo, Terminals};
use crate::run::event::{Event, Finished, Outcome};
use crate::targets::{Target, TargetId, TransportKind};
use crate::transport::{Chunk, Facts, RemoteExit, Stream};

type Writes = Arc<Mutex<Vec<(Stream, Vec<u8>)>>>;

/// Remembers each write of its writers, in order.
#[derive(Clone, Default)]
pub(super) struct Recorder(Writes);

/// One of the recorder's two ends.
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
        self.0.lock().unwrap().clone()
    }

    pub(super) fn text(&self, stream: Stream) -> Vec<u8> {
        let writes = self.writes().into_iter().filter(|(of, _)| *of == stream);
        writes.flat_map(|(_, write)| write).collect()
    }
}

impl Write for RecordingWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push((self.1, data.to_vec()));
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

/// What was asked for in such a run.
pub(super) fn run_info<S: AsRef<str>>(labels: &[S]) -> RunInfo {
    RunInfo {
        targets: labels.iter().map(target).collect(),
        command: b"uptime".to_vec(),
        transport: TransportKind::Rsh,
        user: "root".to_owned(),
        port: None,
        jobs: 32,
        connect_timeout: Duration::from_secs(10),
        command_timeout: None,
        rules: Rules::default(),
        stderr: "separate",
        source_ports: "reserved".to_owned(),
        raw: false,
        stdin: false,
        demo: false,
    }
}

fn target<S: AsRef<str>>(label: &S) -> Target {
    Target {
        label: label.as_ref().into(),
        host: label.as_ref().into(),
        user: None,
        port: None,
        transport: None,
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

/// The end of a target.
pub(super) fn finished(target: u32, outcome: Outcome) -> Event {
    Event::Finished(Finished {
        target: TargetId(target),
        outcome,
        began: Some(Duration::ZERO),
        elapsed: Duration::from_secs(1),
        facts: Facts::default(),
    })
}

/// The good end of a target.
pub(super) fn succeeded(target: u32) -> Event {
    finished(target, Outcome::Exited(RemoteExit::Code(0)))
}
