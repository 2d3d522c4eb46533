//! Hosts on the way (ProxyJump): sessions with them that carry connections to other hosts.
//!
//! The targets behind a host share its sessions: a session is a task that pumps any number of channels,
//! each to one end of a socket pair whose other end is the target's connection. libssh2 opens one channel
//! at a time, and a channel to a dead host opens for as long as the host on the way is patient. So there is
//! a further session whenever all that there are have been opening one for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reserved_ports::PortLease;
use ssh_files::HostConfig;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::drive::Turns;
use super::ffi::{Fault, Peer};
use super::tunnel::{Tunnel, any_ready};
use crate::event::Phase;
use crate::transport::TransportError;

/// How long all sessions with a host must have been busy opening channels before there is another one.
const PATIENCE: Duration = Duration::from_millis(300);

/// All sessions with hosts on the way. They end with it.
#[derive(Debug, Default)]
pub(super) struct Jumps {
    /// By the way there, with all that is configured of it: who was trusted or logged in to by other rules is
    /// another host.
    hosts: Mutex<HashMap<Vec<HostConfig>, Arc<Hop>>>,
    tasks: Mutex<JoinSet<()>>,
}

/// The sessions with one such host.
#[derive(Debug, Default)]
pub(super) struct Hop {
    lanes: Mutex<Lanes>,
    /// A lane has become free, or has ended.
    news: Notify,
}

#[derive(Debug, Default)]
struct Lanes {
    idle: Vec<mpsc::Sender<Demand>>,
    /// Someone is making a session.
    connecting: bool,
    /// When the last thing happened to them.
    since: Option<Instant>,
    alive: usize,
}

/// A demand for a connection.
#[derive(Debug)]
struct Demand {
    host: String,
    port: u16,
    answer: oneshot::Sender<Result<UnixStream, TransportError>>,
}

/// A session with a host on the way.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) peer: Peer,
    /// The right to its source port, if the session is not itself within another.
    pub(super) lease: Option<PortLease>,
}

/// What to do for want of a free session.
enum Turn {
    Use(mpsc::Sender<Demand>),
    Connect(Connecting),
    Wait(Option<Instant>),
}

/// The right to make a session, which is given back when it is dropped.
struct Connecting {
    hop: Arc<Hop>,
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.hop.lock().connecting = false;
        self.hop.news.notify_waiters();
    }
}

impl Jumps {
    /// The sessions with the last of these hosts, through the others.
    pub(super) fn hop(&self, way: &[HostConfig]) -> Arc<Hop> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.get(way) {
            Some(hop) => Arc::clone(hop),
            None => Arc::clone(hosts.entry(way.to_vec()).or_default()),
        }
    }

    /// A connection from the host on the way to another one. `connect` makes a session with the former.
    pub(super) async fn connection<F>(
        &self,
        hop: &Arc<Hop>,
        host: &str,
        port: u16,
        connect: impl Fn() -> F,
    ) -> Result<UnixStream, TransportError>
    where
        F: Future<Output = Result<Reached, TransportError>>,
    {
        loop {
            let news = hop.news.notified();
            let mut news = std::pin::pin!(news);
            news.as_mut().enable();
            let lane = match hop.turn() {
                Turn::Use(lane) => lane,
                Turn::Connect(right) => {
                    let reached = connect().await?;
                    let (sender, demands) = mpsc::channel(1);
                    let lane = Lane::new(reached, demands, Arc::clone(hop), sender.clone());
                    hop.lock().alive += 1;
                    self.spawn(lane);
                    drop(right);
                    sender
                }
                Turn::Wait(until) => {
                    // Either way, whether there is a lane now is seen above.
                    let _ = match until {
                        Some(until) => timeout_at(until, news).await,
                        None => {
                            news.await;
                            Ok(())
                        }
                    };
                    continue;
                }
            };
            let (answer, answered) = oneshot::channel();
            let demand = Demand {
                host: host.to_owned(),
                port,
                answer,
            };
            // One that has ended meanwhile is no longer among the idle; the next turn finds another.
            if lane.send(demand).await.is_ok()
                && let Ok(answer) = answered.await
            {
                return answer;
            }
        }
    }

    fn spawn(&self, lane: Lane) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are let go of.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(lane.run());
    }
}

