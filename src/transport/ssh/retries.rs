//! Repeated connections within one attempt: a server that has too many connections now has not failed.

use std::time::Duration;

use tokio::time::sleep;

use super::connect::{ConnectFailure, LoginProgress};
use super::public::KeyType;
use crate::transport::{Budget, Setback, TransportError};

/// How long a server that has too many connections is left alone at first, and at most.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(2);

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
    ) -> Result<(), Setback> {
        match failure {
            ConnectFailure::Failed(error) => Err(Setback::Failed(error)),
            ConnectFailure::AskFor(types) => {
                self.ask_for = Some(types);
                Ok(())
            }
            ConnectFailure::TurnedAway(text) => {
                self.turned_away += 1;
                self.text = text.or(self.text.take());
                match budget.spend(sleep(rest(self.turned_away))).await {
                    Some(()) => Ok(()),
                    None => Err(Setback::Failed(self.busy())),
                }
            }
        }
    }

    /// Records a failed connection: a reset counts as a server with too many connections.
    pub(super) async fn after_connect_failure(
        &mut self,
        error: TransportError,
        budget: &mut Budget,
    ) -> Result<(), Setback> {
        match error {
            TransportError::Reset { .. } => {
                self.after_failure(ConnectFailure::TurnedAway(None), budget)
                    .await
            }
            TransportError::ConnectTimeout { .. } if self.turned_away > 0 => {
                Err(Setback::Failed(self.busy()))
            }
            error => Err(Setback::Failed(error)),
        }
    }

    /// Returns the error for a host that timed out.
    pub(super) fn out_of_time(&self, progress: &LoginProgress<'_>, budget: &Budget) -> Setback {
        Setback::Failed(match self.turned_away {
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

/// The rest before the next try at a server that turned us away, at random around what doubles each time:
/// those that were turned away together must not come back together.
fn rest(turned_away: u32) -> Duration {
    let most = FIRST_REST
        .saturating_mul(1 << turned_away.min(8))
        .min(LONGEST_REST);
    most.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_a_bound_and_differ() {
        for (times, most) in [
            (1, 200),
            (2, 400),
            (4, 1600),
            (5, 2000),
            (4_000_000_000, 2000),
        ] {
            let most = Duration::from_millis(most);
            let rests: Vec<Duration> = (0..100).map(|_| rest(times)).collect();
            assert!(rests.iter().all(|rest| *rest <= most && *rest >= most / 2));
            let spread = *rests.iter().max().unwrap() - *rests.iter().min().unwrap();
            assert!(spread > most / 4, "{spread:?}");
        }
    }
}
