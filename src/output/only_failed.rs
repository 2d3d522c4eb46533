//! `--only failed`: the whole output of hosts that failed, and no other output.
//!
//! The outcome of a host is known at its end, so its output is kept until then: in memory up to a limit for all hosts
//! together, then in one unnamed temporary file. The disk space of hosts that succeed is freed at once. Another
//! reporter shows the result: to it, only the failed hosts wrote output.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};

use super::{Console, Reporter};
use crate::event::{Chunk, Stream};
use crate::event::{Event, Finished, RunStats};
use crate::targets::TargetId;

/// Maximum output of all hosts in memory. The capacity of the buffers can be twice that.
const MEMORY: usize = 8 * 1024 * 1024;

/// Size of the pieces in which the temporary file is read.
const PIECE: usize = 64 * 1024;

/// Keeps the output of hosts until their outcome is known.
#[derive(Debug)]
pub(super) struct OnlyFailed {
    inner: Box<dyn Reporter>,
    kept: HashMap<TargetId, KeptOutput>,
    /// Bytes in memory of all hosts.
    held: usize,
    limit: usize,
    spool: Option<OutputSpool>,
}

/// Output of one host so far: first the parts in the file, then the bytes in memory.
#[derive(Debug, Default)]
struct KeptOutput {
    spooled: Vec<SpooledOutput>,
    memory: Vec<u8>,
    /// Streams and lengths of the bytes in memory.
    pieces: Vec<(Stream, usize)>,
}

/// Output of one stream in the temporary file.
#[derive(Clone, Copy, Debug)]
struct SpooledOutput {
    stream: Stream,
    start: u64,
    length: u64,
}

#[derive(Debug)]
struct OutputSpool {
    file: File,
    end: u64,
}

impl OnlyFailed {
    pub(super) fn new(inner: Box<dyn Reporter>) -> Self {
        OnlyFailed {
            inner,
            kept: HashMap::new(),
            held: 0,
            limit: MEMORY,
            spool: None,
        }
    }

    fn keep(&mut self, chunk: &Chunk) -> io::Result<()> {
        let kept = self.kept.entry(chunk.target).or_default();
        kept.memory.extend_from_slice(&chunk.data);
        match kept.pieces.last_mut() {
            Some((stream, length)) if *stream == chunk.stream => *length += chunk.data.len(),
            _ => kept.pieces.push((chunk.stream, chunk.data.len())),
        }
        self.held += chunk.data.len();
        if self.held > self.limit {
            self.spill().map_err(|error| {
                let text = format!("cannot keep output in a temporary file: {error}");
                io::Error::new(error.kind(), text)
            })?;
        }
        Ok(())
    }

    /// Moves the output of all hosts to the file, all at once, so that the pieces stay few.
    fn spill(&mut self) -> io::Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(OutputSpool {
                file: tempfile::tempfile()?,
                end: 0,
            }),
        };
        for kept in self.kept.values_mut() {
            spool.file.write_all_at(&kept.memory, spool.end)?;
            for (stream, length) in kept.pieces.drain(..) {
                let length = length as u64;
                kept.spooled.push(SpooledOutput {
                    stream,
                    start: spool.end,
                    length,
                });
                spool.end += length;
            }
            kept.memory = Vec::new();
        }
        self.held = 0;
        Ok(())
    }

    fn finished(&mut self, finished: &Finished, console: &mut Console) -> io::Result<()> {
        let Some(kept) = self.kept.remove(&finished.target) else {
            return Ok(());
        };
        self.held -= kept.memory.len();
        if !finished.outcome.is_success() {
            self.show(finished.target, &kept, console)?;
        }
        if let Some(spool) = &self.spool {
            for piece in &kept.spooled {
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                // Not every file system supports holes; then the space is freed at the end of the run.
                let _ = fallocate(&spool.file, hole, piece.start, piece.length);
            }
        }
        Ok(())
    }

    fn show(
        &mut self,
        target: TargetId,
        kept: &KeptOutput,
        console: &mut Console,
    ) -> io::Result<()> {
        let mut pass = |stream, data| {
            let chunk = Chunk {
                target,
                stream,
                data,
            };
            self.inner.event(&Event::Output(chunk), console)
        };
        if let Some(spool) = &self.spool {
            for piece in &kept.spooled {
                let (mut at, end) = (piece.start, piece.start + piece.length);
                while at < end {
                    let length = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
                    let mut data = vec![0; length];
                    spool.file.read_exact_at(&mut data, at)?;
                    at += length as u64;
                    pass(piece.stream, data)?;
                }
            }
        }
        let mut rest = &kept.memory[..];
        for (stream, length) in &kept.pieces {
            let (data, after) = rest.split_at(*length);
            rest = after;
            for data in data.chunks(PIECE) {
                pass(*stream, data.to_vec())?;
            }
        }
        Ok(())
    }
}

