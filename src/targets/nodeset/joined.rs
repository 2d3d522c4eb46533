//! Names written one after the other: a million of them as text, in a few blocks and little memory.
//!
//! Made by [`listing`](crate::listing) and handed down to whatever holds names. What is held as ranges
//! makes no name on the way: names are the bytes of those before them, with the digits counted up.

use std::io::{self, Write};

use super::ranges::Run;

/// From this size on what has gathered is written.
const BLOCK: usize = 64 * 1024;

/// The most bytes of names that are copied at once.
const COPIED: usize = 4 * 1024;

/// A writer of names with a text between two.
pub struct Joined<'a> {
    out: &'a mut dyn Write,
    separator: &'a [u8],
    /// What is not written yet: names with the separator behind each, and ended lines.
    text: Vec<u8>,
}

impl<'a> Joined<'a> {
    /// A writer to `out`, which puts the separator between two names of a line.
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
    /// Those of the writer below.
    pub fn push(&mut self, name: &str) -> io::Result<()> {
        self.flush_block(self.separator.len())?;
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(self.separator);
        Ok(())
    }

    /// Writes the names that have these numbers between a prefix and a suffix.
    pub(super) fn push_run(&mut self, prefix: &str, run: Run, suffix: &str) -> io::Result<()> {
        self.flush_block(self.separator.len())?;
        let start = self.text.len();
        self.text.extend_from_slice(prefix.as_bytes());
        run.first_digits(&mut self.text);
        let mut digits = prefix.len()..self.text.len() - start;
        self.text.extend_from_slice(suffix.as_bytes());
        self.text.extend_from_slice(self.separator);
        let name = self.text.len() - start;
        // How many names are copied at once: a power of ten, for the digits below it are the same in the copies.
        let (mut many, mut left) = (1, run.len() - 1);
        while left > 0 {
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

    /// Ends a line behind a name, or a line without any.
    pub fn end_line(&mut self) {
        let end = self.text.len().saturating_sub(self.separator.len());
        self.text.truncate(end);
        self.text.push(b'\n');
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn finish(self) -> io::Result<()> {
        self.out.write_all(&self.text)
    }

    /// Writes what has gathered, if it is enough, but for so many bytes at the end that are needed yet.
    fn flush_block(&mut self, keep: usize) -> io::Result<()> {
        if self.text.len() >= BLOCK {
            let end = self.text.len().saturating_sub(keep);
            self.out.write_all(&self.text[..end])?;
            self.text.drain(..end);
        }
        Ok(())
    }
}

/// Adds to the number that these digits are; they are enough for the sum.
pub(super) fn count_up(digits: &mut [u8], mut by: u64) {
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
