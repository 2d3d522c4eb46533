//! A writer of many names, in blocks and with little memory.
//!
//! For a range, no name is formatted: each is a copy of the bytes of an earlier one with incremented digits.

use std::io::{self, Write};

use crate::ranges::Run;

/// Size of the buffer from which on it is written.
const BLOCK: usize = 64 * 1024;

/// Maximum number of bytes of names that are copied at once.
const COPIED: usize = 4 * 1024;

/// A writer of names with a separator, which is fast for the ranges of a set.
///
/// ```
/// use nodeset::{Joined, NodeSet};
///
/// let mut text = Vec::new();
/// let mut joined = Joined::new(&mut text, " ");
/// NodeSet::parse("node[8-10]")?.write_to(&mut joined)?;
/// joined.end_line();
/// joined.finish()?;
/// assert_eq!(text, b"node8 node9 node10\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Joined<'a> {
    out: &'a mut dyn Write,
    separator: &'a [u8],
    /// Buffer: names with the separator after each, and complete lines.
    text: Vec<u8>,
}

impl<'a> Joined<'a> {
    /// Returns a writer to `out` with a separator between the names of a line.
    pub fn new(out: &'a mut dyn Write, separator: &'a str) -> Joined<'a> {
        Joined {
            out,
            separator: separator.as_bytes(),
            text: Vec::new(),
        }
    }

    /// Writes a name.
    ///
    /// # Errors
    /// Writing fails.
    pub fn push(&mut self, name: &str) -> io::Result<()> {
        // The last separator stays in the buffer, so that `end_line` can remove it.
        self.flush_block(self.separator.len())?;
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(self.separator);
        Ok(())
    }

    /// Writes names: each of these numbers between a prefix and a suffix.
    pub(crate) fn push_run(&mut self, prefix: &str, run: Run, suffix: &str) -> io::Result<()> {
        self.flush_block(self.separator.len())?;
        let start = self.text.len();
        self.text.extend_from_slice(prefix.as_bytes());
        run.first_digits(&mut self.text);
        let mut digits = prefix.len()..self.text.len() - start;
        self.text.extend_from_slice(suffix.as_bytes());
        self.text.extend_from_slice(self.separator);
        let name = self.text.len() - start;
        // Number of names to copy at once: a power of ten, because the digits below it are the same in the copies.
        let (mut many, mut left) = (1, run.len() - 1);
        while left > 0 {
            // There are ten times as many names as the block had, so the block grows and one digit less differs in it.
            if run.len() - left == 10 * many as u64 && 10 * many * name <= COPIED {
                many *= 10;
                digits.end -= 1;
            }
            self.flush_block(name.max(COPIED))?;
            let from = self.text.len() - many * name;
            let copied = usize::try_from(left).map_or(many, |left| left.min(many));
            self.text.extend_from_within(from..from + copied * name);
            for copy in self.text[from + many * name..].chunks_exact_mut(name) {
                count_up(&mut copy[digits.clone()], run.step);
            }
            left -= copied as u64;
        }
        Ok(())
    }

    /// Ends a line, which may have no names.
    pub fn end_line(&mut self) {
        // A line without names has no separator.
        let end = self.text.len().saturating_sub(self.separator.len());
        self.text.truncate(end);
        self.text.push(b'\n');
    }

    /// Writes the rest of the buffer.
    ///
    /// # Errors
    /// Writing fails.
    pub fn finish(self) -> io::Result<()> {
        self.out.write_all(&self.text)
    }

    /// Writes a full buffer, but for this many bytes at its end, which are still needed.
    fn flush_block(&mut self, keep: usize) -> io::Result<()> {
        if self.text.len() >= BLOCK {
            let end = self.text.len().saturating_sub(keep);
            self.out.write_all(&self.text[..end])?;
            self.text.drain(..end);
        }
        Ok(())
    }
}

/// Adds to the number of these digits, which must be enough for the sum.
pub(crate) fn count_up(digits: &mut [u8], mut by: u64) {
    for digit in digits.iter_mut().rev() {
        let sum = u64::from(*digit - b'0') + by;
        if sum < 10 {
            *digit = b'0' + sum as u8;
            return;
        }
        *digit = b'0' + (sum % 10) as u8;
        by = sum / 10;
    }
}