impl Reporter for OnlyFailed {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        match event {
            Event::Output(chunk) => return self.keep(chunk),
            Event::Finished(finished) => self.finished(finished, console)?,
            Event::RunStarted { .. }
            | Event::Started(_)
            | Event::State { .. }
            | Event::PortWaits(_)
            | Event::Notice(_) => {}
        }
        self.inner.event(event, console)
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        self.inner.finish(stats, console)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::lines::Lines;
    use super::super::testing::{Recorder, finished, output, run_started, succeeded};
    use super::super::{Colors, Terminals};
    use super::*;
    use crate::event::Outcome;
    use crate::event::RemoteExit;

    fn only_failed(limit: usize) -> OnlyFailed {
        OnlyFailed {
            limit,
            ..OnlyFailed::new(Box::new(Lines::new(true, Colors::default())))
        }
    }

    #[test]
    fn only_failed_hosts_are_shown_and_their_output_is_whole() {
        for limit in [0, 10, 1000, MEMORY] {
            let recorder = Recorder::default();
            let mut console = recorder.console(Terminals::default());
            let mut reporter = only_failed(limit);
            let mut send = |event: Event| reporter.event(&event, &mut console).unwrap();
            send(run_started(&["a", "b", "c"]));
            for n in 0..200 {
                for target in 0..2 {
                    send(output(target, Stream::Stdout, format!("{n} ").as_bytes()));
                    send(output(target, Stream::Stderr, b"x\ny"));
                }
            }
            send(succeeded(0));
            send(finished(1, Outcome::Exited(RemoteExit::Code(1))));
            send(output(2, Stream::Stdout, b"late\n"));
            send(finished(2, Outcome::Internal(String::new())));
            assert_eq!(reporter.held, 0);
            console.flush().unwrap();
            let numbers: String = (0..200).map(|n| format!("{n} ")).collect();
            let out = String::from_utf8(recorder.text(Stream::Stdout)).unwrap();
            assert_eq!(out, format!("b: {numbers}\nc: late\n"));
            let err = String::from_utf8(recorder.text(Stream::Stderr)).unwrap();
            assert_eq!(err, format!("b: x\n{}b: y\n", "b: yx\n".repeat(199)));
        }
    }

    #[test]
    fn the_output_of_a_host_that_succeeded_is_freed() {
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals::default());
        let mut reporter = only_failed(100_000);
        for _ in 0..100 {
            let event = output(0, Stream::Stdout, &[b'x'; 50_000]);
            reporter.event(&event, &mut console).unwrap();
            assert!(reporter.held <= 150_000);
        }
        let blocks = |reporter: &OnlyFailed| {
            let file = &reporter.spool.as_ref().unwrap().file;
            file.metadata().unwrap().blocks()
        };
        let before = blocks(&reporter);
        reporter.event(&succeeded(0), &mut console).unwrap();
        assert!(blocks(&reporter) < before / 10);
        assert!(recorder.writes().is_empty());
    }
}
