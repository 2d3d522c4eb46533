//! The wrapper around a command: the command reads end of file, the user's own login shell interprets it, and its
//! exit status is reported, which rsh itself does not carry. No I/O.
//!
//! Every login shell reads one `exec /bin/sh -c '…' sh '…'`, which means the same to dash, bash, zsh, ksh, csh, tcsh
//! and fish. `/bin/sh` starts the login shell again for the command, with input from `/dev/null`, and prints the end
//! marker: a token made for the run, a colon, the status, a newline. Only a second process can report the status of a
//! command that says `exec`, ends its own shell or has a syntax error. It costs one process and two program starts
//! more than plain rsh. A command with bytes that no quoting protects in all seven shells is sent in octal. Decoding
//! costs another process.
//!
//! If there is standard input, the command reads it from a pipe. `head -c N` writes to the pipe and ends after N bytes,
//! so nobody has to close the connection. If the length is unknown, `cat` writes to the pipe until the stream ends. After
//! the marker, a second `cat` reads what the command has left: a system that closes a connection with unread bytes
//! resets it and drops unsent data, the marker first of all. The status is the command's, not `head`'s. A `head`
//! without `-c` is found before the command runs, and then there is no marker.
//!
//! The values of variables are further arguments of `/bin/sh`, which passes them to env(1). So no shell reads them as
//! code.
//! If the user changes before the command, `user_change` describes what takes the place of the login shell.
//!
//! The marker is found as bytes, independent of lines and packets, and removed; the output before it is exact. A
//! background child may write more output after it. A second marker can only be forged, and then neither counts.

use std::io;

use memchr::{memmem, memrchr};

use super::remote_command::ShellCommand;
use super::user_change::{ChangedInput, UserChange};
use crate::event::RemoteExit;
use crate::targets::Variable;

/// Maximum length of one argument of `execve` on Linux: `MAX_ARG_STRLEN` without its NUL.
pub const MAX_COMMAND: usize = 128 * 1024 - 1;

const TOKEN_LENGTH: usize = 13;

/// Standard input of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputMode {
    /// End of file at once.
    Nothing,
    /// This number of bytes from the connection.
    Bytes(u64),
    /// All bytes from the connection up to its end.
    Stream,
}

/// End marker of a run. Its token has 65 random bits.
#[derive(Clone, Debug)]
pub struct EndMarker {
    /// Token and colon of the marker.
    needle: Box<[u8]>,
}

