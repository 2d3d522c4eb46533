//! The dialogue with the program that changes the user, as a state machine without I/O.

use memchr::{memmem, memrchr};

use super::UserChange;

/// Maximum amount of output before the start of a command: what start-up files of shells and sudo's lecture print.
pub(super) const MAX_EARLY: usize = 64 * 1024;

/// State of the dialogue. It depends on the bytes so far, and not on how they were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeState {
    /// Neither token has come.
    Waiting,
    /// The program asks for the password.
    Asked,
    /// The program asks again: the first password was wrong, or the host forges prompts.
    AskedAgain,
    /// The command has started.
    Started,
    /// There was more output than a program prints before it starts a command.
    TooMuch,
}

/// The output of a program that changes the user, up to the start of the command.
#[derive(Debug)]
pub(super) struct ChangeDialogue {
    prompt: Box<[u8]>,
    start: Box<[u8]>,
    output: Vec<u8>,
    /// Number of bytes in which no further token begins.
    scanned: usize,
    prompts: u32,
    /// Position after the start token.
    started: Option<usize>,
}

impl ChangeDialogue {
    pub(super) fn new(change: &UserChange) -> ChangeDialogue {
        ChangeDialogue {
            prompt: change.prompt.0.as_bytes().into(),
            start: change.start.0.as_bytes().into(),
            output: Vec::new(),
            scanned: 0,
            prompts: 0,
            started: None,
        }
    }

    /// Takes the next bytes of the stream to which the program writes its prompt.
    pub(super) fn feed(&mut self, data: &[u8]) {
        self.output.extend_from_slice(data);
        while self.started.is_none() {
            // Searched bytes are skipped. Else a host that sends small packets would cost quadratic time.
            let rest = &self.output[self.scanned..];
            let prompt = memmem::find(rest, &self.prompt);
            let start = memmem::find(rest, &self.start);
            match (prompt, start) {
                (Some(at), None) => self.count_prompt(at),
                (Some(at), Some(start)) if at < start => self.count_prompt(at),
                (_, Some(at)) => self.started = Some(self.scanned + at + self.start.len()),
                (None, None) => {
                    // A token may be cut by the end of the data.
                    let longest = self.prompt.len().max(self.start.len()) - 1;
                    let end = self.output.len().saturating_sub(longest);
                    self.scanned = self.scanned.max(end);
                    return;
                }
            }
        }
    }

    fn count_prompt(&mut self, at: usize) {
        self.prompts += 1;
        self.scanned += at + self.prompt.len();
    }

    /// Returns the state after the bytes so far.
    pub(super) fn state(&self) -> ChangeState {
        let early = self.started.unwrap_or(self.output.len());
        match (self.started, self.prompts) {
            // A hostile host must not fill the memory of this machine before the start.
            _ if early > MAX_EARLY => ChangeState::TooMuch,
            // mrsh answers one prompt only. A start token after a second prompt cannot be genuine.
            (_, 2..) => ChangeState::AskedAgain,
            (Some(_), _) => ChangeState::Started,
            (None, 0) => ChangeState::Waiting,
            (None, 1) => ChangeState::Asked,
        }
    }

    /// Returns all bytes so far, prompts included.
    pub(super) fn text(&self) -> &[u8] {
        &self.output
    }

    /// Returns the output without the prompts and the start token.
    pub(super) fn into_output(self) -> Vec<u8> {
        let end = self.started.unwrap_or(self.output.len());
        let before = end - self.started.map_or(0, |_| self.start.len());
        let mut output = without_prompts(&self.output[..before], &self.prompt);
        output.extend_from_slice(&self.output[end..]);
        output
    }
}

/// Removes the prompts. sudo-rs prints its own text in brackets around the token; then the rest of the line is removed
/// too.
fn without_prompts(mut text: &[u8], prompt: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len());
    while let Some(at) = memmem::find(text, prompt) {
        let line = memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
        let mut after = at + prompt.len();
        if text[line..].starts_with(b"[") {
            let rest = memchr::memchr(b'\n', &text[after..]);
            after = rest.map_or(text.len(), |newline| after + newline + 1);
            output.extend_from_slice(&text[..line]);
        } else {
            output.extend_from_slice(&text[..at]);
            // On a terminal, sudo ends the line that the user has typed without echo.
            let rest = &text[after..];
            let newline = [&b"\n"[..], b"\r\n"]
                .into_iter()
                .find(|end| rest.starts_with(end));
            after += newline.map_or(0, <[u8]>::len);
        }
        text = &text[after..];
    }
    output.extend_from_slice(text);
    output
}
