//! Lines of bounded length, for files that may contain anything.

use std::io::{self, BufRead, Read as _};

/// Maximum length of a line in bytes.
// The largest key takes 3 KB, and the rest is for names.
const LONGEST_LINE: usize = 256 * 1024;

/// Maximum size of a file in bytes.
// A million hashed names with three keys each.
pub(crate) const LARGEST_FILE: u64 = 1 << 30;

/// Splits a file into lines of bounded length.
pub(crate) struct BoundedLines<R> {
    from: R,
    line: Vec<u8>,
    bytes: u64,
}

/// A line from [`BoundedLines`].
pub(crate) enum BoundedLine<'a> {
    /// A line with its line end.
    Line(&'a [u8]),
    /// The start of a line that is too long.
    TooLong(&'a [u8]),
}

impl<R: BufRead> BoundedLines<R> {
    /// Starts at the current position of a file.
    pub(crate) fn new(from: R) -> BoundedLines<R> {
        BoundedLines {
            from,
            line: Vec::new(),
            bytes: 0,
        }
    }

    /// Number of bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the next line. Returns `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<BoundedLine<'_>>> {
        self.line.clear();
        // One byte more than allowed shows that a line is too long.
        let most = LONGEST_LINE as u64 + 1;
        let length = self
            .from
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut self.line)?;
        self.bytes += length as u64;
        if length == 0 {
            return Ok(None);
        }
        if length <= LONGEST_LINE || self.line.ends_with(b"\n") {
            return Ok(Some(BoundedLine::Line(&self.line)));
        }
        self.skip_line()?;
        Ok(Some(BoundedLine::TooLong(&self.line)))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.from.fill_buf()?;
            // A special file such as /dev/zero has no end.
            if buffer.is_empty() || self.bytes > LARGEST_FILE {
                return Ok(());
            }
            let end = memchr::memchr(b'\n', buffer);
            let length = end.map_or(buffer.len(), |end| end + 1);
            self.bytes += length as u64;
            self.from.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}
