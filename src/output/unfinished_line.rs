//! A line without its newline so far.
//!
//! A short line is kept in memory, a long one in an unnamed temporary file, so that a line of any length is written
//! whole with bounded memory. If the file cannot be written, no byte is lost: the caller gets an error and ends the
//! line early.

use std::io::{self, BufRead, BufReader};

use memchr::memchr;

use super::color::Frame;
use super::console::{Console, LongLine};
use super::terminal::{shown_line, shown_part};
use crate::event::Stream;
use crate::spool::{Spool, SpoolReader, SpooledBytes};

/// Size of the buffer for copying a file.
const PIECE: usize = 64 * 1024;

/// The bytes of the line, with a file of their own.
#[derive(Debug, Default)]
pub(super) struct UnfinishedLine {
    bytes: SpooledBytes,
    spool: Spool,
}

impl UnfinishedLine {
    /// Returns the number of bytes in memory.
    pub(super) fn memory(&self) -> usize {
        self.bytes.in_memory().len()
    }

    /// Returns the length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.bytes.length()
    }

    /// Appends to the line. With more than `limit` bytes in memory, the line moves to a file.
    ///
    /// # Errors
    /// The temporary file cannot be created or is full. The line has all of `data` nevertheless.
    pub(super) fn push(&mut self, data: &[u8], limit: usize) -> io::Result<()> {
        self.bytes.append(data, &mut self.spool);
        if self.memory() > limit || self.spool.has_file() {
            self.spool.spill_one(&mut self.bytes)
        } else {
            Ok(())
        }
    }

    fn reader(&self) -> BufReader<SpoolReader<'_>> {
        BufReader::with_capacity(PIECE, self.bytes.reader(&self.spool))
    }

    /// Passes the line to `receive`, piece by piece.
    ///
    /// # Errors
    /// An error of `receive`, or the temporary file cannot be read back.
    pub(super) fn for_each_piece(
        self,
        mut receive: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.spool.has_file() {
            return receive(self.bytes.in_memory());
        }
        let mut reader = self.reader();
        loop {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                return Ok(());
            }
            receive(piece)?;
            let length = piece.len();
            reader.consume(length);
        }
    }

    /// Writes the line, with `last` at its end, within `frame`.
    ///
    /// # Errors
    /// The console's, or the temporary file cannot be read back.
    pub(super) fn print(
        mut self,
        last: &[u8],
        frame: Frame<'_>,
        stream: Stream,
        console: &mut Console,
    ) -> io::Result<()> {
        self.bytes.append(last, &mut self.spool);
        if self.spool.has_file() {
            print_long_line(&mut Vec::new(), &mut self.reader(), frame, stream, console)
        } else {
            print_line(self.bytes.in_memory(), frame, stream, console)
        }
    }

    /// Writes the line within `frame` and without a newline. The stream must not be a terminal.
    ///
    /// # Errors
    /// The console's, or the temporary file cannot be read back.
    pub(super) fn print_open(
        self,
        frame: Frame<'_>,
        stream: Stream,
        console: &mut Console,
    ) -> io::Result<()> {
        let mut line = console.long_line(stream)?;
        for piece in frame.before {
            line.piece(piece)?;
        }
        self.for_each_piece(|piece| line.piece(piece))?;
        line.piece(frame.after)?;
        line.end_open()
    }
}

/// Writes a line that begins with `line` and continues in `text`. `line` is empty afterwards.
///
/// # Errors
/// The console's, or the text cannot be read.
pub(super) fn print_long_line(
    line: &mut Vec<u8>,
    text: &mut impl BufRead,
    frame: Frame<'_>,
    stream: Stream,
    console: &mut Console,
) -> io::Result<()> {
    let colors = console.passes_colors();
    let terminal = console.is_terminal(stream).then_some(colors);
    let mut shown = Vec::new();
    let mut long = console.long_line(stream)?;
    for piece in frame.before {
        long.piece(piece)?;
    }
    loop {
        print_piece(line, terminal, &mut shown, &mut long)?;
        let ready = text.fill_buf()?;
        if ready.is_empty() {
            break;
        }
        if let Some(end) = memchr(b'\n', ready) {
            line.extend_from_slice(&ready[..end]);
            text.consume(end + 1);
            break;
        }
        line.extend_from_slice(ready);
        let length = ready.len();
        text.consume(length);
    }
    if let Some(colors) = terminal {
        shown.clear();
        shown_line(line, colors, &mut shown);
        long.piece(&shown)?;
    } else {
        long.piece(line)?;
    }
    line.clear();
    long.piece(frame.after)?;
    long.end()
}

