//! Repeated connections within one attempt: a server that has too many connections now has not failed.

use std::time::Duration;

use ssh_files::KeyType;
use tokio::time::sleep;

use super::connect::{ConnectFailure, LoginProgress};
use crate::transport::{AttemptError, Backoff, Budget, TransportError};

/// Pauses before further connections to a server that has too many.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(2),
};

/// Failed connections to one host so far.
#[derive(Debug, Default)]
pub(super) struct ConnectRetries {
    turned_away: u32,
    text: Option<String>,
    /// Types of host keys to ask for first, after the server showed one of an unknown type.
    pub(super) ask_for: Option<Vec<KeyType>>,
}

impl ConnectRetries {
    /// Records a failure. Pauses if the connection may be repeated, else returns the error.
    pub(super) async fn after_failure(
        &mut self,
        failure: ConnectFailure,
        budget: &mut Budget,
    ) -> Result<(), AttemptError> {
        match failure {
            ConnectFailure::Failed(error) => Err(AttemptError::Failed(error)),
            ConnectFailure::AskFor(types) => {
                self.ask_for = Some(types);
                Ok(())
            }
            ConnectFailure::TurnedAway(text) => {
                self.turned_away += 1;
                // The last text of the server, also if it gave none this time.
                self.text = text.or(self.text.take());
                let pause = BACKOFF.pause(self.turned_away, &mut fastrand::Rng::new());
                match budget.spend(sleep(pause)).await {
                    Some(()) => Ok(()),
                    None => Err(AttemptError::Failed(self.busy())),
                }
            }
        }
    }

    /// Records a failed connection: a reset counts as a server with too many connections.
    pub(super) async fn after_connect_failure(
        &mut self,
        error: TransportError,
        budget: &mut Budget,
    ) -> Result<(), AttemptError> {
        match error {
            TransportError::Reset { .. } => {
                self.after_failure(ConnectFailure::TurnedAway(None), budget)
                    .await
            }
            // The time ran out because the server was busy before.
            TransportError::ConnectTimeout { .. } if self.turned_away > 0 => {
                Err(AttemptError::Failed(self.busy()))
            }
            error => Err(AttemptError::Failed(error)),
        }
    }

    /// Returns the error for a host that timed out.
    pub(super) fn out_of_time(
        &self,
        progress: &LoginProgress<'_>,
        budget: &Budget,
    ) -> AttemptError {
        AttemptError::Failed(match self.turned_away {
            0 => progress
                .protocol_error()
                .unwrap_or_else(|| budget.exhausted(progress.phase)),
            _ => self.busy(),
        })
    }

    fn busy(&self) -> TransportError {
        TransportError::Busy {
            attempts: self.turned_away,
            text: self.text.clone(),
        }
    }
}
