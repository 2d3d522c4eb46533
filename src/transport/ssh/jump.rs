//! Jump hosts (ProxyJump): sessions that carry connections to other hosts.
//!
//! Targets share the sessions with their jump host. A session is a task with any number of channels. Each channel is
//! connected to one end of a socket pair, whose other end is the target's connection. libssh2 opens one channel at a
//! time, and opening one to a dead host takes as long as the jump host's TCP allows. So another session is made when
//! all sessions have been opening a channel for some time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reserved_ports::PortLease;
use ssh_files::HostConfig;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::drive::CallPacer;
use super::ffi::{Libssh2Error, OpenFailure, Peer};
use super::retries::LoggedInHost;
use super::tunnel::{Tunnel, any_ready};
use crate::event::Phase;
use crate::transport::TransportError;

/// Time for which all sessions with a host must be busy opening channels before another one is made.
const BUSY_TIMEOUT: Duration = Duration::from_millis(300);

/// All sessions with jump hosts. Dropping this ends them.
#[derive(Debug, Default)]
pub(super) struct JumpSessions {
    /// Jump hosts by their route and its whole configuration: sessions with other rules for trust or login are not
    /// shared.
    hosts: Mutex<HashMap<Vec<HostConfig>, Arc<JumpHostSessions>>>,
    tasks: Mutex<JoinSet<()>>,
}

/// Sessions with one jump host.
#[derive(Debug, Default)]
pub(super) struct JumpHostSessions {
    pool: Mutex<JumpSessionPool>,
    /// Notified when a session becomes idle or ends.
    changed: Notify,
}

#[derive(Debug, Default)]
struct JumpSessionPool {
    idle: Vec<mpsc::Sender<ConnectionRequest>>,
    /// True if a session is being made.
    connecting: bool,
    /// Time of the last change to the pool.
    last_change: Option<Instant>,
    sessions: usize,
}

/// A request for a connection through a jump host.
#[derive(Debug)]
struct ConnectionRequest {
    host: String,
    port: u16,
    answer: oneshot::Sender<Result<UnixStream, TransportError>>,
}

/// Next step of a target that needs a session.
enum SessionChoice {
    Idle(mpsc::Sender<ConnectionRequest>),
    Connect(ConnectPermit),
    Wait(Option<Instant>),
}

/// Permission to make a session, returned when it is dropped.
struct ConnectPermit {
    jump_host: Arc<JumpHostSessions>,
}

impl Drop for ConnectPermit {
    fn drop(&mut self) {
        self.jump_host.lock().connecting = false;
        self.jump_host.changed.notify_waiters();
    }
}

impl JumpSessions {
    /// Returns the sessions with the last of these hosts, reached through the others.
    pub(super) fn jump_host(&self, route: &[HostConfig]) -> Arc<JumpHostSessions> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.get(route) {
            Some(jump_host) => Arc::clone(jump_host),
            None => Arc::clone(hosts.entry(route.to_vec()).or_default()),
        }
    }

    /// Opens a connection from the jump host to another host. `connect` makes a session with the jump host.
    pub(super) async fn connection<F>(
        &self,
        jump_host: &Arc<JumpHostSessions>,
        host: &str,
        port: u16,
        connect: impl Fn() -> F,
    ) -> Result<UnixStream, TransportError>
    where
        F: Future<Output = Result<LoggedInHost, TransportError>>,
    {
        loop {
            let changed = jump_host.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let session = match jump_host.choose() {
                SessionChoice::Idle(session) => session,
                SessionChoice::Connect(permit) => {
                    let login = connect().await?;
                    let (sender, requests) = mpsc::channel(1);
                    let session =
                        JumpSession::new(login, requests, Arc::clone(jump_host), sender.clone());
                    jump_host.lock().sessions += 1;
                    self.spawn(session);
                    drop(permit);
                    sender
                }
                SessionChoice::Wait(until) => {
                    // The next iteration finds out if there is an idle session.
                    let _ = match until {
                        Some(until) => timeout_at(until, changed).await,
                        None => {
                            changed.await;
                            Ok(())
                        }
                    };
                    continue;
                }
            };
            let (answer, answered) = oneshot::channel();
            let request = ConnectionRequest {
                host: host.to_owned(),
                port,
                answer,
            };
            // A session that has ended is no longer idle, so the next iteration takes another.
            if session.send(request).await.is_ok()
                && let Ok(answer) = answered.await
            {
                return answer;
            }
        }
    }

    fn spawn(&self, session: JumpSession) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Removes the tasks that have ended.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(session.run());
    }
}