impl EndMarker {
    /// Creates a marker that no output contains by accident.
    ///
    /// # Errors
    /// The system has no random bytes to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0_u8; TOKEN_LENGTH];
        crate::random::fill(&mut bytes)?;
        Ok(EndMarker::from_bytes(bytes))
    }

    /// Creates a marker with a known token, for tests.
    #[must_use]
    pub fn from_bytes(bytes: [u8; TOKEN_LENGTH]) -> Self {
        // 32 characters, so that each random byte gives five bits without bias.
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let token = bytes.iter().map(|b| ALPHABET[usize::from(b % 32)]);
        EndMarker {
            needle: token.chain([b':']).collect(),
        }
    }

    /// Returns the command line for the login shell. `discard_stderr` redirects standard error to `/dev/null` on the
    /// host.
    #[must_use]
    pub fn wrap(
        &self,
        command: ShellCommand<'_>,
        discard_stderr: bool,
        reads: InputMode,
    ) -> Vec<u8> {
        let mut line = b"exec /bin/sh -c '".to_vec();
        if command.user_change.is_none() {
            push_decoded(command, &mut line);
        }
        // sudo reads its password from the connection itself: `head` and `cat` would keep it in their buffers.
        let has_password = command.user_change.is_some_and(UserChange::has_password);
        if has_password {
            line.push(b'(');
        }
        match reads {
            _ if has_password => {}
            InputMode::Nothing => {}
            InputMode::Bytes(n) => {
                // The first `head` fails on systems without `-c`, before the command runs.
                line.extend_from_slice(format!("head -c1 </dev/null&&head -c{n}|(").as_bytes());
            }
            // Without a length only the end of the stream ends the input, so this side closes first.
            InputMode::Stream => line.extend_from_slice(b"cat|("),
        }
        // A shell of its own for COMMAND: `exit`, `exec` and a syntax error in it must not skip the end marker.
        match command.user_change {
            Some(change) => line.extend_from_slice(change.outer(false).as_bytes()),
            None => push_login_shell(command, &mut line),
        }
        // An end of file without a half-close, which would leave the TIME_WAIT here.
        if reads == InputMode::Nothing && !has_password {
            line.extend_from_slice(b" </dev/null");
        }
        // Standard error of sudo has its prompt, so only that of the command is discarded.
        if discard_stderr && command.user_change.is_none() {
            line.extend_from_slice(b" 2>/dev/null");
        }
        line.extend_from_slice(b";printf \"");
        line.extend_from_slice(&self.needle);
        line.extend_from_slice(b"%d\\n\" $?");
        // `cat` reads what the command left. A system that closes with unread bytes resets, and drops the marker.
        if reads != InputMode::Nothing || has_password {
            line.extend_from_slice(b";cat >/dev/null)");
        }
        match command.user_change {
            None => push_arguments(command, &mut line),
            Some(change) => {
                let input = ChangedInput::Inherited;
                push_changed(change, command, input, discard_stderr, &mut line);
            }
        }
        line
    }

    /// Returns the command line for a script of mrsh itself, which `/bin/sh` runs and which reads the connection. `script`
    /// must not contain single quotes, backslashes or exclamation marks.
    #[must_use]
    pub fn wrap_script(&self, script: &str, change: Option<&UserChange>) -> Vec<u8> {
        let mut line = b"exec /bin/sh -c '".to_vec();
        match change {
            Some(change) => line.extend_from_slice(change.outer(false).as_bytes()),
            None => line.extend_from_slice(format!("({script})").as_bytes()),
        }
        line.extend_from_slice(b";printf \"");
        line.extend_from_slice(&self.needle);
        line.extend_from_slice(b"%d\\n\" $?' sh");
        if let Some(change) = change {
            push_changed_script(change, script, &mut line);
        }
        line
    }

    /// Maximum length of a command after [`wrap`](EndMarker::wrap), for every marker and every length of the input.
    #[must_use]
    pub fn wrapped_len(command: ShellCommand<'_>, discard_stderr: bool, reads: bool) -> usize {
        let marker = EndMarker::from_bytes([0; TOKEN_LENGTH]);
        // The longest form, since the length of the input is not known yet.
        let reads = if reads {
            InputMode::Bytes(u64::MAX)
        } else {
            InputMode::Nothing
        };
        marker.wrap(command, discard_stderr, reads).len()
    }

    /// Returns token and colon of the marker.
    #[cfg(any(test, fuzzing))]
    #[must_use]
    pub fn needle(&self) -> &[u8] {
        &self.needle
    }

    /// Creates a decoder that finds this marker in one stream.
    #[must_use]
    pub fn decoder(&self) -> MarkerDecoder {
        MarkerDecoder {
            needle: self.needle.clone(),
            unparsed: Vec::new(),
            found: MarkersFound::None,
        }
    }
}

/// Returns the command line for a script of mrsh itself over ssh; see [`EndMarker::wrap_script`].
#[must_use]
pub fn script_command(script: &str, change: Option<&UserChange>) -> Vec<u8> {
    let Some(change) = change else {
        return format!("exec /bin/sh -c '{script}' sh").into_bytes();
    };
    let mut line = format!("exec /bin/sh -c '{}' sh", change.outer(true)).into_bytes();
    push_changed_script(change, script, &mut line);
    line
}

/// Streams of a command over ssh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SshStreams {
    /// True if standard error is in the stream of standard output.
    pub merged: bool,
    /// True if standard error of a command as another user is discarded.
    pub discards_stderr: bool,
    /// True if the command reads the connection.
    pub reads: bool,
    /// True if the command has a terminal.
    pub has_tty: bool,
}

/// Returns the command line for an ssh server. Merged streams are merged at the host: the servers read the two streams of
/// a command separately, so their order is lost.
#[must_use]
pub fn ssh_command(command: ShellCommand<'_>, streams: SshStreams) -> Vec<u8> {
    // A terminal has no end of file, so the command gets one from `/dev/null`.
    let has_null_input = streams.has_tty && !streams.reads;
    let is_plain = command.variables.is_empty() && command.user_change.is_none();
    if is_plain && !streams.merged && !has_null_input {
        return command.text.to_owned();
    }
    let mut line = b"exec /bin/sh -c '".to_vec();
    if let Some(change) = command.user_change {
        line.extend_from_slice(change.outer(true).as_bytes());
    } else {
        push_decoded(command, &mut line);
        // `exec` saves a process: over ssh the exit status needs no end marker.
        line.extend_from_slice(b"exec ");
        push_login_shell(command, &mut line);
        if has_null_input {
            line.extend_from_slice(b" </dev/null");
        }
    }
    if streams.merged {
        line.extend_from_slice(b" 2>&1");
    }
    match command.user_change {
        None => push_arguments(command, &mut line),
        Some(change) => {
            let input = if streams.reads {
                ChangedInput::Inherited
            } else {
                ChangedInput::Signals
            };
            push_changed(change, command, input, streams.discards_stderr, &mut line);
        }
    }
    line
}

