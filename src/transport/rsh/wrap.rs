//! The command as it is sent: wrapped so that it reads end of file, is interpreted by the user's own
//! login shell, and reports its exit status, which rsh does not carry. No I/O.
//!
//! The login shell, whatever it is, reads one `exec /bin/sh -c '…' sh '…'` that means the same to dash,
//! bash, zsh, ksh, csh, tcsh and fish. `/bin/sh` starts the login shell again for the command, with input
//! from `/dev/null`, and prints the end marker: a token made for the run, a colon, the status, a newline.
//! Only a second process can report the status of a command that says `exec`, ends its own shell or has
//! a syntax error. That is one process and two program starts more than plain rsh. A command with bytes
//! that no quoting protects in all seven shells is sent in octal. Decoding it costs another process.
//!
//! With standard input the command reads a pipe instead. In front of it is `head -c N`, which ends when
//! so many bytes have come, so that nobody has to close the connection; or `cat`, if only the end of the
//! connection's stream says how many there are. Behind it, after the marker, `cat` reads what the command
//! has left: a daemon's system that closes a connection with unread bytes resets it and throws away
//! what it has not sent yet, the marker first of all. The status is the command's, not `head`'s. A
//! `head` that knows no `-c` is found out before anything is run, and then there is no marker.
//!
//! The marker is found as bytes, wherever a line or a packet may end, and taken out; the output before
//! it is exact. What a background child writes after it is output like any other. A second marker can
//! only be forged, and then none is believed.

use std::io;

use memchr::{memmem, memrchr};

use crate::event::RemoteExit;

/// The longest command that Linux takes as one argument of `execve`: `MAX_ARG_STRLEN` less its NUL.
pub const MAX_COMMAND: usize = 128 * 1024 - 1;

const TOKEN_LENGTH: usize = 13;

/// What the command is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// End of file at once.
    Nothing,
    /// So many bytes of the connection's stream.
    Bytes(u64),
    /// The connection's stream to its end.
    Stream,
}

/// The end marker of a run. Its token has 65 random bits.
#[derive(Clone, Debug)]
pub struct EndMarker {
    /// Token and colon.
    needle: Box<[u8]>,
}

impl EndMarker {
    /// A marker that no output can contain by accident.
    ///
    /// # Errors
    /// The system has no random bytes to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0_u8; TOKEN_LENGTH];
        crate::random::fill(&mut bytes)?;
        Ok(EndMarker::from_bytes(bytes))
    }

    /// A marker whose token is known: for tests.
    #[must_use]
    pub fn from_bytes(bytes: [u8; TOKEN_LENGTH]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let token = bytes.iter().map(|b| ALPHABET[usize::from(b % 32)]);
        EndMarker {
            needle: token.chain([b':']).collect(),
        }
    }

    /// The command line for the login shell. `discard_stderr` sends standard error to `/dev/null` over
    /// there. `command` must not contain NUL.
    #[must_use]
    pub fn wrap(&self, command: &[u8], discard_stderr: bool, reads: Reads) -> Vec<u8> {
        let encoding = Encoding::of(command);
        let mut line = b"exec /bin/sh -c '".to_vec();
        match reads {
            Reads::Nothing => {}
            Reads::Bytes(n) => {
                line.extend_from_slice(format!("head -c1 </dev/null&&head -c{n}|(").as_bytes());
            }
            Reads::Stream => line.extend_from_slice(b"cat|("),
        }
        line.extend_from_slice(b"\"${SHELL:-/bin/sh}\" -c ");
        line.extend_from_slice(encoding.argument());
        if reads == Reads::Nothing {
            line.extend_from_slice(b" </dev/null");
        }
        if discard_stderr {
            line.extend_from_slice(b" 2>/dev/null");
        }
        line.extend_from_slice(b";printf \"");
        line.extend_from_slice(&self.needle);
        line.extend_from_slice(b"%d\\n\" $?");
        if reads != Reads::Nothing {
            line.extend_from_slice(b";cat >/dev/null)");
        }
        line.extend_from_slice(b"' sh '");
        for &byte in command {
            encoding.push(byte, &mut line);
        }
        line.push(b'\'');
        line
    }

    /// How long [`wrap`](EndMarker::wrap) makes a command at most, whatever the marker, and whatever there
    /// is to read if it reads.
    #[must_use]
    pub fn wrapped_len(command: &[u8], discard_stderr: bool, reads: bool) -> usize {
        let marker = EndMarker::from_bytes([0; TOKEN_LENGTH]);
        let reads = if reads {
            Reads::Bytes(u64::MAX)
        } else {
            Reads::Nothing
        };
        marker.wrap(command, discard_stderr, reads).len()
    }

    /// Token and colon.
    #[must_use]
    pub fn needle(&self) -> &[u8] {
        &self.needle
    }

    /// Looks for this marker in one stream.
    #[must_use]
    pub fn decoder(&self) -> MarkerDecoder {
        MarkerDecoder {
            needle: self.needle.clone(),
            held: Vec::new(),
            found: Found::None,
        }
    }
}

/// Returns a command line that runs `command` in the login shell with standard error in the stream of standard output.
///
/// For ssh, whose servers read the two streams of a command apart, so that their order is lost. `command` must not
/// contain NUL.
#[must_use]
pub fn merged(command: &[u8]) -> Vec<u8> {
    let encoding = Encoding::of(command);
    let mut line = b"exec /bin/sh -c 'exec \"${SHELL:-/bin/sh}\" -c ".to_vec();
    line.extend_from_slice(encoding.argument());
    line.extend_from_slice(b" 2>&1' sh '");
    for &byte in command {
        encoding.push(byte, &mut line);
    }
    line.push(b'\'');
    line
}