impl JumpHostSessions {
    fn choose(self: &Arc<Self>) -> SessionChoice {
        let mut pool = self.lock();
        let now = Instant::now();
        if let Some(session) = pool.idle.pop() {
            pool.last_change = Some(now);
            return SessionChoice::Idle(session);
        }
        if pool.connecting {
            return SessionChoice::Wait(None);
        }
        let wait_until = pool
            .last_change
            .map(|last_change| last_change + BUSY_TIMEOUT);
        if pool.sessions > 0
            && let Some(until) = wait_until
            && until > now
        {
            return SessionChoice::Wait(Some(until));
        }
        pool.connecting = true;
        pool.last_change = Some(now);
        SessionChoice::Connect(ConnectPermit {
            jump_host: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, JumpSessionPool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session with a jump host.
struct JumpSession {
    /// Declared before the lease, since fields are dropped in this order.
    peer: Peer,
    _lease: Option<PortLease>,
    /// True if a connection was opened through it.
    has_connected: bool,
    requests: mpsc::Receiver<ConnectionRequest>,
    jump_host: Arc<JumpHostSessions>,
    /// Sender that is idle while no channel is being opened.
    sender: mpsc::Sender<ConnectionRequest>,
    opening: Option<ConnectionRequest>,
    tunnels: Vec<Tunnel>,
}

impl Drop for JumpSession {
    fn drop(&mut self) {
        let mut pool = self.jump_host.lock();
        pool.sessions -= 1;
        pool.idle.retain(|idle| !idle.same_channel(&self.sender));
        drop(pool);
        self.jump_host.changed.notify_waiters();
    }
}

impl JumpSession {
    fn new(
        LoggedInHost { peer, lease }: LoggedInHost,
        requests: mpsc::Receiver<ConnectionRequest>,
        jump_host: Arc<JumpHostSessions>,
        sender: mpsc::Sender<ConnectionRequest>,
    ) -> JumpSession {
        JumpSession {
            peer,
            _lease: lease,
            has_connected: false,
            requests,
            jump_host,
            sender,
            opening: None,
            tunnels: Vec::new(),
        }
    }

    /// Pumps until the session ends. Then the socket pairs are closed, which the targets notice.
    async fn run(mut self) {
        let mut pacer = CallPacer::default();
        loop {
            let moved = match self.step() {
                Ok(moved) => moved,
                Err(fault) => {
                    // If the session worked before, the request gets no answer and goes to another session.
                    if let Some(request) = self.opening.take()
                        && !self.has_connected
                    {
                        let lost = super::connect::lost(&self.peer, Phase::Connect, fault);
                        // The target may have timed out.
                        let _ = request.answer.send(Err(lost));
                    }
                    return;
                }
            };
            if moved {
                tokio::task::yield_now().await;
                continue;
            }
            let JumpSession {
                peer,
                requests,
                opening,
                tunnels,
                ..
            } = &mut self;
            let is_busy = opening.is_some() || !tunnels.is_empty();
            tokio::select! {
                request = requests.recv(), if opening.is_none() => *opening = request,
                // Without a channel libssh2 does not read the socket.
                () = pacer.wait(peer), if is_busy => {}
                () = any_ready(tunnels) => {}
            }
        }
    }

    /// Does all work that needs no waiting; true if there was any.
    fn step(&mut self) -> Result<bool, Libssh2Error> {
        let mut moved = self.open()?;
        for tunnel in &mut self.tunnels {
            moved |= tunnel.pump(&mut self.peer)?;
        }
        let mut kept = Vec::with_capacity(self.tunnels.len());
        for tunnel in self.tunnels.drain(..) {
            if !tunnel.closing {
                kept.push(tunnel);
                continue;
            }
            self.peer.pipe_mut().begin_call();
            if self.peer.free(tunnel.channel)?.is_none() {
                kept.push(tunnel);
            }
        }
        self.tunnels = kept;
        Ok(moved)
    }

    /// Opens the requested channel.
    fn open(&mut self) -> Result<bool, Libssh2Error> {
        let Some(request) = &self.opening else {
            return Ok(false);
        };
        self.peer.pipe_mut().begin_call();
        let opened = match self.peer.open_through(&request.host, request.port) {
            Ok(None) => return Ok(false),
            Ok(Some(channel)) => Ok(channel),
            Err(OpenFailure::Session(fault)) => return Err(fault),
            Err(OpenFailure::CannotConnect) => Err(TransportError::Unreachable(
                std::io::Error::other("the jump host cannot connect to it"),
            )),
            Err(OpenFailure::Refused(text)) => Err(TransportError::denied(format!(
                "the jump host does not connect to it: {text}"
            ))),
        };
        let Some(request) = self.opening.take() else {
            return Ok(false);
        };
        let answer = match opened {
            Err(error) => Err(error),
            Ok(channel) => match UnixStream::pair() {
                Ok((end, theirs)) => {
                    self.has_connected = true;
                    self.tunnels.push(Tunnel::new(channel, end));
                    Ok(theirs)
                }
                Err(error) => {
                    self.peer.pipe_mut().begin_call();
                    self.peer.free(channel)?;
                    Err(TransportError::LocalResources(error))
                }
            },
        };
        // The target may have timed out. Then its end of the pair is closed, which ends the tunnel.
        let _ = request.answer.send(answer);
        let mut pool = self.jump_host.lock();
        pool.idle.push(self.sender.clone());
        pool.last_change = Some(Instant::now());
        drop(pool);
        self.jump_host.changed.notify_waiters();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::testing::configured;

    fn jump_config(option: &str) -> HostConfig {
        configured("gate", &[option])
    }

    #[test]
    fn a_session_is_shared_only_by_equal_configurations() {
        let jumps = JumpSessions::default();
        let jump_host = jumps.jump_host(&[jump_config("StrictHostKeyChecking=no")]);
        assert!(Arc::ptr_eq(
            &jump_host,
            &jumps.jump_host(&[jump_config("StrictHostKeyChecking=off")])
        ));
        for other in [
            "StrictHostKeyChecking=yes",
            "HostKeyAlias=other",
            "UserKnownHostsFile=/other",
            "IdentityFile=/other",
            "Ciphers=aes256-ctr",
        ] {
            assert!(
                !Arc::ptr_eq(&jump_host, &jumps.jump_host(&[jump_config(other)])),
                "{other}"
            );
        }
    }
}
