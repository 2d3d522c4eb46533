//! `--only failed`: the whole output of hosts that failed, and no other output.
//!
//! The outcome of a host is known at its end, so its output is kept until then: in memory up to a limit for all hosts
//! together, then in one unnamed temporary file. The disk space of hosts that succeed is freed at once. Another
//! reporter shows the result: to it, only the failed hosts wrote output.

use std::collections::HashMap;
use std::io::{self, Read};

use super::{Console, Reporter};
use crate::event::{Chunk, Stream};
use crate::event::{Event, Finished, RunStats};
use crate::spool::{Spool, SpooledBytes};
use crate::targets::TargetId;

/// Maximum output of all hosts in memory.
const MEMORY: usize = 8 * 1024 * 1024;

/// Maximum length of the pieces in which the output is shown.
const PIECE: usize = 64 * 1024;

/// Keeps the output of hosts until their outcome is known.
#[derive(Debug)]
pub(super) struct OnlyFailed {
    inner: Box<dyn Reporter>,
    kept: HashMap<TargetId, KeptOutput>,
    spool: Spool,
}

/// Output of one host so far.
#[derive(Debug, Default)]
struct KeptOutput {
    bytes: SpooledBytes,
    /// Streams and lengths of the parts.
    parts: Vec<(Stream, u64)>,
}

impl OnlyFailed {
    pub(super) fn new(inner: Box<dyn Reporter>) -> Self {
        OnlyFailed {
            inner,
            kept: HashMap::new(),
            spool: Spool::new(MEMORY),
        }
    }

    fn keep(&mut self, chunk: &Chunk) -> io::Result<()> {
        let kept = self.kept.entry(chunk.target).or_default();
        kept.bytes.append(&chunk.data, &mut self.spool);
        let length = chunk.data.len() as u64;
        match kept.parts.last_mut() {
            Some((stream, before)) if *stream == chunk.stream => *before += length,
            _ => kept.parts.push((chunk.stream, length)),
        }
        if !self.spool.is_full() {
            return Ok(());
        }
        let all = self.kept.values_mut().map(|kept| &mut kept.bytes);
        self.spool.spill(all).map_err(|error| {
            let text = format!("cannot keep output in a temporary file: {error}");
            io::Error::new(error.kind(), text)
        })
    }

    fn finished(&mut self, finished: &Finished, console: &mut Console) -> io::Result<()> {
        let Some(kept) = self.kept.remove(&finished.target) else {
            return Ok(());
        };
        if !finished.outcome.is_success() {
            self.show(finished.target, &kept, console)?;
        }
        self.spool.remove(kept.bytes);
        Ok(())
    }

    fn show(
        &mut self,
        target: TargetId,
        kept: &KeptOutput,
        console: &mut Console,
    ) -> io::Result<()> {
        let mut bytes = kept.bytes.reader(&self.spool);
        for &(stream, length) in &kept.parts {
            let mut left = length;
            while left > 0 {
                let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                let mut data = vec![0; most];
                bytes.read_exact(&mut data)?;
                left -= most as u64;
                let chunk = Chunk {
                    target,
                    stream,
                    data,
                };
                self.inner.event(&Event::Output(chunk), console)?;
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
            | Event::Paused(_)
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
    use super::super::lines::Lines;
    use super::super::testing::{Recorder, finished, output, run_started, succeeded};
    use super::super::{Colors, Terminals};
    use super::*;
    use crate::event::Outcome;
    use crate::event::RemoteExit;

    fn only_failed(limit: usize) -> OnlyFailed {
        OnlyFailed {
            spool: Spool::new(limit),
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
            assert_eq!(reporter.spool.held(), 0);
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
            assert!(reporter.spool.held() <= 150_000);
        }
        let blocks = |reporter: &OnlyFailed| reporter.spool.file().unwrap().blocks();
        let before = blocks(&reporter);
        reporter.event(&succeeded(0), &mut console).unwrap();
        assert!(blocks(&reporter) < before / 10);
        assert!(recorder.writes().is_empty());
    }
}
