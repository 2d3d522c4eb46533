//! Secrets from the user: passphrases of keys, and the password of `--password`. They are asked on the terminal
//! without echo before the first connection, or read from a file descriptor that a script has opened. They are wiped
//! from memory after their last use.
//!
//! Every copy in this program's own memory is wiped: read buffers, the secret, the answer to a server's question, the
//! text of a key file, and a decrypted key until OpenSSL takes it over and wipes its own numbers. Other copies are
//! out of its control: the packets in which libssh2 assembles a password (it wipes some and frees others as they
//! are), buffers of OpenSSL, and the kernel's buffers for terminals and pipes. A core dump or swap space may hold any
//! of them.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

/// Maximum length of a secret, as in OpenSSH.
const MAX_SECRET: usize = 1024;

/// A passphrase or a password. Its `Debug` form hides it, and it is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Returns the bytes of the secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the secret out.
    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Reason why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The process has no terminal.
    #[error("there is no terminal to ask on")]
    NoTerminal,
    /// `BatchMode` forbids questions.
    #[error("BatchMode forbids questions")]
    BatchMode,
    /// The user ended the input.
    #[error("the question was not answered")]
    NotAnswered,
    /// The user pressed ^C or ^\.
    #[error("interrupted")]
    Interrupted,
    /// The secret is too long.
    #[error("it is longer than {MAX_SECRET} bytes")]
    TooLong,
    /// The descriptor has no line.
    #[error("file descriptor {fd} has no line with the password")]
    Empty {
        /// Number of the descriptor, as given.
        fd: u32,
    },
    /// The terminal or the descriptor fails.
    #[error("{what}: {source}")]
    Io {
        /// Source of the secret.
        what: String,
        /// Error of the system.
        source: io::Error,
    },
}

/// A source of secrets that asks a question.
pub trait SecretPrompt {
    /// Asks with a prompt, which ends in a colon and a space.
    ///
    /// # Errors
    /// There is no answer.
    fn ask(&mut self, prompt: &str) -> Result<Secret, PromptError>;
}

/// The controlling terminal: `/dev/tty`, whatever standard input is.
#[derive(Debug, Default)]
pub struct Terminal;

impl SecretPrompt for Terminal {
    fn ask(&mut self, prompt: &str) -> Result<Secret, PromptError> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
        let terminal = terminal.map_err(|_| PromptError::NoTerminal)?;
        let failed = |source| PromptError::Io {
            what: "/dev/tty".to_owned(),
            source,
        };
        let echo_off = EchoOff::new(&terminal).map_err(failed)?;
        (&terminal).write_all(prompt.as_bytes()).map_err(failed)?;
        let line = type_line(&terminal);
        drop(echo_off);
        // The terminal did not echo the newline that the user typed.
        (&terminal).write_all(b"\n").map_err(failed)?;
        match line.map_err(failed)? {
            PromptLine::Line(line) if line.len() > MAX_SECRET => Err(PromptError::TooLong),
            PromptLine::Line(line) => Ok(Secret(line)),
            PromptLine::End => Err(PromptError::NotAnswered),
            PromptLine::Interrupt => Err(PromptError::Interrupted),
        }
    }
}

/// A terminal without echo that returns every key as a byte, until this is dropped.
struct EchoOff<'a> {
    terminal: &'a File,
    before: Termios,
}

impl EchoOff<'_> {
    fn new(terminal: &File) -> io::Result<EchoOff<'_>> {
        let before = termios::tcgetattr(terminal)?;
        let mut echo_off = before.clone();
        // ^C is a byte too (ISIG): a signal would end the program and leave the terminal without echo.
        echo_off.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN;
        echo_off.special_codes[SpecialCodeIndex::VMIN] = 1;
        echo_off.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Input typed before the prompt is discarded: it is no answer to it.
        termios::tcsetattr(terminal, OptionalActions::Flush, &echo_off)?;
        Ok(EchoOff { terminal, before })
    }
}

impl Drop for EchoOff<'_> {
    fn drop(&mut self) {
        // An error means that the terminal is gone.
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Result of reading a line.
enum PromptLine {
    Line(Zeroizing<Vec<u8>>),
    End,
    Interrupt,
}

/// Reads a line key by key and handles the keys that edit it.
fn type_line(mut from: impl Read) -> io::Result<PromptLine> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACE: u8 = 8;
    const QUIT: u8 = 0x1c;
    const DELETE: u8 = 0x7f;
    const KILL: u8 = 0x15;
    // The full size at once: a vector that grows leaves copies that nobody wipes.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 2));
    let mut byte = Zeroizing::new([0]);
    loop {
        match from.read(&mut *byte) {
            Ok(0) => return Ok(PromptLine::End),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(PromptLine::Line(line)),
            INTERRUPT | QUIT => return Ok(PromptLine::Interrupt),
            END if line.is_empty() => return Ok(PromptLine::End),
            END => return Ok(PromptLine::Line(line)),
            KILL => line.clear(),
            // A character of UTF-8 may have several bytes.
            BACKSPACE | DELETE => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            byte if line.len() <= MAX_SECRET => line.push(byte),
            _ => {}
        }
    }
}

/// A source that refuses every question (`BatchMode yes`).
#[derive(Debug, Default)]
pub struct NoPrompt;

impl SecretPrompt for NoPrompt {
    fn ask(&mut self, _: &str) -> Result<Secret, PromptError> {
        Err(PromptError::BatchMode)
    }
}

/// Reads the password that a script provides: the first line of a descriptor of this process, and not a byte more. So
/// the rest of standard input can go to the hosts.
///
/// # Errors
/// The descriptor is not open, has no line, or a line that is too long.
pub fn from_descriptor(fd: u32) -> Result<Secret, PromptError> {
    let failed = |source| PromptError::Io {
        what: format!("file descriptor {fd}"),
        source,
    };
    let line = match fd {
        // The hosts' input is read from this descriptor later, so its own offset must advance. Opening it again could
        // make a new offset.
        0 => read_line(Descriptor(rustix::stdio::stdin())),
        fd => {
            // The kernel's name of a descriptor can be opened without unsafe code.
            let path = Path::new("/proc/self/fd").join(fd.to_string());
            read_line(File::open(path).map_err(failed)?)
        }
    };
    let line = line.map_err(failed)?;
    if line.len() > MAX_SECRET {
        return Err(PromptError::TooLong);
    }
    if line.is_empty() {
        Err(PromptError::Empty { fd })
    } else {
        Ok(Secret(line))
    }
}

/// Reads up to a newline, which is consumed but not returned.
fn read_line(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // The full size at once: a vector that grows leaves copies that nobody wipes.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 2));
    // One byte at a time: a buffer would also take the input that follows, which is for the hosts.
    let mut byte = Zeroizing::new([0]);
    while line.len() <= MAX_SECRET {
        match from.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if *byte == *b"\n" => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// A reader without a buffer.
struct Descriptor<D>(D);

impl<D: AsFd> Read for Descriptor<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

#[cfg(test)]
mod tests;
