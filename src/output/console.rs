//! Standard output and standard error, written in whole lines.
//!
//! Every write(2) consists of whole lines. Several short lines share one only up to the size that a
//! pipe takes as one piece (`PIPE_BUF`), so that other writers to the same pipe never land inside a
//! line; a longer line is a write of its own. The lines of both streams keep their order. Only the
//! reporter thread has a [`Console`].

use std::fmt;
use std::io::{self, Write};

use super::fd::FdWriter;
use crate::event::Stream;
use crate::reader::Reader;

/// Maximum size of an atomic write to a pipe on Linux: `PIPE_BUF`.
pub(super) const ATOMIC: usize = 4096;

/// A buffer that grew past this size for one long line is freed.
const KEEP: usize = 64 * 1024;

/// The sequence that removes the bar.
// From the cursor to the end of the screen: a terminal that became narrower has wrapped the bar to further lines.
const ERASE: &str = "\r\x1b[J";

/// Streams that are terminals. The plan decides it once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminals {
    /// True if standard output is a terminal.
    pub out: bool,
    /// True if standard error is a terminal.
    pub err: bool,
}

/// Standard output and standard error of mrsh.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    terminals: Terminals,
    /// True if colours of hosts reach a terminal.
    colors: bool,
    /// Buffer of whole lines, all of one stream.
    pending: Vec<u8>,
    stream: Stream,
    /// True for each stream that cannot be written.
    broken: [bool; 2],
    /// True if a stream that cannot be written is no error of the call.
    outlives: bool,
    /// Errors since the last call of [`take_failures`](Self::take_failures).
    failures: Vec<io::Error>,
    /// The progress bar, and whether the cursor is at its end now.
    bar: Option<String>,
    bar_shown: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("terminals", &self.terminals)
            .field("stream", &self.stream)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl Console {
    /// Creates a console over standard output and standard error, which informs `reader` about every write.
    #[must_use]
    pub fn stdio(terminals: Terminals, reader: &Reader) -> Self {
        Console::new(
            Box::new(FdWriter::new(rustix::stdio::stdout(), reader)),
            Box::new(FdWriter::new(rustix::stdio::stderr(), reader)),
            terminals,
        )
    }

    /// Creates a console over two writers, which should not buffer.
    pub fn new(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        terminals: Terminals,
    ) -> Self {
        Console {
            out,
            err,
            terminals,
            colors: false,
            pending: Vec::with_capacity(ATOMIC),
            stream: Stream::Stdout,
            broken: [false; 2],
            outlives: false,
            failures: Vec::new(),
            bar: None,
            bar_shown: false,
        }
    }

    /// Makes calls succeed although a stream cannot be written: the stream is skipped, the other one continues, and
    /// [`take_failures`](Self::take_failures) returns the error.
    pub(super) fn outlive_failures(&mut self) {
        self.outlives = true;
    }

    /// Returns the errors of streams since the last call.
    pub(super) fn take_failures(&mut self) -> Vec<io::Error> {
        std::mem::take(&mut self.failures)
    }

    fn write(&mut self, stream: Stream, data: &[u8]) -> io::Result<()> {
        let (writer, name, broken) = match stream {
            Stream::Stdout => (&mut self.out, "standard output", &mut self.broken[0]),
            Stream::Stderr => (&mut self.err, "standard error", &mut self.broken[1]),
        };
        // The error of the first write has been reported.
        if *broken {
            return Ok(());
        }
        let Err(error) = writer.write_all(data) else {
            return Ok(());
        };
        let text = format!("cannot write to {name}: {error}");
        let error = io::Error::new(error.kind(), text);
        if !self.outlives {
            return Err(error);
        }
        *broken = true;
        self.failures.push(error);
        Ok(())
    }

    /// Passes colours of hosts to a terminal, and no other control sequence.
    #[must_use]
    pub fn pass_colors(self, colors: bool) -> Self {
        Console { colors, ..self }
    }

    /// True if colours of hosts reach a terminal.
    pub(super) fn passes_colors(&self) -> bool {
        self.colors
    }

    /// True if the stream is a terminal, which obeys control characters.
    #[must_use]
    pub fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.terminals.out,
            Stream::Stderr => self.terminals.err,
        }
    }

    /// Writes one line, given in pieces and without its newline, at the latest at the next
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// A write that failed; the message says which stream it was.
    pub fn line(&mut self, stream: Stream, pieces: &[&[u8]]) -> io::Result<()> {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>() + 1;
        // The buffer has lines of one stream only, which keeps the order between the two streams.
        if stream != self.stream || self.pending.len() + length > ATOMIC {
            self.flush()?;
            self.stream = stream;
        }
        for piece in pieces {
            self.pending.extend_from_slice(piece);
        }
        self.pending.push(b'\n');
        // Such a write is not atomic on a pipe, so no other line shares it (pipe(7)).
        if length > ATOMIC {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Begins a line that is too long for memory.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub fn long_line(&mut self, stream: Stream) -> io::Result<LongLine<'_>> {
        self.flush()?;
        self.stream = stream;
        Ok(LongLine(self))
    }

    /// Writes every line in the buffer.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // Lines to a pipe do not share the screen with the bar.
        let on_screen = self.is_terminal(self.stream) || self.stream == Stream::Stderr;
        let result = if on_screen { self.erase_bar() } else { Ok(()) };
        let mut pending = std::mem::take(&mut self.pending);
        let result = result.and_then(|()| self.write(self.stream, &pending));
        pending.clear();
        self.pending = pending;
        // One long line must not keep its memory for the rest of the run.
        self.pending.shrink_to(KEEP);
        result
    }

    /// Shows a progress bar, one line of text that is narrower than the terminal, below all other lines. It is
    /// removed before the next line is written, and drawn again at the next [`rest`](Self::rest).
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub(super) fn set_bar(&mut self, text: &str) -> io::Result<()> {
        self.flush()?;
        let erase = if self.bar_shown { ERASE } else { "" };
        // One write, or the terminal could show the state between the two.
        let drawing = format!("{erase}{text}");
        self.bar = Some(text.to_owned());
        self.bar_shown = true;
        self.write(Stream::Stderr, drawing.as_bytes())
    }

    /// Removes the progress bar, if there is one.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub(super) fn clear_bar(&mut self) -> io::Result<()> {
        self.bar = None;
        self.erase_bar()
    }

    /// Prepares the screen for a pause: writes every line, and draws the bar below them if there is one.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.flush()?;
        let Some(text) = self.bar.take_if(|_| !self.bar_shown) else {
            return Ok(());
        };
        self.bar_shown = true;
        let written = self.write(Stream::Stderr, text.as_bytes());
        self.bar = Some(text);
        written
    }

    fn erase_bar(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.bar_shown) {
            return Ok(());
        }
        self.write(Stream::Stderr, ERASE.as_bytes())
    }
}

