//! The parts of a dialogue with a shell that do not depend on its purpose: what is to be sent, replies as lines, and the
//! first line of the script.

use std::sync::Arc;

use super::blocks::Checksum;
pub(super) use super::queue::Next;
use super::queue::SendQueue;
use super::result::{CopyResult, message};
use super::snapshot::Segment;

/// Maximum length of a line of a reply, in bytes. The longest honest one is a message of a program over there.
const MAX_LINE: usize = 16 * 1024;

/// Maximum amount of output before the script answers: what start-up files of shells print.
const MAX_NOISE: usize = 64 * 1024;

/// Maximum length of a text that refuses a command, in bytes.
const MAX_REFUSAL: usize = 400;

/// The programs that a target has.
#[derive(Clone, Copy, Debug)]
pub(super) struct FarPrograms {
    pub(super) checksum: Checksum,
    /// True if the target can tell the times of files.
    pub(super) has_times: bool,
    pub(super) has_tar: bool,
    /// True if the attributes of files include a comparison of the owner.
    pub(super) compares_owner: bool,
}

/// The reason why there is no line of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Answer to one line before the dialogue has begun.
#[derive(Debug)]
pub(super) enum Hello {
    /// The first line of the script.
    Programs(FarPrograms),
    /// A line that start-up files of the login shell have printed.
    Noise,
    /// More than start-up files print.
    TooMuchNoise,
    /// The first line of the script, with a word that the script never prints.
    Unexpected,
}

/// The data that is still to be sent to a target's shell, and the start of its next reply.
#[derive(Debug)]
pub(super) struct ShellChannel {
    queue: SendQueue,
    /// Start of a line of a reply.
    line: Vec<u8>,
    noise: usize,
    /// First line that is none of the script.
    first: Vec<u8>,
}

impl ShellChannel {
    /// Returns a channel that begins with the script.
    pub(super) fn new(script: &Arc<[u8]>) -> ShellChannel {
        let mut queue = SendQueue::default();
        queue.push(Segment::Bytes(Arc::clone(script).into()));
        ShellChannel {
            queue,
            line: Vec::new(),
            noise: 0,
            first: Vec::new(),
        }
    }

    /// Returns what is to be sent next.
    pub(super) fn next(&self) -> Next {
        self.queue.next()
    }

    /// Removes the first `n` bytes of what is to be sent. Returns how many of them are of a file.
    pub(super) fn advance(&mut self, n: u64) -> u64 {
        self.queue.advance(n)
    }

    /// Appends a block of code.
    pub(super) fn send_block(&mut self, block: Vec<u8>) {
        // The script reads exactly this many bytes, so it never takes a byte of what follows.
        let mut sent = format!("{}\n", block.len()).into_bytes();
        sent.extend(block);
        self.queue.push(Segment::Bytes(sent.into()));
    }

    /// Appends data. An empty segment would be the end of the input.
    pub(super) fn send(&mut self, segments: impl IntoIterator<Item = Segment>) {
        segments
            .into_iter()
            .for_each(|segment| self.queue.push(segment));
    }

    /// Sends nothing more. The far side waits for the end of its input.
    pub(super) fn end(&mut self) {
        self.queue.end_now();
    }

    /// Completes the result of a dialogue that ended before the script answered.
    pub(super) fn without_answer(&self, mut result: CopyResult) -> CopyResult {
        result.has_no_answer = self.is_refusal();
        if !result.done
            && result.error.is_none()
            && let Some(noise) = self.silence()
        {
            let noise = message(noise);
            result.error = Some(format!("no POSIX shell answered: {noise}"));
        }
        result
    }

    /// Takes bytes up to the end of a line from `data`. Returns the line when it is complete.
    pub(super) fn take_line(&mut self, data: &mut &[u8]) -> Result<Option<Vec<u8>>, TooLong> {
        let (part, is_complete) = match memchr::memchr(b'\n', data) {
            Some(end) => {
                let part = &data[..end];
                *data = &data[end + 1..];
                (part, true)
            }
            None => (std::mem::take(data), false),
        };
        if self.line.len() + part.len() > MAX_LINE {
            self.noise += self.line.len() + part.len();
            self.line.clear();
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(is_complete.then(|| std::mem::take(&mut self.line)))
    }

    /// Reads a line before the dialogue has begun.
    pub(super) fn hello(&mut self, line: &[u8], nonce: &str) -> Hello {
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [hello, checksum, attributes, archiver] = words.as_slice() else {
            return self.foreign(line);
        };
        if hello.strip_prefix(b"mrsh-") != Some(nonce.as_bytes()) {
            return self.foreign(line);
        }
        // The nonce is right, so this is the script, and it prints one of four names.
        let Some(checksum) = Checksum::of_program(checksum) else {
            return Hello::Unexpected;
        };
        Hello::Programs(FarPrograms {
            checksum,
            has_times: *attributes == b"stat",
            has_tar: *archiver == b"tar",
            compares_owner: false,
        })
    }

    fn foreign(&mut self, line: &[u8]) -> Hello {
        if self.first.is_empty() {
            self.first = line.to_vec();
        }
        self.noise(line.len())
    }

    /// Counts bytes that are no line of the script.
    pub(super) fn noise(&mut self, length: usize) -> Hello {
        self.noise += length + 1;
        if self.noise > MAX_NOISE {
            Hello::TooMuchNoise
        } else {
            Hello::Noise
        }
    }

    /// True if no more has come than a refusal: sshd itself prints a line if a host allows only SFTP.
    fn is_refusal(&self) -> bool {
        self.noise + self.line.len() <= MAX_REFUSAL
    }

    /// Returns the start of what a host printed that never answered, if it printed anything.
    fn silence(&self) -> Option<&[u8]> {
        let first = if self.first.is_empty() {
            &self.line
        } else {
            &self.first
        };
        (self.noise > 0 || !self.line.is_empty()).then_some(first)
    }
}
