//! Repeated connections within one attempt: a server that has too many connections now has not failed.

use std::time::Duration;

use reserved_ports::PortLease;
use ssh_files::{HostConfig, KeyType};
use tokio::time::sleep;

use super::connect::{ConnectFailure, LoginProgress};
use super::ffi::Peer;
use super::{NewConnection, SshTransport};
use crate::transport::{AttemptError, Backoff, Budget, Route, TransportError};

/// Pauses before further connections to a server that has too many.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(2),
};

/// A host on which the login has succeeded.
#[derive(Debug)]
pub(super) struct LoggedInHost {
    /// Declared before the lease, since fields are dropped in this order.
    pub(super) peer: Peer,
    /// Lease on the source port; `None` through a jump host.
    pub(super) lease: Option<PortLease>,
}

impl SshTransport {
    /// Connects to a host, through these jump hosts if there are any, and logs in. Repeats both while the server has
    /// too many connections, and once if it shows a host key of an unknown type. Runs for targets and for jump hosts.
    pub(super) async fn connect_and_log_in(
        &self,
        host: &HostConfig,
        jump_hosts: &[HostConfig],
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<LoggedInHost, AttemptError> {
        let mut retries = ConnectRetries::default();
        loop {
            let connection = self.new_connection(host, jump_hosts, route, budget).await;
            let NewConnection {
                stream,
                address,
                lease,
            } = match connection {
                Ok(connection) => connection,
                Err(AttemptError::Failed(error)) => {
                    retries.after_connect_failure(error, budget).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut progress = LoginProgress::new(budget);
            let before = budget.left();
            let ask_for = retries.ask_for.as_deref();
            let entered = budget
                .spend(self.enter(host, address, stream, ask_for, &mut progress))
                .await;
            *route.facts.start.get_or_insert_default() += before - budget.left();
            route.phase = progress.phase;
            match entered {
                Some(Ok(peer)) => return Ok(LoggedInHost { peer, lease }),
                Some(Err(failure)) => {
                    drop(lease);
                    retries.after_failure(failure, budget).await?;
                }
                None => return Err(retries.out_of_time(&progress, budget)),
            }
        }
    }
}

/// Failed connections to one host so far.
#[derive(Debug, Default)]
struct ConnectRetries {
    turned_away: u32,
    text: Option<String>,
    /// Types of host keys to ask for first, after the server showed one of an unknown type.
    ask_for: Option<Vec<KeyType>>,
}

impl ConnectRetries {
    /// Records a failure. Pauses if the connection may be repeated, else returns the error.
    async fn after_failure(
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
    async fn after_connect_failure(
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
    fn out_of_time(&self, progress: &LoginProgress, budget: &Budget) -> AttemptError {
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
