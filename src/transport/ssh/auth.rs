//! Login with the methods that the server accepts, in the user's order, with as few requests as possible.

use std::fmt::Write;

use libssh2_sys as raw;
use ssh_files::{KeyCandidate, KeyHolder, signature_request};
use zeroize::Zeroizing;

use super::agent::AgentClient;
use super::connect::{LoginProgress, lost};
use super::drive::CallPacer;
use super::ffi::{Libssh2Error, Peer, Signature};
use crate::error_text::with_causes;
use crate::event::{PasswordUse, Phase};
use crate::transport::trials::{TrialTurn, Trials};
use crate::transport::{Excused, TransportError};

/// Supported methods, by their names in the protocol.
pub(super) const PUBLIC_KEY: &str = "publickey";
pub(super) const KEYBOARD_INTERACTIVE: &str = "keyboard-interactive";
pub(super) const PASSWORD: &str = "password";

/// A key or certificate of the user, with its signer.
#[derive(Debug)]
pub(super) struct LoginKey<'a> {
    pub(super) candidate: KeyCandidate,
    /// Agent that holds the key, if it is not in memory.
    pub(super) agent: Option<&'a AgentClient>,
}

impl LoginKey<'_> {
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

/// User name and the means to prove it.
#[derive(Debug)]
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    /// Methods in the order in which they are tried.
    pub(super) methods: &'a [String],
    pub(super) keys: &'a [LoginKey<'a>],
    pub(super) password: Option<&'a Zeroizing<String>>,
    /// Host, as named to other hosts that wait for its answer to the password.
    pub(super) host: &'a str,
    pub(super) trials: &'a Trials,
}

/// Methods that were tried, for the message if all fail.
#[derive(Debug, Default)]
struct TriedMethods {
    keys: Vec<String>,
    password: bool,
    /// Host that has refused the password; then the password is not sent to this one.
    withheld: Option<String>,
    /// Errors of signing and of unanswered questions.
    errors: Vec<String>,
}

/// Result of one method.
#[derive(Debug, PartialEq, Eq)]
enum AuthReply {
    Accepted,
    Refused,
    /// The server accepted the key but wants another method too, or the signature was wrong.
    Partial,
}

pub(super) async fn log_in(
    peer: &mut Peer,
    credentials: &Credentials<'_>,
    progress: &mut LoginProgress,
) -> Result<(), TransportError> {
    progress.phase = Phase::Auth;
    let mut login = Login {
        credentials,
        tried: TriedMethods::default(),
        trial_turn: None,
        passed: false,
        wants_more: false,
    };
    let result = login.run(peer, &progress.excused).await;
    login.answer(peer, &result);
    result
}

/// State of one login.
struct Login<'a> {
    credentials: &'a Credentials<'a>,
    tried: TriedMethods,
    /// Turn in the password trial, after the server has asked for a password.
    trial_turn: Option<TrialTurn>,
    /// True if the server has shown that the password is right.
    passed: bool,
    /// True if the server accepts no further password after the first: it was right, or the requests are used up.
    wants_more: bool,
}

