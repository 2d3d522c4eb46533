//! Secrets that come from the user: passphrases of keys, and the password of `--password`. They are
//! asked on the terminal, without showing them, before the first connection; or read from a file
//! descriptor that a script has opened; and wiped from memory after their last use.
//!
//! Every copy in this program's own memory is wiped: the buffers for reading, the secret, the answer to a server's
//! question, the text of a key file, and a decrypted key up to the point where OpenSSL takes it over, which wipes its own
//! numbers. Copies that are not in its hands: the packets in which libssh2 puts a password together (it wipes some and
//! frees others as they are), blocks that OpenSSL works on, and the kernel's buffers for terminals and pipes. A core dump
//! or swap space may hold any of them.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

/// Longer secrets are refused (OpenSSH's bound).
const LONGEST: usize = 1024;

/// A passphrase or a password. It does not show itself, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a secret over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// The secret itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the secret out.
    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Whether nothing was typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A secret that did not come.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is nobody to ask.
    #[error("there is no terminal to ask on")]
    NoTerminal,
    /// Nobody wants to be asked.
    #[error("BatchMode says that nobody is asked")]
    BatchMode,
    /// The user has ended the input.
    #[error("the question was not answered")]
    NotAnswered,
    /// The user wants to end the program.
    #[error("interrupted")]
    Interrupted,
    /// It is not a secret.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// The descriptor holds no line.
    #[error("file descriptor {fd} has no line with the password")]
    Empty {
        /// As given.
        fd: u32,
    },
    /// The terminal or the descriptor fails.
    #[error("{what}: {source}")]
    Io {
        /// What was read.
        what: String,
        /// Why it cannot be.
        source: io::Error,
    },
}

/// Somebody who can be asked for a secret.
pub trait Ask {
    /// Asks, with a prompt that ends in a colon and a blank.
    ///
    /// # Errors
    /// No answer.
    fn ask(&mut self, prompt: &str) -> Result<Secret, PromptError>;
}

/// The terminal of the session, if it has one: `/dev/tty`, whatever standard input is.
#[derive(Debug, Default)]
pub struct Terminal;

impl Ask for Terminal {
    fn ask(&mut self, prompt: &str) -> Result<Secret, PromptError> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
        let terminal = terminal.map_err(|_| PromptError::NoTerminal)?;
        let failed = |source| PromptError::Io {
            what: "/dev/tty".to_owned(),
            source,
        };
        let silent = Silent::new(&terminal).map_err(failed)?;
        (&terminal).write_all(prompt.as_bytes()).map_err(failed)?;
        let line = type_line(&terminal);
        drop(silent);
        // The user's own line end was not shown.
        (&terminal).write_all(b"\n").map_err(failed)?;
        match line.map_err(failed)? {
            Typed::Line(line) if line.len() > LONGEST => Err(PromptError::TooLong),
            Typed::Line(line) => Ok(Secret(line)),
            Typed::End => Err(PromptError::NotAnswered),
            Typed::Interrupt => Err(PromptError::Interrupted),
        }
    }
}

/// A terminal that shows nothing and gives every key as a byte, until this is dropped. ^C comes as a byte
/// too: a signal would end the program with the terminal still silent.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Silent<'_> {
    fn new(terminal: &File) -> io::Result<Silent<'_>> {
        let before = termios::tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question is no answer to it.
        termios::tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no care.
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// What was typed.
enum Typed {
    Line(Zeroizing<Vec<u8>>),
    End,
    Interrupt,
}

/// Reads a line key by key, with the few that correct it.
fn type_line(mut from: impl Read) -> io::Result<Typed> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACE: u8 = 8;
    const QUIT: u8 = 0x1c;
    const DELETE: u8 = 0x7f;
    const KILL: u8 = 0x15;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
    let mut byte = Zeroizing::new([0]);
    loop {
        match from.read(&mut *byte) {
            Ok(0) => return Ok(Typed::End),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(Typed::Line(line)),
            INTERRUPT | QUIT => return Ok(Typed::Interrupt),
            END if line.is_empty() => return Ok(Typed::End),
            END => return Ok(Typed::Line(line)),
            KILL => line.clear(),
            // A character may be several bytes.
            BACKSPACE | DELETE => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            byte if line.len() <= LONGEST => line.push(byte),
            _ => {}
        }
    }
}

/// Nobody, for those who want no questions (`BatchMode yes`).
#[derive(Debug, Default)]
pub struct Nobody;

impl Ask for Nobody {
    fn ask(&mut self, _: &str) -> Result<Secret, PromptError> {
        Err(PromptError::BatchMode)
    }
}

/// Reads the password that a script holds ready: the first line of a descriptor of this process, and
/// not a byte more, so that what follows on standard input can go to the hosts.
///
/// # Errors
/// It is not open, has no line, or one that is no password.
pub fn from_descriptor(fd: u32) -> Result<Secret, PromptError> {
    let failed = |source| PromptError::Io {
        what: format!("file descriptor {fd}"),
        source,
    };
    let line = match fd {
        // The one that others may read on from, so not by a new description with a place of its own.
        0 => read_line(Descriptor(rustix::stdio::stdin())),
        fd => {
            // By way of the kernel's own name for it, which takes no unsafe code.
            let path = Path::new("/proc/self/fd").join(fd.to_string());
            read_line(File::open(path).map_err(failed)?)
        }
    };
    let line = line.map_err(failed)?;
    if line.len() > LONGEST {
        return Err(PromptError::TooLong);
    }
    match line.is_empty() {
        true => Err(PromptError::Empty { fd }),
        false => Ok(Secret(line)),
    }
}

/// Reads up to a line end, which is taken but not given.
fn read_line(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
    let mut byte = Zeroizing::new([0]);
    while line.len() <= LONGEST {
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

/// Reads without a buffer.
struct Descriptor<D>(D);

impl<D: AsFd> Read for Descriptor<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

#[cfg(test)]
mod tests;
