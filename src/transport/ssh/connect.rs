//! The phases between a connection and a running command: handshake, host key, login, command.

use libssh2_sys as raw;
use ssh_files::KeyType;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::algorithms::{Algorithms, pin};
use super::drive::CallPacer;
use super::ffi::{Channel, Libssh2Error, Peer};
use super::gate::{Proof, Violation};
use super::greeting::OtherProtocol;
use super::pipe::{Pipe, ServerStream, StreamEnd};
use super::terminal::{self, TerminalRequest};
use crate::event::Phase;
use crate::transport::{Budget, Excused, StartRequest, TransportError};

/// Version line of mrsh.
const VERSION: &str = concat!("SSH-2.0-mrsh_", env!("CARGO_PKG_VERSION"));

/// Name of the other side in protocol errors.
const SERVER: &str = "an ssh server";

/// Number of key exchange steps that run before other tasks get a turn. A step may compute for a millisecond. So the
/// output of running hosts waits for this many steps at most, even if thousands of hosts connect at once.
pub(super) const EXCHANGES: usize = 4;

/// Reason why a connection became no session.
#[derive(Debug)]
pub(super) enum ConnectFailure {
    /// The server closed before it did any work, as one does that has too many connections. Holds the text it sent,
    /// if any.
    TurnedAway(Option<String>),
    /// The server has shown a host key of an unknown type; host keys of these types are known.
    AskFor(Vec<KeyType>),
    /// The attempt has failed.
    Failed(TransportError),
}

impl From<TransportError> for ConnectFailure {
    fn from(error: TransportError) -> ConnectFailure {
        ConnectFailure::Failed(error)
    }
}

/// Progress of an attempt, for the message at a timeout.
#[derive(Debug)]
pub(super) struct LoginProgress {
    pub(super) phase: Phase,
    /// Text that the server sent instead of a version line.
    pub(super) text: String,
    /// Time that is not charged to the attempt's budget.
    pub(super) excused: Excused,
}

impl LoginProgress {
    pub(super) fn new(budget: &Budget) -> LoginProgress {
        LoginProgress {
            phase: Phase::Handshake,
            text: String::new(),
            excused: budget.excused(),
        }
    }

    /// Returns the error for a server that sent some text and then nothing.
    pub(super) fn protocol_error(&self) -> Option<TransportError> {
        (self.phase == Phase::Handshake && !self.text.is_empty())
            .then(|| not_a_server(self.text.clone()))
    }
}

/// A connection whose server has proved that it owns a host key. The key is not checked yet.
#[derive(Debug)]
pub(super) struct ProvedPeer {
    peer: Peer,
    /// Public host key in wire format.
    pub(super) host_key: Vec<u8>,
}

/// Runs the handshake up to the proof of the server's identity, in turn with the other key exchanges.
pub(super) async fn prove(
    stream: ServerStream,
    algorithms: &Algorithms,
    exchanges: &Semaphore,
    progress: &mut LoginProgress,
) -> Result<ProvedPeer, ConnectFailure> {
    progress.phase = Phase::Handshake;
    let prepare = || {
        let mut peer = Peer::new(Pipe::new(stream))?;
        peer.introduce(VERSION)?;
        algorithms.set(&mut peer)?;
        Ok(peer)
    };
    let mut peer = prepare()
        .map_err(|fault: Libssh2Error| TransportError::Handshake { reason: fault.text })?;
    let mut pacer = CallPacer::default();
    loop {
        let step = with_permit(exchanges, || {
            peer.pipe_mut().begin_call();
            peer.handshake()
        });
        match step.await {
            Ok(None) => {
                if let Some(proof) = peer.pipe().proof() {
                    let proof = proof.clone();
                    return settle(peer, proof);
                }
                if !peer.pipe().greeting().is_complete() {
                    progress.text = peer.pipe().greeting().text_before_version();
                }
                pacer.wait(&mut peer).await;
            }
            Ok(Some(())) => return Err(no_handshake(&peer, no_proof())),
            Err(fault) => return Err(no_handshake(&peer, fault)),
        }
    }
}

/// Compares the proof with the state of libssh2, and fixes the algorithms. No encrypted packet has reached libssh2
/// yet, so its state cannot have changed.
fn settle(mut peer: Peer, proof: Proof) -> Result<ProvedPeer, ConnectFailure> {
    if let Some(what) = peer.difference(&proof) {
        peer.pipe_mut().refuse(Violation::Disagreement(what));
        return Err(no_handshake(&peer, no_proof()));
    }
    pin(&mut peer, &proof.methods)
        .map_err(|fault| TransportError::Handshake { reason: fault.text })?;
    peer.hold_to_key(proof.host_key.clone());
    Ok(ProvedPeer {
        peer,
        host_key: proof.host_key,
    })
}

/// Continues the handshake after the host key was accepted, up to the authentication service.
pub(super) async fn proceed(
    proved: ProvedPeer,
    progress: &mut LoginProgress,
) -> Result<Peer, ConnectFailure> {
    progress.phase = Phase::Handshake;
    let ProvedPeer { mut peer, .. } = proved;
    peer.pipe_mut().open_gate();
    match peer.drive(Peer::handshake).await {
        Ok(()) => Ok(peer),
        Err(fault) => Err(no_handshake(&peer, fault)),
    }
}