/// Appends the end of the outer script, and the command as arguments of it.
fn push_changed(
    change: &UserChange,
    command: ShellCommand<'_>,
    input: ChangedInput,
    discard_stderr: bool,
    line: &mut Vec<u8>,
) {
    let mut inner = change.inner().into_bytes();
    push_decoded(command, &mut inner);
    inner.extend_from_slice(UserChange::prepare_input(input).as_bytes());
    // With `exec`, the program that changes the user sees the end of the command itself, as a status or a signal.
    inner.extend_from_slice(b"exec ");
    push_login_shell(command, &mut inner);
    if discard_stderr {
        inner.extend_from_slice(b" 2>/dev/null");
    }
    if change.is_nested() {
        let mut nested = b"exec /bin/sh -c '".to_vec();
        nested.extend_from_slice(&inner);
        push_arguments(command, &mut nested);
        line.extend_from_slice(b"' sh");
        push_argument(&nested, line);
    } else {
        line.extend_from_slice(b"' sh");
        push_argument(&inner, line);
        push_values(command, line);
    }
}

/// Appends a script of mrsh itself as the argument of an outer script, whose quotes are closed.
fn push_changed_script(change: &UserChange, script: &str, line: &mut Vec<u8>) {
    let inner = format!("{}{script}", change.inner());
    if change.is_nested() {
        push_argument(format!("exec /bin/sh -c '{inner}' sh").as_bytes(), line);
    } else {
        push_argument(inner.as_bytes(), line);
    }
}

/// Appends the part of the script that decodes values in octal.
fn push_decoded(command: ShellCommand<'_>, line: &mut Vec<u8>) {
    for (variable, position) in with_positions(command) {
        if Encoding::of(variable.value()) == Encoding::Octal {
            // The point keeps newlines at the end, which a substitution removes.
            let text = format!("v{position}=$(printf %b. \"${{{position}}}\");");
            line.extend_from_slice(text.as_bytes());
        }
    }
}

/// Appends the start of the login shell with the variables and the command.
fn push_login_shell(command: ShellCommand<'_>, line: &mut Vec<u8>) {
    // env(1) sets the variables, since a shell cannot set all of them (UID), and obeys others (PATH). The shell that
    // reads this line expands SHELL before env replaces it.
    if !command.variables.is_empty() {
        line.extend_from_slice(b"env ");
    }
    for (variable, position) in with_positions(command) {
        let name = variable.name();
        let text = match Encoding::of(variable.value()) {
            _ if variable.is_unknown_user() => format!("{name}=\"${{LOGNAME:-$USER}}\" "),
            Encoding::Quoted if position < 10 => format!("{name}=\"${position}\" "),
            Encoding::Quoted => format!("{name}=\"${{{position}}}\" "),
            Encoding::Octal => format!("{name}=\"${{v{position}%.}}\" "),
        };
        line.extend_from_slice(text.as_bytes());
    }
    line.extend_from_slice(b"\"${SHELL:-/bin/sh}\" -c ");
    line.extend_from_slice(Encoding::of(command.text).argument());
}

/// Returns the variables with the positions of their values among the arguments. The first argument is the command.
fn with_positions(command: ShellCommand<'_>) -> impl Iterator<Item = (&Variable, usize)> {
    command.variables.iter().zip(2..)
}

/// Appends the end of the script and its arguments: the command and the values of the variables.
fn push_arguments(command: ShellCommand<'_>, line: &mut Vec<u8>) {
    line.extend_from_slice(b"' sh");
    push_values(command, line);
}

/// Appends the command and the values of the variables as arguments.
fn push_values(command: ShellCommand<'_>, line: &mut Vec<u8>) {
    push_argument(command.text, line);
    for variable in command.variables {
        push_argument(variable.value(), line);
    }
}

fn push_argument(argument: &[u8], line: &mut Vec<u8>) {
    let encoding = Encoding::of(argument);
    line.extend_from_slice(b" '");
    for &byte in argument {
        encoding.push(byte, line);
    }
    line.push(b'\'');
}

/// Form of an argument in single quotes of an unknown login shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// Plain text in quotes.
    Quoted,
    /// Octal, for `printf %b`.
    Octal,
}

