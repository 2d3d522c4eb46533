//! Logging in: the methods that the server takes, in the user's order, with no more tries than needed.

use std::fmt::Write;

use libssh2_sys as raw;
use zeroize::Zeroizing;

use super::agent::AgentClient;
use super::connect::{Progress, lost};
use super::drive::Turns;
use super::ffi::{Fault, Peer, Signature};
use super::keys::{Candidate, With, asked};
use super::trust::chain;
use crate::transport::{Phase, TransportError};

/// The methods that there are here, by their names in the protocol.
pub(super) const PUBLIC_KEY: &str = "publickey";
pub(super) const KEYBOARD_INTERACTIVE: &str = "keyboard-interactive";
pub(super) const PASSWORD: &str = "password";

/// A key that the user has, or a certificate on one, and who signs with it.
#[derive(Debug)]
pub(super) struct Key<'a> {
    pub(super) candidate: Candidate,
    /// The agent that has it, if it is one that has.
    pub(super) agent: Option<&'a AgentClient>,
}

impl Key<'_> {
    /// Signs a request to be let in.
    async fn sign(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        match (&self.candidate.with, self.agent) {
            (With::Memory(signer), _) => {
                let signed = signer.sign_request(request);
                signed.map_err(|error| format!("{}: {error}", self.candidate.name))
            }
            (With::Agent(blob), Some(agent)) => {
                let (algorithm, _) = asked(request).ok_or("the request makes no sense")?;
                let signed = agent.sign(blob, request, algorithm).await;
                signed.map_err(|error| chain(&error))
            }
            (With::Agent(_), None) => Err(format!("{}: no agent has it", self.candidate.name)),
        }
    }
}

/// Who the user claims to be, and how that is proved.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) user: &'a str,
    /// The methods, in the order in which they are tried.
    pub(super) methods: &'a [String],
    pub(super) keys: &'a [Key<'a>],
    pub(super) password: Option<&'a Zeroizing<String>>,
}

/// What was tried, for the message when none of it did.
#[derive(Debug, Default)]
struct Tried {
    keys: Vec<String>,
    password: bool,
    /// Why a key could not sign.
    faults: Vec<String>,
}

/// How one try ended.
#[derive(Debug, PartialEq, Eq)]
enum Try {
    In,
    Refused,
    /// The server took the key and its signature and wants something else still, or found it wrong.
    NotEnough,
}

/// Logs in.
pub(super) async fn log_in(
    peer: &mut Peer,
    claim: &Claim<'_>,
    progress: &mut Progress,
) -> Result<(), TransportError> {
    progress.phase = Phase::Auth;
    let mut tried = Tried::default();
    let Some(mut taken) = methods(peer, claim, &tried).await? else {
        return Ok(());
    };
    for method in claim.methods {
        // A method that the server wants only after another is not in its first list.
        if !taken.split(',').any(|name| name == method) {
            continue;
        }
        let mut not_enough = false;
        match method.as_str() {
            PUBLIC_KEY => {
                for key in claim.keys {
                    tried.keys.push(key.candidate.name.clone());
                    let tried_key = prove(peer, claim.user, key, &mut tried.faults).await;
                    match outcome(peer, claim, &tried, &taken, tried_key)? {
                        Try::In => return Ok(()),
                        Try::Refused => {}
                        Try::NotEnough => {
                            not_enough = true;
                            break;
                        }
                    }
                }
            }
            KEYBOARD_INTERACTIVE | PASSWORD => {
                let Some(password) = claim.password else {
                    continue;
                };
                tried.password = true;
                let answered = match method.as_str() {
                    PASSWORD => peer.drive(|peer| peer.password(claim.user, password)).await,
                    _ => {
                        peer.pipe_mut().answer_with(Some(password.clone()));
                        let answered = peer
                            .drive(|peer| peer.keyboard_interactive(claim.user))
                            .await;
                        peer.pipe_mut().answer_with(None);
                        answered
                    }
                };
                let answered = answered.map(|()| Try::In).or_else(refused);
                match outcome(peer, claim, &tried, &taken, answered)? {
                    Try::In => return Ok(()),
                    // libssh2 does not tell a wrong password from one that is not enough.
                    Try::Refused | Try::NotEnough => not_enough = true,
                }
            }
            _ => {}
        }
        if not_enough {
            // What the server takes next may be something else; asking counts as a try there, so it is
            // asked only where there is something to gain.
            match methods(peer, claim, &tried).await? {
                Some(next) => taken = next,
                None => return Ok(()),
            }
        }
    }
    Err(denied(claim, &tried, Some(&taken), None))
}

