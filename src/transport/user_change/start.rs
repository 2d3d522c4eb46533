//! The wait for the start of a command as another user, and the password.

use super::dialogue::{ChangeDialogue, ChangeState, MAX_EARLY};
use super::{ChangeProgram, UserChangeFault, UserChanges};
use crate::event::{RemoteExit, Stream};
use crate::transport::trials::TrialTurn;
use crate::transport::{Excused, TransportError};

/// All targets take part in one trial: there is one password.
const TRIAL: &str = "";

/// A started program of a target, as the dialogue about the password sees it.
pub(in crate::transport) trait ChangeChannel {
    /// Returns the next output; `None` after the end of both streams.
    fn read(
        &mut self,
    ) -> impl Future<Output = Result<Option<(Stream, Vec<u8>)>, TransportError>> + Send;

    /// Sends bytes to the program.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), TransportError>> + Send;

    /// Returns the exit of the program, after the end of both streams.
    fn exit(&mut self) -> impl Future<Output = Result<RemoteExit, TransportError>> + Send;
}

/// Output that was read before the start of a command was known, in the order of each stream.
type OutputBeforeStart = Vec<(Stream, Vec<u8>)>;

/// Turn of a target to send its command.
#[derive(Debug)]
pub(in crate::transport) struct StartTurn(Option<TrialTurn>);

impl UserChanges {
    /// Waits until the command may be sent to a target. With a password, no command is sent before the first target has
    /// accepted it, so that a wrong password runs nothing anywhere. Cancel safe.
    ///
    /// # Errors
    /// Another target has refused the password.
    pub(in crate::transport) async fn turn(
        &self,
        excused: &Excused,
    ) -> Result<StartTurn, TransportError> {
        // Without a password no account can be locked, so no target waits for another one.
        if self.password.get().is_none() {
            return Ok(StartTurn(None));
        }
        let turn = excused.wait(self.starts.turn(TRIAL)).await;
        match turn {
            TrialTurn::Withheld(host) => Err(self.error(UserChangeFault::PasswordWithheld(host))),
            turn => Ok(StartTurn(Some(turn))),
        }
    }

    /// Waits for the start of the command, and sends the password if the program asks for it. `prompts` is the stream to
    /// which the program writes its prompt. Returns the output so far.
    ///
    /// # Errors
    /// The command was not started.
    pub(in crate::transport) async fn start(
        &self,
        channel: &mut impl ChangeChannel,
        prompts: Stream,
        host: &str,
        turn: StartTurn,
        excused: &Excused,
    ) -> Result<OutputBeforeStart, TransportError> {
        let mut start = Start {
            changes: self,
            dialogue: ChangeDialogue::new(&self.change),
            other: Vec::new(),
            turn,
            trial: None,
            sent: false,
        };
        let result = start.run(channel, prompts, excused).await;
        start.answer(&result, host);
        result?;
        let Start {
            dialogue, other, ..
        } = start;
        let second = match prompts {
            Stream::Stdout => Stream::Stderr,
            Stream::Stderr => Stream::Stdout,
        };
        Ok(vec![(prompts, dialogue.into_output()), (second, other)])
    }

    fn error(&self, fault: UserChangeFault) -> TransportError {
        TransportError::UserChange {
            program: self.change.program,
            fault,
        }
    }
}

/// State of one start.
struct Start<'a> {
    changes: &'a UserChanges,
    dialogue: ChangeDialogue,
    /// Output of the stream that has no prompts.
    other: Vec<u8>,
    turn: StartTurn,
    /// Turn in the trial of the password, after the program has asked for it.
    trial: Option<TrialTurn>,
    /// True if the password may have been sent.
    sent: bool,
}

impl Start<'_> {
    async fn run(
        &mut self,
        channel: &mut impl ChangeChannel,
        prompts: Stream,
        excused: &Excused,
    ) -> Result<(), TransportError> {
        let changes = self.changes;
        loop {
            match channel.read().await? {
                Some((stream, data)) if stream == prompts => self.dialogue.feed(&data),
                Some((_, data)) => self.other.extend_from_slice(&data),
                None => {
                    let exit = channel.exit().await?;
                    return Err(self.ended(exit));
                }
            }
            match self.dialogue.state() {
                // Both streams have the limit: a host could send without end on the one that has no prompts.
                ChangeState::Waiting | ChangeState::Asked if self.other.len() > MAX_EARLY => {
                    return Err(changes.error(UserChangeFault::TooMuchOutput));
                }
                ChangeState::TooMuch => return Err(changes.error(UserChangeFault::TooMuchOutput)),
                ChangeState::Started => break,
                // A host that does not wait for the password has none to refuse.
                ChangeState::AskedAgain if !self.sent => {
                    let text = "it asked for the password twice at once".to_owned();
                    return Err(changes.error(UserChangeFault::Other(text)));
                }
                ChangeState::AskedAgain => {
                    return Err(changes.error(UserChangeFault::PasswordRefused));
                }
                // The password is sent once. Further failed logins could lock the account.
                ChangeState::Asked if !self.sent => {
                    self.send_password(channel, excused).await?;
                }
                ChangeState::Waiting | ChangeState::Asked => {}
            }
            // su has no prompt of mrsh's choice, and would wait for ever. This is a failure in any case.
            if changes.change.program == ChangeProgram::Su
                && self.dialogue.text().ends_with(b"assword: ")
            {
                return Err(changes.error(UserChangeFault::PasswordNeeded));
            }
        }
        Ok(())
    }

    /// Sends the password, after the trial of it. The program has asked once, and has not started the command.
    async fn send_password(
        &mut self,
        channel: &mut impl ChangeChannel,
        excused: &Excused,
    ) -> Result<(), TransportError> {
        let changes = self.changes;
        let Some(password) = changes.password.get() else {
            return Err(changes.error(UserChangeFault::PasswordNeeded));
        };
        // Another host than the first one may be the first that asks. The wait for its answer is not charged.
        let trial = excused.wait(changes.trials.turn(TRIAL)).await;
        if let TrialTurn::Withheld(host) = trial {
            return Err(changes.error(UserChangeFault::PasswordWithheld(host)));
        }
        // A turn that is dropped without an answer goes to the next host, which would then get the password.
        self.trial = Some(trial);
        // Set before the write: a connection that ends during the write may have carried the password.
        self.sent = true;
        channel.write(password).await
    }

    /// Returns the error of a program that ended before the start of the command.
    fn ended(&self, exit: RemoteExit) -> TransportError {
        let program = self.changes.change.program;
        let output = self.dialogue.text();
        let output = if output.is_empty() {
            &self.other
        } else {
            output
        };
        let fault = UserChangeFault::of_end(program, output, exit, self.sent);
        self.changes.error(fault)
    }

    /// Informs the waiting targets of the answer to the password, if there is one.
    fn answer(&mut self, result: &Result<(), TransportError>, host: &str) {
        let turns = [self.turn.0.as_mut(), self.trial.as_mut()];
        for turn in turns.into_iter().flatten() {
            match result {
                Ok(()) => turn.accepted(),
                Err(TransportError::UserChange { fault, .. }) => match fault {
                    UserChangeFault::PasswordRefused => turn.refused(host),
                    UserChangeFault::PasswordWithheld(other) => turn.refused(other),
                    // sudo says this after it has checked the password.
                    UserChangeFault::NotAllowed if self.sent => turn.accepted(),
                    // Other failures prove nothing about the password, so the next host tries it.
                    _ => {}
                },
                // Some hosts may close the connection where others refuse the password.
                Err(_) if self.sent => turn.closed(host),
                Err(_) => {}
            }
        }
    }
}