impl Encoding {
    /// Returns the cheapest form that can carry the argument.
    fn of(argument: &[u8]) -> Encoding {
        // csh and tcsh accept no newline in any quotes, and the shells differ in control characters and in bytes that
        // are not ASCII.
        if argument.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            Encoding::Quoted
        } else {
            Encoding::Octal
        }
    }

    /// Returns the expression with which `/bin/sh` restores the command.
    fn argument(self) -> &'static [u8] {
        match self {
            Encoding::Quoted => b"\"$1\"",
            Encoding::Octal => b"\"$(printf %b \"$1\")\"",
        }
    }

    /// Appends one byte of the argument.
    fn push(self, byte: u8, line: &mut Vec<u8>) {
        match (self, byte) {
            // The quotes are interrupted for the three bytes that they do not protect: `'` in all shells, `!` in csh
            // and tcsh, and `\` in fish.
            (Encoding::Quoted, b'\'') => line.extend_from_slice(b"'\"'\"'"),
            (Encoding::Quoted, b'\\' | b'!') => {
                line.extend([b'\'', b'\\', byte, b'\'']);
            }
            (Encoding::Octal, b'\'' | b'\\' | b'!' | 0..=0x1f | 0x7f..) => {
                // `printf %b` takes `\0` and up to three octal digits (POSIX, printf).
                line.extend_from_slice(b"\\0");
                line.extend([byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| b'0' + digit));
            }
            _ => line.push(byte),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MarkersFound {
    None,
    Once(RemoteExit),
    Twice,
}

/// Decoder that separates a stream into output and end marker.
#[derive(Debug)]
pub struct MarkerDecoder {
    needle: Box<[u8]>,
    /// End of the stream so far, while it may be the start of a marker: at most token, colon and three digits.
    unparsed: Vec<u8>,
    found: MarkersFound,
}

/// Classification of the bytes after a token and its colon.
enum MarkerTail {
    /// Rest of a marker, with its length and status.
    Complete(usize, RemoteExit),
    /// The bytes may be the start of a marker.
    Partial,
    /// Output.
    No,
}

const MAX_DIGITS: usize = 3;

impl MarkerDecoder {
    /// Takes the next bytes of the stream and appends the output among them to `out`. Holds back only bytes that may
    /// start a marker.
    pub fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if self.unparsed.is_empty() {
            return self.scan(data, out);
        }
        let mut joined = std::mem::take(&mut self.unparsed);
        joined.extend_from_slice(data);
        self.scan(&joined, out);
    }

    fn scan(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        while let Some(at) = memmem::find(data, &self.needle) {
            let (before, from) = data.split_at(at);
            out.extend_from_slice(before);
            match tail(&from[self.needle.len()..]) {
                MarkerTail::Complete(length, exit) => {
                    // Somebody has forged one of two markers, and nothing shows which.
                    self.found = match self.found {
                        MarkersFound::None => MarkersFound::Once(exit),
                        MarkersFound::Once(_) | MarkersFound::Twice => MarkersFound::Twice,
                    };
                    data = &from[self.needle.len() + length..];
                }
                MarkerTail::Partial => {
                    // The status may be cut by the end of a segment.
                    self.unparsed.extend_from_slice(from);
                    return;
                }
                MarkerTail::No => {
                    let (token, rest) = from.split_at(self.needle.len());
                    out.extend_from_slice(token);
                    data = rest;
                }
            }
        }
        let kept = self.partial_token(data);
        let (output, kept) = data.split_at(data.len() - kept);
        out.extend_from_slice(output);
        self.unparsed.extend_from_slice(kept);
    }

    /// Returns the length of the longest end of `data` that is a start of the token.
    fn partial_token(&self, data: &[u8]) -> usize {
        let window = &data[data.len().saturating_sub(self.needle.len() - 1)..];
        // Output usually ends in a newline, which starts no token, so one search is usually enough.
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

    /// True if a marker has come.
    #[must_use]
    pub fn has_found(&self) -> bool {
        self.found != MarkersFound::None
    }

    /// Ends the stream. Returns the bytes that were held back and are output, and the status of the marker: `None`
    /// without a marker, or with more than one.
    #[must_use]
    pub fn finish(&mut self) -> (Vec<u8>, Option<RemoteExit>) {
        let exit = match self.found {
            MarkersFound::Once(exit) => Some(exit),
            MarkersFound::None | MarkersFound::Twice => None,
        };
        (std::mem::take(&mut self.unparsed), exit)
    }
}

fn tail(bytes: &[u8]) -> MarkerTail {
    let digits = bytes
        .iter()
        .take(MAX_DIGITS + 1)
        .take_while(|b| b.is_ascii_digit())
        .count();
    match bytes.get(digits) {
        _ if digits > MAX_DIGITS => MarkerTail::No,
        None => MarkerTail::Partial,
        Some(b'\n') if digits > 0 => {
            let number = bytes[..digits]
                .iter()
                .fold(0, |n, d| n * 10 + u16::from(d - b'0'));
            MarkerTail::Complete(digits + 1, exit(number))
        }
        Some(_) => MarkerTail::No,
    }
}

/// Converts a shell's `$?`.
fn exit(number: u16) -> RemoteExit {
    match u8::try_from(number) {
        Ok(code) => RemoteExit::Code(code),
        // ksh93 reports 256 + signal. Other shells report 128 + signal, which stays a status.
        Err(_) => RemoteExit::Signaled((number & 0xff) as u8),
    }
}

#[cfg(test)]
mod tests;