/// The form in which the command is an argument in single quotes of an unknown login shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// As it is, with the quotes interrupted for the three bytes that they do not protect: `'` in all
    /// shells, `!` in csh and tcsh, and `\` in fish.
    Quoted,
    /// For `printf %b`. csh and tcsh accept no newline in any quotes, and the shells differ in control
    /// characters and in bytes that are not ASCII.
    Octal,
}

impl Encoding {
    /// The cheaper form that can carry the command.
    fn of(command: &[u8]) -> Encoding {
        if command.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            Encoding::Quoted
        } else {
            Encoding::Octal
        }
    }

    /// Returns the expression of `/bin/sh` that is the command again.
    fn argument(self) -> &'static [u8] {
        match self {
            Encoding::Quoted => b"\"$1\"",
            Encoding::Octal => b"\"$(printf %b \"$1\")\"",
        }
    }

    /// Appends one byte of the command.
    fn push(self, byte: u8, line: &mut Vec<u8>) {
        match (self, byte) {
            (Encoding::Quoted, b'\'') => line.extend_from_slice(b"'\"'\"'"),
            (Encoding::Quoted, b'\\' | b'!') => {
                line.extend([b'\'', b'\\', byte, b'\'']);
            }
            (Encoding::Octal, b'\'' | b'\\' | b'!' | 0..=0x1f | 0x7f..) => {
                line.extend_from_slice(b"\\0");
                line.extend([byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| b'0' + digit));
            }
            _ => line.push(byte),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    None,
    Once(RemoteExit),
    Twice,
}

/// Separates a stream into output and end marker.
#[derive(Debug)]
pub struct MarkerDecoder {
    needle: Box<[u8]>,
    /// The end of what came so far, as long as it may be the beginning of a marker: at most
    /// token, colon and three digits.
    held: Vec<u8>,
    found: Found,
}

/// What follows a token and its colon.
enum Tail {
    /// A marker, this long, with this status.
    Complete(usize, RemoteExit),
    /// It may become one.
    Partial,
    /// It is output.
    No,
}

const MAX_DIGITS: usize = 3;

impl MarkerDecoder {
    /// Takes the next bytes of the stream and adds what is certainly output to `out`. Holds back only
    /// what may be the beginning of a marker.
    pub fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            return self.scan(data, out);
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(data);
        self.scan(&joined, out);
    }

    fn scan(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        while let Some(at) = memmem::find(data, &self.needle) {
            let (before, from) = data.split_at(at);
            out.extend_from_slice(before);
            match tail(&from[self.needle.len()..]) {
                Tail::Complete(length, exit) => {
                    self.found = match self.found {
                        Found::None => Found::Once(exit),
                        Found::Once(_) | Found::Twice => Found::Twice,
                    };
                    data = &from[self.needle.len() + length..];
                }
                Tail::Partial => {
                    self.held.extend_from_slice(from);
                    return;
                }
                Tail::No => {
                    let (token, rest) = from.split_at(self.needle.len());
                    out.extend_from_slice(token);
                    data = rest;
                }
            }
        }
        let kept = self.partial_token(data);
        let (output, kept) = data.split_at(data.len() - kept);
        out.extend_from_slice(output);
        self.held.extend_from_slice(kept);
    }

    /// The length of the longest end of `data` that is a beginning of the token.
    fn partial_token(&self, data: &[u8]) -> usize {
        let window = &data[data.len().saturating_sub(self.needle.len() - 1)..];
        // Lines end in newlines and tokens begin with letters, so this is mostly one look.
        let mut end = window.len();
        let mut longest = 0;
        while let Some(at) = memrchr(self.needle[0], &window[..end]) {
            if self.needle.starts_with(&window[at..]) {
                longest = window.len() - at;
            }
            end = at;
        }
        longest
    }

    /// Whether a marker has come.
    #[must_use]
    pub fn has_found(&self) -> bool {
        self.found != Found::None
    }

    /// The stream has ended: gives what was held back and proved to be output, and the status that the
    /// one marker carried. `None` if there was no marker, or more than one.
    #[must_use]
    pub fn finish(&mut self) -> (Vec<u8>, Option<RemoteExit>) {
        let exit = match self.found {
            Found::Once(exit) => Some(exit),
            Found::None | Found::Twice => None,
        };
        (std::mem::take(&mut self.held), exit)
    }
}

fn tail(bytes: &[u8]) -> Tail {
    let digits = bytes
        .iter()
        .take(MAX_DIGITS + 1)
        .take_while(|b| b.is_ascii_digit())
        .count();
    match bytes.get(digits) {
        _ if digits > MAX_DIGITS => Tail::No,
        None => Tail::Partial,
        Some(b'\n') if digits > 0 => {
            let number = bytes[..digits]
                .iter()
                .fold(0, |n, d| n * 10 + u16::from(d - b'0'));
            Tail::Complete(digits + 1, exit(number))
        }
        Some(_) => Tail::No,
    }
}

/// The meaning of a shell's `$?`: above 255 it is ksh93's 256 + signal, where others say 128 + signal.
fn exit(number: u16) -> RemoteExit {
    match u8::try_from(number) {
        Ok(code) => RemoteExit::Code(code),
        Err(_) => RemoteExit::Signaled((number & 0xff) as u8),
    }
}

#[cfg(test)]
mod tests;
