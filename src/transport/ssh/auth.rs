//! Logging in: the methods that the server takes, in the user's order, with no more tries than needed.

use std::fmt::Write;

use libssh2_sys as raw;
use ssh_files::{KeyCandidate, KeyHolder, signature_request};
use zeroize::Zeroizing;

use super::agent::AgentClient;
use super::connect::{Progress, lost};
use super::drive::Turns;
use super::ffi::{Fault, Peer, Signature};
use super::trials::{Trials, Turn};
use crate::error_text::with_causes;
use crate::event::{PasswordUse, Phase};
use crate::transport::{Excused, TransportError};

/// The methods that there are here, by their names in the protocol.
pub(super) const PUBLIC_KEY: &str = "publickey";
pub(super) const KEYBOARD_INTERACTIVE: &str = "keyboard-interactive";
pub(super) const PASSWORD: &str = "password";

/// A key that the user has, or a certificate on one, and who signs with it.
#[derive(Debug)]
pub(super) struct Key<'a> {
    pub(super) candidate: KeyCandidate,
    /// The agent that has it, if it is one that has.
    pub(super) agent: Option<&'a AgentClient>,
}

impl Key<'_> {
    /// Signs a request to be let in.
    async fn sign(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        match (&self.candidate.holder, self.agent) {
            (KeyHolder::Memory(signer), _) => {
                let signed = signer.sign_request(request);
                signed.map_err(|error| format!("{}: {error}", self.candidate.name))
            }
            (KeyHolder::Agent(blob), Some(agent)) => {
                let (algorithm, _) =
                    signature_request(request).ok_or("the request makes no sense")?;
                let signed = agent.sign(blob, request, algorithm).await;
                signed.map_err(|error| with_causes(&error))
            }
            (KeyHolder::Agent(_), None) => Err(format!("{}: no agent has it", self.candidate.name)),
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
    /// The host, for the others that wait until it has answered to the password.
    pub(super) host: &'a str,
    pub(super) trials: &'a Trials,
}

/// What was tried, for the message when none of it did.
#[derive(Debug, Default)]
struct Tried {
    keys: Vec<String>,
    password: bool,
    /// The host that has refused the password, which is why it was not tried.
    withheld: Option<String>,
    /// Why a key could not sign, or a question not be answered.
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
    progress: &mut Progress<'_>,
) -> Result<(), TransportError> {
    progress.phase = Phase::Auth;
    let mut attempt = Attempt {
        claim,
        tried: Tried::default(),
        turn: None,
        passed: false,
        wants_more: false,
    };
    let result = attempt.run(peer, &progress.excused).await;
    attempt.answer(peer, &result);
    result
}

/// One login.
struct Attempt<'a> {
    claim: &'a Claim<'a>,
    tried: Tried,
    /// The part in the password's trial, once the server wants a password.
    turn: Option<Turn>,
    /// The server has shown that the password is right.
    passed: bool,
    /// After the password the server takes none any more: it was right, or there are no more tries.
    wants_more: bool,
}

impl Attempt<'_> {
    async fn run(&mut self, peer: &mut Peer, excused: &Excused) -> Result<(), TransportError> {
        let claim = self.claim;
        let Some(mut taken) = methods(peer, claim, &self.tried).await? else {
            return Ok(());
        };
        for method in claim.methods {
            // A method that the server wants only after another is not in its first list.
            if !takes(&taken, method) {
                continue;
            }
            let mut not_enough = false;
            match method.as_str() {
                PUBLIC_KEY => {
                    for key in claim.keys {
                        self.tried.keys.push(key.candidate.name.clone());
                        let tried_key = prove(peer, claim.user, key, &mut self.tried.faults).await;
                        match outcome(peer, claim, &self.tried, &taken, tried_key)? {
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
                    if !self.may_try(excused).await {
                        continue;
                    }
                    let answered = self.offer(peer, method, password).await;
                    match outcome(peer, claim, &self.tried, &taken, answered)? {
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
                let Some(next) = methods(peer, claim, &self.tried).await? else {
                    return Ok(());
                };
                self.wants_more |= self.tried.password && !takes(&next, method);
                taken = next;
            }
        }
        Err(denied(claim, &self.tried, Some(&taken), None))
    }

    /// Waits for the turn to try the password; false if another host has refused it.
    async fn may_try(&mut self, excused: &Excused) -> bool {
        if self.turn.is_none() {
            let turn = excused.wait(self.claim.trials.turn(self.claim.user)).await;
            if let Turn::Withheld(host) = &turn {
                self.tried.withheld = Some(host.clone());
            }
            self.turn = Some(turn);
        }
        self.tried.withheld.is_none()
    }

    /// Offers the password by one of the two methods for it.
    async fn offer(
        &mut self,
        peer: &mut Peer,
        method: &str,
        password: &Zeroizing<String>,
    ) -> Result<Try, Fault> {
        let user = self.claim.user;
        let answered = if method == PASSWORD {
            self.tried.password = true;
            peer.drive(|peer| peer.password(user, password)).await
        } else {
            peer.pipe_mut().answer_with(password.clone());
            let answered = peer.drive(|peer| peer.keyboard_interactive(user)).await;
            match peer.pipe_mut().end_answers() {
                Some(true) => self.tried.password = true,
                Some(false) => {
                    let fault = "the server asks for something else than a password";
                    self.tried.faults.push(fault.to_owned());
                }
                None => {}
            }
            answered
        };
        self.passed = match &answered {
            Ok(()) => true,
            // An expired password is the right one.
            Err(fault) => fault.code == raw::LIBSSH2_ERROR_PASSWORD_EXPIRED,
        };
        answered.map(|()| Try::In).or_else(refused)
    }

    /// Tells the hosts that wait how the server has answered to the password, if it has.
    fn answer(&mut self, peer: &Peer, result: &Result<(), TransportError>) {
        let Some(turn) = self.turn.as_mut().filter(|_| self.tried.password) else {
            return;
        };
        let host = self.claim.host;
        match result {
            _ if self.passed => turn.taken(),
            Ok(()) if self.wants_more => turn.taken(),
            Ok(()) | Err(TransportError::AuthFailed { .. }) => turn.refused(host),
            Err(_) if peer.pipe().ended().is_some() => turn.closed(host),
            // Its time has run out, or what it sent makes no sense.
            Err(_) => {}
        }
    }
}

/// True if a server that takes these methods takes that one.
fn takes(methods: &str, method: &str) -> bool {
    methods.split(',').any(|name| name == method)
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
        ([], false) if tried.withheld.is_some() => Ok(()),
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
    if let Some(host) = &tried.withheld {
        let start = if text.is_empty() { "" } else { "; " };
        let user = claim.user;
        let _ = write!(
            text,
            "{start}the password is not sent, for {host} has refused it for {user}"
        );
    } else if let Some(taken) = taken {
        let _ = write!(text, "; the server takes {}", taken.replace(',', ", "));
        let wants_password = taken
            .split(',')
            .any(|name| name == PASSWORD || name == KEYBOARD_INTERACTIVE);
        if wants_password && claim.password.is_none() {
            text.push_str(" (--password asks for one)");
        }
    }
    let password = match (&tried.withheld, tried.password) {
        (Some(_), _) => PasswordUse::Withheld,
        (None, true) => PasswordUse::Sent,
        (None, false) => PasswordUse::None,
    };
    TransportError::AuthFailed { text, password }
}
