//! Writing of gathered text line by line, with lines of any length.

use std::io::{self, BufRead, BufReader, Read};

use memchr::memchr;

use super::super::Console;
use super::super::color::Frame;
use super::super::unfinished_line::{print_line, print_long_line};
use crate::event::Stream;

/// Size of the buffer for a text.
const PIECE: usize = 64 * 1024;

/// Writes a text, each line within `frame`.
///
/// # Errors
/// The console cannot be written, or the text cannot be read.
pub(super) fn print_text(
    text: impl Read,
    frame: Frame<'_>,
    stream: Stream,
    console: &mut Console,
) -> io::Result<()> {
    let mut text = buffered(text);
    let mut line = Vec::new();
    while print_next(&mut text, &mut line, frame, stream, console)? {}
    Ok(())
}

/// Returns a buffered reader of a text.
pub(super) fn buffered<R: Read>(text: R) -> BufReader<R> {
    BufReader::with_capacity(PIECE, text)
}

/// Writes the next line of a text within `frame`; returns false at the end. `line` is a buffer that is reused.
///
/// # Errors
/// As for [`print_text`].
pub(super) fn print_next(
    text: &mut impl BufRead,
    line: &mut Vec<u8>,
    frame: Frame<'_>,
    stream: Stream,
    console: &mut Console,
) -> io::Result<bool> {
    line.clear();
    loop {
        let ready = text.fill_buf()?;
        if ready.is_empty() {
            break;
        }
        if let Some(end) = memchr(b'\n', ready) {
            // The usual case: the line is whole in the buffer and is not copied.
            if line.is_empty() {
                print_line(&ready[..end], frame, stream, console)?;
            } else {
                line.extend_from_slice(&ready[..end]);
                print_line(line, frame, stream, console)?;
            }
            text.consume(end + 1);
            return Ok(true);
        }
        line.extend_from_slice(ready);
        let length = ready.len();
        text.consume(length);
        // A line of any length must not fill the memory.
        if line.len() > PIECE {
            print_long_line(line, text, frame, stream, console)?;
            return Ok(true);
        }
    }
    // A text can end without a newline.
    if line.is_empty() {
        return Ok(false);
    }
    print_line(line, frame, stream, console)?;
    Ok(true)
}
