//! The change of the user before a command over rsh.

use super::session::readable;
use super::{RshSession, RshTransport};
use crate::event::{Phase, RemoteExit, Stream};
use crate::targets::Target;
use crate::transport::user_change::{ChangeChannel, StartTurn, UserChanges};
use crate::transport::{Budget, Route, TransportError};

impl RshTransport {
    /// Waits for the start of the command as another user.
    pub(super) async fn change_user(
        &self,
        session: &mut RshSession,
        changes: &UserChanges,
        turn: StartTurn,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<(), TransportError> {
        route.phase = Phase::Become;
        // Without a connection for standard error, the daemon sends both streams on the main one.
        let prompts = if self.options.has_callback() {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        let excused = budget.excused();
        let before = budget.left();
        let start = changes.start(session, prompts, &target.host, turn, &excused);
        let started = budget.spend(start).await;
        *route.facts.start.get_or_insert_default() += before - budget.left();
        let started = started.unwrap_or_else(|| Err(budget.exhausted(Phase::Become)));
        session.decoded = started.map_err(|error| error.in_phase(Phase::Become))?;
        // The command reads the connection, since sudo could ask for a password there.
        if changes.change().has_password() && self.input.is_none() {
            session.main.half_close();
        }
        Ok(())
    }
}

impl ChangeChannel for RshSession {
    async fn read(&mut self) -> Result<Option<(Stream, Vec<u8>)>, TransportError> {
        loop {
            let early = std::mem::take(&mut self.early);
            let (stream, data) = if !early.is_empty() {
                (Stream::Stdout, self.stream.feed(&early))
            } else if self.main.is_open() || self.err_is_open() {
                let ready = readable(false, &self.main, self.err.as_ref()).await;
                match ready.map_err(TransportError::lost)? {
                    Stream::Stdout => (Stream::Stdout, self.read_main()?),
                    Stream::Stderr => (Stream::Stderr, self.read_err()?),
                }
            } else {
                return Ok(None);
            };
            // The program has ended without a command. What is left of the wrapper waits for the rest of its input.
            if self.stream.has_marker() && !self.input_ended {
                self.input_ended = true;
                self.main.half_close();
            }
            if !data.is_empty() {
                return Ok(Some((stream, data)));
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        // A daemon that resets may have sent its reason before, which is still read.
        let _ = self.main.write_all(bytes).await;
        Ok(())
    }

    async fn exit(&mut self) -> Result<RemoteExit, TransportError> {
        self.take_exit()
    }
}