/// A line that is written in several pieces, without other lines between them.
#[derive(Debug)]
#[must_use = "a line has an end"]
pub struct LongLine<'a>(&'a mut Console);

impl LongLine<'_> {
    /// Writes the next piece of the line.
    ///
    /// # Errors
    /// A write that failed, as in [`Console::line`].
    pub fn piece(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.pending.extend_from_slice(piece);
        // The console is borrowed until the line ends, so no other line comes between its pieces.
        if self.0.pending.len() > ATOMIC {
            self.0.flush()
        } else {
            Ok(())
        }
    }

    /// Ends the line without a newline.
    ///
    /// # Errors
    /// A write that failed, as in [`Console::line`].
    pub fn end_open(self) -> io::Result<()> {
        self.0.flush()
    }

    /// Ends the line.
    ///
    /// # Errors
    /// A write that failed, as in [`Console::line`].
    pub fn end(self) -> io::Result<()> {
        self.0.pending.push(b'\n');
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use proptest::prelude::*;

    use super::super::testing::Recorder;
    use super::*;

    fn console(recorder: &Recorder) -> Console {
        Console::new(
            Box::new(recorder.writer(Stream::Stdout)),
            Box::new(recorder.writer(Stream::Stderr)),
            Terminals::default(),
        )
    }

    #[test]
    fn short_lines_share_a_write_and_the_order_of_streams_is_kept() {
        let recorder = Recorder::default();
        let mut console = console(&recorder);
        console.line(Stream::Stdout, &[b"a: ", b"1"]).unwrap();
        console.line(Stream::Stdout, &[b"a: ", b"2"]).unwrap();
        console.line(Stream::Stderr, &[b"oops"]).unwrap();
        console.line(Stream::Stdout, &[b"3"]).unwrap();
        console.flush().unwrap();
        console.flush().unwrap();
        assert_eq!(
            recorder.writes(),
            [
                (Stream::Stdout, b"a: 1\na: 2\n".to_vec()),
                (Stream::Stderr, b"oops\n".to_vec()),
                (Stream::Stdout, b"3\n".to_vec()),
            ]
        );
    }

    #[test]
    fn a_long_line_comes_whole_and_alone() {
        let recorder = Recorder::default();
        let mut console = console(&recorder);
        let long = vec![b'x'; 200_000];
        console.line(Stream::Stdout, &[b"short"]).unwrap();
        console.line(Stream::Stdout, &[&long]).unwrap();
        console.line(Stream::Stdout, &[b"short"]).unwrap();
        console.flush().unwrap();
        let lengths: Vec<usize> = recorder.writes().iter().map(|(_, w)| w.len()).collect();
        assert_eq!(lengths, [6, 200_001, 6]);
        assert!(console.pending.capacity() <= KEEP);
    }

    #[test]
    fn a_line_in_pieces_is_one_line() {
        let recorder = Recorder::default();
        let mut console = console(&recorder);
        console.line(Stream::Stderr, &[b"before"]).unwrap();
        let mut line = console.long_line(Stream::Stdout).unwrap();
        line.piece(b"a: ").unwrap();
        line.piece(&[b'x'; 5000]).unwrap();
        line.piece(b"y").unwrap();
        line.end().unwrap();
        console.line(Stream::Stdout, &[b"after"]).unwrap();
        console.flush().unwrap();
        let mut whole = b"a: ".to_vec();
        whole.extend([b'x'; 5000]);
        whole.extend(b"y\nafter\n");
        assert!(recorder.text(Stream::Stdout) == whole);
        assert_eq!(recorder.writes()[0], (Stream::Stderr, b"before\n".to_vec()));
    }

    #[test]
    fn a_failed_write_names_the_stream() {
        let full = || Box::new(File::options().write(true).open("/dev/full").unwrap());
        let mut console = Console::new(full(), full(), Terminals::default());
        console.line(Stream::Stdout, &[b"x"]).unwrap();
        let error = console.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            error.to_string(),
            "cannot write to standard output: No space left on device (os error 28)"
        );
        console.line(Stream::Stderr, &[b"x"]).unwrap();
        let error = console.flush().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write to standard error: ")
        );
    }

    proptest! {
        #[test]
        fn every_write_is_whole_lines(lines in prop::collection::vec((any::<bool>(), 0_usize..6000), 0..60)) {
            let recorder = Recorder::default();
            let mut console = console(&recorder);
            let mut expected = [Vec::new(), Vec::new()];
            for &(err, length) in &lines {
                let stream = if err { Stream::Stderr } else { Stream::Stdout };
                let text = vec![b'a' + (length % 26) as u8; length];
                console.line(stream, &[&text]).unwrap();
                expected[usize::from(err)].extend(text);
                expected[usize::from(err)].push(b'\n');
            }
            console.flush().unwrap();
            for (_, write) in recorder.writes() {
                prop_assert_eq!(write.last(), Some(&b'\n'));
                let lines = memchr::memchr_iter(b'\n', &write).count();
                prop_assert!(write.len() <= ATOMIC || lines == 1);
            }
            prop_assert!(recorder.text(Stream::Stdout) == expected[0]);
            prop_assert!(recorder.text(Stream::Stderr) == expected[1]);
        }
    }
}
