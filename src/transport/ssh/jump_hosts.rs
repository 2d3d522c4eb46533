//! Jump hosts of a host, and the sessions with them.

use std::io;
use std::pin::Pin;

use tokio::net::UnixStream;

use super::config::{ConfigError, HostConfig, SshConfig};
use super::connect::LoginProgress;
use super::jump::LoggedInJumpHost;
use super::retries::ConnectRetries;
use super::{NewConnection, SshTransport};
use crate::transport::{Budget, Route, Setback, TransportError};

/// Maximum number of jump hosts; more is a circle.
const MAX_JUMP_HOSTS: usize = 8;

/// Number of sessions through one jump host that may be stalled at once with full windows.
const MAX_STALLED_SESSIONS: u64 = 64;

/// Returns the jump hosts of a host, in the order of the connections.
pub(super) fn jump_hosts(
    config: &SshConfig,
    host: &HostConfig,
) -> Result<Vec<HostConfig>, ConfigError> {
    let mut jump_hosts = Vec::new();
    for (index, jump) in host.jumps.iter().enumerate() {
        jump_hosts.push(config.jump(jump, index == 0)?);
    }
    // The first jump host may itself have jump hosts.
    while let Some(first) = jump_hosts.first()
        && !first.jumps.is_empty()
    {
        if jump_hosts.len() >= MAX_JUMP_HOSTS {
            return Err(ConfigError::Way {
                host: host.host_name.clone(),
                most: MAX_JUMP_HOSTS,
            });
        }
        let before: Result<Vec<_>, _> = first
            .jumps
            .iter()
            .enumerate()
            .map(|(index, jump)| config.jump(jump, index == 0))
            .collect();
        jump_hosts[0].jumps.clear();
        jump_hosts.splice(0..0, before?);
    }
    Ok(jump_hosts)
}

impl SshTransport {
    /// Returns the jump hosts of a host.
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
    ) -> Result<LoggedInJumpHost, TransportError> {
        let Some((host, before)) = jump_hosts.split_last() else {
            return Err(TransportError::Config {
                reason: "there is no jump host".to_owned(),
            });
        };
        let own = |setback| match setback {
            Setback::Failed(error) | Setback::NotStarted(error) => jump_error(jump_hosts, error),
            Setback::Shortage(error) => TransportError::LocalResources(error),
            Setback::NoPort(_) => TransportError::LocalResources(io::Error::other(
                "no source port is free for the jump host",
            )),
        };
        if let Some(most) = host.connect_timeout {
            budget.limit(most);
        }
        let mut retries = ConnectRetries::default();
        loop {
            let connection = if before.is_empty() {
                let found = self.addresses(host, &mut budget).await;
                let mut route = Route::new(found.map_err(|error| jump_error(jump_hosts, error))?);
                let connection = self.connect_directly(host, &mut route, &mut budget, &mut retries);
                connection.await.map_err(own)?
            } else {
                let stream =
                    self.connect_through(before, &host.host_name, host.port, budget.clone());
                let stream = stream.await.map_err(|error| jump_error(before, error))?;
                Some(NewConnection::tunnel(stream))
            };
            let Some(NewConnection {
                stream,
                address,
                lease,
            }) = connection
            else {
                continue;
            };
            // Jump hosts run no command.
            let mut asked = false;
            let mut progress = LoginProgress::new(&budget, &mut asked);
            let ask_for = retries.ask_for.clone();
            let entered = budget
                .spend(self.enter(host, address, stream, ask_for.as_deref(), &mut progress))
                .await;
            match entered {
                Some(Ok(mut peer)) => {
                    peer.pipe_mut().lift_limit(MAX_STALLED_SESSIONS);
                    return Ok(LoggedInJumpHost { peer, lease });
                }
                Some(Err(failure)) => {
                    drop(lease);
                    retries
                        .after_failure(failure, &mut budget)
                        .await
                        .map_err(own)?;
                }
                None => return Err(own(retries.out_of_time(&progress, &budget))),
            }
        }
    }
}

/// Names the jump host in an error of its own.
pub(super) fn jump_error(jump_hosts: &[HostConfig], error: TransportError) -> TransportError {
    match jump_hosts.last() {
        Some(jump_host) if !matches!(error, TransportError::Jump { .. }) => TransportError::Jump {
            jump: jump_host.host_name.clone(),
            source: Box::new(error),
        },
        _ => error,
    }
}
