//! From a connection to a command that runs: greeting, keys, login, and the request.

use libssh2_sys as raw;
use ssh_files::KeyType;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::algorithms::{Algorithms, pin};
use super::drive::Turns;
use super::ffi::{Channel, Fault, Peer};
use super::gate::{Proof, Violation};
use super::greeting::NoServer;
use super::pipe::{Ended, Line, Pipe};
use crate::event::Phase;
use crate::transport::{Budget, Excused, TransportError};

/// What mrsh calls itself to servers.
const VERSION: &str = concat!("SSH-2.0-mrsh_", env!("CARGO_PKG_VERSION"));

/// What a protocol error calls the other side.
const SERVER: &str = "an ssh server";

/// So many steps of key exchanges, each of which may take a millisecond to compute, are made before everybody
/// else gets a turn: however many hosts are greeted at once, what streams waits behind no more of them.
pub(super) const EXCHANGES: usize = 4;

/// Why no session came of a connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server closed before it had done any work for us, as one does that has too many connections.
    /// What it said, if anything.
    TurnedAway(Option<String>),
    /// The server has shown a key of a type that is not known; of these types its keys are.
    AskFor(Vec<KeyType>),
    /// The host has failed.
    Failed(TransportError),
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Failure {
        Failure::Failed(error)
    }
}

/// How far an attempt has come, for the message when its time runs out.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    pub(super) phase: Phase,
    /// What the server said instead of a greeting.
    pub(super) words: String,
    /// The time that the attempt's budget does not charge.
    pub(super) excused: Excused,
    /// True if the server has been asked for the command.
    asked: &'a mut bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(budget: &Budget, asked: &'a mut bool) -> Progress<'a> {
        Progress {
            phase: Phase::Handshake,
            words: String::new(),
            excused: budget.excused(),
            asked,
        }
    }

    /// The failure of a server that said something else than it should, and then nothing.
    pub(super) fn stranger(&self) -> Option<TransportError> {
        (self.phase == Phase::Handshake && !self.words.is_empty())
            .then(|| not_a_server(self.words.clone()))
    }
}

/// A connection whose server has proved that it owns a host key, which nobody has judged yet.
#[derive(Debug)]
pub(super) struct Proved {
    peer: Peer,
    /// The key, as it travels in the protocol.
    pub(super) host_key: Vec<u8>,
}

/// Greets the server and agrees with it on keys, in turn with the other exchanges, up to the proof of its identity.
pub(super) async fn prove(
    line: Line,
    algorithms: &Algorithms,
    exchanges: &Semaphore,
    progress: &mut Progress<'_>,
) -> Result<Proved, Failure> {
    progress.phase = Phase::Handshake;
    let prepare = || {
        let mut peer = Peer::new(Pipe::new(line))?;
        peer.introduce(VERSION)?;
        algorithms.set(&mut peer)?;
        Ok(peer)
    };
    let mut peer =
        prepare().map_err(|fault: Fault| TransportError::Handshake { reason: fault.text })?;
    let mut turns = Turns::default();
    loop {
        let step = in_turn(exchanges, || {
            peer.pipe_mut().begin();
            peer.handshake()
        });
        match step.await {
            Ok(None) => {
                if let Some(proof) = peer.pipe().proof() {
                    let proof = proof.clone();
                    return settle(peer, proof);
                }
                if !peer.pipe().greeting().is_complete() {
                    progress.words = peer.pipe().greeting().words();
                }
                turns.wait(&mut peer).await;
            }
            Ok(Some(())) => return Err(no_handshake(&peer, no_proof())),
            Err(fault) => return Err(no_handshake(&peer, fault)),
        }
    }
}

/// Compares what was proved with what libssh2 has, and fixes the algorithms. No encrypted packet has reached libssh2
/// yet, so nobody can have changed its mind.
fn settle(mut peer: Peer, proof: Proof) -> Result<Proved, Failure> {
    if let Some(what) = peer.difference(&proof) {
        peer.pipe_mut().refuse(Violation::Disagreement(what));
        return Err(no_handshake(&peer, no_proof()));
    }
    pin(&mut peer, &proof.methods)
        .map_err(|fault| TransportError::Handshake { reason: fault.text })?;
    peer.hold_to_key(proof.host_key.clone());
    Ok(Proved {
        peer,
        host_key: proof.host_key,
    })
}

/// Lets a server whose host key was judged go on, up to the service for authentication.
pub(super) async fn proceed(proved: Proved, progress: &mut Progress<'_>) -> Result<Peer, Failure> {
    progress.phase = Phase::Handshake;
    let Proved { mut peer, .. } = proved;
    peer.pipe_mut().open_gate();
    match peer.drive(Peer::handshake).await {
        Ok(()) => Ok(peer),
        Err(fault) => Err(no_handshake(&peer, fault)),
    }
}

/// The fault of a handshake that libssh2 calls done without a proof.
fn no_proof() -> Fault {
    Fault {
        code: raw::LIBSSH2_ERROR_PROTO,
        text: "the server has not proved its identity".to_owned(),
    }
}

