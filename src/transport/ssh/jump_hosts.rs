//! Jump hosts of a host, and the sessions with them.

use std::io;
use std::pin::Pin;

use tokio::net::UnixStream;

use super::SshTransport;
use super::retries::LoggedInHost;
use crate::transport::{AttemptError, Budget, Route, TransportError};
use ssh_files::HostConfig;

/// Number of sessions through one jump host that may be stalled at once with full windows.
const MAX_STALLED_SESSIONS: u64 = 64;

impl SshTransport {
    pub(super) fn jump_hosts(&self, host: &HostConfig) -> Result<Vec<HostConfig>, TransportError> {
        self.options
            .jump_hosts(host)
            .map_err(|error| TransportError::Config {
                reason: error.one_line(),
            })
    }

    /// Opens a connection to a host through its jump hosts. Makes sessions with them if needed.
    pub(super) fn connect_through<'a>(
        &'a self,
        jump_hosts: &'a [HostConfig],
        host: &'a str,
        port: u16,
        budget: Budget,
    ) -> Pin<Box<dyn Future<Output = Result<UnixStream, TransportError>> + Send + 'a>> {
        // Boxed, because the future contains itself: `connect_jump_host` calls this for a jump host behind another one.
        Box::pin(async move {
            let jump_host = self.jumps.jump_host(jump_hosts);
            let connect = || self.connect_jump_host(jump_hosts, budget.clone());
            self.jumps.connection(&jump_host, host, port, connect).await
        })
    }

    /// Makes a session with the last of these hosts, through the others.
    async fn connect_jump_host(
        &self,
        jump_hosts: &[HostConfig],
        mut budget: Budget,
    ) -> Result<LoggedInHost, TransportError> {
        let Some((host, before)) = jump_hosts.split_last() else {
            return Err(TransportError::Config {
                reason: "there is no jump host".to_owned(),
            });
        };
        let own = |error| match error {
            AttemptError::Failed(error) | AttemptError::Retryable(error) => {
                jump_error(jump_hosts, error)
            }
            AttemptError::Shortage(error) => TransportError::LocalResources(error),
            AttemptError::NoPort(_) => TransportError::LocalResources(io::Error::other(
                "no source port is free for the jump host",
            )),
        };
        // The jump host's own ConnectTimeout can only shorten the time of the target.
        if let Some(most) = host.connect_timeout {
            budget.limit(most);
        }
        let mut route = if before.is_empty() {
            let found = self.addresses(host, &mut budget).await;
            Route::new(found.map_err(|error| jump_error(jump_hosts, error))?)
        } else {
            Route::nowhere()
        };
        let login = self.connect_and_log_in(host, before, &mut route, &mut budget);
        let mut logged_in = login.await.map_err(own)?;
        // Each session through this host has windows of its own, so more bytes can be useless at a time.
        logged_in.peer.pipe_mut().lift_limit(MAX_STALLED_SESSIONS);
        Ok(logged_in)
    }
}

/// Names the jump host in an error of its own.
pub(super) fn jump_error(jump_hosts: &[HostConfig], error: TransportError) -> TransportError {
    match jump_hosts.last() {
        // The error of an earlier jump host names that host already.
        Some(jump_host) if !matches!(error, TransportError::Jump { .. }) => TransportError::Jump {
            jump: jump_host.host_name.clone(),
            source: Box::new(error),
        },
        _ => error,
    }
}