/// Returns the error for a handshake that libssh2 finished without a proof.
fn no_proof() -> Libssh2Error {
    Libssh2Error {
        code: raw::LIBSSH2_ERROR_PROTO,
        text: "the server has not proved its identity".to_owned(),
    }
}

/// Runs `work` with a permit and holds the permit until all other tasks had a turn. Cancel safe.
async fn with_permit<T>(permits: &Semaphore, work: impl FnOnce() -> T) -> T {
    // The semaphore is never closed.
    let _turn = permits.acquire().await;
    let done = work();
    yield_now().await;
    done
}

/// Classifies a failed handshake.
fn no_handshake(peer: &Peer, fault: Libssh2Error) -> ConnectFailure {
    let pipe = peer.pipe();
    if let Some(no_server) = pipe.greeting().failed() {
        let text = match no_server {
            OtherProtocol::Version1(version) => format!("{version} speaks only the old protocol 1"),
            OtherProtocol::Unknown(text) => text.clone(),
        };
        return not_a_server(text).into();
    }
    if let Some(text) = pipe.disconnect_reason() {
        return TransportError::Closed {
            phase: Phase::Handshake,
            hint: Some(text.to_owned()),
        }
        .into();
    }
    let text = Some(pipe.greeting().text_before_version()).filter(|text| !text.is_empty());
    match pipe.ended() {
        Some(StreamEnd::Closed | StreamEnd::Reset) => ConnectFailure::TurnedAway(text),
        Some(_) => lost(peer, Phase::Handshake, fault).into(),
        None => TransportError::Handshake {
            reason: reason(fault),
        }
        .into(),
    }
}

/// Returns libssh2's error text, with more detail for codes whose text is vague.
fn reason(fault: Libssh2Error) -> String {
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

/// Returns the error for a connection that has ended or violates the protocol.
pub(super) fn lost(peer: &Peer, phase: Phase, fault: Libssh2Error) -> TransportError {
    let pipe = peer.pipe();
    if let Some(text) = pipe.disconnect_reason() {
        return TransportError::Closed {
            phase,
            hint: Some(text.to_owned()),
        };
    }
    match pipe.ended() {
        Some(StreamEnd::Closed) => TransportError::Closed { phase, hint: None },
        Some(StreamEnd::Reset) => TransportError::Reset { phase, hint: None },
        Some(StreamEnd::Flood) => TransportError::Protocol {
            phase,
            expected: SERVER,
            text: "it sends without end".to_owned(),
        },
        Some(StreamEnd::Refused(violation)) => match violation {
            Violation::NothingInCommon { .. } | Violation::Guess => TransportError::Handshake {
                reason: violation.to_string(),
            },
            _ => TransportError::Protocol {
                phase,
                expected: SERVER,
                text: violation.to_string(),
            },
        },
        Some(StreamEnd::Other(text)) => TransportError::Io {
            phase,
            source: std::io::Error::other(text.clone()),
        },
        None => TransportError::Io {
            phase,
            source: std::io::Error::other(fault.text),
        },
    }
}

/// The program that is started on a channel.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChannelProgram<'a> {
    /// A command, for the login shell.
    Command(&'a [u8]),
    /// A subsystem of the server.
    Subsystem(&'a str),
}

/// Opens a channel and starts a program on it. The request for the program is allowed before it is sent.
pub(super) async fn exec(
    peer: &mut Peer,
    program: ChannelProgram<'_>,
    environment: &[(String, String)],
    terminal: Option<&TerminalRequest>,
    request: &mut StartRequest,
) -> Result<Channel, TransportError> {
    let refused = |peer: &Peer, fault: Libssh2Error| match fault.code {
        raw::LIBSSH2_ERROR_CHANNEL_FAILURE | raw::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED => {
            TransportError::denied(match program {
                ChannelProgram::Command(_) => {
                    format!("the server does not run the command: {}", fault.text)
                }
                ChannelProgram::Subsystem(name) => {
                    format!("the server has no subsystem {name}: {}", fault.text)
                }
            })
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
            // OpenSSH ignores this too: servers accept only the variables of AcceptEnv.
            Err(fault) if fault.code != raw::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED => {
                return Err(lost(peer, Phase::Start, fault));
            }
            _ => {}
        }
    }
    if let (Some(terminal), ChannelProgram::Command(_)) = (terminal, program) {
        let TerminalRequest { name, size } = terminal;
        let modes = terminal::MODES;
        let asked = peer.drive(|peer| peer.request_pty(channel, name, modes, *size));
        asked.await.map_err(|fault| match fault.code {
            raw::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED => {
                TransportError::denied("the server gives no terminal (PermitTTY)")
            }
            _ => lost(peer, Phase::Start, fault),
        })?;
    }
    request.allow().await?;
    let start = peer.drive(|peer| match program {
        ChannelProgram::Command(command) => peer.exec(channel, command),
        ChannelProgram::Subsystem(name) => peer.subsystem(channel, name),
    });
    let started = start.await;
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
    async fn output_waits_for_few_key_exchanges() {
        let permits = Arc::new(Semaphore::new(EXCHANGES));
        let steps = Arc::new(AtomicUsize::new(0));
        let mut hosts = JoinSet::new();
        for _ in 0..200 {
            let (permits, steps) = (Arc::clone(&permits), Arc::clone(&steps));
            hosts.spawn(async move {
                for _ in 0..5 {
                    with_permit(&permits, || steps.fetch_add(1, Ordering::Relaxed)).await;
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