/// Does some work when it is its turn, which lasts until everybody else has had one. Cancel safe.
async fn in_turn<T>(turns: &Semaphore, work: impl FnOnce() -> T) -> T {
    // It is never closed.
    let _turn = turns.acquire().await;
    let done = work();
    yield_now().await;
    done
}

/// What a failed handshake says about the host.
fn no_handshake(peer: &Peer, fault: Fault) -> Failure {
    let pipe = peer.pipe();
    if let Some(no_server) = pipe.greeting().failed() {
        let text = match no_server {
            NoServer::Old(version) => format!("{version} speaks only the old protocol 1"),
            NoServer::Stranger(words) => words.clone(),
        };
        return not_a_server(text).into();
    }
    if let Some(text) = pipe.farewell() {
        return TransportError::Closed {
            phase: Phase::Handshake,
            hint: Some(text.to_owned()),
        }
        .into();
    }
    let words = Some(pipe.greeting().words()).filter(|words| !words.is_empty());
    match pipe.ended() {
        Some(Ended::Closed | Ended::Reset) => Failure::TurnedAway(words),
        Some(_) => lost(peer, Phase::Handshake, fault).into(),
        None => TransportError::Handshake {
            reason: reason(fault),
        }
        .into(),
    }
}

/// libssh2's words, where they say enough.
fn reason(fault: Fault) -> String {
    match fault.code {
        raw::LIBSSH2_ERROR_KEX_FAILURE => format!(
            "{}; the two sides may have no algorithm in common: try -R openssh",
            fault.text
        ),
        raw::LIBSSH2_ERROR_INVALID_MAC | raw::LIBSSH2_ERROR_DECRYPT => {
            format!("{}: what came was damaged", fault.text)
        }
        _ => fault.text,
    }
}

pub(super) fn not_a_server(text: String) -> TransportError {
    TransportError::Protocol {
        phase: Phase::Handshake,
        expected: SERVER,
        text,
    }
}

/// The failure of a connection that ended, or made no sense any more.
pub(super) fn lost(peer: &Peer, phase: Phase, fault: Fault) -> TransportError {
    let pipe = peer.pipe();
    if let Some(text) = pipe.farewell() {
        return TransportError::Closed {
            phase,
            hint: Some(text.to_owned()),
        };
    }
    match pipe.ended() {
        Some(Ended::Closed) => TransportError::Closed { phase, hint: None },
        Some(Ended::Reset) => TransportError::Reset { phase, hint: None },
        Some(Ended::Flood) => TransportError::Protocol {
            phase,
            expected: SERVER,
            text: "it sends without end".to_owned(),
        },
        Some(Ended::Refused(violation)) => match violation {
            Violation::NothingInCommon { .. } | Violation::Guess => TransportError::Handshake {
                reason: violation.to_string(),
            },
            _ => TransportError::Protocol {
                phase,
                expected: SERVER,
                text: violation.to_string(),
            },
        },
        Some(Ended::Other(text)) => TransportError::Io {
            phase,
            source: std::io::Error::other(text.clone()),
        },
        None => TransportError::Io {
            phase,
            source: std::io::Error::other(fault.text),
        },
    }
}

/// Opens a channel and has the server start the command.
pub(super) async fn exec(
    peer: &mut Peer,
    command: &[u8],
    environment: &[(String, String)],
    progress: &mut Progress<'_>,
) -> Result<Channel, TransportError> {
    progress.phase = Phase::Start;
    let refused = |peer: &Peer, fault: Fault| match fault.code {
        raw::LIBSSH2_ERROR_CHANNEL_FAILURE | raw::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED => {
            TransportError::Denied {
                text: format!("the server does not run the command: {}", fault.text),
            }
        }
        _ => lost(peer, Phase::Start, fault),
    };
    let channel = match peer.drive(Peer::open).await {
        Ok(channel) => channel,
        Err(fault) => return Err(refused(peer, fault)),
    };
    for (name, value) in environment {
        let set = peer.drive(|peer| peer.set_variable(channel, name, value));
        match set.await {
            // As with ssh: a server that takes none of it is no failure.
            Err(fault) if fault.code != raw::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED => {
                return Err(lost(peer, Phase::Start, fault));
            }
            _ => {}
        }
    }
    *progress.asked = true;
    let started = peer.drive(|peer| peer.exec(channel, command)).await;
    started.map_err(|fault| refused(peer, fault))?;
    peer.pipe_mut().lift_limit(1);
    Ok(channel)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn what_streams_waits_behind_few_key_exchanges() {
        let turns = Arc::new(Semaphore::new(EXCHANGES));
        let steps = Arc::new(AtomicUsize::new(0));
        let mut hosts = JoinSet::new();
        for _ in 0..200 {
            let (turns, steps) = (Arc::clone(&turns), Arc::clone(&steps));
            hosts.spawn(async move {
                for _ in 0..5 {
                    in_turn(&turns, || steps.fetch_add(1, Ordering::Relaxed)).await;
                }
            });
        }
        let mut before = 0;
        while before < 1000 {
            yield_now().await;
            let now = steps.load(Ordering::Relaxed);
            assert!(now - before <= 2 * EXCHANGES, "{before} {now}");
            before = now;
        }
        hosts.join_all().await;
    }
}
