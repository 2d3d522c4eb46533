//! The command as it is sent: wrapped so that it reads end of file, is interpreted by the user's own
//! login shell, and reports its exit status, which rsh does not carry. No I/O.
//!
//! The login shell, whatever it is, sees one `exec /bin/sh -c '…' sh '…'` without a byte that any of
//! dash, bash, zsh, ksh, csh, tcsh and fish treats specially inside single quotes. `/bin/sh` decodes
//! the command, hands it to the login shell with its input from `/dev/null`, and prints the end marker:
//! a token made for the run, a colon, the status, a newline.
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

use crate::transport::RemoteExit;

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
        let mut line = b"exec /bin/sh -c 'c=$(printf %b \"$1\");".to_vec();
        match reads {
            Reads::Nothing => {}
            Reads::Bytes(n) => {
                line.extend_from_slice(format!("head -c1 </dev/null&&head -c{n}|(").as_bytes());
            }
            Reads::Stream => line.extend_from_slice(b"cat|("),
        }
        line.extend_from_slice(b"\"${SHELL:-/bin/sh}\" -c \"$c\"");
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
            encode(byte, &mut line);
        }
        line.push(b'\'');
        line
    }

    /// How long [`wrap`](EndMarker::wrap) makes a command at most, whatever the marker, and whatever there
    /// is to read if it reads.
    #[must_use]
    pub fn wrapped_len(command: &[u8], discard_stderr: bool, reads: bool) -> usize {
        let marker = EndMarker::from_bytes([0; TOKEN_LENGTH]);
        let reads = match reads {
            true => Reads::Bytes(u64::MAX),
            false => Reads::Nothing,
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

/// One byte of the command for `printf %b` inside single quotes of an unknown shell. csh and tcsh
/// expand `!` and reject newlines there, fish folds backslashes; octal avoids all three.
fn encode(byte: u8, line: &mut Vec<u8>) {
    match byte {
        b'\'' | b'\\' | b'!' | 0..=0x1f | 0x7f.. => {
            line.extend_from_slice(b"\\0");
            line.extend([byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| b'0' + digit));
        }
        _ => line.push(byte),
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn marker() -> EndMarker {
        EndMarker::from_bytes(*b"aabaabaabaabc")
    }

    fn text(exit: &str) -> Vec<u8> {
        [&marker().needle, exit.as_bytes(), b"\n"].concat()
    }

    /// Feeds `stream` in pieces of the given sizes, in turn.
    fn decode(stream: &[u8], sizes: &[usize]) -> (Vec<u8>, Option<RemoteExit>) {
        let mut decoder = marker().decoder();
        let mut out = Vec::new();
        let mut rest = stream;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, next) = rest.split_at((*size).clamp(1, rest.len()));
            decoder.feed(piece, &mut out);
            rest = next;
        }
        let (held, exit) = decoder.finish();
        out.extend(held);
        (out, exit)
    }

    #[test]
    fn output_is_exact_with_and_without_a_last_newline() {
        for output in ["", "x", "x\n", "x\n\n", "aab", "aabaab\naabaabaabaab"] {
            let stream = [output.as_bytes(), &text("3")].concat();
            let (out, exit) = decode(&stream, &[stream.len()]);
            assert_eq!(out, output.as_bytes());
            assert_eq!(exit, Some(RemoteExit::Code(3)));
        }
    }

    #[test]
    fn a_line_is_passed_on_at_once() {
        let mut out = Vec::new();
        marker().decoder().feed(b"step 1 of 9\n", &mut out);
        assert_eq!(out, b"step 1 of 9\n");
    }

    #[test]
    fn late_output_follows_and_a_second_marker_spoils_both() {
        let late = [b"a\n".as_slice(), &text("1"), b"late\n"].concat();
        assert_eq!(
            decode(&late, &[1]),
            (b"a\nlate\n".to_vec(), Some(RemoteExit::Code(1)))
        );
        let forged = [text("0"), text("1")].concat();
        assert_eq!(decode(&forged, &[2]).1, None);
    }

    #[test]
    fn what_only_looks_like_a_marker_is_output() {
        // As `ps` shows the wrapper itself, and other things that are none.
        for tail in ["%d\\n\" $?", "1234\n", "12", "\n", "x"] {
            let stream = [&marker().needle, tail.as_bytes()].concat();
            assert_eq!(decode(&stream, &[5]), (stream.clone(), None), "{tail:?}");
        }
    }

    #[test]
    fn statuses_are_what_shells_say() {
        assert_eq!(decode(&text("137"), &[9]).1, Some(RemoteExit::Code(137)));
        assert_eq!(decode(&text("265"), &[9]).1, Some(RemoteExit::Signaled(9)));
        assert_eq!(decode(&text("0"), &[9]).1, Some(RemoteExit::Code(0)));
    }

    #[test]
    fn the_wrapper_leaves_most_of_the_shortest_limit_to_the_command() {
        for (reads, most) in [
            (Reads::Nothing, 120),
            (Reads::Stream, 130),
            (Reads::Bytes(1 << 40), 165),
        ] {
            let line = marker().wrap(b"", false, reads);
            assert!(
                line.len() < most,
                "{} bytes of rsh-redone's 1023",
                line.len()
            );
            assert!(!line.contains(&b'!') && !line.contains(&b'\n'));
        }
    }

    #[test]
    fn the_longest_command_is_as_long_as_the_system_takes() {
        let padded = |length: usize| {
            let empty = EndMarker::wrapped_len(b"exit 7 #", false, false);
            let mut command = b"exit 7 #".to_vec();
            command.resize(command.len() + length - empty, b'x');
            assert_eq!(marker().wrap(&command, false, Reads::Nothing).len(), length);
            command
        };
        let (_, _, exit) = run("/bin/sh", &padded(MAX_COMMAND), false);
        assert_eq!(exit, Some(RemoteExit::Code(7)));
        use std::os::unix::ffi::OsStringExt;
        let line = marker().wrap(&padded(MAX_COMMAND + 1), false, Reads::Nothing);
        let refused = Command::new("/bin/sh")
            .arg("-c")
            .arg(std::ffi::OsString::from_vec(line))
            .output();
        assert_eq!(
            refused.unwrap_err().kind(),
            io::ErrorKind::ArgumentListTooLong
        );
    }

    /// Runs the wrapped command as rshd would.
    fn run(shell: &str, command: &[u8], discard: bool) -> (Vec<u8>, Vec<u8>, Option<RemoteExit>) {
        use std::os::unix::ffi::OsStringExt;
        let line = std::ffi::OsString::from_vec(marker().wrap(command, discard, Reads::Nothing));
        let done = Command::new(shell)
            .arg("-c")
            .arg(line)
            .env_clear()
            .env("SHELL", shell)
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let (out, exit) = decode(&done.stdout, &[7, 1]);
        (out, done.stderr, exit)
    }

    /// Runs the wrapped command as rshd would, with `input` on a connection that stays open unless
    /// `reads` says that its end is to be seen. Gives the output and the status.
    fn fed(
        shell: &str,
        command: &str,
        input: &[u8],
        reads: Reads,
        path: &str,
    ) -> (Vec<u8>, Option<RemoteExit>) {
        use std::io::{Read, Write};
        use std::net::Shutdown;
        use std::os::fd::OwnedFd;
        use std::os::unix::ffi::OsStringExt;
        use std::os::unix::net::UnixStream;
        let line = std::ffi::OsString::from_vec(marker().wrap(command.as_bytes(), false, reads));
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut child = Command::new(shell)
            .arg("-c")
            .arg(line)
            .env_clear()
            .env("SHELL", shell)
            .env("PATH", path)
            .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
            .stdout(OwnedFd::from(theirs))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut out = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // It fails where nobody reads any more, which is what the command wanted.
                let _ = (&ours).write_all(input);
                if reads == Reads::Stream {
                    let _ = ours.shutdown(Shutdown::Write);
                }
            });
            let read = (&ours).read_to_end(&mut out);
            assert!(read.is_ok(), "not reset with unread bytes: {read:?}");
        });
        child.wait().unwrap();
        let (output, exit) = decode(&out, &[1000]);
        (output, exit)
    }

    #[test]
    fn a_command_reads_what_was_counted_and_not_more() {
        let all: Vec<u8> = (0..300_000_u32).map(|i| (i % 256) as u8).collect();
        let code = |n| Some(RemoteExit::Code(n));
        for shell in ["/bin/sh", "/bin/bash"] {
            for reads in [Reads::Bytes(all.len() as u64), Reads::Stream] {
                let run = |command| fed(shell, command, &all, reads, "/usr/bin:/bin");
                assert!(run("cat") == (all.clone(), code(0)), "{reads:?}");
                // What reads less, or nothing, ends as it would, and what it leaves is read away.
                assert_eq!(run("head -c 3; exit 3"), (vec![0, 1, 2], code(3)));
                assert_eq!(run("true"), (vec![], code(0)));
                assert_eq!(run("exec false"), (vec![], code(1)));
                assert_eq!(run("kill -9 $$").1, code(137));
                assert_eq!(run("exec <&-; echo x; exit 4"), (b"x\n".to_vec(), code(4)));
                assert_eq!(run("wc -c < /dev/stdin").1, code(0));
            }
            let few = fed(
                shell,
                "cat; exit 2",
                b"abcd",
                Reads::Bytes(4),
                "/usr/bin:/bin",
            );
            assert_eq!(few, (b"abcd".to_vec(), code(2)));
        }
    }

    #[test]
    fn a_head_that_cannot_count_is_no_success() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let head = directory.path().join("head");
        std::fs::write(
            &head,
            "#!/bin/sh\necho usage: head [-n number] >&2; exit 2\n",
        )
        .unwrap();
        std::fs::set_permissions(&head, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", directory.path().display());
        let (out, exit) = fed("/bin/sh", "echo ran", b"", Reads::Bytes(4), &path);
        assert_eq!((out, exit), (vec![], None));
    }

    #[test]
    fn real_shells_run_it_and_report() {
        let code = |n| Some(RemoteExit::Code(n));
        for shell in ["/bin/sh", "/bin/bash"] {
            let ok = |command: &str| run(shell, command.as_bytes(), false);
            assert_eq!(ok("echo hi"), (b"hi\n".to_vec(), vec![], code(0)));
            assert_eq!(ok("exit 3").2, code(3));
            assert_eq!(ok("kill -9 $$").2, code(137));
            assert_eq!(ok("cat"), (vec![], vec![], code(0)));
            assert_eq!(ok("printf 'a b\\n!%s' \"it's\" # note").0, b"a b\n!it's");
            assert_eq!(ok("echo $0 >&2").2, code(0));
            assert_eq!(
                run(shell, b"echo gone >&2; false", true),
                (vec![], vec![], code(1))
            );
            assert_eq!(
                run(shell, b"printf '\xff\xc3\xa9'", false).0,
                b"\xff\xc3\xa9"
            );
        }
    }

    proptest! {
        #[test]
        fn any_cut_of_any_stream_decodes_alike(
            output in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b':'), Just(b'\n'), any::<u8>()], 0..80),
            late in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'0')], 0..20),
            sizes in prop::collection::vec(1..20_usize, 1..10),
        ) {
            let stream = [output.clone(), text("42"), late.clone()].concat();
            let (out, exit) = decode(&stream, &sizes);
            prop_assert_eq!(out, [output, late].concat());
            prop_assert_eq!(exit, Some(RemoteExit::Code(42)));
        }

        #[test]
        fn nothing_is_lost_and_little_is_held(stream in any::<Vec<u8>>(), sizes in prop::collection::vec(1..9_usize, 1..4)) {
            prop_assert_eq!(decode(&stream, &sizes), (stream, None));
        }

        #[test]
        fn every_byte_of_a_command_arrives(command in prop::collection::vec(1..=255_u8, 0..40)) {
            // Through /bin/sh's printf, as `$1` of a command that prints it back.
            let quoted: Vec<u8> = command.iter().flat_map(|&b| match b {
                b'\'' => b"'\\''".to_vec(),
                b => vec![b],
            }).collect();
            let echo = [b"printf %s '".as_slice(), &quoted, b"'"].concat();
            prop_assert_eq!(run("/bin/sh", &echo, false).0, command);
        }
    }
}
