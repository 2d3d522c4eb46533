//! When a host is tried again within one attempt: a server that has too many connections just now is no
//! host that has failed.

use std::time::Duration;

use ssh_files::KeyType;
use tokio::time::sleep;

use super::connect::{Failure, Progress};
use crate::transport::{AttemptError, Backoff, Budget, TransportError};

/// Pauses before further connections to a server that has too many.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(2),
};

/// What became of the tries at one host so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    turned_away: u32,
    said: Option<String>,
    /// The types of host keys to ask for first, once it has turned out that others are not known.
    pub(super) ask_for: Option<Vec<KeyType>>,
}

impl Tries {
    /// Takes in a failure, and rests if it is one to try again after.
    pub(super) async fn again(
        &mut self,
        failure: Failure,
        budget: &mut Budget,
    ) -> Result<(), AttemptError> {
        match failure {
            Failure::Failed(error) => Err(AttemptError::Failed(error)),
            Failure::AskFor(types) => {
                self.ask_for = Some(types);
                Ok(())
            }
            Failure::TurnedAway(text) => {
                self.turned_away += 1;
                self.said = text.or(self.said.take());
                let pause = BACKOFF.pause(self.turned_away, &mut fastrand::Rng::new());
                match budget.spend(sleep(pause)).await {
                    Some(()) => Ok(()),
                    None => Err(AttemptError::Failed(self.busy())),
                }
            }
        }
    }

    /// The same for a connection that was not made: reset at once is as good as turned away.
    pub(super) async fn not_reached(
        &mut self,
        error: TransportError,
        budget: &mut Budget,
    ) -> Result<(), AttemptError> {
        match error {
            TransportError::Reset { .. } => self.again(Failure::TurnedAway(None), budget).await,
            TransportError::ConnectTimeout { .. } if self.turned_away > 0 => {
                Err(AttemptError::Failed(self.busy()))
            }
            error => Err(AttemptError::Failed(error)),
        }
    }

    /// The failure of a host whose time ran out.
    pub(super) fn out_of_time(&self, progress: &Progress<'_>, budget: &Budget) -> AttemptError {
        AttemptError::Failed(match self.turned_away {
            0 => progress
                .stranger()
                .unwrap_or_else(|| budget.exhausted(progress.phase)),
            _ => self.busy(),
        })
    }

    fn busy(&self) -> TransportError {
        TransportError::Busy {
            attempts: self.turned_away,
            text: self.said.clone(),
        }
    }
}