/// The methods that the server takes now; `None` if it lets the user in without any.
async fn methods(
    peer: &mut Peer,
    claim: &Claim<'_>,
    tried: &Tried,
) -> Result<Option<String>, TransportError> {
    let methods = peer.drive(|peer| peer.methods(claim.user)).await;
    methods.map_err(|fault| cut_off(peer, claim, tried, fault))
}

/// Sorts out a try that failed with the connection.
fn outcome(
    peer: &Peer,
    claim: &Claim<'_>,
    tried: &Tried,
    taken: &str,
    result: Result<Try, Fault>,
) -> Result<Try, TransportError> {
    result.map_err(|fault| match fault.code {
        raw::LIBSSH2_ERROR_PASSWORD_EXPIRED => denied(
            claim,
            tried,
            Some(taken),
            Some("the password has expired; log in by hand and change it"),
        ),
        _ => cut_off(peer, claim, tried, fault),
    })
}

/// The server ended the connection instead of answering.
fn cut_off(peer: &Peer, claim: &Claim<'_>, tried: &Tried, fault: Fault) -> TransportError {
    match peer.pipe().farewell() {
        Some(text) => denied(claim, tried, None, Some(text)),
        None => lost(peer, Phase::Auth, fault),
    }
}

/// A try that the server refused, as opposed to one that could not be made.
fn refused(fault: Fault) -> Result<Try, Fault> {
    match fault.code {
        raw::LIBSSH2_ERROR_AUTHENTICATION_FAILED | raw::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED => {
            Ok(Try::Refused)
        }
        _ => Err(fault),
    }
}

/// Proves that the user has a key, if the server takes it.
async fn prove(
    peer: &mut Peer,
    user: &str,
    key: &Key<'_>,
    faults: &mut Vec<String>,
) -> Result<Try, Fault> {
    let mut turns = Turns::default();
    let mut wanted: Option<Vec<u8>> = None;
    let mut answer: Option<Result<Vec<u8>, String>> = None;
    let mut signed = false;
    loop {
        peer.pipe_mut().begin();
        let mut sign = |data: &[u8]| {
            if let Some(answer) = answer.take() {
                return match answer {
                    Ok(signature) => {
                        signed = true;
                        Signature::Made(signature)
                    }
                    Err(text) => {
                        faults.push(text);
                        Signature::Refused
                    }
                };
            }
            wanted = Some(data.to_vec());
            Signature::Later
        };
        match peer.public_key(user, &key.candidate.blob, &mut sign) {
            Ok(Some(())) => return Ok(Try::In),
            Ok(None) => match wanted.take() {
                Some(data) => answer = Some(key.sign(&data).await),
                None => turns.wait(peer).await,
            },
            Err(fault) => {
                // A connection that has ended fails with the same code as a wrong signature.
                if peer.pipe().ended().is_some() || peer.pipe().farewell().is_some() {
                    return Err(fault);
                }
                return refused(fault).map(|_| match signed {
                    true => Try::NotEnough,
                    false => Try::Refused,
                });
            }
        }
    }
}

/// The failure of a user whom the server does not let in.
fn denied(
    claim: &Claim<'_>,
    tried: &Tried,
    taken: Option<&str>,
    said: Option<&str>,
) -> TransportError {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match (tried.keys.as_slice(), tried.password) {
        ([], false) => write!(text, "nothing to log in with"),
        (keys, password) => {
            let mut names = keys.to_vec();
            names.dedup();
            if password {
                names.push("the password".to_owned());
            }
            write!(text, "tried {}", names.join(", "))
        }
    };
    for fault in &tried.faults {
        let _ = write!(text, "; {fault}");
    }
    if let Some(said) = said {
        let _ = write!(text, "; the server says: {said}");
    }
    if let Some(taken) = taken {
        let _ = write!(text, "; the server takes {}", taken.replace(',', ", "));
        let wants_password = taken
            .split(',')
            .any(|name| name == PASSWORD || name == KEYBOARD_INTERACTIVE);
        if wants_password && claim.password.is_none() {
            text.push_str(" (--password asks for one)");
        }
    }
    TransportError::AuthFailed { text }
}
