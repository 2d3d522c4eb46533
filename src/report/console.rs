//! Standard output and standard error, written in whole lines.

use std::io::{self, Write};

/// The two streams of the program itself.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Console {
    /// A console over any two writers.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Console { out, err }
    }

    /// Writes whole lines to standard output.
    ///
    /// # Errors
    /// The write's.
    pub fn out(&mut self, lines: &[u8]) -> io::Result<()> {
        self.out.write_all(lines)
    }

    /// Writes whole lines to standard error.
    ///
    /// # Errors
    /// The write's.
    pub fn err(&mut self, lines: &[u8]) -> io::Result<()> {
        self.err.write_all(lines)
    }

    /// Hands everything written so far to the system.
    ///
    /// # Errors
    /// The write's.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}