/// Writes a piece of a line. Bytes that depend on the next piece stay in `piece`. `terminal` is `None` without a
/// terminal, else it says whether colours of the host pass.
fn print_piece(
    piece: &mut Vec<u8>,
    terminal: Option<bool>,
    shown: &mut Vec<u8>,
    line: &mut LongLine<'_>,
) -> io::Result<()> {
    if let Some(colors) = terminal {
        shown.clear();
        let used = shown_part(piece, colors, shown);
        piece.drain(..used);
        line.piece(shown)
    } else {
        line.piece(piece)?;
        piece.clear();
        Ok(())
    }
}

/// Writes a line that is in memory within `frame`.
///
/// # Errors
/// The console's.
pub(super) fn print_line(
    text: &[u8],
    frame: Frame<'_>,
    stream: Stream,
    console: &mut Console,
) -> io::Result<()> {
    let [a, b, c] = frame.before;
    if console.is_terminal(stream) {
        let mut shown = Vec::with_capacity(text.len());
        shown_line(text, console.passes_colors(), &mut shown);
        console.line(stream, &[a, b, c, &shown, frame.after])
    } else {
        console.line(stream, &[a, b, c, text, frame.after])
    }
}

#[cfg(test)]
mod tests {
    use super::super::Terminals;
    use super::super::testing::Recorder;
    use super::*;

    fn printed(tail: UnfinishedLine, last: &[u8], out: bool) -> Vec<u8> {
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals { out, err: false });
        let frame = Frame {
            before: [b"n1", b": ", b""],
            after: b"",
        };
        tail.print(last, frame, Stream::Stdout, &mut console)
            .unwrap();
        console.flush().unwrap();
        recorder.text(Stream::Stdout)
    }

    #[test]
    fn a_spilled_line_comes_back_whole() {
        let mut tail = UnfinishedLine::default();
        let mut expected = b"n1: ".to_vec();
        for n in 0..100_000_u32 {
            let text = format!("{n} ");
            tail.push(text.as_bytes(), 1000).unwrap();
            assert!(tail.memory() <= 1000);
            expected.extend(text.into_bytes());
        }
        assert!(tail.spool.has_file());
        assert_eq!(tail.length() + 4, expected.len() as u64);
        expected.extend(b"end\n");
        assert!(printed(tail, b"end", false) == expected);
    }

    #[test]
    fn a_spilled_line_is_harmless_on_a_terminal() {
        let mut tail = UnfinishedLine::default();
        // A pattern of eleven bytes, so that the pieces cut its characters at every place.
        let pattern = "ü\x1b🦀\r1\u{9b}".as_bytes();
        for _ in 0..50_000 {
            tail.push(pattern, 10).unwrap();
        }
        let shown = "ü^[🦀^M1<U+009B>".repeat(50_000);
        let expected = format!("n1: {shown}end\n");
        assert!(printed(tail, b"end\r", true) == expected.into_bytes());
    }

    #[test]
    fn a_full_disk_loses_nothing() {
        let mut tail = UnfinishedLine::default();
        tail.push(b"kept ", 0).unwrap();
        // The file stays readable; only its writes fail from here on.
        tail.spool.refuse_writes();
        tail.push(b"here", 0).unwrap_err();
        assert_eq!(tail.length(), 9);
        assert_eq!(printed(tail, b"!", false), b"n1: kept here!\n");
    }
}
