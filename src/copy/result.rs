//! The result of a copy to one target, and its words.

use super::host::EntryState;
use super::snapshot::{Entry, EntryKind};
use crate::error_text::printable;
use crate::event::Copied;

/// Maximum length of a message of the target in an error, in bytes.
const MAX_MESSAGE: usize = 400;

/// The result of a copy to one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyResult {
    /// True if the script has answered.
    pub answered: bool,
    /// True if everything is in its place, or has been compared.
    pub done: bool,
    /// The facts for reports: what was changed, or would be.
    pub copied: Copied,
    /// The reason why the copy failed.
    pub error: Option<String>,
    /// True if the target was only compared.
    pub check: bool,
    /// True if something of the destination may have changed already.
    pub partly: bool,
    /// The cause without what is different for each target, if there is such a part.
    pub common: Option<String>,
    /// Text for the standard error of the target, with its newline.
    pub note: Option<String>,
    /// Directory that may be left at the target.
    pub left: Option<String>,
    /// True if nothing has answered that speaks the language of the dialogue, and little else came.
    pub has_no_answer: bool,
}

impl CopyResult {
    /// Counts what is sent, from the states of all entries.
    pub(super) fn count(&mut self, entries: &[std::sync::Arc<Entry>], states: &[EntryState]) {
        self.copied.changed |= states.iter().any(|state| *state != EntryState::Same);
        for (entry, state) in entries.iter().zip(states) {
            if let EntryKind::File(content) = &entry.kind
                && state.is_sent()
            {
                self.copied.files += 1;
                self.copied.bytes += content.length;
            }
        }
    }

    /// Returns the line about a target that was only compared.
    #[must_use]
    pub fn check_text(&self) -> Option<String> {
        if !self.check || !self.done {
            return None;
        }
        let Copied { files, bytes, .. } = self.copied;
        Some(match (self.copied.changed, files) {
            (false, _) => "unchanged\n".to_owned(),
            (true, 0) => "would change: modes, times, links or directories\n".to_owned(),
            (true, 1) => format!("would change: 1 file, {bytes} bytes\n"),
            (true, files) => format!("would change: {files} files, {bytes} bytes\n"),
        })
    }

    /// Returns the error in words.
    #[must_use]
    pub fn message(&self) -> String {
        format!("{}{}", self.cause(), self.remains())
    }

    /// Returns the cause of the error alone.
    #[must_use]
    pub fn cause(&self) -> &str {
        let error = self.error.as_deref();
        error.unwrap_or("the copy ended before it was done")
    }

    /// Returns the part of the message that is the same for all targets, if it is not the whole.
    #[must_use]
    pub fn common(&self) -> Option<String> {
        match &self.common {
            Some(common) => Some(common.clone()),
            // The name of the directory is different on every target of every run.
            None => self.left.is_some().then(|| self.cause().to_owned()),
        }
    }

    /// Returns what the copy may have left at the target, to be appended to an error.
    #[must_use]
    pub fn remains(&self) -> String {
        let mut text = String::new();
        if self.partly {
            text.push_str("; some files may have been replaced");
        }
        if let Some(left) = &self.left {
            text.push_str(&left_text(left));
        }
        text
    }
}

/// Returns words about a directory that may be left, to be appended to an error.
pub(super) fn left_text(left: &str) -> String {
    format!("; this directory may be left: {left}")
}

/// Returns a message of the target as one printable line of bounded length.
pub(super) fn message(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut line: String = printable(text.trim()).chars().take(MAX_MESSAGE).collect();
    if line.is_empty() {
        line.push_str("no message");
    }
    line
}
