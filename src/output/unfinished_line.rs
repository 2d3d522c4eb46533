//! A line without its newline so far.
//!
//! A short line is kept in memory, a long one in an unnamed temporary file, so that a line of any length is written
//! whole with bounded memory. If the file cannot be written, no byte is lost: the caller gets an error and ends the
//! line early.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use super::color::Frame;
use super::console::{Console, LongLine};
use super::terminal::{shown_line, shown_part};
use crate::event::Stream;

/// Size of the buffer for copying a file.
const PIECE: usize = 64 * 1024;

/// The bytes of the line: first those in the file, if there is one, then those in memory.
#[derive(Debug, Default)]
pub(super) struct UnfinishedLine {
    file: Option<SpooledPart>,
    memory: Vec<u8>,
}

#[derive(Debug)]
struct SpooledPart {
    file: File,
    /// Number of valid bytes in the file; a failed write may have left more.
    length: u64,
}

impl SpooledPart {
    fn into_reader(mut self) -> io::Result<io::Take<File>> {
        self.file.rewind().map_err(unread)?;
        Ok(self.file.take(self.length))
    }
}

fn unread(error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot read a temporary file: {error}"),
    )
}

impl UnfinishedLine {
    /// Returns the number of bytes in memory.
    pub(super) fn memory(&self) -> usize {
        self.memory.len()
    }

    /// Returns the length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.file.as_ref().map_or(0, |spill| spill.length) + self.memory.len() as u64
    }

    /// Appends to the line. With more than `limit` bytes in memory, the line moves to a file.
    ///
    /// # Errors
    /// The temporary file cannot be created or is full. The line has all of `data` nevertheless.
    pub(super) fn push(&mut self, data: &[u8], limit: usize) -> io::Result<()> {
        self.memory.extend_from_slice(data);
        if self.memory.len() > limit || self.file.is_some() {
            self.spill()
        } else {
            Ok(())
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        let spill = match &mut self.file {
            Some(spill) => spill,
            none => none.insert(SpooledPart {
                file: tempfile::tempfile()?,
                length: 0,
            }),
        };
        let mut written = 0;
        let result = loop {
            match spill.file.write(&self.memory[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => written += taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written == self.memory.len() {
                break Ok(());
            }
        };
        spill.length += written as u64;
        self.memory.drain(..written);
        self.memory.shrink_to(PIECE);
        result
    }

    /// Passes the line to `receive`, piece by piece.
    ///
    /// # Errors
    /// An error of `receive`, or the temporary file cannot be read back.
    pub(super) fn for_each_piece(
        self,
        mut receive: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(spill) = self.file {
            let mut file = spill.into_reader()?;
            let mut piece = vec![0; PIECE];
            loop {
                match file.read(&mut piece).map_err(unread)? {
                    0 => break,
                    length => receive(&piece[..length])?,
                }
            }
        }
        receive(&self.memory)
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
        self.memory.extend_from_slice(last);
        let Some(spill) = self.file else {
            return print_line(&self.memory, frame, stream, console);
        };
        let colors = console.passes_colors();
        let terminal = console.is_terminal(stream).then_some(colors);
        let mut line = console.long_line(stream)?;
        for piece in frame.before {
            line.piece(piece)?;
        }
        let mut file = spill.into_reader()?;
        let mut piece = Vec::with_capacity(PIECE);
        let mut shown = Vec::new();
        while {
            let room = (PIECE - piece.len()) as u64;
            file.by_ref()
                .take(room)
                .read_to_end(&mut piece)
                .map_err(unread)?
                > 0
        } {
            print_piece(&mut piece, terminal, &mut shown, &mut line)?;
        }
        piece.extend_from_slice(&self.memory);
        if let Some(colors) = terminal {
            shown.clear();
            shown_line(&piece, colors, &mut shown);
            line.piece(&shown)?;
        } else {
            line.piece(&piece)?;
        }
        line.piece(frame.after)?;
        line.end()
    }
}

/// Writes a piece of a line. Bytes that depend on the next piece stay in `piece`. `terminal` is `None` without a
/// terminal, else it says whether colours of the host pass.
pub(super) fn print_piece(
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
        assert!(tail.file.is_some());
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
        // The good part of the file stays readable; only its writes fail from here on.
        let spill = tail.file.as_mut().unwrap();
        let path = format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&spill.file)
        );
        spill.file = File::open(path).unwrap();
        tail.push(b"here", 0).unwrap_err();
        assert_eq!(tail.length(), 9);
        assert_eq!(printed(tail, b"!", false), b"n1: kept here!\n");
    }
}
