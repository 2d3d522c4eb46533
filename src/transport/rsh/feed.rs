//! Standard input that is sent to one command while its output is read.

use std::io;
use std::sync::Arc;

use crate::transport::InputReader;
use crate::transport::input::InputError;
use crate::transport::stream::Connection;

/// Maximum length of input that is sent to a command after its end.
// The `head` that counts the input waits for the rest. A longer rest is not sent: the connection is half-closed, which
// keeps the port in TIME_WAIT for a minute. This length times a thousand hosts takes a network ten seconds.
const MAX_LEFTOVER: u64 = 1 << 20;

/// Input of one command, until it has ended.
#[derive(Debug)]
pub(super) struct InputFeed {
    reader: InputReader,
    /// True if the wrapper knows how many bytes will come.
    counted: bool,
}

/// Result of one write of input.
#[derive(Debug)]
pub(super) enum SendOutcome {
    /// A part was sent.
    Some,
    /// All input is sent.
    All,
    /// The connection takes no more input.
    Broken,
    /// The input cannot be read.
    Failed(Arc<InputError>),
}

impl InputFeed {
    pub(super) fn new(reader: InputReader, counted: bool) -> Self {
        InputFeed { reader, counted }
    }

    /// True if the end of the input is shown by a half-close.
    pub(super) fn ends_by_close(&self) -> bool {
        !self.counted
    }

    /// True if the input that is left is too long to send it to a command that has ended. The connection is then
    /// half-closed instead.
    pub(super) fn has_large_rest(&self) -> bool {
        // A dialogue has nothing to send that its command does not read.
        !self.counted && !self.reader.is_dialogue()
            || self.counted && self.reader.left().is_none_or(|left| left > MAX_LEFTOVER)
    }

    /// Waits until the connection takes bytes and there is input, and sends a part. Cancel safe.
    async fn send(&mut self, main: &Connection) -> SendOutcome {
        // The connection is awaited first, so that no input is held in memory for a slow host.
        if main.writable().await.is_err() {
            return SendOutcome::Broken;
        }
        let bytes = match self.reader.peek().await {
            Ok(bytes) if bytes.is_empty() => return SendOutcome::All,
            Ok(bytes) => bytes,
            Err(error) => return SendOutcome::Failed(error),
        };
        match main.write(&bytes) {
            Ok(n) => {
                self.reader.advance(n);
                // `head` ends by itself after the last byte, so nothing more is sent.
                if self.counted && self.reader.left() == Some(0) {
                    SendOutcome::All
                } else {
                    SendOutcome::Some
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => SendOutcome::Some,
            // A daemon that resets may have sent output before, which is still read. So this is no failure yet.
            Err(_) => SendOutcome::Broken,
        }
    }
}

/// Sends a part of the input; never returns if there is none. Cancel safe.
pub(super) async fn send(feed: &mut Option<InputFeed>, main: &Connection) -> SendOutcome {
    match feed {
        Some(feed) => feed.send(main).await,
        None => std::future::pending().await,
    }
}
