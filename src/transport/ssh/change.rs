//! The change of the user before a command over ssh.

use ssh_files::HostConfig;
use tokio::task::yield_now;

use super::SshTransport;
use super::connect::lost;
use super::drive::CallPacer;
use super::session::{STDERR, SignalWay, SshSession};
use crate::event::{Phase, RemoteExit, Stream};
use crate::transport::user_change::{ChangeChannel, StartTurn, UserChanges};
use crate::transport::{AttemptError, Budget, Input, Route, StderrMode, TransportError};

impl SshTransport {
    /// Waits until the command may be sent.
    pub(super) async fn start_turn(
        &self,
        changes: &UserChanges,
        budget: &mut Budget,
    ) -> Result<StartTurn, AttemptError> {
        let excused = budget.excused();
        let turn = budget.spend(changes.turn(&excused)).await;
        let turn = turn.unwrap_or_else(|| Err(budget.exhausted(Phase::Become)));
        turn.map_err(AttemptError::Failed)
    }

    /// Waits for the start of the command as another user.
    pub(super) async fn change_user(
        &self,
        session: &mut SshSession,
        changes: &UserChanges,
        turn: StartTurn,
        host: &HostConfig,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<(), TransportError> {
        route.phase = Phase::Become;
        let is_merged = self.options.stderr == StderrMode::Merge && self.input_script().is_none();
        let prompts = if is_merged || self.options.terminal.is_some() {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        let excused = budget.excused();
        let before = budget.left();
        let start = changes.start(session, prompts, &host.host_name, turn, &excused);
        let started = budget.spend(start).await;
        *route.facts.start.get_or_insert_default() += before - budget.left();
        let started = started.unwrap_or_else(|| Err(budget.exhausted(Phase::Become)));
        session.early = started.map_err(|error| error.in_phase(Phase::Become))?;
        session.signal_way = match &self.input {
            None => SignalWay::Line,
            Some(input) if input.copies().is_some() => SignalWay::EndOfInput,
            Some(_) => SignalWay::None,
        };
        Ok(())
    }

    fn input_script(&self) -> Option<String> {
        self.input.as_ref().and_then(Input::script)
    }
}

impl ChangeChannel for SshSession {
    async fn read(&mut self) -> Result<Option<(Stream, Vec<u8>)>, TransportError> {
        let mut pacer = CallPacer::default();
        let mut looked_again = false;
        loop {
            for (number, stream) in [(STDERR, Stream::Stderr), (0, Stream::Stdout)] {
                if let Some(data) = SshSession::read(self, number, true)? {
                    return Ok(Some((stream, data)));
                }
            }
            if self.peer.at_end(self.channel) {
                return Ok(None);
            }
            // Data that came while one stream was read may belong to the other.
            if self.peer.has_output(self.channel) && !looked_again {
                looked_again = true;
                yield_now().await;
                continue;
            }
            looked_again = false;
            pacer.wait(&mut self.peer).await;
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), TransportError> {
        let channel = self.channel;
        while !bytes.is_empty() {
            let written = self.peer.drive(|peer| peer.write(channel, bytes)).await;
            match written {
                Ok(n) => bytes = &bytes[n..],
                // The program has closed its input. Its output says why.
                Err(fault) if fault.is_of_channel() => return Ok(()),
                Err(fault) => return Err(lost(&self.peer, Phase::Become, fault)),
            }
        }
        Ok(())
    }

    async fn exit(&mut self) -> Result<RemoteExit, TransportError> {
        Ok(self.wait_for_exit().await?.unwrap_or(RemoteExit::Unknown))
    }
}