impl Login<'_> {
    async fn run(&mut self, peer: &mut Peer, excused: &Excused) -> Result<(), TransportError> {
        let credentials = self.credentials;
        // RFC 4252, section 5.2: the refusal of `none` names the methods. A server without authentication accepts it.
        let Some(mut accepted) = methods(peer, credentials, &self.tried).await? else {
            return Ok(());
        };
        for method in credentials.methods {
            // The server accepts some methods only after another one, so the first list may lack them.
            if !accepts(&accepted, method) {
                continue;
            }
            let mut not_enough = false;
            match method.as_str() {
                PUBLIC_KEY => {
                    for key in credentials.keys {
                        self.tried.keys.push(key.candidate.name.clone());
                        let tried_key =
                            prove(peer, credentials.user, key, &mut self.tried.errors).await;
                        match outcome(peer, credentials, &self.tried, &accepted, tried_key)? {
                            AuthReply::Accepted => return Ok(()),
                            AuthReply::Refused => {}
                            AuthReply::Partial => {
                                not_enough = true;
                                break;
                            }
                        }
                    }
                }
                KEYBOARD_INTERACTIVE | PASSWORD => {
                    let Some(password) = credentials.password else {
                        continue;
                    };
                    if !self.wait_for_trial(excused).await {
                        continue;
                    }
                    let answered = self.offer(peer, method, password).await;
                    match outcome(peer, credentials, &self.tried, &accepted, answered)? {
                        AuthReply::Accepted => return Ok(()),
                        // libssh2 reports a wrong password and a partial success alike.
                        AuthReply::Refused | AuthReply::Partial => not_enough = true,
                    }
                }
                // PreferredAuthentications may name methods that libssh2 lacks.
                _ => {}
            }
            if not_enough {
                // The server may accept other methods now. The question counts as an attempt on the server, so it is
                // sent only after a partial success.
                let Some(next) = methods(peer, credentials, &self.tried).await? else {
                    return Ok(());
                };
                self.wants_more |= self.tried.password && !accepts(&next, method);
                accepted = next;
            }
        }
        Err(denied(credentials, &self.tried, Some(&accepted), None))
    }

    /// Waits for the turn to try the password; false if another host has refused it.
    async fn wait_for_trial(&mut self, excused: &Excused) -> bool {
        if self.trial_turn.is_none() {
            // The wait for the answer of another host is not charged to this host's connect timeout.
            let trial_turn = excused
                .wait(self.credentials.trials.turn(self.credentials.user))
                .await;
            if let TrialTurn::Withheld(host) = &trial_turn {
                self.tried.withheld = Some(host.clone());
            }
            self.trial_turn = Some(trial_turn);
        }
        self.tried.withheld.is_none()
    }

    /// Sends the password with one of the two methods for it.
    async fn offer(
        &mut self,
        peer: &mut Peer,
        method: &str,
        password: &Zeroizing<String>,
    ) -> Result<AuthReply, Libssh2Error> {
        let user = self.credentials.user;
        let answered = if method == PASSWORD {
            // Set before the call: a connection that ends during the call may have carried the password.
            self.tried.password = true;
            peer.drive(|peer| peer.password(user, password)).await
        } else {
            peer.pipe_mut().answer_with(password.clone());
            let answered = peer.drive(|peer| peer.keyboard_interactive(user)).await;
            match peer.pipe_mut().end_answers() {
                Some(true) => self.tried.password = true,
                Some(false) => {
                    let fault = "the server asks for something else than a password";
                    self.tried.errors.push(fault.to_owned());
                }
                None => {}
            }
            answered
        };
        self.passed = match &answered {
            Ok(()) => true,
            // A server reports only a correct password as expired.
            Err(fault) => fault.code == raw::LIBSSH2_ERROR_PASSWORD_EXPIRED,
        };
        answered.map(|()| AuthReply::Accepted).or_else(refused)
    }

    /// Informs the waiting hosts of the server's answer to the password, if it has answered.
    fn answer(&mut self, peer: &Peer, result: &Result<(), TransportError>) {
        let Some(trial_turn) = self.trial_turn.as_mut().filter(|_| self.tried.password) else {
            return;
        };
        let host = self.credentials.host;
        match result {
            _ if self.passed => trial_turn.accepted(),
            Ok(()) if self.wants_more => trial_turn.accepted(),
            Ok(()) | Err(TransportError::AuthFailed { .. }) => trial_turn.refused(host),
            // Some servers close the connection where others refuse the password.
            Err(_) if peer.pipe().ended().is_some() => trial_turn.closed(host),
            // The attempt timed out or the server broke the protocol: no answer.
            Err(_) => {}
        }
    }
}

/// True if the list of methods contains the method.
fn accepts(methods: &str, method: &str) -> bool {
    methods.split(',').any(|name| name == method)
}

/// Returns the methods that the server accepts now; `None` if it accepts the user without any.
async fn methods(
    peer: &mut Peer,
    credentials: &Credentials<'_>,
    tried: &TriedMethods,
) -> Result<Option<String>, TransportError> {
    let methods = peer.drive(|peer| peer.methods(credentials.user)).await;
    methods.map_err(|fault| cut_off(peer, credentials, tried, fault))
}

