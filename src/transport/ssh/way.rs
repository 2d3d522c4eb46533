//! The way to a host through others: which they are, and the sessions with them.

use std::io;
use std::pin::Pin;

use reserved_ports::Outgoing;
use tokio::net::UnixStream;

use super::connect::Progress;
use super::jump::Reached;
use super::pipe::Line;
use super::tries::Tries;
use super::{SshTransport, tune};
use crate::transport::dial::dial;
use crate::transport::{AttemptError, Budget, Route, TransportError};
use ssh_files::HostConfig;

/// Of so many sessions through one host all may be held up at once with full windows.
const MOST_STALLED: u64 = 64;

impl SshTransport {
    /// The hosts between here and there.
    pub(super) fn hops(&self, host: &HostConfig) -> Result<Vec<HostConfig>, TransportError> {
        self.options
            .hops(host)
            .map_err(|error| TransportError::Config {
                reason: error.one_line(),
            })
    }

    /// A connection to a host through others, with which there are sessions, or will be.
    pub(super) fn through<'a>(
        &'a self,
        hops: &'a [HostConfig],
        host: &'a str,
        port: u16,
        budget: Budget,
    ) -> Pin<Box<dyn Future<Output = Result<UnixStream, TransportError>> + Send + 'a>> {
        Box::pin(async move {
            let hop = self.jumps.hop(hops);
            let connect = || self.reach(hops, budget.clone());
            self.jumps.connection(&hop, host, port, connect).await
        })
    }

    /// A session with the last of these hosts, through the others.
    async fn reach(
        &self,
        hops: &[HostConfig],
        mut budget: Budget,
    ) -> Result<Reached, TransportError> {
        let Some((host, before)) = hops.split_last() else {
            return Err(TransportError::Config {
                reason: "there is no host on the way".to_owned(),
            });
        };
        let own = |setback| match setback {
            AttemptError::Failed(error) | AttemptError::Retryable(error) => by_way_of(hops, error),
            AttemptError::Shortage(error) => TransportError::LocalResources(error),
            AttemptError::NoPort(_) => TransportError::LocalResources(io::Error::other(
                "no source port is free for the host on the way",
            )),
        };
        if let Some(most) = host.connect_timeout {
            budget.limit(most);
        }
        let mut tries = Tries::default();
        loop {
            let (line, address, lease) = match before.is_empty() {
                true => {
                    let found = self.addresses(host, &mut budget).await;
                    let mut route = Route::new(found.map_err(|error| by_way_of(hops, error))?);
                    match dial(&self.pool, &mut route, &mut budget).await {
                        Ok((address, outgoing)) => {
                            tune(&outgoing, host);
                            let Outgoing { stream, lease } = outgoing;
                            (Line::Direct(stream), Some(address), Some(lease))
                        }
                        Err(AttemptError::Failed(error)) => {
                            tries.not_reached(error, &mut budget).await.map_err(own)?;
                            continue;
                        }
                        Err(setback) => return Err(own(setback)),
                    }
                }
                false => {
                    let line = self.through(before, &host.host_name, host.port, budget.clone());
                    let line = line.await.map_err(|error| by_way_of(before, error))?;
                    (Line::Through(line), None, None)
                }
            };
            // Jump hosts run no command.
            let mut asked = false;
            let mut progress = Progress::new(&budget, &mut asked);
            let ask_for = tries.ask_for.clone();
            let entered = budget
                .spend(self.enter(host, address, line, ask_for.as_deref(), &mut progress))
                .await;
            match entered {
                Some(Ok(mut peer)) => {
                    peer.pipe_mut().lift_limit(MOST_STALLED);
                    return Ok(Reached { peer, lease });
                }
                Some(Err(failure)) => {
                    drop(lease);
                    tries.again(failure, &mut budget).await.map_err(own)?;
                }
                None => return Err(own(tries.out_of_time(&progress, &budget))),
            }
        }
    }
}

/// A failure on the way to a host.
pub(super) fn by_way_of(hops: &[HostConfig], error: TransportError) -> TransportError {
    match hops.last() {
        Some(hop) if !matches!(error, TransportError::Jump { .. }) => TransportError::Jump {
            jump: hop.host_name.clone(),
            source: Box::new(error),
        },
        _ => error,
    }
}
