//! Answers of a daemon that did not accept a command.

use std::time::Duration;

use super::wire::{self, RefusalText};
use crate::event::Phase;
use crate::transport::TransportError;
use crate::transport::stream::TcpConnection;

/// Maximum time to read the rest of a refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads the rest of a refusal, up to a maximum size and time.
pub(super) async fn refusal(mut main: TcpConnection, first: &[u8]) -> TransportError {
    let mut text = RefusalText::default();
    text.push(first);
    let rest = async {
        while !text.is_complete() && main.is_open() {
            // A reset may follow the text: a daemon that refuses has often not read the whole request.
            if main.readable().await.is_err() || main.read(|bytes| text.push(bytes)).is_err() {
                break;
            }
        }
    };
    // A timeout is no error: the text read so far is used.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, rest).await;
    let text = text.into_line();
    TransportError::Denied {
        is_temporary: wire::is_temporary(&text),
        text,
    }
}

/// Returns the error for an answer that no rshd sends.
pub(super) fn protocol_error(first: u8, rest: &[u8]) -> TransportError {
    let mut text = RefusalText::default();
    text.push(&[first]);
    text.push(rest);
    TransportError::Protocol {
        phase: Phase::Start,
        expected: "a remote shell daemon",
        text: text.into_line(),
    }
}
