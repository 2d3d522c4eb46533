//! The request that can start a command, and the line in the journal that comes before it.

use super::{Excused, TransportError};
use crate::journal::Journal;
use crate::targets::TargetId;

/// The request for the command of one target.
///
/// Every transport calls [`allow`](StartRequest::allow) directly before it sends the first byte of the request, or
/// starts the local process. So a command cannot start without its line in the journal.
#[derive(Debug, Default)]
pub struct StartRequest {
    sent: bool,
    record: Option<StartRecord>,
}

/// The line of a target in the journal.
#[derive(Debug)]
struct StartRecord {
    journal: Journal,
    target: TargetId,
    /// The time for the disk is not charged to the target.
    excused: Excused,
}

impl StartRequest {
    /// Returns a request that the journal must know before it is sent.
    #[must_use]
    pub fn recorded(journal: Journal, target: TargetId, excused: Excused) -> StartRequest {
        StartRequest {
            sent: false,
            record: Some(StartRecord {
                journal,
                target,
                excused,
            }),
        }
    }

    /// Returns when the request may be sent, and counts it as sent.
    ///
    /// # Errors
    /// The journal cannot be written. The request must not be sent.
    pub async fn allow(&mut self) -> Result<(), TransportError> {
        if let Some(record) = &self.record {
            // Boxed: the future is part of every host task, and most runs have no journal.
            let recorded = Box::pin(record.journal.record_start(record.target));
            let recorded = record.excused.wait(recorded).await;
            recorded.map_err(|_| TransportError::NotRecorded)?;
        }
        self.sent = true;
        Ok(())
    }

    /// True if the request may have been sent. Also correct if the future of the attempt is dropped.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.sent
    }

    /// Forgets the request of an earlier attempt, whose command provably did not start.
    pub fn reset(&mut self) {
        self.sent = false;
    }
}