/// Converts the fault of a method that failed with its connection.
fn outcome(
    peer: &Peer,
    credentials: &Credentials<'_>,
    tried: &TriedMethods,
    accepted: &str,
    result: Result<AuthReply, Libssh2Error>,
) -> Result<AuthReply, TransportError> {
    result.map_err(|fault| match fault.code {
        raw::LIBSSH2_ERROR_PASSWORD_EXPIRED => denied(
            credentials,
            tried,
            Some(accepted),
            Some("the password has expired; log in by hand and change it"),
        ),
        _ => cut_off(peer, credentials, tried, fault),
    })
}

/// Returns the error for a connection that ended during the login.
fn cut_off(
    peer: &Peer,
    credentials: &Credentials<'_>,
    tried: &TriedMethods,
    fault: Libssh2Error,
) -> TransportError {
    match peer.pipe().disconnect_reason() {
        // A server says why it disconnects (RFC 4253, section 11.1), such as too many failed logins.
        Some(text) => denied(credentials, tried, None, Some(text)),
        None => lost(peer, Phase::Auth, fault),
    }
}

/// Separates a refusal from a request that could not be made.
fn refused(fault: Libssh2Error) -> Result<AuthReply, Libssh2Error> {
    match fault.code {
        raw::LIBSSH2_ERROR_AUTHENTICATION_FAILED | raw::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED => {
            Ok(AuthReply::Refused)
        }
        _ => Err(fault),
    }
}

/// Proves the possession of a key, if the server accepts it.
async fn prove(
    peer: &mut Peer,
    user: &str,
    key: &LoginKey<'_>,
    errors: &mut Vec<String>,
) -> Result<AuthReply, Libssh2Error> {
    let mut pacer = CallPacer::default();
    let mut wanted: Option<Vec<u8>> = None;
    let mut answer: Option<Result<Vec<u8>, String>> = None;
    let mut signed = false;
    loop {
        peer.pipe_mut().begin_call();
        let mut sign = |data: &[u8]| {
            if let Some(answer) = answer.take() {
                return match answer {
                    Ok(signature) => {
                        signed = true;
                        Signature::Made(signature)
                    }
                    Err(text) => {
                        errors.push(text);
                        Signature::Refused
                    }
                };
            }
            wanted = Some(data.to_vec());
            // A callback of C cannot wait for an agent, so it returns EAGAIN. The call is repeated with the signature.
            Signature::Later
        };
        match peer.public_key(user, &key.candidate.blob, &mut sign) {
            Ok(Some(())) => return Ok(AuthReply::Accepted),
            Ok(None) => match wanted.take() {
                Some(data) => answer = Some(key.sign(&data).await),
                None => pacer.wait(peer).await,
            },
            Err(fault) => {
                // libssh2 reports a closed connection with the code of a wrong signature.
                if peer.pipe().ended().is_some() || peer.pipe().disconnect_reason().is_some() {
                    return Err(fault);
                }
                return refused(fault).map(|_| {
                    // A server asks for a signature only after it has accepted the key. A later refusal is probably a
                    // partial success, which libssh2 reports in the same way.
                    if signed {
                        AuthReply::Partial
                    } else {
                        AuthReply::Refused
                    }
                });
            }
        }
    }
}

/// Returns the error for a user whom the server does not accept.
fn denied(
    credentials: &Credentials<'_>,
    tried: &TriedMethods,
    accepted: Option<&str>,
    message: Option<&str>,
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
    for fault in &tried.errors {
        let _ = write!(text, "; {fault}");
    }
    if let Some(message) = message {
        let _ = write!(text, "; the server says: {message}");
    }
    if let Some(host) = &tried.withheld {
        let start = if text.is_empty() { "" } else { "; " };
        let user = credentials.user;
        let _ = write!(
            text,
            "{start}the password is not sent, because {host} has refused it for {user}"
        );
    } else if let Some(accepted) = accepted {
        let _ = write!(text, "; the server takes {}", accepted.replace(',', ", "));
        let wants_password = accepted
            .split(',')
            .any(|name| name == PASSWORD || name == KEYBOARD_INTERACTIVE);
        if wants_password && credentials.password.is_none() {
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
