//! The prompt of pdsh, which runs each line of standard input as a command.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal};
use std::os::unix::ffi::OsStringExt;

use super::messages::Ended;
use crate::error::Error;
use crate::exit::ExitStatus;
use crate::messages::print;

/// Reads commands and calls `run` with each. The statuses of the commands change nothing, as in pdsh.
///
/// # Errors
/// Standard output cannot be written, or standard input cannot be read.
pub(super) fn serve(
    name: &str,
    mut run: impl FnMut(OsString) -> Result<ExitStatus, Ended>,
) -> Result<ExitStatus, Ended> {
    // A terminal shows what is typed. Otherwise pdsh's library for input shows each line after the prompt.
    let echoes = !io::stdin().is_terminal();
    loop {
        print(format!("{name}> "))?;
        let mut line = Vec::new();
        // One line at a time, so that the lock is free while a command runs.
        let read = io::stdin().lock().read_until(b'\n', &mut line);
        if read.map_err(Error::system("read standard input"))? == 0 {
            return Ok(ExitStatus::SUCCESS);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if echoes {
            print([&line[..], b"\n"].concat())?;
        }
        match &*line {
            b"" => {}
            b"quit" | b"exit" => return Ok(ExitStatus::SUCCESS),
            _ => {
                let _ = run(OsString::from_vec(line))?;
            }
        }
    }
}