impl Hop {
    fn turn(self: &Arc<Self>) -> Turn {
        let mut lanes = self.lock();
        let now = Instant::now();
        if let Some(lane) = lanes.idle.pop() {
            lanes.since = Some(now);
            return Turn::Use(lane);
        }
        if lanes.connecting {
            return Turn::Wait(None);
        }
        let wait_until = lanes.since.map(|since| since + PATIENCE);
        if lanes.alive > 0
            && let Some(until) = wait_until
            && until > now
        {
            return Turn::Wait(Some(until));
        }
        lanes.connecting = true;
        lanes.since = Some(now);
        Turn::Connect(Connecting {
            hop: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session with a host on the way.
struct Lane {
    /// Before the lease: fields are dropped in this order.
    peer: Peer,
    _lease: Option<PortLease>,
    /// It has been of use.
    proven: bool,
    demands: mpsc::Receiver<Demand>,
    hop: Arc<Hop>,
    /// What is put among the idle when it can open a channel.
    sender: mpsc::Sender<Demand>,
    opening: Option<Demand>,
    tunnels: Vec<Tunnel>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.hop.lock();
        lanes.alive -= 1;
        lanes.idle.retain(|idle| !idle.same_channel(&self.sender));
        drop(lanes);
        self.hop.news.notify_waiters();
    }
}

impl Lane {
    fn new(
        Reached { peer, lease }: Reached,
        demands: mpsc::Receiver<Demand>,
        hop: Arc<Hop>,
        sender: mpsc::Sender<Demand>,
    ) -> Lane {
        Lane {
            peer,
            _lease: lease,
            proven: false,
            demands,
            hop,
            sender,
            opening: None,
            tunnels: Vec::new(),
        }
    }

    /// Pumps until the session ends; then the ends of the pairs are closed, which the targets notice.
    async fn run(mut self) {
        let mut turns = Turns::default();
        loop {
            let moved = match self.step() {
                Ok(moved) => moved,
                Err(fault) => {
                    // Of one that has ended behind our back, whoever asked hears nothing and tries another.
                    if let Some(demand) = self.opening.take()
                        && !self.proven
                    {
                        let lost = super::connect::lost(&self.peer, Phase::Connect, fault);
                        // Whoever asked may have given up.
                        let _ = demand.answer.send(Err(lost));
                    }
                    return;
                }
            };
            if moved {
                tokio::task::yield_now().await;
                continue;
            }
            let Lane {
                peer,
                demands,
                opening,
                tunnels,
                ..
            } = &mut self;
            let is_busy = opening.is_some() || !tunnels.is_empty();
            tokio::select! {
                demand = demands.recv(), if opening.is_none() => *opening = demand,
                // Without a channel libssh2 reads nothing, and would not see what has come.
                () = turns.wait(peer), if is_busy => {}
                () = any_ready(tunnels) => {}
            }
        }
    }

    /// Does what can be done without waiting; whether that was anything.
    fn step(&mut self) -> Result<bool, Fault> {
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
            self.peer.pipe_mut().begin();
            if self.peer.free(tunnel.channel)?.is_none() {
                kept.push(tunnel);
            }
        }
        self.tunnels = kept;
        Ok(moved)
    }

    /// Opens the channel that is wanted.
    fn open(&mut self) -> Result<bool, Fault> {
        let Some(demand) = &self.opening else {
            return Ok(false);
        };
        self.peer.pipe_mut().begin();
        let opened = match self.peer.open_through(&demand.host, demand.port) {
            Ok(None) => return Ok(false),
            Ok(Some(channel)) => Ok(channel),
            Err(fault) => match fault.is_of_channel() {
                true => Err(fault),
                false => return Err(fault),
            },
        };
        let Some(demand) = self.opening.take() else {
            return Ok(false);
        };
        let answer = match opened {
            Err(fault) => Err(refusal(&fault)),
            Ok(channel) => match UnixStream::pair() {
                Ok((end, theirs)) => {
                    self.proven = true;
                    self.tunnels.push(Tunnel::new(channel, end));
                    Ok(theirs)
                }
                Err(error) => {
                    self.peer.pipe_mut().begin();
                    self.peer.free(channel)?;
                    Err(TransportError::LocalResources(error))
                }
            },
        };
        // Whoever asked may have given up; then the pair's other end is closed, and the tunnel ends by it.
        let _ = demand.answer.send(answer);
        let mut lanes = self.hop.lock();
        lanes.idle.push(self.sender.clone());
        lanes.since = Some(Instant::now());
        drop(lanes);
        self.hop.news.notify_waiters();
        Ok(true)
    }
}

/// Why the host on the way does not connect on.
fn refusal(fault: &Fault) -> TransportError {
    let text = &fault.text;
    match text.contains("connect failed") {
        true => TransportError::Unreachable(std::io::Error::other(
            "the host on the way cannot connect to it",
        )),
        false => TransportError::Denied {
            text: format!("the host on the way does not connect to it: {text}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::testing::configured;

    fn gate(option: &str) -> HostConfig {
        configured("gate", &[option])
    }

    #[test]
    fn a_session_is_shared_only_by_those_who_trust_alike() {
        let jumps = Jumps::default();
        let hop = jumps.hop(&[gate("StrictHostKeyChecking=no")]);
        assert!(Arc::ptr_eq(
            &hop,
            &jumps.hop(&[gate("StrictHostKeyChecking=off")])
        ));
        for other in [
            "StrictHostKeyChecking=yes",
            "HostKeyAlias=other",
            "UserKnownHostsFile=/other",
            "IdentityFile=/other",
            "Ciphers=aes256-ctr",
        ] {
            assert!(!Arc::ptr_eq(&hop, &jumps.hop(&[gate(other)])), "{other}");
        }
    }
}
