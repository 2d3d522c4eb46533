//! Standard input on its way to one command, beside the command's output.

use std::io;
use std::sync::Arc;

use crate::transport::InputReader;
use crate::transport::input::InputError;
use crate::transport::stream::Connection;

/// What is sent to the end although the command has ended, since the `head` that counts it waits for it.
/// If more is left the connection is half-closed instead: that takes a port for a minute, and this much
/// to a thousand hosts takes a network for ten seconds.
const LEFTOVER: u64 = 1 << 20;

/// The input of one command, while there is any to send.
#[derive(Debug)]
pub(super) struct Feed {
    reader: InputReader,
    /// The far side knows how many bytes will come.
    counted: bool,
}

/// What became of sending.
#[derive(Debug)]
pub(super) enum Fed {
    /// Some was sent.
    Some,
    /// All was sent that there is.
    All,
    /// The other side takes no more.
    Broken,
    /// The rest cannot be had.
    Failed(Arc<InputError>),
}

impl Feed {
    pub(super) fn new(reader: InputReader, counted: bool) -> Self {
        Feed { reader, counted }
    }

    /// Whether the end of the input has to be shown by closing.
    pub(super) fn ends_by_close(&self) -> bool {
        !self.counted
    }

    /// Whether it is better to close than to send what is left to a command that has ended.
    pub(super) fn is_much(&self) -> bool {
        !self.counted || self.reader.left().is_none_or(|left| left > LEFTOVER)
    }

    /// Waits for room and for input, and sends some. Cancel safe.
    async fn send(&mut self, main: &Connection) -> Fed {
        // A connection that can be written to first: what waits for room is not held in memory.
        if main.writable().await.is_err() {
            return Fed::Broken;
        }
        let bytes = match self.reader.peek().await {
            Ok(bytes) if bytes.is_empty() => return Fed::All,
            Ok(bytes) => bytes,
            Err(error) => return Fed::Failed(error),
        };
        match main.write(&bytes) {
            Ok(n) => {
                self.reader.advance(n);
                if self.counted && self.reader.left() == Some(0) {
                    Fed::All
                } else {
                    Fed::Some
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Fed::Some,
            Err(_) => Fed::Broken,
        }
    }
}

/// Sends some of what there is to send; never returns if that is nothing. Cancel safe.
pub(super) async fn send(feed: &mut Option<Feed>, main: &Connection) -> Fed {
    match feed {
        Some(feed) => feed.send(main).await,
        None => std::future::pending().await,
    }
}
